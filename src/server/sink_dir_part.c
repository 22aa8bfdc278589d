/* SPDX-License-Identifier: MIT */
/*
 * The parts of the `dir:` sink: parts/ID/NAME on its way to PATH/NAME. Owns nothing; tells the ledger only of a name
 * and of a part that goes. While parts/ID exists, a committed delivery is not proven to be in the inbox: it is removed
 * only after a sync of PATH.
 */
#include "server/sink_dir.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OTHER_NAMES_MAX 1000

void lb_dir_part_name(const struct lb_id *id, char name[LB_ID_TEXT])
{
	lb_id_text(id, name);
	*strchr(name, ':') = '-';
}

int lb_dir_part_parse(const char *name, struct lb_id *idp)
{
	char text[LB_ID_TEXT];
	size_t len = strlen(name);

	if (len >= sizeof text || len < 33 || name[32] != '-')
		return -EINVAL;
	memcpy(text, name, len + 1);
	text[32] = ':';
	return lb_id_parse(text, idp);
}

int lb_dir_part_open(struct lb_dir *dir, const struct lb_id *id)
{
	char name[LB_ID_TEXT];

	lb_dir_part_name(id, name);
	return dir->sink.host->disk->open(dir->sink.host, dir->parts, name, LB_OPEN_DIR);
}

static int take_name(void *arg, const char *name)
{
	snprintf(arg, LB_NAME_MAX + 1, "%s", name);
	return 1;
}

static int empty(struct lb_dir *dir, const struct lb_id *id)
{
	struct lb_host *host = dir->sink.host;
	char name[LB_NAME_MAX + 1];
	int part_dir = lb_dir_part_open(dir, id), found, err = 0;

	if (part_dir < 0)
		return part_dir;
	while (err == 0 && (found = host->disk->list(host, part_dir, take_name, name)) != 0)
		err = found == 1 ? host->disk->unlink(host, part_dir, name) : found;
	host->disk->close(host, part_dir);
	return err;
}

int lb_dir_part_remove(struct lb_dir *dir, const struct lb_id *id)
{
	struct lb_host *host = dir->sink.host;
	char name[LB_ID_TEXT];
	int err;

	lb_dir_part_name(id, name);
	err = host->disk->rmdir(host, dir->parts, name);
	if (err == -ENOTEMPTY || err == -EEXIST) {
		err = empty(dir, id);
		if (err == 0)
			err = host->disk->rmdir(host, dir->parts, name);
	}
	return err == -ENOENT ? 0 : err;
}

int lb_dir_part_create(struct lb_dir *dir, struct lb_intake *intake)
{
	struct lb_host *host = dir->sink.host;
	char name[LB_ID_TEXT];
	int err = lb_dir_part_remove(dir, &intake->id); /* of an earlier attempt */

	lb_dir_part_name(&intake->id, name);
	if (err == 0)
		err = host->disk->mkdir(host, dir->parts, name, 0777);
	if (err == 0)
		err = intake->part_dir = lb_dir_part_open(dir, &intake->id);
	if (err < 0)
		return err == -EINVAL ? -EIO : err; /* no fault of the name's */
	intake->part = host->disk->open(host, intake->part_dir, intake->name, LB_OPEN_NEW | LB_OPEN_WRITE);
	return intake->part < 0 ? intake->part : 0;
}

void lb_dir_close_fd(struct lb_dir *dir, int *fdp)
{
	if (*fdp >= 0)
		dir->sink.host->disk->close(dir->sink.host, *fdp);
	*fdp = -1;
}

/* Lets go of what an intake holds; its part stays where it is. */
void lb_dir_release(struct lb_dir *dir, struct lb_intake *intake)
{
	struct lb_intake **linkp = &dir->intakes;

	while (*linkp != NULL && *linkp != intake)
		linkp = &(*linkp)->next;
	if (*linkp != NULL)
		*linkp = intake->next;
	intake->next = NULL;
	lb_dir_close_fd(dir, &intake->part);
	lb_dir_close_fd(dir, &intake->part_dir);
}

/* A part that cannot be removed now is removed by a later begin of that id, or by recovery. */
void lb_dir_discard(struct lb_dir *dir, struct lb_intake *intake)
{
	const struct lb_ledger_part row = {.id = intake->id};

	lb_dir_release(dir, intake);
	if (intake->durable > 0)
		(void)lb_ledger_parts_forget(dir->ledger, &row, 1);
	(void)lb_dir_part_remove(dir, &intake->id);
}

/* NAME~CLIENT-N for k 1, then NAME~CLIENT-N~2 ...; NAME is cut where a character begins, so that it fits. */
static void other_name(const struct lb_receipt *receipt, unsigned k, char name[LB_NAME_MAX + 1])
{
	char id[LB_ID_TEXT], tail[LB_ID_TEXT + 16];
	size_t len = strlen(receipt->name), tail_len;

	lb_dir_part_name(&receipt->id, id);
	if (k == 1)
		snprintf(tail, sizeof tail, "~%s", id);
	else
		snprintf(tail, sizeof tail, "~%s~%u", id, k);
	tail_len = strlen(tail);
	if (len > LB_NAME_MAX - tail_len) {
		len = LB_NAME_MAX - tail_len;
		while (len > 0 && ((unsigned char)receipt->name[len] & 0xC0) == 0x80)
			len--;
	}
	memcpy(name, receipt->name, len);
	memcpy(name + len, tail, tail_len + 1);
}

/* Whether PATH/name is this very part: a rename that was cut short, on a file system where it is two steps. */
static bool is_same(struct lb_dir *dir, int part_dir, const char *part, const char *name)
{
	struct lb_host *host = dir->sink.host;
	struct lb_file_stat from, to;

	return host->disk->stat(host, part_dir, part, &from) == 0 &&
	       host->disk->stat(host, dir->inbox, name, &to) == 0 && from.inode == to.inode &&
	       from.device == to.device;
}

static int move(struct lb_dir *dir, int part_dir, const struct lb_receipt *receipt)
{
	struct lb_host *host = dir->sink.host;
	int err = host->disk->rename(host, part_dir, receipt->name, dir->inbox, receipt->placed, false);

	if (err == -EEXIST && is_same(dir, part_dir, receipt->name, receipt->placed))
		return host->disk->unlink(host, part_dir, receipt->name);
	return err;
}

int lb_dir_place(struct lb_dir *dir, int part_dir, struct lb_receipt *receipt)
{
	struct lb_host *host = dir->sink.host;
	struct lb_file_stat st;
	char name[LB_NAME_MAX + 1];
	int err = move(dir, part_dir, receipt);

	for (unsigned k = 1; err == -EEXIST && k <= OTHER_NAMES_MAX; k++) {
		other_name(receipt, k, name);
		err = host->disk->stat(host, dir->inbox, name, &st);
		if (err == 0)
			err = -EEXIST;
		if (err != -ENOENT)
			continue;
		/* The ledger first: it must not name somebody else's file after a crash. */
		err = lb_ledger_placed(dir->ledger, &receipt->id, name);
		if (err != 0)
			break;
		memcpy(receipt->placed, name, sizeof name);
		err = move(dir, part_dir, receipt);
	}
	return err;
}

void lb_dir_unplace(struct lb_dir *dir, int part_dir, const struct lb_receipt *receipt)
{
	struct lb_host *host = dir->sink.host;

	/* Where this fails, an empty parts/ID stays, and recovery finds out. */
	(void)host->disk->rename(host, dir->inbox, receipt->placed, part_dir, receipt->name, false);
}

int lb_dir_place_left(struct lb_dir *dir, struct lb_receipt *receipt)
{
	struct lb_host *host = dir->sink.host;
	int part_dir = lb_dir_part_open(dir, &receipt->id), err;

	if (part_dir < 0)
		return part_dir == -ENOENT ? 0 : part_dir;
	/* -ENOENT: a sync of PATH has failed after it was moved, and that is never tried again. */
	err = lb_dir_place(dir, part_dir, receipt);
	if (err == 0) {
		err = host->disk->sync(host, dir->inbox);
		if (err != 0)
			lb_dir_unplace(dir, part_dir, receipt);
	}
	host->disk->close(host, part_dir);
	if (err == 0)
		(void)lb_dir_part_remove(dir, &receipt->id); /* or recovery does */
	return err;
}
