/* SPDX-License-Identifier: MIT */
/*
 * What the `dir:` sink keeps of a delivery that is not complete, and for how long. Owns nothing. A row in the ledger says
 * how much of parts/ID/NAME is durable: it is written after a sync of that much, and gone, durably, before another file
 * takes its place. So a file that is as long as its row says is what the row speaks of; any other is of no use.
 */
#include "server/sink_dir.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static lb_time now_of(struct lb_dir *dir)
{
	return dir->sink.host->clock->now(dir->sink.host);
}

static int sync_part(struct lb_dir *dir, struct lb_intake *intake)
{
	struct lb_host *host = dir->sink.host;
	int err = LB_BUG("offset_before_sync") ? 0 : host->disk->sync(host, intake->part);

	if (err == 0 && !intake->linked)
		err = host->disk->sync(host, intake->part_dir);
	if (err == 0 && !intake->linked)
		err = lb_dir_sync_parts(dir);
	intake->linked = err == 0;
	return err;
}

enum lb_reason lb_dir_sync(struct lb_sink *sink, struct lb_intake *intake, uint64_t offset)
{
	struct lb_dir *dir = (struct lb_dir *)sink;
	struct lb_ledger_part row = {
		.id = intake->id, .attempt = intake->attempt, .declared = intake->declared, .offset = offset};
	struct lb_intake told = {
		.reason = LB_REASON_NONE}; /* the loop has the verdict of this one in its hands */
	enum lb_ledger_state state;
	int err;

	if (offset <= intake->durable)
		return LB_REASON_NONE;
	err = intake->part_dir < 0 ? -EIO : sync_part(dir, intake);
	LB_FAULT("sync_part_synced");
	if (err != 0) {
		/* A later sync would say nothing of what this one has lost: without part_dir it cannot commit. */
		lb_dir_close_fd(dir, &intake->part_dir);
		return lb_sink_reason(err);
	}
	memcpy(row.name, intake->name, sizeof row.name);
	err = lb_ledger_part_put(dir->ledger, &row, &state);
	LB_FAULT("sync_row_put");
	if (err != 0)
		return lb_sink_reason(err);
	if (state == LB_LEDGER_UNSEEN)
		intake->durable = offset;
	else
		lb_intake_decide_known(&told, state);
	return told.reason;
}

/* Opens what a row speaks of, and cuts off what lies behind it. -ENODATA: it is not there. */
static int open_part(struct lb_dir *dir, struct lb_ledger_part *row, int *part_dirp, int *partp)
{
	struct lb_host *host = dir->sink.host;
	struct lb_file_stat st;
	int err;

	*partp = -1;
	*part_dirp = lb_dir_part_open(dir, &row->id);
	err = *part_dirp < 0 ? *part_dirp : host->disk->stat(host, *part_dirp, row->name, &st);
	if (err == 0 && (st.is_dir || st.size < row->offset))
		err = -ENODATA;
	if (err == 0)
		err = *partp = host->disk->open(host, *part_dirp, row->name, LB_OPEN_WRITE);
	if (err >= 0 && LB_BUG("resume_at_size"))
		row->offset = st.size;
	if (err >= 0)
		err = st.size > row->offset ? host->disk->truncate(host, *partp, row->offset) : 0;
	if (err < 0) {
		lb_dir_close_fd(dir, partp);
		lb_dir_close_fd(dir, part_dirp);
	}
	return err == -ENOENT || err == -ENOTDIR || err == -ELOOP ? -ENODATA : err < 0 ? err : 0;
}

/* Invariant 4, of what is not committed yet. */
static bool differs(const struct lb_intake *intake, const struct lb_ledger_part *row)
{
	if (strcmp(intake->name, row->name) != 0)
		return true;
	if (intake->declared == LB_UNKNOWN)
		return false;
	return (row->declared != LB_UNKNOWN && row->declared != intake->declared) ||
	       row->offset > intake->declared;
}

/* The row becomes this attempt's. */
static int take_over(struct lb_dir *dir, struct lb_intake *intake, struct lb_ledger_part *row)
{
	enum lb_ledger_state state;
	int err;

	row->attempt = intake->attempt;
	if (row->declared == LB_UNKNOWN)
		row->declared = intake->declared;
	err = lb_ledger_part_put(dir->ledger, row, &state);
	if (err != 0)
		return err;
	lb_intake_decide_known(intake, state);
	intake->offset = intake->received = intake->durable = row->offset;
	intake->linked = true;
	return 0;
}

int lb_dir_resume(struct lb_dir *dir, struct lb_intake *intake)
{
	struct lb_ledger_part row;
	bool found;
	int err = lb_ledger_part_look(dir->ledger, &intake->id, &row, &found);

	if (err != 0 || !found)
		return err;
	if (intake->attempt < row.attempt)
		lb_intake_decide(intake, LB_REASON_SUPERSEDED);
	else if (differs(intake, &row))
		lb_intake_decide(intake, LB_REASON_DIFFERENT);
	if (intake->verdict != LB_VERDICT_UNPROVEN)
		return 0;
	if (intake->resume) {
		err = open_part(dir, &row, &intake->part_dir, &intake->part);
		if (err != -ENODATA)
			return err == 0 ? take_over(dir, intake, &row) : err;
	}
	return lb_ledger_parts_forget(dir->ledger, &row, 1);
}

/* What was kept cannot be read: nothing of it is provable. */
static void start_over(struct lb_dir *dir, struct lb_intake *intake, struct lb_hasher *hasher)
{
	const struct lb_ledger_part row = {.id = intake->id};
	int err = lb_ledger_parts_forget(dir->ledger, &row, 1);

	lb_dir_close_fd(dir, &intake->part);
	lb_dir_close_fd(dir, &intake->part_dir);
	intake->offset = intake->received = intake->rehashed = 0;
	intake->linked = false;
	lb_hasher_init(hasher);
	if (err == 0) {
		intake->durable = 0;
		err = lb_dir_part_create(dir, intake);
	}
	if (err != 0) {
		lb_intake_decide(intake, lb_sink_reason(err));
		lb_dir_discard(dir, intake);
	}
}

void lb_dir_rehash(struct lb_sink *sink, struct lb_intake *intake, struct lb_hasher *hasher)
{
	struct lb_dir *dir = (struct lb_dir *)sink;
	uint64_t end = intake->offset - intake->rehashed > LB_DIR_REHASH ? intake->rehashed + LB_DIR_REHASH
									 : intake->offset;

	while (intake->rehashed < end) {
		uint64_t left = end - intake->rehashed;
		size_t len = left < LB_DIR_READ ? (size_t)left : LB_DIR_READ;
		ssize_t n = sink->host->disk->read(sink->host, intake->part, dir->buf, len, intake->rehashed);

		if (n != (ssize_t)len) {
			start_over(dir, intake, hasher);
			return;
		}
		lb_hasher_update(hasher, dir->buf, len);
		intake->rehashed += len;
	}
}

/* Counts the time since the last sweep for what nobody is at; rows of others are left out. */
static void count_age(struct lb_dir *dir, struct lb_ledger_part *parts, size_t *np)
{
	lb_time now = now_of(dir), since = now - dir->swept;
	size_t idle = 0;

	for (size_t i = 0; i < *np; i++)
		if (lb_dir_find(dir, &parts[i].id) == NULL)
			parts[idle++] = parts[i];
	*np = idle;
	if (since < dir->sink.sweep_every)
		return;
	for (size_t i = 0; i < idle; i++)
		parts[i].age += since;
	if (lb_ledger_parts_age(dir->ledger, parts, idle) == 0)
		dir->swept = now;
}

void lb_dir_sweep(struct lb_sink *sink)
{
	struct lb_dir *dir = (struct lb_dir *)sink;
	struct lb_ledger_part *parts;
	uint64_t room = dir->keep_max;
	size_t n, gone = 0;

	if (lb_ledger_parts(dir->ledger, &parts, &n) != 0)
		return; /* or the next time */
	count_age(dir, parts, &n);
	/* The ones that were put last come first; from the first one that does not fit on, none does. What is too much
	 * all alone takes no place from the others. */
	for (size_t i = 0; i < n; i++) {
		bool counts = parts[i].age < dir->keep && parts[i].offset <= dir->keep_max;
		bool stays = counts && parts[i].offset <= room;

		if (counts)
			room = stays ? room - parts[i].offset : 0;
		if (!stays)
			parts[gone++] = parts[i];
	}
	if (lb_ledger_parts_forget(dir->ledger, parts, gone) == 0)
		dir->keep_room = room;
	else
		gone = 0;
	for (size_t i = 0; i < gone; i++)
		(void)lb_dir_part_remove(dir, &parts[i].id);
	free(parts);
}

/* Its connection has ended: a later attempt has all of keep_parts from now on. */
void lb_dir_leave(struct lb_sink *sink, struct lb_intake *intake)
{
	struct lb_dir *dir = (struct lb_dir *)sink;
	const struct lb_ledger_part mine = {.id = intake->id};
	struct lb_ledger_part row;
	bool found = intake->durable > 0 && intake->part_dir >= 0;

	if (intake->part < 0) /* the part, if there is one, is not its own */
		return;
	if (found && lb_ledger_part_look(dir->ledger, &intake->id, &row, &found) != 0)
		found = true; /* the ledger cannot tell now: recovery, or a later begin, will */
	if (!found) {
		lb_dir_discard(dir, intake);
		return;
	}
	(void)sink->host->disk->truncate(sink->host, intake->part, intake->durable); /* or begin does */
	(void)lb_ledger_parts_age(dir->ledger, &mine, 1);
	lb_dir_release(dir, intake);
	if (intake->durable <= dir->keep_room)
		dir->keep_room -= intake->durable;
	else
		lb_dir_sweep(sink);
}

int lb_dir_recover_parts(struct lb_dir *dir)
{
	struct lb_ledger_part *parts;
	size_t n, gone = 0;
	int err = lb_ledger_parts(dir->ledger, &parts, &n), part_dir, part;

	if (err != 0)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (open_part(dir, &parts[i], &part_dir, &part) == -ENODATA)
			parts[gone++] = parts[i];
		lb_dir_close_fd(dir, &part);
		lb_dir_close_fd(dir, &part_dir);
	}
	err = lb_ledger_parts_forget(dir->ledger, parts, gone);
	free(parts);
	lb_dir_sweep(&dir->sink);
	return err;
}
