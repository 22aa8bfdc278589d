/* SPDX-License-Identifier: MIT */
/*
 * The tables of the ledger: making them, bringing those of an older version up to date, what `meta` says: identity and
 * settings, and how a row of verdicts is read. Owns the schema's text; the connection is ledger_db.c's.
 */
#include "server/ledger_db.h"
#include <string.h>

/* `verdicts` has a row for each commit and each fence. `sequence` is the order of commit, counted in `meta`: the wall
 * clock may jump, and an index of it would cost every commit a second tree. The name `deliveries` is left to contents. */
static const char schema[] =
	"CREATE TABLE meta(uuid BLOB NOT NULL, openings INTEGER NOT NULL, sequence INTEGER NOT NULL,"
	" keep INTEGER NOT NULL) STRICT;"
	"CREATE TABLE clients(client BLOB PRIMARY KEY, settled INTEGER NOT NULL, floor INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE verdicts(client BLOB NOT NULL, number INTEGER NOT NULL, sequence INTEGER NOT NULL,"
	" state INTEGER NOT NULL, name TEXT, placed TEXT, length INTEGER, digest BLOB,"
	" committed_at INTEGER NOT NULL, durability INTEGER, reply BLOB, PRIMARY KEY(client, number))"
	" STRICT, WITHOUT ROWID;"
	"PRAGMA user_version = " LB_TEXT_OF(LB_LEDGER_SCHEMA);

/* What version 2 has and version 1 had not; of `parts`, which follow, not every ledger of version 1 has the table. */
static const char upgrade_1[] =
	"DROP INDEX deliveries_in_order;"
	"ALTER TABLE deliveries RENAME TO verdicts;"
	"ALTER TABLE verdicts ADD COLUMN reply BLOB;"
	"ALTER TABLE meta ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE meta ADD COLUMN keep INTEGER NOT NULL DEFAULT " LB_TEXT_OF(
		LB_LEDGER_KEEP) ";"
				"UPDATE meta SET sequence = (SELECT ifnull(max(sequence), 0) FROM verdicts);"
				"PRAGMA user_version = " LB_TEXT_OF(LB_LEDGER_SCHEMA);

/* `sequence` is the order in which the rows were put, `declared` NULL where BEGIN has not said it, and `age`
 * nanoseconds. */
static const char parts_schema[] = "CREATE TABLE IF NOT EXISTS parts(client BLOB NOT NULL, number INTEGER "
				   "NOT NULL, sequence INTEGER NOT NULL,"
				   " attempt INTEGER NOT NULL, declared INTEGER, size INTEGER NOT NULL, name "
				   "TEXT NOT NULL, age INTEGER NOT NULL,"
				   " PRIMARY KEY(client, number)) STRICT, WITHOUT ROWID";

/* What was delivered, for whoever takes it: in the order of commit, and without an index beside that. */
static const char contents_schema[] =
	"CREATE TABLE deliveries(sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,"
	" content BLOB NOT NULL, length INTEGER NOT NULL, digest TEXT NOT NULL, committed_at INTEGER NOT "
	"NULL) STRICT";

/* What the statement changes is committed at its end, which may fail after the row has come: PRAGMA journal_mode says
 * "wal" then, and the database is not in that mode. */
int lb_ledger_ask(sqlite3 *db, const char *sql, void (*take)(sqlite3_stmt *row, void *arg), void *arg)
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

void lb_ledger_take_int(sqlite3_stmt *row, void *arg)
{
	*(int *)arg = sqlite3_column_int(row, 0);
}

static void take_uuid(sqlite3_stmt *row, void *arg)
{
	struct lb_uuid *uuid = arg;

	memcpy(uuid->bytes, sqlite3_column_blob(row, 0), sizeof uuid->bytes);
}

static void take_keep(sqlite3_stmt *row, void *arg)
{
	*(unsigned *)arg = (unsigned)sqlite3_column_int64(row, 0);
}

int lb_ledger_identity(sqlite3 *db, int *versionp, struct lb_uuid *uuidp)
{
	int rc = lb_ledger_ask(db, "PRAGMA user_version", lb_ledger_take_int, versionp);

	if (rc == SQLITE_OK && *versionp > 0 && *versionp <= LB_LEDGER_SCHEMA)
		rc = lb_ledger_ask(db, "SELECT uuid FROM meta WHERE length(uuid) = 16", take_uuid, uuidp);
	return rc;
}

int lb_ledger_keep(sqlite3 *db, unsigned *keepp)
{
	return lb_ledger_ask(db, "SELECT keep FROM meta", take_keep, keepp);
}

static int create(struct lb_ledger *ledger)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_exec(ledger->db, schema, NULL, NULL, NULL);
	struct lb_uuid *uuid = &ledger->uuid;

	if (rc == SQLITE_OK && ledger->contents)
		rc = sqlite3_exec(ledger->db, contents_schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(ledger->db,
			"INSERT INTO meta VALUES(?1, 0, 0, " LB_TEXT_OF(LB_LEDGER_KEEP) ")", -1, &statement,
			NULL);
	if (rc != SQLITE_OK)
		return rc;
	ledger->host->clock->random(ledger->host, uuid->bytes, sizeof uuid->bytes);
	uuid->bytes[6] = (uint8_t)((uuid->bytes[6] & 0x0F) | 0x40); /* RFC 9562, section 5.4: version 4, */
	uuid->bytes[8] = (uint8_t)((uuid->bytes[8] & 0x3F) | 0x80); /* variant 10 */
	sqlite3_bind_blob(statement, 1, uuid->bytes, sizeof uuid->bytes, SQLITE_STATIC);
	sqlite3_step(statement);
	return sqlite3_finalize(statement);
}

int lb_ledger_check_kind(struct lb_ledger *ledger)
{
	int has_contents = 0;
	int rc = lb_ledger_ask(ledger->db, "SELECT count(*) FROM sqlite_schema WHERE name = 'deliveries'",
		lb_ledger_take_int, &has_contents);

	return rc == SQLITE_OK && has_contents != ledger->contents ? SQLITE_MISMATCH : rc;
}

/* Marks an opening with a number that nobody has written before, and writes down the setting that it comes with. */
static int mark_opening(struct lb_ledger *ledger)
{
	sqlite3_stmt *statement;
	sqlite3_int64 mark;
	int rc = sqlite3_prepare_v2(
		ledger->db, "UPDATE meta SET openings = ?2, keep = ifnull(?1, keep)", -1, &statement, NULL);

	if (rc != SQLITE_OK)
		return rc;
	if (ledger->keep != 0)
		sqlite3_bind_int64(statement, 1, ledger->keep);
	ledger->host->clock->random(ledger->host, &mark, sizeof mark);
	sqlite3_bind_int64(statement, 2, mark);
	sqlite3_step(statement);
	return sqlite3_finalize(statement);
}

/*
 * The mark is there for its write. A transaction whose COMMIT failed may lie whole in the write-ahead log, unseen,
 * and a crash would bring it back; a truncation of the log is not synced, so a crash may undo it. A synced write after
 * the truncation begins the log anew with another salt: from then on what cannot be read is gone for good. So it is where
 * a reader does not let the log be truncated: the write takes the place right behind what can be read, and the checksum
 * of a frame goes on from the one before it, so that nothing behind the write is whole any more. That rests on the mark
 * being a new one: a write like one that a crash has taken from that very place would give back what had followed it.
 */
int lb_ledger_begin_anew(struct lb_ledger *ledger, bool first)
{
	int version = 0;
	int rc = sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = lb_ledger_identity(ledger->db, &version, &ledger->uuid);
	if (rc == SQLITE_OK && version == 0 && first)
		rc = create(ledger);
	else if (rc == SQLITE_OK && version == 1)
		rc = sqlite3_exec(ledger->db, upgrade_1, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = lb_ledger_check_kind(ledger);
	if (rc == SQLITE_OK)
		rc = mark_opening(ledger);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ledger->db, parts_schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(ledger->db, "COMMIT", NULL, NULL, NULL);
	return rc;
}

void lb_ledger_copy_text(char to[LB_NAME_MAX + 1], sqlite3_stmt *row, int column)
{
	const void *text = sqlite3_column_text(row, column);
	size_t len = text != NULL ? (size_t)sqlite3_column_bytes(row, column) : 0;

	if (len > LB_NAME_MAX)
		len = LB_NAME_MAX;
	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
}

enum lb_ledger_state lb_ledger_row_read(sqlite3_stmt *row, int first, const struct lb_id *id,
	const struct lb_uuid *uuid, struct lb_receipt *receiptp)
{
	*receiptp = (struct lb_receipt){.id = *id, .ledger = *uuid};
	if (sqlite3_column_type(row, first) == SQLITE_NULL)
		return LB_LEDGER_UNSEEN;
	receiptp->committed_at = sqlite3_column_int64(row, first + 5);
	if (sqlite3_column_int(row, first) != LB_ROW_COMMITTED)
		return LB_LEDGER_FENCED;
	lb_ledger_copy_text(receiptp->name, row, first + 1);
	lb_ledger_copy_text(receiptp->placed, row, first + 2);
	receiptp->length = (uint64_t)sqlite3_column_int64(row, first + 3);
	if (sqlite3_column_bytes(row, first + 4) == sizeof receiptp->digest.bytes)
		memcpy(receiptp->digest.bytes, sqlite3_column_blob(row, first + 4),
			sizeof receiptp->digest.bytes);
	receiptp->durability = (enum lb_durability)sqlite3_column_int(row, first + 6);
	return LB_LEDGER_COMMITTED;
}
