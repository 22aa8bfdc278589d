/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include <lastbyte/base.h>
#include <errno.h>
#include <string.h>

static void an_id_survives_text(void **state)
{
	struct lb_id id = {.number = 18446744073709551}, back;
	char text[LB_ID_TEXT];

	(void)state;
	for (size_t i = 0; i < 16; i++)
		id.client[i] = (uint8_t)(i * 17);
	assert_string_equal(lb_id_text(&id, text), "00112233445566778899aabbccddeeff:18446744073709551");
	assert_int_equal(lb_id_parse(text, &back), 0);
	assert_memory_equal(&id, &back, sizeof id);
}

static void what_is_not_exactly_an_id_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"1",
		"00112233445566778899aabbccddeeff",
		"00112233445566778899aabbccddeeff:",
		"00112233445566778899aabbccddeeff:0",
		"00112233445566778899aabbccddeeff:01",
		"00112233445566778899aabbccddeeff:1 ",
		"00112233445566778899aabbccddeeff:-1",
		"00112233445566778899aabbccddeeff:99999999999999999999",
		"00112233445566778899aabbccddeefg:1",
		" 0112233445566778899aabbccddeeff:1",
	};
	struct lb_id id;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(lb_id_parse(wrong[i], &id), -EINVAL);
}

static void a_uuid_survives_text(void **state)
{
	struct lb_uuid uuid, back;
	char text[LB_UUID_TEXT];

	(void)state;
	memset(&uuid, 0xa5, sizeof uuid);
	assert_string_equal(lb_uuid_text(&uuid, text), "a5a5a5a5-a5a5-a5a5-a5a5-a5a5a5a5a5a5");
	assert_int_equal(lb_uuid_parse(text, &back), 0);
	assert_memory_equal(&uuid, &back, sizeof uuid);
	assert_int_equal(lb_uuid_parse("a5a5a5a5-a5a5-a5a5-a5a5a5a5a5a5-a5a5", &back), -EINVAL);
	assert_int_equal(lb_uuid_parse("a5a5a5a5", &back), -EINVAL);
}

static void names_that_are_file_names_are_fine(void **state)
{
	static const char *const fine[] = {
		"a", "...", ".last", "dump 1.sql", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		assert_int_equal(lb_name_check(fine[i], strlen(fine[i]), &why), 0);
}

static void other_names_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		const char *why;
	} wrong[] = {
		{"", 0, "empty"},
		{".", 1, ". or .."},
		{"..", 2, ". or .."},
		{"a/b", 3, "/"},
		{".lastbyte", 9, ".lastbyte"},
		{".lastbyte-x", 11, ".lastbyte"},
		{"a\0b", 3, "control"},
		{"a\nb", 3, "control"},
		{"a\x7f", 2, "control"},
		{"a\xc2\x85", 3, "control"},
		{"a\x80", 2, "UTF-8"},
		{"a\xc0\xaf", 3, "UTF-8"},
		{"a\xed\xa0\x80", 4, "UTF-8"},
		{"a\xf4\x90\x80\x80", 5, "UTF-8"},
		{"a\xe2\x82", 3, "UTF-8"},
	};
	char longest[LB_NAME_MAX + 1];
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(lb_name_check(wrong[i].name, wrong[i].len, &why), -EINVAL);
		assert_non_null(strstr(why, wrong[i].why));
	}
	memset(longest, 'x', sizeof longest);
	assert_int_equal(lb_name_check(longest, LB_NAME_MAX, &why), 0);
	assert_int_equal(lb_name_check(longest, LB_NAME_MAX + 1, &why), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_survives_text),
		cmocka_unit_test(what_is_not_exactly_an_id_is_refused),
		cmocka_unit_test(a_uuid_survives_text),
		cmocka_unit_test(names_that_are_file_names_are_fine),
		cmocka_unit_test(other_names_are_refused_with_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
