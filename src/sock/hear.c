/* SPDX-License-Identifier: MIT */
/*
 * Words in a stream. Owns how far they have been heard, and not the stream.
 *
 * What was heard of the words is equal to their beginning: so nothing is buffered, however long they are, and what
 * turns out not to be theirs is handed on from there. For the same reason no table is needed to go on after a
 * mismatch: the words are searched for in themselves.
 */
#include "sock/hear.h"
#include <errno.h>
#include <string.h>

static enum lb_heard other(struct lb_hearing *hearing, ssize_t error)
{
	hearing->error = error < 0 ? (int)-error : EPROTO;
	hearing->matched = 0;
	return LB_HEARD_OTHER;
}

static enum lb_heard hand_on(struct lb_hearing *hearing, const void *buf, size_t len)
{
	const struct lb_expect *expect = hearing->expect;
	int error;

	if (len == 0)
		return LB_HEARD_NOTHING;
	if (expect->before == NULL)
		return other(hearing, 0);
	hearing->taken += len;
	error = expect->before(expect->arg, buf, len);
	return error == 0 ? LB_HEARD_NOTHING : other(hearing, error);
}

static enum lb_heard ask(struct lb_hearing *hearing, const void *buf, size_t len)
{
	ssize_t n = hearing->expect->recognize(hearing->expect->arg, buf, len);

	hearing->taken += n > 0 && (size_t)n < len ? (size_t)n : len;
	if (n == 0)
		return LB_HEARD_NOTHING;
	return n > 0 && (size_t)n <= len ? LB_HEARD_WORDS : other(hearing, n);
}

/*
 * How many of the words have come, now that a byte follows `matched` of them: the most that its end can be. Shorter
 * beginnings are looked for in the words themselves; each is compared at most once for each byte by which the match
 * gets shorter, so that even a peer that knows the words costs no more than their length for each byte.
 */
static size_t follow(const unsigned char *words, size_t matched, unsigned char byte)
{
	if (words[matched] == byte)
		return matched + 1;
	for (size_t n = matched; n-- > 0;)
		if (words[n] == byte && memcmp(words, words + matched - n, n) == 0)
			return n + 1;
	return 0;
}

static enum lb_heard search(struct lb_hearing *hearing, const unsigned char *bytes, size_t len)
{
	const unsigned char *words = hearing->expect->bytes, *first;
	size_t held = hearing->matched, n = 0, before, of_held;
	enum lb_heard heard;

	while (n < len && hearing->matched < hearing->expect->len) {
		if (hearing->matched == 0) {
			first = memchr(bytes + n, words[0], len - n);
			n = first != NULL ? (size_t)(first - bytes) : len;
			if (first == NULL)
				break;
		}
		hearing->matched = follow(words, hearing->matched, bytes[n++]);
	}
	before = held + n - hearing->matched;
	of_held = held < before ? held : before;
	heard = hand_on(hearing, words, of_held);
	if (heard == LB_HEARD_NOTHING)
		heard = hand_on(hearing, bytes, before - of_held);
	if (heard == LB_HEARD_NOTHING && hearing->matched == hearing->expect->len) {
		hearing->taken += hearing->matched;
		hearing->matched = 0;
		heard = LB_HEARD_WORDS;
	}
	return heard;
}

enum lb_heard lb_hear(struct lb_hearing *hearing, const void *buf, size_t len)
{
	const struct lb_expect *expect = hearing->expect;
	size_t stale = hearing->stale < len ? (size_t)hearing->stale : len;
	enum lb_heard heard = LB_HEARD_NOTHING;

	if (stale > 0 && expect->recognize != NULL)
		heard = ask(hearing, buf, stale);
	else if (stale > 0)
		heard = hand_on(hearing, buf, stale);
	hearing->stale -= stale;
	if (heard == LB_HEARD_WORDS) /* an answer to nothing */
		return other(hearing, 0);
	if (heard == LB_HEARD_OTHER || stale == len)
		return heard;
	if (expect->recognize != NULL)
		return ask(hearing, (const char *)buf + stale, len - stale);
	if (expect->len == 0)
		return hand_on(hearing, (const char *)buf + stale, len - stale);
	return search(hearing, (const unsigned char *)buf + stale, len - stale);
}

void lb_hear_end(struct lb_hearing *hearing)
{
	if (hearing->expect->before != NULL && hearing->matched > 0)
		(void)hand_on(hearing, hearing->expect->bytes, hearing->matched);
	hearing->matched = 0;
}
