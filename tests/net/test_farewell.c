/* SPDX-License-Identifier: MIT */
/* lb_farewell against peers that answer: in words, and where the end is the answer. */
#include "lib/words.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answers(struct tcp_peer *peer)
{
	if (words_hear(peer, "QUIT\r\n"))
		words_say(peer, "+OK\r\n");
	words_await_end(peer);
}

static void an_answer_is_close_ok(void **state)
{
	const struct lb_farewell words = {
		QUIT, .answer = {OK}, .ending = {.last = "not used", .last_len = 8}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, answers);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by self in done");
	assert_int_equal(outcome.verdict, LB_VERDICT_UNPROVEN);
	assert_int_equal(outcome.err, 0);
	assert_int_equal(outcome.discarded, 0);
	assert_counts(&outcome, 6, 6, 0);
	tcp_join(tcp);
	assert_int_equal(tcp->peer.error, 0);
	assert_true(tcp->peer.ended);
}

static void an_answer_that_is_durable_is_committed(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, answers);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "committed: close_ok by self in done");
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_NONE);
}

/* Both ends have agreed: then that is enough. */
static void the_policy_plain_just_closes_after_the_answer(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .ending.policy = LB_POLICY_PLAIN};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, answers);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.how, LB_END_CLOSE_OK);
	assert_int_equal(outcome.by, LB_PARTY_SELF);
	assert_counts(&outcome, 6, 6, 0);
	tcp_join(tcp);
	assert_true(tcp->peer.ended);
}

static void answers_in_the_midst(struct tcp_peer *peer)
{
	if (words_hear(peer, "QUIT\r\n"))
		words_say(peer, "+PONG\r\n+O+OK\r\nmore");
	words_await_end(peer);
}

static void bytes_before_the_answer_are_handed_on_and_those_after_it_counted(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {QUIT, .answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, answers_in_the_midst);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by self in done");
	assert_int_equal(before.len, 9);
	assert_memory_equal(before.text, "+PONG\r\n+O", 9);
	assert_int_equal(outcome.discarded, 4);
}

static ssize_t second_line(void *arg, const void *buf, size_t len)
{
	unsigned *lines = arg;

	for (size_t n = 0; n < len; n++)
		if (((const char *)buf)[n] == '\n' && ++*lines == 2)
			return (ssize_t)n + 1;
	return 0;
}

static void answers_twice(struct tcp_peer *peer)
{
	if (words_hear(peer, "QUIT\r\n"))
		words_say(peer, "+OK\r\n+OK\r\n+OK\r\n");
	words_await_end(peer);
}

static void a_recognizer_can_count_replies_that_are_alike(void **state)
{
	unsigned lines = 0;
	const struct lb_farewell words = {QUIT, .answer = {.recognize = second_line, .arg = &lines}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, answers_twice);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by self in done");
	assert_int_equal(outcome.discarded, 5);
}

static void is_said_to_and_answers(struct tcp_peer *peer)
{
	words_hear(peer, "QUIT\r\n");
	tcp_peer_await(peer);
	words_say(peer, "+OK\r\n");
	words_await_end(peer);
}

static void words_that_the_caller_has_said_need_only_their_answer(void **state)
{
	const struct lb_farewell words = {.answer = {OK}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_int_equal(send(tcp->ours, "QUIT\r\n", 6, MSG_NOSIGNAL), 6);
	tcp_play(tcp, is_said_to_and_answers);
	tcp_go(tcp);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by self in done");
}

#define UPLOAD (16 << 20)

/* Says a lot before it reads a thing: whoever did not read while it writes would wait for ever. */
static void uploads_then_answers(struct tcp_peer *peer)
{
	tcp_peer_send(peer, UPLOAD);
	tcp_peer_read(peer, UPLOAD);
	answers(peer);
}

static void it_reads_while_it_writes(void **state)
{
	char *words = malloc(UPLOAD + 6);
	struct before before = {.result = 0};
	const struct lb_farewell all = {.words = words,
		.words_len = UPLOAD + 6,
		.answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_non_null(words);
	tcp_pattern(words, 0, UPLOAD);
	memcpy(words + UPLOAD, "QUIT\r\n", 6);
	tcp_play(tcp, uploads_then_answers);
	assert_int_equal(words_farewell(tcp, &all, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by self in done");
	assert_counts(&outcome, UPLOAD + 6, UPLOAD + 6, 0);
	assert_int_equal(before.len, UPLOAD);
	tcp_join(tcp);
	assert_true(tcp->peer.intact);
	free(words);
}

static void answers_and_resets(struct tcp_peer *peer)
{
	words_hear(peer, "QUIT\r\n");
	words_say(peer, "+OK\r\n");
	tcp_peer_reset(peer);
}

static void a_reset_after_the_answer_changes_nothing(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, answers_and_resets);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_int_equal(outcome.how, LB_END_CLOSE_OK);
	assert_int_equal(outcome.rung, LB_RUNG_COMMITTED);
	assert_int_equal(outcome.err, ECONNRESET);
}

static void a_socket_that_does_not_block_is_waited_for(void **state)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	assert_return_code(fcntl(tcp->ours, F_SETFL, O_NONBLOCK), errno);
	tcp_play(tcp, answers);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: close_ok by self in done");
}

static void hears_and_ends(struct tcp_peer *peer)
{
	words_hear(peer, "QUIT\r\n");
	tcp_peer_close(peer);
}

static void the_end_can_be_the_answer(void **state)
{
	const struct lb_farewell words = {QUIT};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, hears_and_ends);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: fin by peer in done");
	assert_int_equal(outcome.verdict, LB_VERDICT_UNPROVEN);
	assert_counts(&outcome, 6, 6, 0);
}

static void an_end_proves_nothing_durable(void **state)
{
	const struct lb_farewell words = {QUIT, .durable = true};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, hears_and_ends);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: fin by peer in done");
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
}

static void ends_in_the_answer(struct tcp_peer *peer)
{
	if (words_hear(peer, "QUIT\r\n"))
		words_say(peer, "x+OK");
	tcp_peer_close(peer);
}

static void an_end_after_other_bytes_needs_a_callback_for_them(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {QUIT, .answer = {.before = words_take, .arg = &before}};
	const struct lb_farewell strict = {QUIT};
	struct tcp *tcp = *state;
	struct lb_outcome outcome;

	tcp_play(tcp, ends_in_the_answer);
	assert_int_equal(words_farewell(tcp, &words, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "ended: fin by peer in done");
	assert_int_equal(before.len, 4);
	tcp_join(tcp);
	close(tcp->peer.go);
	tcp_connect(tcp, tcp->side, 0, 0);
	tcp_play(tcp, ends_in_the_answer);
	assert_int_equal(words_farewell(tcp, &strict, PATIENCE_MS, &outcome), 0);
	assert_ending(&outcome, "acked: protocol_error by peer in close_sent");
	assert_int_equal(outcome.discarded, 4);
}

static void refuses(int fd, int error)
{
	const struct lb_farewell words = {QUIT, .answer = {OK}, .durable = true};
	struct lb_outcome outcome;

	assert_int_equal(lb_farewell(fd, &words, lb_in_ms(PATIENCE_MS), &outcome), error);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(outcome.how, LB_END_NO_CONNECTION);
	assert_int_equal(outcome.phase, LB_PHASE_CONNECT);
	assert_int_equal(outcome.err, -error);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
}

static void what_is_no_connection_is_refused_and_closed(void **state)
{
	(void)state;
	tcp_each_no_connection(refuses);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(an_answer_is_close_ok),
		ON_EVERY_SIDE(an_answer_that_is_durable_is_committed),
		ON_EVERY_SIDE(the_policy_plain_just_closes_after_the_answer),
		ON_EVERY_SIDE(bytes_before_the_answer_are_handed_on_and_those_after_it_counted),
		ON_EVERY_SIDE(a_recognizer_can_count_replies_that_are_alike),
		ON_EVERY_SIDE(words_that_the_caller_has_said_need_only_their_answer),
		ON_EVERY_SIDE(it_reads_while_it_writes),
		ON_EVERY_SIDE(a_reset_after_the_answer_changes_nothing),
		ON_EVERY_SIDE(a_socket_that_does_not_block_is_waited_for),
		ON_EVERY_SIDE(the_end_can_be_the_answer),
		ON_EVERY_SIDE(an_end_proves_nothing_durable),
		ON_EVERY_SIDE(an_end_after_other_bytes_needs_a_callback_for_them),
		cmocka_unit_test(what_is_no_connection_is_refused_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
