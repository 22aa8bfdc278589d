/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "client/journal_line.h"
#include "base/digest.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t own[16] = {0xAA, 1};

static int parse(const char *body, struct lb_line *linep)
{
	char text[LB_LINE_MAX], hex[LB_DIGEST_TEXT];
	struct lb_hasher hasher;
	struct lb_digest digest;
	size_t len = (size_t)snprintf(text, sizeof text, "%s ", body);

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, text, len);
	lb_hasher_digest(&hasher, &digest);
	memcpy(text + len, lb_digest_text(&digest, hex) + 7, 16);
	return lb_line_parse(text, len + 16, own, linep);
}

static void the_longest_entry_fits_and_comes_back(void **state)
{
	struct lb_line line = {.type = LB_LINE_OPEN, .entry = {.attempt = UINT32_MAX}}, back;
	char text[LB_LINE_MAX];
	size_t len;

	(void)state;
	memset(line.entry.id.client, 0xFF, 16);
	line.entry.id.number = UINT64_MAX / 2;
	memset(line.entry.address, ' ', sizeof line.entry.address - 1);
	memset(line.entry.name, '%', sizeof line.entry.name - 1);
	memset(line.entry.source, '\n', sizeof line.entry.source - 1);
	len = lb_line_write(&line, own, text);
	assert_true(len < sizeof text);
	assert_int_equal(text[len - 1], '\n');
	assert_int_equal(lb_line_parse(text, len - 1, own, &back), 0);
	assert_int_equal(back.type, LB_LINE_OPEN);
	assert_memory_equal(&back.entry.id, &line.entry.id, sizeof line.entry.id);
	assert_int_equal(back.entry.attempt, UINT32_MAX);
	assert_string_equal(back.entry.address, line.entry.address);
	assert_string_equal(back.entry.name, line.entry.name);
	assert_string_equal(back.entry.source, line.entry.source);
}

static void the_longest_reservation_fits_and_comes_back(void **state)
{
	struct lb_line line = {.type = LB_LINE_RANGE, .entry = {.count = LB_NUMBERS_MAX}}, back;
	char text[LB_LINE_MAX];
	size_t len;

	(void)state;
	line.entry.id.number = INT64_MAX;
	line.ended = INT64_MAX;
	memset(line.entry.address, ' ', sizeof line.entry.address - 1);
	memset(line.entry.name, '%', sizeof line.entry.name - 1);
	memset(line.entry.source, '\n', sizeof line.entry.source - 1);
	memset(line.entry.note, ' ', sizeof line.entry.note - 1);
	len = lb_line_write(&line, own, text);
	assert_true(len < sizeof text);
	assert_int_equal(lb_line_parse(text, len - 1, own, &back), 0);
	assert_int_equal(back.type, LB_LINE_RANGE);
	assert_memory_equal(back.entry.id.client, own, sizeof own);
	assert_int_equal(back.entry.id.number, INT64_MAX);
	assert_int_equal(back.entry.first, INT64_MAX);
	assert_int_equal(back.entry.count, LB_NUMBERS_MAX);
	assert_int_equal(back.ended, INT64_MAX);
	assert_string_equal(back.entry.address, line.entry.address);
	assert_string_equal(back.entry.name, line.entry.name);
	assert_string_equal(back.entry.source, line.entry.source);
	assert_string_equal(back.entry.note, line.entry.note);
}

static void lines_are_written_as_documented(void **state)
{
	struct lb_line line = {
		.entry = {.attempt = 2, .count = 64, .address = "h:1", .name = "a b", .note = "of it"},
		.ended = 3};
	static const char *const expected[] = {
		[LB_LINE_HEADER] = "lastbyte-journal 1 aa010000000000000000000000000000 ",
		[LB_LINE_OPEN] = "open 7 2 00000000-0000-0000-0000-000000000000 h:1 a%20b - ",
		[LB_LINE_RANGE] = "range 7 64 3 00000000-0000-0000-0000-000000000000 h:1 a%20b - of%20it ",
		[LB_LINE_DONE] = "done 7 ",
		[LB_LINE_NEXT] = "next 7 ",
	};
	char text[LB_LINE_MAX];

	(void)state;
	memcpy(line.entry.id.client, own, 16);
	line.entry.id.number = 7;
	for (int type = LB_LINE_HEADER; type <= LB_LINE_NEXT; type++) {
		line.type = (enum lb_line_type)type;
		assert_int_equal(lb_line_write(&line, own, text), strlen(expected[type]) + 17);
		assert_memory_equal(text, expected[type], strlen(expected[type]));
	}
}

static void another_clients_id_is_written_in_full(void **state)
{
	struct lb_line line = {.type = LB_LINE_DONE, .entry.id = {.client = {0xBB}, .number = 3}}, back;
	char text[LB_LINE_MAX];
	size_t len;

	(void)state;
	len = lb_line_write(&line, own, text);
	assert_memory_equal(text, "done bb000000000000000000000000000000:3 ", 40);
	assert_int_equal(lb_line_parse(text, len - 1, own, &back), 0);
	assert_memory_equal(&back.entry.id, &line.entry.id, sizeof back.entry.id);
}

static void what_a_newer_version_writes_is_not_guessed_at(void **state)
{
	static const char *const lines[] = {
		"lastbyte-journal 2 aa010000000000000000000000000000",
		"paused 7",
		"done 7 8",
		"open 7 2 00000000-0000-0000-0000-000000000000 h:1 a - more",
		"range 7 2 0 00000000-0000-0000-0000-000000000000 h:1 a - - more",
	};
	struct lb_line line;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		assert_int_equal(parse(lines[i], &line), -EPROTONOSUPPORT);
}

static void what_is_not_a_line_is_refused(void **state)
{
	static const char *const lines[] = {
		"lastbyte-journal 1 aa01",
		"done 0",
		"done x",
		"done 99999999999999999999999",
		"done cc:3",
		"open 7 0 00000000-0000-0000-0000-000000000000 h:1 a -",
		"open 7 4294967296 00000000-0000-0000-0000-000000000000 h:1 a -",
		"open 7 1 00000000 h:1 a -",
		"open 7 1 00000000-0000-0000-0000-000000000000 h:1 a% -",
		"open 7 1 00000000-0000-0000-0000-000000000000 h:1 a%4 -",
		"open 7 1 00000000-0000-0000-0000-000000000000 h:1 a%00 -",
		"range 0 2 0 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range -1 2 0 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range aa010000000000000000000000000000:7 2 0 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range 99999999999999999999 2 0 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range 7 1 0 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range 7 257 0 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range 7 2 x 00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range 7 2  00000000-0000-0000-0000-000000000000 h:1 a - -",
		"range 7 2 0 00000000 h:1 a - -",
		"range 7 2 0 00000000-0000-0000-0000-000000000000 h:1 a - %",
	};
	struct lb_line line;

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		assert_int_equal(parse(lines[i], &line), -EBADMSG);
	assert_int_equal(parse("done 7", &line), 0);
	assert_int_equal(lb_line_parse("", 0, own, &line), -EBADMSG);
	assert_int_equal(lb_line_parse("done 7 0123456789abcdef", 23, own, &line), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_entry_fits_and_comes_back),
		cmocka_unit_test(the_longest_reservation_fits_and_comes_back),
		cmocka_unit_test(lines_are_written_as_documented),
		cmocka_unit_test(another_clients_id_is_written_in_full),
		cmocka_unit_test(what_a_newer_version_writes_is_not_guessed_at),
		cmocka_unit_test(what_is_not_a_line_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
