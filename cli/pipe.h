/* SPDX-License-Identifier: MIT */
/* One run of `lastbyte pipe`, and what is said of it. */
#ifndef CLI_PIPE_H
#define CLI_PIPE_H

#include "escape.h"
#include "pump.h"

struct lb_pipe {
	const char       *address;
	lb_time           deadline;
	enum lb_policy    policy;
	struct lb_bytes   farewell, expect; /* none: the end of standard input is that of our stream */
	bool              json;
	char              why[512]; /* there is no connection, because of that */
	struct lb_outcome end;
	bool              answered; /* the peer has said what was expected */
	struct lb_pump    pump;     /* fd -1: there is no connection */
};

/* Says on standard error what is proven. Returns the exit code. */
int lb_pipe_print(const struct lb_pipe *pipe);

#endif
