/* SPDX-License-Identifier: MIT */
/*
 * For and against one claim: which runs of which cells agree with it, and which contradict it.
 *
 *	for (cell = NULL; (cell = evidence_next(evidence, cell, "raw_close plain", "unread")) != NULL;)
 *		evidence_add(evidence, cell, cell->resets, cell->runs - cell->resets);
 *	if (evidence_conclude(evidence, NULL, NULL))
 *		evidence_say_runs(evidence);
 */
#ifndef LAB_EVIDENCE_H
#define LAB_EVIDENCE_H

#include "lab/claims.h"

#define EVIDENCE_LINKS 4
#define EVIDENCE_CELLS 64 /* more than bear on any claim */

struct evidence {
	const struct lab_cell *cells;
	size_t                 count;
	struct lab_claim      *claim;
	/* All below by whether it agrees: 0, 1. */
	unsigned               runs[2];
	const struct lab_cell *cell[2][EVIDENCE_CELLS];
	unsigned               kept[2];
	struct {
		const char *name;
		unsigned    runs[2];
	} links[EVIDENCE_LINKS];
};

/* The next cell after `cell` (NULL: the first one) that was played with one of the policies in one of the scenarios:
 * names with spaces between them, NULL for any. NULL: there is none. */
const struct lab_cell *evidence_next(const struct evidence *evidence, const struct lab_cell *cell,
	const char *policies, const char *scenarios);

/* How many of the cell's runs are so. */
unsigned evidence_runs(const struct lab_cell *cell, bool (*is_so)(const struct lab_seen *seen));

/* So many of the cell's runs agree, so many contradict; the rest says nothing. */
void evidence_add(
	struct evidence *evidence, const struct lab_cell *cell, unsigned agree, unsigned contradict);

/*
 * Gives the verdict and the cells of the claim, and begins its `because`: where the claim holds partly, and all that
 * contradicts it is of these scenarios, and none of their cells agrees in all runs, with "holds only if" and the condition. False: nothing bears on the claim.
 */
bool evidence_conclude(struct evidence *evidence, const char *scenarios, const char *condition);

/* Adds to `because`; what there is no room for is cut off. */
void evidence_say(struct evidence *evidence, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "13 of 20 on lo, 0 of 3 on delay": so many of those that bear on it agree. */
void evidence_say_runs(struct evidence *evidence);

/* Several times: "0.12 to 41 ms". */
struct span {
	unsigned count;
	lb_time  least, most;
};

void span_add(struct span *span, lb_time time);
void evidence_say_span(struct evidence *evidence, const struct span *span);

#endif
