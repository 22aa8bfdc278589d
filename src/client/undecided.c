/* SPDX-License-Identifier: MIT */
/*
 * Deliveries whose verdict nobody waits for: those that were committed and are undecided stay beside the one that the
 * calls are about, until their verdict is handed on. Owns these lists. What is said of each, and what the answers mean,
 * is as for any other: it is put at hand for that.
 */
#include "client/engine.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void add(struct lb_attempts *list, struct lb_attempt *attempt)
{
	list->at[list->n++] = attempt;
}

static struct lb_attempt *take(struct lb_attempts *list, unsigned i)
{
	struct lb_attempt *attempt = list->at[i];

	list->n--;
	memmove(list->at + i, list->at + i + 1, (list->n - i) * sizeof *list->at);
	return attempt;
}

/* The hasher's vectors want more than malloc(3) gives. NULL: there are as many as can be, or no memory is left. */
static struct lb_attempt *make(struct lb_client *client)
{
	struct lb_attempt *attempt = NULL;

	if (client->n_attempts <= LB_UNDECIDED_MAX)
		attempt = aligned_alloc(_Alignof(struct lb_attempt), sizeof *attempt);
	if (attempt == NULL)
		return NULL;
	memset(attempt, 0, sizeof *attempt);
	client->attempts[client->n_attempts++] = attempt;
	return attempt;
}

static bool has_spare(struct lb_client *client)
{
	struct lb_attempt *attempt = client->spare.n == 0 ? make(client) : NULL;

	if (attempt != NULL)
		add(&client->spare, attempt);
	return client->spare.n > 0;
}

/* One beside the first, so that without memory for more it only goes on more slowly. */
int lb_undecided_init(struct lb_client *client)
{
	client->stage = client->attempt = make(client);
	return client->stage != NULL && has_spare(client) ? 0 : -ENOMEM;
}

void lb_undecided_deinit(struct lb_client *client)
{
	for (unsigned i = 0; i < client->n_attempts; i++) {
		free(client->attempts[i]->reply);
		free(client->attempts[i]);
	}
	free(client->reply);
}

void lb_attempt_clear(struct lb_attempt *attempt)
{
	const size_t small = offsetof(struct lb_attempt, course);
	struct lb_journal_entry *entry = &attempt->entry;

	free(attempt->reply); /* if nobody was given it */
	memset((char *)attempt + small, 0, sizeof *attempt - small);
	memset(&entry->id, 0, sizeof entry->id);
	memset(&entry->ledger, 0, sizeof entry->ledger);
	entry->attempt = 0;
	attempt->text[0] = '\0';
	entry->address[0] = entry->name[0] = entry->source[0] = entry->note[0] = '\0';
}

void lb_undecided_each(struct lb_client *client, void (*what)(struct lb_client *client))
{
	struct lb_attempt *hand = client->attempt;

	for (unsigned i = 0; i <= client->undecided.n; i++) {
		client->attempt = i < client->undecided.n ? client->undecided.at[i] : client->stage;
		if (lb_delivery_is_undecided(client))
			what(client);
	}
	client->attempt = hand;
}

/* One that has ended may have kept a handle, which over another connection is another's. */
static bool is_named(const struct lb_client *client, uint32_t handle)
{
	const struct lb_attempt *attempt = client->attempt;

	return lb_delivery_is_undecided(client) && handle != 0 &&
	       (attempt->handle == handle || attempt->asked == handle);
}

bool lb_undecided_find(struct lb_client *client, uint32_t handle)
{
	client->attempt = client->stage;
	for (unsigned i = 0; i < client->undecided.n && !is_named(client, handle); i++)
		client->attempt = client->undecided.at[i];
	return is_named(client, handle);
}

static bool has_id(const struct lb_attempts *list, const struct lb_id *id)
{
	for (unsigned i = 0; i < list->n; i++)
		if (memcmp(&list->at[i]->entry.id, id, sizeof *id) == 0)
			return true;
	return false;
}

bool lb_undecided_has(const struct lb_client *client, const struct lb_id *id)
{
	return id->number != 0 && (has_id(&client->undecided, id) || has_id(&client->verdicts, id));
}

bool lb_undecided_may_commit(struct lb_client *client)
{
	return client->operation != LB_OPERATION_COMMIT_ASYNC || client->attempt != client->stage ||
	       has_spare(client);
}

bool lb_undecided_is_full(struct lb_client *client)
{
	return client->verdicts.n > 0 && !has_spare(client);
}

int lb_client_start_commit_async(struct lb_client *client, lb_time deadline)
{
	int r;

	if (client->attempt->cut != LB_REASON_NONE)
		return -EINVAL;
	lb_delivery_goes_on(client);
	if (lb_undecided_is_full(client))
		return -ENOBUFS;
	r = lb_client_start_commit(client, deadline);
	if (r == 0)
		client->operation = LB_OPERATION_COMMIT_ASYNC;
	return r;
}

/* There is nothing more that the caller would have to wait for. */
static bool is_on_its_way(const struct lb_attempt *attempt)
{
	switch (attempt->course) {
	case LB_COURSE_OPEN:
	case LB_COURSE_COMPARE:
		return false;
	case LB_COURSE_COMMIT:
		return attempt->said;
	default: /* it waits for another connection, or for what became of an earlier attempt; or it has ended */
		return true;
	}
}

bool lb_undecided_put(struct lb_client *client)
{
	struct lb_attempt *attempt = client->stage, *next;

	if (!is_on_its_way(attempt) || !has_spare(client))
		return false;
	next = take(&client->spare, client->spare.n - 1);
	lb_attempt_clear(next);
	next->entry.id = attempt->entry.id; /* of the delivery that was begun last */
	attempt->committed = client->started;
	add(&client->undecided, attempt);
	client->stage = client->attempt = next;
	if (attempt->course == LB_COURSE_ENDED)
		client->some_ended = true;
	else if (attempt->course != LB_COURSE_COMMIT)
		client->repeating = true;
	return true;
}

static bool has_to_speak(const struct lb_attempt *attempt)
{
	switch (attempt->course) {
	case LB_COURSE_BEGIN:
	case LB_COURSE_OPEN:
		return true;
	case LB_COURSE_COMMIT:
	case LB_COURSE_ROLLBACK:
		return !attempt->said;
	case LB_COURSE_RESOLVE:
		return attempt->asked == 0;
	default:
		return false;
	}
}

/* It was begun, and not committed yet: until then no other can be. */
static bool is_open(const struct lb_attempt *attempt)
{
	return attempt->course != LB_COURSE_NONE && attempt->course != LB_COURSE_ENDED &&
	       attempt->handle != 0 && !attempt->said;
}

/* Where it has something to say: until another connection stands only what the server has begun is gone on with, and
 * nothing is begun before what is open. */
static bool may_speak(const struct lb_client *client, const struct lb_attempt *attempt)
{
	if (!has_to_speak(attempt) || attempt->handle != 0)
		return has_to_speak(attempt);
	return client->postponed == LB_REASON_NONE &&
	       (attempt->course == LB_COURSE_RESOLVE || !is_open(client->stage));
}

bool lb_undecided_choose(struct lb_client *client)
{
	bool postponed = client->postponed != LB_REASON_NONE;
	struct lb_attempt *next = NULL;

	for (unsigned i = 0; i < client->undecided.n && client->repeating; i++) {
		struct lb_attempt *attempt = client->undecided.at[i];

		if (may_speak(client, attempt) && (next == NULL || is_open(attempt)))
			next = attempt;
	}
	client->repeating = client->repeating && (next != NULL || postponed || is_open(client->stage));
	client->attempt = next != NULL ? next : client->stage;
	return !postponed || client->attempt->handle != 0;
}

bool lb_undecided_wait_here(const struct lb_client *client)
{
	for (unsigned i = 0; i < client->undecided.n; i++)
		if (client->undecided.at[i]->handle != 0 || client->undecided.at[i]->asked != 0)
			return true;
	return false;
}

static void fill(struct lb_client *client, struct lb_attempt *attempt, struct lb_decision *decision)
{
	client->attempt = attempt;
	lb_client_outcome(client, &decision->receipt, &decision->outcome);
	client->attempt = client->stage;
	decision->outcome.took = attempt->took;
	decision->tag = attempt->tag;
	decision->reply = lb_client_reply(client, &decision->reply_len);
	decision->text = lb_client_text(client);
	add(&client->spare, attempt);
	client->told++;
}

void lb_undecided_collect(struct lb_client *client)
{
	lb_time now;

	if (!client->some_ended)
		return;
	client->some_ended = false;
	now = client->host->clock->now(client->host);
	for (unsigned i = 0; i < client->undecided.n;) {
		struct lb_attempt *attempt = client->undecided.at[i];
		struct lb_decision decision;

		if (attempt->course != LB_COURSE_ENDED) {
			i++;
			continue;
		}
		take(&client->undecided, i);
		attempt->took = now - attempt->committed;
		if (client->decided == NULL) {
			add(&client->verdicts, attempt);
			continue;
		}
		fill(client, attempt, &decision);
		client->decided(client->decided_arg, &decision);
		lb_delivery_told(client, attempt);
	}
	lb_stream_release(client);
}

int lb_client_start_decision(struct lb_client *client, lb_time deadline)
{
	if (client->operation != LB_OPERATION_NONE)
		return -EBUSY;
	lb_delivery_goes_on(client);
	if (client->undecided.n + client->verdicts.n == 0)
		return -ENOENT;
	lb_client_begin_operation(client, LB_OPERATION_DECISION, deadline);
	client->told_before = client->told;
	return 0;
}

bool lb_undecided_has_told(const struct lb_client *client)
{
	return client->verdicts.n > 0 || client->told > client->told_before;
}

void lb_undecided_fetch(struct lb_client *client, struct lb_decision *decision)
{
	client->fetched = take(&client->verdicts, 0);
	fill(client, client->fetched, decision);
}
