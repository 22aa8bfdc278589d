/* SPDX-License-Identifier: MIT */
/* One attempt of test_failing_calls.c, and what there is to attempt: each public function of the sock layer, in use. */
#ifndef NET_ATTEMPT_H
#define NET_ATTEMPT_H

#include "lib/failing.h"
#include "lib/tcp.h"

#define ATTEMPT_OURS   30000 /* bytes that our end sends */
#define ATTEMPT_THEIRS 5000  /* bytes that the peer sends, for us to read */

struct attempt {
	struct tcp          tcp;
	struct failing_plan plan;
	struct failing_seen seen;
	lb_time             deadline;
	/* what became of it */
	int               result;
	bool              consumed;                 /* tcp.ours */
	bool              has_outcome;              /* `end` is filled */
	int               called_back, rolled_back; /* times */
	bool              lies;                     /* it said that all was read, or sent, and it was not */
	bool              idled; /* it came to the deadline, though only one call had failed */
	uint64_t          total; /* all that our end sends: a stream that ends for the peer has it */
	struct lb_outcome end;
	char              theirs[ATTEMPT_THEIRS + 1];
	size_t            len;
};

struct scenario {
	const char *name;
	void (*play)(struct tcp_peer *peer);
	void (*run)(struct attempt *attempt, int variant);
	int          variant;
	enum lb_rung rung; /* that it reaches when nothing fails */
};

#define ATTEMPT_SCENARIOS 19

extern const struct scenario attempt_scenarios[ATTEMPT_SCENARIOS];

/* lb_read_all, which alone leaves the descriptor to its caller in whatever case. */
void attempt_reads_all(struct attempt *attempt, int variant);

extern char attempt_ours[ATTEMPT_OURS]; /* what our end sends; filled by whoever runs the scenarios */

#endif
