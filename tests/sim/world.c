/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of the simulated world: time, order and chance. Owns the queue of events and runs the tasks;
 * knows nothing of machines, disks or networks.
 */
#include "sim/world.h"
#include "sim/fiber.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *sim_realloc(void *old, size_t bytes)
{
	void *grown = realloc(old, bytes);

	if (grown == NULL)
		abort();
	return grown;
}

/* splitmix64, to spread a seed, and xoshiro256**, by Blackman and Vigna. */
void sim_random_seed(struct sim_random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += UINT64_C(0x9E3779B97F4A7C15);

		z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
		z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
		random->state[i] = z ^ z >> 31;
	}
}

static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t sim_random_next(struct sim_random *random)
{
	uint64_t *s = random->state, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t sim_below(struct sim_world *world, uint64_t n)
{
	return n == 0 ? 0 : sim_random_next(&world->random) % n;
}

int64_t sim_between(struct sim_world *world, int64_t lowest, int64_t highest)
{
	return lowest + (int64_t)sim_below(world, (uint64_t)(highest - lowest) + 1);
}

bool sim_chance(struct sim_world *world, unsigned percent)
{
	return sim_below(world, 100) < percent;
}

void sim_mix(struct sim_world *world, uint64_t value)
{
	world->hash = (rotate(world->hash, 5) ^ value) * UINT64_C(0x9E3779B97F4A7C15);
}

void sim_world_init(struct sim_world *world, uint64_t seed, bool tracing)
{
	memset(world, 0, sizeof *world);
	world->seed = seed;
	world->now = 1000 * SIM_SECOND;
	world->tracing = tracing;
	world->max_steps = 10000000;
	sim_random_seed(&world->random, seed);
}

void sim_world_deinit(struct sim_world *world)
{
	free(world->queue);
	world->queue = NULL;
}

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct sim_world *world, size_t place, struct sim_event *event)
{
	world->queue[place] = event;
	event->place = place;
}

/* Moves the event at `place` up or down to where it belongs. */
static void settle(struct sim_world *world, size_t place)
{
	struct sim_event *event = world->queue[place], **queue = world->queue;
	size_t child;

	for (; place > 1 && earlier(event, queue[place / 2]); place /= 2)
		put(world, place, queue[place / 2]);
	for (; (child = 2 * place) <= world->queued; place = child) {
		if (child < world->queued && earlier(queue[child + 1], queue[child]))
			child++;
		if (!earlier(queue[child], event))
			break;
		put(world, place, queue[child]);
	}
	put(world, place, event);
}

void sim_event_set(struct sim_world *world, struct sim_event *event, lb_time at)
{
	event->at = at < world->now ? world->now : at;
	event->order = world->next_order++;
	if (event->place == 0) {
		if (world->queued + 2 > world->queue_room) {
			world->queue_room = world->queue_room == 0 ? 64 : world->queue_room * 2;
			world->queue =
				sim_realloc(world->queue, world->queue_room * sizeof(struct sim_event *));
		}
		put(world, ++world->queued, event);
	}
	settle(world, event->place);
}

void sim_event_cancel(struct sim_world *world, struct sim_event *event)
{
	size_t place = event->place;
	struct sim_event *last;

	if (place == 0)
		return;
	event->place = 0;
	last = world->queue[world->queued--];
	if (last != event) {
		put(world, place, last);
		settle(world, place);
	}
}

void sim_count_step(struct sim_world *world)
{
	if (++world->steps > world->max_steps)
		sim_violation(world, 11, "the run does not come to an end");
}

void sim_world_run(struct sim_world *world, bool (*until)(void *arg), void *arg)
{
	while (world->queued > 0 && !until(arg)) {
		struct sim_event *event = world->queue[1];

		sim_event_cancel(world, event);
		world->now = event->at;
		sim_mix(world, (uint64_t)world->now);
		sim_count_step(world);
		event->fire(event);
	}
}

static void resume(struct sim_event *event)
{
	struct sim_task *task = (struct sim_task *)event, *before = task->world->current;

	task->world->current = task;
	sim_fiber_resume(task->fiber);
	task->world->current = before;
}

static void task_body(void *arg)
{
	struct sim_task *task = arg;

	task->run(task);
	task->done = true;
}

void sim_task_start(
	struct sim_world *world, struct sim_task *task, void (*run)(struct sim_task *task), void *arg)
{
	memset(task, 0, sizeof *task);
	task->wake.fire = resume;
	task->world = world;
	task->run = run;
	task->arg = arg;
	task->fiber = sim_fiber_start(task_body, task);
	sim_event_set(world, &task->wake, world->now);
}

void sim_task_pause(struct sim_world *world, lb_time until, bool wakeable)
{
	struct sim_task *task = world->current;

	if (wakeable && task->notified) {
		task->notified = false;
		return;
	}
	/* Nothing else can happen before then: no need to leave the task. */
	if (until != LB_NEVER && (world->queued == 0 || world->queue[1]->at > until)) {
		if (until > world->now)
			world->now = until;
		sim_count_step(world);
		return;
	}
	if (until != LB_NEVER)
		sim_event_set(world, &task->wake, until);
	task->waiting = wakeable;
	sim_fiber_yield(task->fiber);
	task->waiting = false;
}

void sim_task_notify(struct sim_task *task)
{
	if (task->done)
		return;
	if (task->waiting)
		sim_event_set(task->world, &task->wake, task->world->now);
	else
		task->notified = true;
}

void sim_task_hurry(struct sim_task *task)
{
	if (!task->done && task->world->current != task)
		sim_event_set(task->world, &task->wake, task->world->now);
}

void sim_task_release(struct sim_task *task)
{
	sim_event_cancel(task->world, &task->wake);
	sim_fiber_free(task->fiber);
	task->fiber = NULL;
}

void sim_trace_line(const struct sim_world *world, const char *format, ...)
{
	va_list args;

	printf("%12.6f  ", (double)(world->now - 1000 * SIM_SECOND) / 1e9);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

_Noreturn void sim_violation(const struct sim_world *world, int invariant, const char *format, ...)
{
	va_list args;

	printf("invariant %d violated: ", invariant);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\nseed %" PRIu64 "; to see it again: --seed %" PRIu64 " --schedules 1 --trace\n", world->seed,
		world->seed);
	fflush(stdout);
	_Exit(invariant == world->expected ? 0 : 1);
}
