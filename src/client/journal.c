/* SPDX-License-Identifier: MIT */
/*
 * The journal of journal.h: a directory with the files `lock` and `journal`. Owns both. What the lines look
 * like is journal_line.c's, how the directory comes about statedir.c's.
 *
 * Every call takes the lock on byte 0 of `lock`, reads what others have appended, and appends at most one
 * line, synced before it returns. So only the last line can be torn by a crash: it is cut off before the next
 * one is appended. Damage anywhere else may hide a number that was used, and stops everything. A claim is a
 * lock on a byte that stands for the id; it ends with the process at the latest.
 */
#include "client/journal_file.h"
#include "client/statedir.h"
#include "base/digest.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of `lock`: 0 is the file's, 1 + number is the claim to that number of ours. */
#define FRESH   (UINT64_C(1) << 61) /* + number: held beside the claim during the first attempt */
#define FOREIGN (UINT64_C(1) << 62) /* from here on: claims to other clients' ids, hashed */

const uint8_t *lb_journal_client(const struct lb_journal *journal)
{
	return journal->client;
}

/* Whether it is a number of ours, for which bytes of their own are set aside. */
static bool has_bytes(const struct lb_journal *journal, const struct lb_id *id)
{
	return lb_journal_is_own(journal, id) && id->number < FRESH - 1;
}

/* The byte of `lock` whose lock is the claim to an id. */
static uint64_t claim_byte(const struct lb_journal *journal, const struct lb_id *id)
{
	struct lb_hasher hasher;
	struct lb_digest digest;
	uint64_t hash;

	if (has_bytes(journal, id))
		return 1 + id->number;
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, id->client, sizeof id->client);
	lb_hasher_update(&hasher, &id->number, sizeof id->number);
	lb_hasher_digest(&hasher, &digest);
	memcpy(&hash, digest.bytes, sizeof hash);
	return FOREIGN | (hash & (FOREIGN - 2));
}

static int claim(struct lb_journal *journal, const struct lb_id *id)
{
	int r = journal->host->disk->lock(journal->host, journal->lock, claim_byte(journal, id), false);

	return r == -EAGAIN ? -EBUSY : r;
}

/* Whether the process that claims it is the one that made it, at its first attempt: then nothing of it is in doubt. */
static bool is_fresh(struct lb_journal *journal, const struct lb_id *id)
{
	const struct lb_disk_ops *disk = journal->host->disk;
	int r;

	if (!has_bytes(journal, id))
		return false;
	r = disk->lock(journal->host, journal->lock, FRESH + id->number, false);
	if (r == 0)
		(void)disk->unlock(journal->host, journal->lock, FRESH + id->number);
	return r == -EAGAIN;
}

static void unclaim(struct lb_journal *journal, const struct lb_id *id)
{
	const struct lb_disk_ops *disk = journal->host->disk;

	if (has_bytes(journal, id))
		(void)disk->unlock(journal->host, journal->lock, FRESH + id->number);
	(void)disk->unlock(journal->host, journal->lock, claim_byte(journal, id));
}

/* Its first number stands for a reservation. NULL: it is not one of any. */
static const struct lb_open_line *reservation(const struct lb_journal *journal, const struct lb_id *id)
{
	struct lb_open_line **place = lb_journal_place(journal, id);

	return place != NULL && (*place)->count > 1 ? *place : NULL;
}

void lb_journal_release(struct lb_journal *journal, const struct lb_id *id)
{
	if (reservation(journal, id) == NULL)
		unclaim(journal, id);
}

int lb_journal_find(struct lb_journal *journal, const struct lb_id *id, struct lb_journal_entry *entryp)
{
	struct lb_open_line **place;
	struct lb_line line;
	int r = lb_journal_enter(journal);

	if (r < 0)
		return r;
	place = lb_journal_place(journal, id);
	if (place != NULL)
		r = claim(journal, &(*place)->id);
	if (place != NULL && r == 0) {
		r = lb_line_parse((*place)->text, (*place)->len - 1, journal->client, &line);
		*entryp = line.entry;
		entryp->id = *id;
		r = r < 0 ? r : 1;
	}
	lb_journal_leave(journal);
	return r;
}

/* NULL for the ledger: it is not known; for the address: any. */
static bool is_at(const struct lb_journal_entry *entry, const struct lb_uuid *ledger, const char *address)
{
	return address == NULL || strcmp(entry->address, address) == 0 ||
	       (ledger != NULL && memcmp(&entry->ledger, ledger, sizeof *ledger) == 0);
}

int lb_journal_find_source(struct lb_journal *journal, const struct lb_uuid *ledger, const char *address,
	const char *name, const char *source, struct lb_journal_entry *entryp)
{
	struct lb_line line;
	bool busy = false;
	int r = lb_journal_enter(journal);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && source[0] != '\0' && i < journal->n_open; i++) {
		const struct lb_open_line *open = journal->open[i];

		r = lb_line_parse(open->text, open->len - 1, journal->client, &line);
		if (r < 0 || open->count > 1 || !is_at(&line.entry, ledger, address) ||
			strcmp(line.entry.name, name) != 0 || strcmp(line.entry.source, source) != 0)
			continue;
		r = claim(journal, &open->id);
		if (r == 0) {
			*entryp = line.entry;
			r = 1;
		} else if (r == -EBUSY) {
			busy = busy || !is_fresh(journal, &open->id);
			r = 0;
		}
	}
	lb_journal_leave(journal);
	return r == 0 && busy ? -EBUSY : r;
}

int lb_journal_each(
	struct lb_journal *journal, int (*each)(void *arg, const struct lb_journal_entry *entry), void *arg)
{
	struct lb_line line;
	int r = lb_journal_enter(journal);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < journal->n_open; i++) {
		const struct lb_open_line *open = journal->open[i];

		bool busy;

		r = claim(journal, &open->id);
		busy = r == -EBUSY;
		if (r == 0)
			unclaim(journal, &open->id);
		if (r == 0 || busy)
			r = lb_line_parse(open->text, open->len - 1, journal->client, &line);
		line.entry.busy = busy;
		if (r == 0)
			r = each(arg, &line.entry);
	}
	lb_journal_leave(journal);
	return r;
}

/* Under the lock: claims what the line opens, and appends it. A zero id gets the next number. */
static int open_line(struct lb_journal *journal, struct lb_line *line)
{
	struct lb_id *id = &line->entry.id;
	bool fresh = id->number == 0;
	int r;

	if (fresh) {
		memcpy(id->client, journal->client, sizeof journal->client);
		id->number = journal->next;
	}
	if (lb_journal_is_own(journal, id) && id->number >= FRESH - LB_NUMBERS_MAX)
		return -EOVERFLOW;
	r = claim(journal, id);
	if (r < 0)
		return r;
	if (fresh)
		r = journal->host->disk->lock(journal->host, journal->lock, FRESH + id->number, false);
	if (r == 0)
		r = lb_journal_append(journal, line);
	if (r < 0)
		unclaim(journal, id);
	return r;
}

int lb_journal_begin(struct lb_journal *journal, struct lb_journal_entry *entry)
{
	struct lb_line line = {.type = LB_LINE_OPEN, .entry = *entry};
	int r = lb_journal_enter(journal);

	if (r < 0)
		return r;
	r = reservation(journal, &entry->id) == NULL ? open_line(journal, &line) : -EBUSY;
	if (r == 0)
		entry->id = line.entry.id;
	lb_journal_leave(journal);
	return r;
}

int lb_journal_reserve(struct lb_journal *journal, struct lb_journal_entry *entry, uint32_t count,
	const char *note, const struct lb_id *ended)
{
	struct lb_line line = {.type = LB_LINE_RANGE, .entry = *entry};
	const struct lb_open_line *other;
	struct lb_id settled = {.number = 0};
	int r;

	if (count < 2 || count > LB_NUMBERS_MAX || (note != NULL && strlen(note) > LB_NOTE_MAX))
		return -EINVAL;
	line.entry.id = (struct lb_id){.number = 0};
	line.entry.count = count;
	strcpy(line.entry.note, note != NULL ? note : "");
	r = lb_journal_enter(journal);
	if (r < 0)
		return r;
	other = ended != NULL ? reservation(journal, ended) : NULL;
	if (other != NULL) {
		settled = other->id;
		line.ended = settled.number;
	}
	r = open_line(journal, &line);
	if (r == 0) {
		entry->id = line.entry.id;
		entry->first = entry->id.number;
		entry->count = count;
	}
	if (r == 0 && settled.number != 0)
		unclaim(journal, &settled);
	lb_journal_leave(journal);
	return r;
}

int lb_journal_done(struct lb_journal *journal, const struct lb_id *id)
{
	struct lb_line line = {.type = LB_LINE_DONE, .entry.id = *id};
	int r = lb_journal_enter(journal);

	if (r == 0) {
		if (lb_journal_place(journal, id) != NULL && reservation(journal, id) == NULL)
			r = lb_journal_append(journal, &line);
		lb_journal_leave(journal);
	}
	lb_journal_release(journal, id);
	return r;
}

int lb_journal_settle(struct lb_journal *journal, const struct lb_id *id)
{
	struct lb_line line = {.type = LB_LINE_DONE};
	const struct lb_open_line *open;
	int r = lb_journal_enter(journal);

	if (r < 0)
		return r;
	open = reservation(journal, id);
	if (open != NULL) {
		line.entry.id = open->id;
		r = lb_journal_append(journal, &line);
		if (r == 0)
			unclaim(journal, &line.entry.id);
	}
	lb_journal_leave(journal);
	return r;
}

int lb_journal_lowest(struct lb_journal *journal, uint64_t *numberp)
{
	int r = lb_journal_enter(journal);

	if (r < 0)
		return r;
	*numberp = journal->next;
	for (size_t i = 0; i < journal->n_open; i++) {
		const struct lb_id *id = &journal->open[i]->id;

		if (lb_journal_is_own(journal, id) && id->number < *numberp)
			*numberp = id->number;
	}
	lb_journal_leave(journal);
	return 0;
}

static int open_files(struct lb_journal *journal, const char *path, char why[256])
{
	const struct lb_disk_ops *disk = journal->host->disk;
	struct lb_file_stat st;
	int r;

	journal->lock = disk->open(journal->host, journal->dir, "lock", LB_OPEN_WRITE | LB_OPEN_CREATE);
	if (journal->lock < 0)
		return lb_state_explain(why, "open the lock in", path, journal->lock);
	r = disk->lock(journal->host, journal->lock, 0, true);
	if (r < 0)
		return lb_state_explain(why, "lock the journal in", path, r);
	r = disk->stat(journal->host, journal->dir, "journal", &st);
	if (r == -ENOENT)
		r = lb_journal_create(journal, path, why);
	else if (r < 0)
		lb_state_explain(why, "find the journal in", path, r);
	if (r == 0) {
		r = lb_journal_catch_up(journal);
		if (r == -EUCLEAN)
			snprintf(why, 256, "line %" PRIu64 " of %.160s/journal is damaged",
				journal->lines + 1, path);
		else if (r == -EPROTONOSUPPORT)
			snprintf(why, 256, "line %" PRIu64 " of %.160s/journal is of a newer version",
				journal->lines + 1, path);
		else if (r < 0)
			lb_state_explain(why, "take up the journal in", path, r);
	}
	lb_journal_leave(journal);
	return r;
}

int lb_journal_open(struct lb_host *host, const char *path, struct lb_journal **journalp, char why[256])
{
	struct lb_journal *journal = calloc(1, sizeof *journal);
	char at[LB_PATH_MAX];
	int r;

	*journalp = NULL;
	if (journal == NULL)
		return lb_state_explain(why, "open", "the journal", -ENOMEM);
	*journal = (struct lb_journal){.host = host, .dir = -1, .lock = -1, .file = -1};
	r = lb_state_path(path, at, why);
	if (r == 0)
		r = journal->dir = lb_state_open(host, at, path == NULL, why);
	if (r >= 0)
		r = open_files(journal, at, why);
	if (r < 0) {
		lb_journal_close(journal);
		return r;
	}
	*journalp = journal;
	return 0;
}

void lb_journal_close(struct lb_journal *journal)
{
	if (journal == NULL)
		return;
	if (journal->file >= 0)
		journal->host->disk->close(journal->host, journal->file);
	if (journal->lock >= 0)
		journal->host->disk->close(journal->host, journal->lock);
	if (journal->dir >= 0)
		journal->host->disk->close(journal->host, journal->dir);
	lb_journal_forget(journal);
	free(journal->open);
	free(journal);
}
