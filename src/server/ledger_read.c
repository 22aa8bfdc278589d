/* SPDX-License-Identifier: MIT */
/*
 * Reading a ledger beside the server that uses it. Owns a connection of its own for as long as one call lasts.
 * Writes nothing but a temporary copy of the rows, in their order, and holds no lock while its caller looks at one: a
 * reader that takes its time would keep a server from opening the ledger, and its log from ever being short again.
 */
#include "server/ledger_db.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	const char *path; /* of the sink */
	char *file;
	sqlite3 *db;
	sqlite3_stmt *next;
	struct lb_ledger_info info;
};

static int fail(const struct reader *reader, int err, const char *what, char why[256])
{
	snprintf(why, 256, "cannot read the ledger of %.120s: %s", reader->path, what);
	return err;
}

static int fail_sqlite(const struct reader *reader, int rc, char why[256])
{
	int primary = rc & 0xff;

	return fail(reader, primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY ? -EACCES : -EIO,
		reader->db != NULL ? sqlite3_errmsg(reader->db) : sqlite3_errstr(rc), why);
}

/* "file:PATH?immutable=1", with what has a meaning in a URI written as %XX. */
static char *immutable_uri(const char *file)
{
	static const char tail[] = "?immutable=1";
	char *uri = malloc(sizeof "file://" + 3 * strlen(file) + sizeof tail), *out = uri;

	if (uri == NULL)
		return NULL;
	out += sprintf(out, "file:%s", file[0] == '/' ? "//" : "");
	for (; *file != '\0'; file++) {
		if (strchr("%?#", *file) != NULL)
			out += sprintf(out, "%%%02X", (unsigned char)*file);
		else
			*out++ = *file;
	}
	memcpy(out, tail, sizeof tail);
	return uri;
}

static void disconnect(struct reader *reader)
{
	sqlite3_finalize(reader->next);
	reader->next = NULL;
	sqlite3_close(reader->db);
	reader->db = NULL;
}

static int connect_to(struct reader *reader, const char *name, int flags, int *versionp)
{
	int rc = sqlite3_open_v2(name, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | flags, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_busy_timeout(reader->db, LB_LEDGER_WAIT_MS);
	rc = sqlite3_exec(reader->db, "BEGIN", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = lb_ledger_identity(reader->db, versionp, &reader->info.ledger);
	if (rc != SQLITE_OK || *versionp != LB_LEDGER_SCHEMA)
		return rc;
	rc = lb_ledger_keep(reader->db, &reader->info.keep_receipts);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(reader->db,
			"CREATE TEMP TABLE copy AS SELECT client, number, " LB_LEDGER_COLUMNS
			" FROM verdicts ORDER BY sequence; COMMIT",
			NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(
			reader->db, "SELECT * FROM temp.copy ORDER BY rowid", -1, &reader->next, NULL);
	return rc;
}

/* Whether all is in the database's file itself, as a server that was closed leaves it. */
static bool log_is_empty(const struct reader *reader)
{
	struct lb_host *host = lb_host_real();
	struct lb_file_stat st;
	char *log = malloc(strlen(reader->file) + sizeof "-wal");
	int err;

	if (log == NULL)
		return false;
	sprintf(log, "%s-wal", reader->file);
	err = host->disk->stat(host, LB_HERE, log, &st);
	free(log);
	return err == -ENOENT || (err == 0 && st.size == 0);
}

/* Readers of a write-ahead log share memory through a file beside it. Where we may not make that file, and
 * there is no log either, nobody has the ledger open and it can be read as it lies there. */
static int connect_any(struct reader *reader, bool *immutablep, char why[256])
{
	int version = 0, rc = connect_to(reader, reader->file, 0, &version);
	char *uri;

	*immutablep = false;
	if (((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY) && log_is_empty(reader)) {
		disconnect(reader);
		uri = immutable_uri(reader->file);
		if (uri == NULL)
			return fail(reader, -ENOMEM, "out of memory", why);
		rc = connect_to(reader, uri, SQLITE_OPEN_URI, &version);
		free(uri);
		*immutablep = true;
	}
	if ((rc & 0xff) == SQLITE_NOTADB)
		return fail(reader, -ENOENT, "it is not a database", why);
	if (rc != SQLITE_OK)
		return fail_sqlite(reader, rc, why);
	if (version == 0)
		return fail(reader, -ENOENT, "there is none yet", why);
	if (version > LB_LEDGER_SCHEMA)
		return fail(reader, -ENOTSUP, "a newer version made it", why);
	if (version < LB_LEDGER_SCHEMA)
		return fail(reader, -ENOTSUP,
			"an older version made it, and the next start of a server brings it up to date", why);
	return 0;
}

static int read_all(struct reader *reader, int (*row)(void *arg, const struct lb_ledger_row *row), void *arg,
	char why[256])
{
	struct lb_ledger_row found;
	int r = 0, rc;

	while (r == 0 && sqlite3_step(reader->next) == SQLITE_ROW) {
		struct lb_id id = {.number = (uint64_t)sqlite3_column_int64(reader->next, 1)};

		if (sqlite3_column_bytes(reader->next, 0) == sizeof id.client)
			memcpy(id.client, sqlite3_column_blob(reader->next, 0), sizeof id.client);
		found.verdict = lb_ledger_row_read(reader->next, 2, &id, &reader->info.ledger,
					&found.receipt) == LB_LEDGER_COMMITTED
					? LB_VERDICT_COMMITTED
					: LB_VERDICT_ROLLED_BACK;
		r = row(arg, &found);
	}
	rc = sqlite3_reset(reader->next);
	return rc == SQLITE_OK || r != 0 ? r : fail_sqlite(reader, rc, why);
}

/* Before SQLite is asked, which would tell of one error for all that can be wrong here. */
static int check_file(struct reader *reader, char why[256])
{
	struct lb_host *host = lb_host_real();
	struct lb_file_stat st;
	int err;

	reader->file = malloc(strlen(reader->path) + sizeof "/.lastbyte/ledger.db");
	if (reader->file == NULL)
		return fail(reader, -ENOMEM, "out of memory", why);
	sprintf(reader->file, "%s/.lastbyte/ledger.db", reader->path);
	err = host->disk->stat(host, LB_HERE, reader->file, &st);
	if (err == -ENOTDIR) { /* that of sqlite: is the file itself; no other thing than a file has a size */
		strcpy(reader->file, reader->path);
		err = host->disk->stat(host, LB_HERE, reader->file, &st);
		if (err == 0 && st.size == 0)
			err = -ENOENT;
	}
	if (err == -ENOENT || err == -ENOTDIR)
		return fail(reader, -ENOENT, "there is none", why);
	return err == 0 ? 0 : fail(reader, err, strerrordesc_np(-err), why);
}

LB_PUBLIC int lb_ledger_read(const char *path, struct lb_ledger_info *infop,
	int (*row)(void *arg, const struct lb_ledger_row *row), void *arg, char why[256])
{
	struct reader *reader = calloc(1, sizeof *reader);
	bool immutable = false;
	int r;

	why[0] = '\0';
	if (reader == NULL) {
		snprintf(why, 256, "out of memory");
		return -ENOMEM;
	}
	reader->path = path;
	r = check_file(reader, why);
	if (r == 0)
		r = connect_any(reader, &immutable, why);
	if (r == 0) {
		*infop = reader->info;
		r = read_all(reader, row, arg, why);
		if (r == 0 && immutable && !log_is_empty(reader))
			r = fail(reader, -EAGAIN, "a server has begun to use it meanwhile", why);
	}
	disconnect(reader);
	free(reader->file);
	free(reader);
	return r;
}
