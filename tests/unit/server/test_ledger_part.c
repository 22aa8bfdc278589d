/* SPDX-License-Identifier: MIT */
#include "ledger_fixture.h"
#include <errno.h>
#include <lastbyte/conn.h>
#include <sqlite3.h>

static struct lb_ledger_part part_of(uint64_t number, uint64_t offset)
{
	struct lb_ledger_part part = {
		.id = id_of(number), .attempt = UINT32_MAX, .declared = LB_UNKNOWN, .offset = offset};

	snprintf(part.name, sizeof part.name, "file %u", (unsigned)number);
	return part;
}

static enum lb_ledger_state put(struct fixture *fx, uint64_t number, uint64_t offset)
{
	struct lb_ledger_part part = part_of(number, offset);
	enum lb_ledger_state state;

	assert_int_equal(lb_ledger_part_put(fx->ledger, &part, &state), 0);
	return state;
}

/* Its offset, or 0: there is none. */
static uint64_t offset_of(struct fixture *fx, uint64_t number)
{
	struct lb_ledger_part part;
	struct lb_id id = id_of(number);
	bool found;

	assert_int_equal(lb_ledger_part_look(fx->ledger, &id, &part, &found), 0);
	return found ? part.offset : 0;
}

static void a_part_keeps_what_it_was_given(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_part part = part_of(1, INT64_MAX), found;
	enum lb_ledger_state answer;
	bool is_found;

	part.declared = INT64_MAX;
	assert_int_equal(lb_ledger_part_look(fx->ledger, &part.id, &found, &is_found), 0);
	assert_false(is_found);
	assert_int_equal(lb_ledger_part_put(fx->ledger, &part, &answer), 0);
	assert_int_equal(answer, LB_LEDGER_UNSEEN);
	ledger_reopen(fx);
	assert_int_equal(lb_ledger_part_look(fx->ledger, &part.id, &found, &is_found), 0);
	assert_true(is_found);
	assert_memory_equal(&found.id, &part.id, sizeof part.id);
	assert_int_equal(found.attempt, UINT32_MAX);
	assert_int_equal(found.declared, INT64_MAX);
	assert_int_equal(found.offset, INT64_MAX);
	assert_int_equal(found.age, 0);
	assert_string_equal(found.name, "file 1");
}

static void a_second_row_replaces_the_first_and_a_length_may_be_unknown(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_part *parts;
	size_t n;

	assert_int_equal(put(fx, 1, 10), LB_LEDGER_UNSEEN);
	assert_int_equal(put(fx, 1, 20), LB_LEDGER_UNSEEN);
	assert_int_equal(lb_ledger_parts(fx->ledger, &parts, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(parts[0].offset, 20);
	assert_true(parts[0].declared == LB_UNKNOWN);
	free(parts);
}

static void a_part_is_no_delivery(void **state)
{
	struct fixture *fx = *state;

	put(fx, 1, 10);
	assert_int_equal(looked(fx, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(committed(fx, 1), LB_LEDGER_UNSEEN);
}

static void commit_fence_and_settle_remove_it(void **state)
{
	struct fixture *fx = *state;

	for (uint64_t number = 1; number <= 5; number++)
		put(fx, number, 10);
	committed(fx, 1);
	assert_int_equal(offset_of(fx, 1), 0);
	fenced(fx, 2);
	assert_int_equal(offset_of(fx, 2), 0);
	settle(fx, 4);
	assert_int_equal(offset_of(fx, 3), 0);
	assert_int_equal(offset_of(fx, 4), 10);
	assert_int_equal(offset_of(fx, 5), 10);
}

static void what_is_decided_gets_no_row(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	fenced(fx, 2);
	assert_int_equal(put(fx, 1, 10), LB_LEDGER_COMMITTED);
	assert_int_equal(put(fx, 2, 10), LB_LEDGER_FENCED);
	assert_int_equal(offset_of(fx, 1), 0);
	assert_int_equal(offset_of(fx, 2), 0);
	settle(fx, 5);
	assert_int_equal(put(fx, 4, 10), LB_LEDGER_SETTLED);
	settle(fx, LB_LEDGER_KEEP + LB_LEDGER_STEP);
	assert_int_equal(put(fx, 1, 10), LB_LEDGER_FORGOTTEN);
	for (uint64_t number = 1; number <= 4; number++)
		assert_int_equal(offset_of(fx, number), 0);
}

static void they_come_in_the_order_in_which_they_were_put_last(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_part *parts;
	size_t n;

	for (uint64_t number = 1; number <= 40; number++)
		put(fx, number, number);
	put(fx, 7, 70);
	assert_int_equal(lb_ledger_parts(fx->ledger, &parts, &n), 0);
	assert_int_equal(n, 40);
	assert_int_equal(parts[0].id.number, 7);
	assert_int_equal(parts[1].id.number, 40);
	assert_int_equal(parts[39].id.number, 1);
	free(parts);
}

static void ages_are_set_together_and_a_new_row_is_young(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_part parts[] = {part_of(1, 0), part_of(2, 0), part_of(9, 0)}, *all;
	size_t n;

	put(fx, 1, 10);
	put(fx, 2, 10);
	parts[0].age = parts[2].age = 5;
	parts[1].age = INT64_MAX;
	assert_int_equal(lb_ledger_parts_age(fx->ledger, parts, 3), 0);
	put(fx, 1, 20);
	assert_int_equal(lb_ledger_parts(fx->ledger, &all, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(all[0].age, 0);
	assert_int_equal(all[1].age, INT64_MAX);
	free(all);
	assert_int_equal(lb_ledger_parts_forget(fx->ledger, parts, 3), 0);
	assert_int_equal(lb_ledger_parts(fx->ledger, &all, &n), 0);
	assert_int_equal(n, 0);
	assert_null(all);
}

static void a_ledger_from_before_there_were_parts_can_hold_them(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *db;

	committed(fx, 1);
	lb_ledger_close(fx->ledger);
	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, ".lastbyte/ledger.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "DROP TABLE parts", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	ledger_open(fx);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	assert_int_equal(put(fx, 2, 10), LB_LEDGER_UNSEEN);
	assert_int_equal(offset_of(fx, 2), 10);
}

static void those_that_a_client_settles_are_listed_alone(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_part other = part_of(1, 5), *parts;
	enum lb_ledger_state answer;
	struct lb_id lowest = id_of(3);
	size_t n;

	other.id.client[0]++;
	assert_int_equal(lb_ledger_part_put(fx->ledger, &other, &answer), 0);
	for (uint64_t number = 1; number <= 4; number++)
		put(fx, number, 10);
	assert_int_equal(lb_ledger_parts_below(fx->ledger, &lowest, &parts, &n), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		assert_memory_equal(parts[i].id.client, lowest.client, sizeof lowest.client);
		assert_in_range(parts[i].id.number, 1, 2);
	}
	free(parts);
	lowest.number = UINT64_MAX; /* no row can have one beyond those that are stored */
	assert_int_equal(lb_ledger_parts_below(fx->ledger, &lowest, &parts, &n), 0);
	assert_int_equal(n, 0);
	assert_null(parts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(those_that_a_client_settles_are_listed_alone),
		ledger_test(a_part_keeps_what_it_was_given),
		ledger_test(a_second_row_replaces_the_first_and_a_length_may_be_unknown),
		ledger_test(a_part_is_no_delivery),
		ledger_test(commit_fence_and_settle_remove_it),
		ledger_test(what_is_decided_gets_no_row),
		ledger_test(they_come_in_the_order_in_which_they_were_put_last),
		ledger_test(ages_are_set_together_and_a_new_row_is_young),
		ledger_test(a_ledger_from_before_there_were_parts_can_hold_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
