/* SPDX-License-Identifier: MIT */
/*
 * scenarios.h - what the peer does, and what happens to our process, while a connection is ended. Where nothing else is
 * said, our end writes all bytes, then ends the connection by the policy, and the peer reads until the stream ends.
 */
#ifndef LAB_SCENARIOS_H
#define LAB_SCENARIOS_H

#include "lab/policies.h"

struct lab_scenario {
	const char *name, *text;
	/* the peer */
	bool unread;       /* sends 1 KB, which lies unread at our end when that begins to write */
	bool late;         /* sends 1 KB when it has read 100,000 bytes, after our end began to end */
	bool slow;         /* reads 2 MB/s */
	bool never_reads;  /* until our end is over: then what its kernel had */
	bool never_closes; /* until our end is over */
	bool floods;       /* sends for ever, 16 MB/s */
	bool uploads;      /* sends 8 MB before it reads; 1 MB over a link with losses */
	bool ends_first;   /* sends FIN before it reads */
	bool asks_error;   /* SO_ERROR before every read, and reads on whatever it says */
	bool answers;      /* sends 100,000 bytes when the stream has ended */
	/* our end */
	bool nonblock; /* its socket is O_NONBLOCK */
	bool exits; /* it does all of the policy but close(2), and exits; of lb_close, where that has no steps, all */
	bool forks;   /* another process has a copy of its socket, for longer than our end takes */
	bool killed;  /* it is killed when half of the bytes are written, SO_LINGER being set already */
	bool struck;  /* a signal strikes while it ends the connection; the peer reads only then */
	bool listens; /* it closes a listening socket, with a connection that nobody has accepted */
	/* both */
	bool agrees;     /* they exchange CLOSE and CLOSE_OK when all bytes are there; then both end ... */
	bool peer_first; /* ... the peer before us, and then it reads nothing after CLOSE; else after us */
	bool request;    /* they exchange a request and its answer: ways.h */
	/* the whole machine, which has to be the lab's own (kernel.h), and plays nothing else meanwhile */
	bool orphans_full; /* it has no room for connections that no process has any more */
};

/* In the order in which they are shown; name NULL ends them. */
extern const struct lab_scenario lab_scenarios[];

/* Whether the two make a cell. */
bool lab_scenario_applies(const struct lab_scenario *scenario, const struct lab_policy *policy);

#endif
