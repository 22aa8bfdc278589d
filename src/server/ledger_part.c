/* SPDX-License-Identifier: MIT */
/*
 * The ledger's rows of parts: how much of a delivery is durable, so that a later attempt goes on there. Owns nothing;
 * that the bytes were synced before is the sink's to see to.
 */
#include "server/ledger_db.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void read_part(sqlite3_stmt *row, struct lb_ledger_part *part)
{
	*part = (struct lb_ledger_part){.id = {.number = (uint64_t)sqlite3_column_int64(row, 1)},
		.attempt = (uint32_t)sqlite3_column_int64(row, 2),
		.declared = sqlite3_column_type(row, 3) == SQLITE_NULL
				    ? LB_UNKNOWN
				    : (uint64_t)sqlite3_column_int64(row, 3),
		.offset = (uint64_t)sqlite3_column_int64(row, 4),
		.age = sqlite3_column_int64(row, 5)};
	if (sqlite3_column_bytes(row, 0) == sizeof part->id.client)
		memcpy(part->id.client, sqlite3_column_blob(row, 0), sizeof part->id.client);
	lb_ledger_copy_text(part->name, row, 6);
}

int lb_ledger_part_look(
	struct lb_ledger *ledger, const struct lb_id *id, struct lb_ledger_part *partp, bool *foundp)
{
	int err = lb_ledger_mend(ledger), rc;
	sqlite3_stmt *row;

	*foundp = false;
	if (err != 0 || !lb_ledger_is_storable(id))
		return err;
	row = lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_LOOK, id);
	if (sqlite3_step(row) == SQLITE_ROW) {
		read_part(row, partp);
		*foundp = true;
	}
	rc = sqlite3_reset(row);
	return rc == SQLITE_OK ? 0 : lb_ledger_give_up(ledger, rc);
}

int lb_ledger_part_put(
	struct lb_ledger *ledger, const struct lb_ledger_part *part, enum lb_ledger_state *statep)
{
	int err = lb_ledger_begin(ledger), rc;
	struct lb_receipt receipt;
	sqlite3_stmt *row;

	*statep = LB_LEDGER_UNSEEN;
	if (err != 0)
		return err;
	row = lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_PUT, &part->id);
	sqlite3_bind_int64(row, 3, part->attempt);
	if (part->declared != LB_UNKNOWN)
		sqlite3_bind_int64(row, 4, (sqlite3_int64)part->declared);
	sqlite3_bind_int64(row, 5, (sqlite3_int64)part->offset);
	sqlite3_bind_text(row, 6, part->name, -1, SQLITE_STATIC);
	rc = lb_ledger_run(row);
	if (rc == SQLITE_OK && sqlite3_changes(ledger->db) == 0)
		rc = lb_ledger_look_within(ledger, &part->id, statep, &receipt, NULL);
	return lb_ledger_end(ledger, rc);
}

static int list(struct lb_ledger *ledger, sqlite3_stmt *rows, struct lb_ledger_part **partsp, size_t *np)
{
	size_t room = 0;
	int err = 0, rc;

	while (err == 0 && sqlite3_step(rows) == SQLITE_ROW) {
		if (*np == room) {
			struct lb_ledger_part *more =
				realloc(*partsp, (room = room * 2 + 16) * sizeof **partsp);

			err = more == NULL ? -ENOMEM : 0;
			*partsp = more != NULL ? more : *partsp;
		}
		if (err == 0)
			read_part(rows, &(*partsp)[(*np)++]);
	}
	rc = sqlite3_reset(rows);
	if (err == 0 && rc != SQLITE_OK)
		err = lb_ledger_give_up(ledger, rc);
	if (err != 0) {
		free(*partsp);
		*partsp = NULL;
		*np = 0;
	}
	return err;
}

int lb_ledger_parts(struct lb_ledger *ledger, struct lb_ledger_part **partsp, size_t *np)
{
	int err = lb_ledger_mend(ledger);

	*partsp = NULL;
	*np = 0;
	return err != 0 ? err : list(ledger, ledger->statements[LB_LEDGER_SQL_PART_LIST], partsp, np);
}

int lb_ledger_parts_below(
	struct lb_ledger *ledger, const struct lb_id *lowest, struct lb_ledger_part **partsp, size_t *np)
{
	int err = lb_ledger_mend(ledger);

	*partsp = NULL;
	*np = 0;
	if (err != 0 || !lb_ledger_is_storable(lowest))
		return err;
	return list(ledger, lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_BELOW, lowest), partsp, np);
}

int lb_ledger_parts_age(struct lb_ledger *ledger, const struct lb_ledger_part *parts, size_t n)
{
	int err = n > 0 ? lb_ledger_begin(ledger) : 0, rc = SQLITE_OK;

	if (err != 0 || n == 0)
		return err;
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
		sqlite3_stmt *row = lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_AGE, &parts[i].id);

		sqlite3_bind_int64(row, 3, parts[i].age);
		rc = lb_ledger_run(row);
	}
	return lb_ledger_end(ledger, rc);
}

int lb_ledger_parts_forget(struct lb_ledger *ledger, const struct lb_ledger_part *parts, size_t n)
{
	int err = n > 0 ? lb_ledger_begin(ledger) : 0, rc = SQLITE_OK;

	if (err != 0 || n == 0)
		return err;
	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		rc = lb_ledger_run(lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_FORGET, &parts[i].id));
	return lb_ledger_end(ledger, rc);
}
