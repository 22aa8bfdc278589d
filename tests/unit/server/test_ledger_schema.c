/* SPDX-License-Identifier: MIT */
#include "flaky_vfs.h"
#include "ledger_fixture.h"
#include <errno.h>

static void a_new_ledger_has_a_random_identity_and_keeps_it(void **state)
{
	struct fixture *fx = *state, other = {0};
	struct lb_uuid uuid = *lb_ledger_uuid(fx->ledger);

	assert_int_equal(uuid.bytes[6] >> 4, 4);
	assert_int_equal(uuid.bytes[8] >> 6, 2);
	ledger_reopen(fx);
	assert_memory_equal(lb_ledger_uuid(fx->ledger), &uuid, sizeof uuid);
	scratch_make(&other.scratch);
	assert_int_equal(mkdir(scratch_path(&other.scratch, ".lastbyte"), 0777), 0);
	ledger_open(&other);
	assert_memory_not_equal(lb_ledger_uuid(other.ledger), &uuid, sizeof uuid);
	lb_ledger_close(other.ledger);
	scratch_remove(&other.scratch);
}

static void a_ledger_of_a_newer_version_is_refused(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *db = connect_beside(fx);
	struct lb_ledger *ledger;

	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 3", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(lb_ledger_open(lb_host_real(), NULL,
				 scratch_path(&fx->scratch, ".lastbyte/ledger.db"), NULL, &ledger, fx->why),
		-ENOTSUP);
	assert_null(ledger);
	assert_non_null(strstr(fx->why, "newer version"));
}

/* As the first version made it, with one commit, one fence and a client that has settled. */
static const char version_1[] =
	"CREATE TABLE meta(uuid BLOB NOT NULL, openings INTEGER NOT NULL) STRICT;"
	"CREATE TABLE clients(client BLOB PRIMARY KEY, settled INTEGER NOT NULL, floor INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE deliveries(client BLOB NOT NULL, number INTEGER NOT NULL, sequence INTEGER NOT NULL,"
	" state INTEGER NOT NULL, name TEXT, placed TEXT, length INTEGER, digest BLOB,"
	" committed_at INTEGER NOT NULL, durability INTEGER, PRIMARY KEY(client, number)) STRICT, WITHOUT "
	"ROWID;"
	"CREATE UNIQUE INDEX deliveries_in_order ON deliveries(sequence);"
	"PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
	"INSERT INTO meta VALUES(x'00112233445546778899aabbccddeeff', 3);"
	"INSERT INTO clients VALUES(x'c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1', 2000, 976);"
	"INSERT INTO deliveries VALUES(x'c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1', 1999, 7, 1, 'file 1999', 'file "
	"1999',"
	" 2999, x'cfcfcfcfcfcfcfcfcfcfcfcfcfcfcfcf', 1700000000123458788, 1);"
	"INSERT INTO deliveries VALUES(x'c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1', 2001, 4, 2, NULL, NULL, NULL, "
	"NULL,"
	" 1700000000000000000, NULL);";

static void become_version_1(struct fixture *fx)
{
	const char *path = scratch_path(&fx->scratch, ".lastbyte/ledger.db");
	sqlite3 *db;

	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
	assert_int_equal(remove(path), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, version_1, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_is_what_version_1_was(struct fixture *fx)
{
	const struct lb_uuid uuid = {{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xaa, 0xbb,
		0xcc, 0xdd, 0xee, 0xff}};
	struct lb_receipt wanted = receipt_of(1999), stored;
	enum lb_ledger_state answer;

	assert_memory_equal(lb_ledger_uuid(fx->ledger), &uuid, sizeof uuid);
	assert_int_equal(lb_ledger_look(fx->ledger, &wanted.id, &answer, &stored, NULL), 0);
	assert_int_equal(answer, LB_LEDGER_COMMITTED);
	assert_receipt_equal(&stored, &wanted);
	assert_int_equal(looked(fx, 975), LB_LEDGER_FORGOTTEN);
	assert_int_equal(looked(fx, 976), LB_LEDGER_SETTLED);
	assert_int_equal(looked(fx, 2001), LB_LEDGER_FENCED);
	assert_int_equal(looked(fx, 2000), LB_LEDGER_UNSEEN);
}

static void one_of_the_first_version_is_brought_up_to_date_and_says_the_same(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_part part = {
		.id = id_of(2002), .attempt = 1, .declared = 5, .offset = 3, .name = "part"};
	enum lb_ledger_state answer;

	become_version_1(fx);
	ledger_open(fx);
	assert_is_what_version_1_was(fx);
	assert_int_equal(lb_ledger_part_put(fx->ledger, &part, &answer), 0);
	ledger_reopen(fx);
	assert_is_what_version_1_was(fx);
	assert_int_equal(committed(fx, 2000), LB_LEDGER_UNSEEN);
	assert_int_equal(committed(fx, 2001), LB_LEDGER_FENCED);
}

/* Whether a call on its files has failed, of which `at` says which. */
static bool is_brought_up_to_date_or_as_it_was(int at)
{
	struct fixture *fx;
	bool failed;
	void *state;
	int r;

	fixture_make(&state);
	fx = state;
	become_version_1(fx);
	flaky_vfs_init(false);
	flaky_vfs.at = at;
	r = lb_ledger_open(lb_host_real(), "flaky", scratch_path(&fx->scratch, ".lastbyte/ledger.db"), NULL,
		&fx->ledger, fx->why);
	assert_true(r == 0 || fx->ledger == NULL);
	assert_true(r == 0 || fx->why[0] != '\0');
	lb_ledger_close(fx->ledger);
	failed = flaky_vfs.failed != NULL;
	flaky_vfs_deinit();
	assert_true(r == 0 || failed);
	ledger_open(fx);
	assert_is_what_version_1_was(fx);
	fixture_remove(&state);
	return failed;
}

static void whichever_call_fails_it_is_brought_up_to_date_as_a_whole(void **state)
{
	int at = 1;

	(void)state;
	while (is_brought_up_to_date_or_as_it_was(at))
		at++;
	assert_true(at > 30);
}

static int take_number(void *arg, const struct lb_ledger_row *row)
{
	uint64_t **nextp = arg;

	*(*nextp)++ = row->receipt.id.number;
	return 0;
}

static void rows_that_follow_an_upgrade_come_after_those_before_it(void **state)
{
	struct fixture *fx = *state;
	uint64_t numbers[4] = {0}, *next = numbers;
	struct lb_ledger_info info;

	become_version_1(fx);
	ledger_open(fx);
	committed(fx, 2000);
	assert_int_equal(lb_ledger_read(fx->scratch.path, &info, take_number, &next, fx->why), 0);
	assert_ptr_equal(next, numbers + 3);
	assert_int_equal(numbers[0], 2001);
	assert_int_equal(numbers[1], 1999);
	assert_int_equal(numbers[2], 2000);
	assert_int_equal(info.keep_receipts, LB_LEDGER_KEEP);
}

static void a_reader_says_of_an_older_one_who_brings_it_up_to_date(void **state)
{
	struct fixture *fx = *state;
	uint64_t numbers[4], *next = numbers;
	struct lb_ledger_info info;

	become_version_1(fx);
	assert_int_equal(lb_ledger_read(fx->scratch.path, &info, take_number, &next, fx->why), -ENOTSUP);
	assert_non_null(strstr(fx->why, "start of a server"));
	ledger_open(fx);
	assert_is_what_version_1_was(fx);
}

/* The table's old index is gone and its new column is not there: as if it had stopped in between. */
static void an_upgrade_that_fails_changes_nothing(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *db;

	become_version_1(fx);
	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, ".lastbyte/ledger.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE verdicts(in_the_way)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(
		lb_ledger_open(lb_host_real(), NULL, scratch_path(&fx->scratch, ".lastbyte/ledger.db"), NULL,
			&fx->ledger, fx->why),
		-EIO);
	assert_null(fx->ledger);
	assert_int_equal(sqlite3_exec(db, "DROP TABLE verdicts", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	ledger_open(fx);
	assert_is_what_version_1_was(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(a_new_ledger_has_a_random_identity_and_keeps_it),
		ledger_test(a_ledger_of_a_newer_version_is_refused),
		ledger_test(one_of_the_first_version_is_brought_up_to_date_and_says_the_same),
		cmocka_unit_test(whichever_call_fails_it_is_brought_up_to_date_as_a_whole),
		ledger_test(rows_that_follow_an_upgrade_come_after_those_before_it),
		ledger_test(a_reader_says_of_an_older_one_who_brings_it_up_to_date),
		ledger_test(an_upgrade_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
