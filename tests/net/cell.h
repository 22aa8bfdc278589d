/* SPDX-License-Identifier: MIT */
/*
 * One cell of the matrix: a connection, how our end of it is ended, a scenario that the peer plays, and what
 * came of it. A cell is played by one thread, many beside each other, and judged afterwards.
 */
#ifndef NET_CELL_H
#define NET_CELL_H

#include "lab/link.h"
#include "lib/tcp.h"
#include <semaphore.h>

#define CELL_BYTES 1000000 /* that we write; fewer where a scenario wants it or nobody reads */

struct manner {
	const char    *name;
	enum lb_policy policy;
	bool           sure;     /* a peer that reads gets everything */
	bool           waits;    /* for the peer's end: it is reported where it comes */
	bool           leaves;   /* the kernel goes on after close(2), and nobody knows how that ends */
	bool           detaches; /* at the deadline, instead of aborting */
	bool           exits;    /* no policy: a process that does not close, but exits */
};

struct scenario {
	const char *name;
	void (*play)(struct tcp_peer *peer);
	bool at_once; /* the peer reads while we still write; else only when all is written, or never */
	bool sends;  /* what costs those who leave the rest to the kernel the rest, unless the link is fast */
	bool unread; /* 1 KB of the peer's lies unread at our end */
	bool nonblock, forked;
	bool ends_first; /* the peer's end is no answer to what we send */
	bool gives_up;   /* resets: what it got is no measure of what its kernel had */
	bool never_reads, never_closes, floods;
};

enum cell_scenario {
	CELL_READS_ALL,
	CELL_UNREAD,
	CELL_UNREAD_SLOW,
	CELL_LATE,
	CELL_LATE_SLOW,
	CELL_SLOW,
	CELL_NEVER_READS,
	CELL_NEVER_CLOSES,
	CELL_FLOODS,
	CELL_UPLOADS,
	CELL_NONBLOCK,
	CELL_FORKED,
	CELL_ENDS_FIRST,
	CELL_GIVES_UP,
	CELL_SCENARIOS,
};

extern const struct scenario cell_scenarios[CELL_SCENARIOS];

struct cell {
	const struct manner   *manner;
	const struct scenario *scenario;
	const struct tcp_side *side;
	struct link           *link;
	bool                   far;   /* the link has a delay */
	bool                   lossy; /* uploads are of 1 MB instead of 8 */
	/* once it was played */
	const char       *failed; /* why it could not be, or NULL */
	int               result; /* what lb_close returned */
	struct lb_outcome end;
	struct tcp        tcp;
	sem_t             read;        /* posted when the peer has read everything */
	bool              send_failed; /* the peer learned from that that it was reset */
};

/* Plays it, to its end. May block for seconds. Asserts nothing. */
void cell_play(struct cell *cell);

/* What of the outcome is not true, or should not have happened; NULL: all is well. */
const char *cell_judge(const struct cell *cell);

#endif
