/* SPDX-License-Identifier: MIT */
/*
 * The oracle's rules: which answers are true. Owns the record of sources and ids; inbox.c looks at what lies in the
 * inboxes, recover.c at what a loss of power would leave. Each violation is named by its number in the design.
 */
#include "sim/check.h"
#include "base/digest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_check_init(struct sim_check *check, struct sim_world *world)
{
	*check = (struct sim_check){.world = world};
}

void sim_check_deinit(struct sim_check *check)
{
	while (check->sources != NULL) {
		struct sim_source *source = check->sources;

		check->sources = source->next;
		free(source->bytes);
		free(source);
	}
	while (check->idents != NULL) {
		struct sim_ident *ident = check->idents;

		check->idents = ident->next;
		free(ident);
	}
	sim_check_forget_settled(check);
	free(check->rows.at);
	while (check->wiped != NULL) {
		struct sim_ledger *ledger = check->wiped;

		check->wiped = ledger->next;
		free(ledger);
	}
}

struct sim_source *sim_check_source(struct sim_check *check, const char *name, size_t len)
{
	struct sim_source *source = calloc(1, sizeof *source);
	struct lb_hasher hasher;

	if (source == NULL)
		abort();
	source->bytes = malloc(len + 1);
	if (source->bytes == NULL)
		abort();
	source->len = len;
	for (size_t i = 0; i < len; i += 8) {
		uint64_t bits = sim_random_next(&check->world->random);

		memcpy(source->bytes + i, &bits, len - i < 8 ? len - i : 8);
	}
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, source->bytes, len);
	lb_hasher_digest(&hasher, &source->digest);
	snprintf(source->name, sizeof source->name, "%s", name);
	snprintf(source->path, sizeof source->path, "/home/%s", name);
	source->next = check->sources;
	check->sources = source;
	return source;
}

static const char *name_of(const struct sim_ident *ident)
{
	return ident->source != NULL ? ident->source->name : "an id that no server has seen";
}

bool sim_source_is_called(const struct sim_source *source, const char *name)
{
	size_t len = strlen(source->name);

	return strncmp(source->name, name, len) == 0 && (name[len] == '\0' || name[len] == '~');
}

struct sim_source *sim_source_named(struct sim_check *check, const char *name)
{
	struct sim_source *source = check->sources;

	while (source != NULL && !sim_source_is_called(source, name))
		source = source->next;
	return source;
}

struct sim_source *sim_source_with(struct sim_check *check, const char *name, const struct lb_digest *digest)
{
	struct sim_source *source = check->sources;

	while (source != NULL &&
		(strcmp(source->name, name) != 0 || memcmp(&source->digest, digest, sizeof *digest) != 0))
		source = source->next;
	return source;
}

struct sim_ident *sim_check_ident(struct sim_check *check, const struct lb_id *id, struct sim_source *source)
{
	struct sim_ident *ident = check->idents;

	while (ident != NULL && (ident->id.number != id->number ||
					memcmp(ident->id.client, id->client, sizeof id->client) != 0))
		ident = ident->next;
	if (ident == NULL) {
		ident = calloc(1, sizeof *ident);
		if (ident == NULL)
			abort();
		ident->id = *id;
		ident->next = check->idents;
		check->idents = ident;
	}
	if (ident->source == NULL)
		ident->source = source;
	if (source != NULL && ident->source != source && !source->loose)
		sim_violation(check->world, 4, "one id for %s and for %s", ident->source->name, source->name);
	return ident;
}

bool sim_check_is_wiped(const struct sim_check *check, const struct lb_uuid *ledger)
{
	const struct sim_ledger *wiped = check->wiped;

	while (wiped != NULL && memcmp(&wiped->uuid, ledger, sizeof *ledger) != 0)
		wiped = wiped->next;
	return wiped != NULL;
}

/* Invariant 3: a number is used until its end is known. A process may have known it that died before it could tell. */
void sim_check_begins(struct sim_check *check, const struct lb_id *id, struct sim_source *source)
{
	struct sim_ident *ident = sim_check_ident(check, id, source);

	ident->not_yet = false;
	if (source->loose)
		return;
	for (const struct sim_ident *other = check->idents; other != NULL; other = other->next)
		if (other != ident && other->source == source && (other->undecided > 0 || other->committed))
			sim_violation(check->world, 3, "%s gets another number, and the last one is %s",
				source->name, other->committed ? "committed" : "in doubt");
}

/* A process that died before it said BEGIN has told its journal alone which ledger that was for. */
bool sim_check_is_lost(struct sim_check *check, const struct lb_id *id)
{
	static const struct lb_uuid unknown;
	const struct sim_ident *ident = sim_check_ident(check, id, NULL);

	return sim_check_is_wiped(check, &ident->ledger) ||
	       (check->wiped != NULL && memcmp(&ident->ledger, &unknown, sizeof unknown) == 0);
}

/* Somebody has it from the server, or from its ledger, that this id is committed. */
static void check_is_committed(struct sim_check *check, struct sim_ident *ident, const char *who)
{
	ident->committed = true;
	if (ident->never)
		sim_violation(check->world, 6,
			"%s says that %s is committed, after it was said that it never will be", who,
			name_of(ident));
	if (ident->not_yet)
		sim_violation(check->world, 5,
			"%s says that %s is committed, after its client was told that it was not", who,
			name_of(ident));
	if (sim_source_delivered(check, ident->kept) == 0)
		sim_violation(check->world, 2, "%s says that %s is committed, and it is in no inbox", who,
			name_of(ident));
}

/* A client is told that it is not, and never will be, or may be once it has begun it again. */
static void check_is_not_committed(struct sim_check *check, struct sim_ident *ident, bool never)
{
	if (ident->source->loose)
		return; /* the number may have been another one's before */
	if (ident->committed)
		sim_violation(check->world, never ? 6 : 5,
			"the client is told that %s is not committed, and it is", name_of(ident));
	if (ident->undecided > 0)
		sim_violation(check->world, 5,
			"the client is told that %s is not committed, and a COMMIT of it has no answer",
			name_of(ident));
	ident->never = ident->never || never;
	ident->not_yet = true;
}

/* Invariant 4: the receipt of an id is that of one content for ever, and `source` is what it is said to be of. */
static void check_receipt(struct sim_check *check, struct sim_ident *ident, struct sim_source *source,
	const struct lb_receipt *receipt)
{
	if (memcmp(receipt->id.client, ident->id.client, sizeof ident->id.client) != 0 ||
		receipt->id.number != ident->id.number)
		sim_violation(check->world, 3, "the receipt for %s names another delivery", source->name);
	if (strcmp(receipt->name, source->name) != 0 || receipt->length != source->len ||
		memcmp(&receipt->digest, &source->digest, sizeof source->digest) != 0)
		sim_violation(check->world, 4, "the receipt for %s is not for its content", source->name);
	if (ident->kept != NULL && ident->kept != source)
		sim_violation(check->world, 4, "one id is committed as %s and as %s", ident->kept->name,
			source->name);
	ident->kept = source;
	if (memcmp(&receipt->ledger, &ident->ledger, sizeof ident->ledger) != 0)
		sim_violation(check->world, 7, "the receipt for %s is of another ledger than it was begun at",
			source->name);
}

/* What a server has under an id: of this name, and something that somebody has sent. */
static void check_is_kept(
	struct sim_check *check, struct sim_ident *ident, const char *name, const struct lb_receipt *receipt)
{
	struct sim_source *source = sim_source_with(check, receipt->name, &receipt->digest);

	if (source == NULL || (name != NULL && strcmp(name, receipt->name) != 0))
		sim_violation(check->world, 4, "a server has %s for an id, and it was begun as %s",
			receipt->name, name != NULL ? name : name_of(ident));
	check_receipt(check, ident, source, receipt);
	sim_check_may_commit(check, ident);
}

void sim_check_told(struct sim_check *check, const struct lb_id *id, struct sim_source *source,
	const struct lb_outcome *outcome, const struct lb_receipt *receipt)
{
	struct sim_ident *ident = sim_check_ident(check, id, source);

	sim_mix(check->world, outcome->verdict);
	/* No source changes here: that bytes are sent once more, or the server's are gone on with, must not show. */
	if (!source->loose &&
		(outcome->reason == LB_REASON_WRONG_LENGTH || outcome->reason == LB_REASON_WRONG_DIGEST))
		sim_violation(check->world, 9, "the server has not got what %s is (%s)", source->name,
			lb_reason_word(outcome->reason));
	switch (outcome->verdict) {
	case LB_VERDICT_COMMITTED:
		if (receipt != NULL)
			check_receipt(check, ident, source, receipt);
		else if (source->loose)
			break;
		else
			ident->kept = source;
		check_is_committed(check, ident, "the client");
		for (int i = 0; i < check->n_servers; i++)
			if (sim_chance(check->world, check->recoveries) &&
				sim_inbox_count(check, check->servers[i], source) > 0)
				sim_check_survives(check, check->servers[i], ident);
		break;
	case LB_VERDICT_REFUSED:
		if (outcome->reason == LB_REASON_DIFFERENT && !source->loose)
			sim_violation(check->world, 4, "%s is said to differ from what it was before",
				source->name);
		check_is_not_committed(check, ident,
			outcome->reason == LB_REASON_FENCED || outcome->reason == LB_REASON_SETTLED);
		break;
	case LB_VERDICT_ROLLED_BACK:
		check_is_not_committed(check, ident, true);
		break;
	case LB_VERDICT_NOT_COMMITTED:
		check_is_not_committed(check, ident, false);
		break;
	case LB_VERDICT_FORGOTTEN:
		if (!ident->forgotten)
			sim_violation(check->world, 8,
				"the client is told that %s is forgotten, by no ledger", source->name);
		break;
	case LB_VERDICT_IN_DOUBT:
		break;
	case LB_VERDICT_UNPROVEN:
		if (receipt == NULL)
			break; /* it was given up in the middle of comparing, and stays open */
		sim_violation(check->world, 5, "the client learns nothing of %s", source->name);
	}
}

/* Invariant 7: an id belongs to the ledger at which it was begun. */
static void check_ledger(
	struct sim_check *check, struct sim_ident *ident, const struct lb_uuid *ledger, const char *what)
{
	static const struct lb_uuid none;

	if (memcmp(&ident->ledger, &none, sizeof none) == 0)
		ident->ledger = *ledger;
	if (memcmp(&ident->ledger, ledger, sizeof *ledger) != 0)
		sim_violation(check->world, 7, "%s was begun at one ledger and is %s another", name_of(ident),
			what);
}

void sim_check_names(struct sim_check *check, struct sim_ident *ident, const struct lb_uuid *ledger)
{
	check_ledger(check, ident, ledger, "begun again for");
}

void sim_check_begun(struct sim_check *check, const struct lb_uuid *ledger, const struct lb_intake *intake)
{
	struct sim_source *source = sim_source_named(check, intake->name);

	if (source == NULL)
		sim_violation(check->world, 11, "a server begins %s, which nobody sends", intake->name);
	check_ledger(check, sim_check_ident(check, &intake->id, source), ledger, "begun at");
}

void sim_check_commits(struct sim_check *check, const struct lb_uuid *ledger, const struct lb_intake *intake)
{
	struct sim_ident *ident = sim_check_ident(check, &intake->id, NULL);
	const struct sim_source *source = sim_source_with(check, intake->name, &intake->digest);

	check_ledger(check, ident, ledger, "committed at");
	if (source == NULL || intake->received != source->len)
		sim_violation(check->world, 1, "a server commits %llu bytes as %s, which are not of it",
			(unsigned long long)intake->received, intake->name);
	if (!source->asked)
		sim_violation(
			check->world, 1, "a server commits %s, and no COMMIT was sent for it", source->name);
}

void sim_check_committed(struct sim_check *check, struct sim_machine *machine, const struct lb_intake *intake)
{
	struct sim_ident *ident = sim_check_ident(check, &intake->id, NULL);

	check_is_kept(check, ident, intake->name, &intake->receipt);
	check_is_committed(check, ident, "a server");
	if (check->database)
		sim_check_inbox(check, machine);
	if (sim_chance(check->world, check->recoveries))
		sim_check_survives(check, machine, ident);
}

void sim_check_resolved(struct sim_check *check, struct sim_machine *machine, const struct lb_uuid *ledger,
	const struct lb_resolution *resolution)
{
	struct sim_ident *ident = sim_check_ident(check, &resolution->id, NULL);

	sim_check_is_past(check, ident, ledger, resolution->reason);
	if (resolution->verdict == LB_VERDICT_NOT_COMMITTED || resolution->verdict == LB_VERDICT_IN_DOUBT ||
		resolution->verdict == LB_VERDICT_FORGOTTEN)
		return;
	check_ledger(check, ident, ledger, "resolved by");
	if (resolution->verdict == LB_VERDICT_COMMITTED) {
		check_is_kept(check, ident, NULL, &resolution->receipt);
		check_is_committed(check, ident, "a server");
		return;
	}
	if (ident->committed)
		sim_violation(check->world, 6, "a server says that %s will never be committed, and it is",
			name_of(ident));
	ident->never = true;
	if (sim_chance(check->world, check->recoveries))
		sim_check_fence_survives(check, machine, ident);
}
