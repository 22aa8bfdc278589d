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

#define STEP_BYTES 262144 /* thrown away in one step, so that a flood does not hold the loop */
#define PAUSE_MIN  (1 * MS)
#define PAUSE_MAX  (50 * MS)

static lb_time later(lb_time at, lb_time by)
{
	return by > LB_NEVER - at ? LB_NEVER : at + by;
}

static lb_time earlier_of(lb_time a, lb_time b)
{
	return a < b ? a : b;
}

static uint64_t left_of_last(const struct lb_ending_run *run)
{
	return run->cut ? 0 : run->ending.last_len - run->last_sent;
}

static void note_error(struct lb_ending_run *run, int error)
{
	if (run->outcome.err == 0)
		run->outcome.err = error;
}

/* What is in the queue counts our FIN; what is lost counts bytes. */
static void account(struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	struct lb_outcome *outcome = &run->outcome;
	bool fin_acked = run->finished && tcp->unacked == 0;

	if (run->syn < 0)
		run->syn = lb_tcp_syn(tcp, run->finished);
	outcome->accepted = outcome->acked = outcome->lost = LB_UNKNOWN;
	if (tcp->exact)
		outcome->lost = tcp->unacked - (run->finished && !fin_acked);
	if (tcp->exact && run->syn >= 0) {
		outcome->acked = tcp->acked - (uint64_t)run->syn - fin_acked;
		outcome->accepted = outcome->acked + outcome->lost;
	}
	if (outcome->lost == 0 && run->last_sent == run->ending.last_len &&
		(outcome->accepted > 0 || fin_acked))
		outcome->rung = LB_RUNG_ACKED;
	else
		outcome->rung = outcome->accepted > 0 ? LB_RUNG_ACCEPTED : LB_RUNG_NOTHING;
	outcome->phase = !run->finished ? LB_PHASE_DATA : fin_acked ? LB_PHASE_DRAIN : LB_PHASE_FLUSH;
}

static bool conclude(struct lb_ending_run *run, lb_time now, enum lb_end how, enum lb_party by, bool reset)
{
	run->outcome.how = how;
	run->outcome.by = by;
	if (run->cut)
		note_error(run, EPIPE);
	run->outcome.discarded += lb_tcp_unread(run->fd);
	run->outcome.took = now - run->started;
	if (reset)
		lb_tcp_reset(run->fd);
	close(run->fd);
	run->fd = -1;
	run->events = 0;
	run->next = LB_NEVER;
	return true;
}

/*
 * What a connection broke of. Without an errno, somebody has taken it before us (SO_ERROR, a failed send): then it is
 * a reset if the kernel had no reason to give up: nothing repeated in vain, and no TCP_USER_TIMEOUT, which also
 * ends connections whose peer answers but has closed its window.
 */
static bool conclude_broken(struct lb_ending_run *run, const struct lb_tcp *tcp, lb_time now)
{
	int error = run->outcome.err;

	if (!tcp->connected) /* connect(2) to AF_UNSPEC, through a copy of the descriptor */
		return conclude(run, now, LB_END_LOCAL_ABORT, LB_PARTY_SELF, false);
	if (error == 0 && !tcp->resent && (tcp->unacked == 0 || !lb_tcp_has_user_timeout(run->fd)))
		return conclude(run, now, LB_END_RST, LB_PARTY_PEER, false);
	if (error == ECONNRESET || error == EPIPE)
		return conclude(run, now, LB_END_RST, LB_PARTY_PEER, false);
	if (error == ETIMEDOUT)
		return conclude(run, now, LB_END_TIMEOUT, LB_PARTY_NETWORK, false);
	return conclude(run, now, LB_END_NET_ERROR, LB_PARTY_NETWORK, false);
}

/*
 * The socket is in state CLOSED: both ends have ended, or it was reset, or the kernel gave it up. (It is never seen
 * in TIME_WAIT, which Linux keeps elsewhere.) Only the first of these leaves a FIN received and all of ours,
 * the FIN too, acked: the kernel takes the socket down on the last of these, so no reset can come after it.
 * An errno cannot tell: a caller may have taken it before.
 */
static bool conclude_closed(struct lb_ending_run *run, const struct lb_tcp *tcp, lb_time now)
{
	int error = lb_tcp_discard(run->fd, UINT64_MAX, &run->outcome.discarded);
	bool both = lb_tcp_at_fin(run->fd) && tcp->unacked == 0;

	account(run, tcp);
	if (!(both && run->finished)) {
		note_error(run, error < 0 ? -error : lb_tcp_take_error(run->fd));
		if (!(both && run->unsure && run->outcome.err == 0))
			return conclude_broken(run, tcp, now);
	}
	run->outcome.phase = LB_PHASE_DONE;
	if (run->finished && !run->early && run->outcome.lost == 0 && run->last_sent == run->ending.last_len)
		run->outcome.rung = LB_RUNG_ENDED;
	return conclude(run, now, LB_END_FIN, LB_PARTY_PEER, false);
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
	while (left_of_last(run) > 0) {
		ssize_t n = send(run->fd, (const char *)run->ending.last + run->last_sent, left_of_last(run),
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
}

static void drain(struct lb_ending_run *run)
{
	uint64_t room = run->ending.limits.drain_bytes - run->outcome.discarded;
	int result;

	if (run->blocked)
		return;
	result = lb_tcp_discard(run->fd, room < STEP_BYTES ? room : STEP_BYTES, &run->outcome.discarded);
	if (result == 0)
		run->read_ended = true;
	if (result < 0 && result != -EAGAIN) {
		note_error(run, -result);
		run->blocked = true;
	}
	if (run->outcome.discarded == run->ending.limits.drain_bytes && lb_tcp_unread(run->fd) > 0)
		run->blocked = true;
}

/*
 * When to step again. An ack raises no level-triggered event (POLLOUT holds all the time once there is room), and
 * once both sides are shut down poll(2) reports POLLHUP for as long as our FIN is unacked, wanted or not. So
 * where acks are waited for, time is what wakes: soon at first, then at half of the time that has passed since
 * the last ack, which is as often as the round trip deserves. (Edge-triggered, an ack of the FIN does wake, once.)
 */
static void plan(struct lb_ending_run *run, lb_time now, lb_time limit, bool acked)
{
	lb_time pause = (now - run->progress_at) / 2;

	run->events = 0;
	if (!run->read_ended && !run->blocked)
		run->events |= EPOLLIN | EPOLLRDHUP;
	if (left_of_last(run) > 0)
		run->events |= EPOLLOUT;
	run->next = limit;
	if (!acked || run->events == 0) {
		pause = pause < PAUSE_MIN ? PAUSE_MIN : pause > PAUSE_MAX ? PAUSE_MAX : pause;
		run->next = earlier_of(limit, later(now, pause));
	}
}

bool lb_ending_step(struct lb_ending_run *run, lb_time now)
{
	const struct lb_limits *limits = &run->ending.limits;
	struct lb_tcp tcp;
	uint64_t queued;
	lb_time limit;
	bool acked;

	if (run->fd < 0)
		return true;
	if (left_of_last(run) > 0) {
		lb_tcp_read(run->fd, &tcp);
		observe(run, &tcp);
		send_last(run);
	}
	if (left_of_last(run) == 0 && !run->finished)
		run->finished = shutdown(run->fd, SHUT_WR) == 0;
	drain(run);
	lb_tcp_read(run->fd, &tcp);
	if (tcp.state == LB_TCP_CLOSED)
		return conclude_closed(run, &tcp, now);
	observe(run, &tcp);
	acked = tcp.state == LB_TCP_FIN_WAIT_2;
	queued = tcp.unacked + left_of_last(run) + !run->finished;
	if (queued < run->queued) {
		run->queued = queued;
		run->progress_at = now;
	}
	if (acked && run->acked_at == LB_NEVER)
		run->acked_at = now;
	if (acked && run->blocked) {
		account(run, &tcp);
		return conclude(run, now, LB_END_LOCAL_ABORT, LB_PARTY_SELF, true);
	}
	limit = acked ? later(run->acked_at, limits->grace) : later(run->progress_at, limits->send_stall);
	limit = earlier_of(limit, run->deadline);
	if (now >= limit) {
		account(run, &tcp);
		/* once the peer's kernel has every byte, RST could only take them from it: what is left is the kernel's */
		return conclude(
			run, now, LB_END_TIMEOUT, LB_PARTY_SELF, !run->finished || run->outcome.lost != 0);
	}
	plan(run, now, limit, acked);
	return false;
}

/* There is nothing to end: closes what there is. */
static void refuse(struct lb_ending_run *run, int error)
{
	run->result = error;
	run->outcome.how = LB_END_NO_CONNECTION;
	run->outcome.phase = LB_PHASE_CONNECT;
	if (error == -ENOTCONN)
		note_error(run, lb_tcp_take_error(run->fd));
	else
		run->outcome.accepted = run->outcome.acked = run->outcome.lost = LB_UNKNOWN;
	note_error(run, -error);
	if (error != -EBADF)
		close(run->fd);
	run->fd = -1;
}

/*
 * A socket that is CLOSED already does not say whether our FIN had been written before: a sequence number more than
 * there are bytes is a SYN or a FIN, two are both. One is taken for the SYN, so that a reset connection's counts
 * are right unless the caller had finished it first; then a FIN counts as a byte lost.
 */
static void recall(struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	run->syn = lb_tcp_syn(tcp, false);
	if (run->syn < 0) {
		run->syn = lb_tcp_syn(tcp, true);
		run->finished = run->syn >= 0;
	}
	run->unsure = !run->finished && run->syn != 0;
}

void lb_ending_start(
	struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline)
{
	struct lb_limits *limits = &run->ending.limits;
	struct lb_tcp tcp;
	int error;

	*run = (struct lb_ending_run){.fd = fd,
		.next = now,
		.started = now,
		.deadline = deadline,
		.progress_at = now,
		.acked_at = LB_NEVER};
	if (ending != NULL)
		run->ending = *ending;
	limits->send_stall = limits->send_stall != 0 ? limits->send_stall : SEND_STALL;
	limits->grace = limits->grace != 0 ? limits->grace : GRACE;
	limits->drain_bytes = limits->drain_bytes != 0 ? limits->drain_bytes : DRAIN_BYTES;
	error = lb_tcp_check(fd);
	if (error < 0) {
		refuse(run, error);
		return;
	}
	/* accepted sockets inherit it; it would have close(2) block, O_NONBLOCK or not, or reset */
	lb_tcp_linger(fd, -1);
	lb_tcp_read(fd, &tcp);
	if (!tcp.connected) {
		refuse(run, -ENOTCONN);
		return;
	}
	if (tcp.state == LB_TCP_CLOSED) {
		recall(run, &tcp);
	} else {
		run->finished = tcp.state != LB_TCP_ESTABLISHED && tcp.state != LB_TCP_SYN_RECEIVED &&
				tcp.state != LB_TCP_CLOSE_WAIT;
		run->syn = lb_tcp_syn(&tcp, run->finished);
	}
	run->cut = run->ending.last_len > 0 && (run->finished || tcp.state == LB_TCP_CLOSED);
	run->queued = tcp.unacked + left_of_last(run) + !run->finished;
	observe(run, &tcp);
}

void lb_ending_abort(int fd, struct lb_outcome *outcomep)
{
	struct lb_ending_run run;
	struct lb_tcp tcp;

	lb_ending_start(&run, fd, NULL, 0, LB_NEVER);
	if (run.fd >= 0) {
		lb_tcp_read(fd, &tcp);
		if (tcp.state == LB_TCP_CLOSED) {
			conclude_closed(&run, &tcp, 0);
		} else {
			account(&run, &tcp);
			conclude(&run, 0, LB_END_LOCAL_ABORT, LB_PARTY_SELF, true);
		}
	}
	*outcomep = run.outcome;
}
