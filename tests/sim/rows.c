/* SPDX-License-Identifier: MIT */
/*
 * The oracle's eye on a database of deliveries: reads the table in a copy, so that nobody whom it watches has to wait for
 * it, and holds each row to what was asked for. Owns what it has read last.
 */
#include "sim/copy.h"
#include <sqlite3.h>
#include <string.h>

static bool is_content(sqlite3_stmt *row, const struct sim_source *source)
{
	char digest[LB_DIGEST_TEXT];

	return sqlite3_column_bytes(row, 2) == (int)source->len &&
	       (source->len == 0 || memcmp(sqlite3_column_blob(row, 2), source->bytes, source->len) == 0) &&
	       sqlite3_column_int64(row, 3) == (sqlite3_int64)source->len &&
	       strcmp((const char *)sqlite3_column_text(row, 4), lb_digest_text(&source->digest, digest)) ==
		       0;
}

/* Invariant 1: all of a delivery that somebody asked to commit, or nothing. */
static const struct sim_source *find_source(struct sim_check *check, sqlite3_stmt *row)
{
	const char *name = (const char *)sqlite3_column_text(row, 1);
	const struct sim_source *source = check->sources;

	while (source != NULL && (strcmp(source->name, name) != 0 || !is_content(row, source)))
		source = source->next;
	if (source == NULL)
		sim_violation(check->world, 1,
			"%s is in a database with %d bytes that nobody has sent as that", name,
			sqlite3_column_bytes(row, 2));
	if (!source->asked)
		sim_violation(check->world, 1, "%s is in a database, and no COMMIT was sent for it", name);
	return source;
}

/* Invariants 3 and 6: each id once, and none of which somebody was told that it never will be there. */
static void add(struct sim_check *check, sqlite3_stmt *row)
{
	struct sim_rows *rows = &check->rows;
	struct sim_row new = {.source = find_source(check, row)};

	if (lb_id_parse((const char *)sqlite3_column_text(row, 0), &new.id) != 0)
		sim_violation(check->world, 3, "a row has no id");
	for (size_t i = 0; i < rows->n; i++)
		if (rows->at[i].id.number == new.id.number &&
			memcmp(rows->at[i].id.client, new.id.client, sizeof new.id.client) == 0)
			sim_violation(
				check->world, 3, "%s is in a database twice, under one id", new.source->name);
	if (sim_check_ident(check, &new.id, NULL)->never)
		sim_violation(check->world, 6, "%s is in a database, and was said to be never committed",
			new.source->name);
	if (rows->n == rows->room) {
		rows->room = rows->room == 0 ? 16 : rows->room * 2;
		rows->at = sim_realloc(rows->at, rows->room * sizeof *rows->at);
	}
	rows->at[rows->n++] = new;
}

/* A database that has no table yet has no rows. */
static void read_rows(struct sim_check *check, sqlite3 *db)
{
	sqlite3_stmt *row;
	int rc = sqlite3_prepare_v2(
		db, "SELECT id, name, content, length, digest FROM deliveries", -1, &row, NULL);

	if (rc == SQLITE_ERROR)
		return;
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(row);
		if (rc == SQLITE_ROW)
			add(check, row);
	}
	if (rc != SQLITE_DONE)
		sim_violation(check->world, 2, "a database cannot be read: %s", sqlite3_errmsg(db));
	sqlite3_finalize(row);
}

const struct sim_rows *sim_rows_look(struct sim_check *check, struct sim_machine *machine)
{
	struct sim_copy copy;
	sqlite3 *db;

	if (check->rows.version == machine->disk->version)
		return &check->rows;
	check->rows.version = machine->disk->version;
	check->rows.n = 0;
	if (sim_disk_find(machine->disk, SIM_DATABASE) == NULL)
		return &check->rows;
	sim_copy_start(&copy, machine, "a look");
	if (sqlite3_open_v2("/" SIM_DATABASE, &db, SQLITE_OPEN_READWRITE, copy.process->name) != SQLITE_OK)
		sim_violation(check->world, 2, "a database cannot be opened");
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	read_rows(check, db);
	sqlite3_close(db);
	sim_copy_end(&copy);
	return &check->rows;
}
