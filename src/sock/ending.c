/* SPDX-License-Identifier: MIT */
/*
 * The ending of one TCP connection, while it lasts: what is written, thrown away and waited for, and when it is over.
 * Owns the fd from start to end. Waits for nothing and reads no clock. How it is left, and what can be said about it
 * then, is in leave.c; what Linux has to be asked, and how, in tcp.c.
 *
 * The rule (RFC 9293, section 3.6: "CLOSE is an operation meaning 'I have no more data to send'", and the other
 * side may go on sending): FIN first, then read and throw away, and close(2) only once our FIN is acked or the
 * peer has ended. close(2) with unread data, and data that arrives after it, make Linux send RST, which drops
 * what is still in our send queue and, on other systems, what the peer has not read yet. The policies that do
 * otherwise are for whoever knows that the peer sends nothing more.
 */
#include "sock/leave.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

#define SEND_STALL  (10 * SECOND)
#define CAP         (120 * SECOND)
#define IDLE        (2 * SECOND)
#define TOTAL       (30 * SECOND)
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

/* Where close(2) must not block, acks are waited for in steps. */
static enum lb_policy policy_of(const struct lb_ending_run *run)
{
	enum lb_policy policy = run->ending->policy;

	if (run->lingers)
		return policy == LB_POLICY_LINGER ? LB_POLICY_PLAIN : LB_POLICY_FINISH;
	return policy == LB_POLICY_LINGER || policy == LB_POLICY_LINGER_FINISH ? LB_POLICY_ACKED : policy;
}

static bool drains(const struct lb_ending_run *run)
{
	enum lb_policy policy = policy_of(run);

	return policy != LB_POLICY_PLAIN && policy != LB_POLICY_FINISH && policy != LB_POLICY_ABORT;
}

static uint32_t queue_of(const struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	return (uint32_t)(tcp->unacked + lb_ending_left(run) + !run->finished);
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
		if (tcp->unacked > run->finished || lb_ending_left(run) > 0)
			run->early = true;
	}
}

static void send_last(struct lb_ending_run *run)
{
	size_t room = STEP_BYTES;

	while (lb_ending_left(run) > 0 && room > 0) {
		size_t len = lb_ending_left(run) < room ? lb_ending_left(run) : room;
		ssize_t n = lb_tcp_send(run->fd, (const char *)run->ending->last + run->last_sent, len);

		if (n == -EAGAIN)
			return;
		if (n >= 0) {
			run->last_sent += (size_t)n;
			room -= (size_t)n;
		} else {
			lb_ending_note(run, (int)-n);
			run->cut = true;
		}
	}
	run->more = lb_ending_left(run) > 0;
}

static void drain(struct lb_ending_run *run, lb_time now)
{
	uint64_t before = run->discarded, room = drain_bytes(run) - before;
	int result;

	if (run->blocked)
		return;
	result = lb_tcp_discard(run->fd, room < STEP_BYTES ? room : STEP_BYTES, &run->discarded);
	run->dry = result == 0;
	run->read_ended |= run->dry;
	if (result < 0 && result != -EAGAIN) {
		lb_ending_note(run, -result);
		run->blocked = true;
	}
	if (run->discarded == drain_bytes(run) && lb_tcp_unread(run->fd) > 0)
		run->blocked = true;
	else if (result == 1 && room > 0)
		run->more = true;
	if (lb_ending_acked(run) && run->discarded > before)
		run->progress_at = now;
}

/* Nothing is left to be written before our FIN. */
static void finish(struct lb_ending_run *run)
{
	run->finished = shutdown(run->fd, SHUT_WR) == 0;
}

/* The FIN, and everything that can be done without waiting. True: the connection is over, and this run with it. */
static bool advance(struct lb_ending_run *run, lb_time now, struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	run->more = run->dry = false;
	if (lb_ending_left(run) > 0) {
		lb_tcp_look(run->fd, tcp);
		observe(run, tcp);
		send_last(run);
	}
	if (lb_ending_left(run) == 0 && !run->finished && !run->cut && policy_of(run) != LB_POLICY_PLAIN)
		finish(run);
	if (drains(run))
		drain(run, now);
	lb_tcp_look(run->fd, tcp);
	if (tcp->state == LB_TCP_CLOSED)
		return lb_leave_closed(run, now, tcp, outcome);
	run->fresh = false;
	run->deaf |= run->dry && (tcp->state == LB_TCP_FIN_WAIT_1 || tcp->state == LB_TCP_FIN_WAIT_2);
	observe(run, tcp);
	if ((int32_t)(run->queued - queue_of(run, tcp)) > 0) {
		run->queued = queue_of(run, tcp);
		run->progress_at = now;
	}
	if (tcp->state == LB_TCP_FIN_WAIT_2 && !lb_ending_acked(run))
		run->acked_at = run->progress_at = now;
	return false;
}

lb_time lb_ending_cap(const struct lb_ending_run *run)
{
	lb_time cap = or_else(run->ending->limits.cap, run->deadline == LB_NEVER ? CAP : LB_NEVER);

	return earlier_of(later(run->started, cap), run->deadline);
}

/* When there has been patience enough. */
static lb_time expiry(const struct lb_ending_run *run)
{
	const struct lb_limits *limits = &run->ending->limits;

	if (!lb_ending_acked(run))
		return earlier_of(
			lb_ending_cap(run), later(run->progress_at, or_else(limits->send_stall, SEND_STALL)));
	return earlier_of(run->deadline, earlier_of(later(run->acked_at, or_else(limits->total, TOTAL)),
						 later(run->progress_at, or_else(limits->idle, IDLE))));
}

/* There was nothing to end. */
static bool refused(const struct lb_ending_run *run, struct lb_outcome *outcome)
{
	if (run->result == 0 || run->result == -EAGAIN)
		return true;
	*outcome =
		(struct lb_outcome){.how = LB_END_NO_CONNECTION, .phase = LB_PHASE_CONNECT, .err = run->err};
	if (run->result != -ENOTCONN || run->unsure)
		outcome->accepted = outcome->acked = outcome->lost = LB_UNKNOWN;
	return true;
}

/* Whether the policy asks for no more than has been done. */
static bool enough(const struct lb_ending_run *run)
{
	switch (policy_of(run)) {
	case LB_POLICY_PLAIN:
	case LB_POLICY_FINISH:
		return lb_ending_left(run) == 0;
	case LB_POLICY_ACKED:
		return lb_ending_acked(run) && !run->more;
	default:
		return false;
	}
}

bool lb_ending_step(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcomep)
{
	struct lb_tcp tcp;

	if (run->fd < 0)
		return refused(run, outcomep);
	if (policy_of(run) == LB_POLICY_ABORT)
		return lb_leave_by_reset(run, now, outcomep);
	if (advance(run, now, &tcp, outcomep))
		return true;
	if (run->cut && !run->finished) /* a FIN would make half of `last` look whole */
		return lb_leave_by_reset(run, now, outcomep);
	if (enough(run) && run->lingers && now >= lb_ending_cap(run)) /* a linger time of 0 would reset */
		return lb_leave_expired(run, now, LB_END_TIMEOUT, outcomep);
	if (enough(run))
		return lb_leave(run, now, &tcp, outcomep);
	if (lb_ending_acked(run) && run->blocked)
		return lb_leave_by_reset(run, now, outcomep);
	return now >= expiry(run) && lb_leave_expired(run, now, LB_END_TIMEOUT, outcomep);
}

void lb_ending_stop(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcomep)
{
	struct lb_tcp tcp;

	if (run->fd < 0)
		refused(run, outcomep);
	else if (how == LB_END_LOCAL_ABORT)
		lb_leave_by_reset(run, now, outcomep);
	else if (!advance(run, now, &tcp, outcomep))
		lb_leave_expired(run, now, how, outcomep);
}

uint32_t lb_ending_events(const struct lb_ending_run *run)
{
	if (run->fd < 0)
		return 0;
	return (run->read_ended || run->blocked || !drains(run) ? 0 : EPOLLIN | EPOLLRDHUP) |
	       (lb_ending_left(run) > 0 ? EPOLLOUT : 0);
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
 * are right unless the caller had finished it first; then a FIN counts as a byte lost. But one that was acked in a
 * packet of its own is known.
 */
static void recall(struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	run->syn = (int8_t)lb_tcp_syn(tcp, false);
	if (run->syn < 0 || (run->syn == 1 && tcp->fin_acked)) {
		run->syn = (int8_t)lb_tcp_syn(tcp, true);
		run->finished = run->syn >= 0;
	}
	run->unsure = !run->finished && run->syn != 0;
}

/* What has been before. */
static void take_stock(struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	if (tcp->state == LB_TCP_CLOSED) {
		recall(run, tcp);
	} else {
		run->finished = tcp->state != LB_TCP_ESTABLISHED && tcp->state != LB_TCP_SYN_RECEIVED &&
				tcp->state != LB_TCP_CLOSE_WAIT;
		run->syn = (int8_t)lb_tcp_syn(tcp, run->finished);
	}
}

void lb_ending_look(struct lb_ending_run *run, int fd)
{
	struct lb_tcp tcp;

	*run = (struct lb_ending_run){.ending = &defaults, .fd = fd};
	lb_tcp_read(fd, &tcp);
	take_stock(run, &tcp);
}

void lb_ending_start(
	struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline)
{
	struct lb_tcp tcp;
	int error;

	*run = (struct lb_ending_run){.ending = ending != NULL ? ending : &defaults,
		.fd = fd,
		.started = now,
		.deadline = deadline,
		.progress_at = now,
		.acked_at = LB_NEVER,
		.fresh = true};
	error = lb_tcp_check(fd, &tcp);
	if (error == 0 && !tcp.connected)
		error = -ENOTCONN;
	if (error < 0) {
		/* TCP Fast Open takes bytes before there is a connection */
		run->unsure = error == -ENOTCONN && tcp.sent + tcp.unsent > 0;
		lb_leave_refused(run, error);
		return;
	}
	if (!tcp.exact && !tcp.idle)
		lb_tcp_read(fd, &tcp);
	take_stock(run, &tcp);
	run->cut = run->ending->last_len > 0 && (run->finished || tcp.state == LB_TCP_CLOSED);
	run->queued = queue_of(run, &tcp);
	/* at once, so that an edge-triggered wait can begin without a step */
	if (tcp.state == LB_TCP_ESTABLISHED && run->ending->last_len == 0 &&
		(run->ending->policy == LB_POLICY_DRAIN || run->ending->policy == LB_POLICY_ACKED))
		finish(run);
	run->begun = run->finished && tcp.state == LB_TCP_ESTABLISHED;
	observe(run, &tcp);
}
