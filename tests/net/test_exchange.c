/* SPDX-License-Identifier: MIT */
/* lb_exchange against every kind of peer: whether the reply is whole, and what is said of the request. */
#include "lib/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EARLY 10000 /* less than what the peer may send before we read */
#define SIZE  1000000
#define LARGE (8u << 20) /* more than the queues of loopback hold */

/* lb_exchange with a pattern for a request; the reply lies in `reply`. */
struct trade {
	char *request, *reply;
	size_t len;
	struct lb_outcome end;
};

static int exchange(struct tcp *tcp, struct trade *trade, size_t request_len, size_t cap, lb_time deadline)
{
	int fd = tcp->ours, r;

	trade->request = malloc(request_len + 1);
	trade->reply = malloc(cap + 1);
	assert_non_null(trade->request);
	assert_non_null(trade->reply);
	tcp_pattern(trade->request, tcp->written, request_len);
	tcp->written += request_len;
	tcp->ours = -1;
	trade->len = SIZE_MAX;
	r = lb_exchange(
		fd, trade->request, request_len, trade->reply, cap, &trade->len, deadline, &trade->end);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	return r;
}

static void done(struct trade *trade, size_t wanted)
{
	char *pattern = malloc(wanted + 1);

	assert_non_null(pattern);
	tcp_pattern(pattern, 0, wanted);
	assert_int_equal(trade->len, wanted);
	assert_memory_equal(trade->reply, pattern, wanted);
	free(pattern);
	free(trade->request);
	free(trade->reply);
}

static bool sends_pattern(struct tcp_peer *peer, size_t count)
{
	char *bytes = malloc(count + 1);
	size_t at = 0;

	tcp_pattern(bytes, 0, count);
	while (at < count) {
		ssize_t n = send(peer->fd, bytes + at, count - at, MSG_NOSIGNAL);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	free(bytes);
	peer->sent += at;
	return at == count;
}

static void replies(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	sends_pattern(peer, SIZE);
	tcp_peer_close(peer);
}

static void request_and_reply_arrive_whole(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, replies);
	assert_int_equal(exchange(tcp, &trade, SIZE, 2 * SIZE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "ended: fin by peer in done");
	assert_counts(&trade.end, SIZE, SIZE, 0);
	assert_int_equal(trade.end.discarded, 0);
	assert_int_equal(trade.end.err, 0);
	done(&trade, SIZE);
}

static void what_was_sent_before_is_counted_too(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	assert_return_code(fcntl(tcp->ours, F_SETFL, O_NONBLOCK), errno);
	tcp_write(tcp, 5000);
	tcp_play(tcp, replies);
	assert_int_equal(exchange(tcp, &trade, SIZE, SIZE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "ended: fin by peer in done");
	assert_counts(&trade.end, SIZE + 5000, SIZE + 5000, 0);
	done(&trade, SIZE);
}

static void ends_without_a_word(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void both_may_be_empty(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, ends_without_a_word);
	assert_int_equal(exchange(tcp, &trade, 0, 0, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "ended: fin by peer in done");
	assert_counts(&trade.end, 0, 0, 0);
	done(&trade, 0);
}

static void replies_before_it_reads(struct tcp_peer *peer)
{
	sends_pattern(peer, LARGE);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void a_peer_that_replies_before_it_reads_keeps_nobody_waiting(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, replies_before_it_reads);
	assert_int_equal(exchange(tcp, &trade, LARGE, LARGE, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "ended: fin by peer in done");
	assert_counts(&trade.end, LARGE, LARGE, 0);
	done(&trade, LARGE);
}

/* It has not ended because of the request, so its end proves nothing of it. */
static void ends_before_it_reads(struct tcp_peer *peer)
{
	sends_pattern(peer, EARLY);
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void wait_for_its_end(struct tcp *tcp)
{
	struct pollfd ended = {.fd = tcp->ours, .events = POLLRDHUP};

	assert_int_equal(poll(&ended, 1, 20000), 1);
}

static void a_peer_that_had_ended_before_has_not_ended_after_the_request(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, ends_before_it_reads);
	wait_for_its_end(tcp);
	tcp_go(tcp);
	assert_int_equal(exchange(tcp, &trade, 5000, EARLY, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "acked: fin by peer in done");
	assert_counts(&trade.end, 5000, 5000, 0);
	done(&trade, EARLY);
}

static void a_peer_that_ends_first_still_gets_all_of_a_long_request(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, ends_before_it_reads);
	wait_for_its_end(tcp);
	tcp_go(tcp);
	assert_int_equal(exchange(tcp, &trade, LARGE, EARLY, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "acked: fin by peer in done");
	assert_counts(&trade.end, LARGE, LARGE, 0);
	done(&trade, EARLY);
}

static void replies_in_part_and_resets(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	sends_pattern(peer, EARLY);
	tcp_peer_await(peer);
	tcp_peer_reset(peer);
}

static void a_reply_that_is_cut_is_never_whole(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, replies_in_part_and_resets);
	tcp_go(tcp);
	assert_int_equal(exchange(tcp, &trade, SIZE, SIZE, lb_in_ms(20000)), -ECONNRESET);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "acked: rst by peer in drain");
	assert_counts(&trade.end, SIZE, SIZE, 0);
	assert_int_equal(trade.end.err, ECONNRESET);
	/* what had come, or the part of it that was read before the reset */
	assert_true(trade.len <= EARLY);
	done(&trade, trade.len);
}

static void a_reply_that_is_too_long_is_told_and_the_request_arrives_all_the_same(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, replies_before_it_reads);
	assert_int_equal(exchange(tcp, &trade, LARGE, 1000, lb_in_ms(20000)), -EMSGSIZE);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_int_equal(tcp->peer.sent, LARGE);
	assert_ending(&trade.end, "ended: fin by peer in done");
	assert_counts(&trade.end, LARGE, LARGE, 0);
	assert_int_equal(trade.end.discarded, LARGE - 1000);
	done(&trade, 1000);
}

static void a_request_that_nobody_reads_is_reset_at_the_deadline(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	assert_int_equal(exchange(tcp, &trade, LARGE, SIZE, lb_in_ms(100)), -ETIMEDOUT);
	tcp_peer_read_all(&tcp->peer);
	assert_ending(&trade.end, "accepted: timeout by self in data");
	assert_in_range(trade.end.accepted, 1, LARGE - 1);
	assert_int_equal(trade.end.acked + trade.end.lost, trade.end.accepted);
	assert_in_range(tcp->peer.got, trade.end.acked, trade.end.accepted);
	/* a FIN would have made it look whole */
	assert_false(tcp->peer.ended);
	assert_int_equal(tcp->peer.error, ECONNRESET);
	done(&trade, 0);
}

static void replies_in_part_and_holds(struct tcp_peer *peer)
{
	sends_pattern(peer, EARLY);
	tcp_peer_read_all(peer);
	tcp_peer_await(peer);
	tcp_peer_close(peer);
}

static void a_reply_that_does_not_end_is_left_at_the_deadline(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, replies_in_part_and_holds);
	assert_int_equal(exchange(tcp, &trade, SIZE, SIZE, lb_in_ms(300)), -ETIMEDOUT);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&trade.end, "acked: timeout by self in drain");
	assert_counts(&trade.end, SIZE, SIZE, 0);
	done(&trade, EARLY);
}

static void replies_and_resets_what_it_did_not_read(struct tcp_peer *peer)
{
	sends_pattern(peer, EARLY);
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_await(peer);
	tcp_peer_close(peer);
}

/* The reply is whole, and the request is not: each is told. */
static void a_whole_reply_of_a_peer_that_does_not_read_is_whole(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_stuff(tcp);
	tcp_play(tcp, replies_and_resets_what_it_did_not_read);
	wait_for_its_end(tcp);
	tcp_go(tcp);
	assert_int_equal(exchange(tcp, &trade, LARGE, EARLY, lb_in_ms(20000)), 0);
	tcp_join(tcp);
	assert_string_equal(lb_rung_word(trade.end.rung), "accepted");
	assert_string_equal(lb_end_word(trade.end.how), "rst");
	assert_true(trade.end.lost > 0);
	assert_int_equal(trade.end.acked + trade.end.lost, trade.end.accepted);
	done(&trade, EARLY);
}

static void closes_without_reading(struct tcp_peer *peer)
{
	struct pollfd ended = {.fd = peer->fd, .events = POLLRDHUP};

	(void)poll(&ended, 1, 20000);
	tcp_peer_close(peer);
}

static void a_peer_that_reads_nothing_has_not_replied(void **state)
{
	struct tcp *tcp = *state;
	struct trade trade;

	tcp_play(tcp, closes_without_reading);
	assert_int_equal(exchange(tcp, &trade, 5000, SIZE, lb_in_ms(20000)), -ECONNRESET);
	tcp_join(tcp);
	assert_ending(&trade.end, "acked: rst by peer in drain");
	assert_counts(&trade.end, 5000, 5000, 0);
	done(&trade, 0);
}

/* The send takes the error, after which recv(2) would report the end of the stream. */
static void a_reset_that_a_send_has_told_is_no_end(void **state)
{
	struct tcp *tcp = *state;
	struct pollfd reset = {.fd = tcp->ours, .events = POLLIN};
	struct trade trade;

	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&reset, 1, 20000), 1);
	assert_int_equal(exchange(tcp, &trade, 5000, SIZE, lb_in_ms(20000)), -ECONNRESET);
	assert_ending(&trade.end, "nothing: rst by peer in data");
	assert_counts(&trade.end, 0, 0, 0);
	assert_int_equal(trade.end.err, ECONNRESET);
	done(&trade, 0);
}

static void refused(int fd, int error)
{
	struct lb_outcome end;
	size_t len = 7;
	char byte;

	assert_int_equal(lb_exchange(fd, "x", 1, &byte, 1, &len, LB_NEVER, &end), error);
	assert_int_equal(len, 0);
	assert_ending(&end, "nothing: no_connection by none in connect");
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void what_is_no_connection_is_told_and_closed(void **state)
{
	(void)state;
	tcp_each_no_connection(refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(request_and_reply_arrive_whole),
		ON_EVERY_SIDE(what_was_sent_before_is_counted_too),
		ON_EVERY_SIDE(both_may_be_empty),
		ON_EVERY_SIDE(a_peer_that_replies_before_it_reads_keeps_nobody_waiting),
		ON_EVERY_SIDE(a_peer_that_had_ended_before_has_not_ended_after_the_request),
		ON_EVERY_SIDE(a_peer_that_ends_first_still_gets_all_of_a_long_request),
		ON_EVERY_SIDE(a_reply_that_is_cut_is_never_whole),
		ON_EVERY_SIDE(a_reply_that_is_too_long_is_told_and_the_request_arrives_all_the_same),
		ON_EVERY_SIDE(a_request_that_nobody_reads_is_reset_at_the_deadline),
		ON_EVERY_SIDE(a_reply_that_does_not_end_is_left_at_the_deadline),
		ON_EVERY_SIDE(a_whole_reply_of_a_peer_that_does_not_read_is_whole),
		ON_EVERY_SIDE(a_peer_that_reads_nothing_has_not_replied),
		ON_EVERY_SIDE(a_reset_that_a_send_has_told_is_no_end),
		cmocka_unit_test(what_is_no_connection_is_told_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
