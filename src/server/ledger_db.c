/* SPDX-License-Identifier: MIT */
/*
 * The ledger's database: opening it, and opening it again after an error. Owns the connection. Its tables are in
 * ledger_schema.c, what the rows mean is in ledger.c; the directories around the file are the sink's to sync.
 */
#include "server/ledger_db.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_WAITS       500
#define SHORT_WAITS_IN_MS 5 /* so they are 0.2 ms each */
#define LONG_WAIT_MS      5

/* What a statement gathers would go to a temporary file, where there may be no room for one, or no right to make it. */
static const char settings[] = "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY";

/* Of a ledger with contents, which are what grows: pages of the log before a checkpoint, and KiB to keep in memory. */
static const char for_contents[] = "PRAGMA wal_autocheckpoint = 4096; PRAGMA cache_size = -32768";

static int fail(const struct lb_ledger *ledger, int err, const char *what, char why[256])
{
	snprintf(why, 256, "cannot open the ledger %.120s: %.100s", ledger->path, what);
	return err;
}

static int fail_sqlite(const struct lb_ledger *ledger, int rc, char why[256])
{
	int primary = rc & 0xff, err = -EIO;
	/* It has no words of its own for an error of the log's file, which was asked beside it. */
	bool is_told = ledger->db != NULL && (sqlite3_errcode(ledger->db) & 0xff) == primary;
	const char *text = is_told ? sqlite3_errmsg(ledger->db) : sqlite3_errstr(rc);

	if (primary == SQLITE_MISMATCH)
		return fail(ledger, -ENOTSUP,
			ledger->contents
				? "it is that of a directory (dir:), or its table deliveries was dropped"
				: "it is one of sqlite:",
			why);
	if (primary == SQLITE_FULL ||
		(rc == SQLITE_IOERR_SHMSIZE && sqlite3_system_errno(ledger->db) == ENOSPC))
		return fail(ledger, -ENOSPC, "its disk is full: make room there, and start again", why);
	if (primary == SQLITE_BUSY)
		return fail(ledger, -EBUSY, "another program has a transaction in it that does not end", why);
	if (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY || primary == SQLITE_PERM)
		err = -EACCES;
	/* SQLite says no more than that it could not; the error is that of its last try, which was to read only. */
	if (primary == SQLITE_CANTOPEN && ledger->db != NULL && sqlite3_system_errno(ledger->db) == ENOENT)
		text = "its directory does not exist, or may not be written in";
	else if (primary == SQLITE_CANTOPEN && ledger->db != NULL && sqlite3_system_errno(ledger->db) != 0)
		text = strerrordesc_np(sqlite3_system_errno(ledger->db));
	return fail(ledger, err, text, why);
}

static void take_is_wal(sqlite3_stmt *row, void *arg)
{
	const char *mode = (const char *)sqlite3_column_text(row, 0);

	*(int *)arg = mode != NULL && strcmp(mode, "wal") == 0;
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

/* Whoever holds it longer than that may do so for ever: then those who queue behind must not wait in turn. */
static int patience_ms(const struct lb_ledger *ledger)
{
	return ledger->in_vain ? SHORT_WAITS / SHORT_WAITS_IN_MS : LB_LEDGER_WAIT_MS;
}

/*
 * Another process has the database, for as long as one transaction or a checkpoint lasts. SQLite's own way sleeps up to
 * 100 ms at a time, in which two servers that commit all the time would never find it free.
 */
static int wait_for_lock(void *arg, int n)
{
	const struct lb_ledger *ledger = arg;
	sqlite3_vfs *vfs = sqlite3_vfs_find(ledger->vfs);

	vfs->xSleep(vfs, n < SHORT_WAITS ? 1000 / SHORT_WAITS_IN_MS : 1000 * LONG_WAIT_MS);
	return n < SHORT_WAITS + (patience_ms(ledger) - SHORT_WAITS / SHORT_WAITS_IN_MS) / LONG_WAIT_MS;
}

/* SQLite does not wait with this one: of those who are at it at the same moment, all but the first fail. */
static int begin_log(struct lb_ledger *ledger, int *is_walp)
{
	struct lb_host *host = ledger->host;
	lb_time end = host->clock->now(host) + patience_ms(ledger) * INT64_C(1000000);
	int n = 0, rc;

	do
		rc = lb_ledger_ask(ledger->db, "PRAGMA journal_mode = WAL", take_is_wal, is_walp);
	while ((rc & 0xff) == SQLITE_BUSY && host->clock->now(host) < end && wait_for_lock(ledger, n++));
	return rc;
}

/*
 * So it is with the database. While somebody reads on, a checkpoint brings a part of the log into it without a sync, and
 * notes that; where the sync after the rest fails, the next one begins behind that part. "The number of frames that have
 * been backfilled" is at offset 96 of the log's index, under the lock of checkpoints: at 0 they are all brought again.
 */
static int rewrite_database(struct lb_ledger *ledger)
{
	sqlite3_file *file = NULL;
	void volatile *index = NULL;
	int n = 0, rc = sqlite3_file_control(ledger->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);

	if (rc != SQLITE_OK)
		return rc;
	do
		rc = file->pMethods->xShmLock(file, 1, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
	while (rc == SQLITE_BUSY && wait_for_lock(ledger, n++));
	if (rc != SQLITE_OK)
		return rc;
	rc = file->pMethods->xShmMap(file, 0, 32768, 0, &index);
	if (rc == SQLITE_OK && index != NULL)
		((uint32_t volatile *)index)[96 / sizeof(uint32_t)] = 0;
	(void)file->pMethods->xShmLock(file, 1, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
	return rc;
}

/* Somebody who reads on does not let it, nor does a full disk: what is durable in the log need not be so elsewhere. So it
 * waits for a moment only, in which nobody can commit. */
static int shorten_log(struct lb_ledger *ledger)
{
	bool in_vain = ledger->in_vain;
	int rc, primary;

	ledger->in_vain = true;
	rc = sqlite3_wal_checkpoint_v2(ledger->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	ledger->in_vain = in_vain;
	primary = rc & 0xff;
	return primary == SQLITE_BUSY || primary == SQLITE_FULL ? SQLITE_OK : rc;
}

/* The version of its schema, 0 if it is empty, or -1: nothing of ours. One statement sees one moment, in which another
 * server has made the tables or has not. */
static const char version_or_whose[] = "SELECT CASE WHEN EXISTS (SELECT 1 FROM sqlite_schema) AND NOT EXISTS"
				       " (SELECT 1 FROM sqlite_schema WHERE name = 'meta') THEN -1 ELSE "
				       "user_version END FROM pragma_user_version";

/*
 * Bytes that a sync has failed on stay readable, and Linux lets every later sync of them succeed: what is copied from such
 * a log into the database could outlive a crash that the log itself does not. Written once more they are to be synced
 * again. The lock keeps others from adding to the log meanwhile.
 */
static int rewrite_log(struct lb_ledger *ledger)
{
	sqlite3_file *log = NULL;
	sqlite3_int64 size = 0;
	char bytes[4096];
	int rc = sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_file_control(ledger->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
	if (rc == SQLITE_OK)
		rc = log->pMethods->xFileSize(log, &size);
	for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += (sqlite3_int64)sizeof bytes) {
		int n = size - at < (sqlite3_int64)sizeof bytes ? (int)(size - at) : (int)sizeof bytes;

		rc = log->pMethods->xRead(log, bytes, n, at);
		if (rc == SQLITE_OK)
			rc = log->pMethods->xWrite(log, bytes, n, at);
	}
	if (rc == SQLITE_OK && size > 0)
		rc = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
	return rc == SQLITE_OK ? sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL) : rc;
}

/* Nobody else is to wait for a transaction that has failed. */
static int undo_opening(struct lb_ledger *ledger, int rc, char why[256])
{
	int err = fail_sqlite(ledger, rc, why);

	(void)sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL); /* which has words of its own */
	return err;
}

/* If it is not the `first` time, a missing file is an error. */
static int connect_to(struct lb_ledger *ledger, bool first, char why[256])
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (first ? SQLITE_OPEN_CREATE : 0);
	int is_wal = 0, version = 0, rc = sqlite3_open_v2(ledger->path, &ledger->db, flags, ledger->vfs);

	if (rc != SQLITE_OK)
		return fail_sqlite(ledger, rc, why);
	if (sqlite3_db_readonly(ledger->db, "main") > 0)
		return fail(ledger, -EACCES, "it may only be read", why);
	sqlite3_extended_result_codes(ledger->db, 1);
	sqlite3_busy_handler(ledger->db, wait_for_lock, ledger);
	rc = lb_ledger_ask(ledger->db, version_or_whose, lb_ledger_take_int, &version);
	if (rc == SQLITE_OK && version < 0)
		return fail(ledger, -ENOTSUP, "it is a database of something else", why);
	if (rc == SQLITE_OK && version > LB_LEDGER_SCHEMA)
		return fail(ledger, -ENOTSUP, "a newer version made it", why);
	if (rc == SQLITE_OK)
		rc = begin_log(ledger, &is_wal);
	if (rc == SQLITE_OK && !is_wal)
		return fail(ledger, -ENOTSUP, "its file system cannot hold a write-ahead log", why);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ledger->db, settings, NULL, NULL, NULL);
	if (rc == SQLITE_OK && ledger->contents)
		rc = sqlite3_exec(ledger->db, for_contents, NULL, NULL, NULL);
	/* What a killed process has written is readable and may not be durable. */
	if (rc == SQLITE_OK)
		rc = rewrite_log(ledger);
	if (rc == SQLITE_OK)
		rc = rewrite_database(ledger);
	if (rc == SQLITE_OK)
		rc = shorten_log(ledger);
	if (rc == SQLITE_OK)
		rc = lb_ledger_begin_anew(ledger, first);
	for (size_t i = 0; i < LB_LEDGER_SQL_N && rc == SQLITE_OK; i++)
		rc = i == LB_LEDGER_SQL_CONTENT && !ledger->contents
			     ? SQLITE_OK
			     : sqlite3_prepare_v3(ledger->db, lb_ledger_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &ledger->statements[i], NULL);
	if (rc != SQLITE_OK)
		return undo_opening(ledger, rc, why);
	ledger->full_is_certain = full_is_certain(ledger->db);
	ledger->keep = 0;
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
	ledger->in_vain = err == -EBUSY;
	if (err == 0 && memcmp(&uuid, &ledger->uuid, sizeof uuid) == 0)
		ledger->broken = false;
	ledger->uuid = uuid; /* another ledger lies there now: this one stays broken */
	if (!ledger->broken)
		return 0;
	return err == -ENOSPC ? -ENOSPC : -EIO;
}

/* On a full disk: it is one of ours, and can wait for room. Nothing that is read now may be said before. */
static bool can_wait(struct lb_ledger *ledger)
{
	int version = 0;

	return lb_ledger_identity(ledger->db, &version, &ledger->uuid) == SQLITE_OK &&
	       version == LB_LEDGER_SCHEMA && lb_ledger_check_kind(ledger) == SQLITE_OK;
}

static int open_first(struct lb_ledger *ledger, const char *vfs, const char *path,
	const struct lb_ledger_options *options, char why[256])
{
	char *full;
	int err;

	ledger->contents = options != NULL && options->contents;
	ledger->keep = options != NULL ? options->keep : 0;
	ledger->path = strdup(path);
	ledger->vfs = vfs != NULL ? strdup(vfs) : NULL;
	if (ledger->path == NULL || (vfs != NULL && ledger->vfs == NULL))
		return -ENOMEM;
	err = connect_to(ledger, true, why);
	ledger->broken = err == -ENOSPC && ledger->contents && can_wait(ledger);
	if (err != 0 && !ledger->broken)
		return err;
	/* The absolute path: the working directory may be another one when it is opened again. */
	full = strdup(sqlite3_db_filename(ledger->db, "main"));
	if (full == NULL)
		return -ENOMEM;
	free(ledger->path);
	ledger->path = full;
	return 0;
}

int lb_ledger_open(struct lb_host *host, const char *vfs, const char *path,
	const struct lb_ledger_options *options, struct lb_ledger **ledgerp, char why[256])
{
	struct lb_ledger *ledger = calloc(1, sizeof *ledger);
	int err = -ENOMEM;

	*ledgerp = NULL;
	snprintf(why, 256, "cannot open the ledger %.120s: out of memory", path);
	if (ledger == NULL)
		return err;
	ledger->host = host;
	err = open_first(ledger, vfs, path, options, why);
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

const char *lb_ledger_path(const struct lb_ledger *ledger)
{
	return ledger->path;
}
