/* SPDX-License-Identifier: MIT */
/*
 * Both sides of a farewell as steps that never block. Until `step` is done, wait as the talk says; then the connection
 * is ended by whoever drives this, and `judge` says what the whole of it proves.
 */
#ifndef SOCK_FAREWELL_H
#define SOCK_FAREWELL_H

#include "sock/talk.h"

struct lb_farewell_run {
	struct lb_talk            talk;
	const struct lb_farewell *farewell;
	lb_time                   deadline;
	struct lb_ending          ending;
};

void lb_farewell_start(
	struct lb_farewell_run *run, int fd, const struct lb_farewell *farewell, lb_time deadline);

/* True: the connection is to be ended now. */
bool lb_farewell_step(struct lb_farewell_run *run, lb_time now);

/* Ends it, done or not: consumes the fd and fills the outcome, as lb_farewell does. */
int lb_farewell_end(struct lb_farewell_run *run, lb_time deadline, struct lb_outcome *outcomep);

/* Makes of the ending's outcome that of the farewell. `result` is what lb_close returned. */
void lb_farewell_judge(const struct lb_farewell_run *run, int result, struct lb_outcome *outcomep);

struct lb_farewell_answer_run {
	struct lb_talk                      talk;
	const struct lb_farewell_answering *answering;
	lb_time                             deadline;
	struct lb_ending                    ending; /* how to end it, once done ... */
	bool                                abort;  /* ... or by RST */
	enum lb_verdict                     verdict;
	int                                 refused; /* what `commit` returned */
	lb_time                             idle;    /* so long is the peer given to end first ... */
	lb_time                             parting; /* ... until then; 0: nothing is answered yet */
	bool                                parted;  /* it did */
};

void lb_farewell_answer_start(struct lb_farewell_answer_run *run, int fd,
	const struct lb_farewell_answering *answering, lb_time deadline);

/* As above. Calls `commit` or `rollback` once, before it is done. */
bool lb_farewell_answer_step(struct lb_farewell_answer_run *run, lb_time now);
void lb_farewell_answer_judge(
	const struct lb_farewell_answer_run *run, int result, struct lb_outcome *outcomep);

#endif
