/* SPDX-License-Identifier: MIT */
/* Which frame is legal when: the constant tables of docs/protocol.md, "Which frame is legal when". */
#ifndef PROTO_RULES_H
#define PROTO_RULES_H

#include "proto/frame.h"

/*
 * What the receiver of a frame stands at. A server: the connection's stage, and while it is ready that of
 * the delivery that was begun last. A client: for a frame with a handle the stage of what the handle names,
 * for others that of the connection.
 */
enum lb_stage {
	LB_STAGE_HELLO,      /* both: greetings have not been exchanged */
	LB_STAGE_READY,      /* client */
	LB_STAGE_IDLE,       /* server: nothing was begun, or its client has said COMMIT or ROLLBACK */
	LB_STAGE_BEGUN,      /* both: BEGIN has no answer yet */
	LB_STAGE_WITHDRAWN,  /* client: ROLLBACK was said, BEGIN has no answer yet */
	LB_STAGE_OPEN,       /* both: BEGIN_OK was said */
	LB_STAGE_COMMITTING, /* both: COMMIT was said */
	LB_STAGE_ROLLING,    /* both: ROLLBACK was said */
	LB_STAGE_DOOMED,  /* server: the machine has found that it cannot commit, REFUSED was not said yet */
	LB_STAGE_DECIDED, /* server: answered for good before its client said COMMIT or ROLLBACK */
	LB_STAGE_ASKED,   /* both: RESOLVE was said */
	LB_STAGE_CLOSING, /* both: CLOSE has been said */
	LB_STAGES,
};

enum lb_rule {
	LB_RULE_ILLEGAL, /* ERROR(STATE) */
	LB_RULE_TAKE,
	LB_RULE_HOLD,   /* it waits for the answer to BEGIN */
	LB_RULE_IGNORE, /* it crossed an answer that settles it */
};

enum lb_rule lb_rule_of(enum lb_role receiver, unsigned type, enum lb_stage stage, uint32_t features);

/* The letter in the table, as the document explains them. */
char lb_rule_letter(enum lb_role receiver, unsigned type, enum lb_stage stage);

/* "OPEN"; NULL where the role has no such stage. */
const char *lb_stage_name(enum lb_role receiver, enum lb_stage stage);

#endif
