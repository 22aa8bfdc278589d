/* SPDX-License-Identifier: MIT */
/* lb_farewell_answer against peers that say CLOSE: what is called before what is answered. */
#include "lib/words.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void sends_and_closes(struct tcp_peer *peer)
{
	words_send(peer, DATA);
	words_say(peer, "CLOSE\n");
	words_hear(peer, "CLOSE_OK\n");
	tcp_peer_close(peer);
}

static void close_commits_what_came_before_it_and_is_answered(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, sends_and_closes);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by peer in done");
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(outcome.err, 0);
	assert_int_equal(outcome.discarded, 0);
	assert_counts(&outcome, 9, 9, 0);
	assert_int_equal(store.commits, 1);
	assert_int_equal(store.len, DATA);
	assert_true(store.intact);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, 0);
}

static void says_close_farewell(struct tcp_peer *peer)
{
	const struct lb_farewell farewell = {.words = "CLOSE\n",
		.words_len = 6,
		.answer = {.bytes = "CLOSE_OK\n", .len = 9},
		.durable = true};
	struct lb_outcome outcome;

	words_send(peer, DATA);
	lb_farewell(peer->fd, &farewell, lb_in_ms(PATIENCE_MS), &outcome);
	peer->fd = -1;
	peer->ended = outcome.how == LB_END_CLOSE_OK && outcome.rung == LB_RUNG_COMMITTED &&
		      outcome.by == LB_PARTY_SELF && outcome.phase == LB_PHASE_DONE &&
		      outcome.verdict == LB_VERDICT_COMMITTED && outcome.acked == DATA + 6;
}

static void both_sides_of_a_farewell_agree(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_close_farewell);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by peer in done");
	assert_int_equal(store.len, DATA);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

static void the_policy_plain_just_closes_once_the_peer_has_ended(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS, .ending.policy = LB_POLICY_PLAIN};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, sends_and_closes);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.how, LB_END_CLOSE_OK);
	assert_int_equal(outcome.by, LB_PARTY_PEER);
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_counts(&outcome, 9, 9, 0);
}

static void says_more_after_close(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE\nCLOSE\n");
	words_hear(peer, "CLOSE_OK\n");
	tcp_peer_close(peer);
}

static void what_comes_after_close_is_counted_and_nothing_else(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_more_after_close);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by peer in done");
	assert_int_equal(outcome.discarded, 6);
	assert_int_equal(store.len, 0);
}

static ssize_t first_line(void *arg, const void *buf, size_t len)
{
	const char *end = memchr(buf, '\n', len);

	(void)arg;
	return end != NULL ? end - (const char *)buf + 1 : 0;
}

static void close_can_be_recognized_by_a_callback(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {.words = {.recognize = first_line}, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_more_after_close);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by peer in done");
	assert_int_equal(outcome.discarded, 6);
}

static void closes_its_half(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE\n");
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_await(peer);
	words_hear(peer, "CLOSE_OK\n");
	words_await_end(peer);
}

/* Its FIN was there before the answer, and cannot have come because of it. */
static void a_peer_that_has_ended_its_half_is_answered(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_its_half);
	words_await(tcp->ours, POLLRDHUP);
	tcp_go(tcp);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: close_ok by peer in done");
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, 0);
}

static void closes_and_waits_for_the_end(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE\n");
	words_await_end(peer);
}

static void without_words_our_end_is_the_answer(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_waits_for_the_end);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by peer in done");
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

#define LONG (24 << 20)

static void reads_a_long_answer(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE\n");
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void an_answer_may_be_longer_than_the_socket_takes(void **state)
{
	struct store store = {0};
	char *much = malloc(LONG);
	const struct lb_farewell_answering answering = {CLOSE, CALLS, .answer = much, .answer_len = LONG};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_non_null(much);
	tcp_pattern(much, 0, LONG);
	tcp_play(tcp, reads_a_long_answer);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by peer in done");
	assert_counts(&outcome, LONG, LONG, 0);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.got, LONG);
	assert_true(tcp->peer.intact);
	free(much);
}

static void closes_and_does_not_end(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE\n");
	words_hear(peer, "CLOSE_OK\n");
	words_await_end(peer);
}

static void a_peer_that_does_not_end_first_is_not_waited_for_long(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS, .ending.limits.idle = 20000000};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_does_not_end);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_true(outcome.rung >= LB_RUNG_ACKED);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

static void the_policy_plain_leaves_a_peer_that_does_not_end_to_the_kernel(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {
		CLOSE, CALLS, SAYS, .ending = {.policy = LB_POLICY_PLAIN, .limits.idle = 20000000}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_does_not_end);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(outcome.how, LB_END_DETACHED);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

static void closes_and_resets(struct tcp_peer *peer)
{
	words_say(peer, "CLOSE\n");
	tcp_peer_reset(peer);
}

/* The commit stands: a peer that does not know of it has to ask again. */
static void a_reset_after_close_does_not_undo_the_commit(void **state)
{
	struct store store = {0};
	const struct lb_farewell_answering answering = {CLOSE, CALLS, SAYS};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, closes_and_resets);
	words_await(tcp->ours, POLLHUP);
	assert_int_equal(words_answer(tcp, &answering, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: rst by peer in close_sent");
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(outcome.err, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(close_commits_what_came_before_it_and_is_answered),
		ON_EVERY_SIDE(both_sides_of_a_farewell_agree),
		ON_EVERY_SIDE(the_policy_plain_just_closes_once_the_peer_has_ended),
		ON_EVERY_SIDE(what_comes_after_close_is_counted_and_nothing_else),
		ON_EVERY_SIDE(close_can_be_recognized_by_a_callback),
		ON_EVERY_SIDE(a_peer_that_has_ended_its_half_is_answered),
		ON_EVERY_SIDE(without_words_our_end_is_the_answer),
		ON_EVERY_SIDE(an_answer_may_be_longer_than_the_socket_takes),
		ON_EVERY_SIDE(a_peer_that_does_not_end_first_is_not_waited_for_long),
		ON_EVERY_SIDE(the_policy_plain_leaves_a_peer_that_does_not_end_to_the_kernel),
		ON_EVERY_SIDE(a_reset_after_close_does_not_undo_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
