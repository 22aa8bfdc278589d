/* SPDX-License-Identifier: MIT */
/*
 * The file `journal`: reads what others have appended, appends, compacts. Owns the file and what was read of
 * it; the lock, the claims and the rules are journal.c's, the text is journal_line.c's.
 *
 * Every call under the lock appends at most one line and syncs it before the lock is given back. So only the
 * last line can be torn by a crash, and it is cut off before the next one is appended. Damage anywhere else may
 * hide a number that was used, and stops everything.
 */
#include "client/journal_file.h"
#include "client/statedir.h"
#include "base/test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMPACT_BYTES 65536

void lb_journal_forget(struct lb_journal *journal)
{
	for (size_t i = 0; i < journal->n_open; i++)
		free(journal->open[i]);
	journal->n_open = 0;
	journal->live = 0;
	journal->offset = 0;
	journal->lines = 0;
	journal->next = 1;
}

static bool has_id(const struct lb_open_line *line, const struct lb_id *id)
{
	return id->number >= line->id.number && id->number - line->id.number < line->count &&
	       memcmp(line->id.client, id->client, sizeof id->client) == 0;
}

struct lb_open_line **lb_journal_place(const struct lb_journal *journal, const struct lb_id *id)
{
	for (size_t i = 0; i < journal->n_open; i++)
		if (has_id(journal->open[i], id))
			return &journal->open[i];
	return NULL;
}

bool lb_journal_is_own(const struct lb_journal *journal, const struct lb_id *id)
{
	return memcmp(id->client, journal->client, sizeof journal->client) == 0;
}

static int apply_open(
	struct lb_journal *journal, const struct lb_journal_entry *entry, const char *text, size_t len)
{
	struct lb_open_line **place = lb_journal_place(journal, &entry->id), *line, **grown;

	if (place == NULL && journal->n_open == journal->max_open) {
		grown = reallocarray(journal->open, journal->max_open * 2 + 16, sizeof *grown);
		if (grown == NULL)
			return -ENOMEM;
		journal->open = grown;
		journal->max_open = journal->max_open * 2 + 16;
	}
	line = malloc(sizeof *line + len);
	if (line == NULL)
		return -ENOMEM;
	line->id = entry->id;
	line->count = entry->count;
	line->len = len;
	memcpy(line->text, text, len);
	journal->live += len;
	if (place != NULL) {
		journal->live -= (*place)->len;
		free(*place);
	} else {
		place = &journal->open[journal->n_open++];
	}
	*place = line;
	return 0;
}

static void apply_done(struct lb_journal *journal, const struct lb_id *id)
{
	struct lb_open_line **place = lb_journal_place(journal, id);

	if (place == NULL)
		return;
	journal->live -= (*place)->len;
	free(*place);
	journal->n_open--;
	memmove(place, place + 1, (size_t)(journal->open + journal->n_open - place) * sizeof *place);
}

/* A directory that was replaced under us is another client's. */
static int apply_header(struct lb_journal *journal, const struct lb_id *id)
{
	if (journal->known && !lb_journal_is_own(journal, id))
		return -ESTALE;
	memcpy(journal->client, id->client, sizeof journal->client);
	journal->known = true;
	return 0;
}

/* Takes one line, with its newline, into account. */
static int apply(struct lb_journal *journal, const char *text, size_t len)
{
	struct lb_line line;
	const struct lb_id *id = &line.entry.id;
	struct lb_id ended;
	int r = lb_line_parse(text, len - 1, journal->client, &line);
	bool opens = r == 0 && (line.type == LB_LINE_OPEN || line.type == LB_LINE_RANGE);

	if (r == 0 && (line.type == LB_LINE_HEADER) != (journal->lines == 0))
		r = -EBADMSG;
	if (r == 0 && line.type == LB_LINE_HEADER)
		r = apply_header(journal, id);
	else if (opens)
		r = apply_open(journal, &line.entry, text, len);
	else if (r == 0 && line.type == LB_LINE_DONE)
		apply_done(journal, id);
	if (r < 0)
		return r;
	if (line.type == LB_LINE_RANGE && line.ended != 0) {
		ended = (struct lb_id){.number = line.ended};
		memcpy(ended.client, journal->client, sizeof ended.client);
		apply_done(journal, &ended);
	}
	if (line.type == LB_LINE_NEXT && id->number > journal->next)
		journal->next = id->number;
	if (opens && lb_journal_is_own(journal, id) && id->number + line.entry.count > journal->next)
		journal->next = id->number + line.entry.count;
	if (line.type == LB_LINE_HEADER || line.type == LB_LINE_NEXT)
		journal->live += len;
	journal->offset += len;
	journal->lines++;
	return 0;
}

/* Applies what buf holds of the file from offset on, but not a last line that is torn. */
static int apply_all(struct lb_journal *journal, const char *buf, size_t len)
{
	while (len > 0) {
		const char *end = memchr(buf, '\n', len);
		size_t n = end != NULL ? (size_t)(end - buf) + 1 : len;
		int r = end != NULL ? apply(journal, buf, n) : -EBADMSG;

		/* The first line was durable before the file got its name. */
		if (r == -EBADMSG && n == len && journal->lines > 0)
			return 0;
		if (r < 0)
			return r;
		buf += n;
		len -= n;
	}
	return 0;
}

static int read_on(struct lb_journal *journal)
{
	const struct lb_disk_ops *disk = journal->host->disk;
	size_t len = (size_t)(journal->size - journal->offset);
	char *buf = malloc(len + 1);
	ssize_t n;
	int r;

	if (buf == NULL)
		return -ENOMEM;
	n = disk->read(journal->host, journal->file, buf, len, journal->offset);
	r = n < 0 ? (int)n : apply_all(journal, buf, (size_t)n);
	free(buf);
	return r;
}

static int reopen(struct lb_journal *journal, const struct lb_file_stat *st)
{
	const struct lb_disk_ops *disk = journal->host->disk;
	int fd = disk->open(journal->host, journal->dir, "journal", LB_OPEN_WRITE | LB_OPEN_APPEND);

	if (fd < 0)
		return fd;
	if (journal->file >= 0)
		disk->close(journal->host, journal->file);
	journal->file = fd;
	journal->inode = st->inode;
	journal->device = st->device;
	lb_journal_forget(journal);
	return 0;
}

/* Reads what others have written: the rest of the file, or all of another one that has its name by now. */
static int read_new(struct lb_journal *journal, bool *replacedp)
{
	struct lb_file_stat st;
	int r = journal->host->disk->stat(journal->host, journal->dir, "journal", &st);

	if (r < 0)
		return r;
	*replacedp = journal->file < 0 || st.inode != journal->inode || st.device != journal->device;
	if (*replacedp) {
		r = reopen(journal, &st);
		if (r < 0)
			return r;
	}
	journal->size = st.size;
	if (st.size < journal->offset)
		return -EUCLEAN;
	if (st.size > journal->offset || journal->lines == 0)
		r = read_on(journal);
	return r == 0 && journal->lines == 0 ? -EBADMSG : r;
}

/* Writes everything that still counts to journal.new and puts it in the place of `journal`. */
static int replace_file(struct lb_journal *journal)
{
	const struct lb_disk_ops *disk = journal->host->disk;
	struct lb_host *host = journal->host;
	struct lb_line line = {.type = LB_LINE_HEADER};
	char text[LB_LINE_MAX];
	int fd, r;

	r = disk->unlink(host, journal->dir, "journal.new");
	if (r < 0 && r != -ENOENT)
		return r;
	fd = disk->open(host, journal->dir, "journal.new",
		LB_OPEN_WRITE | LB_OPEN_CREATE | LB_OPEN_NEW | LB_OPEN_APPEND);
	if (fd < 0)
		return fd;
	memcpy(line.entry.id.client, journal->client, sizeof journal->client);
	r = disk->append(host, fd, text, lb_line_write(&line, journal->client, text));
	line.type = LB_LINE_NEXT;
	line.entry.id.number = journal->next;
	if (r == 0)
		r = disk->append(host, fd, text, lb_line_write(&line, journal->client, text));
	for (size_t i = 0; r == 0 && i < journal->n_open; i++)
		r = disk->append(host, fd, journal->open[i]->text, journal->open[i]->len);
	if (r == 0)
		r = disk->sync(host, fd);
	disk->close(host, fd);
	if (r == 0)
		r = disk->rename(host, journal->dir, "journal.new", journal->dir, "journal", true);
	if (r < 0)
		(void)disk->unlink(host, journal->dir, "journal.new");
	return r;
}

/* Goes on with the file that replace_file has put in place. */
static int adopt(struct lb_journal *journal)
{
	bool replaced;
	int r = read_new(journal, &replaced);

	return r == 0 && journal->host->disk->sync(journal->host, journal->dir) < 0 ? -EIO : r;
}

/*
 * Under the lock: reads what others have written, and makes it durable. They may have been killed before they synced
 * it, or their sync may have failed: then Linux keeps what it could not write readable, and tells those alone who
 * had the file open; for anybody else a sync returns 0. So what we find at first is not synced but written anew.
 */
int lb_journal_catch_up(struct lb_journal *journal)
{
	const struct lb_disk_ops *disk = journal->host->disk;
	bool first = journal->file < 0, replaced;
	uint64_t before = journal->offset;
	int r = read_new(journal, &replaced);

	if (r == 0 && first) {
		r = replace_file(journal);
		if (r == 0)
			r = adopt(journal);
	} else if (r == 0) {
		if ((replaced || journal->offset > before) && disk->sync(journal->host, journal->file) < 0)
			r = -EIO;
		if (replaced && disk->sync(journal->host, journal->dir) < 0)
			r = -EIO;
	}
	if (r < 0)
		journal->dead = r == -EBADMSG ? -EUCLEAN : r;
	return journal->dead;
}

int lb_journal_enter(struct lb_journal *journal)
{
	int r;

	if (journal->dead < 0)
		return journal->dead;
	r = journal->host->disk->lock(journal->host, journal->lock, 0, true);
	if (r < 0)
		return r;
	r = lb_journal_catch_up(journal);
	if (r < 0)
		(void)journal->host->disk->unlock(journal->host, journal->lock, 0);
	return r;
}

void lb_journal_leave(struct lb_journal *journal)
{
	(void)journal->host->disk->unlock(journal->host, journal->lock, 0);
}

/* A journal that cannot be made smaller is still a good one: only a new one that cannot be read is an error. */
static void compact(struct lb_journal *journal)
{
	if (journal->offset <= COMPACT_BYTES || journal->live > journal->offset / 2)
		return;
	if (replace_file(journal) == 0)
		journal->dead = adopt(journal);
}

/* Cuts a torn line off, durably: what is appended next must not mix with it in a crash. */
static int cut_torn(struct lb_journal *journal)
{
	const struct lb_disk_ops *disk = journal->host->disk;

	if (disk->truncate(journal->host, journal->file, journal->offset) < 0 ||
		disk->sync(journal->host, journal->file) < 0)
		return journal->dead = -EIO;
	journal->size = journal->offset;
	return 0;
}

int lb_journal_append(struct lb_journal *journal, const struct lb_line *line)
{
	const struct lb_disk_ops *disk = journal->host->disk;
	char text[LB_LINE_MAX];
	size_t len = lb_line_write(line, journal->client, text);
	int r;

	if (journal->size > journal->offset) {
		r = cut_torn(journal);
		if (r < 0)
			return r;
	}
	r = disk->append(journal->host, journal->file, text, len);
	if (r < 0) {
		(void)cut_torn(journal);
		return r;
	}
	LB_FAULT("journal_written");
	/* fsync(2) reports an error once and may have dropped the pages: nothing that follows could be trusted, and
	 * nobody shall read what may be in memory alone. */
	if (disk->sync(journal->host, journal->file) < 0) {
		(void)disk->truncate(journal->host, journal->file, journal->offset);
		return journal->dead = -EIO;
	}
	LB_FAULT("journal_synced");
	journal->size += len;
	r = apply(journal, text, len);
	if (r < 0)
		return journal->dead = r;
	compact(journal);
	return 0;
}

/* Under the lock: the first line, on a disk that will still have its directory after a crash. */
int lb_journal_create(struct lb_journal *journal, const char *path, char why[256])
{
	int r = lb_state_sync(journal->host, path, why);

	if (r < 0)
		return r;
	journal->next = 1;
	journal->host->clock->random(journal->host, journal->client, sizeof journal->client);
	r = replace_file(journal);
	if (r == 0)
		r = adopt(journal);
	return r < 0 ? lb_state_explain(why, "make the journal in", path, r) : 0;
}
