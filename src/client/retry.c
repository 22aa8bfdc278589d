/* SPDX-License-Identifier: MIT */
/*
 * The next connection, after one that could not be made, broke, or led to a server that cannot just now: whether it can
 * help, and how long to wait before it. Owns the waiting. How a delivery goes on over it is delivery.c's and stream.c's.
 */
#include "client/link.h"
#include "base/test.h"
#include <errno.h>

#define FIRST (100 * INT64_C(1000000)) /* ns: the longest first wait */

/* Exponential, and all of it random ("full jitter"): what one restart has cut off does not come back all at once. */
lb_time lb_retry_wait(unsigned failures, uint64_t random)
{
	lb_time most = failures < 7 ? FIRST << failures : LB_RETRY_MOST;

	return (lb_time)(random % ((uint64_t)(most < LB_RETRY_MOST ? most : LB_RETRY_MOST) + 1));
}

/* What the other end or the network did may be otherwise next time; what broke the protocol, or this end, will not. */
static bool may_differ(const struct lb_outcome *end)
{
	switch (end->how) {
	case LB_END_NO_CONNECTION:
	case LB_END_FIN:
	case LB_END_RST:
	case LB_END_TIMEOUT:
		return true;
	case LB_END_NET_ERROR:
		return end->by == LB_PARTY_NETWORK;
	default:
		return false;
	}
}

/* Nobody waits for the one that is open any longer. What is undecided beside it waits for calls to come. */
static bool is_cut(const struct lb_client *client)
{
	if (client->operation == LB_OPERATION_CLOSE)
		return true;
	if (client->attempt != client->stage || client->operation == LB_OPERATION_DECISION)
		return false;
	return client->interrupted || client->host->clock->now(client->host) >= client->deadline;
}

/* Whether the delivery at hand could go on over another connection. */
static bool is_wanted(const struct lb_client *client)
{
	const struct lb_attempt *attempt = client->attempt;

	if (is_cut(client))
		return false;
	switch (attempt->course) {
	case LB_COURSE_NONE:
	case LB_COURSE_ENDED:
		return client->operation == LB_OPERATION_OPEN;
	case LB_COURSE_BEGIN:
	case LB_COURSE_OPEN:
	case LB_COURSE_COMMIT:
		return attempt->cut == LB_REASON_NONE &&
		       (attempt->earlier || lb_delivery_commit_sent(client) || lb_stream_can_repeat(client));
	case LB_COURSE_RESOLVE:
		return true;
	default:
		return false;
	}
}

/* The attempt ends with its connection. COMMIT may be on its way still, or at work. */
static void suspend(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;

	attempt->earlier = attempt->earlier || (lb_delivery_commit_sent(client) && !LB_BUG("forget_commit"));
	attempt->handle = attempt->asked = 0;
	attempt->said = attempt->withdrawing = attempt->accepted = false;
	if (attempt != client->stage)
		client->repeating = true;
	if (attempt->course == LB_COURSE_OPEN || attempt->course == LB_COURSE_COMMIT)
		attempt->course = LB_COURSE_BEGIN;
}

static void go_on_or_end(struct lb_client *client)
{
	if (is_wanted(client))
		suspend(client);
	else
		lb_delivery_broken(client);
}

/* Drops the connection for another one, over which everything goes on that can. */
static void try_again(struct lb_client *client, enum lb_reason reason)
{
	struct lb_host *host = client->host;
	struct lb_outcome why = client->end;
	lb_time wait;
	uint64_t random;

	host->clock->random(host, &random, sizeof random);
	wait = lb_retry_wait(client->failures, random);
	client->failures += client->failures < 7;
	lb_undecided_each(client, go_on_or_end);
	client->postponed = LB_REASON_NONE;
	lb_link_drop(client);
	client->link = LB_LINK_WAITING;
	client->retry_at = host->clock->now(host) + wait;
	why.reason = reason;
	if (client->waiting != NULL)
		client->waiting(client->waiting_arg, &why, wait);
}

static bool is_any_wanted(struct lb_client *client)
{
	bool wanted = false;

	client->attempt = client->stage;
	wanted = is_wanted(client);
	for (unsigned i = 0; i < client->undecided.n && !wanted; i++) {
		client->attempt = client->undecided.at[i];
		wanted = lb_delivery_is_undecided(client) && is_wanted(client);
	}
	client->attempt = client->stage;
	return wanted;
}

/* The connection has ended, and `end` says how. */
bool lb_retry_broken(struct lb_client *client)
{
	enum lb_reason reason =
		client->end.how == LB_END_NO_CONNECTION ? LB_REASON_NO_CONNECTION : LB_REASON_BROKEN;

	if (!client->retry || !may_differ(&client->end) || !is_any_wanted(client))
		return false;
	try_again(client, reason);
	return true;
}

/* What cannot be said once more is not cut off for the sake of another delivery. */
static bool is_held(struct lb_client *client)
{
	const struct lb_attempt *stage = client->stage;
	bool open = lb_delivery_is_undecided(client) && (stage->handle != 0 || stage->asked != 0);

	return lb_undecided_wait_here(client) || (open && !is_wanted(client));
}

void lb_retry_postponed(struct lb_client *client)
{
	if (client->postponed != LB_REASON_NONE && !is_held(client))
		try_again(client, client->postponed);
}

static void end_unsaid(struct lb_client *client)
{
	if (client->attempt->handle == 0 && client->attempt->asked == 0)
		lb_delivery_broken(client);
}

void lb_retry_close(struct lb_client *client)
{
	if (client->postponed != LB_REASON_NONE)
		lb_undecided_each(client, end_unsaid);
	client->postponed = LB_REASON_NONE;
}

/* The delivery, or the question, was refused. On another connection another server may answer, or this one anew. */
bool lb_retry_refused(struct lb_client *client, enum lb_reason reason)
{
	if (reason != LB_REASON_BUSY && reason != LB_REASON_GOING_AWAY)
		return false;
	if (!client->retry || !is_wanted(client))
		return false;
	suspend(client);
	client->postponed = reason;
	return true;
}

bool lb_retry_step(struct lb_client *client)
{
	const char *why;
	int r;

	if (client->host->clock->now(client->host) < client->retry_at)
		return false;
	client->link = LB_LINK_CONNECTING;
	r = lb_client_look_up(client, &why);
	if (r < 0)
		lb_client_break(client, LB_END_NO_CONNECTION, LB_PARTY_NETWORK, -r);
	else
		lb_link_connect(client);
	return true;
}
