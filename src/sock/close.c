/* SPDX-License-Identifier: MIT */
/*
 * lb_close: the steps of ending.c, and poll(2) between them; lb_abort; lb_finish. Owns the waiting and nothing else.
 * What an ending is, and when it is over, is decided there.
 */
#include "sock/leave.h"
#include <errno.h>
#include <sys/socket.h>

int lb_close_told(int fd, const struct lb_ending *ending, const struct lb_told *told, lb_time deadline,
	struct lb_outcome *outcomep)
{
	struct lb_ending_run run;
	struct lb_tcp_wait wait = {0};
	lb_time started = lb_now();

	lb_ending_start(&run, fd, ending, started, deadline);
	if (told != NULL && run.fd >= 0) {
		run.finished = told->finished;
		run.early |= told->early;
		run.unsure = false;
		lb_ending_note(&run, told->broken != ENODATA ? told->broken : 0);
	}
	run.lingers = run.ending->policy == LB_POLICY_LINGER || run.ending->policy == LB_POLICY_LINGER_FINISH;
	while (!lb_ending_step(&run, lb_now(), outcomep))
		lb_tcp_await(&wait, run.fd, lb_ending_events(&run), lb_ending_next(&run, lb_now()),
			run.discarded + run.last_sent);
	outcomep->took = lb_now() - started;
	return run.result;
}

int lb_close(int fd, const struct lb_ending *ending, lb_time deadline, struct lb_outcome *outcomep)
{
	return lb_close_told(fd, ending, NULL, deadline, outcomep);
}

int lb_abort(int fd, struct lb_outcome *outcomep)
{
	static const struct lb_ending by_reset = {.policy = LB_POLICY_ABORT};

	return lb_close(fd, &by_reset, LB_NEVER, outcomep);
}

/* shutdown(2) of a socket that is still connecting would end that, and of one that listens says 0 and does nothing. */
int lb_finish(int fd)
{
	struct lb_tcp tcp;
	int error = lb_tcp_check(fd, &tcp);

	if (error == 0 && !tcp.connected)
		error = -ENOTCONN;
	if (error == 0 && shutdown(fd, SHUT_WR) < 0)
		error = -errno;
	return error;
}
