/* SPDX-License-Identifier: MIT */
/* The words of outcomes.def, and one line of text for an outcome. Owns no state. */
#include <lastbyte/base.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *lb_rung_word(enum lb_rung rung)
{
	switch (rung) {
#define LB_RUNG(name, word, text)                                                                            \
	case LB_RUNG_##name:                                                                                 \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

const char *lb_verdict_word(enum lb_verdict verdict)
{
	switch (verdict) {
#define LB_VERDICT(name, word, exit_code, text)                                                              \
	case LB_VERDICT_##name:                                                                              \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

int lb_verdict_exit(enum lb_verdict verdict)
{
	switch (verdict) {
#define LB_VERDICT(name, word, exit_code, text)                                                              \
	case LB_VERDICT_##name:                                                                              \
		return exit_code;
#include <lastbyte/outcomes.def>
	}
	return 3;
}

const char *lb_end_word(enum lb_end end)
{
	switch (end) {
#define LB_END(name, word, text)                                                                             \
	case LB_END_##name:                                                                                  \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

const char *lb_party_word(enum lb_party party)
{
	switch (party) {
#define LB_PARTY(name, word)                                                                                 \
	case LB_PARTY_##name:                                                                                \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

const char *lb_phase_word(enum lb_phase phase)
{
	switch (phase) {
#define LB_PHASE(name, word, text)                                                                           \
	case LB_PHASE_##name:                                                                                \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

const char *lb_policy_word(enum lb_policy policy)
{
	switch (policy) {
#define LB_POLICY(name, word, text)                                                                          \
	case LB_POLICY_##name:                                                                               \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

int lb_policy_parse(const char *text, enum lb_policy *policyp)
{
#define LB_POLICY(name, word, text_)                                                                         \
	if (strcmp(text, word) == 0) {                                                                       \
		*policyp = LB_POLICY_##name;                                                                 \
		return 0;                                                                                    \
	}
#include <lastbyte/outcomes.def>
	return -EINVAL;
}

const char *lb_reason_word(enum lb_reason reason)
{
	switch (reason) {
#define LB_REASON(name, code, verdict, word, text)                                                           \
	case LB_REASON_##name:                                                                               \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

const char *lb_reason_text(enum lb_reason reason)
{
	switch (reason) {
#define LB_REASON(name, code, verdict, word, text)                                                           \
	case LB_REASON_##name:                                                                               \
		return text;
#include <lastbyte/outcomes.def>
	}
	return "a reason that this version does not know";
}

enum lb_verdict lb_reason_verdict(enum lb_reason reason)
{
	switch (reason) {
#define LB_REASON(name, code, verdict, word, text)                                                           \
	case LB_REASON_##name:                                                                               \
		return LB_VERDICT_##verdict;
#include <lastbyte/outcomes.def>
	}
	return LB_VERDICT_NOT_COMMITTED; /* docs/protocol.md, "Reasons": what is unknown is retryable */
}

const char *lb_failure_word(enum lb_failure failure)
{
	switch (failure) {
	case LB_FAILURE_NONE:
		return "none";
#define LB_FAILURE(name, code, word, text)                                                                   \
	case LB_FAILURE_##name:                                                                              \
		return word;
#include <lastbyte/outcomes.def>
	}
	return "unknown";
}

const char *lb_failure_text(enum lb_failure failure)
{
	switch (failure) {
	case LB_FAILURE_NONE:
		return "no failure";
#define LB_FAILURE(name, code, word, text)                                                                   \
	case LB_FAILURE_##name:                                                                              \
		return text;
#include <lastbyte/outcomes.def>
	}
	return "a failure that this version does not know";
}

const char *lb_durability_word(enum lb_durability durability)
{
	return durability == LB_DURABILITY_FSYNC ? "fsync" : "none";
}

static const char *count(uint64_t bytes, char buf[24])
{
	if (bytes == LB_UNKNOWN)
		return "unknown";
	snprintf(buf, 24, "%" PRIu64, bytes);
	return buf;
}

const char *lb_outcome_text(const struct lb_outcome *o, char *buf, size_t len)
{
	char accepted[24], acked[24], lost[24], discarded[24], reason[40] = "", cause[40] = "";

	if (o->reason != LB_REASON_NONE)
		snprintf(reason, sizeof reason, " (%s)", lb_reason_word(o->reason));
	if (o->err != 0)
		snprintf(cause, sizeof cause, ", %s",
			strerrorname_np(o->err) ? strerrorname_np(o->err) : "unknown error");
	snprintf(buf, len,
		"%s%s: %s by %s in %s%s; %s: accepted %s, acked %s, lost %s, discarded %s bytes; %.3f s",
		lb_verdict_word(o->verdict), reason, lb_end_word(o->how), lb_party_word(o->by),
		lb_phase_word(o->phase), cause, lb_rung_word(o->rung), count(o->accepted, accepted),
		count(o->acked, acked), count(o->lost, lost), count(o->discarded, discarded),
		(double)o->took / 1e9);
	return buf;
}
