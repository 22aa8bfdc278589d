/* SPDX-License-Identifier: MIT */
/*
 * Words in a stream, against the same stream looked at as a whole: every short word in every short text of two letters,
 * which has all the overlaps that there are, and in every way of cutting it.
 */
#include "lib/cmocka.h"
#include "sock/hear.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a callback was given. */
struct told {
	char text[64];
	size_t len;
	int calls;
	int refuse; /* what `before` returns from the call on that makes it this many bytes ... */
	size_t from;
	size_t lines; /* what `recognize` waits for: so many ends of lines */
};

static int tell(void *arg, const void *buf, size_t len)
{
	struct told *told = arg;

	assert_true(len > 0 && told->len + len <= sizeof told->text);
	memcpy(told->text + told->len, buf, len);
	told->len += len;
	told->calls++;
	return told->len >= told->from ? told->refuse : 0;
}

static ssize_t nth_line(void *arg, const void *buf, size_t len)
{
	struct told *told = arg;
	const char *bytes = buf;

	for (size_t n = 0; n < len; n++) {
		assert_int_equal(tell(arg, bytes + n, 1), 0);
		if (bytes[n] == '!')
			return -EPROTO;
		if (bytes[n] == '\n' && --told->lines == 0)
			return (ssize_t)n + 1;
	}
	return 0;
}

/* `text` in pieces: bit n of `cuts` is a cut after byte n. *usedp: the bytes up to the end of the piece that was heard
 * last. */
static enum lb_heard hear(
	struct lb_hearing *hearing, const char *text, size_t len, unsigned cuts, size_t *usedp)
{
	enum lb_heard heard = LB_HEARD_NOTHING;
	size_t at = 0;

	while (at < len && heard == LB_HEARD_NOTHING) {
		size_t end = at + 1;
		char *piece;

		while (end < len && (cuts >> (end - 1) & 1) == 0)
			end++;
		piece = malloc(end - at); /* so that a sanitizer sees what reads past it */
		assert_non_null(piece);
		memcpy(piece, text + at, end - at);
		heard = lb_hear(hearing, piece, end - at);
		free(piece);
		at = end;
	}
	*usedp = at;
	return heard;
}

/* Letters a and b by the bits of a number. */
static size_t spell(char *text, unsigned bits, size_t len)
{
	for (size_t n = 0; n < len; n++)
		text[n] = (bits >> n & 1) != 0 ? 'b' : 'a';
	return len;
}

static void check(const char *words, size_t words_len, const char *text, size_t len, unsigned cuts)
{
	const char *found = memmem(text, len, words, words_len);
	size_t before = found != NULL ? (size_t)(found - text) : len, used;
	struct told told = {0};
	struct lb_expect expect = {.bytes = words, .len = words_len, .before = tell, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect};
	enum lb_heard heard = hear(&hearing, text, len, cuts, &used);

	assert_int_equal(heard, found != NULL ? LB_HEARD_WORDS : LB_HEARD_NOTHING);
	lb_hear_end(&hearing);
	assert_int_equal(told.len, before);
	assert_memory_equal(told.text, text, before);
	assert_int_equal(hearing.taken, before + (found != NULL ? words_len : 0));
}

static void check_alone(const char *words, size_t words_len, const char *text, size_t len, unsigned cuts)
{
	struct lb_expect expect = {.bytes = words, .len = words_len};
	struct lb_hearing hearing = {.expect = &expect};
	size_t common = len < words_len ? len : words_len, used;
	enum lb_heard heard = hear(&hearing, text, len, cuts, &used);

	if (memcmp(words, text, common) != 0) {
		assert_int_equal(heard, LB_HEARD_OTHER);
		assert_int_equal(hearing.error, EPROTO);
		assert_int_equal(hearing.taken, 0);
	} else {
		assert_int_equal(heard, common == words_len ? LB_HEARD_WORDS : LB_HEARD_NOTHING);
		assert_int_equal(hearing.taken, common == words_len ? words_len : 0);
	}
	lb_hear_end(&hearing);
}

#define WORDS_MAX 5
#define TEXT_MAX  8

static void with_every_word_and_text(void (*check_one)(const char *, size_t, const char *, size_t, unsigned))
{
	char words[WORDS_MAX], text[TEXT_MAX];

	for (size_t words_len = 1; words_len <= WORDS_MAX; words_len++) {
		for (unsigned w = 0; w < 1u << words_len; w++) {
			spell(words, w, words_len);
			for (unsigned t = 0; t < 1u << TEXT_MAX; t++) {
				spell(text, t, TEXT_MAX);
				for (unsigned cuts = 0; cuts < 1u << (TEXT_MAX - 1); cuts++)
					check_one(words, words_len, text, TEXT_MAX, cuts);
			}
		}
	}
}

static void words_are_found_wherever_they_begin_and_however_the_stream_is_cut(void **state)
{
	(void)state;
	with_every_word_and_text(check);
}

static void without_a_callback_nothing_may_come_before_the_words(void **state)
{
	(void)state;
	with_every_word_and_text(check_alone);
}

static void an_answer_split_at_every_position_is_the_same_answer(void **state)
{
	static const char text[] = "+PONG\r\n+O+OK\r+OK\r\nmore";
	size_t len = sizeof text - 1;

	(void)state;
	for (size_t first = 1; first < len; first++) {
		for (size_t second = first; second < len; second++)
			check("+OK\r\n", 5, text, len, 1u << (first - 1) | 1u << (second - 1));
	}
	check("+OK\r\n", 5, text, len, UINT32_MAX);
	check("+OK\r\n", 5, text, len, 0);
}

static void bytes_of_any_value_are_words(void **state)
{
	static const char words[] = {0, (char)0xff, 0, 0, (char)0xff, 0, '\n'};
	static const char text[] = {
		0, (char)0xff, 0, 0, (char)0xff, 0, 0, (char)0xff, 0, 0, (char)0xff, 0, '\n', 0};

	(void)state;
	for (unsigned cuts = 0; cuts < 1u << 13; cuts++)
		check(words, sizeof words, text, sizeof text, cuts);
}

static void words_may_be_longer_than_any_buffer(void **state)
{
	enum { LEN = 1 << 20 };
	struct told told = {0};
	char *words = malloc(LEN);
	struct lb_expect expect = {.bytes = words, .len = LEN, .before = tell, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect};

	(void)state;
	assert_non_null(words);
	memset(words, 'a', LEN - 1);
	words[LEN - 1] = 'b';
	/* one more at the start: the match is a byte too early until its last byte */
	assert_int_equal(lb_hear(&hearing, "a", 1), LB_HEARD_NOTHING);
	for (size_t at = 0; at < LEN; at += 4096)
		assert_int_equal(lb_hear(&hearing, words + at, 4096),
			at + 4096 < LEN ? LB_HEARD_NOTHING : LB_HEARD_WORDS);
	assert_int_equal(told.len, 1);
	assert_int_equal(hearing.taken, 1 + LEN);
	free(words);
}

static void the_beginning_of_words_that_the_stream_ends_in_is_handed_on(void **state)
{
	struct told told = {0};
	struct lb_expect expect = {.bytes = "CLOSE", .len = 5, .before = tell, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "xCLO", 4), LB_HEARD_NOTHING);
	assert_int_equal(told.len, 1);
	assert_int_equal(hearing.taken, 1);
	lb_hear_end(&hearing);
	assert_int_equal(told.len, 4);
	assert_memory_equal(told.text, "xCLO", 4);
	assert_int_equal(hearing.taken, 4);
	lb_hear_end(&hearing);
	assert_int_equal(told.calls, 2);
}

static void a_callback_that_refuses_ends_it_with_its_errno(void **state)
{
	struct told told = {.refuse = -ENOSPC, .from = 3};
	struct lb_expect expect = {.bytes = "+OK", .len = 3, .before = tell, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "x+O", 3), LB_HEARD_NOTHING);
	assert_int_equal(lb_hear(&hearing, "x+OK", 4), LB_HEARD_OTHER);
	assert_int_equal(hearing.error, ENOSPC);
	lb_hear_end(&hearing);
	assert_int_equal(told.len, 3);
	assert_int_equal(told.calls, 2);
	assert_int_equal(hearing.taken, 3);
}

static void without_words_every_byte_comes_before_them(void **state)
{
	struct told told = {0};
	struct lb_expect expect = {.before = tell, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "bye", 3), LB_HEARD_NOTHING);
	assert_memory_equal(told.text, "bye", 3);
	expect.before = NULL;
	assert_int_equal(lb_hear(&hearing, "bye", 3), LB_HEARD_OTHER);
	assert_int_equal(hearing.error, EPROTO);
	assert_int_equal(hearing.taken, 3);
}

static void a_recognizer_gets_every_byte_up_to_the_end_of_the_words_once(void **state)
{
	static const char text[] = "+OK\r\n+OK\r\nx";
	struct lb_expect expect = {.recognize = nth_line};

	(void)state;
	for (unsigned cuts = 0; cuts < 1u << 10; cuts++) {
		struct told told = {.lines = 2};
		struct lb_hearing hearing = {.expect = &expect};
		size_t used;

		expect.arg = &told;
		assert_int_equal(hear(&hearing, text, 11, cuts, &used), LB_HEARD_WORDS);
		assert_int_equal(told.len, 10);
		assert_memory_equal(told.text, text, 10);
		assert_int_equal(hearing.taken, 10);
	}
}

static void a_recognizer_may_say_that_it_is_something_else(void **state)
{
	struct told told = {.lines = 1};
	struct lb_expect expect = {.recognize = nth_line, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "-ERR", 4), LB_HEARD_NOTHING);
	assert_int_equal(lb_hear(&hearing, "!\n", 2), LB_HEARD_OTHER);
	assert_int_equal(hearing.error, EPROTO);
	lb_hear_end(&hearing);
}

static ssize_t too_much(void *arg, const void *buf, size_t len)
{
	(void)arg;
	(void)buf;
	return (ssize_t)len + 1;
}

static void a_recognizer_cannot_take_more_than_came(void **state)
{
	struct lb_expect expect = {.recognize = too_much};
	struct lb_hearing hearing = {.expect = &expect};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "x", 1), LB_HEARD_OTHER);
	assert_int_equal(hearing.error, EPROTO);
	assert_int_equal(hearing.taken, 1);
}

/* What was sent before the question answers nothing. */
static void stale_bytes_come_before_the_words_even_if_they_are_equal(void **state)
{
	static const char text[] = "+OK\r\n+OK\r\n";

	(void)state;
	for (unsigned cuts = 0; cuts < 1u << 9; cuts++) {
		struct told told = {0};
		struct lb_expect expect = {.bytes = "+OK\r\n", .len = 5, .before = tell, .arg = &told};
		struct lb_hearing hearing = {.expect = &expect, .stale = 5};
		size_t used;

		assert_int_equal(hear(&hearing, text, 10, cuts, &used), LB_HEARD_WORDS);
		assert_int_equal(used, 10);
		assert_int_equal(told.len, 5);
		assert_int_equal(hearing.stale, 0);
	}
}

static void words_that_are_stale_in_part_are_not_heard(void **state)
{
	static const char text[] = "+OK\r\n";

	(void)state;
	for (uint64_t stale = 1; stale <= 5; stale++) {
		struct told told = {0};
		struct lb_expect expect = {.bytes = text, .len = 5, .before = tell, .arg = &told};
		struct lb_hearing hearing = {.expect = &expect, .stale = stale};

		assert_int_equal(lb_hear(&hearing, text, 5), LB_HEARD_NOTHING);
		lb_hear_end(&hearing);
		assert_int_equal(told.len, 5);
	}
}

static void stale_bytes_without_a_callback_are_something_else(void **state)
{
	struct lb_expect expect = {.bytes = "+OK\r\n", .len = 5};
	struct lb_hearing hearing = {.expect = &expect, .stale = 1};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "+OK\r\n", 5), LB_HEARD_OTHER);
	assert_int_equal(hearing.error, EPROTO);
}

static void a_recognizer_that_answers_to_nothing_is_not_believed(void **state)
{
	struct told told = {.lines = 1};
	struct lb_expect expect = {.recognize = nth_line, .arg = &told};
	struct lb_hearing hearing = {.expect = &expect, .stale = 5};

	(void)state;
	assert_int_equal(lb_hear(&hearing, "+OK\r\n+OK\r\n", 10), LB_HEARD_OTHER);
	assert_int_equal(hearing.error, EPROTO);
	assert_int_equal(told.len, 5);
	told = (struct told){.lines = 2};
	hearing = (struct lb_hearing){.expect = &expect, .stale = 5};
	assert_int_equal(lb_hear(&hearing, "+OK\r\n+OK\r\n", 10), LB_HEARD_WORDS);
	assert_int_equal(told.len, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_found_wherever_they_begin_and_however_the_stream_is_cut),
		cmocka_unit_test(without_a_callback_nothing_may_come_before_the_words),
		cmocka_unit_test(an_answer_split_at_every_position_is_the_same_answer),
		cmocka_unit_test(bytes_of_any_value_are_words),
		cmocka_unit_test(words_may_be_longer_than_any_buffer),
		cmocka_unit_test(the_beginning_of_words_that_the_stream_ends_in_is_handed_on),
		cmocka_unit_test(a_callback_that_refuses_ends_it_with_its_errno),
		cmocka_unit_test(without_words_every_byte_comes_before_them),
		cmocka_unit_test(a_recognizer_gets_every_byte_up_to_the_end_of_the_words_once),
		cmocka_unit_test(a_recognizer_may_say_that_it_is_something_else),
		cmocka_unit_test(a_recognizer_cannot_take_more_than_came),
		cmocka_unit_test(stale_bytes_come_before_the_words_even_if_they_are_equal),
		cmocka_unit_test(words_that_are_stale_in_part_are_not_heard),
		cmocka_unit_test(stale_bytes_without_a_callback_are_something_else),
		cmocka_unit_test(a_recognizer_that_answers_to_nothing_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
