/* SPDX-License-Identifier: MIT */
/* The ending of one TCP socket as steps that never block: lb_close waits between them, a loop polls. */
#ifndef SOCK_ENDING_H
#define SOCK_ENDING_H

#include <lastbyte/sock.h>
#include <stdbool.h>

struct lb_ending_run {
	/* for whoever waits: poll(2) or epoll(7) events of fd, level-triggered, and when to step at the latest.
	 * Events 0: leave fd out of the poll set. A hang-up that cannot be masked would hold all the while. */
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
	uint64_t         queued;   /* what was to be sent or acked when it last became less */
	int              syn;      /* SYNs that the kernel counts among what is acked; -1: not known */
	bool             finished; /* our FIN is written */
	bool             unsure;   /* the socket was dead already, and our FIN may have been written before */
	bool             cut;      /* `last` cannot be written, or only in part */
	bool             read_ended; /* there is nothing more to read */
	bool             early;      /* the peer's FIN came while bytes of ours were unacked */
	bool             blocked;    /* nothing more is to be read: drain_bytes */
};

/* Takes fd over. `ending` may be NULL; what `ending->last` points to must live until the run is done. */
void lb_ending_start(
	struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline);

/* Goes on as far as it can without blocking. True: done, fd is closed, the outcome is final. */
bool lb_ending_step(struct lb_ending_run *run, lb_time now);

/* Resets the connection and closes fd, now. */
void lb_ending_abort(int fd, struct lb_outcome *outcomep);

#endif
