/* SPDX-License-Identifier: MIT */
/* A line on a terminal's standard error that shows how far one delivery is, or how many of other things are done. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <lastbyte/base.h>
#include <stdbool.h>

struct lb_progress {
	bool        on;           /* there is a terminal, and the user wants it */
	bool        shown;        /* the line is there */
	bool        quiet;        /* the user wants to hear of no wait either */
	lb_time     told_at;      /* the last line about a wait that was not drawn; 0: none was */
	unsigned    index, count; /* which delivery of how many */
	const char *unit;         /* what total counts and is known; NULL: bytes */
	uint64_t    total;        /* or LB_UNKNOWN */
	uint64_t    drawn_bytes;
	lb_time     drawn_at;
	double      rate; /* bytes a second, smoothed; below 0: not known yet */
};

/* Whether standard error is a terminal that can redraw a line. */
bool lb_progress_possible(void);

/* A delivery of `total` bytes, or LB_UNKNOWN, begins. `on`, `index` and `count` are the caller's. */
void lb_progress_start(struct lb_progress *progress, uint64_t total);
void lb_progress_update(struct lb_progress *progress, uint64_t bytes); /* cheap; draws a few times a second */

/* There is no connection, and none is tried for for so long, because of `why`. NULL: it goes on. */
void lb_progress_wait(struct lb_progress *progress, lb_time wait, const char *why);
void lb_progress_clear(struct lb_progress *progress); /* before any other line */

#endif
