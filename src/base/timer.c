/* SPDX-License-Identifier: MIT */
/*
 * The timer wheel of timer.h. Owns no timer: it links those that their owners hold. Level n has slots of
 * 64^n ticks; a timer sits at the lowest level whose turn covers its distance, and moves down when its slot
 * comes up. What lies farther than the top level's turn waits in its last slot and is placed again there.
 */
#include "base/timer.h"
#include <string.h>

#define TICK_NS 1000000
#define BITS    6
#define MASK    (LB_WHEEL_SLOTS - 1)

/* The tick at which a timer may fire: rounded up, so that none is early. */
static uint64_t tick_of(lb_time at)
{
	if (at <= 0)
		return 0;
	return ((uint64_t)at + TICK_NS - 1) / TICK_NS;
}

static void link_timer(struct lb_timer **headp, struct lb_timer *timer)
{
	timer->next = *headp;
	timer->prevp = headp;
	if (timer->next != NULL)
		timer->next->prevp = &timer->next;
	*headp = timer;
}

static void place(struct lb_wheel *wheel, struct lb_timer *timer)
{
	uint64_t at = tick_of(timer->at);
	unsigned level = 0, slot;

	if (at <= wheel->tick) {
		link_timer(&wheel->due, timer);
		return;
	}
	while (level < LB_WHEEL_LEVELS - 1 &&
		(at >> (BITS * (level + 1))) != (wheel->tick >> (BITS * (level + 1))))
		level++;
	if ((at >> (BITS * level)) - (wheel->tick >> (BITS * level)) >= LB_WHEEL_SLOTS)
		at = wheel->tick + ((uint64_t)(LB_WHEEL_SLOTS - 1) << (BITS * level));
	slot = (unsigned)(at >> (BITS * level)) & MASK;
	link_timer(&wheel->slots[level][slot], timer);
	wheel->used[level] |= UINT64_C(1) << slot;
}

void lb_wheel_init(struct lb_wheel *wheel, lb_time now)
{
	memset(wheel, 0, sizeof *wheel);
	wheel->tick = now > 0 ? (uint64_t)now / TICK_NS : 0;
}

void lb_timer_cancel(struct lb_wheel *wheel, struct lb_timer *timer)
{
	struct lb_timer **first = &wheel->slots[0][0], **headp = timer->prevp;

	if (headp == NULL)
		return;
	*headp = timer->next;
	if (timer->next != NULL)
		timer->next->prevp = headp;
	timer->prevp = NULL;
	if (*headp == NULL && headp >= first && headp < first + LB_WHEEL_LEVELS * LB_WHEEL_SLOTS) {
		size_t index = (size_t)(headp - first);

		wheel->used[index / LB_WHEEL_SLOTS] &= ~(UINT64_C(1) << index % LB_WHEEL_SLOTS);
	}
}

void lb_timer_set(struct lb_wheel *wheel, struct lb_timer *timer, lb_time at)
{
	lb_timer_cancel(wheel, timer);
	if (at == LB_NEVER)
		return;
	timer->at = at;
	place(wheel, timer);
}

/* The first tick after the wheel's own at which a slot comes up, or UINT64_MAX. */
static uint64_t next_tick(const struct lb_wheel *wheel)
{
	uint64_t next = UINT64_MAX;

	for (unsigned level = 0; level < LB_WHEEL_LEVELS; level++) {
		uint64_t turn = wheel->tick >> (BITS * level), ahead;
		unsigned here = (unsigned)turn & MASK;

		if (wheel->used[level] == 0)
			continue;
		/* rotated so that bit 0 is the slot after the present one */
		ahead = here == MASK ? wheel->used[level]
				     : wheel->used[level] >> (here + 1) | wheel->used[level] << (MASK - here);
		turn += 1 + (uint64_t)__builtin_ctzll(ahead);
		if (turn << (BITS * level) < next)
			next = turn << (BITS * level);
	}
	return next;
}

lb_time lb_wheel_next(const struct lb_wheel *wheel)
{
	uint64_t tick;

	if (wheel->due != NULL)
		return 0;
	tick = next_tick(wheel);
	return tick > (uint64_t)INT64_MAX / TICK_NS ? LB_NEVER : (lb_time)(tick * TICK_NS);
}

/* Moves the timers of every slot that comes up at the wheel's tick to where they belong now. */
static void turn(struct lb_wheel *wheel)
{
	for (unsigned level = 0; level < LB_WHEEL_LEVELS; level++) {
		unsigned slot = (unsigned)(wheel->tick >> (BITS * level)) & MASK;
		struct lb_timer *timer = wheel->slots[level][slot], *next;

		if (level > 0 && (wheel->tick & ((UINT64_C(1) << (BITS * level)) - 1)) != 0)
			break;
		wheel->slots[level][slot] = NULL;
		wheel->used[level] &= ~(UINT64_C(1) << slot);
		for (; timer != NULL; timer = next) {
			next = timer->next;
			place(wheel, timer);
		}
	}
}

struct lb_timer *lb_wheel_expire(struct lb_wheel *wheel, lb_time now)
{
	uint64_t target = now > 0 ? (uint64_t)now / TICK_NS : 0;
	struct lb_timer *timer;

	while (wheel->due == NULL && wheel->tick < target) {
		uint64_t next = next_tick(wheel);

		wheel->tick = next < target ? next : target;
		if (next <= target)
			turn(wheel);
	}
	timer = wheel->due;
	if (timer != NULL)
		lb_timer_cancel(wheel, timer);
	return timer;
}
