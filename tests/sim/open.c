/* SPDX-License-Identifier: MIT */
/*
 * What a command finds open in the journal that an earlier one has left. Owns nothing: the journal alone knows, as the
 * user of a command that has crashed was told nothing.
 */
#include "sim/hand.h"
#include "client/client.h"
#include <string.h>

#define SIM_LISTED 600 /* what one command settles */

/* 1, and the listing ends, if the id is this one, or a number of these. */
static int covers(void *arg, const struct lb_open_delivery *open)
{
	const struct lb_id *id = arg;

	return memcmp(id->client, open->id.client, sizeof id->client) == 0 && id->number >= open->id.number &&
	       id->number - open->id.number < open->count;
}

int sim_hand_has_open(struct sim_hand *hand)
{
	const struct lb_client_options options = {.state_dir = "/state"};
	const struct lb_outcome outcome = {.verdict = LB_VERDICT_NOT_COMMITTED};
	struct sim_wish *wish = hand->wish;
	struct lb_id id = wish->id;
	int result =
		lb_client_each_open_on(&hand->process->host, &options, hand->client->address, covers, &id);

	if (result == 0)
		sim_check_told(hand->client->check, &id, wish->source, &outcome, NULL);
	return result;
}

/* What was open when the command looked: deliveries, and each number of a reservation. */
struct list {
	struct sim_hand *hand;
	struct {
		struct lb_id id;
		bool delivery;
	} at[SIM_LISTED];
	int n;
};

static int add(void *arg, const struct lb_open_delivery *open)
{
	struct list *list = arg;

	if (open->count > 1 && strcmp(open->note, open->name) != 0)
		sim_violation(list->hand->world, 3, "numbers were reserved for %s, and their note is '%s'",
			open->name, open->note);
	for (unsigned i = 0; i < open->count && list->n < SIM_LISTED && !open->busy; i++, list->n++) {
		list->at[list->n].id = open->id;
		list->at[list->n].id.number += i;
		list->at[list->n].delivery = open->count == 1;
	}
	return list->n == SIM_LISTED;
}

static struct sim_wish *wish_of(struct sim_client *client, const struct lb_id *id)
{
	for (int i = 0; i < client->n_wishes; i++)
		if (memcmp(&client->wishes[i].id, id, sizeof *id) == 0)
			return &client->wishes[i];
	return NULL;
}

/* False: the command ends. */
static bool settle(struct sim_hand *hand, const struct lb_id *id, bool delivery)
{
	bool go_on = true;

	hand->wish = wish_of(hand->client, id);
	if (hand->wish != NULL && hand->wish->busy)
		return true;
	if (hand->wish != NULL)
		hand->wish->busy = true;
	if (hand->wish != NULL && delivery && sim_chance(hand->world, 50))
		go_on = sim_hand_deliver(hand, id);
	else
		sim_hand_resolve(hand, id);
	if (hand->wish != NULL)
		hand->wish->busy = hand->open;
	return go_on && !hand->process->dead;
}

void sim_hand_continue(struct sim_hand *hand)
{
	const struct lb_client_options options = {.state_dir = "/state"};
	struct list list = {.hand = hand};
	bool go_on = true;
	int result =
		lb_client_each_open_on(&hand->process->host, &options, hand->client->address, add, &list);

	sim_trace(hand->world, "%s: continues %d: %d", hand->process->name, list.n, result);
	if (result < 0 || list.n == 0)
		return;
	if (sim_chance(hand->world, 50)) /* meanwhile others settle some of it */
		sim_task_pause(
			hand->world, hand->world->now + sim_between(hand->world, 0, 5 * SIM_SECOND), false);
	if (hand->process->dead || !sim_hand_open(hand, true))
		return;
	for (int i = 0; i < list.n && go_on; i++)
		go_on = settle(hand, &list.at[i].id, list.at[i].delivery);
	sim_hand_close(hand, go_on);
}
