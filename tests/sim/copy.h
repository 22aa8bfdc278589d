/* SPDX-License-Identifier: MIT */
/* A copy of a machine, for an observer to look into: with a process that takes no time and has no planted bug. */
#ifndef SIM_COPY_H
#define SIM_COPY_H

#include "sim/check.h"

struct sim_copy {
	struct sim_machine  machine;
	struct sim_process *process;
	const char         *bug; /* what is planted in what is watched */
};

/* `name`: by which SQLite knows its process. Of two copies that are there at once each has its own. */
void sim_copy_start(struct sim_copy *copy, const struct sim_machine *machine, const char *name);
void sim_copy_end(struct sim_copy *copy);

#endif
