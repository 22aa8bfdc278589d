/* SPDX-License-Identifier: MIT */
/*
 * A schedule: sets a world up, lets things go wrong for a while, then heals everything, waits until every client has
 * settled what it has open, and asks the oracle for its last word. Owns all that is in the world.
 */
#include "sim/schedule.h"
#include "sim/client.h"
#include "sim/server.h"
#include "sim/wire.h"
#include <sqlite3.h>
#include <string.h>

#define SERVERS 2
#define CLIENTS 3

enum fault {
	FAULT_DOOM_SERVER,
	FAULT_DOOM_CLIENT,
	FAULT_KILL_SERVER,
	FAULT_STOP_SERVER,
	FAULT_POWER,
	FAULT_CUT,
	FAULT_STUCK,
	FAULT_RST,
	FAULT_DISK_FULL,
	FAULT_SYNC_ERRORS,
	FAULT_TAKE,
	FAULT_OUTSIDER,
	FAULT_WIPE,
	FAULT_RENAME_HOST,
	FAULTS,
};

struct schedule {
	struct sim_world world;
	struct sim_net net;
	struct sim_check check;
	struct sim_server servers[SERVERS];
	struct sim_client clients[CLIENTS];
	int n_servers, n_clients;
	unsigned likely[FAULTS]; /* weights */
	unsigned total;
	struct sim_event fault;
	unsigned faults_left;
};

static struct sim_machine *any_machine(struct schedule *schedule)
{
	uint64_t i = sim_below(&schedule->world, (uint64_t)(schedule->n_servers + schedule->n_clients));

	return i < (uint64_t)schedule->n_servers
		       ? &schedule->servers[i].machine
		       : &schedule->clients[i - (uint64_t)schedule->n_servers].machine;
}

static struct sim_server *any_server(struct schedule *schedule)
{
	return &schedule->servers[sim_below(&schedule->world, (uint64_t)schedule->n_servers)];
}

/* One end of a connection that is still there, or NULL. */
static struct sim_socket *any_socket(struct schedule *schedule)
{
	struct sim_socket *chosen = NULL;
	uint64_t n = 0;

	for (struct sim_link *link = schedule->net.links; link != NULL; link = link->next)
		for (int i = 0; i < 2; i++)
			if (!link->end[i].gone && sim_below(&schedule->world, ++n) == 0)
				chosen = &link->end[i];
	return chosen;
}

static void stick(struct schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_socket *socket = any_socket(schedule);

	if (socket != NULL)
		socket->stuck_until =
			world->now +
			sim_between(world, SIM_MS, sim_chance(world, 50) ? SIM_SECOND : 60 * SIM_SECOND);
}

static void cut(struct schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_machine *machine = any_machine(schedule);

	sim_trace(world, "%s is cut off", machine->name);
	machine->cut_until =
		world->now + sim_between(world, SIM_MS, sim_chance(world, 50) ? SIM_SECOND : 60 * SIM_SECOND);
}

static void fill_disk(struct schedule *schedule)
{
	struct sim_disk *disk = any_machine(schedule)->disk;

	disk->room = disk->room != UINT64_MAX ? UINT64_MAX : disk->used + sim_below(&schedule->world, 20000);
}

static void toggle_sync_errors(struct schedule *schedule)
{
	struct sim_machine *machine = any_machine(schedule);

	machine->sync_errors =
		machine->sync_errors != 0 ? 0 : (unsigned)sim_between(&schedule->world, 50, 500);
}

/* Somebody puts a file into the inbox, under a name that is going to be delivered. */
static void intrude(struct schedule *schedule)
{
	struct sim_disk *disk = any_server(schedule)->machine.disk;
	const struct sim_client *client =
		&schedule->clients[sim_below(&schedule->world, (uint64_t)schedule->n_clients)];
	const char *name =
		client->wishes[sim_below(&schedule->world, (uint64_t)client->n_wishes)].source->name;
	struct sim_inode *inbox = sim_dir_find(disk->root, SIM_INBOX), *file;
	const char *watch = disk->watch;

	if (inbox == NULL || sim_dir_find(inbox, name) != NULL || disk->read_only)
		return;
	disk->watch = NULL;
	if (sim_disk_create(disk, inbox, name, false, &file) == 0) {
		if (sim_file_write(disk, file, SIM_FOREIGN, strlen(SIM_FOREIGN), 0) != 0)
			(void)sim_disk_remove(disk, inbox, name, false);
		sim_file_sync(file);
		(void)sim_disk_sync_dir(disk, inbox);
	}
	disk->watch = watch;
	sim_trace(&schedule->world, "somebody else makes %s in the inbox", name);
}

static void wipe(struct schedule *schedule)
{
	struct sim_server *server = any_server(schedule);

	if (server->process != NULL)
		sim_process_kill(server->process);
	else
		sim_server_wipe(server);
}

static void change_names(struct schedule *schedule)
{
	struct sim_host_name *name = &schedule->net.names[0];
	int first = (int)sim_below(&schedule->world, (uint64_t)schedule->n_servers);

	name->n = 0;
	for (int i = 0; i < schedule->n_servers; i++)
		name->machines[name->n++] = &schedule->servers[(first + i) % schedule->n_servers].machine;
	if (sim_chance(&schedule->world, 50))
		name->n = 1;
}

static void go_wrong(struct schedule *schedule, enum fault fault)
{
	struct sim_server *server = any_server(schedule);
	struct sim_socket *socket;

	switch (fault) {
	case FAULT_DOOM_SERVER:
		sim_server_doom(server);
		break;
	case FAULT_DOOM_CLIENT:
		sim_client_doom(
			&schedule->clients[sim_below(&schedule->world, (uint64_t)schedule->n_clients)]);
		break;
	case FAULT_KILL_SERVER:
		if (server->process != NULL)
			sim_process_kill(server->process);
		break;
	case FAULT_STOP_SERVER:
		sim_server_stop(server);
		break;
	case FAULT_POWER:
		sim_machine_lose_power(any_machine(schedule));
		break;
	case FAULT_CUT:
		cut(schedule);
		break;
	case FAULT_STUCK:
		stick(schedule);
		break;
	case FAULT_RST:
		socket = any_socket(schedule);
		if (socket != NULL)
			sim_socket_send_rst(socket);
		break;
	case FAULT_DISK_FULL:
		fill_disk(schedule);
		break;
	case FAULT_SYNC_ERRORS:
		toggle_sync_errors(schedule);
		break;
	case FAULT_TAKE:
		sim_check_take(&schedule->check, &server->machine);
		break;
	case FAULT_OUTSIDER:
		intrude(schedule);
		break;
	case FAULT_WIPE:
		wipe(schedule);
		break;
	case FAULT_RENAME_HOST:
		change_names(schedule);
		break;
	case FAULTS:
		break;
	}
}

/* Nothing is wrong any more. A file system that gave up needs the machine to start anew, and what a server could not
 * find out about its disk it finds out when it starts anew. */
static void heal(struct schedule *schedule)
{
	sim_trace(&schedule->world, "everything is healed");
	sim_net_heal(&schedule->net);
	for (struct sim_machine *machine = schedule->net.machines; machine != NULL; machine = machine->next) {
		machine->sync_errors = 0;
		machine->disk->room = UINT64_MAX;
		if (machine->disk->read_only)
			sim_machine_lose_power(machine);
		for (struct sim_process *process = machine->processes; process != NULL;
			process = process->next)
			process->ops_left = 0;
	}
	for (int i = 0; i < schedule->n_servers; i++) {
		schedule->servers[i].healed = true;
		schedule->servers[i].options.max_sessions = 0;
		sim_server_stop(&schedule->servers[i]);
	}
	for (int i = 0; i < schedule->n_clients; i++)
		schedule->clients[i].healed = true;
}

static void fault_fires(struct sim_event *event)
{
	struct schedule *schedule = (struct schedule *)((char *)event - offsetof(struct schedule, fault));
	struct sim_world *world = &schedule->world;
	uint64_t draw = sim_below(world, schedule->total);
	int fault = 0;

	if (schedule->faults_left == 0) {
		heal(schedule);
		return;
	}
	schedule->faults_left--;
	while (draw >= schedule->likely[fault])
		draw -= schedule->likely[fault++];
	sim_mix(world, (uint64_t)fault);
	go_wrong(schedule, (enum fault)fault);
	sim_event_set(world, event,
		world->now + sim_between(world, 0, sim_chance(world, 70) ? 300 * SIM_MS : 6 * SIM_SECOND));
}

/* Each schedule has its own mix, some faults often and some never: what hides behind one shows under another. */
static void choose_faults(struct schedule *schedule)
{
	static const unsigned usual[FAULTS] = {30, 20, 10, 8, 10, 12, 15, 8, 6, 4, 20, 3, 3, 5};
	struct sim_world *world = &schedule->world;

	for (int i = 0; i < FAULTS; i++)
		schedule->likely[i] = sim_chance(world, 50) ? usual[i] : 0;
	for (int i = 0; i < FAULTS; i++)
		schedule->total += schedule->likely[i];
	schedule->fault.fire = fault_fires;
	schedule->faults_left = schedule->total == 0 ? 0 : (unsigned)sim_below(world, 16);
	sim_event_set(world, &schedule->fault, world->now + sim_between(world, SIM_MS, 2 * SIM_SECOND));
}

static void set_up(struct schedule *schedule, uint64_t seed, bool tracing, int expected)
{
	static const char *const servers[SERVERS] = {"server-a", "server-b"}, *const clients[CLIENTS] = {
										      "ann", "bob", "cid"};
	struct sim_world *world = &schedule->world;

	memset(schedule, 0, sizeof *schedule);
	sim_world_init(world, seed, tracing);
	world->expected = expected;
	sim_net_init(&schedule->net, world);
	schedule->net.trouble = sim_chance(world, 50) ? 0 : (unsigned)sim_below(world, 30);
	sim_check_init(&schedule->check, world);
	schedule->check.recoveries = 25;
	sim_wire_watch(&schedule->net, &schedule->check);
	schedule->n_servers = sim_chance(world, 30) ? 2 : 1;
	schedule->n_clients = 1 + (int)sim_below(world, CLIENTS);
	for (int i = 0; i < schedule->n_servers; i++) {
		sim_server_init(&schedule->servers[i], &schedule->net, &schedule->check, servers[i],
			0x0A000001 + (uint32_t)i);
		sim_server_start(&schedule->servers[i], world->now);
	}
	schedule->net.n_names = 1;
	schedule->net.names[0].name = "inbox";
	change_names(schedule);
	for (int i = 0; i < schedule->n_clients; i++)
		sim_client_init(&schedule->clients[i], &schedule->net, &schedule->check, clients[i],
			0x0A000101 + (uint32_t)i, "inbox");
	choose_faults(schedule);
}

static bool clients_done(void *arg)
{
	const struct schedule *schedule = arg;

	for (int i = 0; i < schedule->n_clients; i++)
		if (!sim_client_is_done(&schedule->clients[i]))
			return false;
	return schedule->faults_left == 0;
}

static bool servers_down(void *arg)
{
	const struct schedule *schedule = arg;

	for (int i = 0; i < schedule->n_servers; i++)
		if (schedule->servers[i].process != NULL)
			return false;
	return true;
}

struct sim_result sim_schedule_run(uint64_t seed, bool tracing, int expected)
{
	static struct schedule schedule;
	struct sim_result result;

	set_up(&schedule, seed, tracing, expected);
	sqlite3_randomness(0, NULL);
	sim_world_run(&schedule.world, clients_done, &schedule);
	if (!clients_done(&schedule))
		sim_violation(&schedule.world, 11, "everybody waits for somebody else");
	heal(&schedule);
	for (int i = 0; i < schedule.n_servers; i++) {
		schedule.servers[i].resting = true;
		sim_server_stop(&schedule.servers[i]);
	}
	sim_world_run(&schedule.world, servers_down, &schedule);
	if (!servers_down(&schedule))
		sim_violation(&schedule.world, 11, "a server does not stop");
	sim_check_end(&schedule.check);
	result = (struct sim_result){.hash = schedule.world.hash ^ sim_random_next(&schedule.world.random),
		.steps = schedule.world.steps};
	for (int i = 0; i < schedule.n_clients; i++)
		sim_client_deinit(&schedule.clients[i]);
	for (int i = 0; i < schedule.n_servers; i++)
		sim_server_deinit(&schedule.servers[i]);
	sim_net_deinit(&schedule.net);
	sim_check_deinit(&schedule.check);
	sim_world_deinit(&schedule.world);
	return result;
}
