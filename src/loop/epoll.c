/* SPDX-License-Identifier: MIT */
/*
 * The real loop of loop.h, on epoll(7). Owns the epoll fd, two eventfds and the worker thread; watches,
 * timers and jobs are their owners'. The loop's thread and the worker share the two queues under the mutex,
 * and nothing else.
 */
#include "loop/loop.h"
#include "loop/real.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 128

struct queue {
	struct lb_job *first, **endp;
};

struct real_loop {
	struct lb_loop loop; /* first: what everybody else sees */
	int epoll;
	struct epoll_event batch[BATCH]; /* what epoll_wait gave, from `next` on not dispatched yet */
	int next, end;
	struct lb_watch wake, finish; /* eventfds: lb_loop_wake was called, the worker has finished jobs */
	bool quit;
	size_t under_way; /* jobs submitted whose `done` was not called yet */

	pthread_t worker;
	pthread_mutex_t mutex;
	pthread_cond_t changed;           /* for the worker: `submitted` or `stop` has */
	struct queue submitted, finished; /* these and stop are guarded by mutex */
	bool stop;
};

static struct real_loop *real_of(struct lb_loop *loop)
{
	return (struct real_loop *)loop;
}

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->endp = &queue->first;
}

/* Appends the list that ends with last. */
static void queue_append(struct queue *queue, struct lb_job *first, struct lb_job *last)
{
	*queue->endp = first;
	queue->endp = &last->next;
}

static struct lb_job *queue_take(struct queue *queue)
{
	struct lb_job *first = queue->first;

	queue_init(queue);
	return first;
}

static void raise_event(const struct lb_watch *watch)
{
	uint64_t one = 1;
	int err = errno;

	/* The one error is EAGAIN: so many that nobody read yet, and it is readable already. A signal
	 * handler must leave errno as it was. */
	if (write(watch->fd, &one, sizeof one) < 0)
		errno = err;
}

static void lower_event(const struct lb_watch *watch)
{
	uint64_t count;

	/* nothing to do about EAGAIN: then it is lowered already */
	if (read(watch->fd, &count, sizeof count) < 0)
		return;
}

static void *worker_main(void *arg)
{
	struct real_loop *real = arg;
	struct lb_job *list, *last;

	pthread_mutex_lock(&real->mutex);
	for (;;) {
		while (real->submitted.first == NULL && !real->stop)
			pthread_cond_wait(&real->changed, &real->mutex);
		list = queue_take(&real->submitted);
		if (list == NULL)
			break;
		pthread_mutex_unlock(&real->mutex);
		real->loop.work(real->loop.work_arg, list);
		for (last = list; last->next != NULL;)
			last = last->next;
		pthread_mutex_lock(&real->mutex);
		queue_append(&real->finished, list, last);
		raise_event(&real->finish);
	}
	pthread_mutex_unlock(&real->mutex);
	return NULL;
}

static void jobs_finished(struct lb_watch *watch, uint32_t events)
{
	struct real_loop *real = (struct real_loop *)((char *)watch - offsetof(struct real_loop, finish));
	struct lb_job *job, *next;

	(void)events;
	lower_event(watch); /* first: what finishes from here on raises it again */
	pthread_mutex_lock(&real->mutex);
	job = queue_take(&real->finished);
	pthread_mutex_unlock(&real->mutex);
	for (; job != NULL; job = next) {
		next = job->next; /* from `done` on, the job may be gone, or submitted again */
		real->under_way--;
		job->done(job);
	}
}

static void loop_woken(struct lb_watch *watch, uint32_t events)
{
	struct real_loop *real = (struct real_loop *)((char *)watch - offsetof(struct real_loop, wake));

	(void)events;
	lower_event(watch);
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
	struct real_loop *real = real_of(loop);

	job->next = NULL;
	real->under_way++;
	pthread_mutex_lock(&real->mutex);
	queue_append(&real->submitted, job, job);
	pthread_cond_signal(&real->changed);
	pthread_mutex_unlock(&real->mutex);
}

static const struct lb_loop_ops epoll_ops = {
	.watch = loop_watch,
	.rewatch = loop_rewatch,
	.unwatch = loop_unwatch,
	.submit = loop_submit,
};

/* An eventfd that the loop watches. */
static int add_event(
	struct real_loop *real, struct lb_watch *watch, void (*ready)(struct lb_watch *, uint32_t))
{
	watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (watch->fd < 0)
		return -errno;
	watch->events = EPOLLIN;
	watch->ready = ready;
	return loop_watch(&real->loop, watch);
}

int lb_loop_new(struct lb_host *host, struct lb_loop **loopp)
{
	struct real_loop *real = calloc(1, sizeof *real);
	int r;

	if (real == NULL)
		return -ENOMEM;
	real->wake.fd = real->finish.fd = -1;
	real->loop.ops = &epoll_ops;
	real->loop.host = host;
	lb_wheel_init(&real->loop.wheel, host->clock->now(host));
	queue_init(&real->submitted);
	queue_init(&real->finished);
	pthread_mutex_init(&real->mutex, NULL);
	pthread_cond_init(&real->changed, NULL);
	real->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = real->epoll < 0 ? -errno : 0;
	if (r == 0)
		r = add_event(real, &real->wake, loop_woken);
	if (r == 0)
		r = add_event(real, &real->finish, jobs_finished);
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
	if (real->finish.fd >= 0)
		close(real->finish.fd);
	if (real->epoll >= 0)
		close(real->epoll);
	pthread_cond_destroy(&real->changed);
	pthread_mutex_destroy(&real->mutex);
	free(real);
}

static int start_worker(struct real_loop *real)
{
	sigset_t all, before;
	int err;

	/* A new thread inherits the mask. Signals are for the thread that asked for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	real->stop = false;
	err = pthread_create(&real->worker, NULL, worker_main, real);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

static void stop_worker(struct real_loop *real)
{
	pthread_mutex_lock(&real->mutex);
	real->stop = true;
	pthread_cond_signal(&real->changed);
	pthread_mutex_unlock(&real->mutex);
	pthread_join(real->worker, NULL);
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
	int r = start_worker(real);

	if (r < 0)
		return r;
	while (r == 0 && (!real->quit || real->under_way > 0))
		r = turn_once(real);
	real->quit = false;
	stop_worker(real);
	return r;
}

void lb_loop_quit(struct lb_loop *loop)
{
	real_of(loop)->quit = true;
}

void lb_loop_wake(struct lb_loop *loop)
{
	raise_event(&real_of(loop)->wake);
}
