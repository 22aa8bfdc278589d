/* SPDX-License-Identifier: MIT */
/* What goes wrong in a schedule, one fault at a time. When, and how often, is schedule.c's. Owns nothing. */
#include "sim/faults.h"
#include <string.h>

static struct sim_machine *any_machine(struct sim_schedule *schedule)
{
	int i = (int)sim_between(&schedule->world, 0, schedule->n_servers + schedule->n_clients - 1);

	return i < schedule->n_servers ? &schedule->servers[i].home->machine
				       : &schedule->clients[i - schedule->n_servers].machine;
}

static struct sim_server *any_server(struct sim_schedule *schedule)
{
	return &schedule->servers[sim_below(&schedule->world, (uint64_t)schedule->n_servers)];
}

/* One end of a connection that is still there, or NULL. */
static struct sim_socket *any_socket(struct sim_schedule *schedule)
{
	struct sim_socket *chosen = NULL;
	uint64_t n = 0;

	for (struct sim_link *link = schedule->net.links; link != NULL; link = link->next)
		for (int i = 0; i < 2; i++)
			if (!link->end[i].gone && sim_below(&schedule->world, ++n) == 0)
				chosen = &link->end[i];
	return chosen;
}

static void stick(struct sim_schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_socket *socket = any_socket(schedule);

	if (socket != NULL)
		socket->stuck_until =
			world->now +
			sim_between(world, SIM_MS, sim_chance(world, 50) ? SIM_SECOND : 60 * SIM_SECOND);
}

static void reset(struct sim_schedule *schedule)
{
	struct sim_socket *socket = any_socket(schedule);

	if (socket != NULL)
		sim_socket_send_rst(socket);
}

/* A client's process is gone, and what it had written arrives much later, when the next one is at it. */
static void lose_client(struct sim_schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_client *client = &schedule->clients[sim_below(world, (uint64_t)schedule->n_clients)];
	struct sim_process *process = client->runs[sim_below(world, (uint64_t)client->n_runs)].process;
	lb_time until = world->now + sim_between(world, SIM_MS, 30 * SIM_SECOND);

	if (process == NULL || process->dead)
		return;
	for (int i = 0; i < process->sockets_room; i++)
		if (process->sockets[i] != NULL)
			sim_socket_peer(process->sockets[i])->stuck_until = until;
	sim_process_kill(process);
}

static void cut(struct sim_schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_machine *machine = any_machine(schedule);

	sim_trace(world, "%s is cut off", machine->name);
	machine->cut_until =
		world->now + sim_between(world, SIM_MS, sim_chance(world, 50) ? SIM_SECOND : 60 * SIM_SECOND);
}

/* One server of several stops, as by SIGSTOP, wherever it is; or waits for the disk, in the middle of a transaction. */
static void stall_process(struct sim_schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_server *server = any_server(schedule);
	lb_time takes = sim_between(world, SIM_MS, 60 * SIM_SECOND);

	if (server->process == NULL)
		return;
	if (sim_chance(world, 50))
		server->process->next_sync = takes;
	else
		server->process->stalled_until = world->now + takes;
	sim_trace(world, "%s stalls for %lld ms", server->name, (long long)(takes / SIM_MS));
}

/* Its processes stop, as when it is busy with others or suspended; its kernel may go on, or not. */
static void stall(struct sim_schedule *schedule)
{
	struct sim_world *world = &schedule->world;
	struct sim_machine *machine = any_machine(schedule);

	if (schedule->check.database && sim_chance(world, 70)) {
		stall_process(schedule);
		return;
	}
	machine->stalled_until = world->now + sim_between(world, SIM_MS, 60 * SIM_SECOND);
	if (sim_chance(world, 50))
		machine->cut_until = machine->stalled_until;
	sim_trace(world, "%s stalls for %lld ms", machine->name,
		(long long)((machine->stalled_until - world->now) / SIM_MS));
}

static void set_clock(struct sim_schedule *schedule)
{
	const lb_time year = 365 * 24 * 3600 * SIM_SECOND;
	struct sim_machine *machine = any_machine(schedule);

	machine->wall_offset = sim_between(&schedule->world, -10 * year, 10 * year);
	sim_trace(&schedule->world, "the clock of %s is set anew", machine->name);
}

static void fill_disk(struct sim_schedule *schedule)
{
	struct sim_machine *machine = any_machine(schedule);
	struct sim_disk *disk = machine->disk;

	machine->had_trouble = true;
	disk->room = disk->room != UINT64_MAX ? UINT64_MAX : disk->used + sim_below(&schedule->world, 20000);
}

static void toggle_sync_errors(struct sim_schedule *schedule)
{
	struct sim_machine *machine = any_machine(schedule);

	machine->had_trouble = true;
	machine->sync_errors =
		machine->sync_errors != 0 ? 0 : (unsigned)sim_between(&schedule->world, 50, 500);
}

/* Somebody puts a file into the inbox, under a name that is going to be delivered. */
static void intrude(struct sim_schedule *schedule)
{
	struct sim_disk *disk = any_server(schedule)->home->machine.disk;
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

static void wipe(struct sim_schedule *schedule)
{
	struct sim_server *server = any_server(schedule);

	if (server->process != NULL)
		sim_process_kill(server->process);
	else
		sim_server_wipe(server);
}

void sim_fault_rename(struct sim_schedule *schedule)
{
	struct sim_host_name *name = &schedule->net.names[0];
	int first = (int)sim_below(&schedule->world, (uint64_t)schedule->n_servers);

	name->n = 0;
	for (int i = 0; i < schedule->n_servers; i++)
		name->addresses[name->n++] = schedule->servers[(first + i) % schedule->n_servers].address;
	if (sim_chance(&schedule->world, 50))
		name->n = 1;
}

void sim_fault_strike(struct sim_schedule *schedule, enum sim_fault fault)
{
	struct sim_server *server = any_server(schedule);

	switch (fault) {
	case SIM_FAULT_DOOM_SERVER:
		sim_server_doom(server);
		break;
	case SIM_FAULT_DOOM_CLIENT:
		sim_client_doom(
			&schedule->clients[sim_below(&schedule->world, (uint64_t)schedule->n_clients)]);
		break;
	case SIM_FAULT_LOSE_CLIENT:
		lose_client(schedule);
		break;
	case SIM_FAULT_KILL_SERVER:
		if (server->process != NULL)
			sim_process_kill(server->process);
		break;
	case SIM_FAULT_STOP_SERVER:
		sim_server_stop(server);
		break;
	case SIM_FAULT_POWER:
		sim_machine_lose_power(any_machine(schedule));
		break;
	case SIM_FAULT_CUT:
		cut(schedule);
		break;
	case SIM_FAULT_STALL:
		stall(schedule);
		break;
	case SIM_FAULT_CLOCK:
		set_clock(schedule);
		break;
	case SIM_FAULT_STUCK:
		stick(schedule);
		break;
	case SIM_FAULT_RST:
		reset(schedule);
		break;
	case SIM_FAULT_DISK_FULL:
		fill_disk(schedule);
		break;
	case SIM_FAULT_SYNC_ERRORS:
		toggle_sync_errors(schedule);
		break;
	case SIM_FAULT_TAKE:
		sim_check_take(&schedule->check, &server->home->machine);
		break;
	case SIM_FAULT_OUTSIDER:
		intrude(schedule);
		break;
	case SIM_FAULT_WIPE:
		wipe(schedule);
		break;
	case SIM_FAULT_RENAME_HOST:
		sim_fault_rename(schedule);
		break;
	case SIM_FAULTS:
		break;
	}
}
