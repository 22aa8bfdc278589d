/* SPDX-License-Identifier: MIT */
/* Reads along what two ends say to each other, and holds them to the order of it. */
#ifndef SIM_WIRE_H
#define SIM_WIRE_H

#include "sim/check.h"
#include "sim/net.h"

void sim_wire_watch(struct sim_net *net, struct sim_check *check);

#endif
