/* SPDX-License-Identifier: MIT */
/*
 * The oracle of invariant 9: a delivery goes on where the ledger says, and what lies before that is durable. Owns
 * nothing; the copies are recover.c's.
 */
#include "sim/check.h"
#include "server/sink_dir.h"
#include <stdio.h>

/* Whether the part of a delivery on this disk is just the beginning of what is sent. */
static void check_part(const struct sim_check *check, const struct sim_disk *disk,
	const struct sim_ident *ident, uint64_t offset, const char *when)
{
	char id[LB_ID_TEXT], path[200];
	const struct sim_inode *part;

	lb_dir_part_name(&ident->id, id);
	snprintf(path, sizeof path, SIM_INBOX "/.lastbyte/parts/%s/%s", id, ident->source->name);
	part = sim_disk_find(disk, path);
	if (part == NULL || offset > ident->source->len ||
		!sim_file_is(part, ident->source->bytes, (size_t)offset))
		sim_violation(check->world, 9, "%s %s at %llu, and the part is not the bytes before that",
			ident->source->name, when, (unsigned long long)offset);
}

void sim_check_syncs(struct sim_check *check, const struct lb_intake *intake, uint64_t offset)
{
	struct sim_ident *ident = sim_check_ident(check, &intake->id, NULL);

	if (ident->sync_asked < offset)
		ident->sync_asked = offset;
}

void sim_check_synced(
	struct sim_check *check, struct sim_machine *machine, const struct lb_intake *intake, uint64_t offset)
{
	struct sim_ident *ident = sim_check_ident(check, &intake->id, NULL);

	if (ident->synced < offset)
		ident->synced = offset;
	if (offset > 0 && !ident->source->loose && sim_chance(check->world, check->recoveries))
		sim_check_sync_survives(check, machine, ident, offset);
}

void sim_check_resumed(
	struct sim_check *check, const struct sim_machine *machine, const struct lb_intake *intake)
{
	const struct sim_ident *ident = sim_check_ident(check, &intake->id, NULL);

	if (intake->verdict != LB_VERDICT_UNPROVEN || intake->offset == 0 || ident->source->loose)
		return;
	sim_trace(check->world, "%s is resumed at %llu", ident->source->name,
		(unsigned long long)intake->offset);
	if (intake->offset > ident->sync_asked)
		sim_violation(check->world, 9, "%s is resumed at %llu, and no sync was asked for beyond %llu",
			ident->source->name, (unsigned long long)intake->offset,
			(unsigned long long)ident->sync_asked);
	check_part(check, machine->disk, ident, intake->offset, "is resumed");
}

void sim_check_sync_survived(const struct sim_check *check, const struct sim_machine *copy,
	const struct sim_ident *ident, const struct lb_intake *intake, uint64_t offset)
{
	if (intake->verdict == LB_VERDICT_REFUSED && intake->reason == LB_REASON_NAME_EXISTS)
		return; /* somebody else's */
	if (intake->verdict != LB_VERDICT_UNPROVEN || intake->offset < offset)
		sim_violation(check->world, 9,
			"%s is said to be synced up to %llu, and after a loss of power goes on at %llu (%s)",
			ident->source->name, (unsigned long long)offset, (unsigned long long)intake->offset,
			lb_reason_word(intake->reason));
	check_part(check, copy->disk, ident, intake->offset, "would be resumed");
}

void sim_check_says_synced(const struct sim_check *check, const struct sim_ident *ident, uint64_t offset)
{
	if (offset > ident->synced)
		sim_violation(check->world, 9, "a server says SYNCED %llu of %s, which is synced up to %llu",
			(unsigned long long)offset, ident->source->name, (unsigned long long)ident->synced);
}

void sim_check_says_begin_ok(const struct sim_check *check, const struct sim_ident *ident, uint64_t offset)
{
	if (offset > ident->sync_asked)
		sim_violation(check->world, 9,
			"a server goes on with %s at %llu, and no sync was asked for beyond %llu",
			ident->source->name, (unsigned long long)offset,
			(unsigned long long)ident->sync_asked);
}
