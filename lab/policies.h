/* SPDX-License-Identifier: MIT */
/*
 * policies.h - how our end ends a connection: by lb_close, or by system calls of its own; or, where nothing but a request
 * is looked at, in which way that is sent.
 */
#ifndef LAB_POLICIES_H
#define LAB_POLICIES_H

#include <lastbyte/base.h>
#include <stdbool.h>

#define LAB_STEPS 5 /* of one policy, at most, and one that ends them */

/* System calls of our end. Each waits for as long as the play's patience, at most. */
enum lab_step {
	LAB_STEP_NONE,
	LAB_STEP_LINGER,    /* setsockopt(SO_LINGER) */
	LAB_STEP_SHUTDOWN,  /* shutdown(SHUT_WR) */
	LAB_STEP_SHUT_RDWR, /* shutdown(SHUT_RDWR) */
	LAB_STEP_READ_ONCE, /* reads once what is there */
	LAB_STEP_OUTQ,      /* waits until SIOCOUTQ is 0 */
	LAB_STEP_ACKED,     /* reads and discards until SIOCOUTQ is 0: our FIN is acked */
	LAB_STEP_DRAIN,     /* reads and discards until the stream ends */
	LAB_STEP_CLOSE,     /* close(2) */
};

enum lab_kind { LAB_RAW, LAB_CLOSE, LAB_WAY };

struct lab_policy {
	const char    *name, *text;
	enum lab_kind  kind;
	enum lb_policy policy; /* of a LAB_CLOSE */
	/* of a LAB_RAW, all it does; of a LAB_CLOSE, what a process does that exits instead: "" lets lb_close do it */
	enum lab_step steps[LAB_STEPS];
};

/* In the order in which they are shown; name NULL ends them. */
extern const struct lab_policy lab_policies[];

/* Whether one of its steps is that. */
bool lab_policy_has(const struct lab_policy *policy, enum lab_step step);

#endif
