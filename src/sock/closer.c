/* SPDX-License-Identifier: MIT */
/*
 * lb_closer as its callers see it: the lock, the waiting, and how outcomes are handed out. Owns the closer and its two
 * descriptors. What an ending goes through here is in closer_work.c, where it is kept in closer_table.c.
 *
 * One descriptor is for callers to watch, an epoll(7) one. A timer descriptor in it makes it readable when a time
 * has come or something was added, so that no caller needs a timer or a second descriptor.
 */
#include "sock/closer.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STEP_BYTES  262144
#define SOCKETS_MAX (UINT32_C(1) << 30)
#define TIMER_TOKEN UINT64_MAX

/* A registration outlives our close(2) while another process holds the socket. Then the next one of the same number
 * finds it there. */
static int watch(int epoll, int fd, uint64_t token)
{
	struct epoll_event event = {.events = LB_ENDING_EDGES, .data.u64 = token};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	return errno == EEXIST ? epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) : -1;
}

static int take_events(int epoll, struct epoll_event *events, int max)
{
	return epoll_wait(epoll, events, max, 0);
}

const struct lb_closer_port lb_closer_linux = {
	.now = lb_now,
	.start = lb_ending_start,
	.step = lb_ending_step,
	.stop = lb_ending_stop,
	.watch = watch,
	.events = take_events,
};

static struct lb_ending *copy_of(const struct lb_ending *ending)
{
	struct lb_ending *copy = malloc(sizeof *copy + ending->last_len);

	if (copy == NULL)
		return NULL;
	*copy = *ending;
	copy->last = copy + 1;
	if (ending->last_len > 0)
		memcpy(copy + 1, ending->last, ending->last_len);
	return copy;
}

/* There is nobody to whom an fd could come back. */
static bool keeps(const struct lb_ending *ending)
{
	return ending != NULL && ending->on_expiry == LB_EXPIRY_KEEP;
}

static size_t quarter_of_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 4 > SOCKETS_MAX)
		return SOCKETS_MAX;
	return limit.rlim_cur < 4 ? 1 : limit.rlim_cur / 4;
}

static int set_up(struct lb_closer *closer, const struct lb_closer_options *options)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = TIMER_TOKEN};

	closer->sockets = options->sockets != 0 ? options->sockets : quarter_of_nofile();
	closer->sockets_per_peer = options->sockets_per_peer;
	closer->step_bytes = options->step_bytes != 0 ? options->step_bytes : STEP_BYTES;
	if (closer->sockets > SOCKETS_MAX || keeps(options->ending))
		return -EINVAL;
	if (options->ending != NULL && (closer->ending = copy_of(options->ending)) == NULL)
		return -ENOMEM;
	if (closer->sockets_per_peer != 0 && lb_closer_peers_init(&closer->peers) < 0)
		return -ENOMEM;
	closer->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (closer->epoll < 0)
		return -errno;
	closer->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (closer->timer < 0)
		return -errno;
	return epoll_ctl(closer->epoll, EPOLL_CTL_ADD, closer->timer, &event) < 0 ? -errno : 0;
}

static void tear_down(struct lb_closer *closer)
{
	if (closer->epoll >= 0)
		close(closer->epoll);
	if (closer->timer >= 0)
		close(closer->timer);
	lb_closer_table_deinit(&closer->table);
	free(closer->peers.buckets);
	free(closer->ending);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

int lb_closer_open(const struct lb_closer_options *options, const struct lb_closer_port *port,
	struct lb_closer **closerp)
{
	static const struct lb_closer_options defaults;
	struct lb_closer *closer = calloc(1, sizeof *closer);
	int error;

	*closerp = NULL;
	if (closer == NULL)
		return -ENOMEM;
	closer->port = port;
	closer->epoll = closer->timer = -1;
	closer->armed = LB_NEVER;
	pthread_mutex_init(&closer->lock, NULL);
	lb_closer_table_init(&closer->table, port->now());
	error = set_up(closer, options != NULL ? options : &defaults);
	if (error < 0)
		tear_down(closer);
	else
		*closerp = closer;
	return error;
}

int lb_closer_new(const struct lb_closer_options *options, struct lb_closer **closerp)
{
	return lb_closer_open(options, &lb_closer_linux, closerp);
}

/* For a socket that cannot be kept. */
static void end_at_once(struct lb_closer *closer, int fd, const struct lb_ending *ending)
{
	lb_time now = closer->port->now();
	struct lb_outcome outcome;
	struct lb_ending_run run;

	closer->port->start(&run, fd, ending, now, LB_NEVER);
	if (!closer->port->step(&run, now, &outcome))
		closer->port->stop(&run, now, LB_END_EVICTED, &outcome);
}

int lb_closer_add(struct lb_closer *closer, int fd, const struct lb_ending *ending, lb_time deadline,
	void (*done)(void *arg, const struct lb_outcome *outcome), void *arg)
{
	struct lb_ending *copy = ending != NULL && !keeps(ending) ? copy_of(ending) : NULL;
	uint32_t index = LB_CLOSER_NONE;
	int error = 0;

	pthread_mutex_lock(&closer->lock);
	if (keeps(ending))
		error = -EINVAL;
	else if (done == NULL && closer->unread >= closer->sockets)
		error = -ENOBUFS;
	else if (ending == NULL || copy != NULL)
		index = lb_closer_take(&closer->table, closer->sockets_per_peer != 0);
	if (index != LB_CLOSER_NONE) {
		struct lb_closer_entry *entry = lb_closer_entry(&closer->table, index);

		entry->done = done;
		entry->arg = arg;
		entry->copied = copy != NULL;
		error = lb_closer_begin(closer, index, fd, copy != NULL ? copy : closer->ending, deadline);
	} else {
		error = error != 0 ? error : -ENOMEM;
		end_at_once(closer, fd, ending != NULL && !keeps(ending) ? ending : closer->ending);
	}
	pthread_mutex_unlock(&closer->lock);
	if (error < 0)
		free(copy);
	return error;
}

int lb_closer_next(struct lb_closer *closer, struct lb_closed *closedp)
{
	struct lb_closer_entry *entry;
	uint32_t index;

	pthread_mutex_lock(&closer->lock);
	index = lb_closer_first(&closer->table, LB_CLOSER_UNREAD);
	if (index != LB_CLOSER_NONE) {
		entry = lb_closer_entry(&closer->table, index);
		*closedp = (struct lb_closed){.arg = entry->arg, .outcome = entry->outcome};
		lb_closer_unlist(&closer->table, index);
		lb_closer_give_back(&closer->table, index);
		closer->unread--;
	}
	pthread_mutex_unlock(&closer->lock);
	return index != LB_CLOSER_NONE ? 0 : -EAGAIN;
}

int lb_closer_fd(const struct lb_closer *closer)
{
	return closer->epoll;
}

uint32_t lb_closer_events(const struct lb_closer *closer)
{
	(void)closer;
	return EPOLLIN;
}

lb_time lb_closer_deadline(struct lb_closer *closer)
{
	lb_time armed;

	pthread_mutex_lock(&closer->lock);
	armed = closer->armed;
	pthread_mutex_unlock(&closer->lock);
	return armed;
}

/* Those that are done now: what a callback adds and is done at once has its own in the next step. */
static void call_back(struct lb_closer *closer)
{
	uint32_t last = lb_closer_last(&closer->table, LB_CLOSER_DONE), index = LB_CLOSER_NONE;

	while (index != last) {
		struct lb_closer_entry done;

		index = lb_closer_first(&closer->table, LB_CLOSER_DONE);
		done = *lb_closer_entry(&closer->table, index);
		lb_closer_unlist(&closer->table, index);
		lb_closer_give_back(&closer->table, index);
		pthread_mutex_unlock(&closer->lock);
		done.done(done.arg, &done.outcome);
		pthread_mutex_lock(&closer->lock);
	}
}

void lb_closer_step(struct lb_closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	lb_closer_work(closer);
	call_back(closer);
	lb_closer_arm(closer);
	pthread_mutex_unlock(&closer->lock);
}

/* Signals only make for a step more. */
static void await(struct lb_closer *closer, lb_time deadline)
{
	struct pollfd fd = {.fd = closer->epoll, .events = POLLIN};
	lb_time left = deadline - closer->port->now();
	struct timespec timeout;

	if (left < 0)
		left = 0;
	timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	ppoll(&fd, 1, &timeout, NULL);
}

/* Whether lb_closer_run is to go on. */
static bool runs(struct lb_closer *closer)
{
	bool go_on;

	pthread_mutex_lock(&closer->lock);
	go_on = closer->running = !closer->stopped;
	closer->stopped = false;
	pthread_mutex_unlock(&closer->lock);
	return go_on;
}

void lb_closer_run(struct lb_closer *closer)
{
	while (runs(closer)) {
		lb_closer_step(closer);
		await(closer, LB_NEVER);
	}
}

void lb_closer_stop(struct lb_closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	closer->stopped = true;
	lb_closer_wake(closer);
	pthread_mutex_unlock(&closer->lock);
}

static bool all_is_told(struct lb_closer *closer)
{
	bool told;

	pthread_mutex_lock(&closer->lock);
	told = closer->open == 0 && lb_closer_first(&closer->table, LB_CLOSER_DONE) == LB_CLOSER_NONE;
	pthread_mutex_unlock(&closer->lock);
	return told;
}

static void give_up_all(struct lb_closer *closer, enum lb_end how)
{
	pthread_mutex_lock(&closer->lock);
	lb_closer_give_up(closer, how);
	call_back(closer);
	lb_closer_arm(closer);
	pthread_mutex_unlock(&closer->lock);
}

int lb_closer_drain(struct lb_closer *closer, lb_time deadline)
{
	int result = 0;

	for (lb_closer_step(closer); !all_is_told(closer); lb_closer_step(closer)) {
		if (closer->port->now() < deadline) {
			await(closer, deadline);
		} else {
			result = -ETIMEDOUT;
			give_up_all(closer, LB_END_TIMEOUT);
		}
	}
	return result;
}

void lb_closer_free(struct lb_closer *closer)
{
	if (closer == NULL)
		return;
	while (!all_is_told(closer))
		give_up_all(closer, LB_END_LOCAL_ABORT);
	tear_down(closer);
}
