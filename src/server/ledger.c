/* SPDX-License-Identifier: MIT */
/*
 * What is asked of the ledger: look, commit, fence. Owns the statements' text and what an error of each
 * means; the database itself is ledger_db.c's. Every insert goes under the primary key and says itself whether
 * it was the first: there is no moment between a check and an insert.
 */
#include "server/ledger_db.h"
#include "base/test.h"
#include <errno.h>
#include <lastbyte/conn.h>
#include <stdlib.h>
#include <string.h>

const char *const lb_ledger_sql[LB_LEDGER_SQL_N] = {
	[LB_LEDGER_SQL_BEGIN] = "BEGIN IMMEDIATE",
	[LB_LEDGER_SQL_END] = "COMMIT",
	[LB_LEDGER_SQL_UNDO] = "ROLLBACK",
	/* always one row */
	[LB_LEDGER_SQL_LOOK] =
		"SELECT ifnull(c.settled, 1), ifnull(c.floor, 1), d.state, d.name, d.placed, d.length,"
		" d.digest, d.committed_at, d.durability, d.reply"
		" FROM (SELECT ?1 AS client, ?2 AS number) AS q"
		" LEFT JOIN clients AS c ON c.client = q.client"
		" LEFT JOIN verdicts AS d ON d.client = q.client AND d.number = q.number",
	[LB_LEDGER_SQL_SEQUENCE] = "SELECT sequence FROM meta",
	[LB_LEDGER_SQL_COUNT] = "UPDATE meta SET sequence = ?1",
	[LB_LEDGER_SQL_LOWEST] = "SELECT ifnull((SELECT settled FROM clients WHERE client = ?1), 1)",
	[LB_LEDGER_SQL_INSERT] =
		"INSERT INTO verdicts(client, number, sequence, " LB_LEDGER_COLUMNS ", reply)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
		" ON CONFLICT(client, number) DO NOTHING",
	/* Replaces nothing: a row that is in its way, by its number or by an index of somebody else's, may be a delivery. */
	[LB_LEDGER_SQL_CONTENT] =
		"INSERT INTO deliveries(sequence, id, name, content, length, digest, committed_at)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[LB_LEDGER_SQL_PLACED] = "UPDATE verdicts SET placed = ?3 WHERE client = ?1 AND number = ?2",
	/* What is below the floor was forgotten: it never sinks, whatever is kept from now on. */
	[LB_LEDGER_SQL_SETTLE] = "INSERT INTO clients(client, settled, floor)"
				 " VALUES(?1, ?2, max(?2 - (SELECT keep FROM meta), 1))"
				 " ON CONFLICT(client) DO UPDATE SET settled = excluded.settled, floor = "
				 "max(floor, excluded.floor)"
				 " WHERE excluded.settled > settled",
	/* Many at a time: the pages of a client's oldest rows are not written for each. */
	[LB_LEDGER_SQL_FLOOR] =
		"SELECT floor - floor % max(keep / 8, 1) FROM clients, meta WHERE client = ?1",
	[LB_LEDGER_SQL_PRUNE] = "DELETE FROM verdicts WHERE client = ?1 AND number < ?2",
	[LB_LEDGER_SQL_PART_LOOK] = "SELECT client, number, attempt, declared, size, age, name FROM parts "
				    "WHERE client = ?1 AND number = ?2",
	/* Whoever was fenced or settled while it was received leaves nothing. */
	[LB_LEDGER_SQL_PART_PUT] =
		"INSERT OR REPLACE INTO parts(client, number, sequence, attempt, declared, size, name, age)"
		" SELECT ?1, ?2, (SELECT ifnull(max(sequence), 0) + 1 FROM parts), ?3, ?4, ?5, ?6, 0"
		" WHERE ?2 >= ifnull((SELECT settled FROM clients WHERE client = ?1), 1)"
		" AND NOT EXISTS (SELECT 1 FROM verdicts WHERE client = ?1 AND number = ?2)",
	[LB_LEDGER_SQL_PART_LIST] =
		"SELECT client, number, attempt, declared, size, age, name FROM parts ORDER BY sequence DESC",
	[LB_LEDGER_SQL_PART_BELOW] = "SELECT client, number, attempt, declared, size, age, name FROM parts "
				     "WHERE client = ?1 AND number < ?2",
	[LB_LEDGER_SQL_PART_AGE] = "UPDATE parts SET age = ?3 WHERE client = ?1 AND number = ?2",
	[LB_LEDGER_SQL_PART_FORGET] = "DELETE FROM parts WHERE client = ?1 AND number = ?2",
	[LB_LEDGER_SQL_PART_SETTLE] = "DELETE FROM parts WHERE client = ?1 AND number < ?2",
};

/* The only numbers that have a place in the database. */
bool lb_ledger_is_storable(const struct lb_id *id)
{
	return id->number <= INT64_MAX;
}

sqlite3_stmt *lb_ledger_bind(struct lb_ledger *ledger, enum lb_ledger_statement which, const struct lb_id *id)
{
	sqlite3_stmt *statement = ledger->statements[which];

	sqlite3_clear_bindings(statement);
	sqlite3_bind_blob(statement, 1, id->client, sizeof id->client, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)id->number);
	return statement;
}

int lb_ledger_run(sqlite3_stmt *statement)
{
	sqlite3_step(statement);
	return sqlite3_reset(statement);
}

/* What an error outside of a transaction means. */
int lb_ledger_give_up(struct lb_ledger *ledger, int rc)
{
	ledger->in_vain = (rc & 0xff) == SQLITE_BUSY;
	if (ledger->in_vain)
		return -EBUSY;
	ledger->broken = true;
	return -EIO;
}

int lb_ledger_begin(struct lb_ledger *ledger)
{
	int err = lb_ledger_mend(ledger), rc;

	if (err != 0)
		return err;
	rc = lb_ledger_run(ledger->statements[LB_LEDGER_SQL_BEGIN]);
	if (rc != SQLITE_OK)
		return lb_ledger_give_up(ledger, rc);
	ledger->in_vain = false;
	return 0;
}

/* Ends a transaction, in which rc has come out so far. */
int lb_ledger_end(struct lb_ledger *ledger, int rc)
{
	bool decided = rc == SQLITE_OK; /* its records went to the log */

	if (decided)
		rc = lb_ledger_run(ledger->statements[LB_LEDGER_SQL_END]);
	if (rc == SQLITE_OK)
		return 0;
	lb_ledger_run(
		ledger->statements[LB_LEDGER_SQL_UNDO]); /* SQLite may have done so: then this is an error */
	if ((rc & 0xff) == SQLITE_FULL && sqlite3_get_autocommit(ledger->db) &&
		(!decided || ledger->full_is_certain))
		return -ENOSPC;
	ledger->broken = true;
	return -EIO;
}

static enum lb_ledger_state without_row(sqlite3_stmt *row, uint64_t number)
{
	uint64_t settled = (uint64_t)sqlite3_column_int64(row, 0),
		 floor = (uint64_t)sqlite3_column_int64(row, 1);

	if (number < floor && !LB_BUG("forgotten_is_settled"))
		return LB_LEDGER_FORGOTTEN;
	if (number < settled)
		return LB_LEDGER_SETTLED;
	return number - settled >= LB_NUMBERS_OPEN_MAX ? LB_LEDGER_BEYOND : LB_LEDGER_UNSEEN;
}

static int copy_reply(sqlite3_stmt *row, int column, struct lb_ledger_reply *replyp)
{
	const void *bytes = sqlite3_column_blob(row, column);
	size_t len = (size_t)sqlite3_column_bytes(row, column);

	if (len == 0)
		return SQLITE_OK;
	replyp->bytes = malloc(len);
	if (replyp->bytes == NULL)
		return SQLITE_NOMEM;
	memcpy(replyp->bytes, bytes, len);
	replyp->len = len;
	return SQLITE_OK;
}

/* SQLite's code; inside a transaction or outside. */
int lb_ledger_look_within(struct lb_ledger *ledger, const struct lb_id *id, enum lb_ledger_state *statep,
	struct lb_receipt *receiptp, struct lb_ledger_reply *replyp)
{
	sqlite3_stmt *row = lb_ledger_bind(ledger, LB_LEDGER_SQL_LOOK, id);
	int copied = SQLITE_OK, rc;

	if (sqlite3_step(row) == SQLITE_ROW) {
		*statep = lb_ledger_row_read(row, 2, id, &ledger->uuid, receiptp);
		if (*statep == LB_LEDGER_UNSEEN)
			*statep = without_row(row, id->number);
		if (*statep == LB_LEDGER_COMMITTED && replyp != NULL)
			copied = copy_reply(row, 9, replyp);
	}
	rc = sqlite3_reset(row);
	return rc == SQLITE_OK ? copied : rc;
}

/* The place of the last row in the order of commit. */
static int read_sequence(struct lb_ledger *ledger, sqlite3_int64 *sequencep)
{
	sqlite3_stmt *row = ledger->statements[LB_LEDGER_SQL_SEQUENCE];

	if (sqlite3_step(row) == SQLITE_ROW)
		*sequencep = sqlite3_column_int64(row, 0);
	return sqlite3_reset(row);
}

static int write_sequence(struct lb_ledger *ledger, sqlite3_int64 sequence)
{
	sqlite3_bind_int64(ledger->statements[LB_LEDGER_SQL_COUNT], 1, sequence);
	return lb_ledger_run(ledger->statements[LB_LEDGER_SQL_COUNT]);
}

static int insert_verdict(struct lb_ledger *ledger, enum lb_row_state state, sqlite3_int64 sequence,
	const struct lb_ledger_entry *entry)
{
	const struct lb_receipt *receipt = &entry->receipt;
	sqlite3_stmt *row = lb_ledger_bind(ledger, LB_LEDGER_SQL_INSERT, &receipt->id);

	sqlite3_bind_int64(row, 3, sequence);
	sqlite3_bind_int(row, 4, state);
	sqlite3_bind_int64(row, 9, receipt->committed_at);
	if (state == LB_ROW_COMMITTED) {
		sqlite3_bind_text(row, 5, receipt->name, -1, SQLITE_STATIC);
		sqlite3_bind_text(row, 6, receipt->placed, -1, SQLITE_STATIC);
		sqlite3_bind_int64(row, 7, (sqlite3_int64)receipt->length);
		sqlite3_bind_blob(row, 8, receipt->digest.bytes, sizeof receipt->digest.bytes, SQLITE_STATIC);
		sqlite3_bind_int(row, 10, receipt->durability);
		if (entry->reply.len > 0)
			sqlite3_bind_blob64(row, 11, entry->reply.bytes, entry->reply.len, SQLITE_STATIC);
	}
	return lb_ledger_run(row);
}

/* In a transaction, in which it stays the same: deliveries of one client come in a row, and it is read once for them. */
static int read_lowest(struct lb_ledger *ledger, const struct lb_id *id)
{
	sqlite3_stmt *row = ledger->statements[LB_LEDGER_SQL_LOWEST];
	struct lb_id *lowest = &ledger->lowest;

	if (lowest->number != 0 && memcmp(lowest->client, id->client, sizeof id->client) == 0)
		return SQLITE_OK;
	*lowest = *id;
	sqlite3_bind_blob(row, 1, id->client, sizeof id->client, SQLITE_STATIC);
	lowest->number = sqlite3_step(row) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
	return sqlite3_reset(row);
}

/* The entry's state: UNSEEN: it is in now; COMMITTED: something was there first. Or LB_LEDGER_REFUSED comes out. */
static int insert(struct lb_ledger *ledger, enum lb_row_state state, sqlite3_int64 sequence,
	struct lb_ledger_entry *entry)
{
	struct lb_receipt *receipt = &entry->receipt;
	bool is_new = false;
	int rc;

	entry->state = LB_LEDGER_BEYOND;
	if (!lb_ledger_is_storable(&receipt->id))
		return SQLITE_OK;
	rc = read_lowest(ledger, &receipt->id);
	/* A number that was settled meanwhile never gets a row again. */
	if (rc == SQLITE_OK && receipt->id.number - ledger->lowest.number < LB_NUMBERS_OPEN_MAX) {
		rc = insert_verdict(ledger, state, sequence, entry);
		is_new = sqlite3_changes(ledger->db) > 0 || LB_BUG("no_ledger_row_check") ||
			 (ledger->contents && LB_BUG("second_row"));
	}
	entry->state = LB_LEDGER_UNSEEN;
	if (rc == SQLITE_OK && !is_new) {
		entry->state = LB_LEDGER_COMMITTED;
	} else if (rc == SQLITE_OK && state == LB_ROW_COMMITTED && ledger->contents) {
		rc = lb_ledger_content_put(ledger, sequence, entry);
	}
	return rc;
}

/* As that, but of a row that is refused nothing is left. Refused once more: that has ended the transaction. */
static int insert_apart(struct lb_ledger *ledger, enum lb_row_state state, sqlite3_int64 sequence,
	struct lb_ledger_entry *entry)
{
	int rc = sqlite3_exec(ledger->db, "SAVEPOINT apart", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = insert(ledger, state, sequence, entry);
	if (rc == LB_LEDGER_REFUSED && !sqlite3_get_autocommit(ledger->db))
		rc = sqlite3_exec(ledger->db, "ROLLBACK TO apart", NULL, NULL, NULL);
	return rc == SQLITE_OK ? sqlite3_exec(ledger->db, "RELEASE apart", NULL, NULL, NULL) : rc;
}

/* What was there first becomes the entry. Where nothing was, a trigger has left out our row. */
static int take_first(struct lb_ledger *ledger, struct lb_ledger_entry *entry)
{
	int rc;

	free(entry->reply.bytes);
	entry->reply = (struct lb_ledger_reply){0};
	rc = lb_ledger_look_within(ledger, &entry->receipt.id, &entry->state, &entry->receipt, &entry->reply);
	return rc == SQLITE_OK && entry->state == LB_LEDGER_UNSEEN ? SQLITE_CORRUPT : rc;
}

/* What is decided is not resumed. */
static int forget_part(struct lb_ledger *ledger, const struct lb_id *id)
{
	return lb_ledger_run(lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_FORGET, id));
}

int lb_ledger_look(struct lb_ledger *ledger, const struct lb_id *id, enum lb_ledger_state *statep,
	struct lb_receipt *receiptp, struct lb_ledger_reply *replyp)
{
	int err = lb_ledger_mend(ledger), rc;

	*receiptp = (struct lb_receipt){.id = *id, .ledger = ledger->uuid};
	if (replyp != NULL)
		*replyp = (struct lb_ledger_reply){0};
	*statep = LB_LEDGER_BEYOND;
	if (err != 0 || !lb_ledger_is_storable(id))
		return err;
	rc = lb_ledger_look_within(ledger, id, statep, receiptp, replyp);
	return rc == SQLITE_OK ? 0 : lb_ledger_give_up(ledger, rc);
}

/*
 * All of them, in a transaction that has begun; SQLite's code. LB_LEDGER_REFUSED: one more of them was refused, and the
 * transaction is to be undone and begun again, with each `apart`. Those that were refused before are left out. No entry is
 * overwritten before all are in: else one that has met another of this transaction would bring its content the next time.
 */
static int insert_all(struct lb_ledger *ledger, enum lb_row_state state, struct lb_ledger_entry *entries,
	size_t n, bool apart)
{
	sqlite3_int64 first = 0, last;
	int rc = lb_ledger_settle_within(ledger);

	ledger->lowest.number = 0;
	if (rc == SQLITE_OK)
		rc = read_sequence(ledger, &first);
	last = first;
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
		if (!lb_ledger_is_refused(&entries[i]))
			rc = (apart ? insert_apart : insert)(ledger, state, last + 1, &entries[i]);
		if (rc == SQLITE_OK && !ledger->contents)
			rc = forget_part(ledger, &entries[i].receipt.id);
		/* a number that is taken by a row of somebody else's is passed over */
		last += entries[i].state == LB_LEDGER_UNSEEN || lb_ledger_is_refused(&entries[i]);
	}
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		if (entries[i].state == LB_LEDGER_COMMITTED)
			rc = take_first(ledger, &entries[i]);
	return rc == SQLITE_OK && last > first ? write_sequence(ledger, last) : rc;
}

int lb_ledger_commit(struct lb_ledger *ledger, struct lb_ledger_entry *entries, size_t n)
{
	int rc = SQLITE_OK, err;

	for (size_t i = 0; i < n; i++)
		entries[i].state = LB_LEDGER_UNSEEN;
	do {
		bool apart = rc == LB_LEDGER_REFUSED;

		if (apart)
			lb_ledger_run(ledger->statements
					      [LB_LEDGER_SQL_UNDO]); /* an error if a trigger has done so */
		err = lb_ledger_begin(ledger);
		if (err == 0)
			rc = insert_all(ledger, LB_ROW_COMMITTED, entries, n, apart);
	} while (err == 0 && rc == LB_LEDGER_REFUSED);
	if (err == -EBUSY && LB_BUG("busy_is_done"))
		err = 0;
	else if (err == 0)
		err = lb_ledger_end(ledger, rc);
	ledger->n_settles = err == 0 ? 0 : ledger->n_settles;
	return err;
}

int lb_ledger_fence(struct lb_ledger *ledger, const struct lb_id *id, enum lb_ledger_state *statep,
	struct lb_receipt *receiptp, struct lb_ledger_reply *replyp)
{
	struct lb_ledger_entry fence = {.receipt = {.id = *id, .ledger = ledger->uuid}};
	int err = lb_ledger_begin(ledger);

	if (err == 0) {
		fence.receipt.committed_at = ledger->host->clock->wall(ledger->host);
		err = lb_ledger_end(ledger, insert_all(ledger, LB_ROW_FENCED, &fence, 1, false));
		ledger->n_settles = err == 0 ? 0 : ledger->n_settles;
	}
	*statep = fence.state == LB_LEDGER_UNSEEN ? LB_LEDGER_FENCED : fence.state;
	*receiptp = fence.receipt;
	if (replyp != NULL)
		*replyp = fence.reply;
	else
		free(fence.reply.bytes);
	return err;
}

int lb_ledger_placed(struct lb_ledger *ledger, const struct lb_id *id, const char *placed)
{
	int err = lb_ledger_begin(ledger);
	sqlite3_stmt *update;

	if (err != 0)
		return err;
	update = lb_ledger_bind(ledger, LB_LEDGER_SQL_PLACED, id);
	sqlite3_bind_text(update, 3, placed, -1, SQLITE_STATIC);
	return lb_ledger_end(ledger, lb_ledger_run(update));
}
