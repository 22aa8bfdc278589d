/* SPDX-License-Identifier: MIT */
/*
 * The tables of what is legal when, and nothing else: no handle is looked up here and no frame is read.
 * A row holds one letter for each of the role's stages, in the order of `columns`.
 */
#include "proto/rules.h"
#include <string.h>

static const struct {
	enum lb_stage stage;
	const char *name;
} columns[2][9] = {
	[LB_ROLE_CLIENT] =
		{
			{LB_STAGE_HELLO, "HELLO"},
			{LB_STAGE_READY, "READY"},
			{LB_STAGE_CLOSING, "CLOSING"},
			{LB_STAGE_BEGUN, "BEGUN"},
			{LB_STAGE_WITHDRAWN, "WITHDRAWN"},
			{LB_STAGE_OPEN, "OPEN"},
			{LB_STAGE_COMMITTING, "COMMITTING"},
			{LB_STAGE_ROLLING, "ROLLING"},
			{LB_STAGE_ASKED, "ASKED"},
		},
	[LB_ROLE_SERVER] =
		{
			{LB_STAGE_HELLO, "HELLO"},
			{LB_STAGE_IDLE, "IDLE"},
			{LB_STAGE_BEGUN, "BEGUN"},
			{LB_STAGE_OPEN, "OPEN"},
			{LB_STAGE_DOOMED, "DOOMED"},
			{LB_STAGE_DECIDED, "DECIDED"},
			{LB_STAGE_CLOSING, "CLOSING"},
		},
};

/*
 * t taken, h held until BEGIN has its answer, i ignored, - illegal; without RESUME n is h and R, I are -;
 * with RESUME n is -, R is t, I is i. Blank: a frame without a handle is not judged by a delivery's stage.
 */
static const char *const rows[2][LB_FRAME_TYPES] = {
	[LB_ROLE_CLIENT] =
		{
			[LB_FRAME_HELLO_OK] = "t--      ",
			[LB_FRAME_BEGIN_OK] = "---tt----",
			[LB_FRAME_SYNCED] = "-----RRI-",
			[LB_FRAME_COMMITTED] = "---tt-t--",
			[LB_FRAME_REFUSED] = "---tttttt",
			[LB_FRAME_ROLLED_BACK] = "-------t-",
			[LB_FRAME_RESOLVED] = "--------t",
			[LB_FRAME_PING] = "-ti      ",
			[LB_FRAME_PONG] = "-tt      ",
			[LB_FRAME_GOING_AWAY] = "-tt      ",
			[LB_FRAME_CLOSE_OK] = "--t      ",
			[LB_FRAME_ERROR] = "ttt      ",
		},
	[LB_ROLE_SERVER] =
		{
			[LB_FRAME_HELLO] = "t------",
			[LB_FRAME_BEGIN] = "-t---t-",
			[LB_FRAME_DATA] = "--ntii-",
			[LB_FRAME_SYNC] = "---RII-",
			[LB_FRAME_COMMIT] = "--ntii-",
			[LB_FRAME_ROLLBACK] = "--htii-",
			[LB_FRAME_RESOLVE] = "-ttttt-",
			[LB_FRAME_SETTLED] = "-ttttt-",
			[LB_FRAME_PING] = "-ttttt-",
			[LB_FRAME_PONG] = "-ttttt-",
			[LB_FRAME_CLOSE] = "-thttt-",
			[LB_FRAME_ERROR] = "ttttttt",
		},
};

static int column_of(enum lb_role receiver, enum lb_stage stage)
{
	for (int i = 0; i < 9; i++)
		if (columns[receiver][i].name != NULL && columns[receiver][i].stage == stage)
			return i;
	return -1;
}

const char *lb_stage_name(enum lb_role receiver, enum lb_stage stage)
{
	int column = column_of(receiver, stage);

	return column < 0 ? NULL : columns[receiver][column].name;
}

char lb_rule_letter(enum lb_role receiver, unsigned type, enum lb_stage stage)
{
	const char *row = lb_frame_is_type(type) ? rows[receiver][type] : NULL;
	int column = column_of(receiver, stage);

	return row == NULL || column < 0 ? '-' : row[column];
}

enum lb_rule lb_rule_of(enum lb_role receiver, unsigned type, enum lb_stage stage, uint32_t features)
{
	bool resume = (features & LB_FEATURE_RESUME) != 0;

	switch (lb_rule_letter(receiver, type, stage)) {
	case 't':
		return LB_RULE_TAKE;
	case 'h':
		return LB_RULE_HOLD;
	case 'i':
		return LB_RULE_IGNORE;
	case 'n':
		return resume ? LB_RULE_ILLEGAL : LB_RULE_HOLD;
	case 'R':
		return resume ? LB_RULE_TAKE : LB_RULE_ILLEGAL;
	case 'I':
		return resume ? LB_RULE_IGNORE : LB_RULE_ILLEGAL;
	default:
		return LB_RULE_ILLEGAL;
	}
}
