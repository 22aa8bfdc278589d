/* SPDX-License-Identifier: MIT */
/*
 * When to say PING, and when to give the peer up (docs/protocol.md, "Time"). Owns the times in struct
 * lb_conn; reads no clock.
 */
#include "proto/clock.h"
#include "proto/bytes.h"

#define MS           INT64_C(1000000)
#define IDLE_DEFAULT (60000 * MS)
#define IDLE_MAX     (UINT32_MAX * MS)

static lb_time later(lb_time a, lb_time b)
{
	return a > b ? a : b;
}

static lb_time after(lb_time start, lb_time span)
{
	return start > LB_NEVER - span ? LB_NEVER : start + span;
}

void lb_clock_start(struct lb_conn *conn, lb_time idle_timeout, lb_time now)
{
	lb_time idle = idle_timeout <= 0 ? IDLE_DEFAULT : idle_timeout;

	if (idle > IDLE_MAX)
		idle = IDLE_MAX;
	conn->idle = later((idle + MS - 1) / MS, LB_IDLE_MIN_MS) * MS;
	conn->last_in = conn->last_out = conn->last_work = conn->last_ping = conn->last_clear = now;
}

uint32_t lb_clock_idle_ms(const struct lb_conn *conn)
{
	return (uint32_t)(conn->idle / MS);
}

void lb_clock_agree(struct lb_conn *conn, uint32_t idle_ms)
{
	if (idle_ms * MS < conn->idle)
		conn->idle = idle_ms * MS;
}

/* "Greetings are complete within one idle time": until then bytes do not count, or one byte a minute would do. */
void lb_clock_received(struct lb_conn *conn, lb_time now)
{
	if (conn->state != LB_CONN_HELLO)
		conn->last_in = now;
}

void lb_clock_wrote(struct lb_conn *conn, lb_time now)
{
	conn->last_out = now;
	if (conn->output.written < conn->work_end)
		conn->last_work = now;
}

static bool has_output(const struct lb_conn *conn)
{
	return conn->output.used > 0 || conn->output.payload != NULL;
}

static bool waits_for_answer(const struct lb_conn *conn)
{
	uint32_t seen = 0;

	for (struct lb_slot *slot = conn->near; seen < conn->n_used; slot = lb_slot_after(conn, slot)) {
		if (slot->handle == 0)
			continue;
		if (slot->stage != LB_STAGE_OPEN || slot->syncing)
			return true;
		seen++;
	}
	return false;
}

static lb_time ping_at(const struct lb_conn *conn)
{
	lb_time pause = conn->idle / 3, at = LB_NEVER;

	if (conn->state == LB_CONN_READY && conn->role == LB_ROLE_CLIENT) {
		at = after(later(conn->last_out, conn->last_ping), pause);
		if (waits_for_answer(conn)) {
			lb_time answer = after(later(conn->last_in, conn->last_ping), pause);

			at = answer < at ? answer : at;
		}
	} else if (conn->state == LB_CONN_CLOSING && conn->role == LB_ROLE_SERVER) {
		at = after(later(conn->last_out, conn->last_ping), pause);
	}
	return at;
}

static lb_time give_up_at(const struct lb_conn *conn)
{
	if (conn->state == LB_CONN_FAILED || conn->state == LB_CONN_CLOSED)
		return LB_NEVER;
	if (conn->state == LB_CONN_HELLO)
		return after(conn->last_in, conn->idle);
	if (conn->role == LB_ROLE_CLIENT)
		return after(later(conn->last_in, conn->last_work), conn->idle);
	/* The client may say nothing more: it is gone only if it does not even read. */
	if (conn->state == LB_CONN_CLOSING)
		return has_output(conn) ? after(later(conn->last_clear, later(conn->last_in, conn->last_out)),
						  conn->idle)
					: LB_NEVER;
	return conn->held ? LB_NEVER : after(conn->last_in, conn->idle);
}

lb_time lb_conn_deadline(const struct lb_conn *conn)
{
	lb_time ping = ping_at(conn), end = give_up_at(conn);

	return ping < end ? ping : end;
}

void lb_conn_tick(struct lb_conn *conn, lb_time now, struct lb_event *eventp)
{
	uint8_t payload[8];

	eventp->type = LB_EVENT_NONE;
	if (now >= give_up_at(conn)) {
		lb_conn_break(conn, LB_FAILURE_IDLE, lb_failure_text(LB_FAILURE_IDLE), eventp);
		eventp->type = LB_EVENT_TIMEOUT;
	} else if (now >= ping_at(conn)) {
		conn->last_ping = now;
		if (has_output(conn))
			return; /* a PING behind it would come no sooner than it */
		conn->last_clear = now;
		lb_put_be(payload, ++conn->pings, sizeof payload);
		lb_conn_put(conn, LB_FRAME_PING, 0, payload, sizeof payload);
	}
}
