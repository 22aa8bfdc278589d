/* SPDX-License-Identifier: MIT */
/*
 * What a user's command does, on the real client: begin, write, commit; roll back, give up or vanish at times; ask
 * again what is in doubt. Tells the oracle what was asked for and what was said.
 */
#include "sim/hand.h"
#include "client/client.h"
#include <errno.h>
#include <string.h>

lb_time sim_hand_deadline(const struct sim_hand *hand)
{
	struct sim_world *world = hand->world;

	if (hand->client->healed)
		return sim_process_now(hand->process) + 300 * SIM_SECOND;
	return sim_process_now(hand->process) +
	       sim_between(world, 1, sim_chance(world, 20) ? 300 : 30000) * SIM_MS;
}

/* The verdict is in its hand, and the command crashes before it has handed it on. */
static void crash(struct sim_hand *hand)
{
	struct sim_world *world = hand->world;

	if (hand->client->healed || hand->process->dead || !sim_chance(world, hand->client->crashes))
		return;
	sim_trace(world, "%s: crashes before it tells of %s", hand->process->name, hand->wish->source->name);
	if (sim_chance(world, 30))
		sim_machine_lose_power(&hand->client->machine);
	else
		sim_process_kill(hand->process);
}

void sim_hand_told(struct sim_hand *hand, const struct lb_outcome *outcome, const struct lb_receipt *receipt)
{
	struct sim_wish *wish = hand->wish;
	struct sim_source *source = wish->source;
	/* Meanwhile it may have been begun under another id. */
	bool last = hand->id.number != 0 && memcmp(&hand->id, &wish->id, sizeof hand->id) == 0;

	hand->open = false;
	crash(hand);
	if (hand->process->dead)
		return;
	/* Who has restored a journal, and asks after a number, hears of what it was for. */
	if (source->loose && !hand->compared && outcome->verdict == LB_VERDICT_COMMITTED && receipt != NULL)
		source = sim_source_with(hand->client->check, receipt->name, &receipt->digest);
	if (source == NULL)
		sim_violation(hand->world, 4, "a receipt is for %s, of which nobody has that content",
			receipt->name);
	sim_trace(hand->world, "%s: %s is %s (%s)", hand->process->name, wish->source->name,
		lb_verdict_word(outcome->verdict), lb_reason_word(outcome->reason));
	if (hand->id.number != 0)
		sim_check_told(hand->client->check, &hand->id, source, outcome, receipt);
	if (source != wish->source) {
		wish->id.number = 0;
		return;
	}
	if (last)
		wish->doubted =
			outcome->verdict == LB_VERDICT_IN_DOUBT || outcome->verdict == LB_VERDICT_UNPROVEN;
	switch (outcome->verdict) {
	case LB_VERDICT_COMMITTED:
		wish->done = true;
		break;
	case LB_VERDICT_REFUSED:
	case LB_VERDICT_ROLLED_BACK:
		wish->useless++;
		if (last)
			wish->id.number = 0;
		break;
	case LB_VERDICT_IN_DOUBT:
		/* Nobody can settle what a ledger that is no more has in doubt. */
		if (hand->id.number != 0 && sim_check_is_lost(hand->client->check, &hand->id))
			wish->done = true;
		break;
	default:
		break;
	}
	/* A user who is refused for good tries once or twice more, then gives it up. */
	if (wish->useless > 2)
		wish->done = true;
}

static int write_all(struct sim_hand *hand, size_t stop_at)
{
	const struct sim_source *source = hand->wish->source;
	struct sim_world *world = hand->world;
	size_t at = 0;
	int result = 0;

	while (at < stop_at && result == 0 && !hand->process->dead) {
		size_t n = stop_at - at;

		if (sim_chance(world, 50))
			n = 1 + (size_t)sim_below(world, n);
		result = lb_client_write(hand->lb, source->bytes + at, n, sim_hand_deadline(hand));
		at += n;
		if (sim_chance(world, 5) && !hand->process->dead)
			sim_task_pause(world, world->now + sim_between(world, 0, 5 * SIM_SECOND), false);
	}
	return result;
}

/* A file on the user's disk: what was read can be read again. */
ssize_t sim_hand_read_again(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct sim_source *source = arg;
	size_t left = source->len - (size_t)offset;

	if (len > left)
		len = left;
	memcpy(buf, source->bytes + offset, len);
	return (ssize_t)len;
}

void sim_hand_waits(void *arg, const struct lb_outcome *why, lb_time wait)
{
	const struct sim_hand *hand = arg;

	if (why != NULL)
		sim_trace(hand->world, "%s: waits %lld ms: %s", hand->process->name,
			(long long)(wait / SIM_MS), lb_reason_word(why->reason));
}

static void replied(struct sim_hand *hand, const struct lb_outcome *outcome)
{
	size_t len;
	const void *reply = lb_client_reply(hand->lb, &len);

	if (outcome->verdict == LB_VERDICT_COMMITTED && !hand->process->dead)
		sim_check_replied(hand->client->check, &hand->id, reply, len);
}

void sim_hand_resolve(struct sim_hand *hand)
{
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	int result;

	hand->id = hand->wish->id;
	hand->compared = false;
	result = lb_client_resolve(hand->lb, &hand->id, sim_hand_deadline(hand), &receipt, &outcome);
	if (result != 0 && result != -EINPROGRESS)
		return;
	replied(hand, &outcome);
	sim_hand_told(hand, &outcome, &receipt);
}

/* Under which id. None, when the journal failed: then the user knows the last one still. */
void sim_hand_begun(struct sim_hand *hand, bool unnamed)
{
	hand->id = *lb_client_id(hand->lb);
	if (hand->id.number == 0)
		return;
	hand->wish->id = hand->id;
	hand->wish->doubted = true;
	hand->wish->unnamed = unnamed;
}

/* False: the command ends here, without a farewell. */
static bool deliver(struct sim_hand *hand)
{
	struct sim_source *source = hand->wish->source;
	struct sim_world *world = hand->world;
	struct lb_delivery delivery = {.name = source->name,
		.length = sim_chance(world, 50) ? source->len : LB_UNKNOWN,
		.source = source->path,
		.read_again = sim_chance(world, 70) ? sim_hand_read_again : NULL,
		.read_again_arg = source};
	bool patient = hand->client->healed;
	unsigned plan = patient ? 99 : (unsigned)sim_below(world, 100);
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	int result = lb_client_begin(hand->lb, &delivery, sim_hand_deadline(hand));

	if (result == -EBUSY || result == -EINVAL || hand->process->dead)
		return !hand->process->dead;
	sim_hand_begun(hand, false);
	sim_trace(world, "%s: begins %s as %llu: %d", hand->process->name, source->name,
		(unsigned long long)hand->id.number, result);
	hand->open = true;
	if (hand->id.number != 0) /* else it was broken already, and nothing was begun */
		sim_check_begins(hand->client->check, &hand->id, source);
	result = write_all(hand, plan < 15 ? (size_t)sim_below(world, source->len + 1) : source->len);
	if (hand->process->dead || plan < 5)
		return false;
	if (plan < 15 || (result != 0 && result != -ECONNABORTED)) {
		result = lb_client_rollback(hand->lb,
			plan < 10 ? LB_REASON_ROLLED_BACK : LB_REASON_SOURCE_CHANGED, sim_hand_deadline(hand),
			&receipt, &outcome);
	} else {
		source->wanted = true;
		hand->compared = true;
		result = lb_client_commit(hand->lb, sim_hand_deadline(hand), &receipt, &outcome);
		replied(hand, &outcome);
	}
	sim_hand_told(hand, &outcome, &receipt);
	if (!hand->process->dead && result == -EINPROGRESS && sim_chance(world, 50))
		sim_hand_resolve(hand);
	return !hand->process->dead;
}

static bool serve_wish(struct sim_hand *hand, struct sim_wish *wish)
{
	bool go_on = true;

	hand->wish = wish;
	hand->compared = false;
	wish->busy = true;
	if (wish->doubted && sim_chance(hand->world, 40) &&
		(hand->client->loose || sim_hand_has_open(hand, &wish->id)))
		sim_hand_resolve(hand);
	if (!wish->done && !hand->process->dead && sim_hand_may_begin(hand, wish, false))
		go_on = deliver(hand);
	wish->busy = hand->open;
	return go_on;
}

/* Who has nothing but an id asks whichever ledger answers, be it still on its way or not. */
static void ask_elsewhere(struct sim_hand *hand)
{
	struct lb_client_options options = {.state_dir = "/elsewhere"};
	struct sim_client *client = hand->client;
	struct lb_outcome outcome;

	hand->wish = &client->wishes[sim_below(hand->world, (uint64_t)client->n_wishes)];
	if (hand->wish->done || hand->wish->id.number == 0)
		return;
	if (lb_client_open_on(&hand->process->host, client->address, &options, sim_hand_deadline(hand),
		    &hand->lb, &outcome) != 0)
		return;
	sim_hand_resolve(hand);
	(void)lb_client_close(hand->lb, sim_hand_deadline(hand), &outcome);
}

static void send_all(struct sim_hand *hand)
{
	struct sim_client *client = hand->client;
	struct lb_client_options options = {.state_dir = "/state",
		.idle_timeout = sim_between(hand->world, 1, 60) * SIM_SECOND,
		.retry = sim_chance(hand->world, 50),
		/* with little room for it a large one takes its time, which is not what is asked for in the end */
		.replay = client->healed ? 20000
					 : (size_t)sim_between(
						   hand->world, 1, sim_chance(hand->world, 50) ? 300 : 20000),
		.waiting = sim_hand_waits,
		.waiting_arg = hand};
	struct lb_outcome outcome;
	bool go_on = true;
	int result = lb_client_open_on(&hand->process->host, client->address, &options,
		sim_hand_deadline(hand), &hand->lb, &outcome);

	sim_trace(hand->world, "%s: opens: %d (%s)", hand->process->name, result,
		lb_reason_word(outcome.reason));
	if (result != 0)
		return;
	for (int i = 0; i < client->n_wishes && go_on; i++) {
		struct sim_wish *wish = &client->wishes[i];

		if (!wish->done && !wish->busy && (client->healed || sim_chance(hand->world, 80)))
			go_on = serve_wish(hand, wish);
	}
	if (go_on && sim_chance(hand->world, 90))
		(void)lb_client_close(hand->lb, sim_hand_deadline(hand), &outcome);
	else
		lb_client_abort(hand->lb, &outcome);
	if (hand->open) {
		hand->wish->busy = false;
		sim_hand_told(hand, &outcome, NULL);
	}
	sim_trace(hand->world, "%s: ends (%s)", hand->process->name, lb_end_word(outcome.how));
}

void sim_client_run(struct sim_task *task)
{
	struct sim_process *process = task->arg;
	struct sim_invocation *run = process->arg;
	struct sim_hand hand = {.client = run->client, .process = process, .world = task->world};

	if (run->client->check->one_ledger && sim_chance(task->world, 10))
		ask_elsewhere(&hand);
	else if (run->client->many && sim_chance(task->world, 80))
		sim_hand_send_many(&hand);
	else
		send_all(&hand);
	sim_process_exit(process);
	sim_event_set(task->world, &run->next, task->world->now);
}
