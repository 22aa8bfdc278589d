/* SPDX-License-Identifier: MIT */
/* What a test asks the database itself. */
#ifndef SERVER_QUERY_H
#define SERVER_QUERY_H

#include "lib/cmocka.h"
#include <sqlite3.h>

/* The one number that comes out. Closes db. */
static inline int query_number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *row;
	int           number;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	number = sqlite3_column_int(row, 0);
	sqlite3_finalize(row);
	sqlite3_close(db);
	return number;
}

#endif
