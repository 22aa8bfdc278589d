/* SPDX-License-Identifier: MIT */
/* The scenarios of attempt.h: who the peer is, what is called, and which part of it fails. Judges nothing. */
#include "attempt.h"
#include <errno.h>
#include <lastbyte/closer.h>
#include <lastbyte/farewell.h>
#include <lastbyte/message.h>
#include <sys/socket.h>

#define MS     INT64_C(1000000)
#define OURS   ATTEMPT_OURS
#define THEIRS ATTEMPT_THEIRS

char attempt_ours[OURS];
static const char zeros[THEIRS]; /* what a peer sends */

/* Where the failing begins and ends: around the one call that is tested. */

static void arm(const struct attempt *attempt)
{
	failing_begin(&attempt->plan);
}

static void disarm(struct attempt *attempt)
{
	failing_end(&attempt->seen);
}

/* The peers. */

static void reads_and_closes(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* A send that fails takes the error of a reset, after which the stream seems to end. */
static void sends_and_reads(struct tcp_peer *peer, bool finishes)
{
	bool sent = tcp_peer_send(peer, THEIRS);
	int error = peer->error;

	if (finishes)
		shutdown(peer->fd, SHUT_WR);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
	if (!sent) {
		peer->ended = false;
		peer->error = error;
	}
}

static void sends_reads_and_closes(struct tcp_peer *peer)
{
	sends_and_reads(peer, false);
}

static void sends_finishes_and_reads(struct tcp_peer *peer)
{
	sends_and_reads(peer, true);
}

static void reads_and_answers(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	if (peer->ended)
		tcp_peer_send(peer, THEIRS);
	tcp_peer_close(peer);
}

static void reads_request_and_says_yes(struct tcp_peer *peer)
{
	if (tcp_peer_read(peer, OURS) && tcp_peer_send(peer, THEIRS))
		tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* What is tested. */

static void closes(struct attempt *attempt, int policy)
{
	const struct lb_ending ending = {.policy = (enum lb_policy)policy,
		.last = attempt_ours + OURS / 2,
		.last_len = OURS / 2,
		.limits = {.idle = attempt->plan.at > 0 ? 20 * MS : 0}};

	attempt->total = OURS;
	tcp_write(&attempt->tcp, OURS / 2);
	attempt->consumed = attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_close(attempt->tcp.ours, &ending, attempt->deadline, &attempt->end);
	disarm(attempt);
}

static void aborts(struct attempt *attempt, int variant)
{
	(void)variant;
	attempt->total = OURS;
	tcp_write(&attempt->tcp, OURS);
	attempt->consumed = attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_abort(attempt->tcp.ours, &attempt->end);
	disarm(attempt);
}

static void finishes(struct attempt *attempt, int variant)
{
	(void)variant;
	attempt->total = OURS;
	tcp_write(&attempt->tcp, OURS);
	arm(attempt);
	attempt->result = lb_finish(attempt->tcp.ours);
	disarm(attempt);
}

void attempt_reads_all(struct attempt *attempt, int variant)
{
	(void)variant;
	attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_read_all(attempt->tcp.ours, attempt->theirs, sizeof attempt->theirs,
		&attempt->len, attempt->deadline, &attempt->end);
	disarm(attempt);
	attempt->lies = attempt->result == 0 && attempt->len != THEIRS;
	attempt->total = tcp_write(&attempt->tcp, OURS); /* whoever only reads can still write */
}

static void exchanges(struct attempt *attempt, int variant)
{
	(void)variant;
	attempt->total = OURS;
	attempt->consumed = attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_exchange(attempt->tcp.ours, attempt_ours, OURS, attempt->theirs,
		sizeof attempt->theirs, &attempt->len, attempt->deadline, &attempt->end);
	disarm(attempt);
	attempt->lies = attempt->result == 0 && attempt->len != THEIRS;
	if (attempt->seen.error == ENOBUFS && attempt->result < 0) /* of a send */
		attempt->lies |= attempt->end.how != LB_END_LOCAL_ABORT || attempt->end.err != ENOBUFS;
	attempt->idled = attempt->result == -ETIMEDOUT && !attempt->plan.for_good;
}

static int reply(void *arg, const void *request, size_t len, const void **replyp, size_t *reply_lenp)
{
	struct attempt *attempt = arg;

	(void)request;
	attempt->called_back++;
	attempt->len = len;
	*replyp = attempt_ours;
	*reply_lenp = OURS;
	return 0;
}

static void answers(struct attempt *attempt, int variant)
{
	const struct lb_answering answering = {.request = attempt->theirs,
		.request_cap = sizeof attempt->theirs,
		.reply = reply,
		.arg = attempt};

	(void)variant;
	attempt->total = OURS;
	attempt->consumed = attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_answer(attempt->tcp.ours, &answering, attempt->deadline, &attempt->end);
	disarm(attempt);
	attempt->lies = attempt->called_back ? attempt->len != THEIRS : attempt->result == 0;
}

static void says_farewell(struct attempt *attempt, int variant)
{
	const struct lb_farewell farewell = {.words = attempt_ours,
		.words_len = OURS,
		.answer = {.bytes = zeros, .len = THEIRS},
		.durable = true};

	(void)variant;
	attempt->total = OURS;
	attempt->consumed = attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_farewell(attempt->tcp.ours, &farewell, attempt->deadline, &attempt->end);
	disarm(attempt);
}

static int commit(void *arg)
{
	struct attempt *attempt = arg;

	attempt->called_back++;
	return 0;
}

static void rollback(void *arg)
{
	struct attempt *attempt = arg;

	attempt->rolled_back++;
}

/* An answer of so many bytes. Where there are none, our end is it. */
static void answers_farewell(struct attempt *attempt, int len)
{
	const struct lb_farewell_answering answering = {.words = {.bytes = zeros, .len = THEIRS},
		.commit = commit,
		.rollback = rollback,
		.arg = attempt,
		.answer = attempt_ours,
		.answer_len = (size_t)len,
		.ending.limits.idle = attempt->plan.at > 0 ? 20 * MS : 0};

	attempt->consumed = attempt->has_outcome = true;
	arm(attempt);
	attempt->result = lb_farewell_answer(attempt->tcp.ours, &answering, attempt->deadline, &attempt->end);
	disarm(attempt);
	attempt->total = attempt->called_back ? (uint64_t)len : UINT64_MAX;
	attempt->lies = attempt->called_back + attempt->rolled_back != 1 ||
			(attempt->end.verdict == LB_VERDICT_COMMITTED) != (attempt->called_back == 1);
}

static void ended(void *arg, const struct lb_outcome *end)
{
	struct attempt *attempt = arg;

	attempt->called_back++;
	attempt->end = *end;
}

static void closes_in_background(struct attempt *attempt, int policy)
{
	const struct lb_ending ending = {.policy = (enum lb_policy)policy,
		.last = attempt_ours + OURS / 2,
		.last_len = OURS / 2,
		.limits = {.idle = attempt->plan.at > 0 ? 20 * MS : 0}};
	struct lb_closer *closer;

	attempt->total = OURS;
	tcp_write(&attempt->tcp, OURS / 2);
	arm(attempt);
	attempt->result = lb_closer_new(NULL, &closer);
	if (attempt->result < 0)
		attempt->total = OURS / 2;
	if (attempt->result == 0) {
		attempt->consumed = true;
		attempt->result =
			lb_closer_add(closer, attempt->tcp.ours, &ending, attempt->deadline, ended, attempt);
		attempt->has_outcome = attempt->result == 0;
		if (lb_closer_drain(closer, attempt->deadline) == 0 && attempt->has_outcome)
			attempt->lies = attempt->called_back != 1;
		lb_closer_free(closer);
		attempt->lies |= attempt->called_back != attempt->has_outcome;
	}
	disarm(attempt);
}

/* A message of 60 parts, of which every other is empty: in one call, or in a scope. */
static void sends(struct attempt *attempt, int in_scope)
{
	struct iovec iov[60] = {0};
	size_t sent = 0;

	for (int i = 0; i < 60; i += 2)
		iov[i] = (struct iovec){.iov_base = attempt_ours + i * (OURS / 60), .iov_len = OURS / 30};
	arm(attempt);
	if (in_scope) {
		LB_CORKED(cork, attempt->tcp.ours, LB_NEVER);

		for (int i = 0; i < 60 && attempt->result == 0; i++) {
			attempt->result = lb_cork_send(&cork, &iov[i], 1, attempt->deadline, &sent);
			attempt->total += sent;
		}
	} else {
		attempt->result = lb_send_message(attempt->tcp.ours, iov, 60, attempt->deadline, &sent);
		attempt->total = sent;
	}
	disarm(attempt);
	attempt->lies = attempt->result == 0 && attempt->total != OURS;
}

static void switches_nodelay(struct attempt *attempt, int on)
{
	arm(attempt);
	attempt->result = lb_nodelay(attempt->tcp.ours, on);
	disarm(attempt);
}

const struct scenario attempt_scenarios[ATTEMPT_SCENARIOS] = {
	{"drain", sends_reads_and_closes, closes, LB_POLICY_DRAIN, LB_RUNG_ENDED},
	{"acked", sends_reads_and_closes, closes, LB_POLICY_ACKED, LB_RUNG_ACKED},
	{"finish", reads_and_closes, closes, LB_POLICY_FINISH, LB_RUNG_NOTHING},
	{"linger_finish", reads_and_closes, closes, LB_POLICY_LINGER_FINISH, LB_RUNG_NOTHING},
	{"linger", reads_and_closes, closes, LB_POLICY_LINGER, LB_RUNG_NOTHING},
	{"plain", reads_and_closes, closes, LB_POLICY_PLAIN, LB_RUNG_NOTHING},
	{"abort", sends_reads_and_closes, closes, LB_POLICY_ABORT, LB_RUNG_NOTHING},
	{"lb_abort", sends_reads_and_closes, aborts, 0, LB_RUNG_NOTHING},
	{"lb_finish", reads_and_closes, finishes, 0, LB_RUNG_NOTHING},
	{"lb_read_all", sends_finishes_and_reads, attempt_reads_all, 0, LB_RUNG_NOTHING},
	{"lb_exchange", reads_and_answers, exchanges, 0, LB_RUNG_ENDED},
	{"lb_answer", sends_finishes_and_reads, answers, 0, LB_RUNG_ACKED},
	{"lb_farewell", reads_request_and_says_yes, says_farewell, 0, LB_RUNG_COMMITTED},
	{"lb_farewell_answer", sends_reads_and_closes, answers_farewell, OURS, LB_RUNG_ENDED},
	{"lb_farewell_answer, our end is the answer", sends_reads_and_closes, answers_farewell, 0,
		LB_RUNG_ENDED},
	{"lb_closer", sends_reads_and_closes, closes_in_background, LB_POLICY_DRAIN, LB_RUNG_ENDED},
	{"lb_send_message", reads_and_closes, sends, 0, LB_RUNG_NOTHING},
	{"lb_cork", reads_and_closes, sends, 1, LB_RUNG_NOTHING},
	{"lb_nodelay", reads_and_closes, switches_nodelay, 1, LB_RUNG_NOTHING},
};
