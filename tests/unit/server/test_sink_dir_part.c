/* SPDX-License-Identifier: MIT */
#include "sink_fixture.h"

static void a_name_that_an_outsider_took_meanwhile_is_left_alone(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipt;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	put_file(inbox(fx, "a"), "theirs");
	commit(fx, &a);
	assert_answer(a, COMMITTED, NONE);
	assert_string_equal(a.receipt.name, "a");
	assert_string_equal(a.receipt.placed, "a~" CLIENT_HEX "-1");
	assert_file(inbox(fx, "a"), "theirs");
	assert_file(inbox(fx, a.receipt.placed), "hello");
	assert_int_equal(in_ledger(fx, 1, &receipt), LB_LEDGER_COMMITTED);
	assert_string_equal(receipt.placed, a.receipt.placed);
}

static void an_outsider_may_take_the_second_name_too(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	put_file(inbox(fx, "a"), "theirs");
	put_file(inbox(fx, "a~" CLIENT_HEX "-1"), "theirs");
	put_file(inbox(fx, "a~" CLIENT_HEX "-1~2"), "theirs");
	commit(fx, &a);
	assert_answer(a, COMMITTED, NONE);
	assert_string_equal(a.receipt.placed, "a~" CLIENT_HEX "-1~3");
	assert_file(inbox(fx, a.receipt.placed), "hello");
}

static void the_other_name_is_cut_between_characters(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;
	const char *why;
	char name[256];

	/* 85 euro signs of 3 bytes each; 255 less the 35 of ~CLIENT-1 is 220, which is not one's end */
	for (size_t i = 0; i < 85; i++)
		memcpy(name + 3 * i, "\xe2\x82\xac", 3);
	name[255] = '\0';
	begin_full(fx, &a, 1, name, "hello");
	put_file(inbox(fx, name), "theirs");
	commit(fx, &a);
	assert_answer(a, COMMITTED, NONE);
	assert_int_equal(strlen(a.receipt.placed), 219 + 35);
	assert_int_equal(lb_name_check(a.receipt.placed, strlen(a.receipt.placed), &why), 0);
	assert_file(inbox(fx, a.receipt.placed), "hello");
}

/* On a file system where it takes two steps, a rename that was cut short leaves both names. */
static void a_part_that_lies_in_the_inbox_already_is_not_placed_twice(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	assert_int_equal(link(part_path(fx, 1, "a"), inbox(fx, "a")), 0);
	commit(fx, &a);
	assert_answer(a, COMMITTED, NONE);
	assert_string_equal(a.receipt.placed, "a");
	assert_false(exists(part_path(fx, 1, "")));
	assert_file(inbox(fx, "a"), "hello");
}

static void a_failed_move_is_in_doubt_until_a_later_question_places_it(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipt;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	fail_on(fx, "rename", "a", -EIO, 2);
	commit(fx, &a);
	assert_answer(a, IN_DOUBT, IO_ERROR);
	assert_int_equal(in_ledger(fx, 1, &receipt), LB_LEDGER_COMMITTED);
	assert_answer(resolve(fx, 1), NOT_COMMITTED, IO_ERROR);
	assert_false(exists(inbox(fx, "a")));
	assert_answer(resolve(fx, 1), COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
	assert_false(exists(part_path(fx, 1, "")));
}

static void a_failed_move_is_in_doubt_until_a_later_begin_places_it(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	fail_on(fx, "rename", "a", -EIO, 2);
	commit(fx, &a);
	begin(fx, &a, 1, "a");
	assert_answer(a, IN_DOUBT, IO_ERROR);
	begin(fx, &a, 1, "a");
	assert_answer(a, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
}

/* The same sync is not tried again: the file goes back, and is moved and synced anew. */
static void a_failed_sync_of_the_inbox_is_in_doubt_and_places_it_anew(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	fail_on(fx, "sync", "inbox", -EIO, 2);
	commit(fx, &a);
	assert_answer(a, IN_DOUBT, IO_ERROR);
	assert_true(exists(part_path(fx, 1, "a")));
	assert_false(exists(inbox(fx, "a")));
	assert_answer(resolve(fx, 1), NOT_COMMITTED, IO_ERROR);
	fx->logging = true;
	assert_answer(resolve(fx, 1), COMMITTED, NONE);
	assert_string_equal(fx->log, "rename a;sync inbox;");
	assert_file(inbox(fx, "a"), "hello");
}

static void where_it_cannot_go_back_it_is_in_doubt_until_recovery(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	fail_on(fx, "sync", "inbox", -EIO, 1);
	fx->fail_after = true;
	commit(fx, &a);
	assert_answer(a, IN_DOUBT, IO_ERROR);
	assert_answer(resolve(fx, 1), NOT_COMMITTED, IO_ERROR);
	assert_answer(resolve(fx, 1), NOT_COMMITTED, IO_ERROR);
	fx->fail_after = false;
	sink_reopen(fx);
	assert_answer(resolve(fx, 1), COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sink_test(a_name_that_an_outsider_took_meanwhile_is_left_alone),
		sink_test(an_outsider_may_take_the_second_name_too),
		sink_test(the_other_name_is_cut_between_characters),
		sink_test(a_part_that_lies_in_the_inbox_already_is_not_placed_twice),
		sink_test(a_failed_move_is_in_doubt_until_a_later_question_places_it),
		sink_test(a_failed_move_is_in_doubt_until_a_later_begin_places_it),
		sink_test(a_failed_sync_of_the_inbox_is_in_doubt_and_places_it_anew),
		sink_test(where_it_cannot_go_back_it_is_in_doubt_until_recovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
