/* SPDX-License-Identifier: MIT */
/*
 * What the calls of <lastbyte/message.h> are for, on the wire: a request of 120 + 3000 bytes in 7 parts takes the
 * segments of one writev(2), and not a round trip more, where other ways of writing it take either. The link's delay
 * is a lower bound that no machine undercuts, so that the best of some runs tells one round trip from two.
 */
#include "lib/cmocka.h"
#include "lab/ways.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define DELAY      INT64_C(20000000) /* one way */
#define ROUND_TRIP (2 * DELAY)
#define RUNS       8

static const int families[] = {AF_INET, AF_INET6};

/* Linux may merge small segments that the device has not sent yet: here each write shall be seen. */
static void no_autocorking(struct link *link)
{
	int fd;

	assert_int_equal(link_enter(link, LINK_LEFT), 0);
	fd = open("/proc/sys/net/ipv4/tcp_autocorking", O_WRONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	assert_int_equal(write(fd, "0", 1), 1);
	close(fd);
	link_leave(link);
}

static void measure_all(
	const struct link_options *options, int family, struct ways_result results[WAYS_PROMPT])
{
	char why[LINK_WHY];
	struct link *link;

	if (link_new(options, &link, why) < 0) {
		print_message("# SKIP a link of kind %d: %s\n", (int)options->kind, why);
		skip();
	}
	no_autocorking(link);
	for (int way = 0; way < WAYS_PROMPT; way++)
		assert_int_equal(ways_measure(link, family, way, RUNS, &results[way]), 0);
	link_free(link);
}

static void check_segments(const struct ways_result results[WAYS_PROMPT])
{
	assert_int_equal(results[WAY_WRITEV].least, 3);
	assert_int_equal(results[WAY_WRITEV].most, 3);
	assert_int_equal(results[WAY_MESSAGE].least, 3);
	assert_int_equal(results[WAY_MESSAGE].most, 3);
	assert_int_equal(results[WAY_CORK].least, 3);
	assert_in_range(results[WAY_CORK].most, 3, WAYS_PARTS - 1); /* an ack may come in between */
	assert_int_equal(results[WAY_NAGLE].least, 4);
	assert_int_equal(results[WAY_NODELAY].least, WAYS_PARTS);
}

static void a_message_has_the_segments_of_one_writev(void **state)
{
	const struct link_options options = {.kind = LINK_VETH, .count = true};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ways_result results[WAYS_PROMPT];

		measure_all(&options, families[i], results);
		check_segments(results);
	}
}

static void a_message_takes_one_round_trip_where_two_writes_take_two(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = DELAY};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct ways_result results[WAYS_PROMPT];

		measure_all(&options, families[i], results);
		check_segments(results);
		for (int way = 0; way < WAYS_PROMPT; way++)
			assert_in_range(results[way].best, ROUND_TRIP, INT64_MAX);
		assert_in_range(results[WAY_NAGLE].best, 2 * ROUND_TRIP, INT64_MAX);
		assert_in_range(results[WAY_MESSAGE].best, 0, results[WAY_WRITEV].best + ROUND_TRIP / 2);
		assert_in_range(results[WAY_CORK].best, 0, results[WAY_WRITEV].best + ROUND_TRIP / 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_the_segments_of_one_writev),
		cmocka_unit_test(a_message_takes_one_round_trip_where_two_writes_take_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
