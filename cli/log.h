/* SPDX-License-Identifier: MIT */
/*
 * What is said of deliveries by `serve`, on a thread of its own: whoever does not read it holds up no server. A reader
 * who is merely slow loses nothing: then the server waits for him. One who has taken no line for a second is waited for
 * no more; what is lost meanwhile is counted, and he is told when he reads again.
 */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include <lastbyte/server.h>

struct lb_log;

/* Called on the log's thread, one at a time; they may block. `lost`: so many were not printed, before the next one. */
struct lb_log_printer {
	void (*print)(void *arg, const struct lb_report *report);
	void (*lost)(void *arg, uint64_t lines);
	void *arg;
};

/* NULL: out of memory or threads. The thread has the caller's signal mask. */
struct lb_log *lb_log_new(const struct lb_log_printer *printer);

void lb_log_put(struct lb_log *log, const struct lb_report *report); /* copies it */

/* Waits until all is printed, or nobody has read for a second, or not all within 5 seconds: then it returns how many lines
 * are not printed, and the thread stays behind, at the first of these, until the process ends. */
uint64_t lb_log_end(struct lb_log *log);

#endif
