/* SPDX-License-Identifier: MIT */
/* A shadow for each handle of a machine: it knows what may be said and seen about it. */
#ifndef FUZZ_SHADOW_H
#define FUZZ_SHADOW_H

#include "proto/frame.h"
#include <stdio.h>
#include <stdlib.h>

#define HANDLES 64 /* those from here on have no shadow */

#define MUST(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* AHEAD: BEGIN has no answer yet, and COMMIT was said. */
enum shadow { UNUSED, BEGUN, AHEAD, OPEN, COMMITTING, ROLLING, WITHDRAWN, ASKED, ANSWERED };

struct shadows {
	enum lb_role role;
	enum shadow  of[HANDLES];
	uint64_t     bytes[HANDLES]; /* before the resume offset and in DATA */
};

#define ONE(shadow) (1u << (shadow))
#define LIVE                                                                                                 \
	(ONE(BEGUN) | ONE(AHEAD) | ONE(OPEN) | ONE(COMMITTING) | ONE(ROLLING) | ONE(WITHDRAWN) | ONE(ASKED))

/* It must be one of these, and is then the other. */
void shadow_is(struct shadows *shadows, uint32_t which, unsigned allowed, enum shadow then);
void shadow_see(struct shadows *shadows, const struct lb_event *event);

#endif
