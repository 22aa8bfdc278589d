/* SPDX-License-Identifier: MIT */
/*
 * What a client says. Each call either puts its frame whole or does nothing; -EAGAIN where it has to wait,
 * for answers or for what was put before to be written.
 */
#include "proto/bytes.h"
#include "proto/machine.h"
#include <errno.h>
#include <string.h>

/* The open delivery: the one begun last, in one of two stages, until COMMIT, ROLLBACK or CLOSE was said. */
static struct lb_slot *open_slot(const struct lb_conn *conn)
{
	struct lb_slot *slot = conn->current;

	if (slot == NULL || slot->commit_said)
		return NULL;
	return slot->stage == LB_STAGE_OPEN || slot->stage == LB_STAGE_BEGUN ? slot : NULL;
}

/* For a BEGIN or a RESOLVE. "Until HELLO_OK has come it takes max_undecided for 1." */
static int may_ask(const struct lb_conn *conn, size_t len)
{
	uint32_t most = conn->state == LB_CONN_HELLO ? 1 : conn->max_undecided;
	int err = lb_conn_may(conn, LB_ROLE_CLIENT);

	if (err == 0 && conn->last_handle == UINT32_MAX)
		err = -EPROTO;
	if (err == 0 && (conn->n_used >= most || !lb_conn_has_room(conn, len)))
		err = -EAGAIN;
	return err;
}

/* For what is said about the open delivery. "If RESUME is not in force it may send DATA and COMMIT before" BEGIN_OK. */
static int may_go_on(const struct lb_conn *conn, uint32_t handle, size_t len)
{
	bool resume = (conn->features & LB_FEATURE_RESUME) != 0;
	const struct lb_slot *slot = open_slot(conn);
	int err = lb_conn_may(conn, LB_ROLE_CLIENT);

	if (err == 0 && (slot == NULL || slot->handle != handle || (resume && slot->stage != LB_STAGE_OPEN)))
		err = -EPROTO;
	if (err == 0 && !lb_conn_has_room(conn, len))
		err = -EAGAIN;
	return err;
}

int lb_conn_begin(struct lb_conn *conn, const struct lb_begin *begin, uint32_t *handlep)
{
	size_t name_len = strnlen(begin->name, LB_NAME_MAX + 1);
	uint8_t payload[LB_PAYLOAD_MAX];
	const char *why;
	int err = may_ask(conn, LB_PAYLOAD_MAX);

	*handlep = 0;
	if (err != 0)
		return err;
	if (open_slot(conn) != NULL)
		return -EPROTO;
	if (lb_name_check(begin->name, name_len, &why) != 0 || !lb_number_ok(begin->id.number) ||
		lb_uuid_is_zero(&begin->ledger) || begin->attempt == 0 ||
		(begin->length > LB_COUNT_MAX && begin->length != LB_UNKNOWN))
		return -EINVAL;
	conn->last_begun = ++conn->last_handle;
	conn->current = lb_conn_slot_new(conn, conn->last_handle, LB_STAGE_BEGUN);
	conn->current->id = begin->id;
	conn->current->declared = begin->length;
	memcpy(conn->current->name, begin->name, name_len + 1);
	lb_conn_put(conn, LB_FRAME_BEGIN, conn->last_handle, payload, lb_begin_put(payload, begin));
	*handlep = conn->last_handle;
	return 0;
}

static bool extends(const struct lb_conn *conn)
{
	return conn->data_end == lb_output_end(&conn->output) && conn->data_at >= conn->output.written;
}

/* For DATA. What follows DATA of the open delivery, with nothing said since, is as legal: quick for many small pieces. */
static int may_send(const struct lb_conn *conn, uint32_t handle, size_t len)
{
	if (conn->state != LB_CONN_READY || conn->current == NULL || conn->current->handle != handle ||
		!extends(conn))
		return may_go_on(conn, handle, len);
	return lb_conn_has_room(conn, len) ? 0 : -EAGAIN;
}

/* Small DATA that follows small DATA, of which nothing was written yet, makes it longer: one frame for many pieces. */
static void put_copied(struct lb_conn *conn, uint32_t handle, const void *buf, size_t len)
{
	uint64_t end = lb_output_end(&conn->output);
	uint8_t header[LB_HEADER_BYTES];

	if (extends(conn)) {
		size_t before = (size_t)(end - conn->data_at) - sizeof header;

		lb_output_patch(&conn->output, conn->data_at + 8, (uint32_t)(before + len));
	} else {
		conn->data_at = end;
		lb_header_put(header, LB_FRAME_DATA, handle, (uint32_t)len);
		lb_output_put(&conn->output, header, sizeof header);
	}
	lb_output_put(&conn->output, buf, len);
	conn->data_end = lb_output_end(&conn->output);
}

int lb_conn_data(struct lb_conn *conn, uint32_t handle, const void *buf, size_t len)
{
	bool copied = len <= LB_DATA_COPIED;
	uint8_t header[LB_HEADER_BYTES];
	int err = may_send(conn, handle, copied ? len : 0);

	if (err != 0)
		return err;
	if (len == 0 || len > LB_DATA_MAX || conn->current->declared - conn->current->counted < len)
		return -EINVAL;
	if (conn->output.payload != NULL)
		return -EAGAIN;
	if (copied) {
		put_copied(conn, handle, buf, len);
	} else {
		lb_header_put(header, LB_FRAME_DATA, handle, (uint32_t)len);
		lb_output_put(&conn->output, header, sizeof header);
		lb_output_refer(&conn->output, buf, len);
	}
	conn->work_end = lb_output_end(&conn->output);
	conn->current->counted += len;
	return 0;
}

int lb_conn_sync(struct lb_conn *conn, uint32_t handle)
{
	int err = may_go_on(conn, handle, 0);

	if (err != 0)
		return err;
	if ((conn->features & LB_FEATURE_RESUME) == 0)
		return -EPROTO;
	if (conn->current->syncing)
		return -EAGAIN;
	conn->current->syncing = true;
	lb_conn_put(conn, LB_FRAME_SYNC, handle, NULL, 0);
	return 0;
}

int lb_conn_commit(struct lb_conn *conn, uint32_t handle, uint64_t length, const struct lb_digest *digest)
{
	struct lb_slot *slot = conn->current;
	uint8_t payload[LB_PAYLOAD_MAX];
	int err = may_go_on(conn, handle, sizeof payload);

	if (err != 0)
		return err;
	slot->commit_said = true;
	if (slot->stage == LB_STAGE_OPEN)
		slot->stage = LB_STAGE_COMMITTING;
	slot->length = length;
	slot->digest = *digest;
	slot->commit_at = lb_output_end(&conn->output);
	lb_conn_put(conn, LB_FRAME_COMMIT, handle, payload, lb_commit_put(payload, length, digest));
	return 0;
}

static void withdraw(struct lb_slot *slot)
{
	slot->stage = slot->stage == LB_STAGE_OPEN ? LB_STAGE_ROLLING : LB_STAGE_WITHDRAWN;
}

int lb_conn_rollback(struct lb_conn *conn, uint32_t handle)
{
	struct lb_slot *slot = open_slot(conn);
	int err = lb_conn_may(conn, LB_ROLE_CLIENT);

	if (err != 0)
		return err;
	if (slot == NULL || slot->handle != handle)
		return -EPROTO;
	if (!lb_conn_has_room(conn, 0))
		return -EAGAIN;
	withdraw(slot);
	lb_conn_put(conn, LB_FRAME_ROLLBACK, handle, NULL, 0);
	return 0;
}

int lb_conn_resolve(
	struct lb_conn *conn, const struct lb_id *id, const struct lb_uuid *ledger, uint32_t *handlep)
{
	uint8_t payload[LB_PAYLOAD_MAX];
	int err = may_ask(conn, sizeof payload);

	*handlep = 0;
	if (err != 0)
		return err;
	if (!lb_number_ok(id->number))
		return -EINVAL;
	lb_conn_slot_new(conn, ++conn->last_handle, LB_STAGE_ASKED)->id = *id;
	lb_conn_put(conn, LB_FRAME_RESOLVE, conn->last_handle, payload, lb_resolve_put(payload, id, ledger));
	*handlep = conn->last_handle;
	return 0;
}

int lb_conn_settled(struct lb_conn *conn, const struct lb_id *lowest_open)
{
	uint8_t payload[LB_PAYLOAD_MAX];
	int err = lb_conn_may(conn, LB_ROLE_CLIENT);

	if (err != 0)
		return err;
	if (!lb_number_ok(lowest_open->number))
		return -EINVAL;
	if (!lb_conn_has_room(conn, sizeof payload))
		return -EAGAIN;
	lb_conn_put(conn, LB_FRAME_SETTLED, 0, payload, lb_settled_put(payload, lowest_open));
	return 0;
}

int lb_conn_close(struct lb_conn *conn)
{
	struct lb_slot *slot = open_slot(conn);
	int err = lb_conn_may(conn, LB_ROLE_CLIENT);

	if (err != 0)
		return err;
	if (slot != NULL)
		withdraw(slot);
	lb_conn_put(conn, LB_FRAME_CLOSE, 0, NULL, 0);
	if (conn->state == LB_CONN_READY)
		conn->state = LB_CONN_CLOSING;
	conn->quiet = true;
	return 0;
}

bool lb_conn_commit_sent(const struct lb_conn *conn, uint32_t handle)
{
	const struct lb_slot *slot = lb_conn_slot(conn, handle);

	return slot != NULL && slot->commit_said && conn->output.written > slot->commit_at;
}
