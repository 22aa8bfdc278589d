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
	return client->attempt->kept && client->attempt->resumable;
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

	return attempt->length == 0 || attempt->read_again != NULL || attempt->kept;
}

/* Whether all from there on can be said. */
bool lb_stream_has_from(const struct lb_client *client, uint64_t offset)
{
	const struct lb_attempt *attempt = client->attempt;

	return offset >= attempt->length || attempt->read_again != NULL ||
	       (attempt->kept && attempt->base + offset >= client->replay.from);
}

/* Begins to keep what is written from here on, where that helps. Without the memory for it, nothing is kept. */
static void keep(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;

	/* Of an empty one behind which others keep theirs, the place among them stays. */
	if (attempt->length > 0 || (attempt->kept && client->pipeline))
		return;
	attempt->kept = client->retry && attempt->read_again == NULL &&
			(attempt->resumable || client->pipeline) &&
			(client->replay.bytes != NULL ||
				lb_replay_start(&client->replay, 0, client->replay_size) == 0);
	attempt->base = client->replay.to;
	attempt->synced = 0;
	lb_stream_release(client);
}

void lb_stream_begin(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;

	attempt->sent = 0;
	attempt->course = LB_COURSE_OPEN;
	keep(client);
}

/* Bases ascend: the first that keeps anything keeps what comes after it, too. */
void lb_stream_release(struct lb_client *client)
{
	const struct lb_attempt *first = client->stage;

	if (client->replay.bytes == NULL)
		return;
	for (unsigned i = client->undecided.n; i-- > 0;)
		if (client->undecided.at[i]->kept)
			first = client->undecided.at[i];
	lb_replay_drop(&client->replay, first->kept ? first->base + first->synced : client->replay.to);
}

static void durable(struct lb_client *client, uint64_t offset)
{
	struct lb_attempt *attempt = client->attempt;

	/* What the caller has not written yet is not in the replay buffer. */
	attempt->synced = offset < attempt->length ? offset : attempt->length;
	lb_stream_release(client);
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
	if (!lb_stream_has_from(client, attempt->sent))
		lb_delivery_give_up(client, LB_REASON_LOST);
	else
		durable(client, attempt->sent);
}

void lb_stream_synced(struct lb_client *client, uint64_t offset)
{
	client->attempt->syncing = false;
	if (offset > client->attempt->synced)
		client->failures = 0;
	durable(client, offset);
}

/* The machine keeps referring to `from` until it is written, if that is more than it copies. */
static int say(struct lb_client *client, const uint8_t *from, size_t n)
{
	struct lb_attempt *attempt = client->attempt;
	int r = lb_conn_data(client->conn, attempt->handle, from, n);

	if (r < 0)
		return r;
	free(client->stash);
	client->stash = NULL;
	client->chunk = from;
	client->chunk_len = n > LB_DATA_COPIED ? n : 0;
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
		size_t in_a_row;
		const uint8_t *bytes = lb_replay_at(&client->replay, attempt->base + offset, &in_a_row);

		return say(client, bytes, at_most(in_a_row, len));
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

	if (r == 0 && client->attempt->kept)
		lb_replay_put(&client->replay, client->out, n);
	return r;
}

/* How much more may be kept now. A delivery that is larger than that, and is not durable in parts, is kept no longer. */
static size_t room(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	size_t n = lb_replay_room(&client->replay);

	if (attempt->resumable)
		return at_most(n, interval(client));
	if (n > 0 || client->replay.from < attempt->base)
		return n;
	attempt->kept = false;
	lb_stream_release(client);
	return SIZE_MAX;
}

static void taken(struct lb_client *client, size_t n, bool hashed)
{
	if (hashed)
		lb_hasher_update(&client->attempt->hasher, client->out, n);
	client->attempt->length += n;
	client->out += n;
	client->out_len -= n;
}

bool lb_stream_gather(struct lb_client *client, const void *buf, size_t len)
{
	struct lb_attempt *attempt = client->attempt;

	if (!client->pipeline || client->operation != LB_OPERATION_NONE || client->link != LB_LINK_READY ||
		client->repeating || client->closing || attempt->course != LB_COURSE_OPEN ||
		attempt->cut != LB_REASON_NONE || attempt->resumable || attempt->kept || attempt->whole ||
		attempt->sent != attempt->length || len > LB_DATA_COPIED ||
		(attempt->declared != LB_UNKNOWN && len > attempt->declared - attempt->length) ||
		lb_link_is_due(client) || say(client, buf, len) < 0)
		return false;
	lb_hasher_update(&attempt->hasher, buf, len);
	attempt->length += len;
	client->result = 0;
	client->interrupted = false;
	return true;
}

int lb_stream_say(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	size_t n =
		attempt->whole ? 0 : at_most(client->out_len, LB_CHUNK); /* the caller's may be another's */
	bool skips = attempt->sent > attempt->length;                    /* the server has these already */
	int r = 0;

	if (say_sync(client))
		return 0;
	if (attempt->sent < attempt->length)
		return say_again(client);
	if (attempt->kept && !skips)
		n = at_most(n, room(client));
	if (n == 0)
		return 1;
	if (skips)
		n = at_most(n, attempt->sent - attempt->length);
	else
		r = say_new(client, n);
	if (r < 0)
		return r;
	taken(client, n, !skips || !LB_BUG("hash_from_offset"));
	return 0;
}
