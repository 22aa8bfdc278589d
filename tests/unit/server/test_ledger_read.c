/* SPDX-License-Identifier: MIT */
#include "base/test.h"
#include "ledger_fixture.h"
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

struct seen {
	struct fixture *fx;
	struct lb_ledger_row rows[300];
	int n, stop_after;
	bool reopen;
};

static int take(void *arg, const struct lb_ledger_row *row)
{
	struct seen *seen = arg;

	if (seen->reopen)
		ledger_reopen(seen->fx);
	assert_in_range(seen->n, 0, 299);
	seen->rows[seen->n++] = *row;
	return seen->n == seen->stop_after ? 42 : 0;
}

static int read_it(struct fixture *fx, struct seen *seen, struct lb_ledger_info *infop)
{
	seen->fx = fx;
	return lb_ledger_read(fx->scratch.path, infop, take, seen, fx->why);
}

static void rows_come_in_the_order_of_commit_while_a_server_uses_it(void **state)
{
	struct fixture *fx = *state;
	struct lb_receipt receipt = receipt_of(9);
	struct seen seen = {0};
	struct lb_ledger_info info;

	committed(fx, 9);
	fenced(fx, 2);
	committed(fx, 5);
	assert_int_equal(read_it(fx, &seen, &info), 0);
	assert_memory_equal(&info.ledger, lb_ledger_uuid(fx->ledger), sizeof info.ledger);
	assert_int_equal(seen.n, 3);
	assert_receipt_equal(&seen.rows[0].receipt, &receipt);
	assert_int_equal(seen.rows[0].verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(seen.rows[1].receipt.id.number, 2);
	assert_int_equal(seen.rows[1].verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(seen.rows[2].receipt.id.number, 5);
	assert_int_equal(committed(fx, 6), LB_LEDGER_UNSEEN);
}

static void it_can_be_read_without_a_server(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {0};
	struct lb_ledger_info info;

	committed(fx, 1);
	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
	assert_int_equal(read_it(fx, &seen, &info), 0);
	assert_int_equal(seen.n, 1);
}

static void all_rows_come_however_many_there_are(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger_entry entries[200] = {0};
	struct seen seen = {0};
	struct lb_ledger_info info;

	for (unsigned i = 0; i < 200; i++)
		entries[i].receipt = receipt_of(200 - i);
	assert_int_equal(lb_ledger_commit(fx->ledger, entries, 200), 0);
	assert_int_equal(read_it(fx, &seen, &info), 0);
	assert_int_equal(seen.n, 200);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(seen.rows[i].receipt.id.number, 200 - i);
}

/* They are none of its rows, and may be much. */
static void replies_are_not_copied(void **state)
{
	enum { N = 16, REPLY = 65536 };
	struct fixture *fx = *state;
	struct seen seen = {0};
	struct lb_ledger_info info;
	sqlite3_int64 before, highest;

	for (unsigned i = 0; i < N; i++) {
		struct lb_ledger_entry entry = {
			.receipt = receipt_of(1 + i), .reply = {calloc(1, REPLY), REPLY}};

		assert_int_equal(lb_ledger_commit(fx->ledger, &entry, 1), 0);
		free(entry.reply.bytes);
	}
	assert_int_equal(sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &before, &highest, 1), SQLITE_OK);
	assert_int_equal(read_it(fx, &seen, &info), 0);
	assert_int_equal(seen.n, N);
	assert_int_equal(
		sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &(sqlite3_int64){0}, &highest, 0), SQLITE_OK);
	assert_in_range(highest - before, 1, N * REPLY / 2);
}

static void the_caller_can_stop(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.stop_after = 2};
	struct lb_ledger_info info;

	for (uint64_t number = 1; number <= 4; number++)
		committed(fx, number);
	assert_int_equal(read_it(fx, &seen, &info), 42);
	assert_int_equal(seen.n, 2);
}

/* Opening truncates the log, which waits for everyone who reads from it. */
static void a_slow_reader_keeps_no_server_from_opening_it(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.reopen = true};
	struct lb_ledger_info info;

	committed(fx, 1);
	committed(fx, 2);
	assert_int_equal(read_it(fx, &seen, &info), 0);
	assert_int_equal(seen.n, 2);
}

static void without_a_ledger_nothing_is_made(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {0};
	struct lb_ledger_info info;

	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
	assert_int_equal(unlink(scratch_path(&fx->scratch, ".lastbyte/ledger.db")), 0);
	assert_int_equal(read_it(fx, &seen, &info), -ENOENT);
	assert_non_null(strstr(fx->why, fx->scratch.path));
	assert_int_equal(rmdir(scratch_path(&fx->scratch, ".lastbyte")), 0); /* so it is empty */
	assert_int_equal(read_it(fx, &seen, &info), -ENOENT);
	assert_int_equal(access(scratch_path(&fx->scratch, ".lastbyte"), F_OK), -1);
}

/* As a user that may read and not write: in a child of its own. */
static int read_as_reader(struct fixture *fx)
{
	const char *control = scratch_path(&fx->scratch, ".lastbyte");
	bool is_root = getuid() == 0;
	int status, err;
	pid_t pid;

	assert_int_equal(chmod(fx->scratch.path, 0755), 0);
	assert_int_equal(chmod(control, 0555), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct seen seen = {0};
		struct lb_ledger_info info;

		if (is_root && seteuid(65534) != 0)
			_exit(100);
		err = read_it(fx, &seen, &info);
		if (is_root && seteuid(0) != 0)
			_exit(100);
		lb_test_flush();
		_exit(err < 0 ? -err : seen.n == 1 ? 0 : 101);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(control, 0755), 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void a_directory_that_cannot_be_written_is_no_hindrance(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
	assert_int_equal(read_as_reader(fx), 0);
	assert_int_equal(rename(fx->scratch.path, strcat(strcpy(fx->why, fx->scratch.path), "%41?#")), 0);
	strcpy(fx->scratch.path, fx->why);
	assert_int_equal(read_as_reader(fx), 0);
}

static void nor_is_a_server_of_another_user(void **state)
{
	struct fixture *fx = *state;

	committed(fx, 1);
	assert_int_equal(read_as_reader(fx), 0);
}

static int read_path(struct fixture *fx, const char *path, struct seen *seen)
{
	struct lb_ledger_info info;

	seen->n = 0;
	return lb_ledger_read(path, &info, take, seen, fx->why);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void a_database_is_its_own_path(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	char path[400];

	committed(fx, 1);
	strcpy(path, scratch_path(&fx->scratch, ".lastbyte/ledger.db"));
	assert_int_equal(read_path(fx, path, &seen), 0);
	assert_int_equal(seen.n, 1);
}

static void what_is_no_ledger_is_told_as_such(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {.fx = fx};
	char path[400];
	sqlite3 *db;

	strcpy(path, scratch_path(&fx->scratch, "notes"));
	write_file(path, "");
	assert_int_equal(read_path(fx, path, &seen), -ENOENT);
	write_file(path,
		"these are only notes, of more than the sixteen bytes that a database has for its kind\n");
	assert_int_equal(read_path(fx, path, &seen), -ENOENT);
	assert_non_null(strstr(fx->why, "it is not a database"));
	strcpy(path, scratch_path(&fx->scratch, "other.db"));
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE deliveries(a)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(read_path(fx, path, &seen), -ENOENT);
	assert_non_null(strstr(fx->why, "there is none yet"));
	strcpy(path, scratch_path(&fx->scratch, "circle"));
	assert_int_equal(symlink("circle", path), 0);
	assert_int_equal(read_path(fx, path, &seen), -ELOOP);
	assert_non_null(strstr(fx->why, "circle"));
}

/* As a server leaves it that was killed, and one that was closed: the file is there, and it has nothing. */
static void a_log_that_may_not_be_read_is_an_error_unless_it_is_empty(void **state)
{
	struct fixture *fx = *state;
	char log[400];

	committed(fx, 1);
	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
	strcpy(log, scratch_path(&fx->scratch, ".lastbyte/ledger.db-wal"));
	write_file(log, "");
	assert_int_equal(read_as_reader(fx), 0);
	write_file(log, "frames that are not in the file of the database");
	assert_int_equal(read_as_reader(fx), EACCES);
}

static void a_newer_ledger_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct seen seen = {0};
	struct lb_ledger_info info;
	char command[400];

	snprintf(command, sizeof command, "%s", scratch_path(&fx->scratch, ".lastbyte/ledger.db"));
	lb_ledger_close(fx->ledger);
	fx->ledger = NULL;
	{
		FILE *file = fopen(command, "r+");

		/* the file format has user_version at byte 60, big-endian */
		assert_non_null(file);
		assert_int_equal(fseek(file, 60, SEEK_SET), 0);
		assert_int_equal(fwrite("\0\0\0\3", 1, 4, file), 4);
		fclose(file);
	}
	assert_int_equal(read_it(fx, &seen, &info), -ENOTSUP);
	assert_non_null(strstr(fx->why, "newer"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(rows_come_in_the_order_of_commit_while_a_server_uses_it),
		ledger_test(it_can_be_read_without_a_server),
		ledger_test(all_rows_come_however_many_there_are),
		ledger_test(replies_are_not_copied),
		ledger_test(the_caller_can_stop),
		ledger_test(a_slow_reader_keeps_no_server_from_opening_it),
		ledger_test(without_a_ledger_nothing_is_made),
		ledger_test(a_directory_that_cannot_be_written_is_no_hindrance),
		ledger_test(nor_is_a_server_of_another_user),
		ledger_test(a_database_is_its_own_path),
		ledger_test(what_is_no_ledger_is_told_as_such),
		ledger_test(a_log_that_may_not_be_read_is_an_error_unless_it_is_empty),
		ledger_test(a_newer_ledger_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
