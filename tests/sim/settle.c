/* SPDX-License-Identifier: MIT */
/*
 * The oracle of invariant 8: what a client has settled may be forgotten, nothing else may, and what is forgotten is never
 * committed again. Owns what the clients have said of that. And what an id is answered with stays what it is.
 */
#include "sim/check.h"
#include "base/digest.h"
#include <lastbyte/conn.h>
#include <stdlib.h>
#include <string.h>

struct sim_settled {
	struct sim_settled *next;
	uint8_t client[16];
	struct lb_uuid ledger;
	uint64_t lowest; /* the greatest that was said */
};

static struct sim_settled *find(
	const struct sim_check *check, const struct lb_uuid *ledger, const struct lb_id *id)
{
	struct sim_settled *settled = check->settled;

	while (settled != NULL && (memcmp(settled->client, id->client, sizeof id->client) != 0 ||
					  memcmp(&settled->ledger, ledger, sizeof *ledger) != 0))
		settled = settled->next;
	return settled;
}

static uint64_t lowest_of(const struct sim_check *check, const struct sim_ident *ident)
{
	const struct sim_settled *settled = find(check, &ident->ledger, &ident->id);

	return settled == NULL ? 1 : settled->lowest;
}

void sim_check_settles(struct sim_check *check, const struct lb_uuid *ledger, const struct lb_id *lowest)
{
	struct sim_settled *settled = find(check, ledger, lowest);

	for (const struct sim_ident *ident = check->idents; ident != NULL; ident = ident->next)
		if (ident->undecided > 0 && ident->id.number < lowest->number && !ident->source->careless &&
			!ident->source->loose &&
			memcmp(ident->id.client, lowest->client, sizeof lowest->client) == 0 &&
			memcmp(&ident->ledger, ledger, sizeof *ledger) == 0)
			sim_violation(check->world, 8, "%s is settled, and its client does not know its end",
				ident->source->name);
	if (settled == NULL) {
		settled = calloc(1, sizeof *settled);
		if (settled == NULL)
			abort();
		memcpy(settled->client, lowest->client, sizeof settled->client);
		settled->ledger = *ledger;
		settled->next = check->settled;
		check->settled = settled;
	}
	if (settled->lowest < lowest->number)
		settled->lowest = lowest->number;
}

void sim_check_forget_settled(struct sim_check *check)
{
	while (check->settled != NULL) {
		struct sim_settled *settled = check->settled;

		check->settled = settled->next;
		free(settled);
	}
}

void sim_check_replied(struct sim_check *check, const struct lb_id *id, const void *reply, size_t len)
{
	static const struct lb_digest unknown;
	struct sim_ident *ident = sim_check_ident(check, id, NULL);
	struct lb_hasher hasher;
	struct lb_digest digest;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, reply, len);
	lb_hasher_digest(&hasher, &digest);
	if (memcmp(&ident->reply, &unknown, sizeof unknown) == 0)
		ident->reply = digest;
	if (memcmp(&ident->reply, &digest, sizeof digest) != 0)
		sim_violation(check->world, 4,
			"one id is answered with two replies, the last one of %zu bytes", len);
}

bool sim_check_may_be_forgotten(const struct sim_check *check, const struct sim_ident *ident)
{
	return lowest_of(check, ident) > ident->id.number + check->keep;
}

void sim_check_is_past(
	struct sim_check *check, struct sim_ident *ident, const struct lb_uuid *ledger, enum lb_reason reason)
{
	const struct sim_settled *settled = find(check, ledger, &ident->id);
	uint64_t lowest = settled == NULL ? 1 : settled->lowest;

	if (reason == LB_REASON_SETTLED && ident->id.number >= lowest)
		sim_violation(
			check->world, 8, "an id is refused as settled, and its client has not settled it");
	if (reason == LB_REASON_SETTLED && ident->committed)
		sim_violation(check->world, 8,
			"%s is said to be settled, which never commits, and it is committed",
			ident->source->name);
	if (reason != LB_REASON_FORGOTTEN)
		return;
	if (ident->id.number + check->keep >= lowest)
		sim_violation(check->world, 8, "an id is forgotten, and its client may still ask for it");
	ident->forgotten = true;
}

void sim_check_may_commit(struct sim_check *check, const struct sim_ident *ident)
{
	if (ident->forgotten)
		sim_violation(check->world, 8, "%s is committed, after it was said to be forgotten",
			ident->source->name);
	if (ident->id.number - lowest_of(check, ident) >= LB_NUMBERS_OPEN_MAX &&
		ident->id.number > lowest_of(check, ident))
		sim_violation(check->world, 8, "%s is committed, and its client has settled too little",
			ident->source->name);
}
