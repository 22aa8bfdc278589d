/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "client/replay.h"

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 167 + (offset >> 8));
}

static void put(struct lb_replay *replay, size_t len)
{
	uint8_t bytes[64];

	for (size_t i = 0; i < len; i++)
		bytes[i] = byte_at(replay->to + i);
	lb_replay_put(replay, bytes, len);
}

/* All that it has, piece by piece. */
static void check(const struct lb_replay *replay)
{
	uint64_t at = replay->from;

	while (at < replay->to) {
		size_t n;
		const uint8_t *bytes = lb_replay_at(replay, at, &n);

		assert_in_range(n, 1, replay->to - at);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(bytes[i], byte_at(at + i));
		at += n;
	}
}

static void it_has_what_was_put_and_not_dropped(void **state)
{
	struct lb_replay replay = {.bytes = NULL};

	(void)state;
	for (size_t size = 1; size <= 40; size++) {
		assert_int_equal(lb_replay_start(&replay, 1000 * size, size), 0);
		for (unsigned i = 0; i < 500; i++) {
			size_t room = lb_replay_room(&replay);

			put(&replay, i % 3 == 0 ? room : room / 2);
			check(&replay);
			lb_replay_drop(&replay, replay.from + (replay.to - replay.from) * (i % 5) / 4);
			check(&replay);
		}
		assert_in_range(replay.to - replay.from, 0, size);
	}
	lb_replay_stop(&replay);
}

static void what_is_dropped_is_dropped_once(void **state)
{
	struct lb_replay replay = {.bytes = NULL};

	(void)state;
	assert_int_equal(lb_replay_start(&replay, 7, 10), 0);
	put(&replay, 10);
	assert_int_equal(lb_replay_room(&replay), 0);
	lb_replay_drop(&replay, 12);
	lb_replay_drop(&replay, 9);
	assert_int_equal(replay.from, 12);
	assert_int_equal(lb_replay_room(&replay), 5);
	lb_replay_drop(&replay, 99);
	assert_int_equal(replay.from, 17);
	assert_int_equal(replay.to, 17);
	assert_int_equal(lb_replay_room(&replay), 10);
	lb_replay_stop(&replay);
}

static void started_again_it_has_its_memory_if_that_is_as_large_and_nothing_else(void **state)
{
	struct lb_replay replay = {.bytes = NULL};
	const uint8_t *bytes;

	(void)state;
	assert_int_equal(lb_replay_start(&replay, 0, 10), 0);
	bytes = replay.bytes;
	put(&replay, 10);
	assert_int_equal(lb_replay_start(&replay, 100, 10), 0);
	assert_ptr_equal(replay.bytes, bytes);
	assert_int_equal(lb_replay_room(&replay), 10);
	assert_int_equal(lb_replay_start(&replay, 100, 20), 0);
	assert_int_equal(lb_replay_room(&replay), 20);
	lb_replay_stop(&replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_what_was_put_and_not_dropped),
		cmocka_unit_test(what_is_dropped_is_dropped_once),
		cmocka_unit_test(started_again_it_has_its_memory_if_that_is_as_large_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
