/* SPDX-License-Identifier: MIT */
/*
 * The late stray byte: a reader that is slower than the connection, and one byte from it while most of what we sent
 * still lies in our send queue, long after we ended. It costs close(2) all that was not yet acked, and lb_close nothing.
 * (2 MB at 128 KB/s with the byte after 9 s is where this was seen; the proportions here are the same.)
 */
#include "lib/tcp.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BYTES   327680           /* what the kernel takes at once, also from those who are not root */
#define STRAY   (BYTES / 16 * 9) /* what the reader has read when it sends its byte */
#define CHUNK   8192
#define PAUSE   INT64_C(51200000) /* ns for each chunk: 160 KB/s */
#define SECONDS INT64_C(1000000000)

static bool read_at_pace(struct tcp_peer *peer, uint64_t len, lb_time *next)
{
	while (len > 0) {
		const struct timespec at = {.tv_sec = *next / SECONDS, .tv_nsec = *next % SECONDS};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		if (!tcp_peer_read(peer, len < CHUNK ? len : CHUNK))
			return false;
		len -= len < CHUNK ? len : CHUNK;
		*next += PAUSE;
	}
	return true;
}

static void strays(struct tcp_peer *peer)
{
	lb_time next = lb_now();

	tcp_peer_await(peer);
	if (read_at_pace(peer, STRAY, &next) && tcp_peer_send(peer, 1))
		while (read_at_pace(peer, CHUNK, &next))
			continue;
	tcp_peer_close(peer);
}

/* Everything is in our send queue, and in the peer's kernel what its window takes, before the end begins. */
static void write_at_once(struct tcp *tcp)
{
	int size = 212992;

	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), errno);
	assert_int_equal(tcp_offer(tcp, BYTES), BYTES);
	tcp_play(tcp, strays);
	tcp_go(tcp);
}

static void the_late_stray_byte_costs_nothing(void **state)
{
	struct tcp *tcp = *state;
	struct lb_outcome end;

	write_at_once(tcp);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(60000), &end), 0);
	tcp_join(tcp);
	assert_peer_has_all(tcp);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, BYTES, BYTES, 0);
	assert_int_equal(end.discarded, 1);
}

/* Else the test above would show nothing. */
static void it_costs_plain_close_the_rest(void **state)
{
	struct tcp *tcp = *state;

	write_at_once(tcp);
	close(tcp->ours);
	tcp->ours = -1;
	tcp_join(tcp);
	assert_in_range(tcp->peer.got, STRAY, BYTES - 1);
	assert_true(tcp->peer.intact);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate_setup_teardown(
			the_late_stray_byte_costs_nothing, tcp_open, tcp_close, (void *)&tcp_sides[0]),
		cmocka_unit_test_prestate_setup_teardown(
			it_costs_plain_close_the_rest, tcp_open, tcp_close, (void *)&tcp_sides[0]),
		cmocka_unit_test_prestate_setup_teardown(
			the_late_stray_byte_costs_nothing, tcp_open, tcp_close, (void *)&tcp_sides[3]),
		cmocka_unit_test_prestate_setup_teardown(
			it_costs_plain_close_the_rest, tcp_open, tcp_close, (void *)&tcp_sides[3]),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
