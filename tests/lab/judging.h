/* SPDX-License-Identifier: MIT */
/* Cells that a test makes up, and what is judged of them. */
#ifndef LAB_JUDGING_H
#define LAB_JUDGING_H

#include "lab/claims.h"

#define MS            INT64_C(1000000)
#define OURS          false
#define PEER          true
#define JUDGING_CELLS 16

extern struct lab_cell judging_cells[JUDGING_CELLS];

/* From now on there are no cells. Is the set-up of a test. */
int judging_begin(void **state);

/* A cell; those runs that ended neither with an EOF nor a reset were still waiting. Returns the play that is shown. */
struct lab_play *judging_add(const char *link, const char *policy, const char *scenario, unsigned runs,
	unsigned whole, unsigned eofs, unsigned resets);

void judging_add_call(struct lab_play *play, bool peer, const char *text, lb_time at, lb_time took);
void judging_add_segment(
	struct lab_play *play, bool peer, uint32_t seq, uint32_t bytes, lb_time sent, lb_time way);

/* The claim, judged by the cells that there are. */
const struct lab_claim *judging_claim(const char *id);

/* That it is judged so, names so many cells, and says why in these words; and that it is not judged at all. */
void judging_check(const char *id, enum lab_verdict verdict, unsigned named, const char *because);
void judging_check_none(const char *id);

#endif
