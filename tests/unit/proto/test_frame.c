/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "proto/frame.h"
#include <string.h>

static void a_header_is_twelve_bytes_big_endian(void **state)
{
	static const uint8_t expected[] = {0x05, 0, 0, 0, 0x01, 0x02, 0x03, 0x04, 0x00, 0x0f, 0xff, 0xfe};
	uint8_t bytes[LB_HEADER_BYTES];
	struct lb_header header;

	(void)state;
	lb_header_put(bytes, LB_FRAME_DATA, 0x01020304, 0xffffe);
	assert_memory_equal(bytes, expected, sizeof expected);
	lb_header_get(bytes, &header);
	assert_int_equal(header.type, LB_FRAME_DATA);
	assert_int_equal(header.handle, 0x01020304);
	assert_int_equal(header.length, 0xffffe);
	assert_true(header.zeroed);
}

static void each_byte_that_must_be_zero_is_looked_at(void **state)
{
	uint8_t bytes[LB_HEADER_BYTES];
	struct lb_header header;

	(void)state;
	for (int i = 1; i < 4; i++) {
		lb_header_put(bytes, LB_FRAME_PING, 0, 8);
		bytes[i] = 1;
		lb_header_get(bytes, &header);
		assert_false(header.zeroed);
	}
}

static void the_types_are_those_of_the_specification(void **state)
{
	(void)state;
	assert_int_equal(LB_FRAME_HELLO, 0x01);
	assert_int_equal(LB_FRAME_BEGIN_OK, 0x04);
	assert_int_equal(LB_FRAME_COMMIT, 0x08);
	assert_int_equal(LB_FRAME_REFUSED, 0x0a);
	assert_int_equal(LB_FRAME_RESOLVE, 0x0d);
	assert_int_equal(LB_FRAME_PING, 0x10);
	assert_int_equal(LB_FRAME_ERROR, 0x15);
	assert_false(lb_frame_is_type(0));
	assert_false(lb_frame_is_type(0x16));
	assert_false(lb_frame_is_type(255));
	assert_string_equal(lb_frame_name(0), "unknown");
	assert_string_equal(lb_frame_name(0xff), "unknown");
	for (unsigned type = 1; type < LB_FRAME_TYPES; type++) {
		assert_true(lb_frame_is_type(type));
		assert_string_not_equal(lb_frame_name(type), "unknown");
		assert_true(lb_frame_is_from(type, LB_ROLE_CLIENT) || lb_frame_is_from(type, LB_ROLE_SERVER));
	}
}

static void lengths_are_bounded_at_both_ends(void **state)
{
	static const struct {
		unsigned type;
		uint32_t min, max;
	} bounds[] = {
		{LB_FRAME_HELLO, 36, 292},
		{LB_FRAME_HELLO_OK, 40, 296},
		{LB_FRAME_BEGIN, 53, 308},
		{LB_FRAME_BEGIN_OK, 12, 12},
		{LB_FRAME_DATA, 1, 1048576},
		{LB_FRAME_SYNC, 0, 0},
		{LB_FRAME_SYNCED, 8, 8},
		{LB_FRAME_COMMIT, 24, 24},
		{LB_FRAME_COMMITTED, 64, 573},
		{LB_FRAME_REFUSED, 2, 257},
		{LB_FRAME_ROLLBACK, 0, 0},
		{LB_FRAME_ROLLED_BACK, 0, 0},
		{LB_FRAME_RESOLVE, 40, 40},
		{LB_FRAME_RESOLVED, 4, 577},
		{LB_FRAME_SETTLED, 24, 24},
		{LB_FRAME_PING, 8, 8},
		{LB_FRAME_PONG, 8, 8},
		{LB_FRAME_GOING_AWAY, 0, 0},
		{LB_FRAME_CLOSE, 0, 0},
		{LB_FRAME_CLOSE_OK, 0, 0},
		{LB_FRAME_ERROR, 2, 257},
	};

	(void)state;
	assert_int_equal(sizeof bounds / sizeof *bounds, LB_FRAME_TYPES - 1);
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		assert_true(lb_frame_length_ok(bounds[i].type, bounds[i].min, false));
		assert_true(lb_frame_length_ok(bounds[i].type, bounds[i].max, false));
		assert_false(lb_frame_length_ok(bounds[i].type, bounds[i].max + 1, false));
		assert_false(lb_frame_length_ok(bounds[i].type, UINT32_MAX, true));
		if (bounds[i].min > 0)
			assert_false(lb_frame_length_ok(bounds[i].type, bounds[i].min - 1, false));
	}
}

static void a_reply_makes_only_receipts_longer(void **state)
{
	(void)state;
	assert_true(lb_frame_length_ok(LB_FRAME_COMMITTED, 573 + 65536, true));
	assert_false(lb_frame_length_ok(LB_FRAME_COMMITTED, 573 + 65537, true));
	assert_true(lb_frame_length_ok(LB_FRAME_RESOLVED, 577 + 65536, true));
	assert_false(lb_frame_length_ok(LB_FRAME_RESOLVED, 577 + 65537, true));
	assert_false(lb_frame_length_ok(LB_FRAME_REFUSED, 258, true));
	assert_false(lb_frame_length_ok(LB_FRAME_PING, 9, true));
}

static void a_handle_is_where_there_is_something_to_name(void **state)
{
	(void)state;
	for (unsigned type = 1; type < LB_FRAME_TYPES; type++) {
		if (type == LB_FRAME_GOING_AWAY) {
			assert_true(lb_frame_handle_ok(type, 0) && lb_frame_handle_ok(type, 5));
			continue;
		}
		assert_true(lb_frame_handle_ok(type, 5) == lb_frame_has_handle(type));
		assert_true(lb_frame_handle_ok(type, 0) != lb_frame_has_handle(type));
	}
	assert_true(lb_frame_has_handle(LB_FRAME_BEGIN) && lb_frame_has_handle(LB_FRAME_RESOLVED));
	assert_false(lb_frame_has_handle(LB_FRAME_SETTLED) || lb_frame_has_handle(LB_FRAME_CLOSE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_twelve_bytes_big_endian),
		cmocka_unit_test(each_byte_that_must_be_zero_is_looked_at),
		cmocka_unit_test(the_types_are_those_of_the_specification),
		cmocka_unit_test(lengths_are_bounded_at_both_ends),
		cmocka_unit_test(a_reply_makes_only_receipts_longer),
		cmocka_unit_test(a_handle_is_where_there_is_something_to_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
