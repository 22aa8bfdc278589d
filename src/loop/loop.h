/* SPDX-License-Identifier: MIT */
/* An event loop behind a small interface: readiness of fds, timers, and a worker for what may block. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/timer.h"
#include "loop/host.h"

struct lb_loop;

struct lb_watch {
	int fd;
	/* EPOLLIN, EPOLLOUT, EPOLLRDHUP; level-triggered. EPOLLERR and EPOLLHUP come unasked, but with
	 * events 0 nothing comes: neither of them ever goes away again, and whoever cannot act on it now
	 * would be called for ever. */
	uint32_t events;
	void (*ready)(struct lb_watch *watch, uint32_t events);
};

/* Something for the worker. Its owner embeds it, and owns it again when `done` is called, on the loop. */
struct lb_job {
	struct lb_job *next;
	void (*done)(struct lb_job *job);
};

struct lb_loop_ops {
	int (*watch)(struct lb_loop *loop, struct lb_watch *watch);   /* adds it */
	int (*rewatch)(struct lb_loop *loop, struct lb_watch *watch); /* its events have changed */
	/* before its fd is closed; its `ready` is never called again */
	void (*unwatch)(struct lb_loop *loop, struct lb_watch *watch);
	void (*submit)(struct lb_loop *loop, struct lb_job *job);
};

struct lb_loop {
	const struct lb_loop_ops *ops;
	struct lb_host           *host;
	struct lb_wheel           wheel; /* lb_timer_set(&loop->wheel, ...) on the loop's thread */
	/* Runs on the worker, with everything that was submitted since it last ran, in that order, as a list.
	 * Leaves the list as it is. Every job's `done` is then called on the loop, where its `next` is NULL if no other
	 * one waits for that. */
	void (*work)(void *arg, struct lb_job *list);
	void *work_arg;
	/* Called on the loop after lb_loop_wake. */
	void (*woken)(void *arg);
	void *woken_arg;
};

/* The real one, on epoll(7), with one worker thread that blocks all signals. */
int  lb_loop_new(struct lb_host *host, struct lb_loop **loopp);
int  lb_loop_run(struct lb_loop *loop);  /* until lb_loop_quit; starts and joins the worker; negative errno */
void lb_loop_quit(struct lb_loop *loop); /* on the loop's thread: run returns once no job is under way */
void lb_loop_wake(struct lb_loop *loop); /* async-signal-safe, from any thread */
void lb_loop_free(struct lb_loop *loop);

#endif
