/* SPDX-License-Identifier: MIT */
/* Deliveries into rows in which each call fails in turn, then each allocation: what is said of each is what is there. */
#include "flaky_vfs.h"
#include "lib/failing.h"
#include "lib/flaky_disk.h"
#include "lib/scratch.h"
#include "server/sink.h"
#include <stdlib.h>

#define ROWS    3
#define REFUSED 2

/* What fails: a call on the disk, or of the database, or an allocation. */
struct fault {
	int disk, database;
	struct failing_plan plan;
	const char *trigger; /* of somebody else, who lets in no row of number REFUSED; NULL: none */
};

struct told {
	int r; /* of opening */
	char why[256];
	struct lb_intake intakes[ROWS];
	struct lb_resolution asked[ROWS];
};

static void deliver(struct lb_sink *sink, struct told *told)
{
	struct lb_intake *together[ROWS];
	size_t n = 0;

	for (size_t i = 0; i < ROWS; i++) {
		struct lb_intake *intake = &told->intakes[i];
		struct lb_hasher hasher;

		*intake = (struct lb_intake){.id = {.client = {7}, .number = i + 1},
			.attempt = 2,
			.declared = LB_UNKNOWN,
			.name = "row"};
		lb_hasher_init(&hasher);
		lb_hasher_update(&hasher, "text", 4);
		lb_hasher_digest(&hasher, &intake->digest);
		sink->ops->begin(sink, intake);
		if (intake->verdict != LB_VERDICT_UNPROVEN)
			continue;
		lb_intake_decide(intake, sink->ops->write(sink, intake, "text", 4));
		if (intake->reason == LB_REASON_NONE)
			together[n++] = intake;
		else
			sink->ops->rollback(sink, intake);
	}
	sink->ops->commit(sink, together, n);
}

/* All of it; true if something failed. */
static bool deliver_and_ask(const char *path, const struct fault *fault, struct told *told)
{
	struct failing_seen seen;
	struct flaky flaky;
	struct lb_sink *sink;
	bool failed;

	memset(told, 0, sizeof *told);
	flaky_vfs_init(false);
	flaky_vfs.at = fault->database;
	flaky_init(&flaky, fault->disk, -EIO);
	failing_begin(&fault->plan);
	told->r = lb_sink_sqlite_open_on(&flaky.host, "flaky", path, NULL, &sink, told->why);
	if (told->r == 0) {
		deliver(sink, told);
		for (size_t i = 0; i < ROWS; i++) {
			told->asked[i].id = told->intakes[i].id;
			sink->ops->resolve(sink, &told->asked[i]);
		}
		lb_sink_close(sink);
	}
	failing_end(&seen);
	failed = flaky.failed != NULL || flaky_vfs.failed != NULL || seen.name != NULL;
	flaky_vfs_deinit();
	return failed;
}

static bool is_there(sqlite3 *db, uint64_t number)
{
	sqlite3_stmt *row;
	int verdicts, contents;

	assert_int_equal(sqlite3_prepare_v2(db,
				 "SELECT (SELECT count(*) FROM verdicts WHERE number = ?1 AND state = 1),"
				 " (SELECT count(*) FROM deliveries WHERE id LIKE '%:' || ?1)",
				 -1, &row, NULL),
		SQLITE_OK);
	sqlite3_bind_int64(row, 1, (sqlite3_int64)number);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	verdicts = sqlite3_column_int(row, 0);
	contents = sqlite3_column_int(row, 1);
	sqlite3_finalize(row);
	assert_int_equal(verdicts, contents);
	return verdicts == 1;
}

static void make_trigger(const char *path, const char *sql)
{
	struct lb_sink *sink;
	sqlite3 *db;
	char why[256];

	assert_int_equal(lb_sink_sqlite_open(path, NULL, &sink, why), 0);
	lb_sink_close(sink);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Somebody else reads what was said, once nothing fails any more. */
static void compare(const char *path, const struct told *told)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < ROWS; i++) {
		enum lb_verdict first = told->intakes[i].verdict, later = told->asked[i].verdict;
		bool there = is_there(db, i + 1);

		if (first == LB_VERDICT_COMMITTED || later == LB_VERDICT_COMMITTED)
			assert_true(there);
		else if (first != LB_VERDICT_IN_DOUBT || later == LB_VERDICT_ROLLED_BACK)
			assert_false(there);
		assert_false(first == LB_VERDICT_COMMITTED && later == LB_VERDICT_ROLLED_BACK);
	}
	sqlite3_close(db);
}

static bool try(const struct fault *fault)
{
	struct scratch scratch;
	struct told told;
	bool failed;

	scratch_make(&scratch);
	if (fault->trigger != NULL)
		make_trigger(scratch_path(&scratch, "rows.db"), fault->trigger);
	failed = deliver_and_ask(scratch_path(&scratch, "rows.db"), fault, &told);
	if (told.r != 0) {
		assert_true(failed);
		assert_string_not_equal(told.why, "");
	} else {
		compare(scratch_path(&scratch, "rows.db"), &told);
	}
	for (size_t i = 0; i < ROWS && told.r == 0 && !failed; i++)
		assert_int_equal(told.intakes[i].verdict, fault->trigger != NULL && i + 1 == REFUSED
								  ? LB_VERDICT_REFUSED
								  : LB_VERDICT_COMMITTED);
	for (size_t i = 0; i < ROWS; i++)
		free(told.intakes[i].text);
	scratch_remove(&scratch);
	return failed;
}

static void what_is_said_is_there_whichever_call_on_the_disk_fails(void **state)
{
	struct fault fault = {.disk = 1, .plan = {.memory = true}};

	(void)state;
	while (try(&fault))
		fault.disk++;
	assert_true(fault.disk > 2);
}

static void so_it_is_whichever_call_of_the_database_fails(void **state)
{
	struct fault fault = {.database = 1, .plan = {.memory = true}};

	(void)state;
	while (try(&fault))
		fault.database++;
	assert_true(fault.database > 20);
}

static void so_it_is_where_one_row_is_refused_and_the_others_are_not(void **state)
{
	static const char *const triggers[] = {
		"CREATE TRIGGER mine AFTER INSERT ON deliveries WHEN new.id LIKE '%:2' BEGIN SELECT "
		"RAISE(FAIL, ''); END",
		"CREATE TRIGGER mine AFTER INSERT ON deliveries WHEN new.id LIKE '%:2' BEGIN SELECT "
		"RAISE(ROLLBACK, ''); END",
	};

	(void)state;
	for (size_t i = 0; i < sizeof triggers / sizeof *triggers; i++) {
		struct fault fault = {.database = 1, .plan = {.memory = true}, .trigger = triggers[i]};

		while (try(&fault))
			fault.database++;
		fault.database = 0;
		fault.plan.at = 1;
		while (try(&fault))
			fault.plan.at++;
	}
}

static void so_it_is_whichever_allocation_fails(void **state)
{
	struct fault fault = {.plan = {.at = 1, .memory = true}};

	(void)state;
	while (try(&fault))
		fault.plan.at++;
	assert_true(fault.plan.at > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_there_whichever_call_on_the_disk_fails),
		cmocka_unit_test(so_it_is_whichever_call_of_the_database_fails),
		cmocka_unit_test(so_it_is_where_one_row_is_refused_and_the_others_are_not),
		cmocka_unit_test(so_it_is_whichever_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
