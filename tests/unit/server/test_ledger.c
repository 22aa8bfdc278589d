/* SPDX-License-Identifier: MIT */
#include "ledger_fixture.h"
#include <errno.h>
#include <lastbyte/conn.h>

static void a_number_that_was_never_seen_is_unseen(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(looked(fx, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(looked(fx, LB_NUMBERS_OPEN_MAX), LB_LEDGER_UNSEEN);
}

static void a_commit_keeps_its_receipt(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipt = receipt_of(7), stored;
	enum lb_ledger_state answer;

	snprintf(receipt.placed, sizeof receipt.placed, "another name");
	assert_int_equal(lb_ledger_commit(fx->ledger, &receipt, &answer, 1), 0);
	assert_int_equal(answer, LB_LEDGER_UNSEEN);
	ledger_reopen(fx);
	assert_int_equal(lb_ledger_look(fx->ledger, &receipt.id, &answer, &stored), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_receipt_equal(&stored, &receipt);
	assert_memory_equal(&stored.ledger, lb_ledger_uuid(fx->ledger), sizeof stored.ledger);
}

static void a_second_commit_of_an_id_is_told_of_the_first(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt first = receipt_of(1), second = receipt_of(1);
	enum lb_ledger_state answer;

	assert_int_equal(lb_ledger_commit(fx->ledger, &first, &answer, 1), 0);
	second.length = 1;
	snprintf(second.name, sizeof second.name, "another");
	assert_int_equal(lb_ledger_commit(fx->ledger, &second, &answer, 1), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_receipt_equal(&second, &first);
}

static void many_commit_together_and_each_gets_its_own_answer(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipts[] = {receipt_of(1), receipt_of(2), receipt_of(3), receipt_of(4)};
	enum lb_ledger_state states[4];

	assert_int_equal(committed(fx, 2), LB_LEDGER_UNSEEN);
	assert_int_equal(fenced(fx, 3), LB_LEDGER_FENCED);
	assert_int_equal(lb_ledger_commit(fx->ledger, receipts, states, 4), 0);
	assert_int_equal(states[0], LB_LEDGER_UNSEEN);
	assert_int_equal(states[1], LB_LEDGER_COMMITTED);
	assert_int_equal(states[2], LB_LEDGER_FENCED);
	assert_int_equal(states[3], LB_LEDGER_UNSEEN);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	assert_int_equal(looked(fx, 4), LB_LEDGER_COMMITTED);
}

static void what_was_fenced_never_commits(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(fenced(fx, 1), LB_LEDGER_FENCED);
	assert_int_equal(fenced(fx, 1), LB_LEDGER_FENCED);
	ledger_reopen(fx);
	assert_int_equal(committed(fx, 1), LB_LEDGER_FENCED);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FENCED);
}

static void a_fence_after_the_commit_returns_the_receipt(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipt = receipt_of(1), stored;
	enum lb_ledger_state answer;

	assert_int_equal(lb_ledger_commit(fx->ledger, &receipt, &answer, 1), 0);
	assert_int_equal(lb_ledger_fence(fx->ledger, &receipt.id, &answer, &stored), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_receipt_equal(&stored, &receipt);
}

static void numbers_far_beyond_the_lowest_open_one_get_no_row(void **state)
{
	struct fixture *fx = *state;
	uint64_t beyond = 1 + LB_NUMBERS_OPEN_MAX;

	assert_int_equal(looked(fx, beyond), LB_LEDGER_BEYOND);
	assert_int_equal(fenced(fx, beyond), LB_LEDGER_BEYOND);
	assert_int_equal(committed(fx, beyond), LB_LEDGER_BEYOND);
	settle(fx, 2);
	assert_int_equal(looked(fx, beyond), LB_LEDGER_UNSEEN);
	assert_int_equal(looked(fx, beyond + 1), LB_LEDGER_BEYOND);
}

static void a_settled_number_without_a_row_never_gets_one(void **state)
{
	struct fixture *fx = *state;

	settle(fx, 5);
	assert_int_equal(looked(fx, 4), LB_LEDGER_SETTLED);
	assert_int_equal(committed(fx, 4), LB_LEDGER_SETTLED);
	assert_int_equal(fenced(fx, 4), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 4), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 5), LB_LEDGER_UNSEEN);
	ledger_reopen(fx);
	assert_int_equal(looked(fx, 4), LB_LEDGER_SETTLED);
}

static void settled_rows_are_kept_for_a_while(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	fenced(fx, 2);
	committed(fx, 3);
	settle(fx, LB_LEDGER_KEPT + 1);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	settle(fx, LB_LEDGER_KEPT + 3);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 2), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 3), LB_LEDGER_COMMITTED);
	assert_int_equal(looked(fx, 4), LB_LEDGER_SETTLED);
}

static void what_is_forgotten_never_commits_a_second_time(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	settle(fx, LB_LEDGER_KEPT + 2);
	assert_int_equal(committed(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(fenced(fx, 1), LB_LEDGER_FORGOTTEN);
	ledger_reopen(fx);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
}

static void the_lowest_open_number_never_sinks(void **state)
{
	struct fixture *fx = *state;

	settle(fx, LB_LEDGER_KEPT + 10);
	settle(fx, 2);
	assert_int_equal(looked(fx, LB_LEDGER_KEPT + 9), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 9), LB_LEDGER_FORGOTTEN);
}

static void clients_do_not_touch_each_other(void **state)
{
	struct fixture *fx = *state;
	struct lb_id other = {.client = {1}, .number = 1};
	enum lb_ledger_state answer;
	struct lb_receipt receipt;

	committed(fx, 1);
	settle(fx, 5000);
	assert_int_equal(lb_ledger_look(fx->ledger, &other, &answer, &receipt), 0);
	assert_int_equal(answer, LB_LEDGER_UNSEEN);
	assert_int_equal(lb_ledger_fence(fx->ledger, &other, &answer, &receipt), 0);
	assert_int_equal(answer, LB_LEDGER_FENCED);
	settle(fx, 9000);
	assert_int_equal(lb_ledger_look(fx->ledger, &other, &answer, &receipt), 0);
	assert_int_equal(answer, LB_LEDGER_FENCED);
}

static void numbers_that_no_client_counts_to_have_no_place(void **state)
{
	struct fixture *fx = *state;

	assert_int_not_equal(committed(fx, 0), LB_LEDGER_UNSEEN);
	assert_int_equal(committed(fx, UINT64_MAX), LB_LEDGER_BEYOND);
	assert_int_equal(fenced(fx, UINT64_MAX), LB_LEDGER_BEYOND);
	assert_int_equal(looked(fx, UINT64_MAX), LB_LEDGER_BEYOND);
	settle(fx, UINT64_MAX);
	assert_int_equal(looked(fx, INT64_MAX), LB_LEDGER_UNSEEN);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
}

static void another_place_is_written_into_the_receipt(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipt = receipt_of(1), stored;
	enum lb_ledger_state answer;

	committed(fx, 1);
	committed(fx, 2);
	assert_int_equal(lb_ledger_placed(fx->ledger, &receipt.id, "elsewhere"), 0);
	assert_int_equal(lb_ledger_look(fx->ledger, &receipt.id, &answer, &stored), 0);
	snprintf(receipt.placed, sizeof receipt.placed, "elsewhere");
	assert_receipt_equal(&stored, &receipt);
	receipt = receipt_of(2);
	assert_int_equal(lb_ledger_look(fx->ledger, &receipt.id, &answer, &stored), 0);
	assert_receipt_equal(&stored, &receipt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(a_number_that_was_never_seen_is_unseen),
		ledger_test(a_commit_keeps_its_receipt),
		ledger_test(a_second_commit_of_an_id_is_told_of_the_first),
		ledger_test(many_commit_together_and_each_gets_its_own_answer),
		ledger_test(what_was_fenced_never_commits),
		ledger_test(a_fence_after_the_commit_returns_the_receipt),
		ledger_test(numbers_far_beyond_the_lowest_open_one_get_no_row),
		ledger_test(a_settled_number_without_a_row_never_gets_one),
		ledger_test(settled_rows_are_kept_for_a_while),
		ledger_test(what_is_forgotten_never_commits_a_second_time),
		ledger_test(the_lowest_open_number_never_sinks),
		ledger_test(clients_do_not_touch_each_other),
		ledger_test(numbers_that_no_client_counts_to_have_no_place),
		ledger_test(another_place_is_written_into_the_receipt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
