/* SPDX-License-Identifier: MIT */
/*
 * One request in each way: what was got, how that ended, and which calls were made. Of times only what a link's delay
 * and the kernel's timers make certain is asked for: bounds from below, which no machine undercuts.
 */
#include "lib/cmocka.h"
#include "lib/scene.h"
#include "lab/request.h"
#include "lab/ways.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELAY      (20 * MS) /* one way */
#define ROUND_TRIP (2 * DELAY)
#define HELD       (100 * MS)
#define DELAYED    (30 * MS) /* an ack: 40 ms in whole ticks, of which there are 100 in a second at least */

static const struct link_options slow = {.kind = LINK_DELAY, .delay = DELAY};

static int play(struct link *link, const char *way, struct lab_play *played)
{
	int fds[2];

	memset(played, 0, sizeof *played);
	assert_int_equal(link_connect(link, LINK_LEFT, AF_INET, fds), 0);
	played->zero = lb_now();
	return lab_request(fds, way, played);
}

/* How many calls of ours, or of the peer, begin so. */
static unsigned calls(const struct lab_play *played, bool peer, const char *text)
{
	unsigned n = 0;

	for (unsigned i = 0; i < played->calls; i++)
		n += played->call[i].peer == peer && strncmp(played->call[i].text, text, strlen(text)) == 0;
	return n;
}

static void a_request_in_any_way_arrives_whole_and_ends_in_an_eof(void **state)
{
	struct link *link = scene_link(&slow);

	(void)state;
	for (int way = 0; way < WAYS; way++) {
		struct lab_play played;

		assert_int_equal(play(link, ways_names[way], &played), 0);
		assert_int_equal(played.meant_bytes, WAYS_BYTES);
		assert_int_equal(played.sent_bytes, WAYS_BYTES);
		assert_int_equal(played.peer_bytes, WAYS_BYTES);
		assert_int_equal(played.back_bytes, 1);
		assert_int_equal(played.peer_end, LAB_EOF);
		assert_in_range(played.blocked, ROUND_TRIP, INT64_MAX);
		assert_int_equal(calls(&played, false, "recv(fd, 1 byte) = 1"), 1);
		assert_int_equal(calls(&played, false, "close(fd) = 0"), 1);
		assert_int_equal(calls(&played, true, "recv(fd, 3120 bytes, MSG_WAITALL) = 3120"), 1);
		assert_int_equal(calls(&played, true, "recv(fd, 3120 bytes, MSG_WAITALL) = 0"), 1);
		assert_in_range(played.calls, 6, LAB_CALLS);
	}
	link_free(link);
}

static void each_way_makes_the_calls_of_its_name(void **state)
{
	struct link *link = scene_link(&(struct link_options){.kind = LINK_LOOPBACK});
	const struct {
		const char *way, *call;
		unsigned n;
	} made[] = {
		{"nagle", "writev(fd, 120 bytes in 1) = 120", 1},
		{"nagle", "writev(fd, 3000 bytes in 6) = 3000", 1},
		{"nodelay", "setsockopt(fd, TCP_NODELAY, 1) = 0", 1},
		{"nodelay", "send(fd, 500 bytes) = 500", 6},
		{"cork", "setsockopt(fd, TCP_CORK, 1) = 0", 1},
		{"cork", "send(fd, 120 bytes) = 120", 1},
		{"cork", "setsockopt(fd, TCP_CORK, 0) = 0", 1},
		{"cork_held", "clock_nanosleep(100 ms) = 0", 1},
		{"cork_held", "setsockopt(fd, TCP_CORK, 0) = 0", 1},
		{"cork_kept", "send(fd, 500 bytes) = 500", 6},
		{"cork_kept", "setsockopt(fd, TCP_CORK, 0)", 0},
		{"msg_more", "send(fd, 500 bytes, MSG_MORE) = 500", 5},
		{"writev", "writev(fd, 3120 bytes in 7) = 3120", 1},
		{"lb_cork", "lb_cork_send(&cork, 500 bytes) = 0", 6},
		{"lb_cork", "lb_uncork(&cork) = 0", 1},
		{"lb_message", "lb_send_message(fd, 3120 bytes in 7) = 0", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
		struct lab_play played;

		assert_int_equal(play(link, made[i].way, &played), 0);
		assert_int_equal(calls(&played, false, made[i].call), made[i].n);
	}
	link_free(link);
}

/* Without what the other end does to its acks, the first request of a connection would not show it. */
static void two_writes_with_nagle_wait_for_an_ack_on_a_fresh_connection_too(void **state)
{
	const struct link_options loopback = {.kind = LINK_LOOPBACK};
	struct lab_play played;
	struct link *link = scene_link(&loopback);

	(void)state;
	assert_int_equal(play(link, "nagle", &played), 0);
	assert_in_range(played.blocked, DELAYED, INT64_MAX);
	link_free(link);
	link = scene_link(&slow);
	assert_int_equal(play(link, "nagle", &played), 0);
	assert_in_range(played.blocked, 2 * ROUND_TRIP, INT64_MAX);
	link_free(link);
}

static void what_a_cork_holds_waits_until_it_is_lifted_or_longer(void **state)
{
	struct link *link = scene_link(&slow);
	struct lab_play played;

	(void)state;
	assert_int_equal(play(link, "cork_held", &played), 0);
	assert_in_range(played.blocked, HELD + ROUND_TRIP, INT64_MAX);
	assert_int_equal(play(link, "cork_kept", &played), 0);
	assert_in_range(played.blocked, HELD + ROUND_TRIP, INT64_MAX);
	link_free(link);
}

static void what_is_no_way_is_refused(void **state)
{
	struct link *link = scene_link(&(struct link_options){.kind = LINK_LOOPBACK});
	struct lab_play played;

	(void)state;
	assert_int_equal(play(link, "drain", &played), -EINVAL);
	link_free(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_in_any_way_arrives_whole_and_ends_in_an_eof),
		cmocka_unit_test(each_way_makes_the_calls_of_its_name),
		cmocka_unit_test(two_writes_with_nagle_wait_for_an_ack_on_a_fresh_connection_too),
		cmocka_unit_test(what_a_cork_holds_waits_until_it_is_lifted_or_longer),
		cmocka_unit_test(what_is_no_way_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
