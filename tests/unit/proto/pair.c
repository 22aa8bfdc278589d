/* SPDX-License-Identifier: MIT */
/* The pair of pair.h. It judges nothing but that events come in the order in which they are asked for. */
#include "pair.h"
#include <stdlib.h>

const uint8_t pair_client_id[16] = {0xc1, 0xc2, 0xc3, 0xc4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
const struct lb_uuid pair_ledger = {{0x1e, 0xd9, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff}};

struct pair *pair_new(struct lb_conn_options client, struct lb_conn_options server)
{
	struct pair *pair = calloc(1, sizeof *pair);

	assert_non_null(pair);
	pair->now = 1000 * SECOND;
	client.role = LB_ROLE_CLIENT;
	server.role = LB_ROLE_SERVER;
	server.ledger = pair_ledger;
	if (server.max_delivery == 0)
		server.max_delivery = LB_UNKNOWN;
	pair->client.conn = lb_conn_new(&client, pair_client_id, pair->now);
	pair->server.conn = lb_conn_new(&server, NULL, pair->now);
	assert_non_null(pair->client.conn);
	assert_non_null(pair->server.conn);
	return pair;
}

struct pair *pair_new_greeted(uint32_t features)
{
	struct pair *pair = pair_new((struct lb_conn_options){.features = features},
		(struct lb_conn_options){.features = features});

	pair_run(pair);
	side_event(&pair->server, LB_EVENT_HELLO);
	side_event(&pair->client, LB_EVENT_HELLO_OK);
	return pair;
}

void pair_free(struct pair *pair)
{
	lb_conn_free(pair->client.conn);
	lb_conn_free(pair->server.conn);
	free(pair);
}

size_t side_written(struct side *side, uint8_t *buf, size_t size, lb_time now)
{
	struct iovec iov[4];
	size_t len = 0;
	int n = lb_conn_send(side->conn, iov, 4);

	for (int i = 0; i < n; i++) {
		assert_true(len + iov[i].iov_len <= size);
		memcpy(buf + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	lb_conn_sent(side->conn, len, now);
	return len;
}

static void keep(struct side *side, const struct lb_event *event)
{
	if (event->type == LB_EVENT_DATA) {
		assert_true(side->data_len + event->len <= sizeof side->data);
		memcpy(side->data + side->data_len, event->data, event->len);
		side->data_len += event->len;
	} else if (event->type != LB_EVENT_NONE) {
		assert_true(side->n_events < PAIR_EVENTS);
		side->events[side->n_events++] = *event;
	}
}

/* Bytes taken, of what lies in the stash. */
static size_t take(struct side *side, size_t piece, lb_time now)
{
	struct lb_event event;
	size_t used = 0, n;

	do {
		size_t offered = side->stash_len - used;

		if (piece != 0 && offered > piece)
			offered = piece;
		n = lb_conn_recv(side->conn, side->stash + used, offered, now, &event);
		assert_true(n <= offered);
		used += n;
		keep(side, &event);
	} while (used < side->stash_len && (n > 0 || event.type != LB_EVENT_NONE));
	memmove(side->stash, side->stash + used, side->stash_len - used);
	side->stash_len -= used;
	return used;
}

void side_feed(struct side *side, const void *bytes, size_t len, size_t piece, lb_time now)
{
	assert_true(side->stash_len + len <= sizeof side->stash);
	memcpy(side->stash + side->stash_len, bytes, len);
	side->stash_len += len;
	take(side, piece, now);
}

void side_frame(
	struct side *side, unsigned type, uint32_t handle, const void *payload, size_t len, lb_time now)
{
	uint8_t frame[LB_HEADER_BYTES + LB_PAYLOAD_MAX];

	assert_true(len <= LB_PAYLOAD_MAX);
	lb_header_put(frame, type, handle, (uint32_t)len);
	if (len > 0)
		memcpy(frame + LB_HEADER_BYTES, payload, len);
	side_feed(side, frame, LB_HEADER_BYTES + len, 0, now);
}

const uint8_t *side_wrote_frame(struct side *side, unsigned type, uint32_t handle, lb_time now)
{
	static uint8_t bytes[1 << 17];
	size_t len = side_written(side, bytes, sizeof bytes, now);
	struct lb_header header;

	assert_true(len >= LB_HEADER_BYTES);
	lb_header_get(bytes, &header);
	assert_string_equal(lb_frame_name(header.type), lb_frame_name(type));
	assert_int_equal(header.handle, handle);
	assert_int_equal(len, LB_HEADER_BYTES + header.length);
	return bytes + LB_HEADER_BYTES;
}

void side_failed(struct side *side, enum lb_failure failure, lb_time now)
{
	const struct lb_event *event = side_event(side, LB_EVENT_ERROR);
	const uint8_t *payload;

	assert_string_equal(lb_failure_word(event->failure), lb_failure_word(failure));
	assert_false(event->from_peer);
	assert_int_equal(lb_conn_state(side->conn), LB_CONN_FAILED);
	payload = side_wrote_frame(side, LB_FRAME_ERROR, 0, now);
	assert_int_equal(payload[0] << 8 | payload[1], failure);
}

static size_t carry(struct pair *pair, struct side *from, struct side *to)
{
	size_t room = sizeof to->stash - to->stash_len;
	size_t len = side_written(from, to->stash + to->stash_len, room, pair->now);

	to->stash_len += len;
	return len + (to->stash_len > 0 ? take(to, pair->piece, pair->now) : 0);
}

void pair_run(struct pair *pair)
{
	while (carry(pair, &pair->client, &pair->server) + carry(pair, &pair->server, &pair->client) > 0)
		continue;
}

const struct lb_event *side_event(struct side *side, enum lb_event_type type)
{
	assert_true(side->next < side->n_events);
	assert_int_equal(side->events[side->next].type, type);
	return &side->events[side->next++];
}

void side_no_event(struct side *side)
{
	if (side->next < side->n_events)
		assert_int_equal(side->events[side->next].type, LB_EVENT_NONE);
}

struct lb_begin pair_begin(uint64_t number, const char *name)
{
	struct lb_begin begin = {.id = {.number = number},
		.ledger = pair_ledger,
		.attempt = 1,
		.length = LB_UNKNOWN,
		.name = name};

	memcpy(begin.id.client, pair_client_id, sizeof pair_client_id);
	return begin;
}

struct lb_digest pair_digest(uint8_t fill)
{
	struct lb_digest digest;

	memset(&digest, fill, sizeof digest);
	return digest;
}

struct lb_receipt pair_receipt(uint64_t number, const char *name, uint64_t length, struct lb_digest digest)
{
	struct lb_receipt receipt = {.id = {.number = number},
		.length = length,
		.digest = digest,
		.committed_at = INT64_C(1700000000123456789),
		.durability = LB_DURABILITY_FSYNC};

	memcpy(receipt.id.client, pair_client_id, sizeof pair_client_id);
	memcpy(receipt.name, name, strlen(name) + 1);
	memcpy(receipt.placed, name, strlen(name) + 1);
	return receipt;
}

uint32_t pair_open(struct pair *pair, uint64_t number)
{
	struct lb_begin begin = pair_begin(number, "name");
	uint32_t handle;

	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->server, LB_EVENT_BEGIN)->handle, handle);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_BEGIN_OK)->handle, handle);
	return handle;
}

uint32_t pair_ask_commit(struct pair *pair, uint64_t number, const char *text)
{
	uint32_t handle = pair_open(pair, number);
	struct lb_digest digest = pair_digest(7);

	assert_int_equal(lb_conn_data(pair->client.conn, handle, text, strlen(text)), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, strlen(text), &digest), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->server, LB_EVENT_COMMIT)->handle, handle);
	return handle;
}
