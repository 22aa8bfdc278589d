/* SPDX-License-Identifier: MIT */
/*
 * Goes through what the journal has open, one connection for each address. A file that is still there is delivered under
 * its id; of anything else only the verdict can be had. Owns the list.
 */
#include "continue.h"
#include "args.h"
#include "lines_open.h"
#include "base/test.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct item {
	struct lb_id id;
	char *address, *name, *source;
	uint64_t lowest; /* number that is open at this address */
	bool unused; /* a number of a reservation that was for nothing: it is closed, and there is nothing to tell */
	bool perhaps; /* one for a record that the input may not have had */
};

struct list {
	struct item *items;
	size_t n;
};

static int add_item(
	struct list *list, const struct lb_open_delivery *open, const struct lb_id *id, const char *name)
{
	struct item *items = reallocarray(list->items, list->n + 1, sizeof *items), *item;

	if (items == NULL)
		return -ENOMEM;
	list->items = items;
	item = &items[list->n++];
	*item = (struct item){.id = *id,
		.address = strdup(open->address),
		.name = strdup(name),
		.source = strdup(open->source)};
	return item->address != NULL && item->name != NULL && item->source != NULL ? 0 : -ENOMEM;
}

/* A delivery, or each number of a reservation. */
static int add(void *arg, const struct lb_open_delivery *open)
{
	char name[LB_NAME_MAX + 1], base[LB_NAME_MAX + 1];
	struct list *list = arg;
	struct lb_lines_note note;
	bool lines = open->count > 1 && lb_lines_note_parse(open->note, &note) &&
		     strlen(open->name) > LB_LINES_DIGITS;
	struct lb_id id = open->id;
	int r = 0;

	snprintf(base, sizeof base, "%.*s", lines ? (int)strlen(open->name) - LB_LINES_DIGITS - 1 : 0,
		open->name);
	snprintf(name, sizeof name, "%s", open->count > 1 ? "" : open->name);
	for (unsigned i = 0; i < open->count && r == 0 && !open->busy; i++, id.number++) {
		if (lines)
			lb_lines_name(base, lb_lines_note_record(&note, i), name);
		r = add_item(list, open, &id, name);
		if (r == 0 && lines) {
			list->items[list->n - 1].unused = !lb_lines_note_is_used(&note, i);
			list->items[list->n - 1].perhaps = note.left == 0;
		}
	}
	return r;
}

static void release(struct list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->items[i].address);
		free(list->items[i].name);
		free(list->items[i].source);
	}
	free(list->items);
}

/* What can be read from its beginning, as often as it takes. */
static bool is_file(const char *source)
{
	struct stat st;

	return source[0] == '/' && stat(source, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
	       access(source, R_OK) == 0;
}

static void deliver(struct lb_sending *sending, const struct item *item, struct lb_result *result)
{
	lb_deliver(sending, item->source, item->name, result);
	/* It is settled, and what the server had, or had kept, is not what lies here now. */
	if (result->reason == LB_REASON_WRONG_DIGEST || result->reason == LB_REASON_WRONG_LENGTH) {
		result->reason = LB_REASON_SOURCE_CHANGED;
		result->detail = "an earlier run has sent other content";
	}
}

static void settle(struct lb_sending *sending, const struct item *item, struct lb_result *result)
{
	struct lb_peer *peer = &sending->peer;

	sending->id = item->id;
	if (lb_peer_interrupted(peer))
		lb_deliver_not(sending, item->source, item->name, LB_REASON_INTERRUPTED, NULL, result);
	else if (peer->client == NULL)
		lb_deliver_not(sending, item->source, item->name, peer->reason,
			peer->why[0] != '\0' ? peer->why : NULL, result);
	else if (is_file(item->source))
		deliver(sending, item, result);
	else
		lb_peer_resolve(peer, &item->id, result);
	if (result->verdict != LB_VERDICT_COMMITTED && result->receipt.name[0] != '\0')
		snprintf(result->receipt.name, sizeof result->receipt.name, "%s", item->name);
}

/* Whether both are perhaps for records of one input. */
static bool are_of_one(const struct item *one, const struct item *other)
{
	size_t base = strlen(one->name) - LB_LINES_DIGITS;

	return one->perhaps && other->perhaps && strlen(other->name) == strlen(one->name) &&
	       strncmp(one->name, other->name, base) == 0;
}

/* Numbers that follow each other, and were not committed: nobody knows whether the input had records for them, unless a
 * later one was committed. */
struct held {
	const struct item *first;
	size_t n;
	struct lb_result result; /* of the first */
};

static void tell_held(
	struct lb_telling *telling, struct lb_peer *peer, struct held *held, bool each, bool last)
{
	char detail[160];

	each = each || telling->json || held->n == 1;
	for (size_t i = 0; i < (each ? held->n : held->n > 0); i++) {
		struct lb_result result = held->result;

		result.receipt.id = held->first[i].id;
		snprintf(result.receipt.name, sizeof result.receipt.name, "%s", held->first[i].name);
		if (!each) {
			snprintf(detail, sizeof detail,
				"it and the %zu numbers behind it are not committed; whether there were "
				"records "
				"for them is not known",
				held->n - 1);
			result.detail = detail;
		}
		lb_tell(telling, peer, &result, last && i + 1 == (each ? held->n : 1));
	}
	held->n = 0;
}

/* The n items that are open at one address. -1, or the exit code of a mistake. */
static int settle_all(
	struct lb_sending *sending, struct lb_telling *telling, const struct item *items, size_t n)
{
	struct lb_peer *peer = &sending->peer;
	struct held held = {.n = 0};
	int r;

	peer->address = items->address;
	for (size_t i = 0; peer->interrupted && i < n; i++) {
		struct lb_result result = {0};

		if (items[i].unused)
			continue;
		sending->id = items[i].id;
		lb_deliver_not(sending, items[i].source, items[i].name, LB_REASON_INTERRUPTED, NULL, &result);
		lb_tell(telling, peer, &result, false);
	}
	if (peer->interrupted)
		return -1;
	peer->why[0] = '\0';
	peer->ended = LB_END_OPEN;
	r = lb_peer_open(peer, "send");
	lb_progress_clear(&sending->progress);
	for (size_t i = 0; r < 0 && i < n; i++) {
		struct lb_result result = {0};
		bool last = i + 1 == n;

		sending->progress.index++;
		if (items[i].unused && peer->client != NULL)
			lb_peer_resolve(peer, &items[i].id, &result);
		if (items[i].unused)
			continue;
		settle(sending, &items[i], &result);
		if (held.n > 0 && !are_of_one(held.first, &items[i]))
			tell_held(telling, peer, &held, false, false);
		if (result.gone && last && held.n == 0) {
			lb_peer_close(peer);
		} else if (result.gone) {
			tell_held(telling, peer, &held, false, last);
		} else if (items[i].perhaps && result.verdict == LB_VERDICT_ROLLED_BACK) {
			if (held.n++ == 0) {
				held.first = &items[i];
				held.result = result;
				held.result.detail = NULL; /* it is the client's, until its next call */
			}
			if (last)
				tell_held(telling, peer, &held, false, true);
		} else {
			tell_held(telling, peer, &held, result.verdict == LB_VERDICT_COMMITTED, false);
			lb_tell(telling, peer, &result, last);
		}
	}
	return r;
}

static int by_address(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int order = strcmp(one->address, other->address);

	if (order == 0)
		order = other->unused - one->unused; /* so that there is something to tell last */
	if (order == 0)
		order = memcmp(one->id.client, other->id.client, sizeof one->id.client);
	return order != 0 ? order : one->id.number < other->id.number ? -1 : 1;
}

/* First the address that has the lowest number open: a server elsewhere may take the others only after that one. */
static int by_lowest(const void *a, const void *b)
{
	const struct item *one = a, *other = b;

	if (one->lowest == other->lowest)
		return by_address(a, b);
	return one->lowest < other->lowest ? -1 : 1;
}

/* How many of the n items are at the address of the first one, when those of one address stand together. */
static size_t at_one_address(const struct item *items, size_t n)
{
	size_t i = 1;

	while (i < n && strcmp(items->address, items[i].address) == 0)
		i++;
	return i;
}

static void sort(struct item *items, size_t n)
{
	qsort(items, n, sizeof *items, by_address);
	for (size_t i = 0, many; i < n; i += many) {
		uint64_t lowest = UINT64_MAX;

		many = at_one_address(&items[i], n - i);
		for (size_t k = i; k < i + many; k++)
			lowest = items[k].id.number < lowest ? items[k].id.number : lowest;
		for (size_t k = i; k < i + many; k++)
			items[k].lowest = lowest;
	}
	qsort(items, n, sizeof *items, by_lowest);
}

int lb_continue(struct lb_sending *sending, struct lb_telling *telling)
{
	struct lb_peer *peer = &sending->peer;
	const struct lb_client_options options = {.state_dir = peer->state_dir, .why = peer->why};
	struct list list = {.n = 0};
	int r = lb_client_each_open(&options, peer->address, add, &list);

	if (r < 0) {
		release(&list);
		return lb_peer_mistake(peer, "send", r);
	}
	LB_FAULT("continue_found");
	if (list.n > 1)
		sort(list.items, list.n);
	sending->progress.count = (unsigned)list.n;
	peer->only_open = true;
	r = -1;
	for (size_t i = 0, n; r < 0 && i < list.n; i += n) {
		n = at_one_address(&list.items[i], list.n - i);
		r = settle_all(sending, telling, &list.items[i], n);
	}
	release(&list);
	return r < 0 ? telling->exit : r;
}
