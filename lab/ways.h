/* SPDX-License-Identifier: MIT */
/*
 * A request of 120 + 3000 bytes in 7 parts, sent in one way or another over a link: how many segments it takes, and
 * how long it is until the answer is there, one byte that the other end sends once it has all of it.
 */
#ifndef LAB_WAYS_H
#define LAB_WAYS_H

#include "lab/link.h"

#define WAYS_PARTS 7

enum way {
	WAY_NAGLE,    /* two writes, 120 and 3000 bytes */
	WAY_NODELAY,  /* TCP_NODELAY, a write for each part */
	WAY_TCP_CORK, /* TCP_CORK, a write for each part, and off */
	WAY_MSG_MORE, /* a send for each part, MSG_MORE on all but the last */
	WAY_WRITEV,   /* one writev */
	WAY_CORK,     /* a scope of LB_CORKED, lb_cork_send for each part */
	WAY_MESSAGE,  /* lb_send_message */
	WAYS,
};

extern const char *const ways_names[WAYS];

struct ways_result {
	uint64_t
		least; /* segments of one request, in the run with the fewest, where nothing was sent twice ... */
	uint64_t most; /* ... and in the one with the most */
	lb_time  best; /* from the first write until the answer is there */
	lb_time  median;
};

/* Does so `runs` (at most 100) times over one connection, from LINK_LEFT. 0 or a negative errno. */
LB_CHECKED int ways_measure(
	struct link *link, int family, enum way way, int runs, struct ways_result *resultp);

#endif
