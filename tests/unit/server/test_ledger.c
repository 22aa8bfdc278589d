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
	struct lb_ledger_entry entry = {.receipt = receipt_of(7)};
	struct lb_receipt stored;
	enum lb_ledger_state answer;

	snprintf(entry.receipt.placed, sizeof entry.receipt.placed, "another name");
	assert_int_equal(lb_ledger_commit(fx->ledger, &entry, 1), 0);
	assert_int_equal(entry.state, LB_LEDGER_UNSEEN);
	ledger_reopen(fx);
	assert_int_equal(lb_ledger_look(fx->ledger, &entry.receipt.id, &answer, &stored, NULL), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_receipt_equal(&stored, &entry.receipt);
	assert_memory_equal(&stored.ledger, lb_ledger_uuid(fx->ledger), sizeof stored.ledger);
}

static void a_second_commit_of_an_id_is_told_of_the_first(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry second = {.receipt = receipt_of(1)};
	struct lb_receipt first = receipt_of(1);

	committed(fx, 1);
	second.receipt.length = 1;
	snprintf(second.receipt.name, sizeof second.receipt.name, "another");
	assert_int_equal(lb_ledger_commit(fx->ledger, &second, 1), 0);
	assert_int_equal(second.state, LB_LEDGER_COMMITTED);
	assert_receipt_equal(&second.receipt, &first);
}

static struct lb_ledger_reply reply_of(const char *text)
{
	struct lb_ledger_reply reply = {.bytes = strdup(text), .len = strlen(text)};

	assert_non_null(reply.bytes);
	return reply;
}

static void assert_reply(struct lb_ledger_reply *reply, const char *text)
{
	assert_int_equal(reply->len, strlen(text));
	assert_memory_equal(reply->bytes, text, reply->len);
	free(reply->bytes);
	*reply = (struct lb_ledger_reply){0};
}

static void a_reply_comes_back_with_every_receipt_and_is_never_replaced(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry first = {.receipt = receipt_of(1), .reply = reply_of("done")};
	struct lb_ledger_entry second = {.receipt = receipt_of(1), .reply = reply_of("done again")};
	struct lb_ledger_reply reply;
	struct lb_receipt stored;
	enum lb_ledger_state answer;

	assert_int_equal(lb_ledger_commit(fx->ledger, &first, 1), 0);
	assert_reply(&first.reply, "done");
	assert_int_equal(lb_ledger_commit(fx->ledger, &second, 1), 0);
	assert_int_equal(second.state, LB_LEDGER_COMMITTED);
	assert_reply(&second.reply, "done");
	ledger_reopen(fx);
	assert_int_equal(lb_ledger_look(fx->ledger, &first.receipt.id, &answer, &stored, &reply), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_reply(&reply, "done");
	assert_int_equal(lb_ledger_fence(fx->ledger, &first.receipt.id, &answer, &stored, &reply), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_reply(&reply, "done");
}

static void what_never_commits_has_no_reply(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry late = {.receipt = receipt_of(1), .reply = reply_of("too late")};
	struct lb_ledger_reply reply;
	struct lb_receipt stored;
	enum lb_ledger_state answer;

	assert_int_equal(lb_ledger_fence(fx->ledger, &late.receipt.id, &answer, &stored, &reply), 0);
	assert_null(reply.bytes);
	assert_int_equal(lb_ledger_commit(fx->ledger, &late, 1), 0);
	assert_int_equal(late.state, LB_LEDGER_FENCED);
	assert_null(late.reply.bytes);
	assert_int_equal(lb_ledger_look(fx->ledger, &late.receipt.id, &answer, &stored, &reply), 0);
	assert_null(reply.bytes);
}

static void many_commit_together_and_each_gets_its_own_answer(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry entries[4];

	for (unsigned i = 0; i < 4; i++)
		entries[i] = (struct lb_ledger_entry){.receipt = receipt_of(i + 1)};
	assert_int_equal(committed(fx, 2), LB_LEDGER_UNSEEN);
	assert_int_equal(fenced(fx, 3), LB_LEDGER_FENCED);
	assert_int_equal(lb_ledger_commit(fx->ledger, entries, 4), 0);
	assert_int_equal(entries[0].state, LB_LEDGER_UNSEEN);
	assert_int_equal(entries[1].state, LB_LEDGER_COMMITTED);
	assert_int_equal(entries[2].state, LB_LEDGER_FENCED);
	assert_int_equal(entries[3].state, LB_LEDGER_UNSEEN);
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

	committed(fx, 1);
	assert_int_equal(lb_ledger_fence(fx->ledger, &receipt.id, &answer, &stored, NULL), 0);
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
	committed(fx, LB_LEDGER_STEP);
	settle(fx, LB_LEDGER_KEEP + LB_LEDGER_STEP - 1);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	settle(fx, LB_LEDGER_KEEP + LB_LEDGER_STEP);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 2), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, LB_LEDGER_STEP), LB_LEDGER_COMMITTED);
	assert_int_equal(looked(fx, LB_LEDGER_STEP + 1), LB_LEDGER_SETTLED);
}

static void what_is_forgotten_never_commits_a_second_time(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	settle(fx, LB_LEDGER_KEEP + LB_LEDGER_STEP);
	assert_int_equal(committed(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(fenced(fx, 1), LB_LEDGER_FORGOTTEN);
	ledger_reopen(fx);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
}

static void the_lowest_open_number_never_sinks(void **state)
{
	struct fixture *fx = *state;

	settle(fx, LB_LEDGER_KEEP + 10);
	settle(fx, 2);
	assert_int_equal(looked(fx, LB_LEDGER_KEEP + 9), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 9), LB_LEDGER_FORGOTTEN);
}

static void keep(struct fixture *fx, unsigned numbers)
{
	fx->options.keep = numbers;
	ledger_reopen(fx);
}

static void how_many_are_kept_is_a_setting_that_the_ledger_remembers(void **state)
{
	struct fixture *fx = *state;

	keep(fx, 2);
	for (uint64_t number = 1; number <= 5; number++)
		committed(fx, number);
	settle(fx, 4);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 2), LB_LEDGER_COMMITTED);
	keep(fx, 0); /* none is set: as it says there */
	settle(fx, 5);
	assert_int_equal(looked(fx, 2), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 3), LB_LEDGER_COMMITTED);
	assert_int_equal(looked(fx, 6), LB_LEDGER_UNSEEN);
}

static void what_is_forgotten_stays_so_when_more_is_kept_from_now_on(void **state)
{
	struct fixture *fx = *state;

	keep(fx, 1);
	committed(fx, 1);
	settle(fx, 9);
	assert_int_equal(looked(fx, 7), LB_LEDGER_FORGOTTEN);
	keep(fx, 100);
	assert_int_equal(looked(fx, 7), LB_LEDGER_FORGOTTEN);
	settle(fx, 12);
	assert_int_equal(committed(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 7), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 8), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 12), LB_LEDGER_UNSEEN);
}

static void what_was_kept_is_forgotten_with_the_next_settling_when_less_is(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	committed(fx, 8);
	settle(fx, 9);
	keep(fx, 3);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	assert_int_equal(looked(fx, 2), LB_LEDGER_SETTLED);
	settle(fx, 10);
	assert_int_equal(looked(fx, 1), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 2), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 7), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 8), LB_LEDGER_COMMITTED);
}

static void clients_do_not_touch_each_other(void **state)
{
	struct fixture *fx = *state;
	struct lb_id other = {.client = {1}, .number = 1};
	enum lb_ledger_state answer;
	struct lb_receipt receipt;

	committed(fx, 1);
	settle(fx, 5000);
	assert_int_equal(lb_ledger_look(fx->ledger, &other, &answer, &receipt, NULL), 0);
	assert_int_equal(answer, LB_LEDGER_UNSEEN);
	assert_int_equal(lb_ledger_fence(fx->ledger, &other, &answer, &receipt, NULL), 0);
	assert_int_equal(answer, LB_LEDGER_FENCED);
	settle(fx, 9000);
	assert_int_equal(lb_ledger_look(fx->ledger, &other, &answer, &receipt, NULL), 0);
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
	assert_int_equal(lb_ledger_look(fx->ledger, &receipt.id, &answer, &stored, NULL), 0);
	snprintf(receipt.placed, sizeof receipt.placed, "elsewhere");
	assert_receipt_equal(&stored, &receipt);
	receipt = receipt_of(2);
	assert_int_equal(lb_ledger_look(fx->ledger, &receipt.id, &answer, &stored, NULL), 0);
	assert_receipt_equal(&stored, &receipt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(a_number_that_was_never_seen_is_unseen),
		ledger_test(a_commit_keeps_its_receipt),
		ledger_test(a_second_commit_of_an_id_is_told_of_the_first),
		ledger_test(a_reply_comes_back_with_every_receipt_and_is_never_replaced),
		ledger_test(what_never_commits_has_no_reply),
		ledger_test(many_commit_together_and_each_gets_its_own_answer),
		ledger_test(what_was_fenced_never_commits),
		ledger_test(a_fence_after_the_commit_returns_the_receipt),
		ledger_test(numbers_far_beyond_the_lowest_open_one_get_no_row),
		ledger_test(a_settled_number_without_a_row_never_gets_one),
		ledger_test(settled_rows_are_kept_for_a_while),
		ledger_test(what_is_forgotten_never_commits_a_second_time),
		ledger_test(the_lowest_open_number_never_sinks),
		ledger_test(how_many_are_kept_is_a_setting_that_the_ledger_remembers),
		ledger_test(what_is_forgotten_stays_so_when_more_is_kept_from_now_on),
		ledger_test(what_was_kept_is_forgotten_with_the_next_settling_when_less_is),
		ledger_test(clients_do_not_touch_each_other),
		ledger_test(numbers_that_no_client_counts_to_have_no_place),
		ledger_test(another_place_is_written_into_the_receipt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
