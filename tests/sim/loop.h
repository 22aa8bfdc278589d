/* SPDX-License-Identifier: MIT */
/* The event loop of a simulated process: readiness, timers and a worker, each of them at its own random pace. */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H

#include "loop/loop.h"
#include "sim/machine.h"

struct sim_watched;

struct sim_loop {
	struct lb_loop      loop; /* first */
	struct sim_process *process;
	struct sim_watched *watched;
	struct lb_job      *submitted, **last_submitted, *done, **last_done;
	bool                working, quit, wake, worker_done;
};

void sim_loop_init(struct sim_loop *loop, struct sim_process *process);
void sim_loop_deinit(struct sim_loop *loop);
/* By the process's first task: until quit and no job is under way, or until the process is dead. */
void sim_loop_run(struct sim_loop *loop);
/* Once it is dead: lets the worker finish, and calls what is done, so that all is given back. */
void sim_loop_drain(struct sim_loop *loop);
/* The other task of the process: its arg has to lead to the loop. */
void sim_loop_work(struct sim_loop *loop);

#endif
