/* SPDX-License-Identifier: MIT */
/* lb_farewell_answer where nothing is committed: the commit fails, or CLOSE does not come. */
#include "lib/words.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void closes_and_reads(struct tcp_peer *peer)
{
	words_send(peer, DATA);
	words_say(peer, "CLOSE\n");
	words_await_end(peer);
}

static void a_commit_that_fails_is_not_answered_but_reset(void **state)
{
	struct store store = {.broken = -EIO};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_reads);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: local_abort by self in close_sent");
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.err, EIO);
	assert_int_equal(store.commits, 1);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void closes_and_is_refused(struct tcp_peer *peer)
{
	words_send(peer, DATA);
	words_say(peer, "CLOSE\n");
	words_hear(peer, "FULL\n");
	words_await_end(peer);
}

static void a_commit_that_fails_can_be_refused_in_words(void **state)
{
	struct store store = {.broken = -ENOSPC};
	const struct lb_farewell_answering answering = {
		CLOSE, CALLS, SAYS, .refusal = "FULL\n", .refusal_len = 5};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_is_refused);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.how, LB_END_LOCAL_ABORT);
	assert_int_equal(outcome.phase, LB_PHASE_CLOSE_SENT);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.err, ENOSPC);
	assert_counts(&outcome, 5, 5, 0);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, 0);
	assert_true(tcp->peer.ended);
}

static void what_cannot_be_kept_is_rolled_back_and_refused(void **state)
{
	struct store store = {.full = -ENOSPC};
	const struct lb_farewell_answering answering = {
		CLOSE, CALLS, SAYS, .refusal = "FULL\n", .refusal_len = 5};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_is_refused);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: local_abort by self in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(outcome.err, ENOSPC);
	assert_int_equal(store.len + outcome.discarded, DATA + 6);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, 0);
	assert_true(tcp->peer.ended);
}

static void ends_before_close(struct tcp_peer *peer)
{
	words_send(peer, DATA);
	shutdown(peer->fd, SHUT_WR);
	words_await_end(peer);
}

static void an_end_before_close_is_rolled_back(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, ends_before_close);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: fin by peer in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(store.rollbacks, 1);
	assert_int_equal(store.len, DATA);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

/* The FIN of a peer that never said CLOSE is not answered by one that would be taken for a commit. */
static void an_end_before_close_is_reset_where_our_end_is_the_answer(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, ends_before_close);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: fin by peer in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(store.len, DATA);
	tcp_join(tcp);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void ends_in_close(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE");
	tcp_peer_close(peer);
}

static void a_close_that_is_cut_is_no_close(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, ends_in_close);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: fin by peer in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(store.rollbacks, 1);
	assert_int_equal(store.len, 5);
	assert_int_equal(outcome.discarded, 0);
}

static void resets_in_close(struct tcp_peer *peer)
{
	words_say(peer, "CLO");
	tcp_peer_await(peer);
	tcp_peer_reset(peer);
}

static void a_reset_before_close_is_rolled_back(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, resets_in_close);
	tcp_go(tcp);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: rst by peer in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(outcome.err, ECONNRESET);
	assert_int_equal(store.rollbacks, 1);
	assert_int_equal(store.len, 3);
}

static void is_silent(struct tcp_peer *peer)
{
	words_say(peer, "CLO");
	words_await_end(peer);
}

/* An end in order could be taken for the answer of a protocol that has none. */
static void a_peer_that_is_silent_is_rolled_back_and_reset(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, is_silent);
	assert_int_equal(words_answer(tcp, &answering, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: timeout by self in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(store.rollbacks, 1);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void says_something_else(struct tcp_peer *peer)
{
	words_say(peer, "HELLO\n");
	words_await_end(peer);
}

static void something_else_is_a_protocol_error_where_nothing_may_come_before_close(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {.words = {.bytes = "CLOSE\n", .len = 6}, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_something_else);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: protocol_error by peer in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(outcome.err, EPROTO);
	assert_int_equal(outcome.discarded, 6);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void callbacks_are_not_needed(void **state)
{
	const struct lb_farewell_answering answering = {.words = {.bytes = "CLOSE\n", .len = 6}, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;
	int fd = tcp->ours;

	tcp->ours = -1;
	tcp_play(tcp, is_silent);
	assert_int_equal(lb_farewell_answer(fd, &answering, 0, &outcome), 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
}

static void refuses(int fd, int error)
{
	struct store store = {.fd = fd};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct lb_outcome outcome;

	assert_int_equal(lb_farewell_answer(fd, &answering, lb_in_ms(PATIENCE_MS), &outcome), error);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(outcome.how, LB_END_NO_CONNECTION);
	assert_int_equal(outcome.err, -error);
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(store.rollbacks, 1);
	assert_int_equal(store.commits, 0);
}

static void what_is_no_connection_is_rolled_back_refused_and_closed(void **state)
{
	(void)state;
	tcp_each_no_connection(refuses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_commit_that_fails_is_not_answered_but_reset),
		ON_EVERY_SIDE(a_commit_that_fails_can_be_refused_in_words),
		ON_EVERY_SIDE(what_cannot_be_kept_is_rolled_back_and_refused),
		ON_EVERY_SIDE(an_end_before_close_is_rolled_back),
		ON_EVERY_SIDE(an_end_before_close_is_reset_where_our_end_is_the_answer),
		ON_EVERY_SIDE(a_close_that_is_cut_is_no_close),
		ON_EVERY_SIDE(a_reset_before_close_is_rolled_back),
		ON_EVERY_SIDE(a_peer_that_is_silent_is_rolled_back_and_reset),
		ON_EVERY_SIDE(something_else_is_a_protocol_error_where_nothing_may_come_before_close),
		ON_EVERY_SIDE(callbacks_are_not_needed),
		cmocka_unit_test(what_is_no_connection_is_rolled_back_refused_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
