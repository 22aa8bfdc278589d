/* SPDX-License-Identifier: MIT */
/*
 * A simulated user on a machine of theirs: has some sources, runs the sending command for them again and again, as
 * a new process with the same journal, until each of them is settled. One of them in some schedules restores an old copy
 * of its journal at times, so that numbers are used again, and has several contents of one name.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "sim/check.h"
#include "sim/net.h"
#include <lastbyte/client.h>
#include <lastbyte/conn.h>

#define SIM_SOURCES (LB_UNDECIDED_MAX + 40) /* more than fill the window */
#define SIM_RUNS    2                       /* processes at once */

struct sim_client;

/* One invocation of the command. */
struct sim_invocation {
	struct sim_client  *client;
	struct sim_process *process; /* NULL: none runs */
	struct sim_event    next;    /* when it is run again, or what is left of it is cleared away */
	char                name[16];
};

struct sim_wish {
	struct sim_source *source;
	struct lb_id       id;      /* of the last attempt; number 0: none, or it will never commit */
	bool               done;    /* it is committed, or the user has given it up */
	bool               doubted; /* it was begun under that, and the user was not told how that ended */
	bool               unnamed; /* the journal cannot find its last id by its source */
	bool               busy;    /* an invocation works on it */
	unsigned           useless; /* times that it was refused for good */
};

struct sim_client {
	struct sim_machine    machine;
	struct sim_check     *check;
	const char           *address; /* as the user gives it */
	struct sim_wish       wishes[SIM_SOURCES];
	int                   n_wishes;
	struct sim_invocation runs[SIM_RUNS];
	int                   n_runs;
	bool                  healed; /* everything works now: be patient, and settle all */
	unsigned              tries;  /* since */
	unsigned         crashes; /* percent of verdicts that a command has, and dies before it tells them */
	bool             many;    /* has many deliveries undecided at once */
	bool             loose;   /* restores its journal */
	struct sim_bytes copy;    /* of it; `at` NULL: none was made */
};

void sim_client_init(struct sim_client *client, struct sim_net *net, struct sim_check *check,
	const char *name, uint32_t address, const char *server);
void sim_client_deinit(struct sim_client *client);
bool sim_client_is_done(const struct sim_client *client); /* all wishes, and no process is left */
void sim_client_run(struct sim_task *task);               /* one invocation: the task of its process */
void sim_client_doom(struct sim_client *client);          /* dies at some operation from now on */

#endif
