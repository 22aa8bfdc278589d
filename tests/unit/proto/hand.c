/* SPDX-License-Identifier: MIT */
/* What a client says, written by hand: its machine would not say all of it. */
#include "hand.h"

/* A server whose client has not greeted it; its frames are written by hand. */
struct pair *hand_alone(struct lb_conn_options options)
{
	struct pair *pair = pair_new((struct lb_conn_options){0}, options);

	lb_conn_free(pair->client.conn);
	pair->client.conn = NULL;
	return pair;
}

void hand_say_hello(struct pair *pair, struct lb_hello hello)
{
	uint8_t payload[LB_PAYLOAD_MAX];

	memcpy(hello.client, pair_client_id, 16);
	side_frame(&pair->server, LB_FRAME_HELLO, 0, payload, lb_hello_put(payload, &hello), pair->now);
}

struct pair *hand_greeted(struct lb_conn_options options)
{
	struct pair *pair = hand_alone(options);

	hand_say_hello(
		pair, (struct lb_hello){.min_version = 1, .max_version = 1, .features = 3, .idle_ms = 60000});
	side_event(&pair->server, LB_EVENT_HELLO);
	side_wrote_frame(&pair->server, LB_FRAME_HELLO_OK, 0, pair->now);
	return pair;
}

void hand_say_begin(struct pair *pair, uint32_t handle, struct lb_begin begin)
{
	uint8_t payload[LB_PAYLOAD_MAX];

	side_frame(&pair->server, LB_FRAME_BEGIN, handle, payload, lb_begin_put(payload, &begin), pair->now);
}

void hand_say_commit(struct pair *pair, uint32_t handle, uint64_t length)
{
	struct lb_digest digest = pair_digest(1);
	uint8_t payload[24];

	side_frame(&pair->server, LB_FRAME_COMMIT, handle, payload, lb_commit_put(payload, length, &digest),
		pair->now);
}

void hand_say_resolve(struct pair *pair, uint32_t handle, const struct lb_uuid *ledger)
{
	struct lb_id id = pair_begin(1, "n").id;
	uint8_t payload[40];

	side_frame(&pair->server, LB_FRAME_RESOLVE, handle, payload, lb_resolve_put(payload, &id, ledger),
		pair->now);
}

/* A delivery with handle 1 is open. */
struct pair *hand_open_one(struct lb_conn_options options, uint64_t length)
{
	struct pair *pair = hand_greeted(options);
	struct lb_begin begin = pair_begin(1, "name");

	begin.length = length;
	hand_say_begin(pair, 1, begin);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 1, 0, false), 0);
	side_wrote_frame(&pair->server, LB_FRAME_BEGIN_OK, 1, pair->now);
	return pair;
}

void hand_refused_with(struct pair *pair, uint32_t handle, enum lb_reason reason)
{
	const uint8_t *payload = side_wrote_frame(&pair->server, LB_FRAME_REFUSED, handle, pair->now);

	assert_int_equal(payload[0] << 8 | payload[1], reason);
}

void hand_doomed_with(struct pair *pair, uint32_t handle, enum lb_reason reason)
{
	const struct lb_event *event = side_event(&pair->server, LB_EVENT_ROLLBACK);

	assert_int_equal(event->handle, handle);
	assert_int_equal(event->reason, reason);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_rolled_back(pair->server.conn, handle), 0);
	hand_refused_with(pair, handle, reason);
}
