/* SPDX-License-Identifier: MIT */
/*
 * What a client says about a delivery, and when: SETTLED, then BEGIN, DATA, COMMIT; or ROLLBACK, or RESOLVE. Owns
 * nothing: what is to be said follows from where the attempt stands.
 */
#include "client/engine.h"
#include "base/test.h"
#include <errno.h>
#include <string.h>

/* "SETTLED(n) is the lowest open number in the client's journal": it makes room for the BEGIN or RESOLVE that
 * follows. */
static int say_settled(struct lb_client *client)
{
	struct lb_id lowest = {.number = client->attempt->lowest};
	int r;

	if (LB_BUG("settle_open"))
		lowest.number = client->attempt->entry.id.number;
	memcpy(lowest.client, lb_journal_client(client->journal), sizeof lowest.client);
	if (lowest.number <= client->settled ||
		memcmp(&client->attempt->entry.id, &lowest, sizeof lowest.client) != 0)
		return 0;
	r = lb_conn_settled(client->conn, &lowest);
	if (r == 0)
		client->settled = lowest.number;
	return r;
}

static int say_begin(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	const struct lb_begin begin = {
		.id = attempt->entry.id,
		.ledger = attempt->entry.ledger,
		.attempt = attempt->entry.attempt,
		.length = attempt->declared,
		.name = attempt->entry.name,
	};
	int r;

	if (client->pipeline && !lb_stream_has_from(client, 0)) {
		lb_delivery_give_up(client, LB_REASON_LOST);
		return 0;
	}
	r = say_settled(client);
	if (r == 0)
		r = lb_conn_begin(client->conn, &begin, &attempt->handle);
	attempt->accepted = false;
	if (r == 0 && client->pipeline)
		lb_stream_begin(client);
	return r;
}

/* What is written of a delivery that is committed already. */
static int hash_only(struct lb_client *client)
{
	lb_hasher_update(&client->attempt->hasher, client->out, client->out_len);
	client->attempt->length += client->out_len;
	client->out_len = 0;
	return 0;
}

static int say_commit(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	struct lb_digest digest;
	int r;

	LB_FAULT("client_commit");
	lb_hasher_digest(&attempt->hasher, &digest);
	r = lb_conn_commit(client->conn, attempt->handle, attempt->length, &digest);
	attempt->said = r == 0;
	return r;
}

static int say_rollback(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	int r = lb_conn_rollback(client->conn, attempt->handle);

	attempt->said = r == 0;
	return r;
}

/* An attempt of ours that is open there is rolled back first: the server frees what it has received. */
static int say_resolve(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	int r = 0;

	if (!attempt->said && attempt->handle != 0)
		r = say_rollback(client);
	if (r == 0)
		r = say_settled(client);
	return r < 0 ? r
		     : lb_conn_resolve(
			       client->conn, &attempt->entry.id, &attempt->entry.ledger, &attempt->asked);
}

/* What is next to be said. 1: nothing. */
static int say(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	int r;

	switch (attempt->course) {
	case LB_COURSE_BEGIN:
		if (attempt->handle == 0)
			return say_begin(client);
		return attempt->withdrawing && !attempt->said ? say_rollback(client) : 1;
	case LB_COURSE_OPEN:
		r = lb_stream_say(client);
		if (r != 1 || !attempt->whole || attempt->sent < attempt->length ||
			!lb_undecided_may_commit(client))
			return r;
		attempt->course = LB_COURSE_COMMIT;
		attempt->said = false;
		return 0;
	case LB_COURSE_COMMIT:
		return attempt->said ? 1 : say_commit(client);
	case LB_COURSE_ROLLBACK:
		return attempt->said ? 1 : say_rollback(client);
	case LB_COURSE_RESOLVE:
		return attempt->asked == 0 ? say_resolve(client) : 1;
	default:
		return 1;
	}
}

bool lb_delivery_proceed(struct lb_client *client)
{
	int r = 1;

	if (client->attempt->course == LB_COURSE_COMPARE && client->out_len > 0)
		r = hash_only(client);
	else if (client->link == LB_LINK_READY && !client->closing && lb_undecided_choose(client))
		r = say(client);
	client->attempt = client->stage;
	if (r < 0 && r != -EAGAIN)
		lb_client_break(client, LB_END_LOCAL_ABORT, LB_PARTY_SELF, -r);
	return r == 0;
}
