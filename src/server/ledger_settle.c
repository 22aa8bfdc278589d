/* SPDX-License-Identifier: MIT */
/*
 * Settling: what a client says of its lowest open number, and what the ledger forgets then. Owns what waits for the next
 * transaction. No answer rests on it having been done: until then it is as if the client had not said it yet.
 */
#include "server/ledger_db.h"
#include <errno.h>
#include <string.h>

/* The bound is asked for first: as a part of the DELETE it would make SQLite keep a journal of that statement, in a file
 * where that is large. */
static int prune(struct lb_ledger *ledger, const struct lb_id *client)
{
	sqlite3_stmt *row = ledger->statements[LB_LEDGER_SQL_FLOOR];
	struct lb_id lowest = *client;
	int rc;

	sqlite3_bind_blob(row, 1, client->client, sizeof client->client, SQLITE_STATIC);
	lowest.number = sqlite3_step(row) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
	rc = sqlite3_reset(row);
	return rc == SQLITE_OK ? lb_ledger_run(lb_ledger_bind(ledger, LB_LEDGER_SQL_PRUNE, &lowest)) : rc;
}

/* All that waits, in a transaction that has begun; SQLite's code. */
int lb_ledger_settle_within(struct lb_ledger *ledger)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < ledger->n_settles && rc == SQLITE_OK; i++) {
		const struct lb_id *id = &ledger->settles[i];

		rc = lb_ledger_run(lb_ledger_bind(ledger, LB_LEDGER_SQL_SETTLE, id));
		if (rc == SQLITE_OK && sqlite3_changes(ledger->db) > 0)
			rc = prune(ledger, id);
		if (rc == SQLITE_OK && !ledger->contents)
			rc = lb_ledger_run(lb_ledger_bind(ledger, LB_LEDGER_SQL_PART_SETTLE, id));
	}
	return rc;
}

int lb_ledger_settle_now(struct lb_ledger *ledger)
{
	int err = ledger->n_settles > 0 ? lb_ledger_begin(ledger) : 0;

	if (err != 0 || ledger->n_settles == 0)
		return err;
	err = lb_ledger_end(ledger, lb_ledger_settle_within(ledger));
	ledger->n_settles = err == 0 ? 0 : ledger->n_settles;
	return err;
}

int lb_ledger_settle_later(struct lb_ledger *ledger, const struct lb_id *lowest)
{
	struct lb_id id = *lowest;
	size_t i = 0;
	int err;

	if (id.number <= 1)
		return 0; /* as for a client that was never seen */
	if (!lb_ledger_is_storable(&id))
		id.number = INT64_MAX;
	while (i < ledger->n_settles && memcmp(ledger->settles[i].client, id.client, sizeof id.client) != 0)
		i++;
	if (i == LB_LEDGER_SETTLES) {
		err = lb_ledger_settle_now(ledger);
		if (err != 0)
			return err;
		i = 0;
	}
	if (i == ledger->n_settles)
		ledger->settles[ledger->n_settles++] = id;
	else if (id.number > ledger->settles[i].number)
		ledger->settles[i] = id;
	return 0;
}

int lb_ledger_settle(struct lb_ledger *ledger, const struct lb_id *lowest)
{
	int err = lb_ledger_settle_later(ledger, lowest);

	return err != 0 ? err : lb_ledger_settle_now(ledger);
}
