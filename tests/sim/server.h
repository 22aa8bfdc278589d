/* SPDX-License-Identifier: MIT */
/* The real server on a simulated machine, of its own or beside others with one database, started again whenever it has
 * ended. */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "server/server.h"
#include "sim/loop.h"
#include "sim/net.h"
#include "sim/sink.h"
#include "sim/vfs.h"

struct sim_server {
	struct sim_machine            machine; /* its own, if `home` is itself */
	struct sim_server            *home;    /* on whose machine, and with whose deliveries, it runs */
	struct sim_check             *check;
	const char                   *name;
	struct sockaddr_in            address;
	char                          listen[32];
	struct lb_server_options      options;
	struct lb_sink_dir_options    kept;
	struct lb_sink_sqlite_options rows;
	struct sim_event              restart;
	bool                          resting;  /* not to be started again */
	bool                          healed;   /* from now on nothing excuses a failure to start */
	unsigned                      failures; /* to start, since */
	struct lb_uuid                ledger;   /* the present one of this home; all zero: not known */
	/* of the present process; NULL: none */
	struct sim_process *process;
	struct sim_loop     loop;
	struct sim_sink     sink;
	struct lb_server   *server;
	bool                stopped;
};

/* `home` NULL: on a machine of its own. */
void sim_server_init(struct sim_server *server, struct sim_net *net, struct sim_check *check,
	const char *name, struct sim_server *home);
void sim_server_deinit(struct sim_server *server); /* it rests, and has no process */

void sim_server_start(struct sim_server *server, lb_time at);
void sim_server_stop(struct sim_server *server); /* SIGTERM */
void sim_server_doom(struct sim_server *server); /* dies at some operation from now on */
/* An operator replaces the inbox or the database by an empty one: only while no process of the machine runs. */
void sim_server_wipe(struct sim_server *server);

#endif
