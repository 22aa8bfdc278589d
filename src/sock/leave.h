/* SPDX-License-Identifier: MIT */
/* The ways in which a run of ending.h is over. Each closes the fd, or gives it back, fills the outcome, and is true. */
#ifndef SOCK_LEAVE_H
#define SOCK_LEAVE_H

#include "sock/ending.h"
#include "sock/tcp.h"

/* It has ended by itself: tcp->state is CLOSED. So does each of those below that finds it so. */
bool lb_leave_closed(
	struct lb_ending_run *run, lb_time now, const struct lb_tcp *tcp, struct lb_outcome *outcome);

/* By close(2), which waits if run->lingers. */
bool lb_leave(struct lb_ending_run *run, lb_time now, struct lb_tcp *tcp, struct lb_outcome *outcome);

/* As the caller has chosen for when there has been patience enough: `how` is LB_END_TIMEOUT, or LB_END_EVICTED. */
bool lb_leave_expired(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcome);

/* By RST. */
bool lb_leave_by_reset(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcome);

/* Not over: what can be said now of a connection that goes on, or that cannot be read any more because of `broken` (as in
 * struct lb_told). How and by whom are filled if it is broken; the rung is that of our own bytes, ACKED at most. */
void lb_leave_look(struct lb_ending_run *run, int broken, struct lb_outcome *outcome);

/* There is nothing to end: closes what there is, and notes why. */
void lb_leave_refused(struct lb_ending_run *run, int error);

/* What of `last` is to be written yet. */
static inline size_t lb_ending_left(const struct lb_ending_run *run)
{
	return run->cut ? 0 : run->ending->last_len - run->last_sent;
}

/* The first errno is the one behind the end. */
static inline void lb_ending_note(struct lb_ending_run *run, int error)
{
	if (run->err == 0)
		run->err = (int16_t)error;
}

#endif
