/* SPDX-License-Identifier: MIT */
/* What `lastbyte lab` says: a line for each cell, the verdicts, and the names. Decides nothing. */
#include "lab.h"
#include "print.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS "%-5s  %-19s  %-17s"

static void say(struct lb_lab *lab, const char *line)
{
	int result;

	if (lab->quiet)
		return;
	lb_progress_clear(&lab->progress);
	result = lb_print_line(STDOUT_FILENO, "%s", line);
	if (lab->error == 0)
		lab->error = result;
}

void lb_lab_heard(void *arg, const char *text)
{
	say(arg, text);
}

/* The links, and the heads of the columns. */
static void start(struct lb_lab *lab, size_t count)
{
	char line[LB_PRINT_LINE];

	lab->started = true;
	lab->progress.unit = "cells";
	lb_progress_start(&lab->progress, count);
	snprintf(line, sizeof line, "Linux %s", lab->lab.kernel);
	say(lab, line);
	for (unsigned i = 0; i < lab->lab.links_count; i++) {
		snprintf(line, sizeof line, "link %s: %s", lab->lab.links[i].name, lab->lab.links[i].text);
		say(lab, line);
	}
	say(lab, "");
	snprintf(line, sizeof line, COLUMNS "  %18s  %-7s  %11s  %-22s  %s", "link", "policy", "scenario",
		"the peer got", "end", "blocked", "we sent", "what is known of it");
	say(lab, line);
}

/* "41 data, 1 fin, 2 rst". */
static const char *sent(const struct lab_play *play, char buf[64])
{
	const struct segments *s = &play->segments[0];

	if (!play->captured)
		return "not seen";
	snprintf(buf, 64, "%" PRIu64 " data, %" PRIu64 " fin, %" PRIu64 " rst", s->data, s->fin, s->rst);
	return buf;
}

/* What the outcome says of it, and how often it went otherwise. */
static const char *known(const struct lab_cell *cell, char buf[256])
{
	const struct lb_outcome *o = &cell->shown.outcome;
	int n = 0;

	if (cell->shown.has_outcome)
		n = snprintf(buf, 256, "%s, %s by %s", lb_rung_word(o->rung), lb_end_word(o->how),
			lb_party_word(o->by));
	else
		n = snprintf(buf, 256, "no outcome");
	if ((cell->whole > 0 && cell->whole < cell->runs) ||
		(cell->eofs > 0) + (cell->resets > 0) + (cell->waits > 0) > 1)
		snprintf(buf + n, 256 - (size_t)n, "; %u of %u whole: %u eof, %u reset, %u waiting",
			cell->whole, cell->runs, cell->eofs, cell->resets, cell->waits);
	return buf;
}

static void tell_cell(struct lb_lab *lab, const struct lab_cell *cell)
{
	static const char *const ends[] = {
		[LAB_WAITING] = "waiting", [LAB_EOF] = "eof", [LAB_RESET] = "reset"};
	const struct lab_play *play = &cell->shown;
	char got[48], segments[64], text[256], line[LB_PRINT_LINE];

	snprintf(got, sizeof got, "%" PRIu64 " of %" PRIu64, play->peer_bytes, play->meant_bytes);
	snprintf(line, sizeof line, COLUMNS "  %18s  %-7s  %8.1f ms  %-22s  %s", cell->link, cell->policy,
		cell->scenario, got, ends[play->peer_end], (double)play->blocked / 1e6, sent(play, segments),
		known(cell, text));
	say(lab, line);
}

void lb_lab_told(void *arg, const struct lab_cell *cell, size_t done, size_t count)
{
	struct lb_lab *lab = arg;
	char id[LAB_ID];

	if (!lab->started)
		start(lab, count);
	if (cell != NULL && cell->runs > 0) {
		tell_cell(lab, cell);
	} else if (cell != NULL) {
		lb_progress_clear(&lab->progress);
		lb_print_line(STDERR_FILENO, "lastbyte lab: %s could not be played: %s",
			lab_cell_id(cell, id), cell->shown.failed);
	}
	lb_progress_update(&lab->progress, done);
}

void lb_lab_print_claims(struct lb_lab *lab, const struct lab_claim *claims)
{
	static const char *const verdicts[] = {
		[LAB_HOLDS] = "holds", [LAB_PARTLY] = "partly", [LAB_FAILS] = "fails"};
	char line[LB_PRINT_LINE];

	for (const struct lab_claim *claim = claims; claim < claims + LAB_CLAIMS; claim++) {
		if (!claim->judged)
			continue;
		if (claim == claims)
			say(lab, "");
		snprintf(line, sizeof line, "%-6s  %-22s  %s", verdicts[claim->verdict], claim->id,
			claim->text);
		say(lab, line);
		snprintf(line, sizeof line, "%32s%s", "", claim->because);
		say(lab, line);
	}
}

void lb_lab_print_names(int fd)
{
	dprintf(fd, "\nPolicies, and ways to send a request:\n");
	for (const struct lab_policy *policy = lab_policies; policy->name != NULL; policy++)
		dprintf(fd, "  %-19s  %s\n", policy->name, policy->text);
	dprintf(fd, "\nScenarios:\n");
	for (const struct lab_scenario *scenario = lab_scenarios; scenario->name != NULL; scenario++)
		dprintf(fd, "  %-19s  %s\n", scenario->name, scenario->text);
}
