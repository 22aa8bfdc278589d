/* SPDX-License-Identifier: MIT */
/*
 * A hierarchical timer wheel: set and cancel in constant time, however many timers there are. Reads no clock.
 * A timer never fires early; it fires late by less than its tick of one millisecond.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <lastbyte/base.h>
#include <stdbool.h>

struct lb_timer {
	struct lb_timer *next, **prevp; /* prevp NULL: not set */
	lb_time          at;
	void (*expired)(struct lb_timer *timer);
};

#define LB_WHEEL_LEVELS 6
#define LB_WHEEL_SLOTS  64

struct lb_wheel {
	struct lb_timer *slots[LB_WHEEL_LEVELS][LB_WHEEL_SLOTS];
	uint64_t         used[LB_WHEEL_LEVELS]; /* a bit for each slot that holds a timer */
	uint64_t         tick;
	struct lb_timer *due; /* expired, not handed out yet */
};

void lb_wheel_init(struct lb_wheel *wheel, lb_time now);
void lb_timer_set(struct lb_wheel *wheel, struct lb_timer *timer, lb_time at); /* LB_NEVER: cancels */
void lb_timer_cancel(struct lb_wheel *wheel, struct lb_timer *timer);
/* When to expire next; LB_NEVER if empty. */
lb_time lb_wheel_next(const struct lb_wheel *wheel);
/* Takes one expired timer out, or NULL. */
struct lb_timer *lb_wheel_expire(struct lb_wheel *wheel, lb_time now);

#endif
