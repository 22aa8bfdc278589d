/* SPDX-License-Identifier: MIT */
/*
 * The work of the closer: an ending begins, has its turns, makes room for another and is done. Owns the descriptors
 * through their runs, and when `epoll` becomes readable. What an ending does in its turn is in ending.c.
 *
 * A socket is registered with epoll only once it is older than its first turns: most peers in the same house have ended
 * by then, and registering costs as much as several system calls. It reports what is the case already, so nothing
 * that happened meanwhile is missed. What cannot be registered (ENOMEM, ENOSPC) is looked at by time alone.
 */
#include "sock/closer.h"
#include <stdlib.h>
#include <sys/timerfd.h>

#define EVENTS 256 /* taken from epoll in one step */
#define TURNS  256 /* given in one step */

#define MS INT64_C(1000000)

#define FIRST_TURN  (4 * MS) /* after a socket was added */
#define SECOND_TURN (16 * MS)
#define LATER_TURNS (50 * MS) /* between two, of what could not be registered */

#define AT_ONCE 1 /* a time that has passed; 0 would disarm the timer */

static uint64_t token_of(const struct lb_closer_entry *entry, uint32_t index)
{
	return (uint64_t)entry->generation << 32 | index;
}

static void arm_at(struct lb_closer *closer, lb_time at)
{
	struct itimerspec when = {0};

	if (at == closer->armed)
		return;
	closer->armed = at;
	if (at != LB_NEVER)
		when.it_value = (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
	timerfd_settime(closer->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

void lb_closer_wake(struct lb_closer *closer)
{
	arm_at(closer, AT_ONCE);
}

static lb_time due(const struct lb_closer *closer)
{
	const struct lb_closer_table *table = &closer->table;

	if (lb_closer_first(table, LB_CLOSER_DONE) != LB_CLOSER_NONE ||
		lb_closer_first(table, LB_CLOSER_FRESH) != LB_CLOSER_NONE ||
		lb_closer_first(table, LB_CLOSER_MORE) != LB_CLOSER_NONE ||
		(closer->running && closer->stopped))
		return AT_ONCE;
	return lb_closer_due(table);
}

void lb_closer_arm(struct lb_closer *closer)
{
	arm_at(closer, due(closer));
}

/* The outcome takes the place of the run. */
static void retire(struct lb_closer *closer, uint32_t index, const struct lb_outcome *outcome)
{
	struct lb_closer_entry *entry = lb_closer_entry(&closer->table, index);

	if (entry->copied)
		free((void *)entry->run.ending);
	entry->generation++;
	entry->watched = entry->acked = entry->copied = false;
	entry->outcome = *outcome;
	lb_closer_list(&closer->table, index, entry->done != NULL ? LB_CLOSER_DONE : LB_CLOSER_UNREAD);
	closer->unread += entry->done == NULL;
}

static void conclude(struct lb_closer *closer, uint32_t index, const struct lb_outcome *outcome)
{
	lb_closer_unlist(&closer->table, index);
	if (closer->sockets_per_peer != 0)
		lb_closer_peers_remove(closer, index);
	closer->open--;
	retire(closer, index, outcome);
}

static lb_time next_turn(const struct lb_closer_entry *entry, lb_time now)
{
	lb_time age = now - entry->run.started, limit = lb_ending_limit(&entry->run), look;

	if (entry->watched)
		return limit;
	look = now + (age < FIRST_TURN           ? FIRST_TURN
			     : age < SECOND_TURN ? SECOND_TURN - FIRST_TURN
						 : LATER_TURNS);
	return look < limit ? look : limit;
}

/* After a step that did not end it: where it is found again. */
static void settle(struct lb_closer *closer, uint32_t index, lb_time now)
{
	struct lb_closer_entry *entry = lb_closer_entry(&closer->table, index);

	if (lb_ending_acked(&entry->run) && !entry->acked) {
		entry->acked = true;
		lb_closer_unlist(&closer->table, index);
		lb_closer_list(&closer->table, index, LB_CLOSER_ACKED);
	}
	if (entry->run.more)
		lb_closer_queue(&closer->table, index, LB_CLOSER_MORE);
	else
		lb_closer_schedule(&closer->table, index, next_turn(entry, now));
}

/* Returns how many bytes it has thrown away. */
static uint64_t give_turn(struct lb_closer *closer, uint32_t index, lb_time now)
{
	struct lb_closer_entry *entry = lb_closer_entry(&closer->table, index);
	uint64_t before = entry->run.discarded, after;
	struct lb_outcome outcome;

	lb_closer_unschedule(&closer->table, index);
	if (closer->port->step(&entry->run, now, &outcome)) {
		conclude(closer, index, &outcome);
		return outcome.discarded - before;
	}
	after = entry->run.discarded;
	if (!entry->watched && now - entry->run.started >= SECOND_TURN)
		entry->watched =
			closer->port->watch(closer->epoll, entry->run.fd, token_of(entry, index)) == 0;
	settle(closer, index, now);
	return after - before;
}

/* An event of an earlier life of the entry comes where a copy of that descriptor is open in another process. */
static void collect(struct lb_closer *closer, lb_time now)
{
	struct epoll_event events[EVENTS];
	int count = closer->port->events(closer->epoll, events, EVENTS);

	/* of a million entries, none is in a cache: this halves what an event costs */
	for (int i = 0; i < count; i++)
		lb_closer_prefetch(&closer->table, (uint32_t)events[i].data.u64);
	for (int i = 0; i < count; i++) {
		uint32_t index = (uint32_t)events[i].data.u64;
		struct lb_closer_entry *entry;

		if (index >= closer->table.entries) /* the timer */
			continue;
		entry = lb_closer_entry(&closer->table, index);
		if (!entry->watched || entry->queued || token_of(entry, index) != events[i].data.u64)
			continue;
		lb_closer_unschedule(&closer->table, index);
		lb_closer_queue(&closer->table, index, LB_CLOSER_FRESH);
	}
	lb_closer_expire(&closer->table, now);
}

static unsigned give_turns(
	struct lb_closer *closer, enum lb_closer_list list, unsigned turns, uint64_t *bytesp, lb_time now)
{
	for (; turns > 0 && *bytesp < closer->step_bytes; turns--) {
		uint32_t index = lb_closer_first(&closer->table, list);

		if (index == LB_CLOSER_NONE)
			break;
		*bytesp += give_turn(closer, index, now);
	}
	return turns;
}

/* Those that flood us come last; but one of them has its turn even so, for they have limits, too. */
void lb_closer_work(struct lb_closer *closer)
{
	uint32_t flood = lb_closer_first(&closer->table, LB_CLOSER_MORE);
	lb_time now = closer->port->now();
	uint64_t bytes = 0;
	unsigned turns;

	collect(closer, now);
	turns = give_turns(closer, LB_CLOSER_FRESH, TURNS, &bytes, now);
	if (turns > 0 && bytes < closer->step_bytes)
		give_turns(closer, LB_CLOSER_MORE, turns, &bytes, now);
	else if (flood != LB_CLOSER_NONE)
		give_turn(closer, flood, now);
}

static void give_up(struct lb_closer *closer, uint32_t index, enum lb_end how)
{
	struct lb_closer_entry *entry = lb_closer_entry(&closer->table, index);
	struct lb_outcome outcome;

	lb_closer_unschedule(&closer->table, index);
	closer->port->stop(&entry->run, closer->port->now(), how, &outcome);
	conclude(closer, index, &outcome);
}

static uint32_t first_to_go(const struct lb_closer *closer)
{
	uint32_t acked = lb_closer_first(&closer->table, LB_CLOSER_ACKED);

	return acked != LB_CLOSER_NONE ? acked : lb_closer_first(&closer->table, LB_CLOSER_UNACKED);
}

void lb_closer_give_up(struct lb_closer *closer, enum lb_end how)
{
	for (uint32_t index; (index = first_to_go(closer)) != LB_CLOSER_NONE;)
		give_up(closer, index, how);
}

/* What has come may have ended one of them already, or acked it: that is looked at before bytes are given up. */
static void make_room(struct lb_closer *closer, uint32_t index)
{
	uint32_t victim;

	if (closer->sockets_per_peer != 0) {
		victim = lb_closer_peers_victim(closer, index);
		if (victim != LB_CLOSER_NONE)
			give_up(closer, victim, LB_END_EVICTED);
	}
	if (closer->open >= closer->sockets &&
		lb_closer_first(&closer->table, LB_CLOSER_ACKED) == LB_CLOSER_NONE)
		lb_closer_work(closer);
	if (closer->open >= closer->sockets)
		give_up(closer, first_to_go(closer), LB_END_EVICTED);
}

int lb_closer_begin(
	struct lb_closer *closer, uint32_t index, int fd, const struct lb_ending *ending, lb_time deadline)
{
	struct lb_closer_entry *entry = lb_closer_entry(&closer->table, index);
	lb_time now = closer->port->now();
	struct lb_outcome outcome;

	lb_closer_expire(&closer->table, now);
	closer->port->start(&entry->run, fd, ending, now, deadline);
	if (!entry->run.begun && closer->port->step(&entry->run, now, &outcome)) {
		if (entry->run.result < 0) {
			entry->copied = false;
			lb_closer_give_back(&closer->table, index);
			return entry->run.result;
		}
		retire(closer, index, &outcome);
		lb_closer_wake(closer);
		return 0;
	}
	if (closer->sockets_per_peer != 0)
		lb_closer_peers_add(closer, index, fd);
	make_room(closer, index);
	lb_closer_list(&closer->table, index, LB_CLOSER_UNACKED);
	closer->open++;
	settle(closer, index, now);
	if (due(closer) < closer->armed)
		lb_closer_arm(closer);
	return 0;
}
