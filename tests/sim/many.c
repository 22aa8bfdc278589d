/* SPDX-License-Identifier: MIT */
/*
 * A command that has many deliveries undecided at once: begins the next one before the last has its verdict, and hears
 * of them by callback or one by one. Numbers that it has reserved are settled by asking, and never begun again.
 */
#include "sim/calls.h"
#include "client/journal.h"
#include <errno.h>

/* The wishes that this invocation works on. */
struct many {
	struct sim_hand *hand;
	bool mine[SIM_SOURCES];
	bool by_call;  /* verdicts come by lb_client_decision, else by callback */
	bool reserves; /* so that no source leads to what is open */
};

/* While it works on a wish, no other invocation does. */
static void keep(struct many *many, struct sim_wish *wish, bool busy)
{
	wish->busy = many->mine[wish - many->hand->client->wishes] = busy;
}

static void decide(struct many *many, const struct lb_decision *decision)
{
	struct sim_hand one = *many->hand;

	one.wish = decision->tag;
	one.id = decision->receipt.id;
	one.compared = false;
	if (decision->outcome.verdict == LB_VERDICT_COMMITTED && !one.process->dead)
		sim_check_replied(one.client->check, &one.id, decision->reply, decision->reply_len);
	sim_hand_told(&one, &decision->outcome, &decision->receipt);
	keep(many, one.wish, false);
}

static void decided(void *arg, const struct lb_decision *decision)
{
	decide(arg, decision);
}

/* With a deadline that has passed: those that have come. */
static void hear(struct many *many, lb_time deadline)
{
	struct lb_decision decision;

	while (!many->hand->process->dead &&
		lb_client_decision(many->hand->lb, deadline, many->by_call ? &decision : NULL) == 0)
		if (many->by_call)
			decide(many, &decision);
}

bool sim_hand_may_begin(struct sim_hand *hand, struct sim_wish *wish, bool unnamed)
{
	struct sim_hand one = *hand;
	int found;

	if ((!unnamed && !wish->unnamed) || !wish->doubted)
		return true;
	one.wish = wish;
	found = sim_hand_has_open(&one);
	if (found <= 0)
		return found == 0;
	sim_hand_resolve(&one, &wish->id);
	return !wish->done && !one.process->dead && !wish->doubted;
}

static bool send_one(struct many *many, struct sim_wish *wish)
{
	struct sim_hand *hand = many->hand;
	struct sim_source *source = wish->source;
	struct sim_world *world = hand->world;
	struct lb_delivery delivery = {.name = source->name,
		.length = sim_chance(world, 50) ? source->len : LB_UNKNOWN,
		.source = many->reserves ? NULL : source->path,
		.read_again = sim_chance(world, 50) ? sim_hand_read_again : NULL,
		.read_again_arg = source,
		.tag = wish,
		.note = source->name};
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	int result;

	keep(many, wish, true);
	if (!sim_hand_may_begin(hand, wish, many->reserves)) {
		keep(many, wish, false);
		return !hand->process->dead;
	}
	result = sim_call_begin(hand, &delivery);
	if (result == -EBUSY || result == -EINVAL || hand->process->dead) {
		keep(many, wish, false);
		return !hand->process->dead;
	}
	hand->wish = wish;
	sim_hand_begun(hand, many->reserves);
	sim_trace(world, "%s: begins %s as %llu: %d", hand->process->name, source->name,
		(unsigned long long)hand->id.number, result);
	if (hand->id.number != 0)
		sim_check_begins(hand->client->check, &hand->id, source);
	result = sim_call_write(hand, source->bytes, source->len);
	source->wanted = source->wanted || result == 0 || result == -ECONNABORTED;
	if (result == 0 || result == -ECONNABORTED)
		result = sim_call_commit_async(hand);
	if (result == 0 || hand->process->dead)
		return !hand->process->dead;
	hand->compared = false;
	result = sim_call_rollback(hand, LB_REASON_ROLLED_BACK, &receipt, &outcome);
	sim_hand_told(hand, &outcome, &receipt);
	keep(many, wish, false);
	return result != -EINVAL && !hand->process->dead;
}

static void send_all(struct many *many)
{
	struct sim_client *client = many->hand->client;
	struct sim_world *world = many->hand->world;
	bool go_on = true;

	for (int i = 0; i < client->n_wishes && go_on && !many->hand->process->dead; i++) {
		struct sim_wish *wish = &client->wishes[i];

		if (!wish->done && !wish->busy)
			go_on = send_one(many, wish);
		if (sim_chance(world, 30))
			hear(many, 0);
		if (sim_chance(world, 1))
			lb_client_keep(many->hand->lb);
		if (sim_chance(world, 3) && !many->hand->process->dead)
			sim_call_idle(many->hand);
		if (!client->healed && sim_chance(world, 2))
			return; /* it vanishes */
	}
	if (many->by_call || sim_chance(world, 50))
		hear(many, sim_hand_deadline(many->hand));
}

void sim_hand_send_many(struct sim_hand *hand)
{
	struct sim_world *world = hand->world;
	struct many many = {
		.hand = hand, .by_call = sim_chance(world, 50), .reserves = sim_chance(world, 50)};
	struct lb_client_options options = {.state_dir = "/state",
		.idle_timeout = sim_between(world, 1, 60) * SIM_SECOND,
		.retry = sim_chance(world, 60),
		.replay = (size_t)sim_between(world, 1, sim_chance(world, 50) ? 300 : 20000),
		.waiting = sim_hand_waits,
		.waiting_arg = hand,
		.pipeline = sim_chance(world, 60),
		.numbers = many.reserves ? 1 + (unsigned)sim_below(
						       world, sim_chance(world, 80) ? 16 : LB_NUMBERS_MAX)
					 : 0,
		.decided = many.by_call ? NULL : decided,
		.decided_arg = &many};
	struct lb_outcome outcome;

	if (sim_call_open(hand, &options) != 0)
		return;
	send_all(&many);
	if (sim_chance(world, 90))
		sim_call_close(hand, &outcome);
	else
		lb_client_abort(hand->lb, &outcome);
	for (int i = 0; i < hand->client->n_wishes; i++)
		if (many.mine[i])
			hand->client->wishes[i].busy = false;
}
