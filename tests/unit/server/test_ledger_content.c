/* SPDX-License-Identifier: MIT */
#include "ledger_fixture.h"
#include "lib/cmocka.h"
#include "query.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define ROWS           5
#define IS_BAD(column) "substr(" column ", 1, 1) = x'62'"

static int contents_make(void **state)
{
	struct fixture *fx;

	fixture_make(state);
	fx = *state;
	lb_ledger_close(fx->ledger);
	assert_int_equal(unlink(scratch_path(&fx->scratch, ".lastbyte/ledger.db")), 0);
	fx->options.contents = true;
	ledger_open(fx);
	return 0;
}

static void execute(struct fixture *fx, const char *sql)
{
	sqlite3 *db = connect_beside(fx);

	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int read_number(struct fixture *fx, const char *sql)
{
	return query_number(connect_beside(fx), sql);
}

static struct lb_ledger_entry entry_of(uint64_t number, const char *content)
{
	struct lb_ledger_entry entry = {.receipt = receipt_of(number), .content = content};

	entry.receipt.length = strlen(content);
	return entry;
}

static enum lb_ledger_state put(struct fixture *fx, uint64_t number, const char *content)
{
	struct lb_ledger_entry entry = entry_of(number, content);

	assert_int_equal(lb_ledger_commit(fx->ledger, &entry, 1), 0);
	free(entry.text);
	return entry.state;
}

/* Numbers 1 to ROWS together, of which the second and the fourth are not to come. */
static void put_together(struct fixture *fx, enum lb_ledger_state refused, const char *text)
{
	static const char *const contents[ROWS] = {"{}", "bad", "[]", "bad, too", "0"};
	struct lb_ledger_entry entries[ROWS];

	for (unsigned i = 0; i < ROWS; i++)
		entries[i] = entry_of(i + 1, contents[i]);
	assert_int_equal(lb_ledger_commit(fx->ledger, entries, ROWS), 0);
	for (unsigned i = 0; i < ROWS; i++) {
		assert_int_equal(entries[i].state, i % 2 == 0 ? LB_LEDGER_UNSEEN : refused);
		assert_int_equal(looked(fx, i + 1), i % 2 == 0 ? LB_LEDGER_COMMITTED : LB_LEDGER_UNSEEN);
		if (i % 2 == 1)
			assert_string_equal(entries[i].text, text);
		free(entries[i].text);
	}
	assert_int_equal(read_number(fx, "SELECT count(*) FROM deliveries WHERE sequence > 0"), 3);
	assert_int_equal(
		read_number(fx, "SELECT count(*) FROM deliveries WHERE sequence > 0 AND " IS_BAD("content")),
		0);
}

static void a_row_that_an_index_does_not_let_in_is_refused_alone(void **state)
{
	struct fixture *fx = *state;

	execute(fx, "CREATE UNIQUE INDEX one_kind ON deliveries(substr(content, 1, 1))");
	execute(fx, "INSERT INTO deliveries VALUES(-1, '', '', CAST('b' AS BLOB), 1, '', 0)");
	put_together(fx, LB_LEDGER_REJECTED, "UNIQUE constraint failed: index 'one_kind'");
	execute(fx, "DELETE FROM deliveries");
	assert_int_equal(put(fx, 2, "bad"), LB_LEDGER_UNSEEN);
}

/* Whatever a trigger has done to other tables by then goes with the row, and what it ends is begun again. */
static void a_row_that_a_trigger_does_not_let_in_is_refused_alone_however_it_says_so(void **state)
{
	static const struct {
		const char *when, *raise, *text;
	} cases[] = {
		{"BEFORE", "ABORT, 'not this'", "not this"},
		{"AFTER", "ABORT, 'not this'", "not this"},
		{"BEFORE", "FAIL, 'not this'", "not this"},
		{"AFTER", "FAIL, 'not this'", "not this"},
		{"BEFORE", "ROLLBACK, 'not this'", "not this"},
		{"AFTER", "ROLLBACK, 'not this'", "not this"},
		{"BEFORE", "IGNORE", "a trigger has left it out"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture *fx;
		char sql[400];

		contents_make(state);
		fx = *state;
		snprintf(sql, sizeof sql,
			"CREATE TABLE seen(id TEXT); CREATE TRIGGER mine %s INSERT ON deliveries BEGIN "
			"INSERT INTO seen VALUES(new.id);"
			" SELECT RAISE(%s) WHERE " IS_BAD("new.content") "; END",
			cases[i].when, cases[i].raise);
		execute(fx, sql);
		put_together(fx, LB_LEDGER_REJECTED, cases[i].text);
		assert_int_equal(read_number(fx, "SELECT count(*) FROM seen"), 3);
		execute(fx, "DROP TRIGGER mine");
		assert_int_equal(put(fx, 2, "bad"), LB_LEDGER_UNSEEN);
		fixture_remove(state);
	}
}

static void a_row_on_which_an_expression_fails_is_not_committed_and_the_others_are(void **state)
{
	struct fixture *fx = *state;

	execute(fx, "CREATE INDEX of_json ON deliveries(json_extract(CAST(content AS TEXT), '$.x'))");
	put_together(fx, LB_LEDGER_FAILED, "malformed JSON");
	execute(fx, "DROP INDEX of_json");
	assert_int_equal(put(fx, 2, "bad"), LB_LEDGER_UNSEEN);
}

static void without_the_table_nothing_commits_and_with_it_all_may_come_again(void **state)
{
	struct fixture *fx = *state;

	execute(fx, "ALTER TABLE deliveries RENAME TO elsewhere");
	assert_int_equal(put(fx, 1, "text"), LB_LEDGER_FAILED);
	execute(fx, "ALTER TABLE elsewhere RENAME TO deliveries");
	assert_int_equal(put(fx, 1, "text"), LB_LEDGER_UNSEEN);
}

static void of_one_id_twice_in_a_batch_the_one_that_is_not_refused_brings_its_own_content(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry entries[] = {
		entry_of(1, "as long as that is, it is gone"), entry_of(1, "short"), entry_of(2, "bad")};

	execute(fx, "CREATE TRIGGER mine AFTER INSERT ON deliveries BEGIN"
		    " SELECT RAISE(FAIL, 'bad') WHERE " IS_BAD(
			    "new.content") ";"
					   " SELECT RAISE(ABORT, 'long') WHERE new.length > 9; END");
	assert_int_equal(lb_ledger_commit(fx->ledger, entries, 3), 0);
	assert_int_equal(entries[0].state, LB_LEDGER_REJECTED);
	assert_int_equal(entries[1].state, LB_LEDGER_UNSEEN);
	assert_int_equal(entries[2].state, LB_LEDGER_REJECTED);
	assert_int_equal(
		read_number(fx, "SELECT count(*) FROM deliveries WHERE content = CAST('short' AS BLOB)"), 1);
	free(entries[0].text);
	free(entries[2].text);
}

/* Nobody is to have one there. But what is not in the ledger is not said to be. */
static void without_its_row_in_the_ledger_nothing_is_committed(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry entry = entry_of(1, "text");
	struct lb_id id = id_of(2);
	struct lb_receipt receipt;
	enum lb_ledger_state answer;

	execute(fx, "CREATE TRIGGER mine BEFORE INSERT ON verdicts BEGIN SELECT RAISE(IGNORE); END");
	assert_int_equal(lb_ledger_commit(fx->ledger, &entry, 1), -EIO);
	assert_int_equal(lb_ledger_fence(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	execute(fx, "DROP TRIGGER mine");
	assert_int_equal(put(fx, 1, "text"), LB_LEDGER_UNSEEN);
}

static void a_number_that_is_taken_is_passed_over(void **state)
{
	struct fixture *fx = *state;

	execute(fx, "INSERT INTO deliveries VALUES(1, '', '', x'', 0, '', 0)");
	assert_int_equal(put(fx, 1, "text"), LB_LEDGER_REJECTED);
	assert_int_equal(put(fx, 1, "text"), LB_LEDGER_UNSEEN);
	assert_int_equal(read_number(fx, "SELECT max(sequence) FROM deliveries"), 2);
}

#define contents_test(f) cmocka_unit_test_setup_teardown(f, contents_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		contents_test(a_row_that_an_index_does_not_let_in_is_refused_alone),
		cmocka_unit_test(a_row_that_a_trigger_does_not_let_in_is_refused_alone_however_it_says_so),
		contents_test(a_row_on_which_an_expression_fails_is_not_committed_and_the_others_are),
		contents_test(without_the_table_nothing_commits_and_with_it_all_may_come_again),
		contents_test(of_one_id_twice_in_a_batch_the_one_that_is_not_refused_brings_its_own_content),
		contents_test(without_its_row_in_the_ledger_nothing_is_committed),
		contents_test(a_number_that_is_taken_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
