/* SPDX-License-Identifier: MIT */
/* The ending of one TCP socket as steps that never block: lb_close waits between them, a loop polls. */
#ifndef SOCK_ENDING_H
#define SOCK_ENDING_H

#include <lastbyte/sock.h>
#include <stdbool.h>

struct lb_ending_run {
	/* for whoever waits: poll(2) or epoll(7) events of fd, and when to step at the latest */
	int      fd; /* -1: done, closed */
	uint32_t events;
	lb_time  next;
	/* filled as it goes, final once done */
	struct lb_outcome outcome;
	int               result; /* what lb_close returns */
	/* its own */
	struct lb_ending ending;
	lb_time          started, deadline, progress_at, acked_at;
	size_t           last_sent;
	uint64_t         queued; /* bytes in the send queue when it last shrank */
	bool             finished, peer_ended, blocked;
};

/* Takes fd over. `ending` may be NULL; what `ending->last` points to must live until the run is done. */
void lb_ending_start(struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline);

/* Goes on as far as it can without blocking. True: done, fd is closed, the outcome is final. */
bool lb_ending_step(struct lb_ending_run *run, lb_time now);

/* Resets the connection and closes fd, now. */
void lb_ending_abort(int fd, struct lb_outcome *outcomep);

#endif
