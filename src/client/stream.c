/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a delivery: hashed once, in the order in which they are written; sent from where the server goes on, and
 * once more what it has lost, read again or out of the replay buffer. Decides when SYNC is due. Knows neither the journal
 * nor verdicts.
 */
#include "client/link.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>

/* Whether what is written has to be kept here, for the case that the server loses it. */
static bool is_kept(const struct lb_client *client)
{
	return client->attempt->resumable && client->replay.bytes != NULL;
}

static size_t at_most(uint64_t n, uint64_t most)
{
	return (size_t)(n < most ? n : most);
}

/* Bytes from one SYNC to the next. Of what can be kept a quarter: it is answered long before the rest is full. */
static uint64_t interval(const struct lb_client *client)
{
	if (!is_kept(client))
		return client->replay_size;
	return client->replay_size >= 4 ? client->replay_size / 4 : 1;
}

bool lb_stream_can_repeat(const struct lb_client *client)
{
	const struct lb_attempt *attempt = client->attempt;

	return attempt->length == 0 || attempt->read_again != NULL ||
	       (client->replay.bytes != NULL && client->replay.to == attempt->length);
}

/* Whether all from there on can be said. */
static bool has_from(const struct lb_client *client, uint64_t offset)
{
	const struct lb_attempt *attempt = client->attempt;

	return offset >= attempt->length || attempt->read_again != NULL ||
	       (lb_stream_can_repeat(client) && offset >= client->replay.from);
}

/* Begins to keep what is written from here on, where that helps. Without the memory for it, nothing is kept. */
static void keep(struct lb_client *client)
{
	const struct lb_attempt *attempt = client->attempt;

	if (attempt->length > 0)
		return;
	if (!client->retry || !attempt->resumable || attempt->read_again != NULL ||
		lb_replay_start(&client->replay, 0, client->replay_size) < 0)
		lb_replay_stop(&client->replay);
}

void lb_stream_open(struct lb_client *client, const struct lb_event *event)
{
	struct lb_attempt *attempt = client->attempt;

	attempt->resumable = event->resumable;
	attempt->syncing = false;
	attempt->sent = attempt->asked_sync = event->offset;
	if (LB_BUG("repeat_nothing") && attempt->sent < attempt->length)
		attempt->sent = attempt->length;
	/* What an earlier process has sent of a stream need not be what comes now. */
	if (attempt->sent > attempt->length && attempt->read_again == NULL) {
		lb_delivery_begin_anew(client);
		return;
	}
	attempt->course = LB_COURSE_OPEN;
	keep(client);
	if (!has_from(client, attempt->sent))
		lb_delivery_give_up(client, LB_REASON_LOST);
	else if (client->replay.bytes != NULL)
		lb_replay_drop(&client->replay, attempt->sent);
}

void lb_stream_synced(struct lb_client *client, uint64_t offset)
{
	client->attempt->syncing = false;
	if (client->replay.bytes != NULL)
		lb_replay_drop(&client->replay, offset);
}

/* The machine keeps referring to `from` until it is written. */
static int say(struct lb_client *client, const uint8_t *from, size_t n)
{
	struct lb_attempt *attempt = client->attempt;
	int r = lb_conn_data(client->conn, attempt->handle, from, n);

	if (r < 0)
		return r;
	free(client->stash);
	client->stash = NULL;
	client->chunk = from;
	client->chunk_len = n;
	attempt->sent += n;
	return 0;
}

/* What was written before, and did not get there. */
static int say_again(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	size_t len = at_most(attempt->length - attempt->sent, LB_CHUNK);
	uint64_t offset = attempt->sent;
	ssize_t n;

	if (LB_BUG("repeat_elsewhere") && offset > 0)
		offset--;
	if (lb_link_has_output(client))
		return 1;
	if (attempt->read_again == NULL) {
		const uint8_t *bytes = lb_replay_at(&client->replay, offset, &len);

		return say(client, bytes, at_most(len, LB_CHUNK));
	}
	if (client->again == NULL)
		client->again = malloc(LB_CHUNK);
	if (client->again == NULL)
		return -ENOMEM;
	n = attempt->read_again(attempt->read_again_arg, offset, client->again, len);
	if (n > 0)
		return say(client, client->again, (size_t)n);
	lb_delivery_give_up(client, n == 0 ? LB_REASON_SOURCE_CHANGED : LB_REASON_SOURCE_UNREADABLE);
	return 0;
}

/* Whether it went out: it is asked for again when it may. */
static bool say_sync(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	bool full = is_kept(client) && lb_replay_room(&client->replay) == 0;

	if (!attempt->resumable || (attempt->read_again == NULL && !is_kept(client)))
		return false; /* nobody could go on from there */
	if (attempt->syncing || attempt->sent == attempt->asked_sync ||
		(attempt->sent - attempt->asked_sync < interval(client) && !full))
		return false;
	if (lb_conn_sync(client->conn, attempt->handle) < 0)
		return false;
	attempt->syncing = true;
	attempt->asked_sync = attempt->sent;
	return true;
}

/* What is written now, from where the server has nothing of it. */
static int say_new(struct lb_client *client, size_t n)
{
	int r = say(client, client->out, n);

	if (r == 0 && is_kept(client))
		lb_replay_put(&client->replay, client->out, n);
	return r;
}

int lb_stream_say(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	size_t n = at_most(client->out_len, LB_CHUNK);
	bool skips = attempt->sent > attempt->length; /* the server has these already */
	int r = 0;

	if (say_sync(client))
		return 0;
	if (attempt->sent < attempt->length)
		return say_again(client);
	if (is_kept(client))
		n = at_most(at_most(n, interval(client)), lb_replay_room(&client->replay));
	if (n == 0)
		return 1;
	if (skips)
		n = at_most(n, attempt->sent - attempt->length);
	else
		r = say_new(client, n);
	if (r < 0)
		return r;
	if (!skips || !LB_BUG("hash_from_offset"))
		lb_hasher_update(&attempt->hasher, client->out, n);
	attempt->length += n;
	client->out += n;
	client->out_len -= n;
	return 0;
}
