/* SPDX-License-Identifier: MIT */
/*
 * The table of deliveries, in a ledger with contents. Somebody else takes its rows, and may have constraints and triggers
 * on it: what these say of one row is that row's affair, and no error of the storage. Owns nothing.
 */
#include "server/ledger_db.h"
#include <string.h>

bool lb_ledger_is_refused(const struct lb_ledger_entry *entry)
{
	return entry->state == LB_LEDGER_REJECTED || entry->state == LB_LEDGER_FAILED;
}

static int insert(struct lb_ledger *ledger, sqlite3_int64 sequence, const struct lb_ledger_entry *entry)
{
	sqlite3_stmt *row = ledger->statements[LB_LEDGER_SQL_CONTENT];
	const struct lb_receipt *receipt = &entry->receipt;
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT];

	sqlite3_bind_int64(row, 1, sequence);
	sqlite3_bind_text(row, 2, lb_id_text(&receipt->id, id), -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 3, receipt->name, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(
		row, 4, receipt->length > 0 ? entry->content : "", receipt->length, SQLITE_STATIC);
	sqlite3_bind_int64(row, 5, (sqlite3_int64)receipt->length);
	sqlite3_bind_text(row, 6, lb_digest_text(&receipt->digest, digest), -1, SQLITE_STATIC);
	sqlite3_bind_int64(row, 7, receipt->committed_at);
	return lb_ledger_run(row);
}

static int refuse(struct lb_ledger_entry *entry, enum lb_ledger_state state, const char *text)
{
	entry->state = state;
	entry->text = strdup(text);
	return LB_LEDGER_REFUSED;
}

int lb_ledger_content_put(struct lb_ledger *ledger, sqlite3_int64 sequence, struct lb_ledger_entry *entry)
{
	int rc = insert(ledger, sequence, entry);

	switch (rc & 0xff) {
	case SQLITE_OK:
		if (sqlite3_changes(ledger->db) == 0) /* RAISE(IGNORE) */
			return refuse(entry, LB_LEDGER_REJECTED, "a trigger has left it out");
		return SQLITE_OK;
	case SQLITE_CONSTRAINT:
		return refuse(entry, LB_LEDGER_REJECTED, sqlite3_errmsg(ledger->db));
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return refuse(entry, LB_LEDGER_FAILED, sqlite3_errmsg(ledger->db));
	default:
		return rc;
	}
}
