/* SPDX-License-Identifier: MIT */
/*
 * The real loop of loop.h: puts watches (epoll.c), timers (base/timer.c) and the worker (worker.c) together.
 * Owns these and the eventfd of lb_loop_wake; what is watched, timed and worked on is its owners'.
 */
#include "loop/epoll.h"
#include "loop/real.h"
#include "loop/worker.h"
#include <stdlib.h>

struct real_loop {
	struct lb_loop loop; /* first: what everybody else sees */
	struct lb_epoll epoll;
	struct lb_worker worker;
	struct lb_watch wake, finish; /* lb_loop_wake was called; the worker has finished jobs */
	bool quit;
};

static struct real_loop *real_of(struct lb_loop *loop)
{
	return (struct real_loop *)loop;
}

static int loop_watch(struct lb_loop *loop, struct lb_watch *watch)
{
	return lb_epoll_watch(&real_of(loop)->epoll, watch);
}

static int loop_rewatch(struct lb_loop *loop, struct lb_watch *watch)
{
	return lb_epoll_rewatch(&real_of(loop)->epoll, watch);
}

static void loop_unwatch(struct lb_loop *loop, struct lb_watch *watch)
{
	lb_epoll_unwatch(&real_of(loop)->epoll, watch);
}

static void loop_submit(struct lb_loop *loop, struct lb_job *job)
{
	lb_worker_submit(&real_of(loop)->worker, job);
}

static const struct lb_loop_ops real_ops = {
	.watch = loop_watch,
	.rewatch = loop_rewatch,
	.unwatch = loop_unwatch,
	.submit = loop_submit,
};

static void jobs_finished(struct lb_watch *watch, uint32_t events)
{
	struct real_loop *real = (struct real_loop *)((char *)watch - offsetof(struct real_loop, finish));

	(void)events;
	lb_worker_finish(&real->worker);
}

static void loop_woken(struct lb_watch *watch, uint32_t events)
{
	struct real_loop *real = (struct real_loop *)((char *)watch - offsetof(struct real_loop, wake));

	(void)events;
	lb_event_lower(watch->fd); /* before the call: another wake during it is not lost */
	if (real->loop.woken != NULL)
		real->loop.woken(real->loop.woken_arg);
}

/* Leaves what it could not make as lb_loop_free expects it. */
static int init_parts(struct real_loop *real)
{
	int epoll_r = lb_epoll_init(&real->epoll), worker_r = lb_worker_init(&real->worker), r;

	real->wake.fd = lb_event_new();
	real->finish.fd = real->worker.fd;
	if (epoll_r < 0)
		return epoll_r;
	if (worker_r < 0)
		return worker_r;
	if (real->wake.fd < 0)
		return real->wake.fd;
	r = loop_watch(&real->loop, &real->wake);
	return r < 0 ? r : loop_watch(&real->loop, &real->finish);
}

int lb_loop_new(struct lb_host *host, struct lb_loop **loopp)
{
	struct real_loop *real = calloc(1, sizeof *real);
	int r;

	if (real == NULL)
		return -ENOMEM;
	real->loop.ops = &real_ops;
	real->loop.host = host;
	lb_wheel_init(&real->loop.wheel, host->clock->now(host));
	real->wake = (struct lb_watch){.events = EPOLLIN, .ready = loop_woken};
	real->finish = (struct lb_watch){.events = EPOLLIN, .ready = jobs_finished};
	r = init_parts(real);
	if (r < 0) {
		lb_loop_free(&real->loop);
		return r;
	}
	*loopp = &real->loop;
	return 0;
}

void lb_loop_free(struct lb_loop *loop)
{
	struct real_loop *real = real_of(loop);

	if (loop == NULL)
		return;
	if (real->wake.fd >= 0)
		close(real->wake.fd);
	lb_worker_deinit(&real->worker);
	lb_epoll_deinit(&real->epoll);
	free(real);
}

/* What one fd brought goes to the worker before the next one is looked at: its commits share a sync, and wait for nobody
 * else's bytes. */
static void hand_over(void *worker)
{
	lb_worker_hand_over(worker);
}

/* Timers come after the fds: a process that was held up sees what has come in before it says that nothing
 * did. */
static int turn_once(struct real_loop *real)
{
	struct lb_host *host = real->loop.host;
	struct lb_wheel *wheel = &real->loop.wheel;
	int r = lb_epoll_turn(&real->epoll, lb_timeout_ms(host->clock->now(host), lb_wheel_next(wheel)),
		hand_over, &real->worker);
	lb_time now = host->clock->now(host);
	struct lb_timer *timer;

	while (r == 0 && (timer = lb_wheel_expire(wheel, now)) != NULL)
		timer->expired(timer);
	lb_worker_hand_over(&real->worker);
	return r;
}

int lb_loop_run(struct lb_loop *loop)
{
	struct real_loop *real = real_of(loop);
	int r = lb_worker_start(&real->worker, loop->work, loop->work_arg);

	if (r < 0)
		return r;
	while (r == 0 && (!real->quit || real->worker.under_way > 0))
		r = turn_once(real);
	real->quit = false;
	lb_worker_stop(&real->worker);
	return r;
}

void lb_loop_quit(struct lb_loop *loop)
{
	real_of(loop)->quit = true;
}

void lb_loop_wake(struct lb_loop *loop)
{
	lb_event_raise(real_of(loop)->wake.fd);
}
