/* SPDX-License-Identifier: MIT */
/*
 * The oracle's eye on the inboxes: each file that appears in one, whoever reads and removes it, and an operator who
 * wipes it. A database it has rows.c look into. Owns nothing.
 */
#include "sim/check.h"
#include <stdlib.h>
#include <string.h>

static bool is_foreign(const struct sim_inode *file)
{
	return sim_file_is(file, SIM_FOREIGN, strlen(SIM_FOREIGN));
}

static unsigned count_rows(const struct sim_rows *rows, const struct sim_source *source)
{
	unsigned n = 0;

	for (size_t i = 0; i < rows->n; i++)
		n += rows->at[i].source == source;
	return n;
}

unsigned sim_inbox_count(
	struct sim_check *check, struct sim_machine *machine, const struct sim_source *source)
{
	const struct sim_inode *inbox = sim_dir_find(machine->disk->root, SIM_INBOX);
	unsigned n = 0;

	if (check->database)
		return count_rows(sim_rows_look(check, machine), source);

	for (size_t i = 0; inbox != NULL && i < inbox->names.n; i++) {
		if (sim_source_is_called(source, inbox->names.at[i].text) &&
			sim_file_is(inbox->names.at[i].inode, source->bytes, source->len))
			n++;
	}
	return n;
}

unsigned sim_source_delivered(struct sim_check *check, const struct sim_source *source)
{
	unsigned n = source->taken + source->destroyed;

	for (int i = 0; i < check->n_servers; i++)
		n += sim_inbox_count(check, check->servers[i], source);
	return n;
}

/* Invariant 1: all of a delivery that somebody asked to commit, or nothing. */
static struct sim_source *check_file(struct sim_check *check, const char *name, const struct sim_inode *file)
{
	struct sim_source *source = check->sources;

	if (is_foreign(file))
		return NULL;
	while (source != NULL &&
		(!sim_source_is_called(source, name) || !sim_file_is(file, source->bytes, source->len)))
		source = source->next;
	if (source == NULL)
		sim_violation(check->world, 1,
			"%s appears in an inbox with %zu bytes that nobody has sent as that", name,
			file->seen.len);
	if (!source->asked)
		sim_violation(check->world, 1, "%s appears in an inbox, and no COMMIT was sent for it", name);
	return source;
}

void sim_check_once(struct sim_check *check, const struct sim_source *source)
{
	int ledgers = source->destroyed > 0;

	if (source->loose || sim_source_delivered(check, source) <= 1)
		return;
	if (source->careless)
		sim_violation(check->world, 8, "%s was delivered again when its ledger had forgotten it",
			source->name);
	for (int i = 0; i < check->n_servers; i++)
		ledgers += sim_inbox_count(check, check->servers[i], source) > 0;
	sim_violation(check->world, ledgers > 1 ? 7 : 3, "%s was delivered twice", source->name);
}

static void placed(void *arg, const char *name, const struct sim_inode *file, const struct sim_inode *before)
{
	struct sim_check *check = arg;
	const struct sim_source *source = check_file(check, name, file);

	if (before != NULL)
		sim_violation(check->world, 1, "%s in an inbox is overwritten", name);
	sim_trace(check->world, "%s appears in an inbox", name);
	if (source != NULL)
		sim_check_once(check, source);
}

void sim_check_inbox(struct sim_check *check, struct sim_machine *machine)
{
	const struct sim_inode *inbox = sim_dir_find(machine->disk->root, SIM_INBOX);

	for (size_t i = 0; inbox != NULL && i < inbox->names.n; i++) {
		const struct sim_name *name = &inbox->names.at[i];
		const struct sim_source *source =
			name->inode->is_dir ? NULL : check_file(check, name->text, name->inode);

		if (source != NULL)
			sim_check_once(check, source);
	}
	if (check->database) {
		const struct sim_rows *rows = sim_rows_look(check, machine);

		for (size_t i = 0; i < rows->n; i++)
			sim_check_once(check, rows->at[i].source);
	}
}

void sim_check_take(struct sim_check *check, struct sim_machine *machine)
{
	struct sim_inode *inbox = sim_dir_find(machine->disk->root, SIM_INBOX);
	struct sim_source *source;
	char name[LB_NAME_MAX + 1];
	size_t i;

	if (inbox == NULL || inbox->names.n == 0 || machine->disk->read_only)
		return;
	i = (size_t)sim_below(check->world, inbox->names.n);
	if (inbox->names.at[i].inode->is_dir)
		return;
	strcpy(name, inbox->names.at[i].text);
	source = check_file(check, name, inbox->names.at[i].inode);
	sim_trace(check->world, "%s is taken out of the inbox", name);
	if (sim_disk_remove(machine->disk, inbox, name, false) != 0)
		return;
	(void)sim_disk_sync_dir(machine->disk, inbox);
	if (source != NULL)
		source->taken++;
}

void sim_check_destroy(struct sim_check *check, struct sim_machine *machine, const struct lb_uuid *ledger)
{
	struct sim_ledger *wiped = calloc(1, sizeof *wiped);

	if (wiped == NULL)
		abort();
	wiped->uuid = *ledger;
	wiped->next = check->wiped;
	check->wiped = wiped;
	for (struct sim_source *source = check->sources; source != NULL; source = source->next)
		source->destroyed += sim_inbox_count(check, machine, source);
}

void sim_check_server(struct sim_check *check, struct sim_machine *machine)
{
	check->servers[check->n_servers++] = machine;
	machine->disk->watch = SIM_INBOX;
	machine->disk->placed = placed;
	machine->disk->arg = check;
}
