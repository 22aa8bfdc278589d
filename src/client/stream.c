/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a delivery: hashed once, in the order in which they are written; sent from where the server goes on, and
 * once more what it has lost. Owns what was read again. Knows neither the journal nor verdicts.
 */
#include "client/link.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>

static size_t at_most(uint64_t n)
{
	return n < LB_CHUNK ? (size_t)n : LB_CHUNK;
}

bool lb_stream_can_repeat(const struct lb_client *client)
{
	return client->attempt.length == 0 || client->attempt.read_again != NULL;
}

void lb_stream_open(struct lb_client *client, uint64_t offset)
{
	struct lb_attempt *attempt = &client->attempt;

	attempt->course = LB_COURSE_OPEN;
	attempt->sent = LB_BUG("repeat_nothing") && attempt->length > offset ? attempt->length : offset;
	if (attempt->sent < attempt->length && !lb_stream_can_repeat(client))
		lb_delivery_give_up(client, LB_REASON_LOST);
}

/* The machine keeps referring to `from` until it is written. */
static int say(struct lb_client *client, const uint8_t *from, size_t n)
{
	struct lb_attempt *attempt = &client->attempt;
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
	struct lb_attempt *attempt = &client->attempt;
	ssize_t n;

	if (lb_link_has_output(client))
		return 1;
	if (client->again == NULL)
		client->again = malloc(LB_CHUNK);
	if (client->again == NULL)
		return -ENOMEM;
	n = attempt->read_again(attempt->read_again_arg, attempt->sent, client->again,
		at_most(attempt->length - attempt->sent));
	if (n > 0)
		return say(client, client->again, (size_t)n);
	lb_delivery_give_up(client, n == 0 ? LB_REASON_SOURCE_CHANGED : LB_REASON_SOURCE_UNREADABLE);
	return 0;
}

int lb_stream_say(struct lb_client *client)
{
	struct lb_attempt *attempt = &client->attempt;
	const uint8_t *from = client->out;
	size_t n = at_most(client->out_len);
	int r = 0;

	if (attempt->sent < attempt->length)
		return say_again(client);
	if (n == 0)
		return 1;
	if (attempt->sent == attempt->length)
		r = say(client, from, n);
	else if (n > attempt->sent - attempt->length) /* the server has these already */
		n = (size_t)(attempt->sent - attempt->length);
	if (r < 0)
		return r;
	lb_hasher_update(&attempt->hasher, from, n);
	attempt->length += n;
	client->out += n;
	client->out_len -= n;
	return 0;
}
