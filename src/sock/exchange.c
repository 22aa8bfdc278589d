/* SPDX-License-Identifier: MIT */
/*
 * Half-close request and reply: lb_read_all, lb_exchange, lb_answer. Owns the reading to the true end of a stream, and
 * that what is sent meanwhile and what is read do not wait for each other. How a connection is ended once that is done
 * is ending.c's.
 *
 * An end of file is the only mark that such a message has, so that everything hangs on which end is a true one: RFC
 * 9293, section 3.10.4, "RECEIVE", has data and then "connection closing" after a FIN, and section 3.10.7 "connection
 * reset" after a RST. recv(2) returns 0 for both, if somebody else has taken the error: lb_tcp_recv tells them apart.
 */
#include "sock/leave.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream {
	int fd;
	char *buf;
	size_t cap, len;
};

/* Takes some of what has come: 1. 0: it has truly ended; -EAGAIN: nothing for now; -EMSGSIZE: more has come than there
 * is room for; else what broke it, as lb_tcp_recv says. */
static int take(struct stream *stream)
{
	size_t room = stream->cap - stream->len;
	char byte;
	ssize_t n = lb_tcp_recv(stream->fd, room > 0 ? stream->buf + stream->len : &byte, room > 0 ? room : 1,
		room > 0 ? 0 : MSG_PEEK);

	if (n <= 0)
		return (int)n;
	if (room == 0)
		return -EMSGSIZE;
	stream->len += (size_t)n;
	return 1;
}

/* All of it, as take() says; -ETIME: the deadline has passed. Nothing that has come by then is left out. */
static int take_all(struct stream *stream, lb_time deadline)
{
	struct lb_tcp_wait wait = {0};
	int r;

	while ((r = take(stream)) > 0 || r == -EAGAIN) {
		if (r == -EAGAIN && lb_now() >= deadline)
			return -ETIME;
		lb_tcp_await(&wait, stream->fd, POLLIN, deadline, stream->len);
	}
	return r;
}

/* What take() says, as the public calls return it. */
static int result_of(int r)
{
	if (r == 0 || r == -EMSGSIZE)
		return r;
	return r == -ETIME ? -ETIMEDOUT : -ECONNRESET;
}

/* Whether fd can be read at all. Leaves it open. */
static int check(int fd, struct lb_outcome *outcomep)
{
	struct lb_tcp tcp;
	int error = lb_tcp_check(fd, &tcp);

	*outcomep = (struct lb_outcome){.how = LB_END_NO_CONNECTION,
		.phase = LB_PHASE_CONNECT,
		.accepted = LB_UNKNOWN,
		.acked = LB_UNKNOWN,
		.lost = LB_UNKNOWN};
	if (error == 0 && !tcp.connected) {
		error = -ENOTCONN;
		if (tcp.sent + tcp.unsent == 0)
			outcomep->accepted = outcomep->acked = outcomep->lost = 0;
	}
	outcomep->err = -error;
	return error;
}

/* What is known of a connection that was read until take() said `r`. */
static void look(int fd, int r, struct lb_outcome *outcomep)
{
	int result = result_of(r);
	struct lb_ending_run run;

	lb_ending_look(&run, fd);
	lb_leave_look(&run, result == -ECONNRESET ? -r : 0, outcomep);
	if (result == 0) {
		outcomep->how = LB_END_FIN;
		outcomep->by = LB_PARTY_PEER;
	} else if (result == -ETIMEDOUT) {
		outcomep->how = LB_END_TIMEOUT;
		outcomep->by = LB_PARTY_SELF;
	}
}

int lb_read_all(int fd, void *buf, size_t cap, size_t *lenp, lb_time deadline, struct lb_outcome *outcomep)
{
	struct stream stream = {.fd = fd, .buf = buf, .cap = cap};
	lb_time started = lb_now();
	int r = check(fd, outcomep);

	if (r == 0) {
		r = take_all(&stream, deadline);
		look(fd, r, outcomep);
		r = result_of(r);
	}
	*lenp = stream.len;
	outcomep->took = lb_now() - started;
	return r;
}

struct exchange {
	struct stream reply;
	const char *request; /* what is left of it */
	size_t left;
	int error;     /* of a send, or shutdown(2): the rest cannot be sent */
	bool finished; /* our FIN is written */
	bool halved;   /* the peer would wait for the rest */
};

static void give(struct exchange *exchange)
{
	while (exchange->left > 0 && exchange->error == 0) {
		ssize_t n = lb_tcp_send(exchange->reply.fd, exchange->request, exchange->left);

		if (n == -EAGAIN)
			return;
		if (n >= 0) {
			exchange->request += n;
			exchange->left -= (size_t)n;
		} else {
			exchange->error = (int)-n;
		}
	}
	if (exchange->left > 0 || exchange->finished || exchange->error != 0)
		return;
	exchange->finished = shutdown(exchange->reply.fd, SHUT_WR) == 0;
	if (!exchange->finished)
		exchange->error = errno;
}

/*
 * Sends and reads at the same time, until take() has the last word. A send that fails is not the end: the reply may have
 * come before, and if the connection broke, take() says so. EPIPE: our end has been written before, and is waited on.
 * ENOTCONN is not taken from the socket: shutdown(2) says it of one that is dead.
 */
static int trade(struct exchange *exchange, lb_time deadline)
{
	struct lb_tcp_wait wait = {0};

	for (;;) {
		int r, events = POLLIN;

		give(exchange);
		r = take(&exchange->reply);
		if (r == -ENODATA && exchange->error != 0 && exchange->error != ENOTCONN)
			return -exchange->error;
		if (r <= 0 && r != -EAGAIN)
			return r;
		exchange->halved = r == -EAGAIN && exchange->error != 0 && exchange->error != EPIPE;
		if (exchange->halved)
			return -exchange->error;
		if (r == -EAGAIN && lb_now() >= deadline)
			return -ETIME;
		if (exchange->left > 0 && exchange->error == 0)
			events |= POLLOUT;
		lb_tcp_await(
			&wait, exchange->reply.fd, events, deadline, exchange->reply.len - exchange->left);
	}
}

/* What is sent to a peer that has ended cannot be why it has. */
static bool has_ended(int fd, size_t request_len)
{
	struct lb_tcp tcp;

	lb_tcp_read(fd, &tcp);
	return tcp.state == LB_TCP_CLOSE_WAIT && tcp.unacked + request_len > 0;
}

int lb_exchange(int fd, const void *request, size_t request_len, void *reply, size_t cap, size_t *lenp,
	lb_time deadline, struct lb_outcome *outcomep)
{
	struct exchange exchange = {
		.reply = {.fd = fd, .buf = reply, .cap = cap}, .request = request, .left = request_len};
	struct lb_ending ending = {0};
	struct lb_told told = {0};
	lb_time started = lb_now();
	int r, misuse = check(fd, outcomep);

	*lenp = 0;
	if (misuse < 0) {
		lb_abort(fd, outcomep);
		return misuse;
	}
	told.early = has_ended(fd, request_len);
	r = trade(&exchange, deadline);
	*lenp = exchange.reply.len;
	told.finished = exchange.finished;
	told.broken = result_of(r) == -ECONNRESET ? -r : 0;
	if (exchange.halved) /* a FIN would make it look whole */
		ending.policy = LB_POLICY_ABORT;
	ending.last = exchange.request;
	ending.last_len = exchange.left;
	misuse = lb_close_told(fd, &ending, &told, deadline, outcomep);
	outcomep->took = lb_now() - started;
	return misuse < 0 ? misuse : result_of(r);
}

/* Nothing is answered: a FIN would be an empty answer, so it is reset. */
static void give_up(int fd, int r, bool by_us, struct lb_outcome *outcomep)
{
	struct lb_outcome aborted;

	look(fd, r, outcomep);
	if (by_us) {
		outcomep->how = LB_END_LOCAL_ABORT;
		outcomep->by = LB_PARTY_SELF;
	}
	lb_abort(fd, &aborted);
	outcomep->discarded = aborted.discarded;
}

int lb_answer(int fd, const struct lb_answering *answering, lb_time deadline, struct lb_outcome *outcomep)
{
	struct stream stream = {.fd = fd, .buf = answering->request, .cap = answering->request_cap};
	struct lb_ending ending = {0};
	lb_time started = lb_now();
	int r = check(fd, outcomep), refused = 0;

	if (r < 0) {
		lb_abort(fd, outcomep);
		return r;
	}
	r = take_all(&stream, deadline);
	if (r == 0)
		refused = answering->reply(
			answering->arg, stream.buf, stream.len, &ending.last, &ending.last_len);
	if (r == 0 && refused == 0)
		r = lb_close(fd, &ending, deadline, outcomep);
	else
		give_up(fd, r, refused != 0 || r == -EMSGSIZE, outcomep);
	outcomep->took = lb_now() - started;
	return refused != 0 ? refused : result_of(r);
}
