/* SPDX-License-Identifier: MIT */
/* What the closer does when there is too much: of sockets, of one address, of bytes from a peer. */
#include "lib/closing.h"
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void all_over(int count)
{
	for (int i = 0; i < count; i++)
		closing_over(&closing_tcps[i]);
}

/* Bytes of ours stay unacked. */
static void add_stuck(int number, int side)
{
	tcp_stuff(closing_connected(number, side));
	closing.now += MS;
	closing_add(&closing_tcps[number], NULL);
}

/* All of ours is acked, the peer goes on; the closer has seen it. */
static void add_acked(int number, int side)
{
	struct tcp *tcp = closing_connected(number, side);
	int fd = tcp->ours;
	struct lb_closer_entry *entry = NULL;

	tcp_write(tcp, 100);
	closing.now += MS;
	closing_add(tcp, NULL);
	for (uint32_t i = 0; i < closing.closer->table.entries; i++)
		if (lb_closer_entry(&closing.closer->table, i)->arg == tcp)
			entry = lb_closer_entry(&closing.closer->table, i);
	assert_non_null(entry);
	assert_int_equal(entry->run.fd, fd);
	for (lb_time limit = lb_in_ms(20000); !entry->acked; closing_later(MS)) {
		assert_true(lb_now() < limit);
		closing_readable(1);
	}
}

static void told_next(int number, const char *text)
{
	static int seen;

	if (closing.told.count == 1)
		seen = 0;
	assert_int_equal(closing.told.count, seen + 1);
	assert_ptr_equal(closing.told.args[seen], &closing_tcps[number]);
	assert_ending(&closing.told.ends[seen], text);
	seen++;
}

static void the_longest_acked_makes_room_and_loses_nothing(void **state)
{
	const struct lb_closer_options options = {.sockets = 3};

	(void)state;
	closing_open(&options);
	add_stuck(0, 0);
	add_acked(1, 1);
	add_acked(2, 2);
	assert_int_equal(closing.told.count, 0);
	add_acked(3, 3);
	told_next(1, "acked: evicted by self in drain");
	assert_counts(&closing.told.ends[0], 100, 100, 0);
	tcp_peer_read_all(&closing_tcps[1].peer);
	assert_peer_has_all(&closing_tcps[1]);
	add_acked(4, 0);
	told_next(2, "acked: evicted by self in drain");
	assert_int_equal(closing.closer->open, 3);
	all_over(5);
}

static void where_none_is_acked_the_oldest_goes_and_says_what_it_lost(void **state)
{
	const struct lb_closer_options options = {.sockets = 2};

	(void)state;
	closing_open(&options);
	for (int i = 0; i < 3; i++)
		add_stuck(i, i);
	assert_int_equal(closing.told.count, 0);
	assert_true(closing_readable(0));
	lb_closer_step(closing.closer);
	told_next(0, "accepted: evicted by self in flush");
	assert_true(closing.told.ends[0].lost > 0);
	assert_int_equal(closing.told.ends[0].acked + closing.told.ends[0].lost, closing_tcps[0].written);
	tcp_peer_read_all(&closing_tcps[0].peer);
	assert_int_equal(closing_tcps[0].peer.error, ECONNRESET);
	all_over(3);
}

static void one_socket_is_room_enough_for_the_last(void **state)
{
	const struct lb_closer_options options = {.sockets = 1};

	(void)state;
	closing_open(&options);
	add_acked(0, 0);
	add_acked(1, 0);
	told_next(0, "acked: evicted by self in drain");
	add_stuck(2, 0);
	lb_closer_step(closing.closer);
	told_next(1, "acked: evicted by self in drain");
	add_stuck(3, 0);
	lb_closer_step(closing.closer);
	told_next(2, "accepted: evicted by self in flush");
	all_over(4);
}

static void an_evicted_one_may_be_left_to_the_kernel(void **state)
{
	const struct lb_ending detached = {.on_expiry = LB_EXPIRY_DETACH};
	const struct lb_closer_options options = {.ending = &detached, .sockets = 1};

	(void)state;
	closing_open(&options);
	add_stuck(0, 0);
	add_stuck(1, 0);
	lb_closer_step(closing.closer);
	told_next(0, "accepted: evicted by self in flush");
	assert_int_equal(closing.told.ends[0].lost, LB_UNKNOWN);
	tcp_peer_read_all(&closing_tcps[0].peer);
	assert_peer_has_all(&closing_tcps[0]);
	all_over(2);
}

static void what_has_come_is_looked_at_before_bytes_are_given_up(void **state)
{
	const struct lb_closer_options options = {.sockets = 2};
	struct pollfd ended;

	(void)state;
	closing_open(&options);
	add_stuck(0, 0);
	closing_connected(1, 0);
	ended = (struct pollfd){.fd = closing_tcps[1].ours, .events = POLLRDHUP};
	closing_add(&closing_tcps[1], NULL);
	closing_later(20 * MS);
	closing_later(20 * MS);
	while (closing_readable(0))
		lb_closer_step(closing.closer);
	tcp_peer_close(&closing_tcps[1].peer);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	assert_int_equal(closing.told.count, 0);
	add_stuck(2, 0);
	lb_closer_step(closing.closer);
	told_next(1, "ended: fin by peer in done");
	assert_int_equal(closing.closer->open, 2);
	all_over(3);
}

static void one_address_cannot_take_it_all(void **state)
{
	const struct lb_closer_options options = {.sockets_per_peer = 2};

	(void)state;
	closing_open(&options);
	add_stuck(0, 0);
	add_acked(1, 1);
	add_acked(2, 2);
	add_stuck(3, 3);
	assert_int_equal(closing.told.count, 0);
	add_stuck(4, 0);
	lb_closer_step(closing.closer);
	told_next(1, "acked: evicted by self in drain");
	add_stuck(5, 2);
	lb_closer_step(closing.closer);
	told_next(2, "acked: evicted by self in drain");
	add_stuck(6, 1);
	lb_closer_step(closing.closer);
	told_next(0, "accepted: evicted by self in flush");
	assert_int_equal(closing.closer->open, 4);
	assert_int_equal(closing.closer->peers.count, 4);
	all_over(7);
}

/* ::ffff:127.0.0.1 is the same host. */
static void a_mapped_address_is_that_of_ipv4(void **state)
{
	const struct lb_closer_options options = {.sockets_per_peer = 1};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	socklen_t len = sizeof in;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET6, SOCK_STREAM, 0), peer;

	(void)state;
	closing_open(&options);
	add_stuck(0, 0);
	assert_return_code(bind(listener, (struct sockaddr *)&in, len), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&in, &len), errno);
	in6.sin6_port = in.sin_port;
	in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &in.sin_addr, 4);
	assert_return_code(connect(fd, (struct sockaddr *)&in6, sizeof in6), errno);
	peer = accept(listener, NULL, NULL);
	assert_int_equal(lb_closer_add(closing.closer, fd, NULL, LB_NEVER, closing_tell, NULL), 0);
	lb_closer_step(closing.closer);
	told_next(0, "accepted: evicted by self in flush");
	close(peer);
	close(listener);
	closing_until(2);
	all_over(1);
}

/* As many as it takes for the chains to be moved into more buckets, and out of every place of a chain. */
static void addresses_are_counted_however_many_there_are(void **state)
{
	const struct lb_closer_options options = {.sockets = 1000, .sockets_per_peer = 400};
	static struct tcp many[300];

	(void)state;
	closing_open(&options);
	for (int i = 0; i < 300; i++) {
		int fd;

		tcp_connect(&many[i], &tcp_sides[i % 4], 0, 0);
		fd = many[i].ours;
		assert_int_equal(
			lb_closer_add(closing.closer, fd, NULL, LB_NEVER, closing_tell, &many[i]), 0);
	}
	assert_int_equal(closing.closer->peers.count, 300);
	assert_true(closing.closer->peers.mask >= 255);
	for (int i = 0; i < 300; i++) {
		int n = (i * 7) % 300;

		tcp_peer_close(&many[n].peer);
		close(many[n].peer.go);
		if (i % 50 == 49)
			closing_until(i + 1);
	}
	assert_int_equal(closing.closer->peers.count, 0);
	for (uint32_t i = 0; i <= closing.closer->peers.mask; i++)
		assert_int_equal(closing.closer->peers.buckets[i], LB_CLOSER_NONE);
}

static void floods(struct tcp_peer *peer)
{
	tcp_peer_send(peer, UINT64_C(10) << 30);
}

static void a_flood_is_not_swallowed_past_the_cap(void **state)
{
	const struct lb_ending ending = {.limits = {.drain_bytes = 3 << 20}};
	struct tcp *tcp = closing_connected(0, 0);

	(void)state;
	closing_setup(NULL);
	tcp_write(tcp, 1000);
	tcp_play(tcp, floods);
	closing_add(tcp, &ending);
	closing_until(1);
	tcp_join(tcp);
	assert_ending(&closing.told.ends[0], "acked: local_abort by self in drain");
	assert_counts(&closing.told.ends[0], 1000, 1000, 0);
	/* what lay unread is counted, but was not read */
	assert_true(closing.discarded <= 3 << 20);
	assert_true(tcp->peer.sent < 64 << 20);
	all_over(1);
}

/* It lies there, all of it: more than two turns' worth. */
static void flood(int number, uint64_t bytes)
{
	struct tcp *tcp = closing_connected(number, 0);
	int low = (int)bytes, one = 1;
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};

	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low), errno);
	assert_true(tcp_peer_send(&tcp->peer, bytes));
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one), errno);
}

static void a_step_throws_a_bounded_number_of_bytes_away(void **state)
{
	const struct lb_closer_options options = {.step_bytes = 300 << 10};
	uint64_t before, most = 0;

	(void)state;
	closing_open(&options);
	for (int i = 0; i < 6; i++) {
		flood(i, 700 << 10);
		closing_add(&closing_tcps[i], NULL);
	}
	closing.now += 20 * MS;
	for (int i = 0; closing.discarded < 6 * (700 << 10); i++) {
		assert_true(i < 100);
		assert_true(closing_readable(20000));
		before = closing.discarded;
		lb_closer_step(closing.closer);
		if (closing.discarded - before > most)
			most = closing.discarded - before;
	}
	assert_in_range(most, 300 << 10, (300 + 2 * 256) << 10);
	assert_int_equal(closing.told.count, 0);
	all_over(6);
}

/* Ten floods wait for their turns; another's end takes one step, whoever was first. */
static void floods_do_not_delay_the_endings_of_others(void **state)
{
	struct pollfd ended;
	uint64_t before;

	(void)state;
	closing_connected(10, 0);
	ended = (struct pollfd){.fd = closing_tcps[10].ours, .events = POLLRDHUP};
	closing_add(&closing_tcps[10], NULL);
	closing_later(20 * MS);
	closing_later(20 * MS);
	while (closing_readable(0))
		lb_closer_step(closing.closer);
	for (int i = 0; i < 10; i++) {
		flood(i, 1 << 20);
		closing_add(&closing_tcps[i], NULL);
	}
	closing_later(20 * MS);
	for (int i = 0; i < 12; i++)
		lb_closer_step(closing.closer);
	before = closing.discarded;
	assert_true(before < 10 << 20);
	tcp_peer_close(&closing_tcps[10].peer);
	assert_int_equal(poll(&ended, 1, 20000), 1);
	lb_closer_step(closing.closer);
	assert_int_equal(closing.told.count, 1);
	assert_ptr_equal(closing.told.args[0], &closing_tcps[10]);
	assert_ending(&closing.told.ends[0], "ended: fin by peer in done");
	/* and the floods went on, too */
	assert_true(closing.discarded > before);
	all_over(11);
}

/* While others have their first, one may have its second. Then they go round. */
static void floods_take_turns(void **state)
{
	int fds[4], steps[4], all = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		flood(i, 2 << 20);
		fds[i] = closing_tcps[i].ours;
		closing_add(&closing_tcps[i], NULL);
	}
	closing.now += 20 * MS;
	for (int turn = 0; turn < 4; turn++)
		lb_closer_step(closing.closer);
	for (int i = 0; i < 4; i++) {
		steps[i] = closing.steps[fds[i]];
		assert_in_range(steps[i], 1, 3);
		all += steps[i];
	}
	assert_int_equal(all, 4 + 3);
	for (int turn = 0; turn < 12; turn++)
		lb_closer_step(closing.closer);
	for (int i = 0; i < 4; i++)
		assert_int_equal(closing.steps[fds[i]], steps[i] + 3);
	all_over(4);
}

#define CLOSING_TEST(test) cmocka_unit_test_setup_teardown(test, closing_setup, closing_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLOSING_TEST(the_longest_acked_makes_room_and_loses_nothing),
		CLOSING_TEST(where_none_is_acked_the_oldest_goes_and_says_what_it_lost),
		CLOSING_TEST(one_socket_is_room_enough_for_the_last),
		CLOSING_TEST(an_evicted_one_may_be_left_to_the_kernel),
		CLOSING_TEST(what_has_come_is_looked_at_before_bytes_are_given_up),
		CLOSING_TEST(one_address_cannot_take_it_all),
		CLOSING_TEST(a_mapped_address_is_that_of_ipv4),
		CLOSING_TEST(addresses_are_counted_however_many_there_are),
		CLOSING_TEST(a_flood_is_not_swallowed_past_the_cap),
		CLOSING_TEST(a_step_throws_a_bounded_number_of_bytes_away),
		CLOSING_TEST(floods_do_not_delay_the_endings_of_others),
		CLOSING_TEST(floods_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
