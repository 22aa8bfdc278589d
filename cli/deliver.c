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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROLLBACK_MS 5000 /* after a signal: how long the server has to answer */

void lb_deliver_waits(void *arg, const struct lb_outcome *why, lb_time wait)
{
	struct lb_sending *sending = arg;
	const char *text = NULL;

	if (why != NULL)
		text = lb_peer_trouble(why);
	if (why != NULL && (why->reason == LB_REASON_BUSY || why->reason == LB_REASON_GOING_AWAY))
		text = lb_reason_text(why->reason);
	else if (why != NULL && text == NULL)
		text = why->how == LB_END_FIN ? "the server ended the connection" : "the connection broke";
	lb_progress_wait(&sending->progress, wait, text);
}

/* The result of a delivery that this run has not begun. */
static void not_begun(const char *name, enum lb_reason reason, const char *detail, struct lb_result *result)
{
	*result =
		(struct lb_result){.verdict = lb_reason_verdict(reason), .reason = reason, .detail = detail};
	snprintf(result->receipt.name, sizeof result->receipt.name, "%s", name);
}

/* What the journal finds a file by, when an earlier run has left it open. */
static char *source_of(const char *path)
{
	return strcmp(path, "-") == 0 ? strdup("-") : realpath(path, NULL);
}

void lb_deliver_not(const struct lb_sending *sending, const char *path, const char *name,
	enum lb_reason reason, const char *detail, struct lb_result *result)
{
	const struct lb_client_options options = {.state_dir = sending->peer.state_dir};
	char *source = source_of(path);
	struct lb_delivery delivery = {.name = name, .source = source, .id = sending->id};
	int found = delivery.id.number != 0;

	not_begun(name, reason, detail, result);
	result->receipt.id = delivery.id;
	if (!found && reason != LB_REASON_BAD_NAME)
		found = lb_client_find(NULL, &options, &delivery, &result->receipt.id);
	/* An earlier run may have committed it, here or at another address of the same ledger. One that is still at it
	 * (-EBUSY) will say so itself. */
	if (found != 0 && found != -EBUSY && reason != LB_REASON_BAD_NAME)
		result->verdict = LB_VERDICT_IN_DOUBT;
	free(source);
}

/* What a failed call of the client library means: the reason to roll back for. When the delivery has ended, that
 * changes nothing, and gets how it has ended. */
static enum lb_reason stopped(struct lb_sending *sending, int r)
{
	if (r == -EINTR)
		lb_peer_interrupted(&sending->peer);
	return r == -EINTR ? LB_REASON_INTERRUPTED : r == -ETIMEDOUT ? LB_REASON_DEADLINE : LB_REASON_BROKEN;
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

	if (reason == LB_REASON_NONE)
		r = lb_client_commit(peer->client, peer->deadline, &result->receipt, &outcome);
	else
		r = lb_client_rollback(peer->client, reason, lb_peer_deadline(peer, ROLLBACK_MS),
			&result->receipt, &outcome);
	lb_peer_interrupted(peer);
	result->verdict = r == 0 ? outcome.verdict : LB_VERDICT_IN_DOUBT;
	result->reason = outcome.reason;
	result->detail = lb_peer_detail(&outcome, lb_client_text(peer->client));
	peer->ended = outcome.how;
}

/* What an earlier run has committed, while this run has no proof that it is the same content. */
static void mention(struct lb_sending *sending, const struct lb_receipt *receipt)
{
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT], time[LB_TIME_TEXT];

	lb_progress_clear(&sending->progress);
	lb_print_line(STDERR_FILENO, "an earlier run has committed %s %s %" PRIu64 " %s %s",
		lb_id_text(&receipt->id, id), receipt->name, receipt->length,
		lb_digest_text(&receipt->digest, digest), lb_print_time(receipt->committed_at, time));
}

/* The ledger's receipt is for other content: the result is about what was read now. */
static void is_different(struct lb_sending *sending, const struct lb_source *source,
	const struct lb_delivery *delivery, struct lb_result *result)
{
	struct lb_receipt *receipt = &result->receipt;

	if (receipt->committed_at != 0)
		mention(sending, receipt);
	*receipt = (struct lb_receipt){.id = receipt->id, .ledger = receipt->ledger, .length = source->got};
	snprintf(receipt->name, sizeof receipt->name, "%s", delivery->name);
}

/* Begins it, sends it, and gets its verdict. */
static void attempt(struct lb_sending *sending, struct lb_source *source, struct lb_delivery *delivery,
	struct lb_result *result)
{
	struct lb_peer *peer = &sending->peer;
	enum lb_reason reason;
	int r;

	delivery->length = source->length;
	r = lb_client_begin(peer->client, delivery, peer->deadline);
	result->gone = r == -ENOENT;
	if (result->gone)
		return;
	if (r == -EBUSY || r == -EINVAL) {
		not_begun(delivery->name, r == -EBUSY ? LB_REASON_BUSY : LB_REASON_BAD_NAME, NULL, result);
		result->receipt.id = delivery->id;
		if (r == -EBUSY &&
			delivery->id.number != 0) /* another process may commit what was asked for */
			result->verdict = LB_VERDICT_IN_DOUBT;
		return;
	}
	lb_progress_start(&sending->progress, source->length);
	reason = r == 0 ? transfer(sending, source) : stopped(sending, r);
	conclude(sending, reason, result);
	if (result->reason == LB_REASON_SOURCE_UNREADABLE)
		result->detail = strerror(source->error);
	if (reason != LB_REASON_NONE && result->verdict == LB_VERDICT_COMMITTED) {
		mention(sending, &result->receipt);
		result->verdict = LB_VERDICT_IN_DOUBT;
		result->reason = reason;
		result->detail = "it is committed, and what is there now was not compared with that";
	}
	if (result->reason == LB_REASON_DIFFERENT)
		is_different(sending, source, delivery, result);
}

/* Whether the delivery of an earlier run, which the journal had open, is settled without what was read now. */
static bool is_settled_without(const struct lb_delivery *delivery, const struct lb_result *result)
{
	return delivery->id.number == 0 &&
	       (result->verdict == LB_VERDICT_REFUSED || result->verdict == LB_VERDICT_ROLLED_BACK) &&
	       (result->reason == LB_REASON_DIFFERENT || result->reason == LB_REASON_FENCED ||
		       result->reason == LB_REASON_SETTLED || result->reason == LB_REASON_WRONG_DIGEST ||
		       result->reason == LB_REASON_WRONG_LENGTH);
}

/* What was read now is a new delivery, if it can be read again. */
static void anew(struct lb_sending *sending, struct lb_source *source, const char *path,
	struct lb_delivery *delivery, struct lb_result *result)
{
	int r = 0;

	if (source->got > 0 && !source->again) {
		result->detail = "what was read now was not sent, so send it again";
		result->verdict = LB_VERDICT_NOT_COMMITTED;
		return;
	}
	if (source->got > 0) {
		lb_source_close(source);
		r = lb_source_open(source, path);
	}
	if (r == 0)
		attempt(sending, source, delivery, result);
	else
		not_begun(delivery->name, LB_REASON_SOURCE_UNREADABLE, strerror(-r), result);
}

void lb_deliver(struct lb_sending *sending, const char *path, const char *name, struct lb_result *result)
{
	char *absolute = source_of(path);
	struct lb_delivery delivery = {.name = name, .source = absolute, .id = sending->id};
	lb_time started = lb_now();
	struct lb_source source;
	int r = lb_source_open(&source, path);

	*result = (struct lb_result){0};
	if (r < 0) {
		lb_deliver_not(sending, path, name, LB_REASON_SOURCE_UNREADABLE, strerror(-r), result);
	} else {
		if (!source.waits) {
			delivery.read_again = lb_source_read_again;
			delivery.read_again_arg = &source;
		}
		attempt(sending, &source, &delivery, result);
		if (is_settled_without(&delivery, result))
			anew(sending, &source, path, &delivery, result);
		lb_source_close(&source);
	}
	lb_progress_clear(&sending->progress);
	result->took = lb_now() - started;
	free(absolute);
}
