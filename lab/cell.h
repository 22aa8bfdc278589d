/* SPDX-License-Identifier: MIT */
/*
 * cell.h - what the lab sees. A cell is a link, a policy (how our end ends the connection) and a scenario (what the
 * peer and the world do meanwhile). It is played one or more times, each time in namespaces and processes of its own;
 * one play is a struct lab_play. Times are in ns since the connection was there, as our end saw it.
 */
#ifndef LAB_CELL_H
#define LAB_CELL_H

#include "lab/link.h"
#include <stdatomic.h>

#define LAB_RUNS     20 /* of a cell, at most */
#define LAB_CALLS    48
#define LAB_ARROWS   64
#define LAB_COUNTERS 48

/* How the peer's last read ended. */
enum lab_end { LAB_WAITING /* or it did not read on */, LAB_EOF, LAB_RESET };

/* A system call, or a call of the library, as whoever made it saw it. */
struct lab_call {
	lb_time at, took; /* took LB_NEVER: it never returned */
	bool    peer;     /* who made it */
	char    text[80]; /* "close(fd) = 0" */
};

/* A segment; or several alike, one after another, that are drawn as one. */
struct lab_arrow {
	lb_time  sent, arrived; /* arrived LB_NEVER: the link lost it */
	bool     peer;          /* who sent it */
	uint8_t  flags;         /* of TCP: RFC 9293, section 3.1 */
	uint32_t seq, ack;      /* relative to the first of either end */
	uint32_t bytes;         /* of payload; of all of them */
	uint32_t window;        /* bytes, scaled */
	uint32_t count;         /* how many segments this is */
	lb_time  until;         /* when the last of them arrived */
};

/* A counter of the kernel (nstat(8)) at our end's namespace, which over a loopback is the peer's, too, that moved. */
struct lab_counter {
	char    name[40]; /* "TcpExtTCPAbortOnData" */
	int64_t by;
};

struct lab_play {
	lb_time      zero;             /* lb_now() when the connection was there */
	char         failed[LINK_WHY]; /* why it could not be played; "": it was */
	uint64_t     meant_bytes;      /* that our application wanted to send */
	uint64_t     sent_bytes;       /* of these, that our kernel took */
	uint64_t     peer_bytes;       /* that the peer's application got */
	uint64_t     back_bytes;       /* that our application got from the peer */
	enum lab_end peer_end;
	lb_time blocked; /* how long the ending kept our process; of a request: until the answer was there */
	bool    has_outcome; /* the policy is one of lb_close: */
	struct lb_outcome  outcome;
	bool               captured;    /* there are segments, arrows and (but on shared loopback) counters */
	struct segments    segments[2]; /* ours, the peer's */
	uint32_t           missed;      /* segments that the capture did not get */
	_Atomic unsigned   calls;       /* may be more than there is room for */
	unsigned           arrows, counters;
	struct lab_call    call[LAB_CALLS];       /* in the order of `at` */
	struct lab_arrow   arrow[LAB_ARROWS];     /* in the order of `sent` */
	struct lab_counter counter[LAB_COUNTERS]; /* in the order of names */
};

/* What counts of one play when claims are judged. */
struct lab_seen {
	enum lab_end end;
	bool         whole;   /* the peer's application got all that was meant */
	bool         packets; /* every segment was seen */
	bool         rst[2];  /* one was seen: ours, the peer's */
	bool         late;    /* data of the peer's came when our close(2) had returned */
	bool         gave_up; /* our last call that read: it took too long */
	bool         read_0;  /* our last call that read returned 0, ... */
	lb_time      read_on; /* ... and the peer's last one came so long after it, or came before */
	uint64_t     back_bytes;
};

/* All plays of one cell. */
struct lab_cell {
	const char *link, *policy, *scenario; /* names; together, with slashes between them, the cell's id */
	unsigned    runs;
	unsigned    whole;               /* of these, the peer's application got all that was meant */
	unsigned    eofs, resets, waits; /* of these, so its last read ended */
	struct lab_seen seen[LAB_RUNS];  /* all of them, in the order in which they began */
	struct lab_play shown;           /* the first one of the kind that came most often */
};

/*
 * Records a call: begin before, end after, with what it returned; below 0, that is a negative errno. Both processes of a
 * play may do so at once, and the struct is memory that they share. Without room, begin returns NULL, and end takes it.
 *
 *	struct lab_call *call = lab_call_begin(play, false, "shutdown(fd, SHUT_WR)");
 *	result = shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
 *	lab_call_end(play, call, result);
 */
struct lab_call *lab_call_begin(struct lab_play *play, bool peer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void lab_call_end(const struct lab_play *play, struct lab_call *call, int64_t result);

#endif
