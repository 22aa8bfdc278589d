/* SPDX-License-Identifier: MIT */
/*
 * The client's role: what a server's frames mean. What the client says is ask.c's. A receipt is believed
 * only if it is that of what was asked: a wrong COMMITTED is the worst thing that could be reported.
 */
#include "proto/clock.h"
#include <string.h>

void lb_client_hello(struct lb_conn *conn)
{
	struct lb_hello hello = {
		.min_version = LB_VERSION_NUMBER,
		.max_version = LB_VERSION_NUMBER,
		.features = conn->features,
		.idle_ms = lb_clock_idle_ms(conn),
	};
	uint8_t payload[LB_PAYLOAD_MAX];

	memcpy(hello.client, conn->client, sizeof hello.client);
	lb_conn_put(conn, LB_FRAME_HELLO, 0, payload, lb_hello_put(payload, &hello));
}

static void take_hello_ok(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	struct lb_hello_ok ok;
	const char *why;
	enum lb_failure failure = lb_hello_ok_get(payload, len, &ok, &why);

	if (failure == LB_FAILURE_NONE && ok.version != LB_VERSION_NUMBER) {
		failure = LB_FAILURE_VERSION;
		why = "HELLO_OK with a version that was not offered";
	} else if (failure == LB_FAILURE_NONE && (ok.features & ~conn->features) != 0) {
		failure = LB_FAILURE_FRAME_CONTENT;
		why = "HELLO_OK with a feature that was not offered";
	} else if (failure == LB_FAILURE_NONE && ok.idle_ms > lb_clock_idle_ms(conn)) {
		failure = LB_FAILURE_FRAME_CONTENT;
		why = "HELLO_OK with a longer idle time than was offered";
	}
	if (failure != LB_FAILURE_NONE) {
		lb_conn_break(conn, failure, why, event);
		return;
	}
	conn->features = ok.features;
	conn->ledger = ok.ledger;
	conn->max_delivery = ok.max_delivery;
	if (ok.max_undecided < conn->max_undecided)
		conn->max_undecided = ok.max_undecided;
	lb_clock_agree(conn, ok.idle_ms);
	conn->state = conn->quiet ? LB_CONN_CLOSING : LB_CONN_READY; /* CLOSE may have been said ahead */
	event->type = LB_EVENT_HELLO_OK;
	event->ledger = ok.ledger;
	event->max_delivery = ok.max_delivery;
}

static void take_begin_ok(struct lb_conn *conn, struct lb_slot *slot, const uint8_t *payload, size_t len,
	struct lb_event *event)
{
	bool resume = (conn->features & LB_FEATURE_RESUME) != 0;
	const char *why;
	enum lb_failure failure = lb_begin_ok_get(payload, len, event, &why);

	if (failure == LB_FAILURE_NONE &&
		((event->resumable && !resume) || (event->offset > 0 && !event->resumable) ||
			event->offset > slot->declared || event->offset > LB_COUNT_MAX)) {
		failure = LB_FAILURE_FRAME_CONTENT;
		why = "BEGIN_OK with an offset that cannot be";
	}
	if (failure != LB_FAILURE_NONE) {
		lb_conn_break(conn, failure, why, event);
		return;
	}
	slot->synced = event->offset;
	slot->counted += event->offset; /* DATA said before is counted, and then the offset is 0 */
	if (slot->stage == LB_STAGE_WITHDRAWN) {
		slot->stage = LB_STAGE_ROLLING; /* ROLLED_BACK follows, and is what our caller waits for */
		return;
	}
	slot->stage = slot->commit_said ? LB_STAGE_COMMITTING : LB_STAGE_OPEN;
	event->type = LB_EVENT_BEGIN_OK;
}

static void take_synced(
	struct lb_conn *conn, struct lb_slot *slot, const uint8_t *payload, struct lb_event *event)
{
	lb_synced_get(payload, event);
	if (!slot->syncing) {
		lb_conn_break(conn, LB_FAILURE_STATE, "SYNCED without SYNC", event);
		return;
	}
	if (event->offset < slot->synced || event->offset > slot->counted) {
		lb_conn_break(conn, LB_FAILURE_FRAME_CONTENT, "SYNCED with an offset that cannot be", event);
		return;
	}
	slot->syncing = false;
	slot->synced = event->offset;
	if (slot->stage != LB_STAGE_ROLLING)
		event->type = LB_EVENT_SYNCED;
}

/* COMMITTED, or RESOLVED as committed. */
static enum lb_failure check_receipt(
	const struct lb_conn *conn, const struct lb_slot *slot, struct lb_event *event, const char **whyp)
{
	*whyp = "a receipt that is not for what was asked";
	if (!lb_slot_matches(slot, &event->receipt))
		return LB_FAILURE_FRAME_CONTENT;
	*whyp = "a reply, which was not agreed on";
	if (event->reply_len > 0 && (conn->features & LB_FEATURE_REPLY) == 0)
		return LB_FAILURE_FRAME_CONTENT;
	event->receipt.ledger = conn->ledger;
	return LB_FAILURE_NONE;
}

/* The final answer to what a slot stands for. */
static void take_answer(struct lb_conn *conn, struct lb_slot *slot, const uint8_t *payload, size_t len,
	struct lb_event *event)
{
	enum lb_event_type type = LB_EVENT_ROLLED_BACK;
	enum lb_failure failure = LB_FAILURE_NONE;
	const char *why = "";

	switch (conn->header.type) {
	case LB_FRAME_COMMITTED:
		type = LB_EVENT_COMMITTED;
		failure = lb_committed_get(payload, len, event, &why);
		if (failure == LB_FAILURE_NONE)
			failure = check_receipt(conn, slot, event, &why);
		event->verdict = LB_VERDICT_COMMITTED;
		break;
	case LB_FRAME_REFUSED:
		type = LB_EVENT_REFUSED;
		failure = lb_refused_get(payload, len, event, &why);
		event->verdict = lb_reason_verdict(event->reason);
		break;
	case LB_FRAME_RESOLVED:
		type = LB_EVENT_RESOLVED;
		failure = lb_resolved_get(payload, len, event, &why);
		if (failure == LB_FAILURE_NONE && event->verdict == LB_VERDICT_COMMITTED)
			failure = check_receipt(conn, slot, event, &why);
		break;
	default:
		event->verdict = LB_VERDICT_ROLLED_BACK;
		break;
	}
	if (failure != LB_FAILURE_NONE) {
		lb_conn_break(conn, failure, why, event);
		return;
	}
	lb_conn_slot_free(conn, slot);
	event->type = type;
}

static void take_going_away(struct lb_conn *conn, struct lb_event *event)
{
	if (conn->going_away) {
		lb_conn_break(conn, LB_FAILURE_STATE, "GOING_AWAY for a second time", event);
		return;
	}
	conn->going_away = true;
	event->type = LB_EVENT_GOING_AWAY;
}

static void take_close_ok(struct lb_conn *conn, struct lb_event *event)
{
	/* "CLOSE_OK follows the answer to everything that was asked before CLOSE." */
	if (conn->n_used > 0) {
		lb_conn_break(conn, LB_FAILURE_STATE, "CLOSE_OK before every answer", event);
		return;
	}
	conn->state = LB_CONN_CLOSED;
	event->type = LB_EVENT_CLOSE_OK;
}

void lb_client_frame(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event)
{
	struct lb_slot *slot = lb_conn_slot(conn, conn->header.handle);

	switch (conn->header.type) {
	case LB_FRAME_HELLO_OK:
		take_hello_ok(conn, payload, len, event);
		break;
	case LB_FRAME_BEGIN_OK:
		take_begin_ok(conn, slot, payload, len, event);
		break;
	case LB_FRAME_SYNCED:
		take_synced(conn, slot, payload, event);
		break;
	case LB_FRAME_COMMITTED:
	case LB_FRAME_REFUSED:
	case LB_FRAME_RESOLVED:
	case LB_FRAME_ROLLED_BACK:
		take_answer(conn, slot, payload, len, event);
		break;
	case LB_FRAME_GOING_AWAY:
		take_going_away(conn, event);
		break;
	case LB_FRAME_CLOSE_OK:
		take_close_ok(conn, event);
		break;
	default:
		break;
	}
}
