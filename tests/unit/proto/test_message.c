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

static void hello_survives_and_may_be_longer(void **state)
{
	struct lb_hello hello = {.min_version = 1,
				.max_version = 3,
				.features = 0x80000003,
				.idle_ms = 60000},
			back;
	size_t len;

	(void)state;
	memcpy(hello.client, pair_client_id, 16);
	len = lb_hello_put(bytes, &hello);
	assert_int_equal(len, 36);
	assert_memory_equal(bytes, "LASTBYTE", 8);
	memset(bytes + len, 0xee, LB_GROW_MAX);
	assert_int_equal(lb_hello_get(bytes, len + LB_GROW_MAX, &back, &why), LB_FAILURE_NONE);
	assert_memory_equal(&hello, &back, sizeof hello);
}

static void a_hello_that_makes_no_sense_is_refused(void **state)
{
	static const struct lb_hello wrong[] = {
		{.min_version = 0, .max_version = 1, .idle_ms = 100},
		{.min_version = 2, .max_version = 1, .idle_ms = 100},
		{.min_version = 1, .max_version = 1, .idle_ms = 99},
	};
	struct lb_hello back;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		size_t len = lb_hello_put(bytes, &wrong[i]);

		assert_int_equal(lb_hello_get(bytes, len, &back, &why), LB_FAILURE_FRAME_CONTENT);
		assert_string_not_equal(why, "");
	}
	bytes[7] = 'X';
	assert_int_equal(lb_hello_get(bytes, 36, &back, &why), LB_FAILURE_NOT_LASTBYTE);
}

static struct lb_hello_ok some_hello_ok(void)
{
	return (struct lb_hello_ok){.version = 1,
		.features = 3,
		.ledger = pair_ledger,
		.max_delivery = LB_UNKNOWN,
		.max_undecided = 16,
		.idle_ms = 100};
}

static void hello_ok_survives(void **state)
{
	struct lb_hello_ok ok = some_hello_ok(), back;

	(void)state;
	memset(&back, 0, sizeof back);
	assert_int_equal(lb_hello_ok_put(bytes, &ok), 40);
	assert_int_equal(lb_hello_ok_get(bytes, 40, &back, &why), LB_FAILURE_NONE);
	assert_int_equal(back.version, 1);
	assert_int_equal(back.features, 3);
	assert_memory_equal(&back.ledger, &pair_ledger, 16);
	assert_true(back.max_delivery == LB_UNKNOWN);
	assert_int_equal(back.max_undecided, 16);
	assert_int_equal(back.idle_ms, 100);
}

static void a_hello_ok_that_makes_no_sense_is_refused(void **state)
{
	struct lb_hello_ok wrong[4], back;

	(void)state;
	for (int i = 0; i < 4; i++)
		wrong[i] = some_hello_ok();
	memset(&wrong[0].ledger, 0, 16);
	wrong[1].max_delivery = (uint64_t)INT64_MAX + 1;
	wrong[2].max_undecided = 0;
	wrong[3].idle_ms = 99;
	for (int i = 0; i < 4; i++) {
		lb_hello_ok_put(bytes, &wrong[i]);
		assert_int_equal(lb_hello_ok_get(bytes, 40, &back, &why), LB_FAILURE_FRAME_CONTENT);
	}
	wrong[0] = some_hello_ok();
	lb_hello_ok_put(bytes, &wrong[0]);
	bytes[3] = 1;
	assert_int_equal(lb_hello_ok_get(bytes, 40, &back, &why), LB_FAILURE_FRAME_CONTENT);
}

static void begin_survives(void **state)
{
	struct lb_begin begin = pair_begin(INT64_MAX, "\xc3\xa4.txt");
	size_t len;

	(void)state;
	begin.attempt = UINT32_MAX;
	begin.length = INT64_MAX;
	len = lb_begin_put(bytes, &begin);
	assert_int_equal(len, 53 + 6);
	assert_int_equal(lb_begin_get(bytes, len, &event, &why), LB_FAILURE_NONE);
	assert_memory_equal(&event.id, &begin.id, sizeof begin.id);
	assert_memory_equal(&event.ledger, &pair_ledger, 16);
	assert_true(event.attempt == UINT32_MAX);
	assert_true(event.length == INT64_MAX);
	assert_string_equal(event.name, begin.name);
}

static void a_begin_out_of_range_is_refused(void **state)
{
	struct lb_begin wrong[MANY];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		wrong[i] = pair_begin(1, "a");
	wrong[n++].id.number = 0;
	wrong[n++].id.number = (uint64_t)INT64_MAX + 1;
	memset(&wrong[n++].ledger, 0, 16);
	wrong[n++].attempt = 0;
	wrong[n++].length = (uint64_t)INT64_MAX + 1;
	wrong[n++].length = LB_UNKNOWN - 1;
	while (n-- > 0) {
		size_t len = lb_begin_put(bytes, &wrong[n]);

		assert_int_equal(lb_begin_get(bytes, len, &event, &why), LB_FAILURE_FRAME_CONTENT);
	}
}

static void a_begin_whose_name_is_not_as_long_as_said_is_refused(void **state)
{
	struct lb_begin begin = pair_begin(1, "abc");
	size_t len = lb_begin_put(bytes, &begin);

	(void)state;
	assert_int_equal(lb_begin_get(bytes, len - 1, &event, &why), LB_FAILURE_FRAME_LENGTH);
	assert_int_equal(lb_begin_get(bytes, len + 1, &event, &why), LB_FAILURE_FRAME_LENGTH);
}

static void a_bad_name_is_left_out_and_explained(void **state)
{
	static const char *const names[] = {"", "..", "a/b", "a\nb", "\xff", ".lastbyte"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct lb_begin begin = pair_begin(1, names[i]);
		size_t len = lb_begin_put(bytes, &begin);

		reset(state);
		len = lb_begin_put(bytes, &begin);
		assert_int_equal(lb_begin_get(bytes, len, &event, &why), LB_FAILURE_NONE);
		assert_string_equal(event.name, "");
		assert_string_not_equal(event.text, "");
	}
}

static void begin_ok_survives_and_knows_its_flags(void **state)
{
	(void)state;
	assert_int_equal(lb_begin_ok_put(bytes, 1234567890123, true), 12);
	assert_int_equal(lb_begin_ok_get(bytes, 12, &event, &why), LB_FAILURE_NONE);
	assert_true(event.offset == 1234567890123 && event.resumable);
	lb_begin_ok_put(bytes, 0, false);
	assert_int_equal(lb_begin_ok_get(bytes, 12, &event, &why), LB_FAILURE_NONE);
	assert_true(event.offset == 0 && !event.resumable);
	bytes[11] = 2;
	assert_int_equal(lb_begin_ok_get(bytes, 12, &event, &why), LB_FAILURE_FRAME_CONTENT);
}

static void commit_and_synced_survive(void **state)
{
	struct lb_digest digest = pair_digest(0x5a);

	(void)state;
	assert_int_equal(lb_commit_put(bytes, UINT64_MAX, &digest), 24);
	lb_commit_get(bytes, &event);
	assert_true(event.length == UINT64_MAX);
	assert_memory_equal(&event.digest, &digest, 16);
	assert_int_equal(lb_synced_put(bytes, 0x0102030405060708), 8);
	lb_synced_get(bytes, &event);
	assert_true(event.offset == 0x0102030405060708);
}

static void refused_takes_reasons_it_does_not_know_but_no_local_ones(void **state)
{
	static const struct {
		uint16_t reason;
		enum lb_failure failure;
	} cases[] = {{0, LB_FAILURE_FRAME_CONTENT}, {1, LB_FAILURE_NONE}, {999, LB_FAILURE_NONE},
		{1000, LB_FAILURE_FRAME_CONTENT}, {1002, LB_FAILURE_FRAME_CONTENT},
		{65535, LB_FAILURE_FRAME_CONTENT}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bytes[0] = (uint8_t)(cases[i].reason >> 8);
		bytes[1] = (uint8_t)cases[i].reason;
		assert_int_equal(lb_refused_get(bytes, 2, &event, &why), cases[i].failure);
	}
	assert_int_equal(lb_reason_verdict((enum lb_reason)999), LB_VERDICT_NOT_COMMITTED);
}

static void a_text_is_cleaned_on_both_ways(void **state)
{
	size_t len = lb_refused_put(bytes, LB_REASON_BUSY, "a\x1b[2J\xc2\x9b\xffz");

	(void)state;
	assert_int_equal(len, 2 + 8);
	assert_memory_equal(bytes + 2, "a?[2J??z", 8);
	memcpy(bytes + 2, "\0\n\xc3\xa4\x7f\xe2\x82", 7);
	assert_int_equal(lb_refused_get(bytes, 9, &event, &why), LB_FAILURE_NONE);
	assert_string_equal(event.text, "??\xc3\xa4???");
}

static void a_long_text_is_cut_between_characters(void **state)
{
	char text[300];

	(void)state;
	memset(text, 'x', sizeof text);
	memcpy(text + 254, "\xc3\xa4", 3);
	assert_int_equal(lb_error_put(bytes, LB_FAILURE_STATE, text), 2 + 254);
	memset(text, 'x', 255);
	text[255] = '\0';
	assert_int_equal(lb_error_put(bytes, LB_FAILURE_STATE, text), 2 + 255);
	lb_error_get(bytes, 257, &event);
	assert_int_equal(event.failure, LB_FAILURE_STATE);
	assert_string_equal(event.text, text);
}

static void resolve_and_settled_survive_and_want_a_number(void **state)
{
	struct lb_id id = pair_begin(77, "x").id;

	(void)state;
	assert_int_equal(lb_resolve_put(bytes, &id, &pair_ledger), 40);
	assert_int_equal(lb_resolve_get(bytes, 40, &event, &why), LB_FAILURE_NONE);
	assert_memory_equal(&event.id, &id, sizeof id);
	assert_memory_equal(&event.ledger, &pair_ledger, 16);
	assert_int_equal(lb_settled_put(bytes, &id), 24);
	assert_int_equal(lb_settled_get(bytes, 24, &event, &why), LB_FAILURE_NONE);
	assert_memory_equal(&event.id, &id, sizeof id);
	id.number = 0;
	lb_settled_put(bytes, &id);
	assert_int_equal(lb_settled_get(bytes, 24, &event, &why), LB_FAILURE_FRAME_CONTENT);
	assert_int_equal(lb_resolve_get(bytes, 40, &event, &why), LB_FAILURE_FRAME_CONTENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(hello_survives_and_may_be_longer, reset),
		cmocka_unit_test_setup(a_hello_that_makes_no_sense_is_refused, reset),
		cmocka_unit_test_setup(hello_ok_survives, reset),
		cmocka_unit_test_setup(a_hello_ok_that_makes_no_sense_is_refused, reset),
		cmocka_unit_test_setup(begin_survives, reset),
		cmocka_unit_test_setup(a_begin_out_of_range_is_refused, reset),
		cmocka_unit_test_setup(a_begin_whose_name_is_not_as_long_as_said_is_refused, reset),
		cmocka_unit_test_setup(a_bad_name_is_left_out_and_explained, reset),
		cmocka_unit_test_setup(begin_ok_survives_and_knows_its_flags, reset),
		cmocka_unit_test_setup(commit_and_synced_survive, reset),
		cmocka_unit_test_setup(refused_takes_reasons_it_does_not_know_but_no_local_ones, reset),
		cmocka_unit_test_setup(a_text_is_cleaned_on_both_ways, reset),
		cmocka_unit_test_setup(a_long_text_is_cut_between_characters, reset),
		cmocka_unit_test_setup(resolve_and_settled_survive_and_want_a_number, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
