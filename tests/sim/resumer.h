/* SPDX-License-Identifier: MIT */
/*
 * A user who writes the client by hand, on the bare machine of conn.h: one delivery, begun again and again after its
 * connection was cut, by one process or by two at once, and resumed wherever the server says. What it knows lies in no
 * file: it survives everything. A careless one settles its delivery before it knows the end, and asks on when it does.
 */
#ifndef SIM_RESUMER_H
#define SIM_RESUMER_H

#include "sim/check.h"
#include "sim/net.h"
#include <lastbyte/conn.h>

struct sim_resumer;

struct sim_attempt {
	struct sim_resumer *resumer;
	struct sim_process *process; /* NULL: none runs */
	struct sim_event    next;    /* when it begins again, or what is left of it is cleared away */
};

struct sim_resumer {
	struct sim_machine machine;
	struct sim_check  *check;
	struct sim_source *source; /* NULL: there is no such user */
	struct sim_attempt attempts[2];
	int                n_attempts;
	struct lb_id       id;
	struct lb_uuid     ledger;        /* all zero: not known yet */
	uint32_t           count;         /* of attempts */
	unsigned           asks_left;     /* when it knows the end already */
	bool               settles_first; /* the server has asked for it */
	bool               done, healed;
	unsigned           tries; /* since it is */
};

void sim_resumer_init(
	struct sim_resumer *resumer, struct sim_net *net, struct sim_check *check, uint32_t address);
void sim_resumer_deinit(struct sim_resumer *resumer);
bool sim_resumer_is_done(const struct sim_resumer *resumer);

#endif
