/* SPDX-License-Identifier: MIT */
/*
 * Reads one file and hands it to the client library, then says what became of it. Decides what the library
 * cannot: that a file which changed meanwhile is rolled back, and what to do when an earlier run of this
 * command turns out to have committed other content.
 */
#include "deliver.h"
#include "source.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENDED       LB_REASON_BROKEN /* the delivery has ended; the library knows how, and tells it */
#define ROLLBACK_MS 5000             /* after a signal: how long the server has to answer */

void lb_deliver_not(const char *name, enum lb_reason reason, const char *detail, struct lb_result *result)
{
	*result =
		(struct lb_result){.verdict = lb_reason_verdict(reason), .reason = reason, .detail = detail};
	snprintf(result->receipt.name, sizeof result->receipt.name, "%s", name);
}

/* What a failed call of the client library means: the reason to roll back for. */
static enum lb_reason stopped(struct lb_sending *sending, int r)
{
	switch (r) {
	case -EINTR:
		lb_peer_interrupted(&sending->peer);
		return LB_REASON_INTERRUPTED;
	case -ETIMEDOUT:
		return LB_REASON_DEADLINE;
	case -ECONNABORTED:
		return ENDED;
	default:
		return LB_REASON_BROKEN;
	}
}

/* Sends everything: NONE, or why not. */
static enum lb_reason transfer(struct lb_sending *sending, struct lb_source *source)
{
	struct lb_peer *peer = &sending->peer;

	for (;;) {
		ssize_t n;
		int r = source->waits ? lb_client_wait(peer->client, source->fd, peer->deadline) : 0;

		if (r < 0)
			return stopped(sending, r);
		n = lb_source_read(source, sending->buf, LB_SENDING_BUFFER);
		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return LB_REASON_SOURCE_UNREADABLE;
		if (n == 0 || source->got > source->length)
			break;
		r = lb_client_write(peer->client, sending->buf, (size_t)n, peer->deadline);
		if (r < 0)
			return stopped(sending, r);
		if (lb_peer_interrupted(peer))
			return LB_REASON_INTERRUPTED;
		lb_progress_update(&sending->progress, source->got);
	}
	return lb_source_changed(source) ? LB_REASON_SOURCE_CHANGED : LB_REASON_NONE;
}

/* Commits, or rolls back for a reason, and says what came out. */
static void conclude(struct lb_sending *sending, enum lb_reason reason, struct lb_result *result)
{
	struct lb_peer *peer = &sending->peer;
	struct lb_outcome outcome;
	int r;

	if (reason == LB_REASON_NONE || reason == ENDED)
		r = lb_client_commit(peer->client, peer->deadline, &result->receipt, &outcome);
	else
		r = lb_client_rollback(peer->client, reason, lb_peer_deadline(peer, ROLLBACK_MS),
			&result->receipt, &outcome);
	lb_peer_interrupted(peer);
	result->verdict = r == 0 ? outcome.verdict : LB_VERDICT_IN_DOUBT;
	result->reason = outcome.reason;
	if (result->verdict == LB_VERDICT_IN_DOUBT && outcome.reason == LB_REASON_NONE)
		result->reason = LB_REASON_NO_ANSWER;
	peer->ended = result->ended = outcome.how;
	peer->reason = outcome.how != LB_END_OPEN ? LB_REASON_BROKEN : LB_REASON_NONE;
	peer->err = outcome.err;
	if (outcome.how != LB_END_OPEN && outcome.err != 0)
		result->detail = strerror(outcome.err);
}

/* The receipt of an earlier run's delivery, for which this run has no proof that it is the same content. */
static void mention(struct lb_sending *sending, const struct lb_receipt *receipt)
{
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT], time[LB_TIME_TEXT];

	lb_progress_clear(&sending->progress);
	lb_print_line(STDERR_FILENO,
		"an interrupted run had committed other content as %s %s %" PRIu64 " %s %s",
		lb_id_text(&receipt->id, id), receipt->name, receipt->length,
		lb_digest_text(&receipt->digest, digest), lb_print_time(receipt->committed_at, time));
}

/* Begins it, sends it, and gets its verdict. */
static void attempt(struct lb_sending *sending, struct lb_source *source, const struct lb_delivery *delivery,
	struct lb_result *result)
{
	struct lb_peer *peer = &sending->peer;
	enum lb_reason reason;
	int r = lb_client_begin(peer->client, delivery, peer->deadline);

	if (r == -EBUSY) {
		lb_deliver_not(delivery->name, LB_REASON_BUSY, "another process is at this delivery", result);
		result->receipt.id = delivery->id;
		return;
	}
	if (r == -EINVAL) {
		lb_deliver_not(delivery->name, LB_REASON_BAD_NAME, NULL, result);
		return;
	}
	reason = r == 0 ? transfer(sending, source) : stopped(sending, r);
	conclude(sending, reason, result);
	if (reason != LB_REASON_NONE && result->verdict == LB_VERDICT_COMMITTED) {
		mention(sending, &result->receipt);
		lb_deliver_not(delivery->name, reason, NULL, result);
	}
}

/* Whether it is the delivery of an earlier run, which the journal had open, and which has committed something
 * else than what was read now. */
static bool committed_other(const struct lb_delivery *delivery, const struct lb_result *result)
{
	return delivery->id.number == 0 && result->verdict == LB_VERDICT_REFUSED &&
	       result->reason == LB_REASON_DIFFERENT && result->receipt.committed_at != 0;
}

/* Standard input cannot be read twice. */
static void send_again(const char *name, struct lb_result *result)
{
	lb_deliver_not(name, LB_REASON_DIFFERENT, "what was read now was not sent, so send it again", result);
	result->verdict = LB_VERDICT_NOT_COMMITTED;
}

void lb_deliver(struct lb_sending *sending, const char *path, const char *name, struct lb_result *result)
{
	char *absolute = strcmp(path, "-") == 0 ? strdup("-") : realpath(path, NULL);
	struct lb_delivery delivery = {.name = name, .source = absolute, .id = sending->id};
	lb_time started = lb_now();
	struct lb_source source;
	int r = lb_source_open(&source, path);

	if (r < 0) {
		lb_deliver_not(name, LB_REASON_SOURCE_UNREADABLE, strerror(-r), result);
		free(absolute);
		return;
	}
	*result = (struct lb_result){0};
	delivery.length = source.length;
	lb_progress_start(&sending->progress, source.length);
	attempt(sending, &source, &delivery, result);
	if (committed_other(&delivery, result)) {
		mention(sending, &result->receipt);
		lb_source_close(&source);
		if (strcmp(path, "-") == 0)
			send_again(name, result);
		else if ((r = lb_source_open(&source, path)) < 0)
			lb_deliver_not(name, LB_REASON_SOURCE_UNREADABLE, strerror(-r), result);
		else
			attempt(sending, &source, &delivery, result);
	}
	lb_progress_clear(&sending->progress);
	result->took = lb_now() - started;
	lb_source_close(&source);
	free(absolute);
}
