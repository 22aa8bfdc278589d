/* SPDX-License-Identifier: MIT */
/*
 * Opening the `dir:` sink, recovery, and closing. Owns the descriptors of PATH and of what lies in PATH/.lastbyte/, and
 * the lock that keeps a second server away. When it returns, every directory, the ledger and the inbox are durable,
 * and in parts/ lies only what can be resumed.
 */
#include "server/sink_dir.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND     INT64_C(1000000000)
#define KEEP_PARTS (24 * 3600 * SECOND)
#define SWEEP_MAX  (60 * SECOND)

struct opening {
	struct lb_dir *dir;
	struct lb_host *host;
	const char *path, *vfs;
	unsigned keep_receipts;
	char *why;         /* 256 bytes */
	struct lb_id *ids; /* of the parts that were found */
	size_t n_ids, room;
};

static int fail(struct opening *opening, int err, const char *what)
{
	snprintf(opening->why, 256, "%s %.120s: %s", what, opening->path, strerrordesc_np(-err));
	return err;
}

static int say(struct opening *opening, int err, const char *sentence)
{
	snprintf(opening->why, 256, "%.120s %s", opening->path, sentence);
	return err;
}

static int open_inbox(struct opening *opening, bool *madep)
{
	struct lb_host *host = opening->host;
	int fd = host->disk->open(host, LB_HERE, opening->path, LB_OPEN_DIR), err;

	*madep = false;
	if (fd == -ENOENT) {
		err = host->disk->mkdir(host, LB_HERE, opening->path, 0777);
		if (err == -ENOENT)
			return say(opening, err, "cannot be made: the directory above it does not exist");
		if (err != 0 && err != -EEXIST)
			return fail(opening, err, "cannot make");
		*madep = true;
		fd = host->disk->open(host, LB_HERE, opening->path, LB_OPEN_DIR);
	}
	if (fd == -ENOTDIR)
		return say(opening, fd, "is not a directory");
	return fd < 0 ? fail(opening, fd, "cannot open") : fd;
}

static int open_inner(struct opening *opening, int dirfd, const char *name)
{
	struct lb_host *host = opening->host;
	int err = host->disk->mkdir(host, dirfd, name, 0777), fd;

	if (err != 0 && err != -EEXIST)
		return fail(opening, err, "cannot write in");
	fd = host->disk->open(host, dirfd, name, LB_OPEN_DIR);
	return fd < 0 ? fail(opening, fd, "cannot open the directories in .lastbyte of") : fd;
}

static int take_lock(struct opening *opening)
{
	struct lb_host *host = opening->host;
	struct lb_dir *dir = opening->dir;
	int err;

	dir->lock = host->disk->open(host, dir->control, "lock", LB_OPEN_WRITE | LB_OPEN_CREATE);
	if (dir->lock < 0)
		return fail(opening, dir->lock, "cannot write in");
	err = host->disk->lock(host, dir->lock, 0, false);
	if (err == -EAGAIN)
		return say(opening, -EBUSY, "is in use by another server");
	return err == 0 ? 0 : fail(opening, err, "cannot lock");
}

/* Moves an empty directory along the way of a part. What stands in its way shall show now, and not when a
 * delivery is in the ledger already. */
static int try_move(struct opening *opening)
{
	struct lb_host *host = opening->host;
	struct lb_dir *dir = opening->dir;
	int err = host->disk->mkdir(host, dir->parts, "probe", 0777);

	if (err == 0 || err == -EEXIST)
		err = host->disk->rename(host, dir->parts, "probe", dir->inbox, ".lastbyte-probe", true);
	if (err == 0)
		err = host->disk->rmdir(host, dir->inbox, ".lastbyte-probe");
	return err == 0 ? 0 : fail(opening, err, "cannot move files into");
}

/* The entry of PATH itself. Somebody else's directory may be closed to us; then PATH is not of our making. */
static int sync_parent(struct opening *opening, bool made)
{
	struct lb_host *host = opening->host;
	int fd = lb_sink_open_above(host, opening->path), err;

	if (fd < 0)
		return made || fd != -EACCES ? fail(opening, fd, "cannot open the directory above") : 0;
	err = host->disk->sync(host, fd);
	host->disk->close(host, fd);
	return err == 0 ? 0 : fail(opening, err, "cannot sync the directory above");
}

static int open_ledger(struct opening *opening)
{
	struct lb_dir *dir = opening->dir;
	size_t room = strlen(opening->path) + sizeof "/.lastbyte/ledger.db";
	char *path = malloc(room);
	struct lb_ledger_options kept = {.keep = opening->keep_receipts};
	int err;

	if (path == NULL)
		return fail(opening, -ENOMEM, "cannot open");
	snprintf(path, room, "%s/.lastbyte/ledger.db", opening->path);
	err = lb_ledger_open(opening->host, opening->vfs, path, &kept, &dir->ledger, opening->why);
	free(path);
	if (err == 0)
		dir->sink.ledger = *lb_ledger_uuid(dir->ledger);
	return err;
}

static int take_part(void *arg, const char *name)
{
	struct opening *opening = arg;
	struct lb_id id;

	if (lb_dir_part_parse(name, &id) != 0)
		return 0; /* not ours */
	if (opening->n_ids == opening->room) {
		size_t room = opening->room * 2 + 64;
		struct lb_id *ids = realloc(opening->ids, room * sizeof *ids);

		if (ids == NULL)
			return -ENOMEM;
		opening->ids = ids;
		opening->room = room;
	}
	opening->ids[opening->n_ids++] = id;
	return 0;
}

/* -ENOENT from placing: it was moved before the crash, and the sync of PATH is still to come. */
static int place_if_committed(struct lb_dir *dir, const struct lb_id *id)
{
	struct lb_receipt receipt;
	enum lb_ledger_state state;
	int part_dir, err = lb_ledger_look(dir->ledger, id, &state, &receipt, NULL);

	if (err != 0 || state != LB_LEDGER_COMMITTED)
		return err;
	part_dir = lb_dir_part_open(dir, id);
	if (part_dir < 0)
		return part_dir;
	err = lb_dir_place(dir, part_dir, &receipt);
	dir->sink.host->disk->close(dir->sink.host, part_dir);
	return err == -ENOENT ? 0 : err;
}

/* Walks the parts, not the rows: a committed row without a part was placed already. */
static int recover(struct opening *opening)
{
	struct lb_host *host = opening->host;
	struct lb_dir *dir = opening->dir;
	int err = host->disk->list(host, dir->parts, take_part, opening);

	if (err != 0)
		return fail(opening, err, "cannot read the parts of");
	for (size_t i = 0; i < opening->n_ids; i++) {
		err = place_if_committed(dir, &opening->ids[i]);
		if (err != 0)
			return fail(opening, err, "cannot place a committed delivery in");
	}
	err = host->disk->sync(host, dir->inbox);
	if (err != 0)
		return fail(opening, err, "cannot sync");
	err = lb_dir_recover_parts(dir);
	if (err != 0)
		return fail(opening, err, "cannot read from the ledger what was received by");
	for (size_t i = 0; i < opening->n_ids; i++) {
		struct lb_ledger_part row;
		bool kept;

		err = lb_ledger_part_look(dir->ledger, &opening->ids[i], &row, &kept);
		if (err == 0 && !kept)
			err = lb_dir_part_remove(dir, &opening->ids[i]);
		if (err != 0)
			return fail(opening, err, "cannot remove an unfinished delivery from");
	}
	return 0;
}

static int open_all(struct opening *opening)
{
	struct lb_host *host = opening->host;
	struct lb_dir *dir = opening->dir;
	bool made;
	int err;

	dir->inbox = open_inbox(opening, &made);
	if (dir->inbox < 0)
		return dir->inbox;
	dir->control = open_inner(opening, dir->inbox, ".lastbyte");
	if (dir->control < 0)
		return dir->control;
	dir->parts = open_inner(opening, dir->control, "parts");
	if (dir->parts < 0)
		return dir->parts;
	err = take_lock(opening);
	if (err == 0)
		err = try_move(opening);
	if (err == 0)
		err = sync_parent(opening, made);
	if (err == 0)
		err = open_ledger(opening);
	if (err != 0)
		return err;
	err = host->disk->sync(host, dir->control);
	if (err == 0)
		err = host->disk->sync(host, dir->parts);
	if (err != 0)
		return fail(opening, err, "cannot sync the directories in");
	if (host->disk->durable(host, dir->inbox) && host->disk->durable(host, dir->control))
		dir->sink.durability = LB_DURABILITY_FSYNC;
	return recover(opening);
}

/* Small enough for a short time to keep, too. */
static void set_options(struct lb_dir *dir, const struct lb_sink_dir_options *options)
{
	dir->keep = options != NULL && options->keep_parts != 0 ? options->keep_parts : KEEP_PARTS;
	dir->keep_max = options != NULL && options->parts_max != 0 ? options->parts_max : UINT64_MAX;
	dir->keep_room = dir->keep_max;
	dir->sink.resumable = dir->keep > 0;
	dir->sink.sweep_every = dir->keep / 8 < SWEEP_MAX ? dir->keep / 8 + 1 : SWEEP_MAX;
	dir->swept = dir->sink.host->clock->now(dir->sink.host);
}

int lb_sink_dir_open_on(struct lb_host *host, const char *vfs, const char *path,
	const struct lb_sink_dir_options *options, struct lb_sink **sinkp, char why[256])
{
	struct opening opening = {.host = host, .path = path, .vfs = vfs, .why = why};
	struct lb_dir *dir = calloc(1, sizeof *dir);
	int err;

	*sinkp = NULL;
	opening.dir = dir;
	if (dir == NULL)
		return fail(&opening, -ENOMEM, "cannot open");
	why[0] = '\0';
	dir->sink = (struct lb_sink){.ops = &lb_dir_ops, .host = host, .durability = LB_DURABILITY_NONE};
	dir->inbox = dir->control = dir->parts = dir->lock = -1;
	set_options(dir, options);
	opening.keep_receipts = options != NULL ? options->keep_receipts : 0;
	err = open_all(&opening);
	free(opening.ids);
	if (err != 0) {
		lb_dir_free(dir);
		return err;
	}
	*sinkp = &dir->sink;
	return 0;
}

void lb_dir_free(struct lb_dir *dir)
{
	lb_ledger_close(dir->ledger);
	lb_dir_close_fd(dir, &dir->parts);
	lb_dir_close_fd(dir, &dir->control);
	lb_dir_close_fd(dir, &dir->inbox);
	lb_dir_close_fd(dir, &dir->lock); /* the last: another server may open it now */
	free(dir);
}

LB_PUBLIC int lb_sink_dir_open(
	const char *path, const struct lb_sink_dir_options *options, struct lb_sink **sinkp, char why[256])
{
	return lb_sink_dir_open_on(lb_host_real(), NULL, path, options, sinkp, why);
}
