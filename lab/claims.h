/* SPDX-License-Identifier: MIT */
/* What the cells of one kernel say about the claims of claims.def. */
#ifndef LAB_CLAIMS_H
#define LAB_CLAIMS_H

#include "lab/cell.h"

#define LAB_EVIDENCE 12

enum {
#define LAB_CLAIM(name, id, text) LAB_CLAIM_##name,
#include "lab/claims.def"
#undef LAB_CLAIM
	LAB_CLAIMS
};

/* Of all runs that bear on a claim, all agree; some do and some do not; none does. */
enum lab_verdict { LAB_HOLDS, LAB_PARTLY, LAB_FAILS };

struct lab_claim {
	const char      *id, *text;
	bool             judged; /* else no cell that bears on it was played, and what follows says nothing */
	enum lab_verdict verdict;
	char             because[400];              /* what was seen, in figures */
	const struct lab_cell *cells[LAB_EVIDENCE]; /* cells that show it, both ways if there are both */
	unsigned               count;
};

/*
 * Judges every claim, by the cells alone: what runs ended how, and of the play that is shown, when which call was made
 * and which segment left. In the order of claims.def. The claims point into cells.
 */
void lab_claims_judge(const struct lab_cell *cells, size_t count, struct lab_claim claims[LAB_CLAIMS]);

#endif
