/* SPDX-License-Identifier: MIT */
/*
 * What a user's command does, on the real client: begin, write, commit; roll back, give up or vanish at times; ask
 * again what is in doubt. Tells the oracle what was asked for and what was said.
 */
#include "sim/calls.h"
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
	sim_trace(world, "%s: crashes before it tells of %llu", hand->process->name,
		(unsigned long long)hand->id.number);
	if (sim_chance(world, 30))
		sim_machine_lose_power(&hand->client->machine);
	else
		sim_process_kill(hand->process);
}

/* What an id was begun for; who has restored a journal, and asks after a number, hears of what it was for. */
static struct sim_source *source_of(
	const struct sim_hand *hand, const struct lb_outcome *outcome, const struct lb_receipt *receipt)
{
	struct sim_check *check = hand->client->check;
	struct sim_source *source =
		hand->wish != NULL ? hand->wish->source : sim_check_ident(check, &hand->id, NULL)->source;

	if (source != NULL && source->loose && !hand->compared && outcome->verdict == LB_VERDICT_COMMITTED &&
		receipt != NULL)
		return sim_source_with(check, receipt->name, &receipt->digest);
	return source;
}

static void told_of_wish(struct sim_hand *hand, const struct lb_outcome *outcome)
{
	struct sim_wish *wish = hand->wish;
	/* Meanwhile it may have been begun under another id. */
	bool last = hand->id.number != 0 && memcmp(&hand->id, &wish->id, sizeof hand->id) == 0;

	if (last && wish->doubted && !wish->source->loose && outcome->verdict == LB_VERDICT_FORGOTTEN)
		sim_violation(hand->world, 8, "%s is forgotten, and its client does not know its end",
			wish->source->name);
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

void sim_hand_told(struct sim_hand *hand, const struct lb_outcome *outcome, const struct lb_receipt *receipt)
{
	struct sim_wish *wish = hand->wish;
	struct sim_source *source = source_of(hand, outcome, receipt);

	hand->open = false;
	crash(hand);
	if (hand->process->dead)
		return;
	sim_trace(hand->world, "%s: %llu, %s, is %s (%s)", hand->process->name,
		(unsigned long long)hand->id.number, source != NULL ? source->name : "of nothing",
		lb_verdict_word(outcome->verdict), lb_reason_word(outcome->reason));
	if (source == NULL && outcome->verdict == LB_VERDICT_COMMITTED)
		sim_violation(hand->world, 4, "a receipt is for %s, of which nobody has that content",
			receipt->name);
	if (source != NULL && hand->id.number != 0)
		sim_check_told(hand->client->check, &hand->id, source, outcome, receipt);
	if (wish != NULL && source == wish->source)
		told_of_wish(hand, outcome);
	else if (wish != NULL)
		wish->id.number = 0;
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
		result = sim_call_write(hand, source->bytes + at, n);
		at += n;
		if (sim_chance(world, 5) && !hand->process->dead)
			sim_call_idle(hand);
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

void sim_hand_resolve(struct sim_hand *hand, const struct lb_id *id)
{
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	int result;

	hand->id = *id;
	hand->compared = false;
	result = sim_call_resolve(hand, &hand->id, &receipt, &outcome);
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

bool sim_hand_deliver(struct sim_hand *hand, const struct lb_id *id)
{
	struct sim_source *source = hand->wish->source;
	struct sim_world *world = hand->world;
	struct lb_delivery delivery = {.name = source->name,
		.length = sim_chance(world, 50) ? source->len : LB_UNKNOWN,
		.source = source->path,
		.read_again = sim_chance(world, 70) ? sim_hand_read_again : NULL,
		.read_again_arg = source,
		.id = *id};
	bool patient = hand->client->healed;
	unsigned plan = patient ? 99 : (unsigned)sim_below(world, 100);
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	int result = sim_call_begin(hand, &delivery);

	if (result == -EBUSY || result == -EINVAL || hand->process->dead)
		return !hand->process->dead;
	sim_hand_begun(hand, id->number != 0 && hand->wish->unnamed);
	sim_trace(world, "%s: begins %s as %llu: %d", hand->process->name, source->name,
		(unsigned long long)hand->id.number, result);
	hand->open = true;
	if (hand->id.number != 0) /* else it was broken already, and nothing was begun */
		sim_check_begins(hand->client->check, &hand->id, source);
	result = write_all(hand, plan < 15 ? (size_t)sim_below(world, source->len + 1) : source->len);
	if (hand->process->dead || plan < 5)
		return false;
	if (plan < 15 || (result != 0 && result != -ECONNABORTED)) {
		result = sim_call_rollback(hand, plan < 10 ? LB_REASON_ROLLED_BACK : LB_REASON_SOURCE_CHANGED,
			&receipt, &outcome);
	} else {
		source->wanted = true;
		hand->compared = true;
		result = sim_call_commit(hand, &receipt, &outcome);
		replied(hand, &outcome);
	}
	sim_hand_told(hand, &outcome, &receipt);
	if (!hand->process->dead && result == -EINPROGRESS && sim_chance(world, 50))
		sim_hand_resolve(hand, &hand->wish->id);
	return !hand->process->dead;
}

static bool serve_wish(struct sim_hand *hand, struct sim_wish *wish)
{
	static const struct lb_id none;
	bool go_on = true;

	hand->wish = wish;
	hand->compared = false;
	wish->busy = true;
	if (wish->doubted && sim_chance(hand->world, 40) &&
		(hand->client->loose || sim_hand_has_open(hand) == 1))
		sim_hand_resolve(hand, &hand->wish->id);
	if (!wish->done && !hand->process->dead && sim_hand_may_begin(hand, wish, false))
		go_on = sim_hand_deliver(hand, &none);
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
	if (sim_call_open(hand, &options) != 0)
		return;
	sim_hand_resolve(hand, &hand->wish->id);
	sim_call_close(hand, &outcome);
}

/* For what may have to be sent again. Each time that a SYNC makes room, copies of the server's disk may be recovered: not
 * so often that a schedule does not come to its end. */
static size_t some_room(const struct sim_hand *hand)
{
	size_t least = 1;

	for (int i = 0; i < hand->client->n_wishes; i++)
		if (hand->client->wishes[i].source->len / 100 > least)
			least = hand->client->wishes[i].source->len / 100;
	return least + (size_t)sim_below(hand->world, sim_chance(hand->world, 50) ? 300 : 20000);
}

bool sim_hand_open(struct sim_hand *hand, bool only_open)
{
	const struct lb_client_options options = {.state_dir = "/state",
		.idle_timeout = sim_between(hand->world, 1, 60) * SIM_SECOND,
		.retry = sim_chance(hand->world, 50),
		/* with little room for it a large one takes its time, which is not what is asked for in the end */
		.replay = hand->client->healed ? 20000 : some_room(hand),
		.waiting = sim_hand_waits,
		.waiting_arg = hand,
		.only_open = only_open};
	int result = sim_call_open(hand, &options);

	sim_trace(hand->world, "%s: opens: %d", hand->process->name, result);
	return result == 0;
}

void sim_hand_close(struct sim_hand *hand, bool orderly)
{
	struct lb_outcome outcome;

	if (sim_chance(hand->world, 5))
		lb_client_keep(hand->lb);
	if (orderly && sim_chance(hand->world, 90))
		sim_call_close(hand, &outcome);
	else
		lb_client_abort(hand->lb, &outcome);
	if (hand->open) {
		hand->wish->busy = false;
		sim_hand_told(hand, &outcome, NULL);
	}
	sim_trace(hand->world, "%s: ends (%s)", hand->process->name, lb_end_word(outcome.how));
}

static void send_all(struct sim_hand *hand)
{
	struct sim_client *client = hand->client;
	bool go_on = true;

	if (!sim_hand_open(hand, false))
		return;
	for (int i = 0; i < client->n_wishes && go_on; i++) {
		struct sim_wish *wish = &client->wishes[i];

		if (!wish->done && !wish->busy && (client->healed || sim_chance(hand->world, 80)))
			go_on = serve_wish(hand, wish);
	}
	sim_hand_close(hand, go_on);
}

void sim_client_run(struct sim_task *task)
{
	struct sim_process *process = task->arg;
	struct sim_invocation *run = process->arg;
	struct sim_hand hand = {.client = run->client,
		.process = process,
		.world = task->world,
		.steps = sim_chance(task->world, 30)};

	if (run->client->check->one_ledger && sim_chance(task->world, 10))
		ask_elsewhere(&hand);
	else if (sim_chance(
			 task->world, run->client->n_runs > 1 && !run->client->check->one_ledger ? 40 : 10))
		sim_hand_continue(&hand);
	else if (run->client->many && sim_chance(task->world, 80))
		sim_hand_send_many(&hand);
	else
		send_all(&hand);
	sim_process_exit(process);
	sim_event_set(task->world, &run->next, task->world->now);
}
