/* SPDX-License-Identifier: MIT */
/*
 * The closer's table: entries in chunks that never move, the lists that they are in, and a timer wheel. Owns the
 * memory of the entries and decides nothing. Links are indexes, at half the size of pointers. Every operation takes
 * constant time, however many entries there are.
 *
 * The wheel is that of base/timer.c, with 8 bytes for each timer instead of 32: level n has slots of 64^n ticks; an
 * entry lies at the lowest level whose turn covers its distance, and moves down when its slot comes up. What is farther
 * away than the top level's turn waits in the last slot of that, and is placed again there.
 */
#include "sock/closer.h"
#include <stdlib.h>
#include <string.h>

#define HEAD    UINT32_C(0x80000000)
#define TICK_NS 1000000
#define BITS    6
#define MASK    (LB_CLOSER_SLOTS - 1)
#define FAR     (UINT32_C(1) << 30) /* ticks, beyond which a time is looked at again: `due` holds 32 bits */

struct lb_closer_entry *lb_closer_entry(const struct lb_closer_table *table, uint32_t index)
{
	return &table->chunks[index / LB_CLOSER_CHUNK][index % LB_CLOSER_CHUNK];
}

struct lb_closer_kin *lb_closer_kin(const struct lb_closer_table *table, uint32_t index)
{
	return &table->kin[index / LB_CLOSER_CHUNK][index % LB_CLOSER_CHUNK];
}

void lb_closer_prefetch(const struct lb_closer_table *table, uint32_t index)
{
	const char *entry;

	if (index >= table->entries)
		return;
	entry = (const char *)lb_closer_entry(table, index);
	__builtin_prefetch(entry);
	__builtin_prefetch(entry + sizeof(struct lb_closer_entry) - 1);
}

static struct lb_closer_links *list_links(struct lb_closer_table *table, uint32_t index)
{
	return (index & HEAD) != 0 ? &table->lists[index & ~HEAD] : &lb_closer_entry(table, index)->links;
}

static struct lb_closer_links *timer_links(struct lb_closer_table *table, uint32_t index)
{
	return (index & HEAD) != 0 ? &table->lists[index & ~HEAD] : &lb_closer_entry(table, index)->timer;
}

void lb_closer_table_init(struct lb_closer_table *table, lb_time now)
{
	table->free = LB_CLOSER_NONE;
	table->origin = now;
	for (uint32_t list = 0; list < LB_CLOSER_LISTS; list++)
		table->lists[list] = (struct lb_closer_links){HEAD | list, HEAD | list};
}

void lb_closer_table_deinit(struct lb_closer_table *table)
{
	for (uint32_t i = 0; i < table->entries / LB_CLOSER_CHUNK; i++) {
		free(table->chunks[i]);
		if (table->kin != NULL)
			free(table->kin[i]);
	}
	free(table->chunks);
	free(table->kin);
}

/* An array of pointers to chunks with room for one more; it doubles, for a million chunks' worth of moves is none. */
static void *with_room(void *array, uint32_t chunks)
{
	if ((chunks & (chunks - 1)) != 0)
		return array;
	return realloc(array, (chunks == 0 ? 1 : (size_t)chunks * 2) * sizeof(void *));
}

static bool grow(struct lb_closer_table *table, bool kin)
{
	uint32_t chunk = table->entries / LB_CLOSER_CHUNK;
	void *array;

	if (table->entries >= HEAD - LB_CLOSER_CHUNK)
		return false;
	array = with_room(table->chunks, chunk);
	if (array == NULL)
		return false;
	table->chunks = array;
	if (kin) {
		array = with_room(table->kin, chunk);
		if (array == NULL)
			return false;
		table->kin = array;
		table->kin[chunk] = calloc(LB_CLOSER_CHUNK, sizeof **table->kin);
		if (table->kin[chunk] == NULL)
			return false;
	}
	table->chunks[chunk] = calloc(LB_CLOSER_CHUNK, sizeof **table->chunks);
	if (table->chunks[chunk] == NULL) {
		if (kin)
			free(table->kin[chunk]);
		return false;
	}
	table->entries += LB_CLOSER_CHUNK;
	for (uint32_t i = table->entries; i-- > table->entries - LB_CLOSER_CHUNK;)
		lb_closer_give_back(table, i);
	return true;
}

uint32_t lb_closer_take(struct lb_closer_table *table, bool kin)
{
	uint32_t index;

	if (table->free == LB_CLOSER_NONE && !grow(table, kin))
		return LB_CLOSER_NONE;
	index = table->free;
	table->free = lb_closer_entry(table, index)->links.next;
	return index;
}

void lb_closer_give_back(struct lb_closer_table *table, uint32_t index)
{
	lb_closer_entry(table, index)->links.next = table->free;
	table->free = index;
}

void lb_closer_list(struct lb_closer_table *table, uint32_t index, enum lb_closer_list list)
{
	struct lb_closer_links *links = list_links(table, index), *head = &table->lists[list];

	*links = (struct lb_closer_links){.next = HEAD | list, .prev = head->prev};
	list_links(table, head->prev)->next = index;
	head->prev = index;
}

void lb_closer_unlist(struct lb_closer_table *table, uint32_t index)
{
	struct lb_closer_links *links = list_links(table, index);

	list_links(table, links->prev)->next = links->next;
	list_links(table, links->next)->prev = links->prev;
}

uint32_t lb_closer_first(const struct lb_closer_table *table, enum lb_closer_list list)
{
	uint32_t first = table->lists[list].next;

	return (first & HEAD) != 0 ? LB_CLOSER_NONE : first;
}

uint32_t lb_closer_last(const struct lb_closer_table *table, enum lb_closer_list list)
{
	uint32_t last = table->lists[list].prev;

	return (last & HEAD) != 0 ? LB_CLOSER_NONE : last;
}

static void link_timer(struct lb_closer_table *table, uint32_t index, uint32_t list)
{
	struct lb_closer_links *links = timer_links(table, index), *head = &table->lists[list];

	*links = (struct lb_closer_links){.next = HEAD | list, .prev = head->prev};
	timer_links(table, head->prev)->next = index;
	head->prev = index;
}

void lb_closer_queue(struct lb_closer_table *table, uint32_t index, enum lb_closer_list list)
{
	lb_closer_entry(table, index)->queued = true;
	link_timer(table, index, list);
}

void lb_closer_unschedule(struct lb_closer_table *table, uint32_t index)
{
	struct lb_closer_links *links = timer_links(table, index);
	uint32_t slot = (links->next & ~HEAD) - LB_CLOSER_SLOT;

	timer_links(table, links->prev)->next = links->next;
	timer_links(table, links->next)->prev = links->prev;
	lb_closer_entry(table, index)->queued = false;
	/* it was the only one: both of its neighbours were the head */
	if (links->next == links->prev && links->next >= (HEAD | LB_CLOSER_SLOT))
		table->used[slot / LB_CLOSER_SLOTS] &= ~(UINT64_C(1) << slot % LB_CLOSER_SLOTS);
}

static void place(struct lb_closer_table *table, uint32_t index, uint64_t due)
{
	unsigned level = 0, slot;

	if (due <= table->tick) {
		lb_closer_queue(table, index, LB_CLOSER_FRESH);
		return;
	}
	while (level < LB_CLOSER_LEVELS - 1 &&
		(due >> (BITS * (level + 1))) != (table->tick >> (BITS * (level + 1))))
		level++;
	if ((due >> (BITS * level)) - (table->tick >> (BITS * level)) >= LB_CLOSER_SLOTS)
		due = table->tick + ((uint64_t)(LB_CLOSER_SLOTS - 1) << (BITS * level));
	slot = (unsigned)(due >> (BITS * level)) & MASK;
	link_timer(table, index, LB_CLOSER_SLOT + level * LB_CLOSER_SLOTS + slot);
	table->used[level] |= UINT64_C(1) << slot;
}

/* A tick is rounded up, so that nothing is early. */
void lb_closer_schedule(struct lb_closer_table *table, uint32_t index, lb_time at)
{
	uint64_t due = at <= table->origin ? 0 : ((uint64_t)(at - table->origin) + TICK_NS - 1) / TICK_NS;

	if (due > table->tick + FAR)
		due = table->tick + FAR;
	lb_closer_entry(table, index)->due = (uint32_t)due;
	place(table, index, due);
}

/* The first tick after the present one at which a slot comes up, or UINT64_MAX. */
static uint64_t next_tick(const struct lb_closer_table *table)
{
	uint64_t next = UINT64_MAX;

	for (unsigned level = 0; level < LB_CLOSER_LEVELS; level++) {
		uint64_t turn = table->tick >> (BITS * level), used = table->used[level], ahead;
		unsigned here = (unsigned)turn & MASK;

		if (used == 0)
			continue;
		/* rotated so that bit 0 is the slot after the present one */
		ahead = here == MASK ? used : used >> (here + 1) | used << (MASK - here);
		turn += 1 + (uint64_t)__builtin_ctzll(ahead);
		if (turn << (BITS * level) < next)
			next = turn << (BITS * level);
	}
	return next;
}

lb_time lb_closer_due(const struct lb_closer_table *table)
{
	uint64_t tick = next_tick(table);

	return tick == UINT64_MAX ? LB_NEVER : table->origin + (lb_time)(tick * TICK_NS);
}

/* Moves the entries of every slot that comes up at the present tick to where they belong now. */
static void turn(struct lb_closer_table *table)
{
	for (unsigned level = 0; level < LB_CLOSER_LEVELS; level++) {
		unsigned slot = (unsigned)(table->tick >> (BITS * level)) & MASK;
		uint32_t list = LB_CLOSER_SLOT + level * LB_CLOSER_SLOTS + slot, index, next;

		if (level > 0 && (table->tick & ((UINT64_C(1) << (BITS * level)) - 1)) != 0)
			break;
		index = table->lists[list].next;
		table->lists[list] = (struct lb_closer_links){HEAD | list, HEAD | list};
		table->used[level] &= ~(UINT64_C(1) << slot);
		for (; (index & HEAD) == 0; index = next) {
			struct lb_closer_entry *entry = lb_closer_entry(table, index);
			int32_t distance = (int32_t)(entry->due - (uint32_t)table->tick);

			next = entry->timer.next;
			place(table, index, table->tick + (uint64_t)(int64_t)distance);
		}
	}
}

void lb_closer_expire(struct lb_closer_table *table, lb_time now)
{
	uint64_t target = now <= table->origin ? 0 : (uint64_t)(now - table->origin) / TICK_NS;

	while (table->tick < target) {
		uint64_t next = next_tick(table);

		table->tick = next < target ? next : target;
		if (next <= target)
			turn(table);
	}
}
