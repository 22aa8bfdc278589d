/* SPDX-License-Identifier: MIT */
/*
 * The server's machine: boots, opens the sink, serves on a simulated loop, and does it again after whatever ended
 * it. Owns the disk and, while it runs, the process with all that the real server made in it.
 */
#include "sim/server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reap(struct sim_event *event)
{
	struct sim_server *server =
		(struct sim_server *)((char *)event - offsetof(struct sim_server, restart));
	struct sim_process *process = server->process;
	struct sim_world *world = server->check->world;

	if (process != NULL) {
		for (int i = 0; i < process->tasks; i++) {
			if (!process->task[i].done) {
				sim_event_set(world, event, world->now + SIM_MS);
				return;
			}
		}
		sim_vfs_free(process->vfs);
		sim_process_free(process);
		server->process = NULL;
		sim_event_set(world, event, world->now + sim_between(world, SIM_MS, 3 * SIM_SECOND));
		return;
	}
	if (!server->resting)
		sim_server_start(server, world->now);
}

static void stopped(struct lb_server *real)
{
	struct sim_server *server = real->options.arg;

	server->loop.quit = true;
}

static void woken(void *arg)
{
	struct sim_server *server = arg;

	lb_server_begin_stop(server->server);
}

static void report(void *arg, const struct lb_report *line)
{
	struct sim_server *server = arg;

	sim_mix(server->check->world, line->verdict);
	sim_trace(server->check->world, "%s: %s %s (%s), %s, %llu bytes", server->name, line->receipt.name,
		lb_verdict_word(line->verdict), lb_reason_word(line->reason), lb_end_word(line->ended),
		(unsigned long long)line->receipt.length);
}

/* The application: whatever it replies, the next time it would be something else. */
static enum lb_reason work(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	struct sim_server *server = arg;
	struct sim_world *world = server->check->world;

	(void)work;
	if (!server->healed && sim_chance(world, 5))
		return sim_chance(world, 50) ? LB_REASON_BUSY : LB_REASON_REJECTED;
	*lenp = (size_t)sim_between(world, 1, 2000);
	for (size_t i = 0; i < *lenp; i++)
		((unsigned char *)reply)[i] = (unsigned char)sim_random_next(&world->random);
	return LB_REASON_NONE;
}

static int open_sink(struct sim_server *server, struct lb_sink **sinkp)
{
	struct sim_world *world = server->check->world;
	struct lb_host *host = &server->process->host;
	char why[256] = "";
	int result = server->check->database ? lb_sink_sqlite_open_on(host, server->name, "/" SIM_DATABASE,
						       &server->rows, sinkp, why)
					     : lb_sink_dir_open_on(host, server->name, "/" SIM_INBOX,
						       &server->kept, sinkp, why);

	if (result == 0) {
		server->home->ledger = (*sinkp)->ledger;
		return 0;
	}
	if (!server->process->dead) {
		sim_trace(world, "%s cannot open its sink: %s", server->name, why);
		/* another one that stalls may have the database for a minute yet */
		if (server->healed && ++server->failures > 9)
			sim_violation(world, 2,
				"nothing is wrong any more, and the sink cannot be opened: %s", why);
	}
	return result;
}

static void serve(struct sim_server *server)
{
	char why[256] = "";
	int result = lb_server_new_on(
		&server->loop.loop, &server->sink.sink, &server->options, stopped, &server->server, why);

	if (result != 0) {
		if (!server->process->dead)
			sim_violation(server->check->world, 11, "the server cannot start: %s", why);
		return;
	}
	server->loop.loop.woken = woken;
	server->loop.loop.woken_arg = server;
	server->loop.wake = server->resting;
	sim_loop_run(&server->loop);
	lb_server_drop(server->server);
}

static void run_server(struct sim_task *task)
{
	struct sim_process *process = task->arg;
	struct sim_server *server = process->arg;
	struct lb_sink *sink;

	sim_loop_init(&server->loop, process);
	server->server = NULL;
	if (open_sink(server, &sink) == 0) {
		sim_sink_init(&server->sink, sink, process, server->check);
		serve(server);
		sim_loop_drain(&server->loop);
		if (server->server != NULL) {
			if (server->server->n_tasks != 0)
				sim_violation(task->world, 11, "%u tasks are left when the server ends",
					server->server->n_tasks);
			lb_server_release(server->server);
		}
		lb_sink_close(&server->sink.sink);
	} else {
		sim_loop_drain(&server->loop);
	}
	sim_loop_deinit(&server->loop);
	server->server = NULL;
	sim_process_exit(process);
	sim_event_set(task->world, &server->restart, task->world->now);
}

static void run_worker(struct sim_task *task)
{
	struct sim_process *process = task->arg;
	struct sim_server *server = process->arg;

	sim_loop_work(&server->loop);
}

static void start(struct sim_event *event)
{
	struct sim_server *server =
		(struct sim_server *)((char *)event - offsetof(struct sim_server, restart));

	event->fire = reap;
	if (server->resting)
		return;
	sim_trace(server->check->world, "%s starts", server->name);
	server->home->machine.up = true;
	server->process = sim_process_new(&server->home->machine, server->name, server);
	sim_vfs_new(server->process);
	server->loop.worker_done = false;
	server->loop.submitted = NULL;
	sim_process_start(server->process, run_server);
	sim_process_start(server->process, run_worker);
}

void sim_server_start(struct sim_server *server, lb_time at)
{
	server->restart.fire = start;
	sim_event_set(server->check->world, &server->restart, at);
}

void sim_server_stop(struct sim_server *server)
{
	if (server->process == NULL || server->process->dead || server->server == NULL)
		return;
	sim_trace(server->check->world, "%s: SIGTERM", server->name);
	server->loop.wake = true;
	sim_process_notify(server->process);
}

void sim_server_doom(struct sim_server *server)
{
	struct sim_world *world = server->check->world;

	if (server->process == NULL || server->process->dead || server->process->ops_left > 0)
		return;
	server->process->only_decisive = sim_chance(world, 70);
	server->process->ops_left = 1 + sim_below(world, sim_chance(world, 50) ? 20 : 200);
	server->process->power = sim_chance(world, 60);
}

void sim_server_wipe(struct sim_server *server)
{
	static const struct lb_uuid none;
	struct sim_server *home = server->home;

	if (home->machine.processes != NULL || memcmp(&home->ledger, &none, sizeof none) == 0)
		return;
	sim_trace(home->machine.world, "what %s has is replaced by nothing", home->machine.name);
	sim_check_destroy(home->check, &home->machine, &home->ledger);
	sim_disk_wipe(home->machine.disk);
	home->ledger = none;
}

static void lost_power(struct sim_machine *machine)
{
	sim_check_inbox(machine->arg, machine);
}

static void build_machine(struct sim_server *server, struct sim_net *net)
{
	static const unsigned kept[] = {0, 30, 50, 90, 100};
	struct sim_world *world = net->world;

	server->machine = (struct sim_machine){.world = world,
		.net = net,
		.next = net->machines,
		.name = server->name,
		.address = 0x0A000001 + (uint32_t)server->check->n_servers,
		.disk = sim_disk_new(world),
		.percent_kept = kept[sim_below(world, sizeof kept / sizeof *kept)],
		.lost_power = lost_power,
		.arg = server->check};
	net->machines = &server->machine;
	sim_check_server(server->check, &server->machine);
}

/* Another port for each server of a machine. */
static void choose_address(struct sim_server *server)
{
	uint32_t address = server->home->machine.address;
	unsigned port = 7117 + (unsigned)(server - server->home);

	server->address = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(address)};
	snprintf(server->listen, sizeof server->listen, "%u.%u.%u.%u:%u", address >> 24, address >> 16 & 255,
		address >> 8 & 255, address & 255, port);
}

void sim_server_init(struct sim_server *server, struct sim_net *net, struct sim_check *check,
	const char *name, struct sim_server *home)
{
	struct sim_world *world = net->world;

	memset(server, 0, sizeof *server);
	server->check = check;
	server->name = name;
	server->home = home != NULL ? home : server;
	if (home == NULL)
		build_machine(server, net);
	choose_address(server);
	server->options = (struct lb_server_options){.listen = server->listen,
		.insecure = true,
		.max_delivery = sim_chance(world, 10) ? (uint64_t)sim_between(world, 100, 10000) : 0,
		.max_sessions = sim_chance(world, 10) ? 1 : 0,
		.idle_timeout = sim_between(world, 1, 60) * SIM_SECOND,
		.drain_timeout = sim_between(world, 100, 5000) * SIM_MS,
		.report = report,
		.arg = server,
		.work = check->works ? work : NULL,
		.work_arg = server,
		.work_max = 100000};
	server->kept = (struct lb_sink_dir_options){.keep_receipts = check->keep,
		.keep_parts = sim_chance(world, 80) ? 0 : sim_between(world, -1, 20) * SIM_SECOND,
		.parts_max = sim_chance(world, 80) ? 0 : sim_below(world, 100000)};
	server->rows = (struct lb_sink_sqlite_options){.keep_receipts = check->keep,
		.memory_max = sim_chance(world, 80) ? 0 : (uint64_t)sim_between(world, 90000, 200000)};
}

void sim_server_deinit(struct sim_server *server)
{
	if (server->home == server)
		sim_disk_free(server->machine.disk);
}
