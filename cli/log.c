/* SPDX-License-Identifier: MIT */
/*
 * The thread that prints what `serve` says of deliveries, and the queue in front of it. Owns both; what a line looks
 * like is the printer's.
 */
#include "log.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES        1024
#define PATIENCE     1 /* seconds without a line printed */
#define END_PATIENCE 5 /* and in all, at the end */

struct line {
	struct lb_report report;
	char peer[64];
	uint64_t lost; /* before it */
};

struct lb_log {
	struct lb_log_printer printer;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* any of these */
	struct line lines[LINES];
	size_t first, n;
	uint64_t printed, lost;
	bool stuck; /* nobody reads */
	bool over;
	bool given_up; /* over, and what is left is not printed */
};

/* One line, in the queue until it is printed. Called with the lock, which it gives back meanwhile. */
static void print_first(struct lb_log *log)
{
	struct line *line = &log->lines[log->first];

	pthread_mutex_unlock(&log->mutex);
	if (line->lost > 0)
		log->printer.lost(log->printer.arg, line->lost);
	log->printer.print(log->printer.arg, &line->report);
	pthread_mutex_lock(&log->mutex);
	log->first = (log->first + 1) % LINES;
	log->n--;
	log->printed++;
	log->stuck = false;
	pthread_cond_broadcast(&log->changed);
}

static void *print_all(void *arg)
{
	struct lb_log *log = arg;

	pthread_mutex_lock(&log->mutex);
	while (!log->given_up && (log->n > 0 || !log->over)) {
		if (log->n > 0)
			print_first(log);
		else
			pthread_cond_wait(&log->changed, &log->mutex);
	}
	pthread_mutex_unlock(&log->mutex);
	return NULL;
}

static struct timespec in_seconds(time_t seconds)
{
	struct timespec then;

	clock_gettime(CLOCK_MONOTONIC, &then);
	then.tv_sec += seconds;
	return then;
}

static bool is_later(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec : one->tv_nsec > other->tv_nsec;
}

/* Waits until at most `most` lines are left, as long as there is progress, and no longer than until `last`, or NULL. */
static void await_room(struct lb_log *log, size_t most, const struct timespec *last)
{
	while (log->n > most && !log->stuck) {
		uint64_t before = log->printed;
		struct timespec end = in_seconds(PATIENCE);
		bool is_last = last != NULL && is_later(&end, last);

		if (pthread_cond_timedwait(&log->changed, &log->mutex, is_last ? last : &end) != 0 &&
			(is_last || log->printed == before))
			log->stuck = true;
	}
}

struct lb_log *lb_log_new(const struct lb_log_printer *printer)
{
	struct lb_log *log = calloc(1, sizeof *log);
	pthread_condattr_t clock;

	if (log == NULL)
		return NULL;
	log->printer = *printer;
	pthread_mutex_init(&log->mutex, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&log->changed, &clock);
	pthread_condattr_destroy(&clock);
	if (pthread_create(&log->thread, NULL, print_all, log) == 0)
		return log;
	free(log);
	return NULL;
}

void lb_log_put(struct lb_log *log, const struct lb_report *report)
{
	struct line *line;

	pthread_mutex_lock(&log->mutex);
	await_room(log, LINES - 1, NULL);
	if (log->n == LINES) {
		log->lost++;
	} else {
		line = &log->lines[(log->first + log->n++) % LINES];
		line->report = *report;
		strncpy(line->peer, report->peer, sizeof line->peer - 1);
		line->report.peer = line->peer;
		line->lost = log->lost;
		log->lost = 0;
		pthread_cond_broadcast(&log->changed);
	}
	pthread_mutex_unlock(&log->mutex);
}

/* Lines that are not printed; the first of them may be at it. */
static uint64_t count_unread(const struct lb_log *log)
{
	uint64_t unread = log->n + log->lost;

	for (size_t i = 0; i < log->n; i++)
		unread += log->lines[(log->first + i) % LINES].lost;
	return unread;
}

uint64_t lb_log_end(struct lb_log *log)
{
	const struct timespec last = in_seconds(END_PATIENCE);
	uint64_t unread = 0;

	pthread_mutex_lock(&log->mutex);
	log->stuck = false; /* a last chance */
	await_room(log, 0, &last);
	log->over = true;
	log->given_up = log->n > 0;
	if (log->given_up)
		unread = count_unread(log);
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->mutex);
	if (unread > 0) {
		pthread_detach(log->thread); /* it may wait in write(2) until the process ends */
		return unread;
	}
	pthread_join(log->thread, NULL);
	if (log->lost > 0)
		log->printer.lost(log->printer.arg, log->lost);
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->mutex);
	free(log);
	return 0;
}
