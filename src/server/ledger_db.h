/* SPDX-License-Identifier: MIT */
/* The inside of the ledger: ledger_db.c (the database), ledger_schema.c (its tables and identity), ledger.c (what is
 * asked of it), ledger_content.c (the table of deliveries), ledger_settle.c, ledger_part.c (parts of deliveries) and ledger_read.c (reading beside a server). */
#ifndef SERVER_LEDGER_DB_H
#define SERVER_LEDGER_DB_H

#include "server/ledger.h"
#include <sqlite3.h>

#define LB_LEDGER_SCHEMA  2
#define LB_LEDGER_WAIT_MS 10000 /* for a lock of another process on the database */
#define LB_LEDGER_SETTLES 64    /* clients whose settling waits for the next transaction */

#define LB_TEXT_OF(x)  LB_TEXT_OF_(x)
#define LB_TEXT_OF_(x) #x

/* A row's columns, in the order in which lb_ledger_row_read finds them. */
#define LB_LEDGER_COLUMNS "state, name, placed, length, digest, committed_at, durability"

/* `state` */
enum lb_row_state { LB_ROW_COMMITTED = 1, LB_ROW_FENCED = 2 };

enum lb_ledger_statement {
	LB_LEDGER_SQL_BEGIN,
	LB_LEDGER_SQL_END,
	LB_LEDGER_SQL_UNDO,
	LB_LEDGER_SQL_LOOK,
	LB_LEDGER_SQL_SEQUENCE,
	LB_LEDGER_SQL_COUNT,
	LB_LEDGER_SQL_LOWEST,
	LB_LEDGER_SQL_INSERT,
	LB_LEDGER_SQL_CONTENT, /* of a ledger with contents alone */
	LB_LEDGER_SQL_PLACED,
	LB_LEDGER_SQL_SETTLE,
	LB_LEDGER_SQL_FLOOR,
	LB_LEDGER_SQL_PRUNE,
	LB_LEDGER_SQL_PART_LOOK,
	LB_LEDGER_SQL_PART_PUT,
	LB_LEDGER_SQL_PART_LIST,
	LB_LEDGER_SQL_PART_BELOW,
	LB_LEDGER_SQL_PART_AGE,
	LB_LEDGER_SQL_PART_FORGET,
	LB_LEDGER_SQL_PART_SETTLE,
	LB_LEDGER_SQL_N,
};
extern const char *const lb_ledger_sql[LB_LEDGER_SQL_N];

struct lb_ledger {
	struct lb_host *host;
	char           *vfs, *path;
	sqlite3        *db;
	sqlite3_stmt   *statements[LB_LEDGER_SQL_N];
	struct lb_uuid  uuid;
	unsigned        keep; /* of the options, until it is written down; 0: as it says there */
	bool            contents;
	bool            broken;
	bool            in_vain;         /* the last wait for a lock was: the next ones are short */
	bool            full_is_certain; /* SQLITE_FULL means that no record of the transaction is complete */
	struct lb_id    settles[LB_LEDGER_SETTLES]; /* lowest open numbers, of as many clients */
	size_t          n_settles;
	struct lb_id
		lowest; /* of the client that the transaction under way asked about last; number 0: none */
};

/* ledger_schema.c, with SQLite's result codes. */
/* Reads the identity; *versionp is 0 when there is no schema yet, and what follows is unknown if it is a newer one. */
int lb_ledger_identity(sqlite3 *db, int *versionp, struct lb_uuid *uuidp);
/* How many settled numbers are kept. */
int lb_ledger_keep(sqlite3 *db, unsigned *keepp);
/* One transaction, synced: makes the schema (if it is the `first` time) or an older one this one, and writes `keep`.
 * SQLITE_MISMATCH: the ledger is of the other kind. */
int lb_ledger_begin_anew(struct lb_ledger *ledger, bool first);
int lb_ledger_check_kind(struct lb_ledger *ledger); /* SQLITE_MISMATCH, too */
/* Hands the only row of a statement to `take`. */
int  lb_ledger_ask(sqlite3 *db, const char *sql, void (*take)(sqlite3_stmt *row, void *arg), void *arg);
void lb_ledger_take_int(sqlite3_stmt *row, void *arg);
/* The row of `id` in the columns from `first` on. */
enum lb_ledger_state lb_ledger_row_read(sqlite3_stmt *row, int first, const struct lb_id *id,
	const struct lb_uuid *uuid, struct lb_receipt *receiptp);
void                 lb_ledger_copy_text(char to[LB_NAME_MAX + 1], sqlite3_stmt *row, int column);

/* ledger.c: statements and transactions. `end` takes the SQLite code that has come out so far, and returns what the
 * functions of ledger.h do; `give_up` is its like outside of a transaction, `look` one inside. */
bool          lb_ledger_is_storable(const struct lb_id *id);
sqlite3_stmt *lb_ledger_bind(
	struct lb_ledger *ledger, enum lb_ledger_statement which, const struct lb_id *id);
int lb_ledger_run(sqlite3_stmt *statement);
int lb_ledger_begin(struct lb_ledger *ledger);
int lb_ledger_end(struct lb_ledger *ledger, int rc);
int lb_ledger_give_up(struct lb_ledger *ledger, int rc);
int lb_ledger_look_within(struct lb_ledger *ledger, const struct lb_id *id, enum lb_ledger_state *statep,
	struct lb_receipt *receiptp, struct lb_ledger_reply *replyp);
int lb_ledger_settle_within(struct lb_ledger *ledger); /* what waits to be settled */

/* ledger_content.c: the row of what was delivered. LB_LEDGER_REFUSED, in the place of SQLite's code: the table does not
 * take it, for which the entry has the state and the text; what the attempt has left is to be undone. */
#define LB_LEDGER_REFUSED (-1)
int  lb_ledger_content_put(struct lb_ledger *ledger, sqlite3_int64 sequence, struct lb_ledger_entry *entry);
bool lb_ledger_is_refused(const struct lb_ledger_entry *entry);

/* Makes a connection that is broken whole again: 0; -ENOSPC: there is no room to; or -EIO. */
int lb_ledger_mend(struct lb_ledger *ledger);

#endif
