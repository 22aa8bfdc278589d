/* SPDX-License-Identifier: MIT */
/*
 * The `dir:` sink: each delivery a file that appears whole in PATH, or never. This file takes deliveries in and
 * answers questions about them; the commit is in sink_dir_commit.c, opening and recovery in sink_dir_open.c. Owns
 * the list of what is being received, and with it the reserved names.
 */
#include "server/sink_dir.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct lb_dir *dir_of(struct lb_sink *sink)
{
	return (struct lb_dir *)sink;
}

static bool is_id(const struct lb_id *a, const struct lb_id *b)
{
	return a->number == b->number && memcmp(a->client, b->client, sizeof a->client) == 0;
}

struct lb_intake *lb_dir_find(struct lb_dir *dir, const struct lb_id *id)
{
	struct lb_intake *intake = dir->intakes;

	while (intake != NULL && !is_id(&intake->id, id))
		intake = intake->next;
	return intake;
}

/* Whether the ledger has no answer yet for this id. */
static bool is_open_in_ledger(struct lb_dir *dir, struct lb_intake *intake)
{
	bool open = lb_intake_is_open(intake, dir->ledger);

	if (intake->verdict == LB_VERDICT_COMMITTED && lb_dir_place_left(dir, &intake->receipt) != 0)
		lb_intake_doubt(intake);
	return open;
}

static enum lb_reason reason_of_name(int err)
{
	return err == -ENAMETOOLONG || err == -EINVAL || err == -EILSEQ ? LB_REASON_BAD_NAME
									: lb_sink_reason(err);
}

static bool is_name_free(struct lb_dir *dir, struct lb_intake *intake)
{
	struct lb_host *host = dir->sink.host;
	struct lb_file_stat st;
	const char *why;
	int err;

	/* The protocol has checked it. But a name with a slash in it would leave PATH. */
	if (lb_name_check(intake->name, strlen(intake->name), &why) != 0) {
		lb_intake_decide(intake, LB_REASON_BAD_NAME);
		return false;
	}
	err = host->disk->stat(host, dir->inbox, intake->name, &st);
	if (err != -ENOENT)
		lb_intake_decide(intake, err == 0 ? LB_REASON_NAME_EXISTS : reason_of_name(err));
	/* Whether that one is going to commit is not decided yet; its client may even be gone. */
	for (struct lb_intake *other = dir->intakes; err == -ENOENT && other != NULL; other = other->next)
		if (strcmp(other->name, intake->name) == 0)
			lb_intake_decide(intake, LB_REASON_BUSY);
	return intake->reason == LB_REASON_NONE;
}

static void dir_begin(struct lb_sink *sink, struct lb_intake *intake)
{
	struct lb_dir *dir = dir_of(sink);
	int err;

	intake->verdict = LB_VERDICT_UNPROVEN;
	intake->reason = LB_REASON_NONE;
	intake->received = intake->offset = intake->rehashed = intake->durable = 0;
	intake->linked = false;
	intake->part = intake->part_dir = -1;
	intake->next = NULL;
	if (lb_dir_find(dir, &intake->id) != NULL) {
		lb_intake_decide(intake, LB_REASON_BUSY);
		return;
	}
	if (!LB_BUG("no_ledger_row_check") && (!is_open_in_ledger(dir, intake) || !is_name_free(dir, intake)))
		return;
	err = lb_dir_resume(dir, intake);
	if (err != 0)
		lb_intake_decide(intake, lb_sink_reason(err));
	if (intake->verdict != LB_VERDICT_UNPROVEN) {
		lb_dir_release(dir, intake);
		return;
	}
	err = intake->offset == 0 ? lb_dir_part_create(dir, intake) : 0;
	if (err != 0) {
		lb_intake_decide(intake, reason_of_name(err));
		lb_dir_discard(dir, intake);
		return;
	}
	intake->next = dir->intakes;
	dir->intakes = intake;
}

static enum lb_reason dir_write(struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len)
{
	int err = sink->host->disk->write(sink->host, intake->part, buf, len, intake->received);

	if (err != 0)
		return lb_sink_reason(err);
	intake->received += len;
	return LB_REASON_NONE;
}

static enum lb_reason dir_read(struct lb_sink *sink, struct lb_intake *intake, void *buf)
{
	ssize_t n = sink->host->disk->read(sink->host, intake->part, buf, intake->received, 0);

	return n >= 0 && (uint64_t)n == intake->received ? LB_REASON_NONE : LB_REASON_IO_ERROR;
}

static int dir_is_decided(struct lb_sink *sink, const struct lb_id *id, bool *decidedp)
{
	return lb_sink_is_decided(dir_of(sink)->ledger, id, decidedp);
}

static void dir_rollback(struct lb_sink *sink, struct lb_intake *intake)
{
	if (intake->part >= 0) /* else the part, if there is one, is not its own */
		lb_dir_discard(dir_of(sink), intake);
}

static void dir_resolve(struct lb_sink *sink, struct lb_resolution *resolution)
{
	struct lb_dir *dir = dir_of(sink);
	enum lb_ledger_state state = LB_LEDGER_UNSEEN;
	int err = lb_resolution_fence(resolution, dir->ledger, &state);

	if (err == 0 && state == LB_LEDGER_COMMITTED)
		err = lb_dir_place_left(dir, &resolution->receipt);
	lb_resolution_decide(resolution, err, state);
	/* what an attempt in doubt has left; one that is still received stays until its own end */
	if (resolution->reason == LB_REASON_FENCED && lb_dir_find(dir, &resolution->id) == NULL)
		(void)lb_dir_part_remove(dir, &resolution->id);
}

static void dir_settle(struct lb_sink *sink, const struct lb_id *lowest)
{
	struct lb_dir *dir = dir_of(sink);
	struct lb_ledger_part *parts;
	size_t n;
	bool known = lb_ledger_parts_below(dir->ledger, lowest, &parts, &n) == 0;

	/* Only makes room: the client says it again, and no answer rests on it. */
	if (lb_ledger_settle(dir->ledger, lowest) != 0 || !known)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (lb_dir_find(dir, &parts[i].id) == NULL)
			(void)lb_dir_part_remove(dir, &parts[i].id);
	free(parts);
}

static void dir_close(struct lb_sink *sink)
{
	lb_dir_free(dir_of(sink));
}

const struct lb_sink_ops lb_dir_ops = {
	.begin = dir_begin,
	.rehash = lb_dir_rehash,
	.write = dir_write,
	.sync = lb_dir_sync,
	.read = dir_read,
	.is_decided = dir_is_decided,
	.commit = lb_dir_commit,
	.rollback = dir_rollback,
	.leave = lb_dir_leave,
	.resolve = dir_resolve,
	.settle = dir_settle,
	.sweep = lb_dir_sweep,
	.close = dir_close,
};
