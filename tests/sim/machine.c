/* SPDX-License-Identifier: MIT */
/*
 * Machines, their clocks, and the life and death of processes. Owns neither the disk's content nor the network:
 * it tells both when a process or its machine is gone.
 */
#include "sim/machine.h"
#include "sim/net.h"
#include "sim/vfs.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static lb_time clock_now(struct lb_host *host)
{
	struct sim_process *process = sim_process_of(host);

	if (process->dead)
		process->after_death += 3600 * SIM_SECOND;
	return sim_process_now(process);
}

static int64_t clock_wall(struct lb_host *host)
{
	struct sim_process *process = sim_process_of(host);

	return INT64_C(1700000000) * SIM_SECOND + process->world->now + process->machine->wall_offset;
}

static void clock_random(struct lb_host *host, void *buf, size_t len)
{
	unsigned char *out = buf;

	for (size_t i = 0; i < len; i++)
		out[i] = (unsigned char)sim_below(sim_process_of(host)->world, 256);
}

const struct lb_clock_ops sim_clock_ops = {.now = clock_now, .wall = clock_wall, .random = clock_random};

lb_time sim_process_now(const struct sim_process *process)
{
	return process->world->now - process->machine->booted + process->after_death;
}

struct sim_process *sim_process_new(struct sim_machine *machine, const char *name, void *arg)
{
	struct sim_process *process = calloc(1, sizeof *process);

	if (process == NULL)
		abort();
	process->host = (struct lb_host){.clock = &sim_clock_ops, .net = &sim_net_ops, .disk = &sim_disk_ops};
	process->world = machine->world;
	process->machine = machine;
	process->name = name;
	process->arg = arg;
	process->next = machine->processes;
	machine->processes = process;
	return process;
}

void sim_process_start(struct sim_process *process, void (*run)(struct sim_task *task))
{
	sim_task_start(process->world, &process->task[process->tasks++], run, process);
}

static void close_files(struct sim_process *process)
{
	for (int i = 0; i < SIM_FILES; i++) {
		struct sim_open_file *file = &process->files[i];

		if (file->inode != NULL)
			sim_file_unlock_all(file->inode, file);
		file->inode = NULL;
	}
}

/* Every process of the machine may wait for a lock. */
static void notify_machine(struct sim_machine *machine)
{
	for (struct sim_process *process = machine->processes; process != NULL; process = process->next)
		sim_process_notify(process);
}

static void die(struct sim_process *process)
{
	process->dead = true;
	if (process->vfs != NULL)
		sim_vfs_die(process->vfs);
	close_files(process);
	for (int i = 0; i < process->tasks; i++)
		sim_task_hurry(&process->task[i]);
}

void sim_process_kill(struct sim_process *process)
{
	if (process->dead)
		return;
	sim_trace(process->world, "%s is killed", process->name);
	die(process);
	sim_net_drop_process(process);
	notify_machine(process->machine);
}

void sim_process_exit(struct sim_process *process)
{
	if (process->dead)
		return;
	for (int i = 0; i < SIM_FILES; i++)
		if (process->files[i].inode != NULL)
			sim_violation(process->world, 11, "%s ends with file %d open", process->name, i);
	for (int i = 0; i < process->sockets_room; i++)
		if (process->sockets[i] != NULL)
			sim_violation(process->world, 11, "%s ends with a connection open", process->name);
	process->dead = true;
	sim_net_drop_process(process);
}

void sim_process_free(struct sim_process *process)
{
	struct sim_process **linkp = &process->machine->processes;

	while (*linkp != process)
		linkp = &(*linkp)->next;
	*linkp = process->next;
	for (int i = 0; i < process->tasks; i++)
		sim_task_release(&process->task[i]);
	free(process->sockets);
	free(process);
}

void sim_machine_lose_power(struct sim_machine *machine)
{
	if (!machine->up)
		return;
	sim_trace(machine->world, "%s loses its power", machine->name);
	machine->up = false;
	sim_net_drop_machine(machine);
	for (struct sim_process *process = machine->processes; process != NULL; process = process->next) {
		if (process->dead)
			continue;
		die(process);
		sim_net_drop_process(process);
	}
	machine->booted = machine->world->now - sim_between(machine->world, SIM_MS, 100 * SIM_SECOND);
	sim_disk_lose_power(machine->disk, machine->percent_kept);
	if (sim_chance(machine->world, 30))
		machine->wall_offset += sim_between(machine->world, -7200 * SIM_SECOND, 7200 * SIM_SECOND);
	if (machine->lost_power != NULL)
		machine->lost_power(machine);
}

void sim_process_notify(struct sim_process *process)
{
	for (int i = 0; i < process->tasks; i++)
		sim_task_notify(&process->task[i]);
}

/* How long an operation takes: mostly nothing that matters, sometimes long enough for others to come first. */
static lb_time duration(struct sim_world *world, enum sim_op op)
{
	uint64_t draw = sim_below(world, 1000);

	if (op == SIM_OP_SYNC)
		return draw < 20 ? sim_between(world, SIM_MS, SIM_SECOND)
				 : sim_between(world, 50000, 5 * SIM_MS);
	if (draw < 2)
		return sim_between(world, SIM_MS, 300 * SIM_MS);
	return draw < 300 ? (lb_time)draw * 100 : 0;
}

bool sim_process_step(struct sim_process *process, enum sim_op op)
{
	struct sim_world *world = process->world;
	lb_time takes;

	sim_count_step(world);
	if (process->dead || process->instant)
		return !process->dead;
	sim_mix(world, (uint64_t)op);
	if (process->ops_left > 0 && (!process->only_decisive || op >= SIM_OP_SYNC) &&
		--process->ops_left == 0) {
		if (process->power)
			sim_machine_lose_power(process->machine);
		else
			sim_process_kill(process);
		return false;
	}
	takes = duration(world, op);
	if (op == SIM_OP_SYNC && process->next_sync > 0) {
		process->stalled_until = world->now + process->next_sync;
		process->next_sync = 0;
	}
	if (process->machine->stalled_until > world->now + takes)
		takes = process->machine->stalled_until - world->now;
	if (process->stalled_until > world->now + takes)
		takes = process->stalled_until - world->now;
	if (takes > 0 && world->current != NULL)
		sim_task_pause(world, world->now + takes, false);
	return !process->dead;
}

void sim_process_wait(struct sim_process *process, lb_time until)
{
	if (!process->dead)
		sim_task_pause(
			process->world, until == LB_NEVER ? until : until + process->machine->booted, true);
}
