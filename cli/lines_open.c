/* SPDX-License-Identifier: MIT */
/*
 * Which numbers of the journal are for which records of an input: in the note of each reservation, and found again by it.
 * Owns what was found. Asks the server nothing.
 *
 * A number that was fenced is not used again, so the record gets another one, of a later reservation, while the earlier
 * one may still be open. A record is delivered if one of the numbers that are for it has committed, and it is not begun
 * again before that is known of each of them: so it is delivered once.
 */
#include "lines_open.h"
#include "client/engine.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORMER   "xxh128:" /* before the digest, in notes of an earlier version: these have no `skipped` */
#define LEFT_MAX 999       /* three digits: more than 64 numbers and LB_LINES_SKIP_MAX records come to */

void lb_lines_name(const char *name, uint64_t index, char out[LB_NAME_MAX + 1])
{
	snprintf(out, LB_NAME_MAX + 1, "%s.%0*" PRIu64, name, LB_LINES_DIGITS, index);
}

void lb_lines_note_write(const struct lb_lines_note *note, char text[LB_LINES_NOTE_MAX + 1])
{
	int n = snprintf(text, LB_LINES_NOTE_MAX + 1, "%s %" PRIu64 " %" PRIu64 " %s %s %s ",
		note->prefixed ? "records" : "lines", note->index, note->offset, note->before, note->source,
		note->skipped);

	for (unsigned i = 0; i < note->skips; i++)
		n += snprintf(text + n, (size_t)(LB_LINES_NOTE_MAX + 1 - n), "%02x", note->skip[i]);
	snprintf(text + n, (size_t)(LB_LINES_NOTE_MAX + 1 - n), "%s %" PRIu64 " %u",
		note->skips == 0 ? "-" : "", note->refused, note->left);
}

bool lb_lines_note_parse(const char *text, struct lb_lines_note *notep)
{
	char kind[8], skip[LB_LINES_NOTE_MAX + 1];
	const char *rest = text;
	size_t digits;
	int at = 0;

	*notep = (struct lb_lines_note){.index = 0};
	if (sscanf(text, "%7s %" SCNu64 " %" SCNu64 " %39s %39s %n", kind, &notep->index, &notep->offset,
		    notep->before, notep->source, &at) != 5 ||
		notep->index == 0)
		return false;
	rest += at;
	if (strncmp(notep->before, FORMER, strlen(FORMER)) == 0) {
		memmove(notep->before, notep->before + strlen(FORMER),
			strlen(notep->before + strlen(FORMER)) + 1);
	} else if (sscanf(rest, "%39s %n", notep->skipped, &at) == 1) {
		rest += at;
	}
	if (sscanf(rest, "%255s %" SCNu64 " %u", skip, &notep->refused, &notep->left) != 3)
		return false;
	notep->prefixed = strcmp(kind, "records") == 0;
	if (!notep->prefixed && strcmp(kind, "lines") != 0)
		return false;
	if (strcmp(skip, "-") == 0)
		return true;
	digits = strspn(skip, "0123456789abcdef");
	notep->skips = (unsigned)(digits / 2);
	if (skip[digits] != '\0' || digits % 2 != 0 || notep->skips > sizeof notep->skip)
		return false;
	for (unsigned i = 0; i < notep->skips; i++)
		sscanf(skip + 2 * (size_t)i, "%2hhx", &notep->skip[i]);
	return true;
}

static bool skips(const struct lb_lines_note *note, uint64_t i)
{
	return i / 8 < note->skips && (note->skip[i / 8] >> (i % 8) & 1) != 0;
}

/* A digest as notes have it. */
static void finish(const struct lb_hasher *hasher, char out[LB_DIGEST_TEXT])
{
	struct lb_digest digest;
	char text[LB_DIGEST_TEXT];

	lb_hasher_digest(hasher, &digest);
	strcpy(out, strchr(lb_digest_text(&digest, text), ':') + 1);
}

/* Of the records that the note skips, as they were read now. False: one of them is not there. */
static bool digest_skipped(
	const struct lb_lines_open *open, const struct lb_lines_note *note, char out[LB_DIGEST_TEXT])
{
	struct lb_hasher hasher;

	lb_hasher_init(&hasher);
	for (uint64_t i = 0; i < 8 * (uint64_t)note->skips; i++) {
		const struct lb_lines_old *old;

		if (!skips(note, i))
			continue;
		old = &open->old[note->index + i - open->from];
		if (!old->there)
			return false;
		lb_hasher_update(&hasher, &old->length, sizeof old->length);
		lb_hasher_update(&hasher, old->digest.bytes, sizeof old->digest.bytes);
	}
	finish(&hasher, out);
	return true;
}

uint64_t lb_lines_note_record(const struct lb_lines_note *note, unsigned i)
{
	uint64_t at = 0;

	for (;; at++) {
		if (skips(note, at))
			continue;
		if (i == 0)
			return note->index + at;
		i--;
	}
}

void lb_lines_open_refused(struct lb_lines_open *open, uint64_t index)
{
	if (open->refused == 0 || index < open->refused)
		open->refused = index;
}

/* What its note says of records that no number is open for any more. */
static void take_note(struct lb_lines_open *open, const struct lb_lines_note *note)
{
	for (uint64_t i = 0; i < 8 * (uint64_t)note->skips; i++)
		if (skips(note, i))
			open->old[note->index + i - open->from].committed = true;
	if (note->refused != 0)
		lb_lines_open_refused(open, note->refused);
}

bool lb_lines_note_is_used(const struct lb_lines_note *note, unsigned i)
{
	return note->left == 0 || lb_lines_note_record(note, i) < note->index + note->left;
}

struct search {
	struct lb_lines_open *open;
	const char *name;
	bool prefixed;
	const struct lb_uuid *ledger;  /* NULL: it is not known, and may be any */
	char address[LB_ADDRESS_TEXT]; /* as the journal has it */
	size_t n, known;               /* that are open; of these, that `open` has, too */
	uint64_t number, index;        /* of ours */
};

/* Another address may lead to the same ledger; and what another ledger at this address had may be committed. */
static bool is_here(const struct search *search, const struct lb_open_delivery *delivery)
{
	return search->ledger == NULL || strcmp(search->address, delivery->address) == 0 ||
	       memcmp(search->ledger, &delivery->ledger, sizeof delivery->ledger) == 0;
}

/* Whether these numbers are for the input. */
static bool is_for(
	const struct search *search, const struct lb_open_delivery *delivery, struct lb_lines_note *notep)
{
	char name[LB_NAME_MAX + 1];

	if (delivery->count < 2 || !is_here(search, delivery) ||
		!lb_lines_note_parse(delivery->note, notep) || notep->prefixed != search->prefixed ||
		strcmp(notep->source, search->open->source) != 0)
		return false;
	lb_lines_name(search->name, notep->index, name);
	return strcmp(delivery->name, name) == 0;
}

static int add(void *arg, const struct lb_open_delivery *delivery)
{
	struct search *search = arg;
	struct lb_lines_open *open = search->open;
	struct lb_lines_range range = {.first = delivery->id, .count = delivery->count}, *ranges;

	if (!is_for(search, delivery, &range.note))
		return 0;
	if (delivery->busy) /* it will tell itself */
		return search->ledger != NULL ? -EBUSY : 0;
	ranges = reallocarray(open->ranges, open->n + 1, sizeof *ranges);
	if (ranges == NULL)
		return -ENOMEM;
	open->ranges = ranges;
	ranges[open->n++] = range;
	return 0;
}

static int count(void *arg, const struct lb_open_delivery *delivery)
{
	struct search *search = arg;
	struct lb_lines_note note;

	if (!is_for(search, delivery, &note))
		return 0;
	search->n++;
	for (size_t i = 0; i < search->open->n; i++)
		search->known += search->open->ranges[i].first.number == delivery->id.number;
	return 0;
}

/* Calls it for all that is open of the input, and what else is there. */
static int look_through(struct search *search, const struct lb_peer *peer,
	int (*each)(void *arg, const struct lb_open_delivery *delivery))
{
	const struct lb_client_options options = {.state_dir = peer->state_dir};
	int r = lb_client_normalise(peer->address, search->address);

	search->ledger = peer->client != NULL ? lb_client_ledger(peer->client) : NULL;
	return r < 0 ? r : lb_client_each_open(&options, NULL, each, search);
}

/* Behind the last record that it says something of: that is not always the one of the last number. */
static uint64_t end_of(const struct lb_lines_range *range)
{
	const struct lb_lines_note *note = &range->note;
	uint64_t end = lb_lines_note_record(note, range->count - 1) + 1;

	for (uint64_t i = 0; i < 8 * (uint64_t)note->skips; i++)
		if (skips(note, i) && note->index + i >= end)
			end = note->index + i + 1;
	return end;
}

static int by_record(const void *a, const void *b)
{
	const struct lb_lines_range *one = a, *other = b;

	return one->note.index < other->note.index ? -1 : one->note.index > other->note.index;
}

int lb_lines_open_find(struct lb_lines_open *open, const struct lb_peer *peer, const char *source,
	const char *name, bool prefixed)
{
	struct search search = {.open = open, .name = name, .prefixed = prefixed};
	struct lb_hasher hasher;
	int r;

	*open = (struct lb_lines_open){.source = "-"};
	if (source == NULL)
		return 0;
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, source, strlen(source));
	finish(&hasher, open->source);
	r = look_through(&search, peer, add);
	if (r < 0 || open->n == 0)
		return r;
	qsort(open->ranges, open->n, sizeof *open->ranges, by_record);
	open->from = open->ranges->note.index;
	if (peer->client == NULL) /* of whichever ledger each of them is: nothing is asked */
		return 0;
	for (size_t i = 0; i < open->n; i++) {
		uint64_t end = end_of(&open->ranges[i]);

		open->until = end > open->until ? end : open->until;
	}
	if (open->n > LB_LINES_RANGES || open->until - open->from > LB_LINES_SKIP_MAX)
		return -E2BIG;
	open->old = calloc(open->until - open->from, sizeof *open->old);
	if (open->old == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < open->n; i++)
		take_note(open, &open->ranges[i].note);
	if (open->refused >= open->from)
		open->refused =
			0; /* there are numbers open for it, or it comes after them: it is sent again */
	return 0;
}

int lb_lines_open_check(
	struct lb_lines_open *open, const struct lb_peer *peer, const char *name, bool prefixed)
{
	struct search search = {.open = open, .name = name, .prefixed = prefixed};
	int r = open->n > 0 ? look_through(&search, peer, count) : 0;

	return r < 0 ? r : search.n == open->n && search.known == open->n ? 0 : -EBUSY;
}

/* Who was there before us, or has come further: that one has looked already, and goes on. */
static int yield_to(void *arg, const struct lb_open_delivery *delivery)
{
	const struct search *search = arg;
	struct lb_lines_note note;

	if (!is_for(search, delivery, &note))
		return 0;
	return delivery->id.number < search->number || note.index > search->index ? -EBUSY : 0;
}

int lb_lines_open_alone(struct lb_lines_open *open, const struct lb_peer *peer, const char *name,
	bool prefixed, const struct lb_id *id, uint64_t index)
{
	struct search search = {
		.open = open, .name = name, .prefixed = prefixed, .number = id->number, .index = index};

	return look_through(&search, peer, yield_to);
}

void lb_lines_open_free(struct lb_lines_open *open)
{
	free(open->ranges);
	free(open->old);
}

/* The record that was cut is the next one of the input. */
static bool take(
	struct lb_lines_open *open, const struct lb_records *records, const uint8_t *record, size_t len)
{
	const struct lb_lines_note *note = &open->ranges->note;
	struct lb_lines_old *old;
	struct lb_hasher hasher;
	char before[LB_DIGEST_TEXT];

	if (records->index == open->from) {
		finish(&records->before, before);
		if (records->offset != note->offset || strcmp(before, note->before) != 0)
			return false;
		open->before = records->before;
	}
	if (records->index < open->from)
		return true;
	old = &open->old[records->index - open->from];
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, record, len);
	lb_hasher_digest(&hasher, &old->digest);
	old->length = len;
	old->there = true;
	return true;
}

int lb_lines_open_read(struct lb_lines_open *open, struct lb_records *records)
{
	const uint8_t *record;
	size_t len;

	while (open->n > 0 && records->index + 1 < open->until) {
		int r = lb_records_cut(records, &record, &len);

		if (r < 0 || (r == 0 && records->ended))
			break;
		if (r == 0)
			r = lb_records_fill(records);
		else if (!take(open, records, record, len))
			return -ESTALE;
		if (r < 0)
			return r;
	}
	if (open->n == 0)
		return 0;
	if (!open->old->there)
		return -ESTALE;
	for (size_t i = 0; i < open->n; i++) {
		const struct lb_lines_note *note = &open->ranges[i].note;
		char skipped[LB_DIGEST_TEXT];

		if (!digest_skipped(open, note, skipped) ||
			(note->skipped[0] != '\0' && strcmp(skipped, note->skipped) != 0))
			return -EUCLEAN;
	}
	return lb_records_back(records, open->from - 1, open->ranges->note.offset, &open->before);
}

bool lb_lines_open_has(const struct lb_lines_open *open, uint64_t index)
{
	return index >= open->from && index < open->until && open->old[index - open->from].committed;
}

void lb_lines_open_note(
	const struct lb_lines_open *open, const struct lb_records *records, char text[LB_LINES_NOTE_MAX + 1])
{
	struct lb_lines_note note = {
		.prefixed = records->prefixed, .index = records->index, .offset = records->offset};

	finish(&records->before, note.before);
	strcpy(note.source, open->source);
	note.refused = open->refused;
	if (records->ended && records->last - records->index < LEFT_MAX)
		note.left = (unsigned)(records->last - records->index) + 1;
	for (uint64_t i = 0; note.index + i < open->until; i++) {
		if (!lb_lines_open_has(open, note.index + i))
			continue;
		note.skip[i / 8] |= (uint8_t)(1 << i % 8);
		note.skips = (unsigned)(i / 8) + 1;
	}
	(void)digest_skipped(open, &note, note.skipped); /* all of them were read */
	lb_lines_note_write(&note, text);
}
