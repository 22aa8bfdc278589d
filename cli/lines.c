/* SPDX-License-Identifier: MIT */
/*
 * Has the records of one input delivered, many at a time, over one connection. Decides when to stop: a record that was
 * refused says nothing of the others, but where one is not committed for another reason, no more are read. Owns the count.
 */
#include "lines.h"
#include "args.h"
#include "records.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIGNAL_MS 5000 /* after a signal: how long the server has to answer */

struct lines {
	struct lb_sending *sending;
	struct lb_telling *telling;
	const char *name;
	char *source; /* what the journal has it by */
	struct lb_records records;
	uint64_t committed;
	uint64_t from; /* the first record that is not, and that was not refused; 0: there is none */
	bool stop;     /* nothing more is begun */
};

static void decide(struct lines *lines, uint64_t index, struct lb_result *result)
{
	if (result->verdict == LB_VERDICT_COMMITTED) {
		lines->committed++;
	} else if (result->verdict != LB_VERDICT_REFUSED) {
		lines->stop = true;
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
	lines->stop = true;
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

static void send_record(struct lines *lines, const uint8_t *record, size_t len)
{
	struct lb_peer *peer = &lines->sending->peer;
	uint64_t index = lines->records.index;
	char name[LB_NAME_MAX + 1];
	const struct lb_delivery delivery = {.name = name, .length = len, .tag = (void *)(uintptr_t)index};
	int r;

	lb_lines_name(lines->name, index, name);
	r = lb_client_begin(peer->client, &delivery, peer->deadline);
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
				r == -EBADMSG ? "it ends within this record"
					      : "this record is longer than --replay");
	}
}

void lb_lines_name(const char *name, uint64_t index, char out[LB_NAME_MAX + 1])
{
	snprintf(out, LB_NAME_MAX + 1, "%s.%0*" PRIu64, name, LB_LINES_DIGITS, index);
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
	r = lb_records_open(&lines.records, path, prefixed, most);
	if (r < 0)
		decide_not(&lines, 1, LB_REASON_SOURCE_UNREADABLE, strerror(-r));
	else if (peer->client == NULL)
		decide_not(&lines, 1, peer->reason, peer->why[0] != '\0' ? peer->why : NULL);
	else
		send_records(&lines);
	if (peer->client != NULL)
		await_verdicts(&lines);
	lb_records_close(&lines.records);
	lb_peer_close(peer);
	if (lines.stop)
		lb_print_line(STDERR_FILENO,
			"lastbyte send: %" PRIu64 " records were committed; from record %" PRIu64
			" on they were not",
			lines.committed, lines.from);
	return telling->exit;
}
