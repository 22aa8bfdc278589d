/* SPDX-License-Identifier: MIT */
/*
 * What a command finds open in the journal that an earlier one has left. Owns nothing: the journal alone knows, as the
 * user of a command that has crashed was told nothing.
 */
#include "sim/hand.h"
#include "client/client.h"
#include <string.h>

/* 1, and the listing ends, if the id is this one, or a number of these. */
static int covers(void *arg, const struct lb_open_delivery *open)
{
	const struct lb_id *id = arg;

	return memcmp(id->client, open->id.client, sizeof id->client) == 0 && id->number >= open->id.number &&
	       id->number - open->id.number < open->count;
}

bool sim_hand_has_open(struct sim_hand *hand, const struct lb_id *id)
{
	const struct lb_client_options options = {.state_dir = "/state"};
	struct lb_id sought = *id;

	return lb_client_each_open_on(
		       &hand->process->host, &options, hand->client->address, covers, &sought) != 0;
}
