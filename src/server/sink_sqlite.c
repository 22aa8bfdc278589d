/* SPDX-License-Identifier: MIT */
/*
 * The `sqlite:` sink: each delivery a row of the table `deliveries`, in the ledger's own database and in one transaction
 * with the row that commits it. Contents are collected in memory until then. Owns how much of it they take; several
 * processes may have the ledger open, so nothing else that is known here says anything of an id.
 */
#include "server/sink_sqlite.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct lb_rows *rows_of(struct lb_sink *sink)
{
	return (struct lb_rows *)sink;
}

static void release(struct lb_rows *rows, struct lb_intake *intake)
{
	free(intake->content);
	atomic_fetch_sub(&rows->held, intake->room);
	intake->content = NULL;
	intake->room = 0;
}

/* A first attempt is not looked for: the commit will find out. That is what makes it fast, and no less certain. */
static void rows_begin(struct lb_sink *sink, struct lb_intake *intake)
{
	intake->verdict = LB_VERDICT_UNPROVEN;
	intake->reason = LB_REASON_NONE;
	intake->received = intake->offset = intake->rehashed = 0;
	intake->content = NULL;
	intake->room = 0;
	if (intake->attempt > 1) {
		struct lb_ledger *ledger = rows_of(sink)->ledger;

		(void)lb_ledger_settle_now(
			ledger); /* or the answer may be SETTLE_FIRST, which does no harm */
		if (!lb_intake_is_open(intake, ledger))
			return;
	}
	if (intake->declared != LB_UNKNOWN && intake->declared > sink->max_delivery)
		lb_intake_decide(intake, LB_REASON_TOO_LARGE);
}

/* Makes room for `needed` bytes: as much as there was once more, but no more than can come. */
static bool grow(struct lb_rows *rows, struct lb_intake *intake, uint64_t needed)
{
	uint64_t most =
		intake->declared < rows->sink.max_delivery ? intake->declared : rows->sink.max_delivery;
	uint64_t room = intake->room > most / 2 ? most : 2 * intake->room;
	void *content;

	if (room < needed)
		room = needed;
	if (atomic_fetch_add(&rows->held, room - intake->room) + room - intake->room > rows->held_max) {
		atomic_fetch_sub(&rows->held, room - intake->room);
		return false;
	}
	content = realloc(intake->content, room);
	if (content == NULL) {
		atomic_fetch_sub(&rows->held, room - intake->room);
		return false;
	}
	intake->content = content;
	intake->room = room;
	return true;
}

static enum lb_reason rows_write(struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len)
{
	if (len > sink->max_delivery - intake->received)
		return LB_REASON_TOO_LARGE;
	if (len > intake->room - intake->received && !grow(rows_of(sink), intake, intake->received + len))
		return LB_REASON_BUSY;
	memcpy((char *)intake->content + intake->received, buf, len);
	intake->received += len;
	return LB_REASON_NONE;
}

static enum lb_reason rows_read(struct lb_sink *sink, struct lb_intake *intake, void *buf)
{
	(void)sink;
	if (intake->received > 0)
		memcpy(buf, intake->content, intake->received);
	return LB_REASON_NONE;
}

static int rows_is_decided(struct lb_sink *sink, const struct lb_id *id, bool *decidedp)
{
	return lb_sink_is_decided(rows_of(sink)->ledger, id, decidedp);
}

static void fill_entry(
	struct lb_rows *rows, const struct lb_intake *intake, int64_t now, struct lb_ledger_entry *entry)
{
	struct lb_receipt *receipt = &entry->receipt;

	*entry = (struct lb_ledger_entry){
		.content = intake->content, .reply = {intake->reply, intake->reply_len}};
	receipt->id = intake->id;
	receipt->ledger = rows->sink.ledger;
	receipt->length = intake->received;
	receipt->digest = intake->digest;
	receipt->committed_at = now;
	receipt->durability = rows->sink.durability;
	memcpy(receipt->name, intake->name, sizeof receipt->name);
	memcpy(receipt->placed, intake->name, sizeof receipt->placed);
}

/* What the ledger has said to its row. */
static void decide(struct lb_intake *intake, enum lb_ledger_state state)
{
	if (state == LB_LEDGER_UNSEEN)
		intake->verdict = LB_VERDICT_COMMITTED;
	else if (state != LB_LEDGER_COMMITTED)
		lb_intake_decide_known(intake, state);
	else if (lb_intake_differs(intake, &intake->receipt, true))
		lb_intake_decide(intake, LB_REASON_DIFFERENT);
	else
		intake->verdict = LB_VERDICT_COMMITTED; /* by another attempt */
}

/* A COMMIT of the ledger that failed is in doubt until the ledger was opened anew and read. False: it cannot be read. */
static bool find_out(struct lb_rows *rows, struct lb_intake *intake)
{
	enum lb_ledger_state state;

	if (lb_intake_look(intake, rows->ledger, &state) != 0)
		return false;
	if (state == LB_LEDGER_UNSEEN)
		lb_intake_decide(intake, LB_REASON_IO_ERROR);
	else
		decide(intake, state);
	return true;
}

static void commit_together(struct lb_rows *rows, struct lb_intake **intakes, size_t n)
{
	struct lb_host *host = rows->sink.host;
	int64_t now = host->clock->wall(host);
	bool readable = true; /* opening it anew may take long: it is tried once for all */
	int err;

	for (size_t i = 0; i < n; i++)
		fill_entry(rows, intakes[i], now, &rows->entries[i]);
	err = lb_ledger_commit(rows->ledger, rows->entries, n);
	for (size_t i = 0; i < n; i++) {
		intakes[i]->reply = rows->entries[i].reply.bytes;
		intakes[i]->reply_len = rows->entries[i].reply.len;
		if (err != 0)
			free(rows->entries[i].text); /* it has another reason now */
		if (err == 0) {
			intakes[i]->text = rows->entries[i].text;
			intakes[i]->receipt = rows->entries[i].receipt;
			decide(intakes[i], rows->entries[i].state);
		} else if (err != -EIO) {
			lb_intake_decide(intakes[i], lb_sink_reason(err));
		} else {
			readable = readable && find_out(rows, intakes[i]);
			if (!readable)
				lb_intake_doubt(intakes[i]);
		}
		release(rows, intakes[i]);
	}
}

static void rows_commit(struct lb_sink *sink, struct lb_intake **intakes, size_t n)
{
	for (size_t at = 0, together; at < n; at += together) {
		together = n - at < LB_ROWS_BATCH ? n - at : LB_ROWS_BATCH;
		commit_together(rows_of(sink), intakes + at, together);
	}
}

static void rows_rollback(struct lb_sink *sink, struct lb_intake *intake)
{
	release(rows_of(sink), intake);
}

static void rows_resolve(struct lb_sink *sink, struct lb_resolution *resolution)
{
	enum lb_ledger_state state = LB_LEDGER_UNSEEN;
	int err = lb_resolution_fence(resolution, rows_of(sink)->ledger, &state);

	lb_resolution_decide(resolution, err, state);
}

static void rows_settle(struct lb_sink *sink, const struct lb_id *lowest)
{
	/* Only makes room: the client says it again, and no answer rests on it. */
	(void)lb_ledger_settle_later(rows_of(sink)->ledger, lowest);
}

static void rows_close(struct lb_sink *sink)
{
	struct lb_rows *rows = rows_of(sink);

	(void)lb_ledger_settle_now(rows->ledger);
	lb_ledger_close(rows->ledger);
	free(rows);
}

/* It cannot resume: nothing is hashed again, synced or swept. */
const struct lb_sink_ops lb_rows_ops = {
	.begin = rows_begin,
	.write = rows_write,
	.read = rows_read,
	.is_decided = rows_is_decided,
	.commit = rows_commit,
	.rollback = rows_rollback,
	.leave = rows_rollback,
	.resolve = rows_resolve,
	.settle = rows_settle,
	.close = rows_close,
};
