/* SPDX-License-Identifier: MIT */
/*
 * The ending of one TCP connection: what is written, thrown away and waited for, when it is over, and what can be
 * said about it. Owns the fd from start to end. Waits for nothing and reads no clock; what Linux has to be asked,
 * and how, is in tcp.c.
 *
 * The rule (RFC 9293, section 3.6: "CLOSE is an operation meaning 'I have no more data to send'", and the other
 * side may go on sending): FIN first, then read and throw away, and close(2) only once our FIN is acked or the
 * peer has ended. close(2) with unread data, and data that arrives after it, make Linux send RST, which drops
 * what is still in our send queue and, on other systems, what the peer has not read yet.
 */
#include "sock/ending.h"
#include "sock/tcp.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS INT64_C(1000000)

#define SEND_STALL  (10000 * MS)
#define GRACE       (2000 * MS)
#define DRAIN_BYTES (UINT64_C(64) << 20)

#define STEP_BYTES 262144 /* read, and written, in one step, so that a flood does not hold the loop */
#define PAUSE_MIN  (1 * MS)
#define PAUSE_MAX  (50 * MS)

static const struct lb_ending defaults;

static lb_time later(lb_time at, lb_time by)
{
	return by > LB_NEVER - at ? LB_NEVER : at + by;
}

static lb_time earlier_of(lb_time a, lb_time b)
{
	return a < b ? a : b;
}

static lb_time or_else(lb_time given, lb_time otherwise)
{
	return given != 0 ? given : otherwise;
}

static uint64_t drain_bytes(const struct lb_ending_run *run)
{
	return run->ending->limits.drain_bytes != 0 ? run->ending->limits.drain_bytes : DRAIN_BYTES;
}

static size_t left_of_last(const struct lb_ending_run *run)
{
	return run->cut ? 0 : run->ending->last_len - run->last_sent;
}

static uint32_t queue_of(const struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	return (uint32_t)(tcp->unacked + left_of_last(run) + !run->finished);
}

static void note_error(struct lb_ending_run *run, int error)
{
	if (run->err == 0)
		run->err = (int16_t)error;
}

/* What is in the queue counts our FIN; what is lost counts bytes. */
static void account(struct lb_ending_run *run, const struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	bool fin_acked = run->finished && tcp->unacked == 0;

	if (run->syn < 0)
		run->syn = (int8_t)lb_tcp_syn(tcp, run->finished);
	*outcome = (struct lb_outcome){.accepted = LB_UNKNOWN, .acked = LB_UNKNOWN, .lost = LB_UNKNOWN};
	if (tcp->exact)
		outcome->lost = tcp->unacked - (run->finished && !fin_acked);
	if (tcp->exact && run->syn >= 0) {
		outcome->acked = tcp->acked - (uint64_t)run->syn - fin_acked;
		outcome->accepted = outcome->acked + outcome->lost;
	}
	if (outcome->lost == 0 && run->last_sent == run->ending->last_len &&
		(outcome->accepted > 0 || fin_acked))
		outcome->rung = LB_RUNG_ACKED;
	else
		outcome->rung = outcome->accepted > 0 ? LB_RUNG_ACCEPTED : LB_RUNG_NOTHING;
	outcome->phase = !run->finished ? LB_PHASE_DATA : fin_acked ? LB_PHASE_DRAIN : LB_PHASE_FLUSH;
}

/* The fd is closed, or somebody else's: nothing is left to be waited for. */
static bool conclude(
	struct lb_ending_run *run, lb_time now, enum lb_end how, enum lb_party by, struct lb_outcome *outcome)
{
	if (run->cut)
		note_error(run, EPIPE);
	outcome->how = how;
	outcome->by = by;
	outcome->err = run->err;
	outcome->discarded = run->discarded;
	outcome->took = now - run->started;
	run->fd = -1;
	return true;
}

/* close(2) must neither wait nor reset, whatever linger time accepted sockets inherit, O_NONBLOCK or not. */
static void leave(struct lb_ending_run *run)
{
	run->discarded += lb_tcp_unread(run->fd);
	lb_tcp_linger(run->fd, -1);
	close(run->fd);
}

static void reset(struct lb_ending_run *run)
{
	run->discarded += lb_tcp_unread(run->fd);
	lb_tcp_reset(run->fd);
	close(run->fd);
}

/*
 * What a connection broke of. Without an errno, somebody has taken it before us (SO_ERROR, a failed send): then it is
 * a reset if the kernel had no reason to give up: nothing repeated in vain, and no TCP_USER_TIMEOUT, which also
 * ends connections whose peer answers but has closed its window.
 */
static enum lb_end broken_by(const struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	int error = run->err;

	/* connect(2) to AF_UNSPEC, through a copy of the descriptor; or only our own shutdown(SHUT_RD) */
	if (!tcp->connected || (error == 0 && tcp->state != LB_TCP_CLOSED))
		return LB_END_LOCAL_ABORT;
	if (error == 0 && !tcp->resent && (tcp->unacked == 0 || !lb_tcp_has_user_timeout(run->fd)))
		return LB_END_RST;
	if (error == ECONNRESET || error == EPIPE)
		return LB_END_RST;
	return error == ETIMEDOUT ? LB_END_TIMEOUT : LB_END_NET_ERROR;
}

static enum lb_party breaker(enum lb_end how)
{
	return how == LB_END_LOCAL_ABORT ? LB_PARTY_SELF
	       : how == LB_END_RST       ? LB_PARTY_PEER
					 : LB_PARTY_NETWORK;
}

/*
 * The socket is in state CLOSED: both ends have ended, or it was reset, or the kernel gave it up. (It is never seen
 * in TIME_WAIT, which Linux keeps elsewhere.) Only the first of these leaves a FIN received and all of ours,
 * the FIN too, acked: the kernel takes the socket down on the last of these, so no reset can come after it.
 * An errno cannot tell: a caller may have taken it before. close(2) does nothing more here: it neither waits nor
 * resets, whatever the linger time.
 */
static bool conclude_closed(
	struct lb_ending_run *run, const struct lb_tcp *tcp, lb_time now, struct lb_outcome *outcome)
{
	int error = lb_tcp_discard(run->fd, UINT64_MAX, &run->discarded);
	bool both = lb_tcp_at_fin(run->fd) && tcp->unacked == 0;
	enum lb_end how = LB_END_FIN;

	account(run, tcp, outcome);
	if (!(both && run->finished))
		note_error(run, error < 0 ? -error : lb_tcp_take_error(run->fd));
	if (!(both && (run->finished || (run->unsure && run->err == 0)))) {
		if (run->cut)
			note_error(run, EPIPE);
		how = broken_by(run, tcp);
		close(run->fd);
		return conclude(run, now, how, breaker(how), outcome);
	}
	outcome->phase = LB_PHASE_DONE;
	if (run->finished && !run->early && outcome->lost == 0 && run->last_sent == run->ending->last_len)
		outcome->rung = LB_RUNG_ENDED;
	close(run->fd);
	return conclude(run, now, how, LB_PARTY_PEER, outcome);
}

/*
 * A peer that has ended before all of our bytes were acked cannot have ended because of them: then the rung stays
 * ACKED. The kernel does not keep the order of these two, so that it can only be seen while it happens: where
 * both happen between two steps, they are taken to have come in the usual order.
 */
static void observe(struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	if (tcp->state == LB_TCP_CLOSE_WAIT || tcp->state == LB_TCP_CLOSING ||
		tcp->state == LB_TCP_LAST_ACK) {
		run->read_ended = true;
		if (tcp->unacked > run->finished || left_of_last(run) > 0)
			run->early = true;
	}
}

/* MSG_MORE keeps the tail back for the FIN, which the shutdown(2) that follows sends with it. */
static void send_last(struct lb_ending_run *run)
{
	size_t bound = run->last_sent + STEP_BYTES;

	while (left_of_last(run) > 0 && run->last_sent < bound) {
		ssize_t n = send(run->fd, (const char *)run->ending->last + run->last_sent, left_of_last(run),
			MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);

		if (n >= 0) {
			run->last_sent += (size_t)n;
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR) {
			note_error(run, errno);
			run->cut = true;
		}
	}
	run->more = left_of_last(run) > 0;
}

static void drain(struct lb_ending_run *run)
{
	uint64_t room = drain_bytes(run) - run->discarded;
	int result;

	if (run->blocked)
		return;
	result = lb_tcp_discard(run->fd, room < STEP_BYTES ? room : STEP_BYTES, &run->discarded);
	if (result == 0)
		run->read_ended = true;
	if (result < 0 && result != -EAGAIN) {
		note_error(run, -result);
		run->blocked = true;
	}
	if (run->discarded == drain_bytes(run) && lb_tcp_unread(run->fd) > 0)
		run->blocked = true;
	else if (result == 1 && room > 0)
		run->more = true;
}

/* The FIN, and everything that can be done without waiting. True: the connection is over, and this run with it. */
static bool advance(struct lb_ending_run *run, lb_time now, struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	run->more = false;
	if (left_of_last(run) > 0) {
		lb_tcp_look(run->fd, tcp);
		observe(run, tcp);
		send_last(run);
	}
	if (left_of_last(run) == 0 && !run->finished) {
		run->finished = shutdown(run->fd, SHUT_WR) == 0;
		/* dead, and perhaps before it was looked at first: what was concluded then from an empty queue is void */
		if (!run->finished)
			run->syn = -1;
	}
	drain(run);
	lb_tcp_look(run->fd, tcp);
	if (tcp->state == LB_TCP_CLOSED)
		return conclude_closed(run, tcp, now, outcome);
	observe(run, tcp);
	if ((int32_t)(run->queued - queue_of(run, tcp)) > 0) {
		run->queued = queue_of(run, tcp);
		run->progress_at = now;
	}
	if (tcp->state == LB_TCP_FIN_WAIT_2 && !lb_ending_acked(run))
		run->acked_at = now;
	return false;
}

/* When there has been patience enough. */
static lb_time expiry(const struct lb_ending_run *run)
{
	const struct lb_limits *limits = &run->ending->limits;
	lb_time limit = lb_ending_acked(run)
				? later(run->acked_at, or_else(limits->grace, GRACE))
				: later(run->progress_at, or_else(limits->send_stall, SEND_STALL));

	return earlier_of(limit, run->deadline);
}

/* Patience is at an end: RST, if it takes no byte from the peer's kernel. What that has, it shall keep. */
static bool expire(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcome)
{
	struct lb_tcp tcp;

	lb_tcp_read(run->fd, &tcp);
	if (tcp.state == LB_TCP_CLOSED)
		return conclude_closed(run, &tcp, now, outcome);
	account(run, &tcp, outcome);
	if (run->finished && outcome->lost == 0)
		leave(run);
	else
		reset(run);
	return conclude(run, now, how, LB_PARTY_SELF, outcome);
}

static bool give_up(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcome)
{
	struct lb_tcp tcp;

	lb_tcp_read(run->fd, &tcp);
	if (tcp.state == LB_TCP_CLOSED)
		return conclude_closed(run, &tcp, now, outcome);
	account(run, &tcp, outcome);
	reset(run);
	return conclude(run, now, LB_END_LOCAL_ABORT, LB_PARTY_SELF, outcome);
}

/* There was nothing to end. */
static bool refused(const struct lb_ending_run *run, struct lb_outcome *outcome)
{
	if (run->result == 0 || run->result == -EAGAIN)
		return true;
	*outcome =
		(struct lb_outcome){.how = LB_END_NO_CONNECTION, .phase = LB_PHASE_CONNECT, .err = run->err};
	if (run->result != -ENOTCONN)
		outcome->accepted = outcome->acked = outcome->lost = LB_UNKNOWN;
	return true;
}

bool lb_ending_step(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcomep)
{
	struct lb_tcp tcp;

	if (run->fd < 0)
		return refused(run, outcomep);
	if (advance(run, now, &tcp, outcomep))
		return true;
	if (lb_ending_acked(run) && run->blocked)
		return give_up(run, now, outcomep);
	return now >= expiry(run) && expire(run, now, LB_END_TIMEOUT, outcomep);
}

void lb_ending_stop(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcomep)
{
	struct lb_tcp tcp;

	if (run->fd < 0)
		refused(run, outcomep);
	else if (how == LB_END_LOCAL_ABORT)
		give_up(run, now, outcomep);
	else if (!advance(run, now, &tcp, outcomep))
		expire(run, now, how, outcomep);
}

uint32_t lb_ending_events(const struct lb_ending_run *run)
{
	if (run->fd < 0)
		return 0;
	return (run->read_ended || run->blocked ? 0 : EPOLLIN | EPOLLRDHUP) |
	       (left_of_last(run) > 0 ? EPOLLOUT : 0);
}

/*
 * An ack raises no level-triggered event (POLLOUT holds all the time once there is room), and once both sides are
 * shut down poll(2) reports POLLHUP for as long as our FIN is unacked, wanted or not. So where acks are waited for,
 * time is what wakes: soon at first, then at half of the time that has passed since the last ack, which is as often
 * as the round trip deserves.
 */
lb_time lb_ending_next(const struct lb_ending_run *run, lb_time now)
{
	lb_time pause = (now - run->progress_at) / 2;

	if (run->fd < 0)
		return LB_NEVER;
	if (lb_ending_acked(run) && lb_ending_events(run) != 0)
		return expiry(run);
	pause = pause < PAUSE_MIN ? PAUSE_MIN : pause > PAUSE_MAX ? PAUSE_MAX : pause;
	return earlier_of(expiry(run), later(now, pause));
}

lb_time lb_ending_limit(const struct lb_ending_run *run)
{
	return run->fd < 0 ? LB_NEVER : run->more ? run->started : expiry(run);
}

/*
 * A socket that is CLOSED already does not say whether our FIN had been written before: a sequence number more than
 * there are bytes is a SYN or a FIN, two are both. One is taken for the SYN, so that a reset connection's counts
 * are right unless the caller had finished it first; then a FIN counts as a byte lost.
 */
static void recall(struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	run->syn = (int8_t)lb_tcp_syn(tcp, false);
	if (run->syn < 0) {
		run->syn = (int8_t)lb_tcp_syn(tcp, true);
		run->finished = run->syn >= 0;
	}
	run->unsure = !run->finished && run->syn != 0;
}

/* What it is, and how far it has come. Changes nothing of it. */
static int meet(struct lb_ending_run *run, struct lb_tcp *tcp)
{
	int error = lb_tcp_check(run->fd, tcp);

	if (error == 0 && !tcp->connected) {
		error = -ENOTCONN;
		note_error(run, lb_tcp_take_error(run->fd));
	}
	if (error < 0) {
		note_error(run, -error);
		run->result = (int16_t)error;
		return error;
	}
	if (!tcp->exact)
		lb_tcp_read(run->fd, tcp);
	if (tcp->state == LB_TCP_CLOSED) {
		recall(run, tcp);
	} else {
		run->finished = tcp->state != LB_TCP_ESTABLISHED && tcp->state != LB_TCP_SYN_RECEIVED &&
				tcp->state != LB_TCP_CLOSE_WAIT;
		run->syn = (int8_t)lb_tcp_syn(tcp, run->finished);
	}
	return 0;
}

void lb_ending_start(
	struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline)
{
	struct lb_tcp tcp;

	*run = (struct lb_ending_run){.ending = ending != NULL ? ending : &defaults,
		.fd = fd,
		.started = now,
		.deadline = deadline,
		.progress_at = now,
		.acked_at = LB_NEVER};
	if (meet(run, &tcp) < 0) {
		if (run->result != -EBADF)
			close(fd);
		run->fd = -1;
		return;
	}
	run->cut = run->ending->last_len > 0 && (run->finished || tcp.state == LB_TCP_CLOSED);
	run->queued = queue_of(run, &tcp);
	observe(run, &tcp);
}

void lb_ending_tell(struct lb_ending_run *run, bool finished, bool early, int broken)
{
	struct lb_tcp tcp;

	if (run->fd < 0)
		return;
	lb_tcp_read(run->fd, &tcp);
	run->finished = finished;
	run->syn = (int8_t)lb_tcp_syn(&tcp, finished);
	run->unsure = false;
	run->early = run->early || early;
	note_error(run, broken != ENODATA ? broken : 0);
}

int lb_ending_look(int fd, int broken, struct lb_outcome *outcomep)
{
	struct lb_ending_run run = {.ending = &defaults, .fd = fd};
	struct lb_tcp tcp;

	if (meet(&run, &tcp) < 0) {
		refused(&run, outcomep);
		return run.result;
	}
	account(&run, &tcp, outcomep);
	note_error(&run, broken != ENODATA ? broken : 0);
	outcomep->err = run.err;
	if (broken != 0) {
		outcomep->how = broken_by(&run, &tcp);
		outcomep->by = breaker(outcomep->how);
	} else if (tcp.state == LB_TCP_CLOSED) {
		outcomep->phase = LB_PHASE_DONE;
	}
	return 0;
}

void lb_ending_abort(int fd, struct lb_outcome *outcomep)
{
	struct lb_ending_run run;

	lb_ending_start(&run, fd, NULL, 0, LB_NEVER);
	lb_ending_stop(&run, 0, LB_END_LOCAL_ABORT, outcomep);
}
