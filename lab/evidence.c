/* SPDX-License-Identifier: MIT */
/* The collecting of evidence.h, and the rule by which it becomes a verdict. What agrees with what is in claims.c. */
#include "lab/evidence.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_among(const char *name, const char *names)
{
	size_t len = strlen(name), n;

	for (const char *word = names; word != NULL && *word != '\0'; word += n + (word[n] == ' ')) {
		n = strcspn(word, " ");
		if (n == len && memcmp(word, name, n) == 0)
			return true;
	}
	return names == NULL;
}

const struct lab_cell *evidence_next(const struct evidence *evidence, const struct lab_cell *cell,
	const char *policies, const char *scenarios)
{
	const struct lab_cell *end = evidence->cells + evidence->count;

	for (cell = cell == NULL ? evidence->cells : cell + 1; cell < end; cell++)
		if (cell->runs > 0 && is_among(cell->policy, policies) && is_among(cell->scenario, scenarios))
			return cell;
	return NULL;
}

unsigned evidence_runs(const struct lab_cell *cell, bool (*is_so)(const struct lab_seen *seen))
{
	unsigned runs = 0;

	for (unsigned i = 0; i < cell->runs; i++)
		runs += is_so(&cell->seen[i]);
	return runs;
}

static void add_to_link(struct evidence *evidence, const char *name, bool agrees, unsigned runs)
{
	for (int i = 0; i < EVIDENCE_LINKS; i++) {
		if (evidence->links[i].name == NULL)
			evidence->links[i].name = name;
		if (strcmp(evidence->links[i].name, name) == 0) {
			evidence->links[i].runs[agrees] += runs;
			return;
		}
	}
}

void evidence_add(struct evidence *evidence, const struct lab_cell *cell, unsigned agree, unsigned contradict)
{
	const unsigned runs[2] = {contradict, agree};

	for (int agrees = 0; agrees < 2; agrees++) {
		if (runs[agrees] == 0)
			continue;
		evidence->runs[agrees] += runs[agrees];
		add_to_link(evidence, cell->link, agrees, runs[agrees]);
		if (evidence->kept[agrees] < EVIDENCE_CELLS)
			evidence->cell[agrees][evidence->kept[agrees]++] = cell;
	}
}

/* A cell of which some runs agree and some do not is among both, and is named once. */
static void name_cell(struct lab_claim *claim, const struct lab_cell *cell)
{
	for (unsigned i = 0; i < claim->count; i++)
		if (claim->cells[i] == cell)
			return;
	if (claim->count < LAB_EVIDENCE)
		claim->cells[claim->count++] = cell;
}

/* In turns, so that neither side takes all the room. */
static void name_cells(struct evidence *evidence)
{
	for (unsigned i = 0; i < EVIDENCE_CELLS; i++)
		for (int agrees = 0; agrees < 2; agrees++)
			if (i < evidence->kept[agrees])
				name_cell(evidence->claim, evidence->cell[agrees][i]);
}

static bool contradicts(const struct evidence *evidence, const struct lab_cell *cell)
{
	for (unsigned i = 0; i < evidence->kept[0]; i++)
		if (evidence->cell[0][i] == cell)
			return true;
	return false;
}

static void say_condition(struct evidence *evidence, const char *scenarios, const char *condition)
{
	const struct lab_cell *first = evidence->cell[0][0];
	bool known = condition != NULL;

	for (unsigned i = 0; i < evidence->kept[0]; i++)
		known = known && is_among(evidence->cell[0][i]->scenario, scenarios);
	for (unsigned i = 0; i < evidence->kept[1]; i++)
		known = known && !(is_among(evidence->cell[1][i]->scenario, scenarios) &&
					 !contradicts(evidence, evidence->cell[1][i]));
	if (known)
		evidence_say(evidence, "holds only if %s: ", condition);
	else if (evidence->kept[0] == 1)
		evidence_say(evidence, "not in %s/%s/%s: ", first->link, first->policy, first->scenario);
	else
		evidence_say(evidence, "not in %s/%s/%s and others: ", first->link, first->policy,
			first->scenario);
}

bool evidence_conclude(struct evidence *evidence, const char *scenarios, const char *condition)
{
	struct lab_claim *claim = evidence->claim;

	claim->judged = evidence->runs[0] + evidence->runs[1] > 0;
	if (!claim->judged)
		return false;
	name_cells(evidence);
	claim->verdict = evidence->runs[0] == 0 ? LAB_HOLDS : evidence->runs[1] == 0 ? LAB_FAILS : LAB_PARTLY;
	if (claim->verdict == LAB_PARTLY)
		say_condition(evidence, scenarios, condition);
	return true;
}

void evidence_say(struct evidence *evidence, const char *format, ...)
{
	char *because = evidence->claim->because;
	size_t len = strlen(because);
	va_list args;

	va_start(args, format);
	vsnprintf(because + len, sizeof evidence->claim->because - len, format, args);
	va_end(args);
}

void evidence_say_runs(struct evidence *evidence)
{
	for (int i = 0; i < EVIDENCE_LINKS && evidence->links[i].name != NULL; i++) {
		const unsigned *runs = evidence->links[i].runs;

		evidence_say(evidence, "%s%u of %u on %s", i > 0 ? ", " : "", runs[1], runs[0] + runs[1],
			evidence->links[i].name);
	}
}

void span_add(struct span *span, lb_time time)
{
	span->least = span->count == 0 || time < span->least ? time : span->least;
	span->most = span->count == 0 || time > span->most ? time : span->most;
	span->count++;
}

/* Returns buf. */
static const char *write_time(lb_time time, char buf[32])
{
	double ms = (double)time / 1e6;

	snprintf(buf, 32, "%.*f", time == 0 || ms >= 10 ? 0 : ms < 1 ? 3 : 2, ms);
	return buf;
}

void evidence_say_span(struct evidence *evidence, const struct span *span)
{
	char least[32], most[32];

	if (strcmp(write_time(span->least, least), write_time(span->most, most)) != 0)
		evidence_say(evidence, "%s to ", least);
	evidence_say(evidence, "%s ms", most);
}
