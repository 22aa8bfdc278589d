/* SPDX-License-Identifier: MIT */
/*
 * The simulated event loop: level-triggered watches in random order, the loop's timers, and jobs that the process's
 * second task does some time later, all that wait together. Owns neither watches nor jobs.
 */
#include "sim/loop.h"
#include "sim/net.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct sim_watched {
	struct sim_watched *next;
	struct lb_watch *watch; /* NULL: unwatched, to be removed */
};

static struct sim_loop *loop_of(struct lb_loop *loop)
{
	return (struct sim_loop *)loop;
}

static int loop_watch(struct lb_loop *base, struct lb_watch *watch)
{
	struct sim_loop *loop = loop_of(base);
	struct sim_watched *watched = calloc(1, sizeof *watched);

	if (watched == NULL)
		abort();
	for (struct sim_watched *other = loop->watched; other != NULL; other = other->next)
		if (other->watch != NULL && (other->watch == watch || other->watch->fd == watch->fd))
			sim_violation(loop->process->world, 11, "descriptor %d is watched twice", watch->fd);
	watched->watch = watch;
	watched->next = loop->watched;
	loop->watched = watched;
	return 0;
}

static struct sim_watched *find(struct sim_loop *loop, const struct lb_watch *watch)
{
	struct sim_watched *watched = loop->watched;

	while (watched != NULL && watched->watch != watch)
		watched = watched->next;
	if (watched == NULL)
		sim_violation(loop->process->world, 11, "descriptor %d is not watched", watch->fd);
	return watched;
}

static int loop_rewatch(struct lb_loop *base, struct lb_watch *watch)
{
	(void)find(loop_of(base), watch);
	return 0;
}

static void loop_unwatch(struct lb_loop *base, struct lb_watch *watch)
{
	find(loop_of(base), watch)->watch = NULL;
}

static void append(struct lb_job ***lastp, struct lb_job *job)
{
	job->next = NULL;
	**lastp = job;
	*lastp = &job->next;
}

static void loop_submit(struct lb_loop *base, struct lb_job *job)
{
	struct sim_loop *loop = loop_of(base);

	append(&loop->last_submitted, job);
	sim_task_notify(&loop->process->task[1]);
}

static const struct lb_loop_ops ops = {
	.watch = loop_watch, .rewatch = loop_rewatch, .unwatch = loop_unwatch, .submit = loop_submit};

void sim_loop_init(struct sim_loop *loop, struct sim_process *process)
{
	*loop = (struct sim_loop){.loop = {.ops = &ops, .host = &process->host}, .process = process};
	loop->last_submitted = &loop->submitted;
	loop->last_done = &loop->done;
	lb_wheel_init(&loop->loop.wheel, sim_process_now(process));
}

static void sweep(struct sim_loop *loop)
{
	for (struct sim_watched **linkp = &loop->watched; *linkp != NULL;) {
		struct sim_watched *watched = *linkp;

		if (watched->watch != NULL) {
			linkp = &watched->next;
			continue;
		}
		*linkp = watched->next;
		free(watched);
	}
}

void sim_loop_deinit(struct sim_loop *loop)
{
	sweep(loop);
	if (loop->watched != NULL && !loop->process->dead)
		sim_violation(loop->process->world, 11, "a watch is left when its loop ends");
	while (loop->watched != NULL) {
		loop->watched->watch = NULL;
		sweep(loop);
	}
}

static uint32_t events_of(struct sim_loop *loop, const struct sim_watched *watched)
{
	const struct lb_watch *watch = watched->watch;

	if (watch == NULL || watch->events == 0)
		return 0;
	return sim_fd_events(loop->process, watch->fd) & (watch->events | EPOLLERR | EPOLLHUP);
}

/* Calls one that is ready, whichever: the order of epoll_wait(2) is nobody's business. False: none is. */
static bool call_ready(struct sim_loop *loop)
{
	struct sim_watched *chosen = NULL;
	size_t n = 0;

	sweep(loop);
	for (struct sim_watched *watched = loop->watched; watched != NULL; watched = watched->next)
		if (events_of(loop, watched) != 0 && sim_below(loop->process->world, ++n) == 0)
			chosen = watched;
	if (chosen != NULL)
		chosen->watch->ready(chosen->watch, events_of(loop, chosen));
	return chosen != NULL;
}

static bool call_expired(struct sim_loop *loop)
{
	struct lb_timer *timer = lb_wheel_expire(&loop->loop.wheel, sim_process_now(loop->process));

	if (timer != NULL)
		timer->expired(timer);
	return timer != NULL;
}

static bool call_done(struct sim_loop *loop)
{
	struct lb_job *job = loop->done;

	if (job == NULL)
		return false;
	loop->done = job->next;
	if (loop->done == NULL)
		loop->last_done = &loop->done;
	job->done(job);
	return true;
}

static bool call_woken(struct sim_loop *loop)
{
	if (!loop->wake)
		return false;
	loop->wake = false;
	loop->loop.woken(loop->loop.woken_arg);
	return true;
}

static bool idle(const struct sim_loop *loop)
{
	return loop->submitted == NULL && loop->done == NULL && !loop->working;
}

void sim_loop_run(struct sim_loop *loop)
{
	struct sim_process *process = loop->process;

	while (!process->dead && !(loop->quit && idle(loop))) {
		bool busy = call_expired(loop);

		busy = (!process->dead && call_done(loop)) || busy;
		busy = (!process->dead && call_woken(loop)) || busy;
		busy = (!process->dead && call_ready(loop)) || busy;
		if (!busy)
			sim_process_wait(process, lb_wheel_next(&loop->loop.wheel));
	}
}

/* All that waits, at once, in its order. */
static void work(struct sim_loop *loop)
{
	struct sim_world *world = loop->process->world;
	struct lb_job *list;

	if (!loop->process->dead && sim_chance(world, 30))
		sim_task_pause(world, world->now + sim_between(world, 0, 20 * SIM_MS), false);
	list = loop->submitted;
	loop->submitted = NULL;
	loop->last_submitted = &loop->submitted;
	loop->working = true;
	loop->loop.work(loop->loop.work_arg, list);
	if (!loop->process->dead && sim_chance(world, 20))
		sim_task_pause(world, world->now + sim_between(world, 0, 20 * SIM_MS), false);
	loop->working = false;
	while (list != NULL) {
		struct lb_job *job = list;

		list = job->next;
		append(&loop->last_done, job);
	}
	sim_task_notify(&loop->process->task[0]);
}

void sim_loop_work(struct sim_loop *loop)
{
	while (!loop->worker_done) {
		if (loop->submitted != NULL)
			work(loop);
		else
			sim_task_pause(loop->process->world, LB_NEVER, true);
	}
}

void sim_loop_drain(struct sim_loop *loop)
{
	while (!idle(loop)) {
		if (call_done(loop))
			continue;
		sim_task_pause(loop->process->world, LB_NEVER, true);
	}
	loop->worker_done = true;
	sim_task_notify(&loop->process->task[1]);
}
