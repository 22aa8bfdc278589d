/* SPDX-License-Identifier: MIT */
/*
 * Opening the `sqlite:` sink. There is nothing to recover but the ledger, and that does it itself. Owns nothing.
 */
#include "server/sink_sqlite.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB          (UINT64_C(1) << 20)
#define DEFAULT_MAX  MIB
#define DEFAULT_HELD (256 * MIB)

static int fail(const char *path, int err, const char *what, char why[256])
{
	snprintf(why, 256, "%s %.120s: %s", what, path, strerrordesc_np(-err));
	return err;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
	return value != 0 ? value : otherwise;
}

/* The entries of the database's files are durable with that of the directory that they lie in: `path` may be a link to
 * them from another file system. */
static int sync_directory(struct lb_rows *rows, char why[256])
{
	const char *path = lb_ledger_path(rows->ledger);
	struct lb_host *host = rows->sink.host;
	int fd = lb_sink_open_above(host, path), err;

	if (fd < 0)
		return fail(path, fd, "cannot open the directory of", why);
	err = host->disk->sync(host, fd);
	if (err == 0 && host->disk->durable(host, fd))
		rows->sink.durability = LB_DURABILITY_FSYNC;
	host->disk->close(host, fd);
	return err == 0 ? 0 : fail(path, err, "cannot sync the directory of", why);
}

int lb_sink_sqlite_open_on(struct lb_host *host, const char *vfs, const char *path,
	const struct lb_sink_sqlite_options *options, struct lb_sink **sinkp, char why[256])
{
	static const struct lb_sink_sqlite_options defaults = {0};
	const struct lb_sink_sqlite_options *wanted = options != NULL ? options : &defaults;
	struct lb_ledger_options kept = {.keep = wanted->keep_receipts, .contents = true};
	struct lb_rows *rows;
	int err;

	*sinkp = NULL;
	why[0] = '\0';
	if (wanted->max_delivery > LB_SINK_SQLITE_MAX) {
		snprintf(why, 256, "a row holds %u MiB at most", (unsigned)(LB_SINK_SQLITE_MAX / MIB));
		return -EINVAL;
	}
	rows = calloc(1, sizeof *rows);
	if (rows == NULL)
		return fail(path, -ENOMEM, "cannot open", why);
	rows->sink = (struct lb_sink){.ops = &lb_rows_ops,
		.host = host,
		.durability = LB_DURABILITY_NONE,
		.begins_at_once = true,
		.max_delivery = or_default(wanted->max_delivery, DEFAULT_MAX)};
	rows->held_max = or_default(wanted->memory_max, DEFAULT_HELD);
	err = lb_ledger_open(host, vfs, path, &kept, &rows->ledger, why);
	if (err == 0)
		err = sync_directory(rows, why);
	if (err != 0) {
		lb_ledger_close(rows->ledger);
		free(rows);
		return err;
	}
	rows->sink.ledger = *lb_ledger_uuid(rows->ledger);
	*sinkp = &rows->sink;
	return 0;
}

LB_PUBLIC int lb_sink_sqlite_open(
	const char *path, const struct lb_sink_sqlite_options *options, struct lb_sink **sinkp, char why[256])
{
	return lb_sink_sqlite_open_on(lb_host_real(), NULL, path, options, sinkp, why);
}
