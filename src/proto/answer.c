/* SPDX-License-Identifier: MIT */
/*
 * What a server may say, and when. An answer that would break an invariant is the caller's mistake and is
 * not said: COMMITTED of a delivery that was not asked to commit, or with another id, name, length or digest
 * than its client gave.
 */
#include "proto/machine.h"
#include <errno.h>
#include <string.h>

static int find(struct lb_conn *conn, uint32_t handle, struct lb_slot **slotp)
{
	int err = lb_conn_may(conn, LB_ROLE_SERVER);

	*slotp = err == 0 ? lb_conn_slot(conn, handle) : NULL;
	return err == 0 && *slotp == NULL ? -EPROTO : err;
}

/* The final answer was put. What its client still sends for it has crossed the answer, and is ignored. */
static void answered(struct lb_conn *conn, struct lb_slot *slot)
{
	if (slot == conn->current && conn->flow != LB_STAGE_IDLE)
		conn->flow = LB_STAGE_DECIDED;
	lb_conn_slot_free(conn, slot);
	lb_server_close_when_done(conn);
}

int lb_conn_begin_ok(struct lb_conn *conn, uint32_t handle, uint64_t offset, bool resumable)
{
	bool resume = (conn->features & LB_FEATURE_RESUME) != 0;
	uint8_t payload[12];
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);

	if (err != 0)
		return err;
	if (slot->stage != LB_STAGE_BEGUN)
		return -EPROTO;
	if (offset > 0 && (!resume || !resumable || offset > slot->declared || offset > conn->max_delivery ||
				  offset > LB_COUNT_MAX))
		return -EINVAL;
	slot->stage = conn->flow = LB_STAGE_OPEN;
	slot->counted = slot->synced = offset;
	lb_conn_put(conn, LB_FRAME_BEGIN_OK, handle, payload,
		lb_begin_ok_put(payload, offset, resume && resumable));
	return 0;
}

int lb_conn_synced(struct lb_conn *conn, uint32_t handle, uint64_t offset)
{
	uint8_t payload[8];
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);

	if (err != 0)
		return err;
	if (!slot->syncing || (slot->stage != LB_STAGE_OPEN && slot->stage != LB_STAGE_COMMITTING))
		return -EPROTO;
	if (offset < slot->synced || offset > slot->counted)
		return -EINVAL;
	slot->syncing = false;
	slot->synced = offset;
	lb_conn_put(conn, LB_FRAME_SYNCED, handle, payload, lb_synced_put(payload, offset));
	return 0;
}

int lb_conn_reply(struct lb_conn *conn, uint32_t handle, const void *reply, size_t len)
{
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);

	if (err != 0)
		return err;
	if ((conn->features & LB_FEATURE_REPLY) == 0)
		return -EPROTO;
	if (len > LB_REPLY_MAX)
		return -EINVAL;
	conn->reply_handle = handle;
	conn->reply = reply;
	conn->reply_len = len;
	return 0;
}

static bool name_ok(const char *name)
{
	const char *why;

	return lb_name_check(name, strnlen(name, LB_NAME_MAX + 1), &why) == 0;
}

static bool receipt_fits(const struct lb_slot *slot, const struct lb_receipt *receipt)
{
	if (!lb_number_ok(receipt->id.number) || receipt->length > LB_COUNT_MAX || !name_ok(receipt->name) ||
		(receipt->placed[0] != '\0' && !name_ok(receipt->placed)) ||
		(unsigned)receipt->durability > LB_DURABILITY_FSYNC)
		return false;
	return lb_slot_matches(slot, receipt);
}

static size_t reply_len_of(const struct lb_conn *conn, uint32_t handle)
{
	return handle == conn->reply_handle ? conn->reply_len : 0;
}

/* A frame with a receipt, and with the reply that was given for it. Only the latter may find no room. */
static int put_with_reply(
	struct lb_conn *conn, unsigned type, const struct lb_slot *slot, const uint8_t *payload, size_t len)
{
	size_t reply_len = reply_len_of(conn, slot->handle);
	size_t others = (conn->n_used - 1) * LB_ROOM_SLOT + LB_ROOM_KEPT + LB_ROOM_OWN;
	uint8_t header[LB_HEADER_BYTES];

	if (reply_len > 0 && lb_output_room(&conn->output) < sizeof header + len + reply_len + others)
		return -EAGAIN;
	lb_header_put(header, type, slot->handle, (uint32_t)(len + reply_len));
	lb_output_put(&conn->output, header, sizeof header);
	lb_output_put(&conn->output, payload, len);
	if (reply_len > 0)
		lb_output_put(&conn->output, conn->reply, reply_len);
	conn->work_end = lb_output_end(&conn->output);
	return 0;
}

int lb_conn_committed(struct lb_conn *conn, uint32_t handle, const struct lb_receipt *receipt)
{
	uint8_t payload[LB_PAYLOAD_MAX];
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);
	size_t len;

	if (err != 0)
		return err;
	/* "Nothing commits but an explicit COMMIT": an open delivery cannot be called committed. */
	if (slot->stage != LB_STAGE_BEGUN && slot->stage != LB_STAGE_COMMITTING)
		return -EPROTO;
	if (!receipt_fits(slot, receipt))
		return -EINVAL;
	len = lb_committed_put(payload, receipt, reply_len_of(conn, handle));
	err = put_with_reply(conn, LB_FRAME_COMMITTED, slot, payload, len);
	if (err == 0)
		answered(conn, slot);
	return err;
}

int lb_conn_refused(struct lb_conn *conn, uint32_t handle, enum lb_reason reason, const char *text)
{
	uint8_t payload[2 + LB_TEXT_MAX];
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);

	if (err != 0)
		return err;
	if (!lb_reason_travels(reason))
		return -EINVAL;
	if (text == NULL)
		text = lb_reason_text(reason);
	lb_conn_put(conn, LB_FRAME_REFUSED, handle, payload, lb_refused_put(payload, reason, text));
	answered(conn, slot);
	return 0;
}

int lb_conn_rolled_back(struct lb_conn *conn, uint32_t handle)
{
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);

	if (err != 0)
		return err;
	if (slot->stage == LB_STAGE_DOOMED)
		return lb_conn_refused(conn, handle, slot->reason, NULL);
	if (slot->stage != LB_STAGE_ROLLING)
		return -EPROTO;
	lb_conn_put(conn, LB_FRAME_ROLLED_BACK, handle, NULL, 0);
	answered(conn, slot);
	return 0;
}

int lb_conn_resolved(struct lb_conn *conn, uint32_t handle, enum lb_verdict verdict, enum lb_reason reason,
	const struct lb_receipt *receipt)
{
	uint8_t payload[LB_PAYLOAD_MAX];
	struct lb_slot *slot;
	int err = find(conn, handle, &slot);
	size_t len;

	if (err != 0)
		return err;
	if (slot->stage != LB_STAGE_ASKED)
		return -EPROTO;
	if (verdict == LB_VERDICT_COMMITTED) {
		if (receipt == NULL || !receipt_fits(slot, receipt))
			return -EINVAL;
		reason = LB_REASON_NONE;
	} else if ((verdict != LB_VERDICT_ROLLED_BACK && verdict != LB_VERDICT_FORGOTTEN) ||
		   (reason != LB_REASON_NONE && !lb_reason_travels(reason))) {
		return -EINVAL;
	}
	len = lb_resolved_put(payload, verdict, reason, receipt, reply_len_of(conn, handle));
	if (verdict == LB_VERDICT_COMMITTED)
		err = put_with_reply(conn, LB_FRAME_RESOLVED, slot, payload, len);
	else
		lb_conn_put(conn, LB_FRAME_RESOLVED, handle, payload, len);
	if (err == 0)
		answered(conn, slot);
	return err;
}

int lb_conn_going_away(struct lb_conn *conn)
{
	int err = conn->state == LB_CONN_HELLO && conn->role == LB_ROLE_SERVER
			  ? 0
			  : lb_conn_may(conn, LB_ROLE_SERVER);

	if (err != 0)
		return err;
	if (conn->going_away)
		return -EPROTO;
	conn->going_away = true;
	if (conn->state != LB_CONN_HELLO)
		lb_conn_put(conn, LB_FRAME_GOING_AWAY, conn->last_accepted, NULL, 0);
	return 0;
}
