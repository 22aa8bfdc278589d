/* SPDX-License-Identifier: MIT */
/*
 * The tables of what is legal when, and nothing else: no handle is looked up here and no frame is read.
 * A row holds one letter for each of the role's stages, in the order that `columns` gives them.
 */
#include "proto/rules.h"

static const struct column {
	uint8_t number; /* from 1 */
	const char *name;
} columns[2][LB_STAGES] = {
	[LB_ROLE_CLIENT] =
		{
			[LB_STAGE_HELLO] = {1, "HELLO"},
			[LB_STAGE_READY] = {2, "READY"},
			[LB_STAGE_CLOSING] = {3, "CLOSING"},
			[LB_STAGE_BEGUN] = {4, "BEGUN"},
			[LB_STAGE_WITHDRAWN] = {5, "WITHDRAWN"},
			[LB_STAGE_OPEN] = {6, "OPEN"},
			[LB_STAGE_COMMITTING] = {7, "COMMITTING"},
			[LB_STAGE_ROLLING] = {8, "ROLLING"},
			[LB_STAGE_ASKED] = {9, "ASKED"},
		},
	[LB_ROLE_SERVER] =
		{
			[LB_STAGE_HELLO] = {1, "HELLO"},
			[LB_STAGE_IDLE] = {2, "IDLE"},
			[LB_STAGE_BEGUN] = {3, "BEGUN"},
			[LB_STAGE_OPEN] = {4, "OPEN"},
			[LB_STAGE_DOOMED] = {5, "DOOMED"},
			[LB_STAGE_DECIDED] = {6, "DECIDED"},
			[LB_STAGE_CLOSING] = {7, "CLOSING"},
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

const char *lb_stage_name(enum lb_role receiver, enum lb_stage stage)
{
	return columns[receiver][stage].name;
}

char lb_rule_letter(enum lb_role receiver, unsigned type, enum lb_stage stage)
{
	const char *row = lb_frame_is_type(type) ? rows[receiver][type] : NULL;
	unsigned number = columns[receiver][stage].number;

	return row == NULL || number == 0 ? '-' : row[number - 1];
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
