/* SPDX-License-Identifier: MIT */
/* A stack of its own to run a function on, which hands control back and forth with its creator. */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

struct sim_fiber;

struct sim_fiber *sim_fiber_start(void (*run)(void *arg), void *arg); /* runs at the first resume */
void sim_fiber_resume(struct sim_fiber *fiber); /* until it yields or its function has returned */
void sim_fiber_yield(struct sim_fiber *fiber);  /* on the fiber itself */
void sim_fiber_free(struct sim_fiber *fiber);   /* its function has returned */
void sim_fiber_cleanup(void);                   /* frees the stacks that are kept for the next fiber */

#endif
