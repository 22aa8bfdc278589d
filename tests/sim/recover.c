/* SPDX-License-Identifier: MIT */
/*
 * What would be left if the power failed now: a copy of a server's disk loses its power and is recovered by the real
 * sink, and must still bear out what was said. Owns only the copies.
 */
#include "sim/copy.h"
#include "server/ledger.h"
#include <stdlib.h>
#include <string.h>

/* A copy as a loss of power would leave it. */
static void copy_lost(struct sim_copy *copy, const struct sim_machine *machine)
{
	static const unsigned kept[] = {0, 0, 50, 100};

	sim_copy_start(copy, machine, "a copy");
	sim_disk_lose_power(copy->machine.disk, kept[sim_below(machine->world, sizeof kept / sizeof *kept)]);
}

/* And recovered. */
static struct lb_sink *copy_recover(
	struct sim_copy *copy, const struct sim_check *check, const struct sim_machine *machine)
{
	struct lb_host *host;
	struct lb_sink *sink;
	char why[256] = "";
	int result;

	copy_lost(copy, machine);
	host = &copy->process->host;
	if (check->database)
		result =
			lb_sink_sqlite_open_on(host, copy->process->name, "/" SIM_DATABASE, NULL, &sink, why);
	else
		result = lb_sink_dir_open_on(host, copy->process->name, "/" SIM_INBOX, NULL, &sink, why);
	if (result != 0)
		sim_violation(
			machine->world, 2, "after a loss of power the sink cannot be recovered: %s", why);
	return sink;
}

void sim_check_survives(struct sim_check *check, struct sim_machine *machine, const struct sim_ident *ident)
{
	const struct sim_source *source = ident->kept;
	struct lb_resolution resolution = {.id = ident->id};
	struct sim_copy copy;
	struct lb_sink *sink;

	sink = copy_recover(&copy, check, machine);
	sink->ops->resolve(sink, &resolution);
	free(resolution.reply);
	if (resolution.verdict != LB_VERDICT_COMMITTED &&
		!(resolution.verdict == LB_VERDICT_FORGOTTEN && sim_check_may_be_forgotten(check, ident)))
		sim_violation(check->world, 2,
			"%s is said to be committed, and a loss of power would undo it (%s, %s)",
			source->name, lb_verdict_word(resolution.verdict), lb_reason_word(resolution.reason));
	if (!source->loose && sim_inbox_count(check, &copy.machine, source) + source->taken != 1)
		sim_violation(check->world, 2,
			"%s is said to be committed, and after a loss of power the inbox has it %u times",
			source->name, sim_inbox_count(check, &copy.machine, source) + source->taken);
	lb_sink_close(sink);
	sim_copy_end(&copy);
}

/* A fence holds an id off; what was never fenced would be taken in. */
void sim_check_fence_survives(
	struct sim_check *check, struct sim_machine *machine, const struct sim_ident *ident)
{
	struct lb_intake intake = {
		.id = ident->id, .attempt = 1000, .declared = LB_UNKNOWN, .part = -1, .part_dir = -1};
	struct sim_copy copy;
	struct lb_sink *sink;

	strcpy(intake.name, "never");
	sink = copy_recover(&copy, check, machine);
	sink->ops->begin(sink, &intake);
	free(intake.reply);
	if (intake.verdict == LB_VERDICT_UNPROVEN)
		sim_violation(check->world, 6, "an id was fenced, and a loss of power would undo it");
	lb_sink_close(sink);
	sim_copy_end(&copy);
}

void sim_check_sync_survives(
	struct sim_check *check, struct sim_machine *machine, const struct sim_ident *ident, uint64_t offset)
{
	struct lb_intake intake = {.id = ident->id,
		.attempt = UINT32_MAX,
		.declared = LB_UNKNOWN,
		.resume = true,
		.part = -1,
		.part_dir = -1};
	struct sim_copy copy;
	struct lb_sink *sink;

	memcpy(intake.name, ident->source->name, sizeof ident->source->name);
	sink = copy_recover(&copy, check, machine);
	sink->ops->begin(sink, &intake);
	free(intake.reply);
	sim_check_sync_survived(check, &copy.machine, ident, &intake, offset);
	lb_sink_close(sink);
	sim_copy_end(&copy);
}

/* What the ledger says of an id, now that nobody uses it. */
static void check_row(struct sim_check *check, struct lb_ledger *ledger, struct sim_ident *ident)
{
	const struct sim_source *source = ident->source;
	enum lb_ledger_state state;
	struct lb_receipt receipt;

	if (memcmp(lb_ledger_uuid(ledger), &ident->ledger, sizeof ident->ledger) != 0)
		return;
	ident->found = true;
	if (lb_ledger_look(ledger, &ident->id, &state, &receipt, NULL) != 0)
		sim_violation(check->world, 2, "the ledger cannot be read at the end");
	if (state == LB_LEDGER_FORGOTTEN && sim_check_may_be_forgotten(check, ident))
		return;
	if (ident->committed && state != LB_LEDGER_COMMITTED)
		sim_violation(check->world, 2, "%s was said to be committed, and the ledger does not say so",
			source->name);
	if (ident->never && state == LB_LEDGER_COMMITTED)
		sim_violation(check->world, 6, "%s was said to be never committed, and the ledger says it is",
			source->name);
	if (ident->not_yet && state == LB_LEDGER_COMMITTED)
		sim_violation(check->world, 5, "%s was said to be not committed, and the ledger says it is",
			source->name);
	if (state == LB_LEDGER_COMMITTED)
		source = sim_source_with(check, receipt.name, &receipt.digest);
	if (state == LB_LEDGER_COMMITTED &&
		(source == NULL || (ident->kept != NULL && ident->kept != source)))
		sim_violation(check->world, 4, "the ledger has %s for an id, which was not said to be that",
			receipt.name);
	if (state == LB_LEDGER_COMMITTED && !source->loose && sim_source_delivered(check, source) != 1)
		sim_violation(check->world, 2,
			"the ledger says that %s is committed, and it was delivered %u times", source->name,
			sim_source_delivered(check, source));
}

static void check_ledger(struct sim_check *check, struct sim_machine *machine)
{
	const char *path = check->database ? "/" SIM_DATABASE : "/" SIM_INBOX "/.lastbyte/ledger.db";
	const struct lb_ledger_options options = {.contents = check->database};
	struct lb_ledger *ledger;
	char why[256] = "";
	struct sim_copy copy;

	copy_lost(&copy, machine);
	if (sim_disk_find(copy.machine.disk, path) == NULL) {
		sim_copy_end(&copy); /* it has never come so far */
		return;
	}
	if (lb_ledger_open(&copy.process->host, copy.process->name, path, &options, &ledger, why) != 0)
		sim_violation(check->world, 2, "the ledger cannot be opened at the end: %s", why);
	for (struct sim_ident *ident = check->idents; ident != NULL; ident = ident->next)
		check_row(check, ledger, ident);
	lb_ledger_close(ledger);
	sim_copy_end(&copy);
}

void sim_check_end(struct sim_check *check)
{
	for (int i = 0; i < check->n_servers; i++) {
		sim_check_inbox(check, check->servers[i]);
		check_ledger(check, check->servers[i]);
	}
	for (const struct sim_ident *ident = check->idents; ident != NULL; ident = ident->next)
		if (ident->committed && !ident->found && !sim_check_is_wiped(check, &ident->ledger))
			sim_violation(check->world, 2, "%s was said to be committed, and its ledger is gone",
				ident->source->name);
	for (const struct sim_source *source = check->sources; source != NULL; source = source->next) {
		unsigned committed = 0;

		for (const struct sim_ident *ident = check->idents; ident != NULL; ident = ident->next)
			committed += ident->kept == source && ident->committed;
		if (source->loose)
			continue;
		if (committed > 1)
			sim_violation(
				check->world, 3, "%s was committed under %u ids", source->name, committed);
		if (committed == 1 && sim_source_delivered(check, source) != 1)
			sim_violation(check->world, 2, "%s was committed, and was delivered %u times",
				source->name, sim_source_delivered(check, source));
	}
}
