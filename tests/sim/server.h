/* SPDX-License-Identifier: MIT */
/* A simulated machine that runs the real server, and starts it again whenever it has ended. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "server/server.h"
#include "sim/loop.h"
#include "sim/net.h"
#include "sim/sink.h"
#include "sim/vfs.h"

struct sim_server {
	struct sim_machine         machine;
	struct sim_check          *check;
	char                       listen[32];
	struct lb_server_options   options;
	struct lb_sink_dir_options kept;
	struct sim_event           restart;
	bool                       resting;  /* not to be started again */
	bool                       healed;   /* from now on nothing excuses a failure to start */
	unsigned                   failures; /* to start, since */
	struct lb_uuid             ledger;   /* its present one; all zero: not known */
	/* of the present process; NULL: none */
	struct sim_process *process;
	struct sim_loop     loop;
	struct sim_sink     sink;
	struct lb_server   *server;
	bool                stopped;
};

void sim_server_init(struct sim_server *server, struct sim_net *net, struct sim_check *check,
	const char *name, uint32_t address);
void sim_server_deinit(struct sim_server *server); /* it rests, and has no process */

void sim_server_start(struct sim_server *server, lb_time at);
void sim_server_stop(struct sim_server *server); /* SIGTERM */
void sim_server_doom(struct sim_server *server); /* dies at some operation from now on */
/* An operator replaces the inbox by an empty one: only while no process runs. */
void sim_server_wipe(struct sim_server *server);

#endif
