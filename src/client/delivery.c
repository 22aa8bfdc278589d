/* SPDX-License-Identifier: MIT */
/*
 * The attempts at a delivery: begun, begun again, asked about, given up, each in the journal before anything is said. Owns
 * the attempt. What goes out is say.c's, its bytes are stream.c's, what the answers mean is verdict.c's.
 */
#include "client/engine.h"
#include "base/test.h"
#include <errno.h>
#include <string.h>

bool lb_delivery_is_undecided(const struct lb_client *client)
{
	return client->attempt->course != LB_COURSE_NONE && client->attempt->course != LB_COURSE_ENDED;
}

/* The journal's open entry of this id or this source: 1 it is in the attempt, 0 there is none. */
static int look_up(struct lb_client *client, const struct lb_delivery *delivery)
{
	struct lb_journal_entry *entry = &client->attempt->entry;
	int r = 0;

	if (delivery->id.number != 0)
		r = lb_journal_find(client->journal, &delivery->id, entry);
	else if (delivery->source != NULL && !LB_BUG("new_number_on_retry"))
		r = lb_journal_find_source(client->journal, &client->ledger, client->address, delivery->name,
			delivery->source, entry);
	client->attempt->claimed = r == 1;
	if (r == 1 && LB_BUG("ignore_ledger"))
		entry->ledger = client->ledger;
	return r;
}

/* What is open at one ledger must not be begun or fenced at another one: there it would be a second delivery. */
static bool is_another_ledger(const struct lb_client *client)
{
	return memcmp(&client->attempt->entry.ledger, &client->ledger, sizeof client->ledger) != 0;
}

/* Who has it from a list of what was open is not to have it begun, or fenced, at whichever ledger answers now. */
static bool is_closed(const struct lb_client *client, const struct lb_delivery *delivery, int found)
{
	return found == 0 && client->only_open && delivery->id.number != 0 && !LB_BUG("ask_closed");
}

static void journal_failed(struct lb_client *client, int error)
{
	struct lb_attempt *attempt = client->attempt;

	attempt->err = -error;
	lb_delivery_end(
		client, attempt->earlier ? LB_VERDICT_IN_DOUBT : LB_VERDICT_NOT_COMMITTED, LB_REASON_JOURNAL);
}

/* Makes this attempt durable in the journal: before its first byte. */
static int record(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	struct lb_journal_entry *entry = &attempt->entry;
	int r = 0;

	if (entry->attempt < UINT32_MAX)
		entry->attempt++;
	strcpy(entry->address, client->address);
	if (attempt->reservation != NULL)
		return 0; /* who finds it after a crash only asks about it */
	if (client->numbers > 1 && entry->id.number == 0 && entry->source[0] == '\0')
		r = lb_numbers_give(client);
	if (r != 0)
		return r < 0 ? r : 0;
	r = lb_journal_begin(client->journal, entry);
	attempt->claimed = r == 0;
	LB_FAULT("client_recorded");
	return r < 0 ? r : lb_journal_lowest(client->journal, &attempt->lowest);
}

static int check(const struct lb_delivery *delivery)
{
	static const struct lb_id none;
	const char *why;

	if (lb_name_check(delivery->name, strnlen(delivery->name, LB_NAME_MAX + 1), &why) != 0)
		return -EINVAL;
	if (delivery->source != NULL && strlen(delivery->source) >= LB_SOURCE_MAX)
		return -EINVAL;
	if (delivery->note != NULL && strlen(delivery->note) > LB_NOTE_MAX)
		return -EINVAL;
	if (delivery->length > INT64_MAX && delivery->length != LB_UNKNOWN)
		return -EINVAL;
	if (delivery->id.number == 0)
		return memcmp(&delivery->id, &none, sizeof none) == 0 ? 0 : -EINVAL;
	return delivery->id.number > INT64_MAX ? -EINVAL : 0;
}

static void new_attempt(struct lb_client *client, const struct lb_delivery *delivery)
{
	struct lb_attempt *attempt = client->attempt;

	lb_delivery_goes_on(client);
	lb_attempt_clear(attempt);
	attempt->entry.id = delivery->id;
	attempt->tag = delivery->tag;
	attempt->course = LB_COURSE_BEGIN;
	attempt->declared = delivery->length;
	attempt->read_again = delivery->read_again;
	attempt->read_again_arg = delivery->read_again_arg;
	lb_hasher_init(&attempt->hasher);
}

static void describe(struct lb_client *client, const struct lb_delivery *delivery)
{
	struct lb_journal_entry *entry = &client->attempt->entry;

	entry->ledger = client->ledger;
	strcpy(entry->name, delivery->name);
	strcpy(entry->source, delivery->source != NULL ? delivery->source : "");
	strcpy(entry->note, delivery->note != NULL ? delivery->note : "");
}

/* What was started needs a connection, and the last one may have ended before. */
static void want_link(struct lb_client *client)
{
	if (client->link == LB_LINK_BROKEN && !lb_retry_broken(client))
		lb_delivery_broken(client);
}

/* COMMIT of no attempt may have left, or the verdict is in doubt: the ledger that was asked is not there to tell. */
static void met_another_ledger(struct lb_client *client)
{
	lb_delivery_end(client, client->attempt->earlier ? LB_VERDICT_IN_DOUBT : LB_VERDICT_NOT_COMMITTED,
		LB_REASON_ANOTHER_LEDGER);
}

/* It was started without a connection, and written down nowhere: what is open at this ledger is found only now. */
static int look_up_here(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	const struct lb_delivery delivery = {.name = attempt->entry.name, .source = attempt->entry.source};
	int r = look_up(client, &delivery);

	if (r == 1 && lb_undecided_has(client, &attempt->entry.id)) {
		attempt->claimed = false; /* the claim is the other one's */
		attempt->entry.id = (struct lb_id){.number = 0};
		r = -EBUSY;
	}
	attempt->earlier = r != 0 && r != -EBUSY;
	return r < 0 ? r : 0;
}

void lb_delivery_again(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	int r = 0;

	if (attempt->course == LB_COURSE_BEGIN && attempt->entry.id.number == 0)
		r = look_up_here(client);
	if (r == -EBUSY) {
		lb_delivery_end(client, LB_VERDICT_NOT_COMMITTED, LB_REASON_BUSY);
		return;
	}
	if ((attempt->claimed || attempt->reservation != NULL) && is_another_ledger(client)) {
		met_another_ledger(client);
		return;
	}
	if (attempt->course != LB_COURSE_BEGIN)
		return;
	attempt->entry.ledger = client->ledger;
	if (LB_BUG("new_number_on_reconnect"))
		attempt->entry.id.number = 0;
	if (r == 0)
		r = record(client);
	if (r < 0)
		journal_failed(client, r);
}

void lb_delivery_begin_anew(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;

	if (attempt->anew) {
		lb_delivery_give_up(client, LB_REASON_LOST);
		return;
	}
	attempt->withdrawing = true;
	attempt->said = false;
}

/*
 * The server has kept bytes of an attempt with a greater count than this journal, or whoever gave us the id, knows of.
 * None of these is served now, or it would be BUSY; so who takes it up takes it from nobody.
 */
bool lb_delivery_overtake(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	struct lb_journal_entry *entry = &attempt->entry;

	/* With pipeline some of it was said already, to which the server has not listened. */
	if (entry->attempt > UINT32_MAX / 2 || (client->pipeline && !lb_stream_has_from(client, 0)))
		return false;
	entry->attempt = 2 * entry->attempt - 1; /* the next one is twice this one */
	attempt->course = LB_COURSE_BEGIN;
	attempt->said = false;
	lb_delivery_again(client);
	return true;
}

int lb_client_start_begin(struct lb_client *client, const struct lb_delivery *delivery, lb_time deadline)
{
	struct lb_attempt *attempt = client->attempt;
	int r = check(delivery), found;

	if (r < 0)
		return r;
	if (client->operation != LB_OPERATION_NONE || attempt->course != LB_COURSE_NONE)
		return -EBUSY;
	new_attempt(client, delivery);
	found = look_up(client, delivery);
	if (lb_undecided_has(client, &attempt->entry.id)) {
		attempt->claimed = false; /* the claim is the other one's */
		attempt->course = LB_COURSE_NONE;
		return -EBUSY;
	}
	if (is_closed(client, delivery, found)) {
		attempt->course = LB_COURSE_NONE;
		return -ENOENT;
	}
	/* An id that the caller has from somewhere was used before, though this journal may not know of it; and what the
	 * journal has of this source cannot be known if it cannot be read. */
	attempt->earlier = found != 0 || delivery->id.number != 0;
	if (found != 1)
		describe(client, delivery);
	else
		strcpy(attempt->entry.name, delivery->name);
	if (found == 0 || (found == 1 && !is_another_ledger(client)))
		r = client->link == LB_LINK_READY ? record(client) : 0;
	else if (found < 0)
		r = found;
	if (r == -EBUSY) {
		attempt->course = LB_COURSE_NONE;
		return r;
	}
	lb_client_begin_operation(client, LB_OPERATION_BEGIN, deadline);
	if (r < 0)
		journal_failed(client, r);
	else if (found == 1 && is_another_ledger(client))
		lb_delivery_end(client, LB_VERDICT_IN_DOUBT, LB_REASON_ANOTHER_LEDGER);
	else
		want_link(client);
	return 0;
}

int lb_client_start_resolve(struct lb_client *client, const struct lb_id *id, lb_time deadline)
{
	const struct lb_delivery question = {.length = LB_UNKNOWN, .id = *id};
	struct lb_attempt *attempt = client->attempt;
	int found, r;

	if (id->number == 0 || id->number > INT64_MAX)
		return -EINVAL;
	if (client->operation != LB_OPERATION_NONE || attempt->course != LB_COURSE_NONE ||
		lb_undecided_has(client, id))
		return -EBUSY;
	new_attempt(client, &question);
	found = look_up(client, &question);
	if (found == -EBUSY || is_closed(client, &question, found)) {
		attempt->course = LB_COURSE_NONE;
		return found == 0 ? -ENOENT : found;
	}
	attempt->earlier = true;
	if (found == 1 && attempt->entry.count > 1)
		lb_numbers_adopt(client);
	r = found < 0 ? found : lb_journal_lowest(client->journal, &attempt->lowest);
	if (attempt->lowest > id->number) /* to settle what is asked about would be an answer of our own */
		attempt->lowest = id->number;
	attempt->course = LB_COURSE_RESOLVE;
	attempt->intent = LB_INTENT_ASK;
	lb_client_begin_operation(client, LB_OPERATION_RESOLVE, deadline);
	if (r < 0)
		journal_failed(client, r);
	else if (found == 1 && is_another_ledger(client))
		lb_delivery_end(client, LB_VERDICT_IN_DOUBT, LB_REASON_ANOTHER_LEDGER);
	else
		want_link(client);
	return 0;
}

int lb_client_start_write(struct lb_client *client, const void *buf, size_t len, lb_time deadline)
{
	struct lb_attempt *attempt = client->attempt;

	if (client->operation != LB_OPERATION_NONE || attempt->course == LB_COURSE_NONE)
		return -EINVAL;
	if (attempt->course == LB_COURSE_ENDED || attempt->cut != LB_REASON_NONE)
		return -ECONNABORTED;
	if (attempt->course != LB_COURSE_COMPARE && attempt->declared != LB_UNKNOWN &&
		len > attempt->declared - attempt->length) {
		attempt->cut = LB_REASON_SOURCE_CHANGED;
		return -EMSGSIZE;
	}
	client->out = buf;
	client->out_len = len;
	lb_client_begin_operation(client, LB_OPERATION_WRITE, deadline);
	return 0;
}

int lb_client_start_commit(struct lb_client *client, lb_time deadline)
{
	struct lb_attempt *attempt = client->attempt;

	if (client->operation != LB_OPERATION_NONE || attempt->course == LB_COURSE_NONE)
		return -EINVAL;
	lb_client_begin_operation(client, LB_OPERATION_COMMIT, deadline);
	if (attempt->cut != LB_REASON_NONE) {
		attempt->vouched = true;
		lb_delivery_give_up(client, attempt->cut);
		client->operation = LB_OPERATION_ROLLBACK;
		return 0;
	}
	attempt->whole = attempt->course != LB_COURSE_ENDED;
	if (attempt->course == LB_COURSE_COMPARE)
		lb_delivery_compare(client);
	return 0;
}

/* Nothing is said of an attempt of which an earlier one may have committed but RESOLVE, which settles them all. */
void lb_delivery_give_up(struct lb_client *client, enum lb_reason reason)
{
	struct lb_attempt *attempt = client->attempt;
	enum lb_verdict verdict = lb_reason_verdict(reason);

	if (verdict != LB_VERDICT_ROLLED_BACK && verdict != LB_VERDICT_NOT_COMMITTED)
		reason = LB_REASON_ROLLED_BACK;
	switch (attempt->course) {
	case LB_COURSE_BEGIN:
	case LB_COURSE_OPEN:
		attempt->reason = reason;
		attempt->said = attempt->withdrawing && attempt->said;
		attempt->intent = LB_INTENT_ROLLBACK;
		if (attempt->earlier)
			attempt->course = LB_COURSE_RESOLVE;
		else if (attempt->handle != 0)
			attempt->course = LB_COURSE_ROLLBACK;
		else
			lb_delivery_end(client, lb_reason_verdict(reason), reason);
		break;
	case LB_COURSE_RESOLVE:
		attempt->reason = reason;
		attempt->intent = LB_INTENT_ROLLBACK;
		break;
	case LB_COURSE_COMPARE:
		lb_delivery_compare(client);
		break;
	default:
		break;
	}
}

int lb_client_start_rollback(struct lb_client *client, enum lb_reason reason, lb_time deadline)
{
	if (client->operation != LB_OPERATION_NONE || client->attempt->course == LB_COURSE_NONE)
		return -EINVAL;
	lb_client_begin_operation(client, LB_OPERATION_ROLLBACK, deadline);
	lb_delivery_give_up(client, reason);
	return 0;
}
