/* SPDX-License-Identifier: MIT */
#include "sink_fixture.h"

static void a_delivery_appears_only_when_it_is_committed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	assert_false(exists(inbox(fx, "a")));
	commit(fx, &intake);
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
	assert_false(exists(part_path(fx, 1, "")));
}

static void the_receipt_says_what_was_committed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx, 1, "a", "hello");

	assert_int_equal(intake.receipt.id.number, 1);
	assert_memory_equal(&intake.receipt.ledger, lb_sink_ledger(fx->sink), sizeof intake.receipt.ledger);
	assert_int_equal(intake.receipt.length, 5);
	assert_memory_equal(&intake.receipt.digest, &intake.digest, sizeof intake.digest);
	assert_true(intake.receipt.committed_at > INT64_C(1700000000000000000));
	assert_int_equal(intake.receipt.durability, fx->sink->durability);
	assert_string_equal(intake.receipt.name, "a");
	assert_string_equal(intake.receipt.placed, "a");
}

static void an_empty_delivery_is_a_file_too(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx, 1, "a", "");

	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "");
}

static void many_pieces_make_one_file(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "one ");
	take_in(fx, &intake, "two ");
	take_in(fx, &intake, "three");
	assert_int_equal(intake.received, 13);
	commit(fx, &intake);
	assert_file(inbox(fx, "a"), "one two three");
}

static void what_is_rolled_back_leaves_nothing_and_can_come_again(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "half of");
	fx->sink->ops->rollback(fx->sink, &intake);
	assert_false(exists(inbox(fx, "a")));
	assert_false(exists(part_path(fx, 1, "")));
	intake = deliver(fx, 1, "a", "whole");
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "whole");
}

static void the_same_id_again_gets_its_receipt_and_is_not_stored_twice(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake first = deliver(fx, 1, "a", "hello"), again;

	assert_int_equal(unlink(inbox(fx, "a")), 0); /* somebody has fetched it */
	begin(fx, &again, 1, "a");
	assert_answer(again, COMMITTED, NONE);
	assert_int_equal(again.receipt.committed_at, first.receipt.committed_at);
	assert_memory_equal(&again.receipt.digest, &first.receipt.digest, sizeof again.receipt.digest);
	assert_false(exists(inbox(fx, "a")));
}

static void the_same_id_with_another_name_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx, 1, "a", "hello");

	begin(fx, &intake, 1, "b");
	assert_answer(intake, REFUSED, DIFFERENT);
}

static void the_same_id_with_another_length_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx, 1, "a", "hello");

	intake.declared = 6;
	fx->sink->ops->begin(fx->sink, &intake);
	assert_answer(intake, REFUSED, DIFFERENT);
	intake.declared = 5;
	fx->sink->ops->begin(fx->sink, &intake);
	assert_answer(intake, COMMITTED, NONE);
}

static void a_name_that_exists_is_refused_and_left_alone(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	put_file(inbox(fx, "a"), "theirs");
	begin(fx, &intake, 1, "a");
	assert_answer(intake, REFUSED, NAME_EXISTS);
	assert_int_equal(symlink("nowhere", inbox(fx, "b")), 0);
	begin(fx, &intake, 1, "b");
	assert_answer(intake, REFUSED, NAME_EXISTS);
	assert_file(inbox(fx, "a"), "theirs");
}

static void what_the_ledger_knows_of_an_id_is_said_before_what_is_wrong_with_its_name(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	put_file(inbox(fx, "a"), "theirs");
	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, REFUSED, FENCED);
}

static void a_name_is_reserved_until_the_delivery_has_ended(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake first, second;

	begin(fx, &first, 1, "a");
	begin(fx, &second, 2, "a");
	assert_answer(second, NOT_COMMITTED, BUSY); /* the first may come to nothing */
	fx->sink->ops->rollback(fx->sink, &first);
	begin(fx, &second, 2, "a");
	assert_answer(second, UNPROVEN, NONE);
	fx->sink->ops->rollback(fx->sink, &second);
}

static void an_id_that_is_being_received_is_busy(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake first, second;

	begin_full(fx, &first, 1, "a", "hello");
	begin(fx, &second, 1, "a");
	assert_answer(second, NOT_COMMITTED, BUSY);
	commit(fx, &first);
	assert_answer(first, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
}

static void a_name_that_leads_elsewhere_is_refused(void **state)
{
	static const char *const names[] = {"../a", "b/c", ".", "..", "", ".lastbyte", "\n"};
	struct fixture *fx = *state;
	struct lb_intake intake;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		begin(fx, &intake, 1, names[i]);
		assert_answer(intake, REFUSED, BAD_NAME);
	}
}

static void a_name_that_the_file_system_cannot_hold_is_refused_before_commit(void **state)
{
	static const int errs[] = {-ENAMETOOLONG, -EINVAL, -EILSEQ};
	struct fixture *fx = *state;
	struct lb_intake intake;

	for (size_t i = 0; i < 3; i++) {
		fail_on(fx, "open", "a", errs[i], 1);
		begin(fx, &intake, 1, "a");
		assert_answer(intake, REFUSED, BAD_NAME);
		assert_false(exists(part_path(fx, 1, "")));
	}
}

static void a_name_of_255_bytes_is_fine(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;
	char name[256];

	memset(name, 'x', 255);
	name[255] = '\0';
	intake = deliver(fx, 1, name, "hello");
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, name), "hello");
}

static void a_part_of_an_earlier_attempt_is_removed_first(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	assert_int_equal(mkdir(part_path(fx, 1, ""), 0777), 0);
	put_file(part_path(fx, 1, "a"), "a longer one of before");
	put_file(part_path(fx, 1, "b"), "and more");
	intake = deliver(fx, 1, "a", "hello");
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
}

static void a_full_disk_is_told_at_begin_and_at_write(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	fail_on(fx, "mkdir", CLIENT_HEX "-1", -ENOSPC, 1);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, NOT_COMMITTED, DISK_FULL);
	fail_on(fx, "open", "a", -EDQUOT, 1);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, NOT_COMMITTED, DISK_FULL);
	begin(fx, &intake, 1, "a");
	fail_on(fx, "write", "a", -ENOSPC, 1);
	assert_int_equal(fx->sink->ops->write(fx->sink, &intake, "x", 1), LB_REASON_DISK_FULL);
	assert_int_equal(intake.received, 0);
	fx->sink->ops->rollback(fx->sink, &intake);
	intake = deliver(fx, 1, "a", "hello");
	assert_answer(intake, COMMITTED, NONE);
}

static void other_errors_are_told_as_such(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	fail_on(fx, "open", "a", -EIO, 1);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, NOT_COMMITTED, IO_ERROR);
	fail_on(fx, "mkdir", CLIENT_HEX "-1", -EINVAL, 1);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, NOT_COMMITTED, IO_ERROR);
	begin(fx, &intake, 1, "a");
	fail_on(fx, "write", "a", -EIO, 1);
	assert_int_equal(fx->sink->ops->write(fx->sink, &intake, "x", 1), LB_REASON_IO_ERROR);
	fx->sink->ops->rollback(fx->sink, &intake);
}

static void a_question_fences_what_was_never_committed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, REFUSED, FENCED);
	sink_reopen(fx);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, REFUSED, FENCED);
}

static void a_fence_before_the_commit_wins(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	assert_true(exists(part_path(fx, 1, "a"))); /* the live attempt's own */
	commit(fx, &intake);
	assert_answer(intake, REFUSED, FENCED);
	assert_false(exists(inbox(fx, "a")));
	assert_false(exists(part_path(fx, 1, "")));
}

static void a_commit_before_the_fence_wins(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx, 1, "a", "hello");
	struct lb_resolution resolution = resolve(fx, 1);

	assert_answer(resolution, COMMITTED, NONE);
	assert_memory_equal(&resolution.receipt.digest, &intake.digest, sizeof intake.digest);
	assert_string_equal(resolution.receipt.placed, "a");
}

static void a_fence_removes_what_an_attempt_in_doubt_has_left(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(mkdir(part_path(fx, 1, ""), 0777), 0);
	put_file(part_path(fx, 1, "a"), "left");
	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	assert_false(exists(part_path(fx, 1, "")));
}

static void settled_and_forgotten_are_different_answers(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx, 1, "a", "hello");

	settle(fx, LB_LEDGER_KEEP + LB_LEDGER_STEP);
	assert_answer(resolve(fx, 1), FORGOTTEN, FORGOTTEN);
	assert_answer(resolve(fx, LB_LEDGER_STEP + 9), ROLLED_BACK, SETTLED);
	begin(fx, &intake, 1, "a");
	assert_answer(intake, FORGOTTEN, FORGOTTEN);
	begin(fx, &intake, LB_LEDGER_STEP + 9, "b");
	assert_answer(intake, REFUSED, SETTLED);
}

static void too_many_open_numbers_have_to_be_settled_first(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin(fx, &intake, 1025, "a");
	assert_answer(intake, NOT_COMMITTED, SETTLE_FIRST);
	assert_answer(resolve(fx, 1025), NOT_COMMITTED, SETTLE_FIRST);
	settle(fx, 2);
	intake = deliver(fx, 1025, "a", "hello");
	assert_answer(intake, COMMITTED, NONE);
}

static void what_is_settled_while_it_is_received_does_not_commit(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake settled, forgotten;

	begin_full(fx, &settled, 1000, "a", "hello");
	begin_full(fx, &forgotten, 1, "b", "hello");
	settle(fx, 1500);
	commit(fx, &settled);
	commit(fx, &forgotten);
	assert_answer(settled, REFUSED, SETTLED);
	assert_answer(forgotten, FORGOTTEN, FORGOTTEN);
	assert_false(exists(inbox(fx, "a")));
	assert_false(exists(inbox(fx, "b")));
}

static void a_planted_bug_answers_without_a_fence(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	lb_test_bug = "fence_not_durable";
	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	lb_test_bug = NULL;
	intake = deliver(fx, 1, "a", "hello");
	assert_answer(intake, COMMITTED, NONE);
}

static void a_planted_bug_stores_an_id_twice(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	deliver(fx, 1, "a", "hello");
	lb_test_bug = "no_ledger_row_check";
	intake = deliver(fx, 1, "a", "hello");
	lb_test_bug = NULL;
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a~" CLIENT_HEX "-1"), "hello");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sink_test(a_delivery_appears_only_when_it_is_committed),
		sink_test(the_receipt_says_what_was_committed),
		sink_test(an_empty_delivery_is_a_file_too),
		sink_test(many_pieces_make_one_file),
		sink_test(what_is_rolled_back_leaves_nothing_and_can_come_again),
		sink_test(the_same_id_again_gets_its_receipt_and_is_not_stored_twice),
		sink_test(the_same_id_with_another_name_is_refused),
		sink_test(the_same_id_with_another_length_is_refused),
		sink_test(a_name_that_exists_is_refused_and_left_alone),
		sink_test(what_the_ledger_knows_of_an_id_is_said_before_what_is_wrong_with_its_name),
		sink_test(a_name_is_reserved_until_the_delivery_has_ended),
		sink_test(an_id_that_is_being_received_is_busy),
		sink_test(a_name_that_leads_elsewhere_is_refused),
		sink_test(a_name_that_the_file_system_cannot_hold_is_refused_before_commit),
		sink_test(a_name_of_255_bytes_is_fine),
		sink_test(a_part_of_an_earlier_attempt_is_removed_first),
		sink_test(a_full_disk_is_told_at_begin_and_at_write),
		sink_test(other_errors_are_told_as_such),
		sink_test(a_question_fences_what_was_never_committed),
		sink_test(a_fence_before_the_commit_wins),
		sink_test(a_commit_before_the_fence_wins),
		sink_test(a_fence_removes_what_an_attempt_in_doubt_has_left),
		sink_test(settled_and_forgotten_are_different_answers),
		sink_test(too_many_open_numbers_have_to_be_settled_first),
		sink_test(what_is_settled_while_it_is_received_does_not_commit),
		sink_test(a_planted_bug_answers_without_a_fence),
		sink_test(a_planted_bug_stores_an_id_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
