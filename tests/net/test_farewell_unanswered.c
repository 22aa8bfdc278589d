/* SPDX-License-Identifier: MIT */
/* lb_farewell against peers that do not answer, in every way of not answering. */
#include "lib/words.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void says_no(struct tcp_peer *peer)
{
	if (words_hear(peer, "QUIT\r\n"))
		words_say(peer, "+NO\r\n");
	words_await_end(peer);
}

static void another_answer_is_a_protocol_error(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_no);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: protocol_error by peer in close_sent");
	assert_int_equal(outcome.err, EPROTO);
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(outcome.reason, LB_REASON_NO_ANSWER);
	assert_int_equal(outcome.discarded, 5);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

static void a_callback_that_fails_is_told_apart_from_a_peer_that_is_wrong(void **state)
{
	struct before before = {.result = -ENOSPC};
	const struct lb_farewell words = {QUIT, .answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_no);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: local_abort by self in close_sent");
	assert_int_equal(outcome.err, ENOSPC);
}

static void a_callback_can_say_that_the_peer_is_wrong(void **state)
{
	struct before before = {.result = -EPROTO};
	const struct lb_farewell words = {QUIT, .answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, says_no);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: protocol_error by peer in close_sent");
}

static void ends_in_the_answer(struct tcp_peer *peer)
{
	if (words_hear(peer, "QUIT\r\n"))
		words_say(peer, "x+OK");
	tcp_peer_close(peer);
}

static void a_peer_that_ends_without_an_answer_has_not_answered(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {
		QUIT, .answer = {OK, .before = words_take, .arg = &before}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, ends_in_the_answer);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: fin by peer in close_sent");
	assert_int_equal(outcome.err, 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(before.len, 4);
	assert_memory_equal(before.text, "x+OK", 4);
}

static void hears_and_resets(struct tcp_peer *peer)
{
	words_hear(peer, "QUIT\r\n");
	words_say(peer, "+OK");
	tcp_peer_reset(peer);
}

static void a_reset_instead_of_an_answer_is_a_reset(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {QUIT, .answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, hears_and_resets);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: rst by peer in close_sent");
	assert_int_equal(outcome.err, ECONNRESET);
	assert_int_equal(outcome.verdict, LB_VERDICT_UNPROVEN);
	assert_counts(&outcome, 6, 6, 0);
}

static void is_silent(struct tcp_peer *peer)
{
	words_hear(peer, "QUIT\r\n");
	tcp_peer_await(peer);
	words_await_end(peer);
}

static void a_peer_that_is_silent_times_out(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, is_silent);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "acked: timeout by self in close_sent");
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_counts(&outcome, 6, 6, 0);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

static void words_of_which_none_was_taken_are_not_in_doubt(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	words_stuff(tcp);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "accepted: timeout by self in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(outcome.accepted, tcp->written);
	assert_int_equal(outcome.acked + outcome.lost, tcp->written);
	assert_true(outcome.lost > 0);
}

static void the_fd_does_not_come_back(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .ending.on_expiry = LB_EXPIRY_KEEP};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	words_stuff(tcp);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "accepted: timeout by self in data");
	tcp_peer_read_all(&tcp->peer);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void words_of_which_a_part_was_taken_are_in_doubt(void **state)
{
	char *much = calloc(1, 64 << 20);
	const struct lb_farewell words = {
		.words = much, .words_len = 64 << 20, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_non_null(much);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "accepted: timeout by self in data");
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(outcome.reason, LB_REASON_NO_ANSWER);
	free(much);
}

/* Whatever the policy: a FIN after half of the words would make them look whole. */
static void half_of_the_words_does_not_look_whole(void **state)
{
	char *much = calloc(1, 64 << 20);
	struct tcp *tcp = *state;
	struct lb_farewell words = {.words = much,
		.words_len = 64 << 20,
		.answer = {OK},
		.ending = {.policy = LB_POLICY_FINISH, .on_expiry = LB_EXPIRY_DETACH}};
	struct lb_outcome outcome;

	assert_non_null(much);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "accepted: timeout by self in data");
	tcp_peer_read_all(&tcp->peer);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
	free(much);
}

static void reads_and_closes(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_peer_that_has_ended_is_told_the_rest_of_the_words(void **state)
{
	const size_t len = 16 << 20;
	char *much = malloc(len);
	const struct lb_farewell words = {.words = much, .words_len = len, .answer = {OK}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_non_null(much);
	tcp_pattern(much, 0, len);
	assert_return_code(shutdown(tcp->peer.fd, SHUT_WR), errno);
	words_await(tcp->ours, POLLRDHUP);
	tcp_play(tcp, reads_and_closes);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: fin by peer in close_sent");
	tcp_join(tcp);
	assert_int_equal(tcp->peer.got, len);
	assert_true(tcp->peer.intact);
	assert_true(tcp->peer.ended);
	free(much);
}

static void words_to_a_peer_that_has_reset_are_not_in_doubt(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {
		QUIT, .answer = {OK, .before = words_take, .arg = &before}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	words_say(&tcp->peer, "ERR\r\n");
	tcp_peer_reset(&tcp->peer);
	words_await(tcp->ours, POLLHUP);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: rst by peer in data");
	assert_int_equal(outcome.err, ECONNRESET);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_BROKEN);
	assert_int_equal(before.len, 5);
	assert_memory_equal(before.text, "ERR\r\n", 5);
}

/* recv(2) says 0 then, as if the peer had ended. */
static void a_reset_whose_error_is_gone_is_no_end(void **state)
{
	const struct lb_farewell words = {QUIT};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;
	socklen_t len = sizeof(int);
	int error;

	tcp_peer_reset(&tcp->peer);
	words_await(tcp->ours, POLLHUP);
	assert_return_code(getsockopt(tcp->ours, SOL_SOCKET, SO_ERROR, &error, &len), errno);
	assert_int_equal(error, ECONNRESET);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "nothing: rst by peer in data");
}

static void the_caller_who_has_ended_his_side_can_say_nothing(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_return_code(shutdown(tcp->ours, SHUT_WR), errno);
	tcp_play(tcp, words_await_end);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.how, LB_END_FIN);
	assert_int_equal(outcome.phase, LB_PHASE_DATA);
	assert_int_equal(outcome.err, EPIPE);
	assert_true(outcome.rung <= LB_RUNG_ACKED);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
}

static void a_peer_that_ends_when_nothing_was_said_has_not_answered(void **state)
{
	const struct lb_farewell words = {QUIT};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_return_code(shutdown(tcp->ours, SHUT_WR), errno);
	tcp_play(tcp, words_await_end);
	tcp_join(tcp);
	words_await(tcp->ours, POLLHUP);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.phase, LB_PHASE_DATA);
	assert_true(outcome.rung <= LB_RUNG_ACKED);
}

static void words_that_the_caller_has_said_are_in_doubt(void **state)
{
	const struct lb_farewell words = {.answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_int_equal(send(tcp->ours, "QUIT\r\n", 6, MSG_NOSIGNAL), 6);
	tcp_play(tcp, is_silent);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "acked: timeout by self in close_sent");
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
}

static void an_end_that_came_before_the_words_is_no_answer(void **state)
{
	const struct lb_farewell words = {QUIT};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_return_code(shutdown(tcp->peer.fd, SHUT_WR), errno);
	words_await(tcp->ours, POLLRDHUP);
	tcp_play(tcp, is_silent);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: fin by peer in close_sent");
}

static void a_peer_that_does_not_end_has_not_answered(void **state)
{
	const struct lb_farewell words = {QUIT};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, is_silent);
	assert_int_equal(words_farewell(tcp, &words, SHORT_MS, &outcome), 0);
	assert_ending(&outcome, "acked: timeout by self in close_sent");
}

static void hears_and_ends(struct tcp_peer *peer)
{
	words_hear(peer, "QUIT\r\n");
	tcp_peer_close(peer);
}

static void bytes_that_were_there_before_the_words_are_no_answer_to_them(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {QUIT, .answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	words_say(&tcp->peer, "+OK\r\n");
	words_await(tcp->ours, POLLIN);
	tcp_play(tcp, hears_and_ends);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: fin by peer in close_sent");
	assert_int_equal(before.len, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(another_answer_is_a_protocol_error),
		ON_EVERY_SIDE(a_callback_that_fails_is_told_apart_from_a_peer_that_is_wrong),
		ON_EVERY_SIDE(a_callback_can_say_that_the_peer_is_wrong),
		ON_EVERY_SIDE(a_peer_that_ends_without_an_answer_has_not_answered),
		ON_EVERY_SIDE(a_reset_instead_of_an_answer_is_a_reset),
		ON_EVERY_SIDE(a_peer_that_is_silent_times_out),
		ON_EVERY_SIDE(words_of_which_none_was_taken_are_not_in_doubt),
		ON_EVERY_SIDE(the_fd_does_not_come_back),
		ON_EVERY_SIDE(words_of_which_a_part_was_taken_are_in_doubt),
		ON_EVERY_SIDE(half_of_the_words_does_not_look_whole),
		ON_EVERY_SIDE(a_peer_that_has_ended_is_told_the_rest_of_the_words),
		ON_EVERY_SIDE(words_to_a_peer_that_has_reset_are_not_in_doubt),
		ON_EVERY_SIDE(a_reset_whose_error_is_gone_is_no_end),
		ON_EVERY_SIDE(the_caller_who_has_ended_his_side_can_say_nothing),
		ON_EVERY_SIDE(a_peer_that_ends_when_nothing_was_said_has_not_answered),
		ON_EVERY_SIDE(words_that_the_caller_has_said_are_in_doubt),
		ON_EVERY_SIDE(an_end_that_came_before_the_words_is_no_answer),
		ON_EVERY_SIDE(a_peer_that_does_not_end_has_not_answered),
		ON_EVERY_SIDE(bytes_that_were_there_before_the_words_are_no_answer_to_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
