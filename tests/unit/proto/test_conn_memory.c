/* SPDX-License-Identifier: MIT */
#include "lib/failing.h"
#include "pair.h"

static void without_memory_there_is_no_machine_and_no_leak(void **state)
{
	const struct lb_conn_options options = {.role = LB_ROLE_SERVER};
	struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;
	struct lb_conn *conn;

	(void)state;
	for (;; plan.at++) {
		failing_begin(&plan);
		conn = lb_conn_new(&options, NULL, 0);
		if (!failing_end(&seen))
			break;
		assert_null(conn);
	}
	assert_non_null(conn);
	assert_in_range(seen.calls, 1, 10);
	lb_conn_free(conn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_there_is_no_machine_and_no_leak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
