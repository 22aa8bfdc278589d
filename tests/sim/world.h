/* SPDX-License-Identifier: MIT */
/*
 * A simulated world: one virtual clock, one source of randomness, a queue of events in the order of their time,
 * and tasks (coroutines) that run one at a time until they pause. The same seed makes the same run, bit for bit.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <lastbyte/base.h>
#include <stdbool.h>

#define SIM_MS     INT64_C(1000000)
#define SIM_SECOND INT64_C(1000000000)

struct sim_random {
	uint64_t state[4];
};

struct sim_world;

/* Something that happens at a time. Its owner embeds it. */
struct sim_event {
	lb_time  at;
	uint64_t order; /* among those of the same time */
	size_t   place; /* in the queue, from 1; 0: not queued */
	void (*fire)(struct sim_event *event);
};

/* A coroutine. `run` returns when it is done. */
struct sim_task {
	struct sim_event  wake;
	struct sim_world *world;
	struct sim_fiber *fiber;
	bool              waiting; /* for something that sim_task_notify tells of */
	bool              notified, done;
	void (*run)(struct sim_task *task);
	void *arg;
};

struct sim_world {
	uint64_t           seed;
	lb_time            now;
	struct sim_random  random;
	uint64_t           hash;  /* of all that happened */
	uint64_t           steps; /* operations and events so far */
	uint64_t           max_steps;
	bool               tracing;
	struct sim_event **queue; /* a heap, from 1 */
	size_t             queued, queue_room;
	uint64_t           next_order, next_version;
	struct sim_task   *current;  /* NULL: the scheduler itself */
	int                expected; /* the invariant that a planted bug has to break; 0: none */
};

/* realloc(3); a simulation without memory ends. */
void *sim_realloc(void *old, size_t bytes);

void     sim_random_seed(struct sim_random *random, uint64_t seed);
uint64_t sim_random_next(struct sim_random *random);

/* Of the world's randomness: 0 to n-1; lowest to highest; true `percent` times in a hundred. */
uint64_t sim_below(struct sim_world *world, uint64_t n);
int64_t  sim_between(struct sim_world *world, int64_t lowest, int64_t highest);
bool     sim_chance(struct sim_world *world, unsigned percent);

void sim_world_init(struct sim_world *world, uint64_t seed, bool tracing);
void sim_world_deinit(struct sim_world *world);

/* Goes on until `until` says so or nothing is left to happen. */
void sim_world_run(struct sim_world *world, bool (*until)(void *arg), void *arg);

void sim_event_set(struct sim_world *world, struct sim_event *event, lb_time at); /* moves it if queued */
void sim_event_cancel(struct sim_world *world, struct sim_event *event);

void sim_task_start(
	struct sim_world *world, struct sim_task *task, void (*run)(struct sim_task *task), void *arg);
/* By the running task: returns at that time, and when `wakeable` as soon as it is notified. */
void sim_task_pause(struct sim_world *world, lb_time until, bool wakeable);
void sim_task_notify(struct sim_task *task);  /* ends a wakeable pause, at once or the next one */
void sim_task_hurry(struct sim_task *task);   /* ends any pause */
void sim_task_release(struct sim_task *task); /* gives back what a task that is done has used */

void sim_count_step(struct sim_world *world); /* too many of them are a violation */

/* Part of the run's fingerprint. */
void sim_mix(struct sim_world *world, uint64_t value);

#define sim_trace(world, ...)                                                                                \
	do {                                                                                                 \
		if ((world)->tracing)                                                                        \
			sim_trace_line((world), __VA_ARGS__);                                                \
	} while (0)
void sim_trace_line(const struct sim_world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* An invariant of the protocol, by its number, does not hold. Prints what, the seed and how to see it again, and
 * ends the program: with 0 when it was expected, else with 1. */
_Noreturn void sim_violation(const struct sim_world *world, int invariant, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
