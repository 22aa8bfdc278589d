/* SPDX-License-Identifier: MIT */
/*
 * One cell of the matrix: a connection, a policy that ends our end of it, a scenario that the peer plays, and what
 * came of it. A cell is played by one thread, many beside each other, and judged afterwards.
 */
#ifndef NET_CELL_H
#define NET_CELL_H

#include "lib/link.h"
#include "lib/tcp.h"

#define CELL_BYTES 1000000 /* that we write; fewer where nobody reads and the kernel does not take them all */

struct policy {
	const char *name;
	bool        leaves; /* the kernel goes on after close(2), and nobody knows how that ends */
	bool        sure;   /* a peer that reads gets everything */
	bool        aborts;
	bool        waits; /* for the peer's end: it is reported where it comes */
	bool        exits; /* none: a process that does not close, but exits */
};

struct scenario {
	const char *name;
	void (*play)(struct tcp_peer *peer);
	bool at_once; /* the peer reads, or ends, while we still write; else only when all is written */
	bool unread;  /* 1 KB of the peer's lies unread at our end */
	bool nonblock, forked;
	bool never_reads, never_closes, floods;
};

extern const struct scenario cell_scenarios[];
extern const size_t          cell_scenario_count;

struct cell {
	const struct policy   *policy;
	const struct scenario *scenario;
	const struct tcp_side *side;
	struct link           *link;
	bool                   slow_link; /* uploads are of 1 MB instead of 8 */
	/* once it was played */
	const char       *failed; /* why it could not be, or NULL */
	int               result; /* what lb_close returned */
	struct lb_outcome end;
	struct tcp        tcp;
	bool              send_failed; /* the peer learned from that that it was reset */
};

/* Plays it, to its end. May block for seconds. Asserts nothing. */
void cell_play(struct cell *cell);

/* What of the outcome is not true, or should not have happened; NULL: all is well. */
const char *cell_judge(const struct cell *cell);

#endif
