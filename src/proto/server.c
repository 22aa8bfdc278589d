/* SPDX-License-Identifier: MIT */
/*
 * The server's role: what a client's frames mean. What the server says is answer.c's. Two things are kept apart: a slot is what the server still has to answer, and `flow` is what the client may still send for the
 * delivery that it began last. An answer that crosses the client's frames ends the first and not the second.
 */
#include "proto/clock.h"
#include "base/test.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void refuse_by_itself(struct lb_conn *conn, uint32_t handle, enum lb_reason reason, const char *text)
{
	uint8_t payload[2 + LB_TEXT_MAX];

	lb_conn_put(conn, LB_FRAME_REFUSED, handle, payload, lb_refused_put(payload, reason, text));
}

static void put_hello_ok(struct lb_conn *conn)
{
	const struct lb_hello_ok ok = {
		.version = LB_VERSION_NUMBER,
		.features = conn->features,
		.ledger = conn->ledger,
		.max_delivery = conn->max_delivery,
		.max_undecided = conn->max_undecided,
		.idle_ms = lb_clock_idle_ms(conn),
	};
	uint8_t payload[LB_PAYLOAD_MAX];

	lb_conn_put(conn, LB_FRAME_HELLO_OK, 0, payload, lb_hello_ok_put(payload, &ok));
	if (conn->going_away)
		lb_conn_put(conn, LB_FRAME_GOING_AWAY, 0, NULL, 0);
}

static void take_hello(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	struct lb_hello hello;
	const char *why;
	enum lb_failure failure = lb_hello_get(payload, len, &hello, &why);
	char text[64];

	if (failure == LB_FAILURE_NONE &&
		(hello.min_version > LB_VERSION_NUMBER || hello.max_version < LB_VERSION_NUMBER)) {
		failure = LB_FAILURE_VERSION;
		snprintf(text, sizeof text, "this server speaks version %d", LB_VERSION_NUMBER);
		why = text;
	} else if (failure == LB_FAILURE_NONE && conn->busy) {
		failure = LB_FAILURE_BUSY;
		why = lb_failure_text(failure);
	}
	if (failure != LB_FAILURE_NONE) {
		lb_conn_break(conn, failure, why, event);
		return;
	}
	conn->features &= hello.features;
	lb_clock_agree(conn, hello.idle_ms);
	conn->state = LB_CONN_READY;
	put_hello_ok(conn);
	memcpy(conn->client, hello.client, sizeof conn->client);
	event->type = LB_EVENT_HELLO;
	memcpy(event->id.client, hello.client, sizeof hello.client);
}

/* A BEGIN or a RESOLVE needs a slot. */
static bool has_slot(struct lb_conn *conn, struct lb_event *event)
{
	if (conn->n_used < conn->max_undecided)
		return true;
	lb_conn_break(conn, LB_FAILURE_STATE, "more without an answer than max_undecided", event);
	return false;
}

static void take_begin(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	uint32_t handle = conn->header.handle;
	enum lb_reason reason = LB_REASON_NONE;
	const char *why;
	enum lb_failure failure = lb_begin_get(payload, len, event, &why);

	if (failure != LB_FAILURE_NONE) {
		lb_conn_break(conn, failure, why, event);
		return;
	}
	if (!has_slot(conn, event))
		return;
	conn->last_handle = conn->last_begun = handle;
	conn->current = NULL;
	conn->flow = LB_STAGE_DECIDED;
	if (memcmp(&event->ledger, &conn->ledger, sizeof conn->ledger) != 0)
		reason = LB_REASON_ANOTHER_LEDGER;
	else if (conn->going_away)
		reason = LB_REASON_GOING_AWAY;
	else if (event->name[0] == '\0')
		reason = LB_REASON_BAD_NAME;
	else if (event->length != LB_UNKNOWN && event->length > conn->max_delivery)
		reason = LB_REASON_TOO_LARGE;
	if (reason != LB_REASON_NONE) {
		refuse_by_itself(conn, handle, reason,
			reason == LB_REASON_BAD_NAME ? event->text : lb_reason_text(reason));
		event->type = LB_EVENT_REFUSED;
		event->reason = reason;
		return;
	}
	conn->flow = LB_STAGE_BEGUN;
	conn->current = lb_conn_slot_new(conn, handle, LB_STAGE_BEGUN);
	conn->current->id = event->id;
	conn->current->declared = event->length;
	memcpy(conn->current->name, event->name, sizeof event->name);
	conn->last_accepted = handle;
	event->resumable = (conn->features & LB_FEATURE_RESUME) != 0;
	event->type = LB_EVENT_BEGIN;
}

static void doom(struct lb_conn *conn, enum lb_reason reason, struct lb_event *event)
{
	conn->current->stage = LB_STAGE_DOOMED;
	conn->current->reason = reason;
	memset(event, 0, sizeof *event);
	event->type = LB_EVENT_ROLLBACK;
	event->handle = conn->current->handle;
	event->reason = reason;
}

void lb_server_data(struct lb_conn *conn, struct lb_event *event)
{
	const struct lb_slot *slot = conn->current;
	uint64_t limit = conn->max_delivery < LB_COUNT_MAX ? conn->max_delivery : LB_COUNT_MAX;
	uint64_t len = conn->header.length;

	if (conn->flow != LB_STAGE_OPEN)
		return;
	if (slot->declared != LB_UNKNOWN && slot->declared - slot->counted < len) {
		conn->flow = LB_STAGE_DOOMED;
		doom(conn, LB_REASON_WRONG_LENGTH, event);
	} else if (limit - slot->counted < len) {
		conn->flow = LB_STAGE_DOOMED;
		doom(conn, LB_REASON_TOO_LARGE, event);
	}
}

static void take_sync(struct lb_conn *conn, struct lb_event *event)
{
	if (conn->flow != LB_STAGE_OPEN)
		return;
	if (conn->current->syncing) {
		lb_conn_break(conn, LB_FAILURE_STATE, "SYNC while another one has no answer", event);
		return;
	}
	conn->current->syncing = true;
	event->type = LB_EVENT_SYNC;
}

static void take_commit(struct lb_conn *conn, const uint8_t *payload, struct lb_event *event)
{
	struct lb_slot *slot = conn->current;
	enum lb_stage flow = conn->flow;

	conn->flow = LB_STAGE_IDLE;
	if (flow != LB_STAGE_OPEN)
		return;
	lb_commit_get(payload, event);
	if (event->length != slot->counted ||
		(slot->declared != LB_UNKNOWN && slot->declared != slot->counted)) {
		doom(conn, LB_REASON_WRONG_LENGTH, event);
		return;
	}
	slot->stage = LB_STAGE_COMMITTING;
	slot->length = event->length;
	slot->digest = event->digest;
	event->type = LB_EVENT_COMMIT;
}

static void take_rollback(struct lb_conn *conn, struct lb_event *event)
{
	enum lb_stage flow = conn->flow;

	conn->flow = LB_STAGE_IDLE;
	if (flow != LB_STAGE_OPEN)
		return;
	conn->current->stage = LB_STAGE_ROLLING;
	event->type = LB_EVENT_ROLLBACK;
	event->handle = conn->current->handle;
}

static void take_resolve(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	uint32_t handle = conn->header.handle;
	const char *why;
	enum lb_failure failure = lb_resolve_get(payload, len, event, &why);

	if (failure != LB_FAILURE_NONE) {
		lb_conn_break(conn, failure, why, event);
		return;
	}
	if (!has_slot(conn, event))
		return;
	conn->last_handle = handle;
	if (!lb_uuid_is_zero(&event->ledger) &&
		memcmp(&event->ledger, &conn->ledger, sizeof conn->ledger) != 0) {
		refuse_by_itself(
			conn, handle, LB_REASON_ANOTHER_LEDGER, lb_reason_text(LB_REASON_ANOTHER_LEDGER));
		return;
	}
	lb_conn_slot_new(conn, handle, LB_STAGE_ASKED)->id = event->id;
	event->type = LB_EVENT_RESOLVE;
}

/* "CLOSE_OK follows the answer to everything that was asked before CLOSE." */
void lb_server_close_when_done(struct lb_conn *conn)
{
	if (conn->state != LB_CONN_CLOSING || (conn->n_used > 0 && !LB_BUG("close_ok_first")))
		return;
	lb_conn_put(conn, LB_FRAME_CLOSE_OK, 0, NULL, 0);
	conn->state = LB_CONN_CLOSED;
}

void lb_server_close_open(struct lb_conn *conn, struct lb_event *event)
{
	if (conn->state != LB_CONN_READY || conn->flow != LB_STAGE_OPEN)
		return;
	memset(event, 0, sizeof *event);
	take_rollback(conn, event);
}

void lb_server_frame(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	const char *why;

	switch (conn->header.type) {
	case LB_FRAME_HELLO:
		take_hello(conn, payload, len, event);
		break;
	case LB_FRAME_BEGIN:
		take_begin(conn, payload, len, event);
		break;
	case LB_FRAME_SYNC:
		take_sync(conn, event);
		break;
	case LB_FRAME_COMMIT:
		take_commit(conn, payload, event);
		break;
	case LB_FRAME_ROLLBACK:
		take_rollback(conn, event);
		break;
	case LB_FRAME_RESOLVE:
		take_resolve(conn, payload, len, event);
		break;
	case LB_FRAME_SETTLED:
		if (lb_settled_get(payload, len, event, &why) != LB_FAILURE_NONE)
			lb_conn_break(conn, LB_FAILURE_FRAME_CONTENT, why, event);
		else
			event->type = LB_EVENT_SETTLED;
		break;
	case LB_FRAME_CLOSE:
		conn->state = LB_CONN_CLOSING;
		event->type = LB_EVENT_CLOSE;
		lb_server_close_when_done(conn);
		break;
	default:
		break;
	}
}

bool lb_server_can_take(struct lb_conn *conn)
{
	unsigned type = conn->header.type;
	size_t slots = conn->n_used;

	if (conn->state == LB_CONN_READY &&
		lb_rule_of(LB_ROLE_SERVER, type, conn->flow, conn->features) == LB_RULE_HOLD &&
		(type == LB_FRAME_CLOSE || conn->header.handle == conn->last_begun)) {
		conn->held = true;
		return false;
	}
	if ((type == LB_FRAME_BEGIN || type == LB_FRAME_RESOLVE) && slots < conn->n_slots)
		slots++;
	return lb_output_room(&conn->output) >= slots * LB_ROOM_SLOT + LB_ROOM_KEPT + LB_ROOM_OWN;
}
