/* SPDX-License-Identifier: MIT */
/*
 * The user at a simulated machine: what there is to deliver, when the command is run for it, and what becomes of the
 * journal meanwhile. Owns the machine's disk; what an invocation does is client.c's.
 */
#include "sim/client.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_work(const struct sim_client *client)
{
	for (int i = 0; i < client->n_wishes; i++)
		if (!client->wishes[i].done)
			return true;
	return false;
}

/* The user makes a copy of the journal, or puts an old one back, while no process uses it. */
static void restore(struct sim_client *client)
{
	struct sim_disk *disk = client->machine.disk;
	struct sim_inode *journal = sim_disk_find(disk, "/state/journal");

	for (int i = 0; i < client->n_runs; i++)
		if (client->runs[i].process != NULL)
			return;
	if (journal == NULL || disk->read_only || disk->room != UINT64_MAX)
		return;
	if (client->copy.at == NULL || sim_chance(disk->world, 30)) {
		client->copy.len = journal->seen.len;
		client->copy.at = sim_realloc(client->copy.at, client->copy.len + 1);
		memcpy(client->copy.at, journal->seen.at, client->copy.len);
		return;
	}
	sim_trace(disk->world, "%s restores its journal", client->machine.name);
	if (sim_file_truncate(disk, journal, 0) != 0 ||
		sim_file_write(disk, journal, client->copy.at, client->copy.len, 0) != 0)
		sim_violation(disk->world, 11, "a journal cannot be restored");
	sim_file_sync(journal);
}

/* What was delivered may be delivered anew: under whichever number comes next, or was left open. */
static void send_again(struct sim_client *client)
{
	struct sim_wish *wish = &client->wishes[sim_below(client->machine.world, (uint64_t)client->n_wishes)];

	wish->done = wish->done && wish->busy;
	wish->useless = 0;
}

static void next_run(struct sim_event *event)
{
	struct sim_invocation *run =
		(struct sim_invocation *)((char *)event - offsetof(struct sim_invocation, next));
	struct sim_client *client = run->client;
	struct sim_world *world = client->machine.world;

	if (run->process != NULL) {
		sim_process_free(run->process);
		run->process = NULL;
		sim_event_set(world, event, world->now + sim_between(world, SIM_MS, 5 * SIM_SECOND));
		return;
	}
	if (client->loose && !client->healed && sim_chance(world, 50))
		restore(client);
	if (client->loose && !client->healed)
		send_again(client);
	if (client->loose && sim_chance(world, 50))
		sim_check_take(client->check, client->check->servers[0]);
	if (!has_work(client))
		return;
	if (client->healed && ++client->tries > 200)
		sim_violation(world, 5, "%s cannot settle its deliveries, though nothing is wrong any more",
			client->machine.name);
	client->machine.up = true;
	run->process = sim_process_new(&client->machine, run->name, run);
	sim_process_start(run->process, sim_client_run);
}

bool sim_client_is_done(const struct sim_client *client)
{
	for (int i = 0; i < client->n_runs; i++)
		if (client->runs[i].process != NULL)
			return false;
	return !has_work(client);
}

void sim_client_doom(struct sim_client *client)
{
	struct sim_world *world = client->machine.world;
	struct sim_process *process = client->runs[sim_below(world, (uint64_t)client->n_runs)].process;

	if (process == NULL || process->dead || process->ops_left > 0)
		return;
	process->only_decisive = sim_chance(world, 60);
	process->ops_left = 1 + sim_below(world, sim_chance(world, 50) ? 10 : 80);
	process->power = sim_chance(world, 50);
}

static size_t random_length(struct sim_world *world)
{
	unsigned draw = (unsigned)sim_below(world, 100);

	if (draw < 10)
		return (size_t)sim_below(world, 3);
	if (draw < 60)
		return (size_t)sim_below(world, 500);
	return (size_t)sim_below(world, draw < 95 ? 8000 : 80000);
}

void sim_client_init(struct sim_client *client, struct sim_net *net, struct sim_check *check,
	const char *name, uint32_t address, const char *server)
{
	static const unsigned kept[] = {0, 30, 50, 90, 100};
	struct sim_world *world = net->world;

	memset(client, 0, sizeof *client);
	client->check = check;
	client->address = server;
	client->machine = (struct sim_machine){.world = world,
		.net = net,
		.next = net->machines,
		.name = name,
		.address = address,
		.up = true,
		.disk = sim_disk_new(world),
		.percent_kept = kept[sim_below(world, sizeof kept / sizeof *kept)]};
	net->machines = &client->machine;
	client->crashes = sim_chance(world, 50) ? 0 : (unsigned)sim_between(world, 1, 30);
	client->many = sim_chance(world, 20);
	client->n_wishes = 1 + (int)sim_below(world, !client->many           ? 3
						     : sim_chance(world, 85) ? 20
									     : SIM_SOURCES);
	client->loose = check->one_ledger && sim_chance(world, 40);
	for (int i = 0; i < client->n_wishes; i++) {
		bool same = client->loose && sim_chance(world, 60);
		char file[40];

		snprintf(file, sizeof file, "%s-%d.dat", name, same ? 0 : i);
		client->wishes[i].source = sim_check_source(check, file,
			(client->many ? (size_t)sim_below(world, 400) : random_length(world)) +
				(client->loose ? 16 : 0));
		client->wishes[i].source->loose = client->loose;
		snprintf(client->wishes[i].source->path, sizeof client->wishes[i].source->path, "/home/%d/%s",
			sim_chance(world, 80) ? i : 0, file);
	}
	client->n_runs = sim_chance(world, 30) ? 2 : 1;
	for (int i = 0; i < client->n_runs; i++) {
		struct sim_invocation *run = &client->runs[i];

		run->client = client;
		run->next.fire = next_run;
		snprintf(run->name, sizeof run->name, "%s.%d", name, i);
		sim_event_set(world, &run->next, world->now + sim_between(world, 0, SIM_SECOND));
	}
}

void sim_client_deinit(struct sim_client *client)
{
	for (int i = 0; i < client->n_runs; i++)
		sim_event_cancel(client->machine.world, &client->runs[i].next);
	sim_disk_free(client->machine.disk);
	free(client->copy.at);
}
