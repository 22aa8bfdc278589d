/* SPDX-License-Identifier: MIT */
/*
 * lb_close: the steps of ending.c, and poll(2) between them. Owns the waiting and nothing else. What an ending is,
 * and when it is over, is decided there.
 */
#include "sock/ending.h"
#include <poll.h>

/* Signals, and time-outs before `next`, only make for a step more. */
static void await(const struct lb_ending_run *run)
{
	struct pollfd fd = {.fd = run->fd, .events = (short)lb_ending_events(run)};
	lb_time now = lb_now(), left = lb_ending_next(run, now) - now;
	struct timespec timeout;

	if (left < 0)
		left = 0;
	timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	ppoll(&fd, fd.events != 0, &timeout, NULL);
}

int lb_ending_wait(struct lb_ending_run *run, struct lb_outcome *outcomep)
{
	while (!lb_ending_step(run, lb_now(), outcomep))
		await(run);
	outcomep->took = lb_now() - run->started;
	return run->result;
}

int lb_close(int fd, const struct lb_ending *ending, lb_time deadline, struct lb_outcome *outcomep)
{
	struct lb_ending_run run;

	lb_ending_start(&run, fd, ending, lb_now(), deadline);
	return lb_ending_wait(&run, outcomep);
}
