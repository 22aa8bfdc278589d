/* SPDX-License-Identifier: MIT */
/*
 * The client's calls as a program makes them: those that wait, or, in an event loop of its own, those that start an
 * operation, and steps, which an interrupt may end. Owns nothing.
 */
#include "sim/calls.h"
#include "client/engine.h"

/* What the loop waits for, at most until then. */
static void wait_for(struct sim_hand *hand, lb_time until)
{
	struct lb_host *host = &hand->process->host;
	lb_time at = lb_client_deadline(hand->lb);

	(void)host->net->wait(
		host, lb_client_fd(hand->lb), lb_client_events(hand->lb), -1, -1, at < until ? at : until);
}

static int run(struct sim_hand *hand, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	while (!lb_client_step(hand->lb)) {
		wait_for(hand, LB_NEVER);
		if (!hand->client->healed && sim_chance(hand->world, 1))
			lb_client_interrupt(hand->lb);
	}
	return lb_client_result(hand->lb, receiptp, outcomep);
}

static int conclude(struct sim_hand *hand, int r, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	*receiptp = (struct lb_receipt){.length = 0};
	*outcomep = (struct lb_outcome){.verdict = LB_VERDICT_IN_DOUBT, .err = -r};
	return r < 0 ? r : run(hand, receiptp, outcomep);
}

static int go_on(struct sim_hand *hand, int r)
{
	struct lb_outcome outcome;

	return r < 0 ? r : run(hand, NULL, &outcome);
}

int sim_call_open(struct sim_hand *hand, const struct lb_client_options *options)
{
	struct lb_host *host = &hand->process->host;
	const char *address = hand->client->address;
	lb_time deadline = sim_hand_deadline(hand);
	struct lb_outcome outcome;
	int r;

	if (!hand->steps)
		return lb_client_open_on(host, address, options, deadline, &hand->lb, &outcome);
	r = go_on(hand, lb_client_start_open_on(host, address, options, deadline, &hand->lb, &outcome));
	if (r < 0 && hand->lb != NULL)
		lb_client_abort(hand->lb, &outcome);
	return r;
}

int sim_call_begin(struct sim_hand *hand, const struct lb_delivery *delivery)
{
	lb_time deadline = sim_hand_deadline(hand);

	return hand->steps ? go_on(hand, lb_client_start_begin(hand->lb, delivery, deadline))
			   : lb_client_begin(hand->lb, delivery, deadline);
}

int sim_call_write(struct sim_hand *hand, const void *buf, size_t len)
{
	lb_time deadline = sim_hand_deadline(hand);

	return hand->steps ? go_on(hand, lb_client_start_write(hand->lb, buf, len, deadline))
			   : lb_client_write(hand->lb, buf, len, deadline);
}

int sim_call_commit(struct sim_hand *hand, struct lb_receipt *receiptp, struct lb_outcome *outcomep)
{
	lb_time deadline = sim_hand_deadline(hand);

	return hand->steps ? conclude(hand, lb_client_start_commit(hand->lb, deadline), receiptp, outcomep)
			   : lb_client_commit(hand->lb, deadline, receiptp, outcomep);
}

int sim_call_commit_async(struct sim_hand *hand)
{
	lb_time deadline = sim_hand_deadline(hand);

	return hand->steps ? go_on(hand, lb_client_start_commit_async(hand->lb, deadline))
			   : lb_client_commit_async(hand->lb, deadline);
}

int sim_call_rollback(struct sim_hand *hand, enum lb_reason reason, struct lb_receipt *receiptp,
	struct lb_outcome *outcomep)
{
	lb_time deadline = sim_hand_deadline(hand);

	return hand->steps ? conclude(hand, lb_client_start_rollback(hand->lb, reason, deadline), receiptp,
				     outcomep)
			   : lb_client_rollback(hand->lb, reason, deadline, receiptp, outcomep);
}

int sim_call_resolve(struct sim_hand *hand, const struct lb_id *id, struct lb_receipt *receiptp,
	struct lb_outcome *outcomep)
{
	lb_time deadline = sim_hand_deadline(hand);

	return hand->steps
		       ? conclude(hand, lb_client_start_resolve(hand->lb, id, deadline), receiptp, outcomep)
		       : lb_client_resolve(hand->lb, id, deadline, receiptp, outcomep);
}

void sim_call_close(struct sim_hand *hand, struct lb_outcome *outcomep)
{
	lb_time deadline = sim_hand_deadline(hand);
	struct lb_outcome abort;

	if (!hand->steps) {
		(void)lb_client_close(hand->lb, deadline, outcomep);
		return;
	}
	lb_client_start_close(hand->lb, deadline);
	(void)run(hand, NULL, outcomep);
	lb_client_abort(hand->lb, &abort);
}

/* There is nothing to be done for a while. */
void sim_call_idle(struct sim_hand *hand)
{
	struct sim_world *world = hand->world;
	lb_time until = sim_process_now(hand->process) + sim_between(world, 0, 5 * SIM_SECOND);

	if (!hand->steps && sim_chance(world, 50)) {
		int r = lb_client_wait(hand->lb, -1, until);

		sim_trace(world, "%s: has waited: %d", hand->process->name, r);
		return;
	}
	if (!hand->steps)
		sim_task_pause(world, world->now + sim_between(world, 0, 5 * SIM_SECOND), false);
	while (hand->steps && !hand->process->dead && sim_process_now(hand->process) < until) {
		(void)lb_client_step(hand->lb);
		wait_for(hand, until);
	}
}
