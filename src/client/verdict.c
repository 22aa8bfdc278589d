/* SPDX-License-Identifier: MIT */
/*
 * What became of a delivery: what an answer means, a broken connection, a deadline. Owns the verdict. Says nothing
 * to the server, except that a receipt is not ours.
 *
 * COMMITTED is said only with a receipt for this id, name, length and digest. "Not committed" is said only if no
 * attempt can have sent COMMIT, or if the server has said so for good. All else is in doubt.
 */
#include "client/engine.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* "Will never commit" is the client's word alone where no ledger has it: after a rollback, and after a refusal for
 * something that may change, as a name that is taken. It must be written down, or a later process finds the
 * delivery open and sends it. */
static bool is_our_word(enum lb_verdict verdict, enum lb_reason reason)
{
	if (verdict == LB_VERDICT_REFUSED)
		return reason != LB_REASON_DIFFERENT && reason != LB_REASON_FENCED &&
		       reason != LB_REASON_SETTLED;
	return verdict == LB_VERDICT_ROLLED_BACK && reason >= LB_REASON_NO_CONNECTION;
}

/* Whoever finds nothing open delivers it once more. So what has been committed, or may have been, is written down only
 * when its verdict was handed on. */
static bool is_told_first(enum lb_verdict verdict)
{
	return verdict == LB_VERDICT_COMMITTED || verdict == LB_VERDICT_FORGOTTEN;
}

void lb_delivery_end(struct lb_client *client, enum lb_verdict verdict, enum lb_reason reason)
{
	struct lb_attempt *attempt = client->attempt;
	const struct lb_id *id = &attempt->entry.id;
	int r = 0;

	LB_FAULT("client_decided");
	if (attempt->claimed && verdict == LB_VERDICT_IN_DOUBT)
		lb_journal_release(client->journal, id);
	else if (attempt->claimed && (!is_told_first(verdict) || LB_BUG("done_before_told")))
		r = lb_journal_done(client->journal, id);
	if (r < 0 && is_our_word(verdict, reason)) {
		verdict = LB_VERDICT_NOT_COMMITTED;
		reason = LB_REASON_JOURNAL;
		attempt->err = -r;
	}
	attempt->claimed = attempt->claimed && is_told_first(verdict);
	attempt->course = LB_COURSE_ENDED;
	client->some_ended = client->some_ended || attempt != client->stage;
	attempt->verdict = verdict;
	attempt->reason = reason;
	if (verdict == LB_VERDICT_COMMITTED) {
		client->confirmed += attempt->stored.length;
		attempt->text[0] = '\0'; /* why an earlier try was refused */
	}
	LB_FAULT("client_verdict");
}

/* If its end cannot be written down it stays open there: asked again, the ledger says the same. */
void lb_delivery_told(struct lb_client *client, struct lb_attempt *attempt)
{
	if (attempt->course != LB_COURSE_NONE)
		return;
	if (attempt->claimed && client->keep)
		lb_journal_release(client->journal, &attempt->entry.id);
	else if (attempt->claimed)
		(void)lb_journal_done(client->journal, &attempt->entry.id);
	attempt->claimed = false;
	if (attempt->reservation != NULL && attempt->verdict != LB_VERDICT_IN_DOUBT)
		lb_numbers_end(attempt);
	attempt->reservation = NULL;
}

void lb_delivery_goes_on(struct lb_client *client)
{
	lb_delivery_told(client, client->stage);
	if (client->fetched != NULL)
		lb_delivery_told(client, client->fetched);
	client->fetched = NULL;
}

bool lb_delivery_commit_sent(const struct lb_client *client)
{
	return client->conn != NULL && lb_conn_commit_sent(client->conn, client->attempt->handle);
}

/* The reason that a connection gives for a delivery that was not committed. */
static enum lb_reason reason_of_end(const struct lb_client *client)
{
	if (client->postponed != LB_REASON_NONE)
		return client->postponed;
	return client->end.how == LB_END_PROTOCOL_ERROR ? LB_REASON_PROTOCOL : LB_REASON_BROKEN;
}

static bool is_about_ours(const struct lb_client *client, const struct lb_receipt *receipt)
{
	const struct lb_id *id = &client->attempt->entry.id;

	return receipt->id.number == id->number &&
	       memcmp(receipt->id.client, id->client, sizeof id->client) == 0 &&
	       memcmp(&receipt->ledger, &client->ledger, sizeof client->ledger) == 0;
}

static bool is_what_was_written(const struct lb_attempt *attempt, const struct lb_receipt *receipt)
{
	struct lb_digest digest;

	lb_hasher_digest(&attempt->hasher, &digest);
	if (LB_BUG("any_receipt"))
		return true;
	return strcmp(receipt->name, attempt->entry.name) == 0 && receipt->length == attempt->length &&
	       memcmp(&receipt->digest, &digest, sizeof digest) == 0;
}

/* A server that confirms what nobody asked for cannot be believed in anything. */
static void mismatch(struct lb_client *client)
{
	lb_delivery_end(client, LB_VERDICT_IN_DOUBT, LB_REASON_PROTOCOL);
	lb_conn_fail(client->conn, LB_FAILURE_FRAME_CONTENT, "a receipt that is not for what was sent");
	lb_client_break(client, LB_END_PROTOCOL_ERROR, LB_PARTY_SELF, EPROTO);
}

/* A reply for which there is no memory takes nothing from the verdict: asked again, the server gives it again. */
static void keep(struct lb_attempt *attempt, const struct lb_event *event)
{
	attempt->stored = event->receipt;
	attempt->has_stored = true;
	attempt->reply_len = event->reply_len;
	if (event->reply_len == 0)
		return;
	attempt->reply = malloc(event->reply_len);
	if (attempt->reply == NULL)
		attempt->err = ENOMEM;
	else
		memcpy(attempt->reply, event->reply, event->reply_len);
}

/* Of what is given up only a part may have been written. Who only asks has written nothing. */
static bool can_be_what_was_written(const struct lb_attempt *attempt, const struct lb_receipt *receipt)
{
	if (attempt->whole)
		return is_what_was_written(attempt, receipt);
	return (attempt->course == LB_COURSE_RESOLVE && attempt->intent == LB_INTENT_ASK) ||
	       (strcmp(receipt->name, attempt->entry.name) == 0 && receipt->length >= attempt->length &&
		       (attempt->declared == LB_UNKNOWN || attempt->declared == receipt->length));
}

/* What is there may be the same, but a commit is only said of what was compared: whether it is, another attempt tells. */
void lb_delivery_compare(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;

	if (!can_be_what_was_written(attempt, &attempt->stored))
		lb_delivery_end(client, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
	else if (attempt->vouched)
		lb_delivery_end(client, LB_VERDICT_IN_DOUBT, attempt->cut);
	else
		lb_delivery_end(client, LB_VERDICT_COMMITTED, LB_REASON_NONE);
}

static void committed(struct lb_client *client, const struct lb_event *event)
{
	const struct lb_receipt *receipt = &event->receipt;
	struct lb_attempt *attempt = client->attempt;

	attempt->handle = 0;
	if (!is_about_ours(client, receipt) ||
		(attempt->accepted && (attempt->course == LB_COURSE_OPEN ||
					      (attempt->course == LB_COURSE_COMMIT &&
						      !is_what_was_written(attempt, receipt))))) {
		mismatch(client);
		return;
	}
	keep(attempt, event);
	/* In answer to BEGIN, whatever was said meanwhile. */
	if (!attempt->accepted && (attempt->course == LB_COURSE_BEGIN || attempt->course == LB_COURSE_OPEN ||
					  attempt->course == LB_COURSE_COMMIT))
		attempt->course = LB_COURSE_COMPARE;
	/* Or it is given up, and was committed before: nothing more is written that could be compared. */
	if (attempt->course != LB_COURSE_COMPARE || attempt->whole)
		lb_delivery_compare(client);
}

static void refused(struct lb_client *client, enum lb_reason reason)
{
	struct lb_attempt *attempt = client->attempt;
	enum lb_verdict verdict = lb_reason_verdict(reason);

	attempt->handle = 0;
	if (attempt->course == LB_COURSE_RESOLVE)
		return; /* what is waited for is the answer to RESOLVE */
	if (attempt->course == LB_COURSE_ROLLBACK) {
		lb_delivery_end(client, lb_reason_verdict(attempt->reason), attempt->reason);
	} else if (lb_retry_refused(client, reason)) {
		return;
	} else if (reason == LB_REASON_SUPERSEDED && !attempt->accepted && lb_delivery_overtake(client)) {
		return;
	} else if (attempt->earlier && reason != LB_REASON_FENCED && reason != LB_REASON_FORGOTTEN &&
		   reason != LB_REASON_ANOTHER_LEDGER) {
		/* This attempt was refused. What became of an earlier one, RESOLVE tells. */
		attempt->course = LB_COURSE_RESOLVE;
		attempt->intent = LB_INTENT_REFUSED;
		attempt->reason = reason;
	} else {
		lb_delivery_end(
			client, verdict == LB_VERDICT_UNPROVEN ? LB_VERDICT_NOT_COMMITTED : verdict, reason);
	}
}

/* RESOLVE found it committed. */
static void found(struct lb_client *client, const struct lb_event *event)
{
	struct lb_attempt *attempt = client->attempt;

	if (!is_about_ours(client, &event->receipt)) {
		mismatch(client);
		return;
	}
	keep(attempt, event);
	if (attempt->intent == LB_INTENT_REFUSED && attempt->reason == LB_REASON_DIFFERENT)
		lb_delivery_end(client, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
	else if (attempt->intent == LB_INTENT_REFUSED && !attempt->whole)
		attempt->course = LB_COURSE_COMPARE;
	else
		lb_delivery_compare(client);
}

/* The server has got, or kept from an earlier attempt, other bytes than those that were hashed. */
static bool is_mismatch(enum lb_reason reason)
{
	return reason == LB_REASON_WRONG_LENGTH || reason == LB_REASON_WRONG_DIGEST;
}

static void resolved(struct lb_client *client, const struct lb_event *event)
{
	struct lb_attempt *attempt = client->attempt;

	attempt->asked = 0;
	if (event->type == LB_EVENT_REFUSED && lb_retry_refused(client, event->reason))
		return;
	if (event->type == LB_EVENT_REFUSED)
		lb_delivery_end(client, LB_VERDICT_IN_DOUBT, event->reason);
	else if (event->verdict == LB_VERDICT_COMMITTED)
		found(client, event);
	else if (event->verdict == LB_VERDICT_FORGOTTEN)
		lb_delivery_end(client, LB_VERDICT_FORGOTTEN, LB_REASON_FORGOTTEN);
	else if (event->verdict != LB_VERDICT_ROLLED_BACK)
		mismatch(client);
	else if (attempt->intent == LB_INTENT_ROLLBACK)
		lb_delivery_end(client, lb_reason_verdict(attempt->reason), attempt->reason);
	else if (attempt->intent == LB_INTENT_REFUSED && is_mismatch(attempt->reason))
		lb_delivery_end(client, LB_VERDICT_ROLLED_BACK, attempt->reason);
	else
		lb_delivery_end(client, LB_VERDICT_ROLLED_BACK, event->reason);
}

static void answer(struct lb_client *client, const struct lb_event *event)
{
	struct lb_attempt *attempt = client->attempt;

	if (event->type == LB_EVENT_REFUSED)
		strcpy(attempt->text, event->text);
	if (attempt->asked != 0 && event->handle == attempt->asked) {
		resolved(client, event);
		return;
	}
	switch (event->type) {
	case LB_EVENT_BEGIN_OK:
		attempt->accepted = true;
		if (attempt->course == LB_COURSE_BEGIN)
			lb_stream_open(client, event);
		break;
	case LB_EVENT_SYNCED:
		lb_stream_synced(client, event->offset);
		break;
	case LB_EVENT_COMMITTED:
		committed(client, event);
		break;
	case LB_EVENT_REFUSED:
		refused(client, event->reason);
		break;
	case LB_EVENT_ROLLED_BACK:
		attempt->handle = 0;
		if (attempt->course == LB_COURSE_ROLLBACK) {
			lb_delivery_end(client, lb_reason_verdict(attempt->reason), attempt->reason);
		} else if (attempt->course == LB_COURSE_BEGIN && attempt->withdrawing) {
			attempt->withdrawing = attempt->said = false;
			attempt->anew = true;
			lb_delivery_again(client);
		}
		break;
	default:
		break;
	}
}

/* An answer that names none of them comes too late: the verdict was given out. */
void lb_delivery_answer(struct lb_client *client, const struct lb_event *event)
{
	if (lb_undecided_find(client, event->handle)) {
		struct lb_attempt *attempt = client->attempt;

		answer(client, event);
		if (attempt->course == LB_COURSE_ENDED)
			client->failures = 0;
		else if (attempt != client->stage && attempt->course != LB_COURSE_COMMIT)
			client->repeating = true; /* there may be more to be said of it */
	}
	client->attempt = client->stage;
	lb_retry_postponed(client);
	lb_undecided_collect(client);
}

/* No answer will come to what was asked, or none is waited for any longer. reason: why not, if COMMIT was not sent. */
static void unanswered(struct lb_client *client, enum lb_reason reason)
{
	enum lb_reason doubt = reason == LB_REASON_PROTOCOL ? reason : LB_REASON_NO_ANSWER;
	struct lb_attempt *attempt = client->attempt;

	switch (attempt->course) {
	case LB_COURSE_ROLLBACK:
		/* No attempt has ever sent COMMIT, and none will. */
		lb_delivery_end(client, lb_reason_verdict(attempt->reason), attempt->reason);
		break;
	case LB_COURSE_RESOLVE:
		if (attempt->intent == LB_INTENT_REFUSED && attempt->reason == LB_REASON_DIFFERENT)
			lb_delivery_end(client, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
		else
			lb_delivery_end(client, LB_VERDICT_IN_DOUBT, doubt);
		break;
	case LB_COURSE_BEGIN:
	case LB_COURSE_OPEN:
	case LB_COURSE_COMMIT:
		if (attempt->earlier || lb_delivery_commit_sent(client))
			lb_delivery_end(client, LB_VERDICT_IN_DOUBT, doubt);
		else
			lb_delivery_end(client, lb_reason_verdict(reason), reason);
		break;
	default: /* COMPARE needs no connection */
		break;
	}
}

void lb_delivery_broken(struct lb_client *client)
{
	client->attempt->err = client->end.err;
	unanswered(client, reason_of_end(client));
}

/* COMMIT may wait in the machine, to be written whenever there is room: it must not go out after we have said that
 * it never did. And what is begun once more would stand in the way of the next delivery. Nothing is written to a connection that is given up. */
static void cut_commit(struct lb_client *client, enum lb_reason reason)
{
	enum lb_end how = reason == LB_REASON_DEADLINE ? LB_END_TIMEOUT : LB_END_LOCAL_ABORT;
	const struct lb_attempt *attempt = client->attempt;
	bool waits = attempt->handle != 0 && attempt->course != LB_COURSE_RESOLVE &&
		     !lb_delivery_commit_sent(client);

	unanswered(client, reason);
	if (waits)
		lb_client_break(client, how, LB_PARTY_SELF, 0);
}

void lb_delivery_cut(struct lb_client *client, int error)
{
	struct lb_attempt *attempt = client->attempt;
	enum lb_reason reason = error == -EINTR ? LB_REASON_INTERRUPTED : LB_REASON_DEADLINE;

	switch (client->operation) {
	case LB_OPERATION_BEGIN:
	case LB_OPERATION_WRITE:
		attempt->cut = reason;
		break;
	case LB_OPERATION_DECISION:
		break;
	case LB_OPERATION_COMMIT_ASYNC: /* as if it had not been said */
		attempt->whole = false;
		if (attempt->course == LB_COURSE_COMMIT)
			attempt->course = LB_COURSE_OPEN;
		break;
	case LB_OPERATION_COMMIT:
		cut_commit(client, reason);
		break;
	case LB_OPERATION_ROLLBACK:
	case LB_OPERATION_CLOSE:
		unanswered(client, reason);
		/* A delivery that is still open in the machine would stand in the way of the next. */
		if (attempt->handle != 0 && !attempt->said)
			lb_client_break(client, LB_END_TIMEOUT, LB_PARTY_SELF, 0);
		break;
	default:
		unanswered(client, reason);
		break;
	}
}
