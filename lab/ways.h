/* SPDX-License-Identifier: MIT */
/*
 * A request of 120 + 3000 bytes in 7 parts, sent in one way or another: how, what the other end does, and how many
 * segments and how much time that takes.
 */
#ifndef LAB_WAYS_H
#define LAB_WAYS_H

#include "lab/cell.h"
#include <pthread.h>

#define WAYS_PARTS 7
#define WAYS_BYTES 3120

enum way {
	WAY_NAGLE,                   /* two writes, 120 and 3000 bytes */
	WAY_NODELAY,                 /* TCP_NODELAY, a write for each part */
	WAY_TCP_CORK,                /* TCP_CORK, a write for each part, and off */
	WAY_MSG_MORE,                /* a send for each part, MSG_MORE on all but the last */
	WAY_WRITEV,                  /* one writev */
	WAY_CORK,                    /* a scope of LB_CORKED, lb_cork_send for each part */
	WAY_MESSAGE,                 /* lb_send_message */
	WAYS_PROMPT,                 /* those above send as soon as they can; these do not: */
	WAY_CORK_HELD = WAYS_PROMPT, /* as WAY_TCP_CORK, but off only 100 ms after the last part */
	WAY_CORK_KEPT,               /* and never off */
	WAYS,
};

extern const char *const ways_names[WAYS];

/* Sends one request. Its calls are recorded in the play, unless that is NULL. 0 or a negative errno. */
LB_CHECKED int ways_send(int fd, enum way way, struct lab_play *play);

/* The other end, a thread: it sends one byte for each request, once all of that is there, until the stream ends. */
struct ways_peer {
	int              fd;     /* the caller's */
	struct lab_play *play;   /* where its calls are recorded, and what it got; or NULL */
	pthread_t        thread; /* to be joined */
};

LB_CHECKED int ways_peer_start(struct ways_peer *peer);

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
