/* SPDX-License-Identifier: MIT */
/* The closer's table: what is taken and given back, the order of its lists, and its timers against a plain model. */
#include "lib/cmocka.h"
#include "sock/closer.h"
#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)

static int open_table(void **state)
{
	struct lb_closer_table *table = calloc(1, sizeof *table);

	assert_non_null(table);
	lb_closer_table_init(table, 5000 * MS);
	*state = table;
	return 0;
}

static int close_table(void **state)
{
	lb_closer_table_deinit(*state);
	free(*state);
	return 0;
}

static void each_entry_is_taken_once_and_again_when_given_back(void **state)
{
	struct lb_closer_table *table = *state;
	static bool taken[3000];

	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t index = lb_closer_take(table, false);

		assert_true(index < table->entries);
		assert_true(index < 3000);
		assert_false(taken[index]);
		taken[index] = true;
	}
	lb_closer_give_back(table, 1234);
	assert_int_equal(lb_closer_take(table, false), 1234);
}

static void entries_do_not_move(void **state)
{
	struct lb_closer_table *table = *state;
	struct lb_closer_entry *first = lb_closer_entry(table, lb_closer_take(table, true));
	struct lb_closer_kin *kin = lb_closer_kin(table, 0);

	for (int i = 0; i < 100 * LB_CLOSER_CHUNK; i++)
		assert_true(lb_closer_take(table, true) != LB_CLOSER_NONE);
	assert_ptr_equal(lb_closer_entry(table, 0), first);
	assert_ptr_equal(lb_closer_kin(table, 0), kin);
}

static void an_entry_is_no_larger_than_it_may_be(void **state)
{
	(void)state;
	assert_true(sizeof(struct lb_closer_entry) <= 112);
	assert_true(sizeof(struct lb_closer_entry) + sizeof(struct lb_closer_kin) <= 124);
}

static void a_list_keeps_the_order_in_which_it_was_filled(void **state)
{
	struct lb_closer_table *table = *state;
	uint32_t entries[5];

	assert_int_equal(lb_closer_first(table, LB_CLOSER_ACKED), LB_CLOSER_NONE);
	assert_int_equal(lb_closer_last(table, LB_CLOSER_ACKED), LB_CLOSER_NONE);
	for (int i = 0; i < 5; i++) {
		entries[i] = lb_closer_take(table, false);
		lb_closer_list(table, entries[i], LB_CLOSER_ACKED);
	}
	assert_int_equal(lb_closer_last(table, LB_CLOSER_ACKED), entries[4]);
	lb_closer_unlist(table, entries[2]);
	lb_closer_unlist(table, entries[4]);
	assert_int_equal(lb_closer_last(table, LB_CLOSER_ACKED), entries[3]);
	for (int i = 0; i < 4; i++) {
		if (i == 2)
			continue;
		assert_int_equal(lb_closer_first(table, LB_CLOSER_ACKED), entries[i]);
		lb_closer_unlist(table, entries[i]);
	}
	assert_int_equal(lb_closer_first(table, LB_CLOSER_ACKED), LB_CLOSER_NONE);
	assert_int_equal(lb_closer_first(table, LB_CLOSER_UNACKED), LB_CLOSER_NONE);
}

static void what_is_due_already_is_fresh(void **state)
{
	struct lb_closer_table *table = *state;
	uint32_t index = lb_closer_take(table, false);

	lb_closer_schedule(table, index, 5000 * MS);
	assert_int_equal(lb_closer_first(table, LB_CLOSER_FRESH), index);
	assert_true(lb_closer_entry(table, index)->queued);
	lb_closer_unschedule(table, index);
	assert_false(lb_closer_entry(table, index)->queued);
	lb_closer_schedule(table, index, -1);
	assert_int_equal(lb_closer_first(table, LB_CLOSER_FRESH), index);
	assert_int_equal(lb_closer_due(table), LB_NEVER);
}

static void a_cancelled_time_wakes_nobody(void **state)
{
	struct lb_closer_table *table = *state;
	uint32_t a = lb_closer_take(table, false), b = lb_closer_take(table, false);

	lb_closer_schedule(table, a, 5040 * MS);
	lb_closer_schedule(table, b, 5040 * MS);
	assert_int_equal(lb_closer_due(table), 5040 * MS);
	lb_closer_unschedule(table, a);
	assert_int_equal(lb_closer_due(table), 5040 * MS);
	lb_closer_unschedule(table, b);
	assert_int_equal(lb_closer_due(table), LB_NEVER);
}

static void a_time_that_never_comes_is_looked_at_again_after_days(void **state)
{
	struct lb_closer_table *table = *state;
	uint32_t index = lb_closer_take(table, false);
	lb_time now = 5000 * MS;
	int wakes = 0;

	lb_closer_schedule(table, index, LB_NEVER);
	while (lb_closer_first(table, LB_CLOSER_FRESH) == LB_CLOSER_NONE) {
		assert_true(lb_closer_due(table) > now);
		now = lb_closer_due(table);
		lb_closer_expire(table, now);
		wakes++;
	}
	assert_true(now / MS > INT64_C(10) * 24 * 3600 * 1000);
	assert_true(wakes < 200);
}

#define ENTRIES 2000

static uint64_t seed = 1;

static uint64_t below(uint64_t limit)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (seed >> 33) % limit;
}

/* Near times mostly, far ones too. */
static lb_time some_time(lb_time now)
{
	return now + (lb_time)below(UINT64_C(1) << (10 + below(36)));
}

static void no_time_comes_early_nor_a_tick_late(void **state)
{
	struct lb_closer_table *table = *state;
	static lb_time at[ENTRIES];
	lb_time now = 5000 * MS;
	int expired = 0;

	for (uint32_t i = 0; i < ENTRIES; i++) {
		assert_int_equal(lb_closer_take(table, false), i);
		at[i] = some_time(now);
		lb_closer_schedule(table, i, at[i]);
	}
	while (expired < 20000) {
		uint32_t moved = (uint32_t)below(ENTRIES), index;

		lb_closer_unschedule(table, moved);
		at[moved] = some_time(now);
		lb_closer_schedule(table, moved, at[moved]);
		now = below(2) == 0 ? lb_closer_due(table) : some_time(now);
		lb_closer_expire(table, now);
		while ((index = lb_closer_first(table, LB_CLOSER_FRESH)) != LB_CLOSER_NONE) {
			assert_true(at[index] <= now);
			lb_closer_unschedule(table, index);
			at[index] = some_time(now);
			lb_closer_schedule(table, index, at[index]);
			/* what is due at once is fresh again: not now */
			if (lb_closer_entry(table, index)->queued) {
				lb_closer_unschedule(table, index);
				at[index] = now + 2 * MS;
				lb_closer_schedule(table, index, at[index]);
			}
			expired++;
		}
		for (uint32_t i = 0; i < ENTRIES; i += 97)
			assert_true(at[i] > now - MS);
	}
}

#define TABLE_TEST(test) cmocka_unit_test_setup_teardown(test, open_table, close_table)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(each_entry_is_taken_once_and_again_when_given_back),
		TABLE_TEST(entries_do_not_move),
		TABLE_TEST(an_entry_is_no_larger_than_it_may_be),
		TABLE_TEST(a_list_keeps_the_order_in_which_it_was_filled),
		TABLE_TEST(what_is_due_already_is_fresh),
		TABLE_TEST(a_cancelled_time_wakes_nobody),
		TABLE_TEST(a_time_that_never_comes_is_looked_at_again_after_days),
		TABLE_TEST(no_time_comes_early_nor_a_tick_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
