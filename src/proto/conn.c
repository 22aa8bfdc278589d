/* SPDX-License-Identifier: MIT */
/*
 * The connection's machine: takes frames out of the bytes that come in, judges whether each is legal, hands
 * it to the role's file, and keeps what waits to be written. Knows deliveries as slots only; what becomes of
 * them is client.c's and server.c's, and time is clock.c's.
 */
#include "proto/machine.h"
#include "proto/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_RING                                                                                          \
	65536   /* what is worth a write: DATA of many small deliveries, or of one in small pieces */
#define PEEK 10 /* bytes of a header that hold type and handle, and leave some to wait for */

/* One piece of memory, for a server that has many: the machine, its slots, its output, the frame that comes in. */
struct lb_conn *lb_conn_new(const struct lb_conn_options *options, const uint8_t client[16], lb_time now)
{
	bool server = options->role == LB_ROLE_SERVER, reply = (options->features & LB_FEATURE_REPLY) != 0;
	uint32_t n_slots = server ? options->max_undecided : 0;
	size_t ring, frame = LB_HEADER_BYTES + LB_PAYLOAD_MAX + (!server && reply ? LB_REPLY_MAX : 0);
	struct lb_conn *conn;

	if (n_slots == 0 || n_slots > LB_UNDECIDED_MAX)
		n_slots = LB_UNDECIDED_MAX;
	ring = server ? n_slots * LB_ROOM_SLOT + LB_ROOM_KEPT + 2 * LB_ROOM_OWN + (reply ? LB_REPLY_MAX : 0)
		      : CLIENT_RING;
	conn = malloc(sizeof *conn + n_slots * sizeof *conn->slots + ring + frame);
	if (conn == NULL)
		return NULL;
	memset(conn, 0, sizeof *conn + sizeof *conn->slots);
	conn->slots = conn->newest = conn->near = (struct lb_slot *)(conn + 1);
	conn->n_ready = 1;
	conn->output.ring = (uint8_t *)(conn->slots + n_slots);
	conn->output.size = ring;
	conn->frame = conn->output.ring + ring;
	conn->role = options->role;
	conn->features = options->features & LB_FEATURES;
	conn->n_slots = conn->max_undecided = n_slots;
	conn->busy = options->busy;
	conn->ledger = options->ledger;
	conn->max_delivery = options->max_delivery > LB_COUNT_MAX ? LB_UNKNOWN : options->max_delivery;
	conn->flow = LB_STAGE_IDLE;
	lb_clock_start(conn, options->idle_timeout, now);
	if (!server) {
		conn->ahead = options->ahead && conn->features == 0;
		memcpy(conn->client, client, sizeof conn->client);
		lb_client_hello(conn);
	}
	return conn;
}

void lb_conn_free(struct lb_conn *conn)
{
	free(conn);
}

enum lb_conn_state lb_conn_state(const struct lb_conn *conn)
{
	return conn->state;
}

void lb_conn_put(struct lb_conn *conn, unsigned type, uint32_t handle, const void *payload, size_t len)
{
	uint8_t header[LB_HEADER_BYTES];

	lb_header_put(header, type, handle, (uint32_t)len);
	lb_output_put(&conn->output, header, sizeof header);
	if (len > 0)
		lb_output_put(&conn->output, payload, len);
	if (type != LB_FRAME_PING && type != LB_FRAME_PONG)
		conn->work_end = lb_output_end(&conn->output);
}

bool lb_conn_has_room(const struct lb_conn *conn, size_t len)
{
	return lb_output_room(&conn->output) >= LB_HEADER_BYTES + len + LB_ROOM_KEPT + LB_ROOM_OWN;
}

int lb_conn_may(const struct lb_conn *conn, enum lb_role role)
{
	if (conn->role != role)
		return -EPROTO;
	if (conn->state == LB_CONN_FAILED || conn->state == LB_CONN_CLOSED)
		return -ECONNABORTED;
	if ((conn->state == LB_CONN_HELLO && !conn->ahead) || (role == LB_ROLE_CLIENT && conn->quiet))
		return -EPROTO;
	return 0;
}

/*
 * A COMMIT of which no byte was written must not go out once we have failed: our caller may have called the
 * delivery not committed by then. What was put after it goes with it.
 */
static void withhold_commits(struct lb_conn *conn)
{
	uint64_t end = UINT64_MAX;

	if (conn->role != LB_ROLE_CLIENT)
		return;
	for (uint32_t i = 0; i < conn->n_ready; i++) {
		struct lb_slot *slot = &conn->slots[i];

		if (slot->handle == 0 || !slot->commit_said || slot->commit_at < conn->output.written)
			continue;
		if (slot->commit_at < end)
			end = slot->commit_at;
		slot->commit_at = UINT64_MAX;
	}
	if (end != UINT64_MAX)
		lb_output_cut(&conn->output, end);
}

void lb_conn_break(struct lb_conn *conn, enum lb_failure failure, const char *text, struct lb_event *event)
{
	uint8_t payload[2 + LB_TEXT_MAX];
	size_t len = lb_error_put(payload, failure, text);

	conn->state = LB_CONN_FAILED;
	withhold_commits(conn);
	if (!conn->quiet)
		lb_conn_put(conn, LB_FRAME_ERROR, 0, payload, len);
	conn->quiet = true;
	if (event == NULL)
		return;
	memset(event, 0, sizeof *event);
	event->type = LB_EVENT_ERROR;
	event->failure = failure;
	memcpy(event->text, payload + 2, len - 2);
}

void lb_conn_fail(struct lb_conn *conn, enum lb_failure failure, const char *text)
{
	if (conn->state != LB_CONN_FAILED && conn->state != LB_CONN_CLOSED)
		lb_conn_break(conn, failure, text != NULL ? text : lb_failure_text(failure), NULL);
}

/* "An ERROR is never answered with ERROR." */
static void failed_by_peer(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	conn->quiet = true;
	lb_conn_break(conn, LB_FAILURE_NONE, "", event);
	event->from_peer = true;
	lb_error_get(payload, len, event);
}

static enum lb_stage stage_of(struct lb_conn *conn)
{
	struct lb_slot *slot;

	if (conn->state == LB_CONN_HELLO)
		return LB_STAGE_HELLO;
	if (conn->role == LB_ROLE_SERVER)
		return conn->state == LB_CONN_CLOSING ? LB_STAGE_CLOSING : conn->flow;
	slot = lb_frame_has_handle(conn->header.type) ? lb_conn_slot(conn, conn->header.handle) : NULL;
	if (slot != NULL)
		return slot->stage;
	return conn->state == LB_CONN_CLOSING ? LB_STAGE_CLOSING : LB_STAGE_READY;
}

/* Whether the handle is one that this frame may have, where the frame itself is legal. */
static bool handle_fits(const struct lb_conn *conn)
{
	uint32_t handle = conn->header.handle;
	unsigned type = conn->header.type;

	if (!lb_frame_handle_ok(type, handle))
		return false;
	if (conn->role == LB_ROLE_CLIENT)
		return type != LB_FRAME_GOING_AWAY || handle <= conn->last_begun;
	if (type == LB_FRAME_BEGIN || type == LB_FRAME_RESOLVE)
		return handle > conn->last_handle;
	return handle == 0 || handle == conn->last_begun;
}

static enum lb_failure judge(struct lb_conn *conn, const char **whyp)
{
	const struct lb_header *header = &conn->header;
	enum lb_stage stage;

	*whyp = "a type that there is not";
	if (!lb_frame_is_type(header->type))
		return LB_FAILURE_FRAME_TYPE;
	*whyp = "bytes of its header that must be 0 are not";
	if (!header->zeroed)
		return LB_FAILURE_FRAME_CONTENT;
	stage = stage_of(conn);
	if (lb_rule_of(conn->role, header->type, stage, conn->features) == LB_RULE_ILLEGAL) {
		*whyp = "its handle names nothing that is open";
		if (conn->role == LB_ROLE_CLIENT && lb_frame_is_from(header->type, LB_ROLE_SERVER) &&
			lb_frame_has_handle(header->type) &&
			(stage == LB_STAGE_READY || stage == LB_STAGE_CLOSING))
			return LB_FAILURE_HANDLE;
		*whyp = "not legal in this state";
		return LB_FAILURE_STATE;
	}
	*whyp = "its handle is not legal here";
	if (!handle_fits(conn))
		return LB_FAILURE_HANDLE;
	*whyp = "its length is not legal";
	return lb_frame_length_ok(header->type, header->length, (conn->features & LB_FEATURE_REPLY) != 0)
		       ? LB_FAILURE_NONE
		       : LB_FAILURE_FRAME_LENGTH;
}

/* A whole frame that is legal here. */
static void dispatch(struct lb_conn *conn, struct lb_event *event)
{
	const uint8_t *payload = conn->frame + LB_HEADER_BYTES;
	size_t len = conn->header.length;

	conn->have = 0;
	memset(event, 0, sizeof *event);
	event->handle = conn->header.handle;
	if (conn->header.type == LB_FRAME_ERROR)
		failed_by_peer(conn, payload, len, event);
	else if (conn->header.type == LB_FRAME_PING && !conn->quiet)
		lb_conn_put(conn, LB_FRAME_PONG, 0, payload, len);
	else if (conn->header.type != LB_FRAME_PING && conn->header.type != LB_FRAME_PONG)
		(conn->role == LB_ROLE_CLIENT ? lb_client_frame : lb_server_frame)(conn, payload, len, event);
}

static void take_header(struct lb_conn *conn, struct lb_event *event)
{
	enum lb_failure failure;
	char text[LB_TEXT_MAX + 1];
	const char *why;

	lb_header_get(conn->frame, &conn->header);
	failure = judge(conn, &why);
	if (failure != LB_FAILURE_NONE) {
		conn->quiet = conn->quiet || conn->header.type == LB_FRAME_ERROR;
		snprintf(text, sizeof text, "%s frame: %s", lb_frame_name(conn->header.type), why);
		lb_conn_break(conn, failure, text, event);
	} else if (conn->header.type == LB_FRAME_DATA) {
		conn->have = 0;
		conn->pending = conn->header.length;
		lb_server_data(conn, event);
	} else if (conn->header.length == 0) {
		dispatch(conn, event);
	}
}

/* Before the greetings: whether the bytes so far can be the beginning of this protocol. */
static bool is_plausible(const struct lb_conn *conn)
{
	const uint8_t *frame = conn->frame;

	for (size_t i = 1; i < 4 && i < conn->have; i++)
		if (frame[i] != 0)
			return false;
	if (frame[0] != LB_FRAME_HELLO)
		return lb_frame_is_type(frame[0]);
	return conn->have <= LB_HEADER_BYTES ||
	       lb_hello_magic_ok(frame + LB_HEADER_BYTES, conn->have - LB_HEADER_BYTES);
}

static bool can_take(struct lb_conn *conn)
{
	lb_header_get(conn->frame, &conn->header);
	if (conn->role == LB_ROLE_SERVER)
		return lb_server_can_take(conn);
	return lb_output_room(&conn->output) >= LB_ROOM_KEPT + LB_ROOM_OWN;
}

/* Takes bytes of a frame's header and payload, up to the next point at which there is something to decide. */
static size_t take_frame(struct lb_conn *conn, const uint8_t *in, size_t len, struct lb_event *event)
{
	size_t want = conn->have < PEEK              ? PEEK
		      : conn->have < LB_HEADER_BYTES ? conn->have + 1
						     : LB_HEADER_BYTES + conn->header.length;

	if (conn->have == PEEK && !can_take(conn))
		return 0;
	if (len > want - conn->have)
		len = want - conn->have;
	memcpy(conn->frame + conn->have, in, len);
	conn->have += len;
	if (conn->state == LB_CONN_HELLO && !is_plausible(conn))
		lb_conn_break(conn, LB_FAILURE_NOT_LASTBYTE, lb_failure_text(LB_FAILURE_NOT_LASTBYTE), event);
	else if (conn->have == PEEK + 1 && conn->header.type == LB_FRAME_CLOSE &&
		 conn->role == LB_ROLE_SERVER)
		lb_server_close_open(conn, event);
	else if (conn->have == LB_HEADER_BYTES)
		take_header(conn, event);
	else if (conn->have == want && conn->have > LB_HEADER_BYTES)
		dispatch(conn, event);
	return len;
}

/* A piece of a DATA payload. Of a delivery that was answered meanwhile it is swallowed. */
static size_t take_data(struct lb_conn *conn, const uint8_t *in, size_t len, struct lb_event *event)
{
	if (len > conn->pending)
		len = conn->pending;
	conn->pending -= len;
	if (conn->flow != LB_STAGE_OPEN)
		return len;
	conn->current->counted += len;
	event->type = LB_EVENT_DATA;
	event->handle = conn->current->handle;
	event->data = in;
	event->len = len;
	return len;
}

size_t lb_conn_recv(struct lb_conn *conn, const void *buf, size_t len, lb_time now, struct lb_event *eventp)
{
	const uint8_t *in = buf;
	size_t used = 0, n;

	eventp->type = LB_EVENT_NONE;
	conn->held = false;
	while (used < len && eventp->type == LB_EVENT_NONE) {
		if (conn->state == LB_CONN_FAILED || conn->state == LB_CONN_CLOSED)
			return len;
		n = conn->pending > 0 ? take_data(conn, in + used, len - used, eventp)
				      : take_frame(conn, in + used, len - used, eventp);
		if (n == 0)
			break;
		used += n;
	}
	if (used > 0)
		lb_clock_received(conn, now);
	return used;
}

int lb_conn_send(const struct lb_conn *conn, struct iovec *iov, int max)
{
	return lb_output_vectors(&conn->output, iov, max);
}

size_t lb_conn_waiting(const struct lb_conn *conn)
{
	return conn->output.used + conn->output.payload_len;
}

void lb_conn_sent(struct lb_conn *conn, size_t len, lb_time now)
{
	size_t waiting = lb_conn_waiting(conn);

	if (len > waiting)
		len = waiting;
	if (len == 0)
		return;
	lb_clock_wrote(conn, now);
	lb_output_wrote(&conn->output, len);
}
