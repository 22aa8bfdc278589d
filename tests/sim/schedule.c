/* SPDX-License-Identifier: MIT */
/*
 * A schedule: sets a world up, lets things go wrong for a while, then heals everything, waits until every client has
 * settled what it has open, and asks the oracle for its last word. Owns all that is in the world.
 */
#include "sim/schedule.h"
#include "sim/faults.h"
#include "sim/wire.h"
#include "server/ledger.h"
#include <sqlite3.h>
#include <string.h>

/* Nothing is wrong any more. A file system that gave up needs the machine to start anew, and what a server could not
 * find out about its disk it finds out when it starts anew. */
static void heal(struct sim_schedule *schedule)
{
	sim_trace(&schedule->world, "everything is healed");
	schedule->healed = true;
	sim_net_heal(&schedule->net);
	for (struct sim_machine *machine = schedule->net.machines; machine != NULL; machine = machine->next) {
		machine->sync_errors = 0;
		machine->disk->room = UINT64_MAX;
		if (machine->disk->read_only)
			sim_machine_lose_power(machine);
		for (struct sim_process *process = machine->processes; process != NULL;
			process = process->next) {
			process->ops_left = 0;
			process->next_sync = 0;
		}
	}
	for (int i = 0; i < schedule->n_servers; i++) {
		struct sim_server *server = &schedule->servers[i];

		server->healed = true;
		if (server->home->machine.had_trouble || server->options.max_sessions != 0)
			sim_server_stop(server);
		server->options.max_sessions = 0; /* of the next process */
	}
	for (int i = 0; i < schedule->n_clients; i++)
		schedule->clients[i].healed = true;
	schedule->resumer.healed = true;
}

static void fault_fires(struct sim_event *event)
{
	struct sim_schedule *schedule =
		(struct sim_schedule *)((char *)event - offsetof(struct sim_schedule, fault));
	struct sim_world *world = &schedule->world;
	uint64_t draw = sim_below(world, schedule->total);
	int fault = 0;

	if (schedule->healed) {
		/* What was begun at one server is settled there, sooner or later. */
		sim_fault_rename(schedule);
		sim_event_set(world, event, world->now + sim_between(world, SIM_SECOND, 20 * SIM_SECOND));
		return;
	}
	if (schedule->faults_left == 0) {
		heal(schedule);
		sim_event_set(world, event, world->now + SIM_SECOND);
		return;
	}
	schedule->faults_left--;
	while (draw >= schedule->likely[fault])
		draw -= schedule->likely[fault++];
	sim_mix(world, (uint64_t)fault);
	sim_fault_strike(schedule, (enum sim_fault)fault);
	sim_event_set(world, event,
		world->now + sim_between(world, 0, sim_chance(world, 70) ? 300 * SIM_MS : 6 * SIM_SECOND));
}

/* Each schedule has its own mix, some faults often and some never: what hides behind one shows under another. */
static void choose_faults(struct sim_schedule *schedule)
{
	static const unsigned usual[SIM_FAULTS] = {30, 20, 15, 10, 8, 10, 12, 6, 6, 15, 8, 6, 4, 20, 3, 3, 5};
	struct sim_world *world = &schedule->world;

	for (int i = 0; i < SIM_FAULTS; i++)
		schedule->likely[i] = sim_chance(world, 50) ? usual[i] : 0;
	if (schedule->check.database) /* one server goes on while another is in the middle of something */
		schedule->likely[SIM_FAULT_STALL] = 40;
	for (int i = 0; i < SIM_FAULTS; i++)
		schedule->total += schedule->likely[i];
	schedule->fault.fire = fault_fires;
	schedule->faults_left = schedule->total == 0 ? 0 : (unsigned)sim_below(world, 16);
	sim_event_set(world, &schedule->fault, world->now + sim_between(world, SIM_MS, 2 * SIM_SECOND));
}

static void set_up(struct sim_schedule *schedule, uint64_t seed, bool tracing, int expected)
{
	static const char *const servers[] = {"server-a", "server-b", "server-c"};
	static const char *const clients[] = {"ann", "bob", "cid"};
	struct sim_world *world = &schedule->world;

	memset(schedule, 0, sizeof *schedule);
	sim_world_init(world, seed, tracing);
	world->expected = expected;
	sim_net_init(&schedule->net, world);
	schedule->net.trouble = sim_chance(world, 50) ? 0 : (unsigned)sim_below(world, 30);
	sim_check_init(&schedule->check, world);
	/* To recover a copy takes as long as the rest of a schedule: often in some, now and then in the others. */
	schedule->check.recoveries = sim_chance(world, 10) ? 25 : 2;
	schedule->check.works = sim_chance(world, 25);
	schedule->check.database = sim_chance(world, 25);
	schedule->check.keep = schedule->check.database || sim_chance(world, 50)
				       ? (unsigned)sim_between(world, 1, 30)
				       : LB_LEDGER_KEEP;
	sim_wire_watch(&schedule->net, &schedule->check);
	schedule->n_servers = schedule->check.database
				      ? (int)sim_between(world, sim_chance(world, 80) ? 2 : 1, SIM_SERVERS)
			      : sim_chance(world, 30) ? 2
						      : 1;
	schedule->n_clients = 1 + (int)sim_below(world, SIM_CLIENTS);
	for (int i = 0; i < SIM_SERVERS && i < schedule->n_servers; i++) {
		sim_server_init(&schedule->servers[i], &schedule->net, &schedule->check, servers[i],
			schedule->check.database && i > 0 ? &schedule->servers[0] : NULL);
		sim_server_start(&schedule->servers[i], world->now);
	}
	choose_faults(schedule);
	schedule->check.one_ledger = schedule->check.n_servers == 1 && schedule->likely[SIM_FAULT_WIPE] == 0;
	schedule->net.n_names = 1;
	schedule->net.names[0].name = "inbox";
	schedule->net.names[0].turns = schedule->check.database;
	sim_fault_rename(schedule);
	for (int i = 0; i < SIM_CLIENTS && i < schedule->n_clients; i++)
		sim_client_init(&schedule->clients[i], &schedule->net, &schedule->check, clients[i],
			0x0A000101 + (uint32_t)i, "inbox");
	if (sim_chance(world, 40))
		sim_resumer_init(&schedule->resumer, &schedule->net, &schedule->check, 0x0A000201);
}

static bool clients_done(void *arg)
{
	const struct sim_schedule *schedule = arg;

	for (int i = 0; i < schedule->n_clients; i++)
		if (!sim_client_is_done(&schedule->clients[i]))
			return false;
	return schedule->faults_left == 0 && sim_resumer_is_done(&schedule->resumer);
}

static bool servers_down(void *arg)
{
	const struct sim_schedule *schedule = arg;

	for (int i = 0; i < schedule->n_servers; i++)
		if (schedule->servers[i].process != NULL)
			return false;
	return true;
}

struct sim_result sim_schedule_run(uint64_t seed, bool tracing, int expected)
{
	static struct sim_schedule schedule;
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
	sim_resumer_deinit(&schedule.resumer);
	for (int i = 0; i < schedule.n_servers; i++)
		sim_server_deinit(&schedule.servers[i]);
	sim_net_deinit(&schedule.net);
	sim_check_deinit(&schedule.check);
	sim_world_deinit(&schedule.world);
	return result;
}
