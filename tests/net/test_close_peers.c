/* SPDX-License-Identifier: MIT */
/* lb_close against every kind of peer that lets the connection live: what its application gets, and what we say. */
#include "lib/tcp.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define SIZE  1000000
#define EARLY 1024

static lb_time soon(int64_t ms)
{
	return ms * 1000000;
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_peer_that_reads_all_and_closes_has_every_byte(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, reads_all);
	tcp_write(tcp, SIZE);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, SIZE, SIZE, 0);
	assert_int_equal(end.discarded, 0);
	assert_int_equal(end.err, 0);
	assert_int_equal(end.verdict, LB_VERDICT_UNPROVEN);
}

static void a_connection_without_a_byte_ends_as_well(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, reads_all);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 0, 0, 0);
}

static void what_lies_unread_costs_nothing(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};
	struct lb_outcome end;

	tcp_peer_send(&tcp->peer, EARLY);
	assert_int_equal(poll(&arrived, 1, -1), 1);
	tcp_play(tcp, reads_all);
	tcp_write(tcp, SIZE);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, SIZE, SIZE, 0);
	assert_int_equal(end.discarded, EARLY);
}

static void sends_in_the_middle(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read(peer, SIZE / 2);
	tcp_peer_send(peer, EARLY);
	while (tcp_peer_read(peer, 4096))
		continue;
	tcp_peer_close(peer);
}

static void what_comes_while_the_send_queue_empties_costs_nothing(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, sends_in_the_middle);
	tcp_write(tcp, SIZE);
	tcp_go(tcp);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, SIZE, SIZE, 0);
	assert_int_equal(end.discarded, EARLY);
}

static void answers_at_the_end(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_send(peer, SIZE);
	tcp_peer_close(peer);
}

static void an_answer_after_our_fin_is_taken_whole(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, answers_at_the_end);
	tcp_write(tcp, SIZE);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_int_equal(tcp->peer.sent, SIZE);
	assert_ending(&end, "ended: fin by peer in done");
	assert_int_equal(end.discarded, SIZE);
}

#define UPLOAD (8u << 20)

static void uploads_first(struct tcp_peer *peer)
{
	tcp_peer_send(peer, UPLOAD);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_peer_that_reads_only_once_it_has_uploaded_gets_every_byte(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, SIZE);
	tcp_play(tcp, uploads_first);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, SIZE, SIZE, 0);
	assert_int_equal(end.discarded, UPLOAD);
}

static void floods(struct tcp_peer *peer)
{
	while (tcp_peer_send(peer, 65536))
		continue;
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_flood_is_cut_off_once_the_peer_has_every_byte(void **state)
{
	const struct lb_ending ending = {
		.limits = {.drain_bytes = 1 << 20, .idle = soon(60000), .total = soon(60000)}};
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 20000);
	tcp_play(tcp, floods);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(20000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: local_abort by self in drain");
	assert_counts(&end, 20000, 20000, 0);
	assert_true(end.discarded > 1 << 20);
	assert_true(end.discarded <= tcp->peer.sent);
}

static void a_flood_lasts_as_long_as_total_at_most(void **state)
{
	const struct lb_ending ending = {.limits = {.drain_bytes = UINT64_MAX, .total = soon(30)}};
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 20000);
	tcp_play(tcp, floods);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(20000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_counts(&end, 20000, 20000, 0);
}

static void sends_an_urgent_byte(struct tcp_peer *peer)
{
	tcp_peer_send(peer, EARLY);
	if (send(peer->fd, "!", 1, MSG_OOB) != 1)
		peer->error = errno;
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* recv(2) stops at it and leaves it out, and unread it must not count as unread data. */
static void an_urgent_byte_costs_nothing(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_write(tcp, 20000);
	tcp_play(tcp, sends_an_urgent_byte);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 20000, 20000, 0);
	assert_int_equal(end.discarded, EARLY);
}

static void an_urgent_byte_past_the_bound_is_a_flood_as_well(void **state)
{
	const struct lb_ending ending = {
		.limits = {.drain_bytes = 40, .idle = soon(60000), .total = soon(60000)}};
	struct tcp *tcp = *state;
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLPRI};
	struct lb_outcome end;

	assert_true(tcp_peer_send(&tcp->peer, 40));
	assert_int_equal(send(tcp->peer.fd, "!", 1, MSG_OOB), 1);
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	tcp_write(tcp, 1000);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(20000), &end), 0);
	assert_ending(&end, "acked: local_abort by self in drain");
	assert_counts(&end, 1000, 1000, 0);
	assert_int_equal(end.discarded, 41);
}

static void answers_below_the_mark(struct tcp_peer *peer)
{
	tcp_peer_send(peer, EARLY);
	tcp_peer_read_all(peer);
	tcp_peer_await(peer);
	tcp_peer_close(peer);
}

/* Below the caller's SO_RCVLOWAT nothing wakes, and close(2) would reset all the same. */
static void a_low_water_mark_hides_nothing(void **state)
{
	const struct lb_ending ending = {.limits = {.idle = soon(50)}};
	struct tcp *tcp = *state;
	struct lb_outcome end;
	int low = SIZE;

	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), errno);
	tcp_write(tcp, 20000);
	tcp_play(tcp, answers_below_the_mark);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_int_equal(tcp->peer.error, 0);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_int_equal(end.discarded, EARLY);
}

static void holds_open(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_await(peer);
	tcp_peer_close(peer);
}

static void a_peer_that_never_closes_is_left_when_idle(void **state)
{
	const struct lb_ending ending = {.limits = {.idle = soon(20)}};
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_play(tcp, holds_open);
	tcp_write(tcp, SIZE);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(20000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "acked: timeout by self in drain");
	assert_counts(&end, SIZE, SIZE, 0);
	assert_int_equal(end.err, 0);
}

static void a_peer_that_never_reads_is_reset_when_the_queue_stalls(void **state)
{
	const struct lb_ending ending = {.limits = {.send_stall = soon(80)}};
	struct tcp *tcp = *state;
	struct lb_outcome end;

	tcp_stuff(tcp);
	assert_int_equal(tcp_end(tcp, &ending, LB_NEVER, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_ending(&end, "accepted: timeout by self in flush");
	assert_int_equal(end.accepted, tcp->written);
	assert_int_equal(end.acked + end.lost, tcp->written);
	assert_true(end.lost > 0);
	/* an ack may have been on its way */
	assert_in_range(tcp->peer.got, end.acked, end.accepted);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

static void a_peer_that_ended_once_it_had_every_byte_has_ended_after_them(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd ended = {.fd = tcp->ours, .events = POLLRDHUP};
	struct lb_outcome end;

	tcp_write(tcp, 5000);
	tcp_peer_read(&tcp->peer, 5000);
	tcp_wait_acked(tcp);
	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(poll(&ended, 1, -1), 1);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	tcp_peer_read_all(&tcp->peer);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 5000, 5000, 0);
}

static void last_words_come_after_everything_and_before_the_end(void **state)
{
	struct tcp *tcp = *state;
	char words[500];
	const struct lb_ending ending = {.last = words, .last_len = sizeof words};
	struct lb_outcome end;

	tcp_play(tcp, reads_all);
	tcp_write(tcp, SIZE);
	tcp_pattern(words, SIZE, sizeof words);
	tcp->written += sizeof words;
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(10000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, SIZE + sizeof words, SIZE + sizeof words, 0);
}

#define LONG_WORDS (6u << 20)

static void last_words_may_be_longer_than_the_send_queue(void **state)
{
	struct tcp *tcp = *state;
	char *words = malloc(LONG_WORDS);
	const struct lb_ending ending = {.last = words, .last_len = LONG_WORDS};
	struct lb_outcome end;

	assert_non_null(words);
	tcp_stuff(tcp);
	tcp_pattern(words, tcp->written, LONG_WORDS);
	tcp->written += LONG_WORDS;
	tcp_play(tcp, reads_all);
	assert_int_equal(tcp_end(tcp, &ending, lb_in_ms(20000), &end), 0);
	tcp_join(tcp);
	free(words);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, tcp->written, tcp->written, 0);
}

static void last_words_that_nobody_takes_end_in_a_reset(void **state)
{
	struct tcp *tcp = *state;
	char *words = calloc(1, LONG_WORDS);
	const struct lb_ending ending = {
		.last = words, .last_len = LONG_WORDS, .limits = {.send_stall = soon(80)}};
	struct lb_outcome end;

	assert_non_null(words);
	tcp_stuff(tcp);
	assert_int_equal(tcp_end(tcp, &ending, LB_NEVER, &end), 0);
	tcp_peer_read_all(&tcp->peer);
	free(words);
	assert_ending(&end, "accepted: timeout by self in data");
	assert_in_range(end.accepted, tcp->written, tcp->written + LONG_WORDS - 1);
	assert_int_equal(end.acked + end.lost, end.accepted);
	assert_in_range(tcp->peer.got, end.acked, end.accepted);
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(a_peer_that_reads_all_and_closes_has_every_byte),
		ON_EVERY_SIDE(a_connection_without_a_byte_ends_as_well),
		ON_EVERY_SIDE(what_lies_unread_costs_nothing),
		ON_EVERY_SIDE(what_comes_while_the_send_queue_empties_costs_nothing),
		ON_EVERY_SIDE(an_answer_after_our_fin_is_taken_whole),
		ON_EVERY_SIDE(a_peer_that_reads_only_once_it_has_uploaded_gets_every_byte),
		ON_EVERY_SIDE(a_flood_is_cut_off_once_the_peer_has_every_byte),
		ON_EVERY_SIDE(a_flood_lasts_as_long_as_total_at_most),
		ON_EVERY_SIDE(an_urgent_byte_costs_nothing),
		ON_EVERY_SIDE(an_urgent_byte_past_the_bound_is_a_flood_as_well),
		ON_EVERY_SIDE(a_low_water_mark_hides_nothing),
		ON_EVERY_SIDE(a_peer_that_never_closes_is_left_when_idle),
		ON_EVERY_SIDE(a_peer_that_never_reads_is_reset_when_the_queue_stalls),
		ON_EVERY_SIDE(a_peer_that_ended_once_it_had_every_byte_has_ended_after_them),
		ON_EVERY_SIDE(last_words_come_after_everything_and_before_the_end),
		ON_EVERY_SIDE(last_words_may_be_longer_than_the_send_queue),
		ON_EVERY_SIDE(last_words_that_nobody_takes_end_in_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
