/* SPDX-License-Identifier: MIT */
/* Deliveries between a session's machine and the sink: on which thread, and in what order. */
#include "server_fixture.h"

static void a_sink_that_begins_and_commits_at_once_needs_no_worker(void **state)
{
	struct serving serving = {.sink = {.begins_at_once = true, .commits_at_once = true}};
	struct wire wire;

	(void)state;
	serving_start(&serving);
	wire_open(&wire, &serving, 1, 0);
	wire_deliver(&wire, 1, "one");
	wire_deliver(&wire, 1, "two");
	wire_begin(&wire, 1);
	wire_say(&wire, LB_FRAME_DATA, "three", 5);
	wire_say(&wire, LB_FRAME_ROLLBACK, NULL, 0);
	wire_deliver(&wire, 1, "four");
	wire_send(&wire);
	wire_hear(&wire, LB_FRAME_BEGIN_OK);
	wire_hear(&wire, LB_FRAME_COMMITTED);
	wire_hear(&wire, LB_FRAME_BEGIN_OK);
	wire_hear(&wire, LB_FRAME_COMMITTED);
	wire_hear(&wire, LB_FRAME_BEGIN_OK);
	wire_hear(&wire, LB_FRAME_ROLLED_BACK);
	wire_hear(&wire, LB_FRAME_BEGIN_OK);
	wire_hear(&wire, LB_FRAME_COMMITTED);
	wire_close(&wire);
	serving_end(&serving);
	assert_int_equal(serving.begins_on_loop, 4);
	assert_int_equal(serving.commits_on_loop, 3);
	assert_int_equal(serving.rollbacks, 1);
	assert_int_equal(serving.reports, 4);
}

static void a_later_attempt_is_begun_by_the_worker_all_the_same(void **state)
{
	struct serving serving = {.sink = {.begins_at_once = true, .commits_at_once = true}};
	struct wire wire;

	(void)state;
	serving_start(&serving);
	wire_open(&wire, &serving, 1, 0);
	wire_deliver(&wire, 2, "one");
	wire_deliver(&wire, 1, "two");
	wire_send(&wire);
	for (int i = 0; i < 2; i++) {
		wire_hear(&wire, LB_FRAME_BEGIN_OK);
		wire_hear(&wire, LB_FRAME_COMMITTED);
	}
	wire_close(&wire);
	serving_end(&serving);
	assert_int_equal(serving.begins, 2);
	assert_int_equal(serving.begins_on_loop, 1);
}

static void what_is_left_open_is_undone_at_once(void **state)
{
	struct serving serving = {.sink = {.begins_at_once = true, .commits_at_once = true}};
	struct wire cut, later;

	(void)state;
	serving_start(&serving);
	wire_open(&cut, &serving, 1, 0);
	wire_begin(&cut, 1);
	wire_send(&cut);
	wire_hear(&cut, LB_FRAME_BEGIN_OK);
	wire_open(&later, &serving, 1, 0);
	wire_deliver(&later, 2, "again");
	wire_send(&later);
	wire_hear(&cut, LB_FRAME_REFUSED); /* SUPERSEDED */
	wire_hear(&later, LB_FRAME_BEGIN_OK);
	wire_hear(&later, LB_FRAME_COMMITTED);
	wire_begin(&cut, 1);
	wire_send(&cut);
	wire_hear(&cut, LB_FRAME_BEGIN_OK);
	close(cut.fd);
	wire_close(&later);
	serving_end(&serving);
	assert_int_equal(serving.rollbacks, 2);
	assert_int_equal(serving.reports, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sink_that_begins_and_commits_at_once_needs_no_worker),
		cmocka_unit_test(a_later_attempt_is_begun_by_the_worker_all_the_same),
		cmocka_unit_test(what_is_left_open_is_undone_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
