/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include <lastbyte/base.h>
#include <errno.h>
#include <string.h>

struct word {
	const char *word, *text;
};

/* Each table of outcomes.def as it is written there, beside what the functions say. */
static const struct word rungs[] = {
#define LB_RUNG(name, word, text) {word, text},
#include <lastbyte/outcomes.def>
};
static const struct word verdicts[] = {
#define LB_VERDICT(name, word, exit_code, text) {word, text},
#include <lastbyte/outcomes.def>
};
static const struct word ends[] = {
#define LB_END(name, word, text) {word, text},
#include <lastbyte/outcomes.def>
};
static const struct word parties[] = {
#define LB_PARTY(name, word) {word, "-"},
#include <lastbyte/outcomes.def>
};
static const struct word phases[] = {
#define LB_PHASE(name, word, text) {word, text},
#include <lastbyte/outcomes.def>
};
static const struct word policies[] = {
#define LB_POLICY(name, word, text) {word, text},
#include <lastbyte/outcomes.def>
};
static const struct word reasons[] = {
#define LB_REASON(name, code, verdict, word, text) {word, text},
#include <lastbyte/outcomes.def>
};
static const struct word failures[] = {
#define LB_FAILURE(name, code, word, text) {word, text},
#include <lastbyte/outcomes.def>
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct {
	const struct word *words;
	size_t n;
} tables[] = {
	{rungs, COUNT(rungs)},
	{verdicts, COUNT(verdicts)},
	{ends, COUNT(ends)},
	{parties, COUNT(parties)},
	{phases, COUNT(phases)},
	{policies, COUNT(policies)},
	{reasons, COUNT(reasons)},
	{failures, COUNT(failures)},
};

static void every_word_is_short_and_of_letters_and_underscores(void **state)
{
	(void)state;
	for (size_t t = 0; t < COUNT(tables); t++) {
		for (size_t i = 0; i < tables[t].n; i++) {
			const char *word = tables[t].words[i].word;

			assert_true(strlen(word) > 0 && strlen(word) < 40);
			assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz_"), strlen(word));
			assert_true(strlen(tables[t].words[i].text) > 0);
		}
	}
}

static void no_word_or_text_of_a_table_comes_twice(void **state)
{
	(void)state;
	for (size_t t = 0; t < COUNT(tables); t++) {
		for (size_t i = 0; i < tables[t].n; i++) {
			for (size_t j = 0; j < i; j++) {
				assert_string_not_equal(tables[t].words[i].word, tables[t].words[j].word);
				if (tables[t].words != parties)
					assert_string_not_equal(
						tables[t].words[i].text, tables[t].words[j].text);
			}
		}
	}
}

static void the_functions_say_what_the_table_says(void **state)
{
	(void)state;
#define LB_RUNG(name, word, text)               assert_string_equal(lb_rung_word(LB_RUNG_##name), word);
#define LB_VERDICT(name, word, exit_code, text) assert_string_equal(lb_verdict_word(LB_VERDICT_##name), word);
#define LB_END(name, word, text)                assert_string_equal(lb_end_word(LB_END_##name), word);
#define LB_PARTY(name, word)                    assert_string_equal(lb_party_word(LB_PARTY_##name), word);
#define LB_PHASE(name, word, text)              assert_string_equal(lb_phase_word(LB_PHASE_##name), word);
#define LB_POLICY(name, word, text)             assert_string_equal(lb_policy_word(LB_POLICY_##name), word);
#define LB_REASON(name, code, verdict, word, text)                                                           \
	assert_string_equal(lb_reason_word(LB_REASON_##name), word);                                         \
	assert_string_equal(lb_reason_text(LB_REASON_##name), text);                                         \
	assert_int_equal(lb_reason_verdict(LB_REASON_##name), LB_VERDICT_##verdict);
#define LB_FAILURE(name, code, word, text)                                                                   \
	assert_string_equal(lb_failure_word(LB_FAILURE_##name), word);                                       \
	assert_string_equal(lb_failure_text(LB_FAILURE_##name), text);
#include <lastbyte/outcomes.def>
}

static void a_value_outside_the_table_has_words_too(void **state)
{
	(void)state;
	assert_string_equal(lb_rung_word((enum lb_rung)99), "unknown");
	assert_string_equal(lb_verdict_word((enum lb_verdict)99), "unknown");
	assert_string_equal(lb_end_word((enum lb_end)99), "unknown");
	assert_string_equal(lb_party_word((enum lb_party)99), "unknown");
	assert_string_equal(lb_phase_word((enum lb_phase)99), "unknown");
	assert_string_equal(lb_policy_word((enum lb_policy)99), "unknown");
	assert_string_equal(lb_reason_word((enum lb_reason)999), "unknown");
	assert_string_equal(lb_failure_word((enum lb_failure)999), "unknown");
	assert_string_equal(lb_failure_word(LB_FAILURE_NONE), "none");
	assert_true(strlen(lb_reason_text((enum lb_reason)999)) > 0);
	assert_true(strlen(lb_failure_text((enum lb_failure)999)) > 0);
}

static void a_policy_is_known_by_its_word_and_by_nothing_else(void **state)
{
	static const char *const others[] = {"", "drai", "drain ", "Drain", "DRAIN", "0", "linger-finish"};
	enum lb_policy policy;

	(void)state;
#define LB_POLICY(name, word, text)                                                                          \
	policy = (enum lb_policy)99;                                                                         \
	assert_int_equal(lb_policy_parse(word, &policy), 0);                                                 \
	assert_int_equal(policy, LB_POLICY_##name);
#include <lastbyte/outcomes.def>
	policy = LB_POLICY_PLAIN;
	for (size_t i = 0; i < COUNT(others); i++)
		assert_int_equal(lb_policy_parse(others[i], &policy), -EINVAL);
	assert_int_equal(policy, LB_POLICY_PLAIN);
	assert_int_equal(LB_POLICY_DRAIN, 0);
}

/* The exit codes are an interface of the command: here they stand once more, by hand. */
static void exit_code_0_is_for_committed_alone(void **state)
{
	(void)state;
	assert_int_equal(lb_verdict_exit(LB_VERDICT_COMMITTED), 0);
	assert_int_equal(lb_verdict_exit(LB_VERDICT_ROLLED_BACK), 1);
	assert_int_equal(lb_verdict_exit(LB_VERDICT_REFUSED), 1);
	assert_int_equal(lb_verdict_exit(LB_VERDICT_IN_DOUBT), 3);
	assert_int_equal(lb_verdict_exit(LB_VERDICT_UNPROVEN), 3);
	assert_int_equal(lb_verdict_exit(LB_VERDICT_NOT_COMMITTED), 4);
	assert_int_equal(lb_verdict_exit(LB_VERDICT_FORGOTTEN), 5);
	assert_int_equal(lb_verdict_exit((enum lb_verdict)99), 3);
}

static void no_reason_stands_for_committed_and_an_unknown_one_may_be_retried(void **state)
{
	(void)state;
#define LB_REASON(name, code, verdict, word, text)                                                           \
	assert_int_not_equal(lb_reason_verdict(LB_REASON_##name), LB_VERDICT_COMMITTED);
#include <lastbyte/outcomes.def>
	assert_int_equal(lb_reason_verdict((enum lb_reason)999), LB_VERDICT_NOT_COMMITTED);
}

static void zeroed_memory_claims_nothing(void **state)
{
	struct lb_outcome outcome;

	(void)state;
	memset(&outcome, 0, sizeof outcome);
	assert_int_equal(outcome.verdict, LB_VERDICT_UNPROVEN);
	assert_int_equal(outcome.rung, LB_RUNG_NOTHING);
	assert_int_equal(outcome.how, LB_END_OPEN);
}

static void the_rungs_are_in_the_order_of_the_ladder(void **state)
{
	(void)state;
	assert_true(LB_RUNG_NOTHING < LB_RUNG_ACCEPTED && LB_RUNG_ACCEPTED < LB_RUNG_ACKED);
	assert_true(LB_RUNG_ACKED < LB_RUNG_ENDED && LB_RUNG_ENDED < LB_RUNG_COMMITTED);
}

static const struct lb_outcome reset = {
	.verdict = LB_VERDICT_IN_DOUBT,
	.reason = LB_REASON_NO_ANSWER,
	.rung = LB_RUNG_ACKED,
	.how = LB_END_RST,
	.by = LB_PARTY_PEER,
	.phase = LB_PHASE_DRAIN,
	.err = ECONNRESET,
	.accepted = 1000000,
	.acked = 1000000,
	.lost = 0,
	.discarded = 12,
	.took = 1234567890,
};

static void the_text_has_everything_in_one_line(void **state)
{
	char text[256];

	(void)state;
	assert_string_equal(lb_outcome_text(&reset, text, sizeof text),
		"in_doubt (no_answer): rst by peer in drain, ECONNRESET; acked: accepted 1000000, acked "
		"1000000, "
		"lost 0, discarded 12 bytes; 1.235 s");
}

static void the_text_leaves_out_what_there_is_not_and_says_what_is_unknown(void **state)
{
	struct lb_outcome outcome = {.rung = LB_RUNG_ENDED,
		.how = LB_END_FIN,
		.by = LB_PARTY_PEER,
		.phase = LB_PHASE_DONE,
		.accepted = 5,
		.acked = LB_UNKNOWN,
		.lost = LB_UNKNOWN};
	char text[256];

	(void)state;
	assert_string_equal(lb_outcome_text(&outcome, text, sizeof text),
		"unproven: fin by peer in done; ended: accepted 5, acked unknown, lost unknown, discarded 0 "
		"bytes; "
		"0.000 s");
}

static void the_text_is_cut_to_its_buffer(void **state)
{
	char text[9];

	(void)state;
	assert_string_equal(lb_outcome_text(&reset, text, sizeof text), "in_doubt");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_word_is_short_and_of_letters_and_underscores),
		cmocka_unit_test(no_word_or_text_of_a_table_comes_twice),
		cmocka_unit_test(the_functions_say_what_the_table_says),
		cmocka_unit_test(a_value_outside_the_table_has_words_too),
		cmocka_unit_test(a_policy_is_known_by_its_word_and_by_nothing_else),
		cmocka_unit_test(exit_code_0_is_for_committed_alone),
		cmocka_unit_test(no_reason_stands_for_committed_and_an_unknown_one_may_be_retried),
		cmocka_unit_test(zeroed_memory_claims_nothing),
		cmocka_unit_test(the_rungs_are_in_the_order_of_the_ladder),
		cmocka_unit_test(the_text_has_everything_in_one_line),
		cmocka_unit_test(the_text_leaves_out_what_there_is_not_and_says_what_is_unknown),
		cmocka_unit_test(the_text_is_cut_to_its_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
