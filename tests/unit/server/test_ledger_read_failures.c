/* SPDX-License-Identifier: MIT */
/* Readings of a ledger in which each call on its file fails in turn, then each allocation: all rows are read, or why not. */
#include "flaky_vfs.h"
#include "ledger_fixture.h"
#include "lib/failing.h"
#include <unistd.h>

#define ROWS 3

static int count(void *arg, const struct lb_ledger_row *row)
{
	unsigned *n = arg;

	assert_int_equal(row->receipt.id.number, ++*n);
	assert_int_equal(row->verdict, LB_VERDICT_COMMITTED);
	return 0;
}

/* Whether something failed; at, or plan.at, says what. */
static bool try(struct fixture *fx, int at, const struct failing_plan *plan)
{
	struct lb_ledger_info info;
	struct failing_seen seen;
	bool failed;
	unsigned n = 0;
	int r;

	flaky_vfs_init(true);
	flaky_vfs.at = at;
	failing_begin(plan);
	r = lb_ledger_read(fx->scratch.path, &info, count, &n, fx->why);
	failing_end(&seen);
	failed = flaky_vfs.failed != NULL || seen.name != NULL;
	flaky_vfs_deinit();
	if (r == 0) {
		assert_int_equal(n, ROWS);
		return failed;
	}
	assert_true(failed);
	assert_string_not_equal(fx->why, "");
	return true;
}

static void close_full(struct fixture *fx)
{
	for (unsigned number = 1; number <= ROWS; number++)
		committed(fx, number);
	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
}

static void all_is_read_whichever_call_of_the_database_fails_or_it_is_told(void **state)
{
	const struct failing_plan none = {.memory = true};
	int at = 1;

	close_full(*state);
	while (try(*state, at, &none))
		at++;
	assert_true(at > 5);
}

static void all_is_read_whichever_allocation_fails_or_it_is_told(void **state)
{
	struct failing_plan plan = {.at = 1, .memory = true};

	close_full(*state);
	while (try(*state, 0, &plan))
		plan.at++;
	assert_true(plan.at > 2);
}

/* It is read as it lies there, under another name: there is more to allocate. */
static void so_it_is_for_a_user_who_may_not_write(void **state)
{
	struct failing_plan plan = {.at = 1, .memory = true};
	const struct failing_plan none = {.memory = true};
	struct fixture *fx = *state;
	const char *control = scratch_path(&fx->scratch, ".lastbyte");
	bool is_root = geteuid() == 0;
	int at = 1;

	close_full(fx);
	assert_int_equal(chmod(fx->scratch.path, 0755), 0);
	assert_int_equal(chmod(control, 0555), 0);
	assert_true(!is_root || seteuid(65534) == 0);
	while (try(fx, 0, &plan))
		plan.at++;
	while (try(fx, at, &none))
		at++;
	assert_true(!is_root || seteuid(0) == 0);
	assert_int_equal(chmod(control, 0755), 0);
	assert_true(plan.at > 4 && at > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(all_is_read_whichever_call_of_the_database_fails_or_it_is_told),
		ledger_test(all_is_read_whichever_allocation_fails_or_it_is_told),
		ledger_test(so_it_is_for_a_user_who_may_not_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
