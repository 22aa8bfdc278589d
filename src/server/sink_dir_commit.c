/* SPDX-License-Identifier: MIT */
/*
 * The commit of the `dir:` sink, whose order is the point of it: parts synced, their directories synced, rows in the
 * ledger, moved to PATH, PATH synced, verdicts. Each step is taken for all deliveries of a batch before the next.
 * Owns nothing: what fails before the rows is removed, what fails after them stays for recovery.
 */
#include "server/sink_dir.h"
#include "base/test.h"
#include <errno.h>
#include <string.h>

static int sync_part(struct lb_dir *dir, struct lb_intake *intake)
{
	struct lb_host *host = dir->sink.host;
	int err = LB_BUG("early_commit") ? 0 : host->disk->sync(host, intake->part);

	LB_FAULT("part_synced");
	if (err != 0)
		return err;
	return intake->part_dir < 0 ? -EIO : host->disk->sync(host, intake->part_dir);
}

/*
 * What a failed sync of parts/ was to make durable may be lost, and no later sync would tell. So nothing
 * that lies in it now can commit: an intake without part_dir is refused when its COMMIT comes.
 */
int lb_dir_sync_parts(struct lb_dir *dir)
{
	struct lb_host *host = dir->sink.host;
	int err = host->disk->sync(host, dir->parts);

	for (struct lb_intake *intake = dir->intakes; err != 0 && intake != NULL; intake = intake->next)
		lb_dir_close_fd(dir, &intake->part_dir);
	return err;
}

/* The first half: everything durable that the row will speak of. Returns the number of those that are. */
static size_t make_durable(struct lb_dir *dir, struct lb_intake **intakes, size_t n)
{
	size_t alive = 0;
	int err;

	LB_FAULT("commit_begun");
	for (size_t i = 0; i < n; i++) {
		err = sync_part(dir, intakes[i]);
		if (err == 0) {
			dir->batch[alive++] = intakes[i];
		} else {
			lb_intake_decide(intakes[i], lb_sink_reason(err));
			lb_dir_discard(dir, intakes[i]);
		}
	}
	err = alive > 0 ? lb_dir_sync_parts(dir) : 0;
	LB_FAULT("parts_synced");
	for (size_t i = 0; i < alive && err != 0; i++) {
		lb_intake_decide(dir->batch[i], lb_sink_reason(err));
		lb_dir_discard(dir, dir->batch[i]);
	}
	return err == 0 ? alive : 0;
}

static void fill_receipt(
	struct lb_dir *dir, const struct lb_intake *intake, int64_t now, struct lb_receipt *receipt)
{
	*receipt = (struct lb_receipt){.id = intake->id,
		.ledger = dir->sink.ledger,
		.length = intake->received,
		.digest = intake->digest,
		.committed_at = now,
		.durability = dir->sink.durability};
	memcpy(receipt->name, intake->name, sizeof receipt->name);
	memcpy(receipt->placed, intake->name, sizeof receipt->placed);
}

/* What the ledger said to a row: true if the part may be placed. */
static bool is_ours(struct lb_dir *dir, struct lb_intake *intake, enum lb_ledger_state state)
{
	if (state == LB_LEDGER_UNSEEN)
		return true;
	if (state != LB_LEDGER_COMMITTED)
		lb_intake_decide_known(intake, state);
	else if (lb_intake_differs(intake, &intake->receipt, true))
		lb_intake_decide(intake, LB_REASON_DIFFERENT);
	else
		intake->verdict = LB_VERDICT_COMMITTED; /* by another attempt, which placed it */
	lb_dir_discard(dir, intake);
	return false;
}

/* A COMMIT of the ledger that failed is in doubt until the ledger was opened anew and read. True: the row is in. */
static bool is_committed_after_all(struct lb_dir *dir, struct lb_intake *intake)
{
	enum lb_ledger_state state;

	if (lb_intake_look(intake, dir->ledger, &state) != 0) {
		lb_intake_doubt(intake);
		lb_dir_release(dir, intake);
		return false;
	}
	if (state == LB_LEDGER_COMMITTED && !lb_intake_differs(intake, &intake->receipt, true))
		return true;
	if (state == LB_LEDGER_UNSEEN) {
		lb_intake_decide(intake, LB_REASON_IO_ERROR);
		lb_dir_discard(dir, intake);
		return false;
	}
	return is_ours(dir, intake, state);
}

/* The commit point. Returns the number of those in the batch whose rows are in. */
static size_t make_rows(struct lb_dir *dir, size_t n)
{
	struct lb_host *host = dir->sink.host;
	int64_t now = host->clock->wall(host);
	size_t committed = 0;
	int err;

	for (size_t i = 0; i < n; i++) {
		fill_receipt(dir, dir->batch[i], now, &dir->entries[i].receipt);
		dir->entries[i].reply =
			(struct lb_ledger_reply){dir->batch[i]->reply, dir->batch[i]->reply_len};
	}
	err = n > 0 ? lb_ledger_commit(dir->ledger, dir->entries, n) : 0;
	for (size_t i = 0; i < n; i++) {
		struct lb_intake *intake = dir->batch[i];
		bool is_in = false;

		intake->reply = dir->entries[i].reply.bytes;
		intake->reply_len = dir->entries[i].reply.len;
		if (err == 0) {
			intake->receipt = dir->entries[i].receipt;
			is_in = is_ours(dir, intake, dir->entries[i].state);
		} else if (err != -EIO) {
			lb_intake_decide(intake, lb_sink_reason(err));
			lb_dir_discard(dir, intake);
		} else {
			is_in = is_committed_after_all(dir, intake);
		}
		if (is_in)
			dir->batch[committed++] = intake;
	}
	LB_FAULT("row_committed");
	return committed;
}

/* The second half. What fails from here on is in doubt, and is placed by a later question or by recovery. */
static void place_all(struct lb_dir *dir, size_t n)
{
	struct lb_host *host = dir->sink.host;
	size_t placed = 0;
	int err;

	for (size_t i = 0; i < n; i++) {
		struct lb_intake *intake = dir->batch[i];

		lb_dir_close_fd(dir, &intake->part);
		if (lb_dir_place(dir, intake->part_dir, &intake->receipt) == 0) {
			dir->batch[placed++] = intake;
		} else {
			lb_intake_doubt(intake);
			lb_dir_release(dir, intake);
		}
		LB_FAULT("renamed");
	}
	err = placed > 0 ? host->disk->sync(host, dir->inbox) : 0;
	LB_FAULT("inbox_synced");
	for (size_t i = 0; i < placed; i++) {
		struct lb_intake *intake = dir->batch[i];

		if (err == 0) {
			intake->verdict = LB_VERDICT_COMMITTED;
			lb_dir_discard(dir, intake);
		} else {
			lb_dir_unplace(dir, intake->part_dir, &intake->receipt);
			lb_intake_doubt(intake);
			lb_dir_release(dir, intake);
		}
	}
}

void lb_dir_commit(struct lb_sink *sink, struct lb_intake **intakes, size_t n)
{
	struct lb_dir *dir = (struct lb_dir *)sink;

	for (size_t at = 0, together; at < n; at += together) {
		together = n - at < LB_DIR_BATCH ? n - at : LB_DIR_BATCH;
		place_all(dir, make_rows(dir, make_durable(dir, intakes + at, together)));
	}
}
