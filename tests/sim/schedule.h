/* SPDX-License-Identifier: MIT */
/* One simulated life of some servers and clients, with all that goes wrong in it, from a seed. */
#ifndef SIM_SCHEDULE_H
#define SIM_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct sim_result {
	uint64_t hash, steps;
};

/* Ends the program when an invariant does not hold: with 0 if it is the expected one (0: none is). */
struct sim_result sim_schedule_run(uint64_t seed, bool tracing, int expected);

#endif
