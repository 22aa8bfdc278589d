/* SPDX-License-Identifier: MIT */
/* What is in a schedule, and what can go wrong there. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include "sim/client.h"
#include "sim/resumer.h"
#include "sim/server.h"

#define SIM_SERVERS SIM_ADDRESSES
#define SIM_CLIENTS 3

enum sim_fault {
	SIM_FAULT_DOOM_SERVER,
	SIM_FAULT_DOOM_CLIENT,
	SIM_FAULT_LOSE_CLIENT,
	SIM_FAULT_KILL_SERVER,
	SIM_FAULT_STOP_SERVER,
	SIM_FAULT_POWER,
	SIM_FAULT_CUT,
	SIM_FAULT_STALL,
	SIM_FAULT_CLOCK,
	SIM_FAULT_STUCK,
	SIM_FAULT_RST,
	SIM_FAULT_DISK_FULL,
	SIM_FAULT_SYNC_ERRORS,
	SIM_FAULT_TAKE,
	SIM_FAULT_OUTSIDER,
	SIM_FAULT_WIPE,
	SIM_FAULT_RENAME_HOST,
	SIM_FAULTS,
};

struct sim_schedule {
	struct sim_world   world;
	struct sim_net     net;
	struct sim_check   check;
	struct sim_server  servers[SIM_SERVERS];
	struct sim_client  clients[SIM_CLIENTS];
	struct sim_resumer resumer;
	int                n_servers, n_clients;
	unsigned           likely[SIM_FAULTS]; /* weights */
	unsigned           total;
	struct sim_event   fault;
	unsigned           faults_left;
	bool               healed;
};

void sim_fault_strike(struct sim_schedule *schedule, enum sim_fault fault);
/* Another server answers to the name, or they do in another order. */
void sim_fault_rename(struct sim_schedule *schedule);

#endif
