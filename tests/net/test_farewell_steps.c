/* SPDX-License-Identifier: MIT */
/*
 * The steps behind lb_farewell and lb_farewell_answer, as a loop sees them: against bytes that come one by one and a
 * clock that the test turns itself; and what is made of an outcome, for ends that no loopback has.
 */
#include "lib/words.h"
#include "sock/farewell.h"
#include "sock/tcp.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static const struct lb_farewell quit = {
	.words = "QUIT\r\n", .words_len = 6, .answer = {.bytes = "+OK\r\n", .len = 5}};
static const struct lb_farewell_answering close_words = {
	.words = {.bytes = "CLOSE\n", .len = 6}, .answer = "CLOSE_OK\n", .answer_len = 9};

static void peer_says(struct tcp *tcp, const char *bytes, size_t len)
{
	assert_int_equal(send(tcp->peer.fd, bytes, len, MSG_NOSIGNAL), len);
	words_await(tcp->ours, POLLIN);
}

static void an_answer_may_come_byte_by_byte(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_run run;

	lb_farewell_start(&run, tcp->ours, &quit, LB_NEVER);
	for (size_t n = 0; n < 5; n++) {
		assert_false(lb_farewell_step(&run, 0));
		assert_int_equal(run.talk.events, EPOLLIN | EPOLLRDHUP);
		assert_int_equal(run.talk.next, LB_NEVER);
		peer_says(tcp, "+OK\r\n" + n, 1);
	}
	assert_true(lb_farewell_step(&run, 0));
	assert_int_equal(run.talk.heard, LB_HEARD_WORDS);
}

static void close_may_come_byte_by_byte(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_answer_run run;

	lb_farewell_answer_start(&run, tcp->ours, &close_words, LB_NEVER);
	for (size_t n = 0; n < 6; n++) {
		assert_false(lb_farewell_answer_step(&run, 0));
		assert_int_equal(run.talk.events, EPOLLIN | EPOLLRDHUP);
		assert_int_equal(run.verdict, LB_VERDICT_UNPROVEN);
		peer_says(tcp, "CLOSE\n" + n, 1);
	}
	assert_false(lb_farewell_answer_step(&run, 0));
	assert_int_equal(run.verdict, LB_VERDICT_COMMITTED);
}

static void the_deadline_is_kept_to_the_nanosecond(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_run run;

	lb_farewell_start(&run, tcp->ours, &quit, SECOND);
	assert_false(lb_farewell_step(&run, SECOND - 1));
	assert_int_equal(run.talk.next, SECOND);
	assert_true(lb_farewell_step(&run, SECOND));
}

static uint32_t unsent(struct tcp *tcp)
{
	struct lb_tcp now;

	lb_tcp_read(tcp->ours, &now);
	return now.unsent;
}

static void words_do_not_wait_in_a_corked_socket(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_run run;
	int on = 1;

	assert_return_code(setsockopt(tcp->ours, IPPROTO_TCP, TCP_CORK, &on, sizeof on), errno);
	tcp_write(tcp, 10);
	assert_int_equal(unsent(tcp), 10);
	lb_farewell_start(&run, tcp->ours, &quit, LB_NEVER);
	assert_false(lb_farewell_step(&run, 0));
	assert_int_equal(unsent(tcp), 0);
}

static void words_that_the_socket_has_no_room_for_are_waited_with(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_run run;

	tcp_stuff(tcp);
	lb_farewell_start(&run, tcp->ours, &quit, LB_NEVER);
	while (!lb_talk_has_said(&run.talk)) {
		assert_false(lb_farewell_step(&run, 0));
		if (!lb_talk_has_said(&run.talk))
			assert_int_equal(run.talk.events, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
		tcp_peer_read(&tcp->peer, 1 << 16);
	}
	assert_int_equal(run.talk.events, EPOLLIN | EPOLLRDHUP);
}

/* They come while the words are still being written, and are read then. */
static void what_comes_before_the_last_word_is_written_is_no_answer(void **state)
{
	struct before before = {.result = 0};
	const struct lb_farewell words = {QUIT, .answer = {OK, .before = words_take, .arg = &before}};
	struct tcp *tcp = *state;
	struct lb_farewell_run run;

	words_stuff(tcp);
	lb_farewell_start(&run, tcp->ours, &words, LB_NEVER);
	lb_talk_say(&run.talk);
	peer_says(tcp, "+OK\r\n", 5);
	lb_talk_hear(&run.talk);
	assert_int_equal(run.talk.heard, LB_HEARD_NOTHING);
	assert_int_equal(run.talk.said, 0);
	assert_int_equal(before.len, 5);
}

static void where_nothing_can_be_said_no_answer_is_waited_for(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_run run;

	assert_return_code(shutdown(tcp->ours, SHUT_WR), errno);
	lb_farewell_start(&run, tcp->ours, &quit, LB_NEVER);
	assert_true(lb_farewell_step(&run, 0));
	assert_int_equal(run.talk.err, EPIPE);
}

/* The peer's FIN and our words cross: it ends without knowing of them. */
static void an_end_that_crosses_the_words_is_no_answer(void **state)
{
	const struct lb_farewell words = {QUIT};
	struct tcp *tcp = *state;
	struct lb_farewell_run run;
	int small = 4096, large = 1 << 20;

	assert_return_code(setsockopt(tcp->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), errno);
	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_SNDBUF, &large, sizeof large), errno);
	tcp_write(tcp, 200000);
	lb_farewell_start(&run, tcp->ours, &words, LB_NEVER);
	assert_false(lb_farewell_step(&run, 0));
	assert_true(lb_talk_has_said(&run.talk));
	assert_return_code(shutdown(tcp->peer.fd, SHUT_WR), errno);
	words_await(tcp->ours, POLLRDHUP);
	assert_true(lb_farewell_step(&run, 0));
	assert_true(run.talk.at_fin);
	assert_true(run.talk.early);
}

static int count(void *arg, const void *buf, size_t len)
{
	(void)buf;
	*(uint64_t *)arg += len;
	return 0;
}

static void one_step_reads_a_bounded_number_of_bytes(void **state)
{
	enum { BOUND = 256 << 10, MORE = 300 << 10 };
	uint64_t counted = 0;
	const struct lb_farewell words = {.answer = {.before = count, .arg = &counted}};
	struct tcp *tcp = *state;
	struct lb_farewell_run run;
	int bytes = MORE;

	/* the low-water mark makes room for it, too */
	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes), errno);
	assert_true(tcp_peer_send(&tcp->peer, MORE));
	words_await(tcp->ours, POLLIN);
	lb_farewell_start(&run, tcp->ours, &words, LB_NEVER);
	assert_false(lb_farewell_step(&run, 0));
	assert_in_range(counted, BOUND, MORE - 1);
	assert_false(lb_farewell_step(&run, 0));
	assert_int_equal(counted, MORE);
}

static enum lb_tcp_state state_of(struct tcp *tcp)
{
	struct lb_tcp now;

	lb_tcp_read(tcp->ours, &now);
	return now.state;
}

static void the_side_that_answers_lets_the_fin_of_the_other_come_first(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_answer_run run;

	peer_says(tcp, "CLOSE\n", 6);
	lb_farewell_answer_start(&run, tcp->ours, &close_words, LB_NEVER);
	assert_false(lb_farewell_answer_step(&run, 0));
	assert_int_equal(run.talk.next, 0); /* `commit` may have taken its time */
	assert_false(lb_farewell_answer_step(&run, 7 * SECOND));
	assert_int_equal(run.talk.events, EPOLLRDHUP);
	assert_int_equal(run.talk.next, 9 * SECOND);
	assert_int_equal(state_of(tcp), LB_TCP_ESTABLISHED);
	assert_return_code(shutdown(tcp->peer.fd, SHUT_WR), errno);
	words_await(tcp->ours, POLLRDHUP);
	assert_true(lb_farewell_answer_step(&run, 7 * SECOND));
	assert_int_equal(run.ending.last_len, 0);
	assert_false(run.abort);
}

static void it_does_not_let_it_for_ever(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_answer_run run;

	peer_says(tcp, "CLOSE\nand more", 14);
	lb_farewell_answer_start(&run, tcp->ours, &close_words, LB_NEVER);
	assert_false(lb_farewell_answer_step(&run, 0));
	assert_false(lb_farewell_answer_step(&run, SECOND));
	assert_false(lb_farewell_answer_step(&run, 3 * SECOND - 1));
	assert_true(lb_farewell_answer_step(&run, 3 * SECOND));
}

static void it_may_let_it_for_ever_if_that_is_asked_for(void **state)
{
	struct lb_farewell_answering patient = close_words;
	struct tcp *tcp = *state;
	struct lb_farewell_answer_run run;

	patient.ending.limits.idle = LB_NEVER;
	peer_says(tcp, "CLOSE\n", 6);
	lb_farewell_answer_start(&run, tcp->ours, &patient, LB_NEVER);
	assert_false(lb_farewell_answer_step(&run, SECOND));
	assert_false(lb_farewell_answer_step(&run, SECOND));
	assert_int_equal(run.talk.next, LB_NEVER);
}

static void it_does_not_let_it_past_the_deadline(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_answer_run run;

	peer_says(tcp, "CLOSE\n", 6);
	lb_farewell_answer_start(&run, tcp->ours, &close_words, SECOND);
	assert_false(lb_farewell_answer_step(&run, 0));
	assert_false(lb_farewell_answer_step(&run, SECOND / 2));
	assert_int_equal(run.talk.next, SECOND);
	assert_true(lb_farewell_answer_step(&run, SECOND));
}

static void says_its_words_in_pieces(struct tcp_peer *peer)
{
	for (size_t n = 0; n < 5; n++) {
		tcp_peer_await(peer);
		if (send(peer->fd, "+OK\r\n" + n, 1, MSG_NOSIGNAL) != 1)
			peer->error = errno;
	}
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void waiting_as_told_does_not_spin(void **state)
{
	struct tcp *tcp = *state;
	struct lb_farewell_run run;
	unsigned steps = 0;

	tcp_play(tcp, says_its_words_in_pieces);
	lb_farewell_start(&run, tcp->ours, &quit, lb_in_ms(20000));
	while (!lb_farewell_step(&run, lb_now())) {
		steps++;
		tcp_go(tcp);
		lb_talk_await(&run.talk);
	}
	assert_in_range(steps, 1, 5);
}

static void who_stops_in_the_midst_of_the_words_resets(void **state)
{
	char *much = calloc(1, 64 << 20);
	const struct lb_farewell words = {
		.words = much, .words_len = 64 << 20, .answer = {.bytes = "+OK", .len = 3}};
	struct tcp *tcp = *state;
	struct lb_farewell_run run;
	struct lb_outcome outcome;

	assert_non_null(much);
	lb_farewell_start(&run, tcp->ours, &words, LB_NEVER);
	assert_false(lb_farewell_step(&run, 0));
	tcp->ours = -1;
	tcp_play(tcp, reads_all);
	assert_int_equal(lb_farewell_end(&run, lb_in_ms(20000), &outcome), 0);
	assert_int_equal(outcome.rung, LB_RUNG_ACCEPTED);
	tcp_join(tcp);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
	free(much);
}

/* What is made of an outcome. */

static struct lb_outcome judged(struct lb_farewell_run *run, bool durable)
{
	static struct lb_farewell words;
	struct lb_outcome outcome = {.how = LB_END_NET_ERROR,
		.by = LB_PARTY_NETWORK,
		.phase = LB_PHASE_DRAIN,
		.rung = LB_RUNG_ENDED};

	words = quit;
	words.durable = durable;
	run->farewell = &words;
	run->talk.len = 6;
	lb_farewell_judge(run, 0, &outcome);
	return outcome;
}

static void a_broken_network_is_not_a_reset(void **state)
{
	struct lb_farewell_run run = {.talk = {.said = 6, .over = true, .err = ETIMEDOUT}};
	struct lb_outcome outcome = judged(&run, false);

	(void)state;
	assert_ending(&outcome, "acked: timeout by network in close_sent");
	assert_int_equal(outcome.err, ETIMEDOUT);
	run.talk.err = EHOSTUNREACH;
	outcome = judged(&run, false);
	assert_ending(&outcome, "acked: net_error by network in close_sent");
	assert_int_equal(outcome.err, EHOSTUNREACH);
	run.talk.err = EPIPE;
	outcome = judged(&run, false);
	assert_ending(&outcome, "acked: net_error by network in close_sent");
}

static void only_a_deadline_is_called_one(void **state)
{
	struct lb_farewell_run run = {.talk = {.said = 0}};
	struct lb_outcome outcome = judged(&run, true);

	(void)state;
	assert_ending(&outcome, "nothing: timeout by self in data");
	assert_int_equal(outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	run.talk.over = run.talk.at_fin = true;
	outcome = judged(&run, true);
	assert_ending(&outcome, "nothing: fin by peer in data");
	assert_int_equal(outcome.reason, LB_REASON_BROKEN);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	run.talk.said = 1;
	outcome = judged(&run, true);
	assert_int_equal(outcome.reason, LB_REASON_NO_ANSWER);
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(an_answer_may_come_byte_by_byte),
		ON_EVERY_SIDE(close_may_come_byte_by_byte),
		ON_EVERY_SIDE(the_deadline_is_kept_to_the_nanosecond),
		ON_EVERY_SIDE(words_do_not_wait_in_a_corked_socket),
		ON_EVERY_SIDE(words_that_the_socket_has_no_room_for_are_waited_with),
		ON_EVERY_SIDE(what_comes_before_the_last_word_is_written_is_no_answer),
		ON_EVERY_SIDE(where_nothing_can_be_said_no_answer_is_waited_for),
		ON_EVERY_SIDE(an_end_that_crosses_the_words_is_no_answer),
		ON_EVERY_SIDE(one_step_reads_a_bounded_number_of_bytes),
		ON_EVERY_SIDE(the_side_that_answers_lets_the_fin_of_the_other_come_first),
		ON_EVERY_SIDE(it_does_not_let_it_for_ever),
		ON_EVERY_SIDE(it_may_let_it_for_ever_if_that_is_asked_for),
		ON_EVERY_SIDE(it_does_not_let_it_past_the_deadline),
		ON_EVERY_SIDE(waiting_as_told_does_not_spin),
		ON_EVERY_SIDE(who_stops_in_the_midst_of_the_words_resets),
		cmocka_unit_test(a_broken_network_is_not_a_reset),
		cmocka_unit_test(only_a_deadline_is_called_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
