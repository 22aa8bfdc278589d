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

#define LINES    1024
#define PATIENCE 1 /* seconds without a line printed */

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
	while (log->n > 0 || !log->over) {
		if (log->n > 0)
			print_first(log);
		else
			pthread_cond_wait(&log->changed, &log->mutex);
	}
	pthread_mutex_unlock(&log->mutex);
	return NULL;
}

/* Waits until at most `most` lines are left, as long as there is progress. */
static void await_room(struct lb_log *log, size_t most)
{
	while (log->n > most && !log->stuck) {
		uint64_t before = log->printed;
		struct timespec end;

		clock_gettime(CLOCK_MONOTONIC, &end);
		end.tv_sec += PATIENCE;
		if (pthread_cond_timedwait(&log->changed, &log->mutex, &end) != 0 && log->printed == before)
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
	await_room(log, LINES - 1);
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

void lb_log_end(struct lb_log *log)
{
	bool stuck;

	pthread_mutex_lock(&log->mutex);
	log->stuck = false; /* a last chance */
	await_room(log, 0);
	log->over = true;
	stuck = log->n > 0;
	pthread_cond_broadcast(&log->changed);
	pthread_mutex_unlock(&log->mutex);
	if (stuck)
		return;
	pthread_join(log->thread, NULL);
	if (log->lost > 0)
		log->printer.lost(log->printer.arg, log->lost);
	pthread_cond_destroy(&log->changed);
	pthread_mutex_destroy(&log->mutex);
	free(log);
}
