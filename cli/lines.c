/* SPDX-License-Identifier: MIT */
/*
 * Has the records of one input delivered, many at a time, over one connection. Decides when to stop: a record that was
 * refused says nothing of the others, but where one is not committed for another reason, no more are read. Owns the count.
 */
#include "lines.h"
#include "args.h"
#include "base/test.h"
#include "records.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNAL_MS 5000 /* after a signal: how long the server has to answer */
#define ANOTHER   "another process delivers this file"

struct lines {
	struct lb_sending *sending;
	struct lb_telling *telling;
	const char *name;
	char *source; /* what the journal has it by */
	struct lb_records records;
	struct lb_lines_open open; /* what an earlier run has left */
	uint64_t committed;
	uint64_t from; /* the first record that is not, and that was not refused; 0: there is none */
	bool stop;     /* nothing more is begun */
	bool alone;    /* nobody else has begun with this input */
};

/* Nothing more is begun. Of a file, the next run shall know what was done. */
static void stop(struct lines *lines)
{
	lines->stop = true;
	if (lines->sending->peer.client != NULL && lines->records.source.again)
		lb_client_keep(lines->sending->peer.client);
}

static void decide(struct lines *lines, uint64_t index, struct lb_result *result)
{
	if (result->verdict == LB_VERDICT_COMMITTED) {
		lines->committed++;
	} else if (result->verdict == LB_VERDICT_REFUSED) {
		lb_lines_open_refused(&lines->open, index);
	} else {
		stop(lines);
		if (lines->from == 0 || index < lines->from)
			lines->from = index;
	}
	lb_progress_clear(&lines->sending->progress);
	lb_tell(lines->telling, &lines->sending->peer, result, false);
}

/* A record that was not begun. */
static void decide_not(struct lines *lines, uint64_t index, enum lb_reason reason, const char *detail)
{
	struct lb_result result = {.verdict = lb_reason_verdict(reason),
		.reason = reason,
		.detail = detail,
		.receipt.length = LB_UNKNOWN};

	lb_lines_name(lines->name, index, result.receipt.name);
	decide(lines, index, &result);
}

/* The reason for a failed call of the client library. */
static enum lb_reason stopped(struct lines *lines, int r)
{
	stop(lines);
	if (r == -EINTR)
		lb_peer_interrupted(&lines->sending->peer);
	return r == -EINTR ? LB_REASON_INTERRUPTED : r == -ETIMEDOUT ? LB_REASON_DEADLINE : LB_REASON_BROKEN;
}

static void decided(void *arg, const struct lb_decision *decision)
{
	struct lines *lines = arg;
	const struct lb_outcome *outcome = &decision->outcome;
	struct lb_result result = {.receipt = decision->receipt,
		.verdict = outcome->verdict,
		.reason = outcome->reason,
		.detail = lb_peer_detail(outcome, decision->text),
		.took = outcome->took};

	lines->sending->peer.ended = outcome->how;
	decide(lines, (uintptr_t)decision->tag, &result);
}

/* Gives up the record that was begun last, of which COMMIT was not said. */
static void roll_back(struct lines *lines, enum lb_reason reason)
{
	struct lb_peer *peer = &lines->sending->peer;
	struct lb_decision decision = {.tag = (void *)(uintptr_t)lines->records.index, .text = ""};

	(void)lb_client_rollback(peer->client, reason, lb_peer_deadline(peer, SIGNAL_MS), &decision.receipt,
		&decision.outcome);
	decided(lines, &decision);
}

/* Gives up what this run has begun, and leaves nothing of it in the journal: there it would stand before what another run
 * has left, which has come further. */
static void is_not_alone(struct lines *lines, int r)
{
	struct lb_peer *peer = &lines->sending->peer;
	struct lb_result result = {.verdict = LB_VERDICT_NOT_COMMITTED,
		.reason = r == -EBUSY ? LB_REASON_BUSY : LB_REASON_JOURNAL,
		.detail = r == -EBUSY ? ANOTHER : strerror(-r),
		.receipt.length = LB_UNKNOWN};
	struct lb_receipt receipt;
	struct lb_outcome outcome;

	lines->stop = true;
	lines->from = lines->records.index;
	lb_lines_name(lines->name, lines->from, result.receipt.name);
	(void)lb_client_rollback(
		peer->client, LB_REASON_ROLLED_BACK, lb_peer_deadline(peer, SIGNAL_MS), &receipt, &outcome);
	lb_tell(lines->telling, peer, &result, false);
}

/* Two runs that have found nothing open may begin with the same file: its number is in the journal, for the other one. */
static int look_for_others(struct lines *lines)
{
	struct lb_peer *peer = &lines->sending->peer;
	int r = 0;

	LB_FAULT("lines_begun");
	if (lines->open.n == 0 && lines->records.source.again)
		r = lb_lines_open_alone(&lines->open, peer, lines->name, lines->records.prefixed,
			lb_client_id(peer->client), lines->records.index);
	lines->alone = r == 0;
	return r;
}

static void send_record(struct lines *lines, const uint8_t *record, size_t len)
{
	struct lb_peer *peer = &lines->sending->peer;
	uint64_t index = lines->records.index;
	char name[LB_NAME_MAX + 1], note[LB_LINES_NOTE_MAX + 1];
	const struct lb_delivery delivery = {
		.name = name, .length = len, .tag = (void *)(uintptr_t)index, .note = note};
	int r, others;

	lb_lines_name(lines->name, index, name);
	lb_lines_open_note(&lines->open, &lines->records, note);
	r = lb_client_begin(peer->client, &delivery, peer->deadline);
	if (r == 0 && !lines->alone && (others = look_for_others(lines)) < 0) {
		is_not_alone(lines, others);
		return;
	}
	if (r == 0)
		r = lb_client_write(peer->client, record, len, peer->deadline);
	if (r == 0 || r == -ECONNABORTED)
		r = lb_client_commit_async(peer->client, peer->deadline);
	if (r < 0)
		roll_back(lines, stopped(lines, r));
}

/* Waits for the verdicts of what was begun. */
static void await_verdicts(struct lines *lines)
{
	struct lb_peer *peer = &lines->sending->peer;
	int r;

	do {
		r = lb_client_decision(peer->client, lb_peer_deadline(peer, SIGNAL_MS), NULL);
		if (r == -EINTR)
			lb_peer_interrupted(peer);
	} while (r == 0 || r == -EINTR);
}

/* Reads on. Meanwhile the connection is served. */
static void fill(struct lines *lines)
{
	struct lb_peer *peer = &lines->sending->peer;
	struct lb_records *records = &lines->records;
	int r = records->source.waits ? lb_client_wait(peer->client, records->source.fd, peer->deadline) : 0;

	if (r < 0) {
		decide_not(lines, records->index + 1, stopped(lines, r), NULL);
		return;
	}
	r = lb_records_fill(records);
	if (r < 0)
		decide_not(lines, records->index + 1, LB_REASON_SOURCE_UNREADABLE, strerror(-r));
}

static void send_records(struct lines *lines)
{
	struct lb_records *records = &lines->records;
	const uint8_t *record;
	size_t len;

	while (!lines->stop) {
		int r = lb_records_cut(records, &record, &len);

		if (r > 0 && lb_lines_open_has(&lines->open, records->index))
			continue;
		if (r > 0)
			send_record(lines, record, len);
		else if (r == 0 && records->ended)
			break;
		else if (r == 0 && lb_peer_interrupted(&lines->sending->peer))
			decide_not(lines, records->index + 1, LB_REASON_INTERRUPTED, NULL);
		else if (r == 0)
			fill(lines);
		else
			decide_not(lines, records->index + 1, LB_REASON_SOURCE_UNREADABLE,
				r == -EBADMSG       ? "it ends within this record"
				: records->prefixed ? "by the 4 bytes before it, this record is longer than "
						      "--replay"
						    : "this record is longer than --replay");
	}
}

/* A record of an earlier run is not what this one has read. */
static void has_changed(struct lines *lines, uint64_t index, const char *detail)
{
	struct lb_result result = {.verdict = LB_VERDICT_REFUSED,
		.reason = LB_REASON_DIFFERENT,
		.detail = detail,
		.receipt.length = LB_UNKNOWN};

	lb_lines_name(lines->name, index, result.receipt.name);
	lines->from = index;
	stop(lines);
	decide(lines, index, &result);
}

/* The server has refused one to an earlier run: what is not there is not all there now either. */
static void was_refused(struct lines *lines, uint64_t index)
{
	struct lb_result result = {.verdict = LB_VERDICT_REFUSED,
		.detail = "an earlier run was told so, and went on; there may be others",
		.receipt.length = LB_UNKNOWN};

	lb_lines_name(lines->name, index, result.receipt.name);
	decide(lines, index, &result);
}

/* Asks what became of a number of an earlier run, which settles it. */
static void ask(struct lines *lines, const struct lb_id *id, uint64_t index, bool used)
{
	struct lb_lines_old *old = &lines->open.old[index - lines->open.from];
	struct lb_result result = {.verdict = LB_VERDICT_IN_DOUBT};
	const struct lb_receipt *receipt = &result.receipt;

	lb_peer_resolve(&lines->sending->peer, id, &result);
	if (result.verdict != LB_VERDICT_COMMITTED) /* else it is the server's word */
		lb_lines_name(lines->name, index, result.receipt.name);
	if (result.verdict == LB_VERDICT_ROLLED_BACK || result.verdict == LB_VERDICT_REFUSED)
		return;
	if (result.verdict == LB_VERDICT_IN_DOUBT && !(used && old->there))
		return; /* whatever it is, it is no record of this input */
	if (result.verdict != LB_VERDICT_COMMITTED) {
		lb_peer_interrupted(&lines->sending->peer);
		decide(lines, index, &result);
	} else if (!old->there || old->length != receipt->length ||
		   memcmp(&old->digest, &receipt->digest, sizeof old->digest) != 0) {
		has_changed(lines, index, "an earlier run has committed another record in its place");
	} else if (!old->committed) {
		old->committed = true;
		decide(lines, index, &result);
	}
}

static void cannot_take_up(struct lines *lines, uint64_t index, int r)
{
	decide_not(lines, index, r == -EBUSY ? LB_REASON_BUSY : LB_REASON_JOURNAL,
		r == -EBUSY ? ANOTHER : strerror(-r));
}

/* Nothing of it can be gone on with: what is open could not be said in one note. */
static void is_too_much(struct lines *lines)
{
	struct lb_result result = {.verdict = LB_VERDICT_IN_DOUBT,
		.detail =
			"earlier runs have left more open than can be gone on with; lastbyte send --continue "
			"tells what became of each record, then send those that are not committed",
		.receipt.length = LB_UNKNOWN};

	lb_lines_name(lines->name, lines->open.from, result.receipt.name);
	decide(lines, lines->open.from, &result);
}

/* Finds out which records an earlier run has delivered. Nothing is begun before that is known of each of them. */
static void take_up(struct lines *lines, bool prefixed)
{
	struct lb_peer *peer = &lines->sending->peer;
	struct lb_lines_open *open = &lines->open;
	int r = lb_lines_open_find(
		open, peer, lines->records.source.again ? lines->source : NULL, lines->name, prefixed);

	if (r < 0) {
		if (r == -E2BIG)
			is_too_much(lines);
		else
			cannot_take_up(lines, 1, r);
		return;
	}
	LB_FAULT("lines_found");
	if (peer->client == NULL) {
		decide_not(lines, open->n > 0 ? open->from : 1,
			open->n > 0 ? LB_REASON_NO_ANSWER : peer->reason,
			peer->why[0] != '\0' ? peer->why : NULL);
		return;
	}
	if (open->refused != 0)
		was_refused(lines, open->refused);
	r = lb_lines_open_read(open, &lines->records);
	if (r == -ESTALE)
		has_changed(lines, open->from, "what comes before it is not what an earlier run has read");
	else if (r == -EUCLEAN)
		has_changed(lines, open->from, "a record behind it is not what an earlier run has delivered");
	else if (r < 0)
		decide_not(lines, open->from, LB_REASON_SOURCE_UNREADABLE, strerror(-r));
	for (size_t i = 0; i < open->n; i++) {
		struct lb_id id = open->ranges[i].first;

		for (unsigned n = 0; n < open->ranges[i].count && !lines->stop; n++, id.number++)
			ask(lines, &id, lb_lines_note_record(&open->ranges[i].note, n),
				lb_lines_note_is_used(&open->ranges[i].note, n));
	}
	r = lines->stop ? 0 : lb_lines_open_check(open, peer, lines->name, prefixed);
	if (r < 0)
		cannot_take_up(lines, open->from, r);
}

int lb_lines(struct lb_sending *sending, struct lb_telling *telling, const char *path, const char *name,
	bool prefixed)
{
	struct lb_peer *peer = &sending->peer;
	struct lines lines = {.sending = sending, .telling = telling, .name = name};
	size_t most = peer->replay != 0 ? (size_t)peer->replay : LB_LINES_MOST;
	int r;

	peer->decided = decided;
	peer->decided_arg = &lines;
	r = lb_peer_open(peer, "send");
	lb_progress_clear(&sending->progress);
	if (r >= 0)
		return r;
	lines.source = realpath(path, NULL);
	r = lb_records_open(&lines.records, path, prefixed, most);
	if (r < 0)
		decide_not(&lines, 1, LB_REASON_SOURCE_UNREADABLE, strerror(-r));
	else
		take_up(&lines, prefixed);
	if (peer->client != NULL) {
		send_records(&lines);
		await_verdicts(&lines);
	}
	LB_FAULT("lines_decided");
	lb_lines_open_free(&lines.open);
	free(lines.source);
	lb_records_close(&lines.records);
	lb_peer_close(peer);
	if (lines.stop)
		lb_print_line(STDERR_FILENO,
			"lastbyte send: %" PRIu64
			" records were committed; it stopped because of record %" PRIu64
			", which was not, or is in doubt",
			lines.committed, lines.from);
	return telling->exit;
}
