/* SPDX-License-Identifier: MIT */
/* The helpers of judging.h: owns the cells that a test makes up. */
#include "lab/judging.h"
#include "lab/seen.h"
#include "lib/cmocka.h"
#include <stdio.h>
#include <string.h>

struct lab_cell judging_cells[JUDGING_CELLS];
static size_t count;

int judging_begin(void **state)
{
	(void)state;
	memset(judging_cells, 0, sizeof judging_cells);
	count = 0;
	return 0;
}

struct lab_play *judging_add(const char *link, const char *policy, const char *scenario, unsigned runs,
	unsigned whole, unsigned eofs, unsigned resets)
{
	struct lab_cell *cell = &judging_cells[count++];

	assert_in_range(count, 1, JUDGING_CELLS);
	*cell = (struct lab_cell){.link = link,
		.policy = policy,
		.scenario = scenario,
		.runs = runs,
		.whole = whole,
		.eofs = eofs,
		.resets = resets,
		.waits = runs - eofs - resets};
	return &cell->shown;
}

void judging_add_call(struct lab_play *play, bool peer, const char *text, lb_time at, lb_time took)
{
	struct lab_call *call = &play->call[play->calls++];

	*call = (struct lab_call){.peer = peer, .at = at, .took = took};
	snprintf(call->text, sizeof call->text, "%s", text);
}

void judging_add_segment(
	struct lab_play *play, bool peer, uint32_t seq, uint32_t bytes, lb_time sent, lb_time way)
{
	play->captured = true;
	play->arrow[play->arrows++] = (struct lab_arrow){.peer = peer,
		.seq = seq,
		.bytes = bytes,
		.count = 1,
		.sent = sent,
		.arrived = sent + way,
		.until = sent + way};
}

/* Each run was as the play that is shown, but for how it ended: whole ones first, and then the end of the stream first. */
static void see(struct lab_cell *cell)
{
	for (unsigned i = 0; i < cell->runs; i++) {
		cell->seen[i] = seen_of(&cell->shown);
		cell->seen[i].whole = i < cell->whole;
		cell->seen[i].end = i < cell->eofs                  ? LAB_EOF
				    : i < cell->eofs + cell->resets ? LAB_RESET
								    : LAB_WAITING;
	}
}

const struct lab_claim *judging_claim(const char *id)
{
	static struct lab_claim claims[LAB_CLAIMS];

	for (size_t i = 0; i < count; i++)
		see(&judging_cells[i]);

	lab_claims_judge(judging_cells, count, claims);
	for (int i = 0; i < LAB_CLAIMS; i++)
		if (strcmp(claims[i].id, id) == 0)
			return &claims[i];
	fail_msg("there is no claim %s", id);
	return NULL;
}

void judging_check(const char *id, enum lab_verdict verdict, unsigned named, const char *because)
{
	const struct lab_claim *claim = judging_claim(id);

	if (!claim->judged || claim->verdict != verdict || strcmp(claim->because, because) != 0)
		print_message("# %s: judged %d, verdict %d, because %s\n", id, (int)claim->judged,
			(int)claim->verdict, claim->because);
	assert_true(claim->judged);
	assert_int_equal(claim->verdict, verdict);
	assert_string_equal(claim->because, because);
	assert_int_equal(claim->count, named);
}

void judging_check_none(const char *id)
{
	assert_false(judging_claim(id)->judged);
	assert_int_equal(judging_claim(id)->count, 0);
	assert_string_equal(judging_claim(id)->because, "");
}
