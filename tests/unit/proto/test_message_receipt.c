/* SPDX-License-Identifier: MIT */
#include "pair.h"

#define MANY 10 /* cases of one table, at most */

static uint8_t bytes[LB_PAYLOAD_MAX + LB_REPLY_MAX];
static struct lb_event event;
static const char *why;

static int reset(void **state)
{
	(void)state;
	memset(bytes, 0, sizeof bytes);
	memset(&event, 0, sizeof event);
	why = "";
	return 0;
}

static void a_receipt_survives(void **state)
{
	struct lb_receipt receipt = pair_receipt(3, "name", INT64_MAX, pair_digest(9));
	size_t len;

	(void)state;
	receipt.committed_at = -5;
	len = lb_committed_put(bytes, &receipt, 0);
	assert_int_equal(len, 63 + 4);
	assert_int_equal(lb_committed_get(bytes, len, &event, &why), LB_FAILURE_NONE);
	assert_memory_equal(&event.receipt, &receipt, sizeof receipt);
	assert_int_equal(event.reply_len, 0);
	assert_null(event.reply);
}

static void a_receipt_of_a_moved_file_and_with_the_longest_names_survives(void **state)
{
	struct lb_receipt receipt = pair_receipt(3, "", 0, pair_digest(9));
	size_t len;

	(void)state;
	memset(receipt.name, 'n', LB_NAME_MAX);
	memset(receipt.placed, 'p', LB_NAME_MAX);
	len = lb_committed_put(bytes, &receipt, 0);
	assert_int_equal(len, 573);
	assert_int_equal(lb_committed_get(bytes, len, &event, &why), LB_FAILURE_NONE);
	assert_string_equal(event.receipt.name, receipt.name);
	assert_string_equal(event.receipt.placed, receipt.placed);
}

static void a_reply_is_found_behind_its_receipt(void **state)
{
	struct lb_receipt receipt = pair_receipt(3, "name", 1, pair_digest(9));
	size_t len = lb_committed_put(bytes, &receipt, LB_REPLY_MAX);

	(void)state;
	memset(bytes + len, 'r', LB_REPLY_MAX);
	assert_int_equal(lb_committed_get(bytes, len + LB_REPLY_MAX, &event, &why), LB_FAILURE_NONE);
	assert_int_equal(event.reply_len, LB_REPLY_MAX);
	assert_ptr_equal(event.reply, bytes + len);
}

static void a_reply_that_is_too_long_is_refused(void **state)
{
	struct lb_receipt receipt = pair_receipt(3, "n", 1, pair_digest(9));
	size_t len = lb_committed_put(bytes, &receipt, LB_REPLY_MAX + 1);

	(void)state;
	assert_int_equal(
		lb_committed_get(bytes, len + LB_REPLY_MAX + 1, &event, &why), LB_FAILURE_FRAME_CONTENT);
}

static void a_receipt_cut_or_stretched_anywhere_is_refused(void **state)
{
	struct lb_receipt receipt = pair_receipt(3, "a name of some length", 1, pair_digest(9));
	size_t len;

	(void)state;
	memcpy(receipt.placed, "another", 8);
	len = lb_committed_put(bytes, &receipt, 0);
	for (size_t cut = 64; cut < len + 3; cut++)
		if (cut != len)
			assert_int_equal(lb_committed_get(bytes, cut, &event, &why), LB_FAILURE_FRAME_LENGTH);
}

static void a_receipt_out_of_range_is_refused(void **state)
{
	struct lb_receipt wrong[MANY];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		wrong[i] = pair_receipt(1, "a", 1, pair_digest(1));
	wrong[n++].id.number = 0;
	wrong[n++].length = (uint64_t)INT64_MAX + 1;
	wrong[n++].durability = (enum lb_durability)2;
	wrong[n++].name[0] = '/';
	wrong[n++].placed[0] = '\n';
	while (n-- > 0) {
		size_t len = lb_committed_put(bytes, &wrong[n], 0);

		assert_int_equal(lb_committed_get(bytes, len, &event, &why), LB_FAILURE_FRAME_CONTENT);
	}
}

static void each_kind_of_resolved_survives(void **state)
{
	struct lb_receipt receipt = pair_receipt(3, "name", 5, pair_digest(9));
	size_t len = lb_resolved_put(bytes, LB_VERDICT_COMMITTED, LB_REASON_NONE, &receipt, 0);

	(void)state;
	assert_int_equal(len, 4 + 63 + 4);
	assert_int_equal(lb_resolved_get(bytes, len, &event, &why), LB_FAILURE_NONE);
	assert_int_equal(event.verdict, LB_VERDICT_COMMITTED);
	assert_memory_equal(&event.receipt, &receipt, sizeof receipt);
	assert_int_equal(lb_resolved_put(bytes, LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED, NULL, 0), 4);
	assert_int_equal(lb_resolved_get(bytes, 4, &event, &why), LB_FAILURE_NONE);
	assert_int_equal(event.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(event.reason, LB_REASON_FENCED);
	lb_resolved_put(bytes, LB_VERDICT_FORGOTTEN, LB_REASON_FORGOTTEN, NULL, 0);
	assert_int_equal(lb_resolved_get(bytes, 4, &event, &why), LB_FAILURE_NONE);
	assert_int_equal(event.verdict, LB_VERDICT_FORGOTTEN);
}

static void a_resolved_that_makes_no_sense_is_refused(void **state)
{
	static const struct {
		uint8_t head[4];
		size_t len;
		enum lb_failure failure;
	} wrong[] = {
		{{0, 0, 0, 0}, 4, LB_FAILURE_FRAME_CONTENT},
		{{4, 0, 0, 0}, 4, LB_FAILURE_FRAME_CONTENT},
		{{2, 1, 0, 5}, 4, LB_FAILURE_FRAME_CONTENT},
		{{2, 0, 0x03, 0xe8}, 4, LB_FAILURE_FRAME_CONTENT},
		{{1, 0, 0, 5}, 71, LB_FAILURE_FRAME_CONTENT},
		{{1, 0, 0, 0}, 4, LB_FAILURE_FRAME_LENGTH},
		{{1, 0, 0, 0}, 67, LB_FAILURE_FRAME_LENGTH},
		{{2, 0, 0, 5}, 5, LB_FAILURE_FRAME_LENGTH},
		{{3, 0, 0, 30}, 71, LB_FAILURE_FRAME_LENGTH},
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		memcpy(bytes, wrong[i].head, 4);
		assert_int_equal(lb_resolved_get(bytes, wrong[i].len, &event, &why), wrong[i].failure);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_receipt_survives, reset),
		cmocka_unit_test_setup(a_receipt_of_a_moved_file_and_with_the_longest_names_survives, reset),
		cmocka_unit_test_setup(a_reply_is_found_behind_its_receipt, reset),
		cmocka_unit_test_setup(a_reply_that_is_too_long_is_refused, reset),
		cmocka_unit_test_setup(a_receipt_cut_or_stretched_anywhere_is_refused, reset),
		cmocka_unit_test_setup(a_receipt_out_of_range_is_refused, reset),
		cmocka_unit_test_setup(each_kind_of_resolved_survives, reset),
		cmocka_unit_test_setup(a_resolved_that_makes_no_sense_is_refused, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
