/* SPDX-License-Identifier: MIT */
/*
 * The real loop of loop.h, on epoll(7). Owns the epoll fd, the eventfd of lb_loop_wake and the worker;
 * watches, timers and jobs are their owners'.
 */
#include "loop/worker.h"
#include "loop/real.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 128

struct real_loop {
	struct lb_loop loop; /* first: what everybody else sees */
	int epoll;
	struct epoll_event batch[BATCH]; /* what epoll_wait gave, from `next` on not dispatched yet */
	int next, end;
	struct lb_watch wake, finish; /* lb_loop_wake was called; the worker has finished jobs */
	struct lb_worker worker;
	bool quit;
};

static struct real_loop *real_of(struct lb_loop *loop)
{
	return (struct real_loop *)loop;
}

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
	lb_event_lower(watch->fd);
	if (real->loop.woken != NULL)
		real->loop.woken(real->loop.woken_arg);
}

static int control(struct lb_loop *loop, int operation, struct lb_watch *watch)
{
	struct epoll_event event = {.events = watch->events, .data.ptr = watch};

	return epoll_ctl(real_of(loop)->epoll, operation, watch->fd, &event) < 0 ? -errno : 0;
}

/* An fd in the set always reports EPOLLERR and EPOLLHUP: with events 0 it must not be there at all. */
static int loop_watch(struct lb_loop *loop, struct lb_watch *watch)
{
	return watch->events == 0 ? 0 : control(loop, EPOLL_CTL_ADD, watch);
}

static int loop_rewatch(struct lb_loop *loop, struct lb_watch *watch)
{
	int r = control(loop, watch->events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, watch);

	if (r != -ENOENT)
		return r;
	return loop_watch(loop, watch);
}

static void loop_unwatch(struct lb_loop *loop, struct lb_watch *watch)
{
	struct real_loop *real = real_of(loop);

	(void)control(loop, EPOLL_CTL_DEL, watch);
	/* The rest of the batch may still hold an event of this watch, whose owner may free it now. */
	for (int i = real->next; i < real->end; i++)
		if (real->batch[i].data.ptr == watch)
			real->batch[i].data.ptr = NULL;
}

static void loop_submit(struct lb_loop *loop, struct lb_job *job)
{
	lb_worker_submit(&real_of(loop)->worker, job);
}

static const struct lb_loop_ops epoll_ops = {
	.watch = loop_watch,
	.rewatch = loop_rewatch,
	.unwatch = loop_unwatch,
	.submit = loop_submit,
};

static int new_loop(struct real_loop *real)
{
	int r = lb_worker_init(&real->worker);

	if (r < 0)
		return r;
	real->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (real->epoll < 0)
		return -errno;
	real->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (real->wake.fd < 0)
		return -errno;
	real->finish.fd = real->worker.fd;
	r = loop_watch(&real->loop, &real->wake);
	return r < 0 ? r : loop_watch(&real->loop, &real->finish);
}

int lb_loop_new(struct lb_host *host, struct lb_loop **loopp)
{
	struct real_loop *real = malloc(sizeof *real);
	int r;

	if (real == NULL)
		return -ENOMEM;
	*real = (struct real_loop){
		.loop = {.ops = &epoll_ops, .host = host},
		.epoll = -1,
		.wake = {.fd = -1, .events = EPOLLIN, .ready = loop_woken},
		.finish = {.fd = -1, .events = EPOLLIN, .ready = jobs_finished},
	};
	lb_wheel_init(&real->loop.wheel, host->clock->now(host));
	r = new_loop(real);
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
	if (real->epoll >= 0)
		close(real->epoll);
	lb_worker_deinit(&real->worker);
	free(real);
}

static void dispatch(struct real_loop *real)
{
	while (real->next < real->end) {
		struct epoll_event *event = &real->batch[real->next++];
		struct lb_watch *watch = event->data.ptr;
		uint32_t events;

		if (watch == NULL)
			continue;
		/* not what a callback of this batch has ceased to watch for */
		events = event->events & (watch->events | EPOLLERR | EPOLLHUP);
		if (events != 0 && watch->events != 0)
			watch->ready(watch, events);
	}
}

/* Timers come after the fds: a process that was held up sees what has come in before it says that nothing
 * did. */
static int turn_once(struct real_loop *real)
{
	struct lb_host *host = real->loop.host;
	struct lb_wheel *wheel = &real->loop.wheel;
	struct lb_timer *timer;
	lb_time now;
	int n = epoll_wait(
		real->epoll, real->batch, BATCH, lb_timeout_ms(host->clock->now(host), lb_wheel_next(wheel)));

	if (n < 0 && errno != EINTR)
		return -errno;
	real->next = 0;
	real->end = n > 0 ? n : 0;
	dispatch(real);
	now = host->clock->now(host);
	while ((timer = lb_wheel_expire(wheel, now)) != NULL)
		timer->expired(timer);
	return 0;
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
