/* SPDX-License-Identifier: MIT */
/*
 * How a connection is left, and what can then be said of it: every way in which a run of ending.c is over. Owns the
 * last calls on the fd and the words of the outcome. When it is time to leave, and in which way, is decided there.
 */
#include "sock/leave.h"
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define MS     INT64_C(1000000)
#define SECOND (1000 * MS)

#define ORPHAN (60 * SECOND)

static bool all_written(const struct lb_ending_run *run)
{
	return run->last_sent == run->ending->last_len;
}

/* What is in the queue counts our FIN; what is lost counts bytes. */
static void account(struct lb_ending_run *run, const struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	bool fin_acked = run->finished && tcp->exact && tcp->unacked == 0;

	if (run->syn < 0)
		run->syn = (int8_t)lb_tcp_syn(tcp, run->finished);
	*outcome = (struct lb_outcome){.accepted = LB_UNKNOWN, .acked = LB_UNKNOWN, .lost = LB_UNKNOWN};
	if (tcp->exact)
		outcome->lost = tcp->unacked - (run->finished && !fin_acked);
	if (tcp->exact && run->syn >= 0) {
		outcome->acked = tcp->acked - (uint64_t)run->syn - fin_acked;
		outcome->accepted = outcome->acked + outcome->lost;
	}
	if (outcome->lost == 0 && all_written(run) && (outcome->accepted > 0 || fin_acked))
		outcome->rung = LB_RUNG_ACKED;
	else
		outcome->rung = outcome->accepted > 0 ? LB_RUNG_ACCEPTED : LB_RUNG_NOTHING;
	outcome->phase = !run->finished ? LB_PHASE_DATA : fin_acked ? LB_PHASE_DRAIN : LB_PHASE_FLUSH;
}

/* The fd is closed, or the caller's again: nothing is left to be waited for. */
static bool conclude(
	struct lb_ending_run *run, lb_time now, enum lb_end how, enum lb_party by, struct lb_outcome *outcome)
{
	if (run->cut)
		lb_ending_note(run, EPIPE);
	outcome->how = how;
	outcome->by = by;
	outcome->err = run->err;
	outcome->discarded = run->discarded;
	outcome->took = now - run->started;
	run->fd = -1;
	return true;
}

static bool conclude_reset(
	struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcome)
{
	run->discarded += lb_tcp_unread(run->fd);
	lb_tcp_reset(run->fd);
	close(run->fd);
	return conclude(run, now, how, LB_PARTY_SELF, outcome);
}

/*
 * What a connection broke of. Without an errno, somebody has taken it before us (SO_ERROR, a failed send): then it is
 * a reset if the kernel had no reason to give up: nothing repeated in vain, and no TCP_USER_TIMEOUT, which also
 * ends connections whose peer answers but has closed its window.
 */
static enum lb_end broken_by(const struct lb_ending_run *run, const struct lb_tcp *tcp)
{
	int error = run->err;

	/* connect(2) to AF_UNSPEC, through a copy of the descriptor; or our own shutdown(SHUT_RD) */
	if (!tcp->connected || (error == 0 && tcp->state != LB_TCP_CLOSED))
		return LB_END_LOCAL_ABORT;
	if (error == 0 && !tcp->exact)
		return LB_END_NET_ERROR;
	if (error == 0 && !tcp->resent && (tcp->unacked == 0 || !lb_tcp_has_user_timeout(run->fd)))
		return LB_END_RST;
	if (error == ECONNRESET || error == EPIPE)
		return LB_END_RST;
	if (error ==
		ECONNABORTED) /* sock_diag(7), SOCK_DESTROY: an administrator of this machine, as by `ss -K` */
		return LB_END_LOCAL_ABORT;
	return error == ETIMEDOUT ? LB_END_TIMEOUT : LB_END_NET_ERROR;
}

static enum lb_party breaker(const struct lb_ending_run *run, enum lb_end how)
{
	if (how == LB_END_NET_ERROR && run->err == ENOSYS) /* not a thing that a network says */
		return LB_PARTY_NONE;
	if (how == LB_END_RST && run->deaf) /* the peer, or our own kernel */
		return LB_PARTY_NONE;
	return how == LB_END_LOCAL_ABORT ? LB_PARTY_SELF
	       : how == LB_END_RST       ? LB_PARTY_PEER
					 : LB_PARTY_NETWORK;
}

/*
 * The socket is in state CLOSED: both ends have ended, or it was reset, or the kernel gave it up. (It is never seen
 * in TIME_WAIT, which Linux keeps elsewhere.) Only the first of these leaves a FIN received and all of ours,
 * the FIN too, acked: the kernel takes the socket down on the last of these, so no reset can come after it.
 * An errno cannot tell: a caller may have taken it before. Where the kernel does not tell of a FIN received, ENOSYS
 * says so; where it does, but not of the queue, the peer's end is all that is known. Here close(2) neither waits nor
 * resets, whatever the linger time.
 */
bool lb_leave_closed(
	struct lb_ending_run *run, lb_time now, const struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	int fin = run->dry ? lb_tcp_at_fin(run->fd) : 0;
	int error = fin > 0 ? 0 : lb_tcp_discard(run->fd, UINT64_MAX, &run->discarded);
	enum lb_end how = LB_END_FIN;
	bool both;

	if (fin == 0 && error == 0)
		fin = lb_tcp_at_fin(run->fd);
	both = fin > 0 && tcp->unacked == 0;
	if (run->fresh) /* it may have died while it was first looked at */
		run->syn = -1;
	account(run, tcp, outcome);
	if (!(both && run->finished))
		lb_ending_note(run, error < 0 ? -error : lb_tcp_take_error(run->fd));
	if (fin < 0)
		lb_ending_note(run, ENOSYS);
	if (!(both && (run->finished || (run->unsure && run->err == 0))) &&
		!(fin > 0 && tcp->unacked == LB_TCP_UNKNOWN && run->err == 0))
		how = broken_by(run, tcp);
	close(run->fd);
	if (how != LB_END_FIN)
		return conclude(run, now, how, breaker(run, how), outcome);
	if (run->finished && both)
		outcome->phase = LB_PHASE_DONE;
	if (run->finished && !run->early && outcome->lost == 0 && all_written(run))
		outcome->rung = LB_RUNG_ENDED;
	return conclude(run, now, how, LB_PARTY_PEER, outcome);
}

/* Counts that are exact. True: meanwhile it has ended by itself. */
static bool over(struct lb_ending_run *run, lb_time now, struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	if (!tcp->exact)
		lb_tcp_read(run->fd, tcp);
	if (tcp->state == LB_TCP_CLOSED)
		return lb_leave_closed(run, now, tcp, outcome);
	account(run, tcp, outcome);
	return false;
}

/*
 * close(2) does not wait for what is unacked: then the kernel goes on, and what becomes of it is not known. Accepted
 * sockets inherit a linger time, which would have it wait, O_NONBLOCK or not, or reset.
 */
static bool conclude_left(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcome)
{
	if (outcome->lost != 0)
		outcome->lost = LB_UNKNOWN;
	lb_tcp_linger(run->fd, -1);
	lb_tcp_spare(run->fd);
	close(run->fd);
	return conclude(run, now, how, LB_PARTY_SELF, outcome);
}

/* close(2) waits, on a non-blocking socket too, and returns 0 whatever became of it: ack, RST, time-out, signal. */
static bool conclude_lingered(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcome)
{
	lb_time left = lb_ending_cap(run) - now, seconds = left / SECOND + (left % SECOND > 0);

	if (outcome->lost != 0)
		outcome->lost = LB_UNKNOWN;
	lb_tcp_linger(run->fd, seconds < INT_MAX ? (int)seconds : INT_MAX);
	lb_tcp_spare(run->fd);
	close(run->fd);
	return conclude(run, now, LB_END_DETACHED, LB_PARTY_SELF, outcome);
}

/*
 * RFC 9293, section 3.6.1: "If such a host issues a CLOSE call while received data is still pending [...], its TCP
 * implementation SHOULD send a RST". Linux does, and drops the send queue, linger time or not; but only by the last
 * close(2) of the socket, and nobody can tell whether this is it. What arrives after this look has the same effect.
 * So nothing is said of it but what lay there.
 */
bool lb_leave(struct lb_ending_run *run, lb_time now, struct lb_tcp *tcp, struct lb_outcome *outcome)
{
	if (over(run, now, tcp, outcome))
		return true;
	run->discarded += lb_tcp_unread(run->fd);
	if (run->lingers)
		return conclude_lingered(run, now, outcome);
	return conclude_left(run, now, LB_END_DETACHED, outcome);
}

/* RST, unless it takes no byte from the peer's kernel: what that has, it shall keep. */
bool lb_leave_expired(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcome)
{
	lb_time orphan = run->ending->limits.orphan != 0 ? run->ending->limits.orphan : ORPHAN;
	uint64_t unread = lb_tcp_unread(run->fd);
	struct lb_tcp tcp = {0};

	if (over(run, now, &tcp, outcome))
		return true;
	if (lb_ending_left(run) == 0 && outcome->lost == 0) {
		run->discarded += unread;
		return conclude_left(run, now, how, outcome);
	}
	if (run->ending->on_expiry == LB_EXPIRY_KEEP) {
		run->result = -EAGAIN;
		outcome->lost = LB_UNKNOWN;
		return conclude(run, now, LB_END_OPEN, LB_PARTY_NONE, outcome);
	}
	/* after half of `last` a FIN would make it look whole, and unread data would have close(2) reset */
	if (run->ending->on_expiry == LB_EXPIRY_DETACH && lb_ending_left(run) == 0 && unread == 0) {
		lb_tcp_set_user_timeout(run->fd, orphan);
		return conclude_left(run, now, how == LB_END_TIMEOUT ? LB_END_DETACHED : how, outcome);
	}
	return conclude_reset(run, now, how, outcome);
}

bool lb_leave_by_reset(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcome)
{
	struct lb_tcp tcp = {0};

	return over(run, now, &tcp, outcome) || conclude_reset(run, now, LB_END_LOCAL_ABORT, outcome);
}

void lb_leave_look(struct lb_ending_run *run, int broken, struct lb_outcome *outcome)
{
	struct lb_tcp tcp;

	lb_tcp_read(run->fd, &tcp);
	account(run, &tcp, outcome);
	lb_ending_note(run, broken != ENODATA ? broken : 0);
	outcome->err = run->err;
	if (broken != 0) {
		outcome->how = broken_by(run, &tcp);
		outcome->by = breaker(run, outcome->how);
	} else if (tcp.state == LB_TCP_CLOSED) {
		outcome->phase = LB_PHASE_DONE;
	}
}

/* There is nothing to end: closes what there is. */
void lb_leave_refused(struct lb_ending_run *run, int error)
{
	run->result = (int16_t)error;
	if (error == -ENOTCONN)
		lb_ending_note(run, lb_tcp_take_error(run->fd));
	lb_ending_note(run, -error);
	if (error == -EPERM || error == -EACCES) /* a FIN could make it look whole */
		lb_tcp_reset(run->fd);
	if (error != -EBADF)
		close(run->fd);
	run->fd = -1;
}
