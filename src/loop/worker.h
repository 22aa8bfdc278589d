/* SPDX-License-Identifier: MIT */
/* One thread for what may block. Jobs go to it from the loop's thread and come back there, in the same
 * order. */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include "loop/loop.h"
#include <pthread.h>

struct lb_job_queue {
	struct lb_job *first, **endp;
};

struct lb_worker {
	int fd; /* an eventfd, readable once there are jobs for lb_worker_finish */
	/* of the loop's thread */
	size_t              under_way; /* jobs submitted whose `done` was not called yet */
	struct lb_job_queue gathered;  /* submitted, and not handed over yet */
	/* its own */
	void (*work)(void *arg, struct lb_job *list);
	void               *work_arg;
	pthread_t           thread;
	pthread_mutex_t     mutex;
	pthread_cond_t      changed; /* `submitted` or `stop` has */
	struct lb_job_queue submitted, finished;
	bool                stop;
};

int  lb_worker_init(struct lb_worker *worker); /* deinit is allowed after an error too */
void lb_worker_deinit(struct lb_worker *worker);

/* `work` as in struct lb_loop. Jobs that were submitted before come with the first list. */
int lb_worker_start(struct lb_worker *worker, void (*work)(void *arg, struct lb_job *list), void *arg);

/* Waits until it has worked on what was submitted. */
void lb_worker_stop(struct lb_worker *worker);

/* Jobs are gathered, and then handed over together: that wakes the thread once, and it finds all of them. */
void lb_worker_submit(struct lb_worker *worker, struct lb_job *job);
void lb_worker_hand_over(struct lb_worker *worker);

/* Calls `done` of every job that has come back; it may submit. */
void lb_worker_finish(struct lb_worker *worker);

#endif
