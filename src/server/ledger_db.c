/* SPDX-License-Identifier: MIT */
/*
 * The ledger's database: opening it, its schema and identity, and opening it again after an error. Owns the
 * connection. What the rows mean is in ledger.c; the directories around the file are the sink's to sync.
 */
#include "server/ledger_db.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `sequence` is the order of commit: the wall clock may jump. A number that is free again after pruning still
 * sorts behind all that is left. */
static const char schema[] =
	"CREATE TABLE meta(uuid BLOB NOT NULL, openings INTEGER NOT NULL) STRICT;"
	"CREATE TABLE clients(client BLOB PRIMARY KEY, settled INTEGER NOT NULL, floor INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE deliveries(client BLOB NOT NULL, number INTEGER NOT NULL, sequence INTEGER NOT NULL,"
	" state INTEGER NOT NULL, name TEXT, placed TEXT, length INTEGER, digest BLOB,"
	" committed_at INTEGER NOT NULL, durability INTEGER, PRIMARY KEY(client, number)) STRICT, WITHOUT "
	"ROWID;"
	"CREATE UNIQUE INDEX deliveries_in_order ON deliveries(sequence);"
	"PRAGMA user_version = " LB_TEXT_OF(LB_LEDGER_SCHEMA);

/* It came later, and a server that does not know it does no harm: it removes every part. `sequence` is the order in
 * which the rows were put, `declared` NULL where BEGIN has not said it, and `age` nanoseconds. */
static const char parts_schema[] = "CREATE TABLE IF NOT EXISTS parts(client BLOB NOT NULL, number INTEGER "
				   "NOT NULL, sequence INTEGER NOT NULL,"
				   " attempt INTEGER NOT NULL, declared INTEGER, size INTEGER NOT NULL, name "
				   "TEXT NOT NULL, age INTEGER NOT NULL,"
				   " PRIMARY KEY(client, number)) STRICT, WITHOUT ROWID";

static int fail(const struct lb_ledger *ledger, int err, const char *what, char why[256])
{
	snprintf(why, 256, "cannot open the ledger %.120s: %.100s", ledger->path, what);
	return err;
}

static int fail_sqlite(const struct lb_ledger *ledger, int rc, char why[256])
{
	int primary = rc & 0xff, err = -EIO;

	if (primary == SQLITE_FULL)
		err = -ENOSPC;
	else if (primary == SQLITE_BUSY)
		err = -EBUSY;
	else if (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY || primary == SQLITE_PERM)
		err = -EACCES;
	return fail(ledger, err, ledger->db != NULL ? sqlite3_errmsg(ledger->db) : sqlite3_errstr(rc), why);
}

/* The first column of the only row. What the statement changes is committed at its end, which may fail after the row
 * has come: PRAGMA journal_mode says "wal" then, and the database is not in that mode. */
static int ask(sqlite3 *db, const char *sql, void (*take)(sqlite3_stmt *row, void *arg), void *arg)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		take(statement, arg);
		rc = sqlite3_step(statement);
	} else if (rc == SQLITE_DONE) {
		rc = SQLITE_CORRUPT;
	}
	sqlite3_finalize(statement);
	return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_ROW ? SQLITE_CORRUPT : rc;
}

static void take_int(sqlite3_stmt *row, void *arg)
{
	*(int *)arg = sqlite3_column_int(row, 0);
}

static void take_is_wal(sqlite3_stmt *row, void *arg)
{
	const char *mode = (const char *)sqlite3_column_text(row, 0);

	*(int *)arg = mode != NULL && strcmp(mode, "wal") == 0;
}

static void take_uuid(sqlite3_stmt *row, void *arg)
{
	struct lb_uuid *uuid = arg;

	memcpy(uuid->bytes, sqlite3_column_blob(row, 0), sizeof uuid->bytes);
}

int lb_ledger_identity(sqlite3 *db, int *versionp, struct lb_uuid *uuidp)
{
	int rc = ask(db, "PRAGMA user_version", take_int, versionp);

	if (rc == SQLITE_OK && *versionp == LB_LEDGER_SCHEMA)
		rc = ask(db, "SELECT uuid FROM meta WHERE length(uuid) = 16", take_uuid, uuidp);
	return rc;
}

static int create(struct lb_ledger *ledger)
{
	struct lb_uuid uuid;
	sqlite3_stmt *statement;
	int rc = sqlite3_exec(ledger->db, schema, NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(ledger->db, "INSERT INTO meta VALUES(?1, 1)", -1, &statement, NULL);
	if (rc != SQLITE_OK)
		return rc;
	ledger->host->clock->random(ledger->host, uuid.bytes, sizeof uuid.bytes);
	uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0F) | 0x40); /* RFC 9562, section 5.4: version 4, */
	uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3F) | 0x80); /* variant 10 */
	sqlite3_bind_blob(statement, 1, uuid.bytes, sizeof uuid.bytes, SQLITE_STATIC);
	sqlite3_step(statement);
	return sqlite3_finalize(statement);
}

/*
 * One transaction: makes the schema, or counts an opening. The counting is there for its write. A transaction
 * whose COMMIT failed may lie whole in the write-ahead log, unseen, and a crash would bring it back; a
 * truncation of the log is not synced, so a crash may undo it. A synced write after the truncation begins
 * the log anew with another salt: from then on what cannot be read is gone for good.
 */
static int begin_anew(struct lb_ledger *ledger, bool may_create)
{
	int version;
	int rc = sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = lb_ledger_identity(ledger->db, &version, &ledger->uuid);
	if (rc == SQLITE_OK && version == 0 && may_create) {
		rc = create(ledger);
		if (rc == SQLITE_OK)
			rc = lb_ledger_identity(ledger->db, &version, &ledger->uuid);
	} else if (rc == SQLITE_OK) {
		rc = sqlite3_exec(ledger->db, "UPDATE meta SET openings = openings + 1", NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ledger->db, parts_schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ledger->db, "COMMIT", NULL, NULL, NULL);
	return rc;
}

/* With "powersafe overwrite" SQLite ends a transaction in its log with one record. Without, it repeats
 * that one up to the end of a sector, and a full disk may hit such a copy when the record itself is complete. */
static bool full_is_certain(sqlite3 *db)
{
	sqlite3_file *file = NULL;

	return sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK &&
	       file != NULL && file->pMethods != NULL &&
	       (file->pMethods->xDeviceCharacteristics(file) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0;
}

static void disconnect(struct lb_ledger *ledger)
{
	for (size_t i = 0; i < LB_LEDGER_SQL_N; i++) {
		sqlite3_finalize(ledger->statements[i]);
		ledger->statements[i] = NULL;
	}
	if (ledger->db != NULL && ledger->broken)
		sqlite3_db_config(ledger->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(ledger->db);
	ledger->db = NULL;
}

static int connect_to(struct lb_ledger *ledger, bool may_create, char why[256])
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (may_create ? SQLITE_OPEN_CREATE : 0);
	int is_wal = 0, version = 0, rc = sqlite3_open_v2(ledger->path, &ledger->db, flags, ledger->vfs);

	if (rc != SQLITE_OK)
		return fail_sqlite(ledger, rc, why);
	sqlite3_extended_result_codes(ledger->db, 1);
	sqlite3_busy_timeout(ledger->db, LB_LEDGER_WAIT_MS);
	rc = ask(ledger->db, "PRAGMA user_version", take_int, &version);
	if (rc == SQLITE_OK && version != 0 && version != LB_LEDGER_SCHEMA)
		return fail(ledger, -ENOTSUP, "a newer version made it", why);
	if (rc == SQLITE_OK)
		rc = ask(ledger->db, "PRAGMA journal_mode = WAL", take_is_wal, &is_wal);
	if (rc == SQLITE_OK && !is_wal)
		return fail(ledger, -ENOTSUP, "its file system cannot hold a write-ahead log", why);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ledger->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	/* What a killed process has written is readable and may not be durable: the checkpoint syncs it. */
	if (rc == SQLITE_OK)
		rc = sqlite3_wal_checkpoint_v2(ledger->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = begin_anew(ledger, may_create);
	for (size_t i = 0; i < LB_LEDGER_SQL_N && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(ledger->db, lb_ledger_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			&ledger->statements[i], NULL);
	if (rc != SQLITE_OK)
		return fail_sqlite(ledger, rc, why);
	ledger->full_is_certain = full_is_certain(ledger->db);
	return 0;
}

int lb_ledger_mend(struct lb_ledger *ledger)
{
	struct lb_uuid uuid = ledger->uuid;
	char why[256];
	int err;

	if (!ledger->broken)
		return 0;
	disconnect(ledger);
	err = connect_to(ledger, false, why);
	if (err == 0 && memcmp(&uuid, &ledger->uuid, sizeof uuid) == 0)
		ledger->broken = false;
	ledger->uuid = uuid; /* another ledger lies there now: this one stays broken */
	return ledger->broken ? -EIO : 0;
}

static int open_first(struct lb_ledger *ledger, const char *vfs, const char *path, char why[256])
{
	char *full;
	int err;

	ledger->path = strdup(path);
	ledger->vfs = vfs != NULL ? strdup(vfs) : NULL;
	if (ledger->path == NULL || (vfs != NULL && ledger->vfs == NULL))
		return -ENOMEM;
	err = connect_to(ledger, true, why);
	if (err != 0)
		return err;
	/* The absolute path: the working directory may be another one when it is opened again. */
	full = strdup(sqlite3_db_filename(ledger->db, "main"));
	if (full == NULL)
		return -ENOMEM;
	free(ledger->path);
	ledger->path = full;
	return 0;
}

int lb_ledger_open(
	struct lb_host *host, const char *vfs, const char *path, struct lb_ledger **ledgerp, char why[256])
{
	struct lb_ledger *ledger = calloc(1, sizeof *ledger);
	int err = -ENOMEM;

	*ledgerp = NULL;
	snprintf(why, 256, "cannot open the ledger %.120s: out of memory", path);
	if (ledger == NULL)
		return err;
	ledger->host = host;
	err = open_first(ledger, vfs, path, why);
	if (err != 0) {
		lb_ledger_close(ledger);
		return err;
	}
	why[0] = '\0';
	*ledgerp = ledger;
	return 0;
}

void lb_ledger_close(struct lb_ledger *ledger)
{
	if (ledger == NULL)
		return;
	disconnect(ledger);
	free(ledger->path);
	free(ledger->vfs);
	free(ledger);
}

const struct lb_uuid *lb_ledger_uuid(const struct lb_ledger *ledger)
{
	return &ledger->uuid;
}
