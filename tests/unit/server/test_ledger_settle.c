/* SPDX-License-Identifier: MIT */
#include "faulty_ledger.h"
#include "server/ledger_db.h"
#include <errno.h>

/* Of one of many clients. */
static int settle_later(struct fixture *fx, unsigned client, uint64_t lowest)
{
	struct lb_id id = {.client = {1, (uint8_t)client}, .number = lowest};

	return lb_ledger_settle_later(fx->ledger, &id);
}

static enum lb_ledger_state state_of(struct fixture *fx, unsigned client, uint64_t number)
{
	struct lb_id id = {.client = {1, (uint8_t)client}, .number = number};
	enum lb_ledger_state state;
	struct lb_receipt receipt;

	assert_int_equal(lb_ledger_look(fx->ledger, &id, &state, &receipt, NULL), 0);
	return state;
}

static void what_waits_is_done_with_the_next_commit_and_the_highest_counts(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(settle_later(fx, 0, 4), 0);
	assert_int_equal(settle_later(fx, 0, 3), 0);
	assert_int_equal(settle_later(fx, 1, 1), 0); /* says nothing */
	assert_int_equal(state_of(fx, 0, 3), LB_LEDGER_UNSEEN);
	assert_int_equal(committed(fx, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(state_of(fx, 0, 3), LB_LEDGER_SETTLED);
	assert_int_equal(state_of(fx, 0, 4), LB_LEDGER_UNSEEN);
}

static void what_cannot_be_done_now_waits_on_and_nothing_more_is_taken(void **state)
{
	struct fixture *fx = *state;
	struct lb_id last = {.client = {1, LB_LEDGER_SETTLES}, .number = 5};

	for (unsigned i = 0; i < LB_LEDGER_SETTLES; i++)
		assert_int_equal(settle_later(fx, i, 5), 0);
	faulty_vfs.fail_log_write = SQLITE_FULL;
	assert_int_equal(lb_ledger_settle_later(fx->ledger, &last), -ENOSPC);
	assert_int_equal(lb_ledger_settle(fx->ledger, &last), -ENOSPC);
	assert_int_equal(lb_ledger_settle_now(fx->ledger), -ENOSPC);
	assert_int_equal(state_of(fx, 0, 4), LB_LEDGER_UNSEEN);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(lb_ledger_settle(fx->ledger, &last), 0);
	for (unsigned i = 0; i <= LB_LEDGER_SETTLES; i++)
		assert_int_equal(state_of(fx, i, 4), LB_LEDGER_SETTLED);
}

static void many_rows_are_pruned_without_a_temporary_file(void **state)
{
	struct fixture *fx = *state;
	enum { MANY = 800 };

	for (uint64_t number = 1; number <= MANY; number++)
		assert_int_equal(committed(fx, number), LB_LEDGER_UNSEEN);
	faulty_vfs.fail_open = SQLITE_CANTOPEN;
	settle(fx, LB_LEDGER_KEEP + MANY);
	faulty_vfs.fail_open = 0;
	assert_int_equal(looked(fx, MANY - LB_LEDGER_STEP), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, MANY), LB_LEDGER_COMMITTED);
}

static void a_commit_that_fails_settles_nothing_and_the_next_one_all(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry entry = {.receipt = receipt_of(1)};

	assert_int_equal(settle_later(fx, 0, 5), 0);
	faulty_vfs.fail_log_write = SQLITE_FULL;
	assert_int_equal(lb_ledger_commit(fx->ledger, &entry, 1), -ENOSPC);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(state_of(fx, 0, 4), LB_LEDGER_UNSEEN);
	assert_int_equal(committed(fx, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(state_of(fx, 0, 4), LB_LEDGER_SETTLED);
}

#define faulty_test(f) cmocka_unit_test_setup_teardown(f, faulty_fixture_make, faulty_fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		faulty_test(what_waits_is_done_with_the_next_commit_and_the_highest_counts),
		faulty_test(what_cannot_be_done_now_waits_on_and_nothing_more_is_taken),
		faulty_test(a_commit_that_fails_settles_nothing_and_the_next_one_all),
		faulty_test(many_rows_are_pruned_without_a_temporary_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
