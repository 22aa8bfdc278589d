/* SPDX-License-Identifier: MIT */
/*
 * The worker of worker.h. Owns its thread, its eventfd and the queues; the jobs in them are their owners'.
 * The two threads share two of the queues and `stop`, under the mutex, and nothing else.
 */
#include "loop/worker.h"
#include "loop/real.h"
#include <signal.h>

static void queue_init(struct lb_job_queue *queue)
{
	queue->first = NULL;
	queue->endp = &queue->first;
}

/* Appends the list that ends with last. */
static void queue_append(struct lb_job_queue *queue, struct lb_job *first, struct lb_job *last)
{
	*queue->endp = first;
	queue->endp = &last->next;
}

static struct lb_job *queue_take(struct lb_job_queue *queue)
{
	struct lb_job *first = queue->first;

	queue_init(queue);
	return first;
}

int lb_worker_init(struct lb_worker *worker)
{
	*worker = (struct lb_worker){.fd = lb_event_new()};
	queue_init(&worker->gathered);
	queue_init(&worker->submitted);
	queue_init(&worker->finished);
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->changed, NULL);
	return worker->fd < 0 ? worker->fd : 0;
}

void lb_worker_deinit(struct lb_worker *worker)
{
	if (worker->fd >= 0)
		close(worker->fd);
	pthread_cond_destroy(&worker->changed);
	pthread_mutex_destroy(&worker->mutex);
}

static void *work_until_stopped(void *arg)
{
	struct lb_worker *worker = arg;
	struct lb_job *list, *last;

	pthread_mutex_lock(&worker->mutex);
	for (;;) {
		while (worker->submitted.first == NULL && !worker->stop)
			pthread_cond_wait(&worker->changed, &worker->mutex);
		list = queue_take(&worker->submitted);
		if (list == NULL)
			break;
		pthread_mutex_unlock(&worker->mutex);
		worker->work(worker->work_arg, list);
		for (last = list; last->next != NULL;)
			last = last->next;
		pthread_mutex_lock(&worker->mutex);
		queue_append(&worker->finished, list, last);
		lb_event_raise(worker->fd);
	}
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

int lb_worker_start(struct lb_worker *worker, void (*work)(void *arg, struct lb_job *list), void *arg)
{
	sigset_t all, before;
	int err;

	worker->work = work;
	worker->work_arg = arg;
	worker->stop = false;
	lb_worker_hand_over(worker);
	/* A new thread inherits the mask. Signals are for the thread that asked for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&worker->thread, NULL, work_until_stopped, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

void lb_worker_stop(struct lb_worker *worker)
{
	lb_worker_hand_over(worker);
	pthread_mutex_lock(&worker->mutex);
	worker->stop = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
}

void lb_worker_submit(struct lb_worker *worker, struct lb_job *job)
{
	job->next = NULL;
	worker->under_way++;
	queue_append(&worker->gathered, job, job);
}

void lb_worker_hand_over(struct lb_worker *worker)
{
	if (worker->gathered.first == NULL)
		return;
	pthread_mutex_lock(&worker->mutex);
	*worker->submitted.endp = worker->gathered.first;
	worker->submitted.endp = worker->gathered.endp;
	pthread_mutex_unlock(&worker->mutex);
	pthread_cond_signal(&worker->changed);
	queue_init(&worker->gathered);
}

void lb_worker_finish(struct lb_worker *worker)
{
	struct lb_job *job, *next;

	pthread_mutex_lock(&worker->mutex);
	lb_event_lower(worker->fd);
	job = queue_take(&worker->finished);
	pthread_mutex_unlock(&worker->mutex);
	for (; job != NULL; job = next) {
		next = job->next; /* from `done` on, the job may be gone, or submitted again */
		worker->under_way--;
		job->done(job);
	}
}
