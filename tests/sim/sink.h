/* SPDX-License-Identifier: MIT */
/* A sink around a sink, which shows the oracle what the server asks of it and what it answers. */
#ifndef SIM_SINK_H
#define SIM_SINK_H

#include "sim/check.h"

struct sim_sink {
	struct lb_sink      sink; /* first */
	struct lb_sink     *real;
	struct sim_process *process;
	struct sim_check   *check;
};

void sim_sink_init(
	struct sim_sink *sink, struct lb_sink *real, struct sim_process *process, struct sim_check *check);

#endif
