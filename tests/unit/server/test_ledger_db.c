/* SPDX-License-Identifier: MIT */
#include "faulty_ledger.h"
#include "server/ledger_db.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define faulty_test(f) cmocka_unit_test_setup_teardown(f, faulty_fixture_make, faulty_fixture_remove)

static int try_commit(struct fixture *fx, uint64_t number)
{
	struct lb_ledger_entry entry = {.receipt = receipt_of(number)};

	return lb_ledger_commit(fx->ledger, &entry, 1);
}

static void what_is_not_a_ledger_is_refused(void **state)
{
	struct fixture *fx = *state;
	const char *path = scratch_path(&fx->scratch, "notes");
	struct lb_ledger *ledger;
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (int i = 0; i < 1000; i++)
		fputs("these are only notes\n", file);
	fclose(file);
	assert_int_equal(lb_ledger_open(lb_host_real(), NULL, path, NULL, &ledger, fx->why), -EIO);
	assert_non_null(strstr(fx->why, "not a database"));
}

static int take_text(void *arg, int n, char **texts, char **names)
{
	(void)n, (void)names;
	snprintf(arg, 32, "%s", texts[0]);
	return 0;
}

static void a_database_of_something_else_is_refused_and_left_as_it_is(void **state)
{
	static const char *const made[] = {
		"CREATE TABLE notes(x)", "CREATE TABLE notes(x); PRAGMA user_version = 2"};
	struct fixture *fx = *state;
	struct lb_ledger *ledger;

	for (int i = 0; i < 2; i++) {
		const char *path = scratch_path(&fx->scratch, i == 0 ? "notes.db" : "more notes.db");
		char mode[32] = "", tables[32] = "";
		sqlite3 *db;

		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, made[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(
			lb_ledger_open(lb_host_real(), NULL, path, NULL, &ledger, fx->why), -ENOTSUP);
		assert_non_null(strstr(fx->why, "something else"));
		assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode", take_text, mode, NULL), SQLITE_OK);
		assert_int_equal(
			sqlite3_exec(db, "SELECT count(*) FROM sqlite_schema", take_text, tables, NULL),
			SQLITE_OK);
		assert_string_equal(mode, "delete");
		assert_string_equal(tables, "1");
		sqlite3_close(db);
	}
}

static void a_missing_directory_is_told(void **state)
{
	struct fixture *fx = *state;
	struct lb_ledger *ledger;

	assert_int_equal(lb_ledger_open(lb_host_real(), NULL, scratch_path(&fx->scratch, "no/where"), NULL,
				 &ledger, fx->why),
		-EACCES);
	assert_non_null(strstr(fx->why, "no/where: its directory does not exist"));
}

static void who_may_not_write_is_told_that(void **state)
{
	static const struct {
		const char *name, *why;
	} cases[] = {{".lastbyte/ledger.db", "may only be read"}, {"another.db", "may not be written in"}};
	struct fixture *fx = *state;
	bool is_root = geteuid() == 0;

	assert_int_equal(chmod(fx->scratch.path, 0555), 0);
	assert_int_equal(chmod(scratch_path(&fx->scratch, ".lastbyte/ledger.db"), 0444), 0);
	assert_true(!is_root || seteuid(65534) == 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lb_ledger *ledger;
		int r = lb_ledger_open(lb_host_real(), NULL, scratch_path(&fx->scratch, cases[i].name), NULL,
			&ledger, fx->why);

		lb_ledger_close(ledger);
		assert_int_equal(r, -EACCES);
		assert_non_null(strstr(fx->why, cases[i].why));
	}
	assert_true(!is_root || seteuid(0) == 0);
	assert_int_equal(chmod(fx->scratch.path, 0755), 0);
}

static int try_open(
	struct fixture *fx, struct lb_host *host, const char *name, const struct lb_ledger_options *options)
{
	struct lb_ledger *ledger;
	int r = lb_ledger_open(host, "faulty", scratch_path(&fx->scratch, name), options, &ledger, fx->why);

	lb_ledger_close(ledger);
	return r;
}

static void a_ledger_of_the_other_kind_of_sink_is_refused(void **state)
{
	const struct lb_ledger_options rows = {.contents = true}, files = {0};
	struct fixture *fx = *state;

	assert_int_equal(try_open(fx, lb_host_real(), ".lastbyte/ledger.db", &rows), -ENOTSUP);
	assert_non_null(strstr(fx->why, "dir:"));
	assert_int_equal(try_open(fx, lb_host_real(), "rows.db", &rows), 0);
	assert_int_equal(try_open(fx, lb_host_real(), "rows.db", &files), -ENOTSUP);
	assert_non_null(strstr(fx->why, "sqlite:"));
	assert_int_equal(try_open(fx, lb_host_real(), "rows.db", &rows), 0);
}

static void what_may_not_be_opened_is_told_from_what_is_broken(void **state)
{
	static const struct {
		int code, error;
	} cases[] = {{SQLITE_CANTOPEN, -EACCES}, {SQLITE_PERM, -EACCES}, {SQLITE_READONLY, -EACCES},
		{SQLITE_FULL, -ENOSPC}, {SQLITE_BUSY, -EBUSY}, {SQLITE_IOERR, -EIO}};
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		faulty_vfs.fail_open = cases[i].code;
		assert_int_equal(try_open(fx, lb_host_real(), "another.db", NULL), cases[i].error);
		assert_non_null(strstr(fx->why, "another.db"));
	}
}

static void a_file_system_without_shared_memory_cannot_hold_it(void **state)
{
	struct fixture *fx = *state;

	faulty_vfs.no_shared_memory = true;
	assert_int_equal(try_open(fx, lb_host_real(), "another.db", NULL), -ENOTSUP);
	assert_non_null(strstr(fx->why, "write-ahead log"));
}

/* Time passes in sleep alone. */
static lb_time time_slept(struct lb_host *host)
{
	(void)host;
	return faulty_vfs.slept * 1000;
}

static struct lb_host *host_that_sleeps(void)
{
	static struct lb_clock_ops clock;
	static struct lb_host host;

	clock = *lb_host_real()->clock;
	clock.now = time_slept;
	host = *lb_host_real();
	host.clock = &clock;
	return &host;
}

static sqlite3 *beside;

static void let_go_after_a_while(void)
{
	if (faulty_vfs.slept > INT64_C(1000000))
		assert_int_equal(sqlite3_exec(beside, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
}

/* Another process reads while it is being made: SQLite does not wait for the other one's end by itself. */
static void who_opens_it_waits_for_others_but_not_for_ever(void **state)
{
	struct fixture *fx = *state;
	struct lb_host *host = host_that_sleeps();

	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, "another.db"), &beside), SQLITE_OK);
	assert_int_equal(sqlite3_exec(beside, "VACUUM; BEGIN; SELECT * FROM sqlite_schema", NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(try_open(fx, host, "another.db", NULL), -EBUSY);
	assert_non_null(strstr(fx->why, "another program"));
	assert_in_range(
		faulty_vfs.slept, INT64_C(1000) * LB_LEDGER_WAIT_MS, INT64_C(2000) * LB_LEDGER_WAIT_MS);
	faulty_vfs.slept = 0;
	faulty_vfs.on_sleep = let_go_after_a_while;
	assert_int_equal(try_open(fx, host, "another.db", NULL), 0);
	assert_in_range(faulty_vfs.slept, INT64_C(1000000), INT64_C(1100000));
	sqlite3_close(beside);
}

static void who_finds_another_one_writing_waits_until_it_has_done(void **state)
{
	struct fixture *fx = *state;

	beside = connect_beside(fx);
	assert_int_equal(sqlite3_exec(beside, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	faulty_vfs.slept = 0;
	faulty_vfs.on_sleep = let_go_after_a_while;
	assert_int_equal(try_commit(fx, 1), 0);
	assert_in_range(faulty_vfs.slept, INT64_C(1000000), INT64_C(1100000));
	sqlite3_close(beside);
}

static int64_t wait_in_vain(struct fixture *fx)
{
	faulty_vfs.slept = 0;
	assert_int_equal(try_commit(fx, 1), -EBUSY);
	return faulty_vfs.slept;
}

static void what_finds_another_one_writing_for_too_long_is_busy_and_the_next_one_soon(void **state)
{
	struct fixture *fx = *state;

	beside = connect_beside(fx);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(sqlite3_exec(beside, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
		assert_in_range(wait_in_vain(fx), 9900000, 10100000);
		for (unsigned more = 0; more < 3; more++)
			assert_in_range(wait_in_vain(fx), 90000, 110000);
		assert_int_equal(looked(fx, 1), LB_LEDGER_UNSEEN);
		assert_int_equal(sqlite3_exec(beside, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(try_commit(fx, 2 + i), 0);
	}
	sqlite3_close(beside);
}

static void on_a_full_disk_no_row_is_inserted_and_it_goes_on(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(try_commit(fx, 1), 0);
	faulty_vfs.fail_log_write = SQLITE_FULL;
	assert_int_equal(try_commit(fx, 2), -ENOSPC);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	assert_int_equal(looked(fx, 2), LB_LEDGER_UNSEEN);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(try_commit(fx, 2), 0);
	assert_int_equal(looked(fx, 2), LB_LEDGER_COMMITTED);
}

static void on_a_full_disk_what_can_do_nothing_without_room_is_not_opened(void **state)
{
	struct fixture *fx = *state;

	faulty_vfs.fail_log_write = SQLITE_FULL;
	assert_int_equal(try_open(fx, lb_host_real(), "another.db", NULL), -ENOSPC);
	assert_non_null(strstr(fx->why, "make room"));
	assert_int_equal(
		try_open(fx, lb_host_real(), "rows.db", &(struct lb_ledger_options){.contents = true}),
		-ENOSPC);
	assert_int_equal(try_open(fx, lb_host_real(), ".lastbyte/ledger.db", NULL), -ENOSPC);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(try_open(fx, lb_host_real(), ".lastbyte/ledger.db", NULL), 0);
}

/* What is durable in the log need not be so elsewhere. */
static void where_the_log_has_room_and_the_database_has_not_it_is_opened(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *other = connect_beside(fx); /* keeps the log */

	assert_int_equal(try_commit(fx, 1), 0);
	faulty_vfs.fail_main_sync = SQLITE_FULL;
	ledger_reopen(fx);
	assert_int_equal(try_commit(fx, 2), 0);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	faulty_vfs.fail_main_sync = 0;
	ledger_reopen(fx);
	assert_int_equal(looked(fx, 2), LB_LEDGER_COMMITTED);
	sqlite3_close(other);
}

/* The record is complete, and its copy up to the end of the sector hits the full disk. */
static void a_full_disk_is_an_error_where_the_record_may_be_complete(void **state)
{
	struct fixture *fx = *state;

	faulty_vfs.characteristics = SQLITE_IOCAP_POWERSAFE_OVERWRITE;
	ledger_reopen(fx);
	faulty_vfs.fail_log_write = SQLITE_FULL;
	assert_int_equal(try_commit(fx, 2), -EIO);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(looked(fx, 2), LB_LEDGER_UNSEEN);
}

static void a_commit_whose_sync_failed_is_decided_by_reading_again(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(try_commit(fx, 2), 0); /* the log has begun */
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	/* the records are in the log, whole, and the checkpoint has made them durable elsewhere */
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	ledger_reopen(fx);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
}

static size_t read_database(struct fixture *fx, char buf[65536])
{
	int fd = open(scratch_path(&fx->scratch, ".lastbyte/ledger.db"), O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, 65536);

	assert_in_range(n, 1, 65535);
	close(fd);
	return (size_t)n;
}

/* What the kernel could not write it forgets, and syncs that follow succeed. */
static void a_log_whose_sync_failed_is_written_again_before_the_database_is_made_of_it(void **state)
{
	static char before[65536], after[65536];
	struct fixture *fx = *state;
	size_t len = read_database(fx, before);

	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	faulty_vfs.fail_log_write = SQLITE_IOERR_WRITE;
	assert_int_equal(try_commit(fx, 2), -EIO);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(read_database(fx, after), len);
	assert_memory_equal(before, after, len);
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
}

static void while_it_cannot_be_opened_anew_every_answer_is_an_error(void **state)
{
	struct fixture *fx = *state;
	struct lb_id id = id_of(1);
	struct lb_receipt receipt;
	enum lb_ledger_state answer;

	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	assert_int_equal(lb_ledger_look(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	faulty_vfs.fail_open = SQLITE_CANTOPEN;
	assert_int_equal(lb_ledger_look(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	assert_int_equal(lb_ledger_fence(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	assert_int_equal(lb_ledger_settle(fx->ledger, &(struct lb_id){.number = 9}), -EIO);
	assert_int_equal(lb_ledger_placed(fx->ledger, &id, "x"), -EIO);
	faulty_vfs.fail_open = faulty_vfs.fail_log_sync = 0;
	assert_int_equal(try_commit(fx, 2), 0);
	assert_int_equal(looked(fx, 2), LB_LEDGER_COMMITTED);
}

/* A row "wal" comes before the change is committed, and that may fail. */
static void a_ledger_without_its_log_is_not_used(void **state)
{
	struct fixture other = {0};
	struct lb_ledger *ledger;

	(void)state;
	scratch_make(&other.scratch);
	assert_int_equal(mkdir(scratch_path(&other.scratch, ".lastbyte"), 0777), 0);
	faulty_vfs.fail_main_sync = SQLITE_IOERR_FSYNC;
	faulty_vfs.syncs_that_fail = 1;
	assert_int_equal(
		lb_ledger_open(lb_host_real(), "faulty", scratch_path(&other.scratch, ".lastbyte/ledger.db"),
			NULL, &ledger, other.why),
		-EIO);
	assert_int_equal(faulty_vfs.fail_main_sync, 0);
	assert_null(ledger);
	scratch_remove(&other.scratch);
}

static size_t read_log(struct fixture *fx, unsigned char *buf, size_t room)
{
	int fd = open(scratch_path(&fx->scratch, ".lastbyte/ledger.db-wal"), O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, room);
	assert_in_range(n, 0, room - 1);
	close(fd);
	return (size_t)n;
}

static void copy_file(const char *from, const char *to)
{
	char command[900];

	snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
	assert_int_equal(system(command), 0);
}

/* A crash may undo the truncation of the log, which is not synced: then the log begins with what was written and
 * synced since, and goes on with the old records. */
static void what_was_absent_after_an_error_stays_absent_after_a_crash(void **state)
{
	struct fixture *fx = *state, crashed = {0};
	static unsigned char before[1 << 20], after[1 << 20];
	sqlite3 *reader =
		connect_beside(fx); /* keeps the index of the log as it was before the failed commit */
	size_t n_before, n_after;
	FILE *log;

	assert_int_equal(try_commit(fx, 2), 0); /* the log has begun */
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	n_before = read_log(fx, before, sizeof before);
	assert_int_equal(looked(fx, 1), LB_LEDGER_UNSEEN);
	n_after = read_log(fx, after, sizeof after);

	scratch_make(&crashed.scratch);
	assert_int_equal(mkdir(scratch_path(&crashed.scratch, ".lastbyte"), 0777), 0);
	copy_file(scratch_path(&fx->scratch, ".lastbyte/ledger.db"),
		scratch_path(&crashed.scratch, ".lastbyte/ledger.db"));
	log = fopen(scratch_path(&crashed.scratch, ".lastbyte/ledger.db-wal"), "w");
	assert_non_null(log);
	assert_true(n_before > n_after);
	assert_int_equal(fwrite(after, 1, n_after, log), n_after);
	assert_int_equal(fwrite(before + n_after, 1, n_before - n_after, log), n_before - n_after);
	fclose(log);
	ledger_open(&crashed);
	assert_int_equal(looked(&crashed, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(looked(&crashed, 2), LB_LEDGER_COMMITTED);
	lb_ledger_close(crashed.ledger);
	scratch_remove(&crashed.scratch);
	sqlite3_close(reader);
}

/* All that was written is there after the crash, or that of these bytes. */
static void crash(struct fixture *fx, struct fixture *crashed, const void *log, size_t len)
{
	FILE *file;

	*crashed = (struct fixture){.vfs = fx->vfs};
	scratch_make(&crashed->scratch);
	assert_int_equal(mkdir(scratch_path(&crashed->scratch, ".lastbyte"), 0777), 0);
	copy_file(scratch_path(&fx->scratch, ".lastbyte/ledger.db"),
		scratch_path(&crashed->scratch, ".lastbyte/ledger.db"));
	file = fopen(scratch_path(&crashed->scratch, ".lastbyte/ledger.db-wal"), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(log, 1, len, file), len);
	fclose(file);
}

static void sleeping_open(struct fixture *fx, struct lb_ledger **ledgerp)
{
	assert_int_equal(lb_ledger_open(host_that_sleeps(), "faulty",
				 scratch_path(&fx->scratch, ".lastbyte/ledger.db"), NULL, ledgerp, fx->why),
		0);
}

static sqlite3 *read_beside(struct fixture *fx)
{
	sqlite3 *db = connect_beside(fx);

	assert_int_equal(sqlite3_exec(db, "BEGIN; SELECT * FROM verdicts", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

/* Then the log cannot be truncated, and goes on behind what is read. */
static void so_it_does_beside_somebody_who_reads_on(void **state)
{
	struct fixture *fx = *state, crashed;
	static unsigned char log[1 << 20];
	sqlite3 *reader;

	lb_ledger_close(fx->ledger);
	sleeping_open(fx, &fx->ledger);
	assert_int_equal(try_commit(fx, 2), 0);
	reader = read_beside(fx);
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	assert_int_equal(looked(fx, 1), LB_LEDGER_UNSEEN);
	crash(fx, &crashed, log, read_log(fx, log, sizeof log));
	ledger_open(&crashed);
	assert_int_equal(looked(&crashed, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(looked(&crashed, 2), LB_LEDGER_COMMITTED);
	lb_ledger_close(crashed.ledger);
	scratch_remove(&crashed.scratch);
	assert_int_equal(try_commit(fx, 1), 0);
	sqlite3_close(reader);
}

/* A crash has taken an opening and left the commit behind it. Then it is opened in that very place, beside a reader. */
static void an_opening_does_not_give_back_what_had_followed_another_one(void **state)
{
	struct fixture *fx = *state, first, second;
	static unsigned char log[1 << 20];
	struct lb_ledger_entry entry = {.receipt = receipt_of(1)};
	sqlite3 *reader = read_beside(fx), *later;
	size_t before, opened, len;
	struct lb_ledger *other;

	before = read_log(fx, log, sizeof log);
	sleeping_open(fx, &other);
	opened = read_log(fx, log, sizeof log);
	assert_true(opened > before);
	assert_int_equal(lb_ledger_commit(other, &entry, 1), 0);
	len = read_log(fx, log, sizeof log);
	memset(log + before, 0, opened - before);
	crash(fx, &first, log, len);
	lb_ledger_close(other);
	sqlite3_close(reader);

	later = read_beside(&first);
	sleeping_open(&first, &first.ledger);
	assert_int_equal(looked(&first, 1), LB_LEDGER_UNSEEN);
	assert_int_equal(read_log(&first, log, sizeof log), len);
	crash(&first, &second, log, len);
	ledger_open(&second);
	assert_int_equal(looked(&second, 1), LB_LEDGER_UNSEEN);
	lb_ledger_close(second.ledger);
	lb_ledger_close(first.ledger);
	sqlite3_close(later);
	scratch_remove(&first.scratch);
	scratch_remove(&second.scratch);
}

/* What reads on holds up nobody else for long: the log is only shorter without it. */
static void who_opens_it_waits_for_no_reader(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *reader;

	assert_int_equal(try_commit(fx, 1), 0);
	reader = read_beside(fx);
	assert_int_equal(try_commit(fx, 2), 0);
	faulty_vfs.slept = 0;
	assert_int_equal(try_open(fx, host_that_sleeps(), ".lastbyte/ledger.db", NULL), 0);
	assert_in_range(faulty_vfs.slept, 90000, 220000);
	sqlite3_close(reader);
}

static void write_database(struct fixture *fx, const char *bytes, size_t len)
{
	int fd = open(scratch_path(&fx->scratch, ".lastbyte/ledger.db"), O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, bytes, len, 0), len);
	close(fd);
}

/* A checkpoint that a reader has stopped has written a part of it, the sync after the rest fails, and the kernel forgets. */
static void a_database_whose_sync_failed_is_written_again_before_the_log_is_shortened(void **state)
{
	struct fixture *fx = *state, crashed;
	static char before[65536];
	sqlite3 *reader;
	size_t len;

	settle(fx, 2);
	reader = read_beside(fx);
	assert_int_equal(try_commit(fx, 2), 0);
	len = read_database(fx, before);
	assert_int_equal(try_open(fx, host_that_sleeps(), ".lastbyte/ledger.db", NULL), 0);
	assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	faulty_vfs.fail_main_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_open(fx, lb_host_real(), ".lastbyte/ledger.db", NULL), -EIO);
	faulty_vfs.fail_main_sync = 0;
	write_database(fx, before, len);
	assert_int_equal(try_open(fx, lb_host_real(), ".lastbyte/ledger.db", NULL), 0);
	crash(fx, &crashed, "", 0);
	ledger_open(&crashed);
	assert_int_equal(looked(&crashed, 1), LB_LEDGER_SETTLED);
	assert_int_equal(looked(&crashed, 2), LB_LEDGER_COMMITTED);
	lb_ledger_close(crashed.ledger);
	scratch_remove(&crashed.scratch);
	sqlite3_close(reader);
}

static void why_the_log_could_not_be_written_anew_is_told(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(try_commit(fx, 1), 0);
	faulty_vfs.fail_log_write = SQLITE_IOERR_WRITE;
	assert_int_equal(try_open(fx, lb_host_real(), ".lastbyte/ledger.db", NULL), -EIO);
	assert_non_null(strstr(fx->why, "disk I/O error"));
}

static void what_cannot_be_opened_anew_is_not_kept_from_others(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *other = connect_beside(fx);

	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	assert_int_equal(sqlite3_exec(other, "UPDATE meta SET uuid = x'00'", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(try_commit(fx, 1), -EIO);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
}

static void another_ledger_in_its_place_is_not_taken_for_it(void **state)
{
	struct fixture *fx = *state;
	struct lb_id id = id_of(1);
	const char *path = scratch_path(&fx->scratch, ".lastbyte/ledger.db");
	struct lb_ledger *other;
	struct lb_receipt receipt;
	enum lb_ledger_state answer;

	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(scratch_path(&fx->scratch, ".lastbyte/ledger.db-wal")), 0);
	assert_int_equal(lb_ledger_look(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(lb_ledger_open(lb_host_real(), NULL, path, NULL, &other, fx->why), 0);
	assert_int_equal(lb_ledger_look(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	assert_int_equal(lb_ledger_look(fx->ledger, &id, &answer, &receipt, NULL), -EIO);
	lb_ledger_close(other);
}

static void the_working_directory_may_change(void **state)
{
	struct fixture *fx = *state;
	int here = open(".", O_RDONLY | O_DIRECTORY);

	assert_true(here >= 0);
	lb_ledger_close(fx->ledger);
	assert_int_equal(chdir(fx->scratch.path), 0);
	assert_int_equal(
		lb_ledger_open(lb_host_real(), "faulty", ".lastbyte/ledger.db", NULL, &fx->ledger, fx->why),
		0);
	assert_int_equal(chdir("/"), 0);
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	assert_int_equal(looked(fx, 1), LB_LEDGER_COMMITTED);
	assert_int_equal(fchdir(here), 0);
	close(here);
}

static void commits_are_synced(void **state)
{
	struct fixture *fx = *state;

	/* synchronous = FULL: a commit that cannot sync the log fails */
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 1), -EIO);
	faulty_vfs.fail_log_sync = 0;
	assert_int_equal(try_commit(fx, 2), 0);
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(try_commit(fx, 3), -EIO);
	faulty_vfs.fail_log_sync = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ledger_test(what_is_not_a_ledger_is_refused),
		ledger_test(a_database_of_something_else_is_refused_and_left_as_it_is),
		ledger_test(a_missing_directory_is_told),
		ledger_test(who_may_not_write_is_told_that),
		faulty_test(a_ledger_of_the_other_kind_of_sink_is_refused),
		faulty_test(what_may_not_be_opened_is_told_from_what_is_broken),
		faulty_test(a_file_system_without_shared_memory_cannot_hold_it),
		faulty_test(who_opens_it_waits_for_others_but_not_for_ever),
		faulty_test(who_finds_another_one_writing_waits_until_it_has_done),
		faulty_test(what_finds_another_one_writing_for_too_long_is_busy_and_the_next_one_soon),
		faulty_test(on_a_full_disk_no_row_is_inserted_and_it_goes_on),
		faulty_test(on_a_full_disk_what_can_do_nothing_without_room_is_not_opened),
		faulty_test(where_the_log_has_room_and_the_database_has_not_it_is_opened),
		faulty_test(a_full_disk_is_an_error_where_the_record_may_be_complete),
		faulty_test(a_commit_whose_sync_failed_is_decided_by_reading_again),
		faulty_test(a_log_whose_sync_failed_is_written_again_before_the_database_is_made_of_it),
		faulty_test(while_it_cannot_be_opened_anew_every_answer_is_an_error),
		faulty_test(a_ledger_without_its_log_is_not_used),
		faulty_test(what_was_absent_after_an_error_stays_absent_after_a_crash),
		faulty_test(so_it_does_beside_somebody_who_reads_on),
		faulty_test(an_opening_does_not_give_back_what_had_followed_another_one),
		faulty_test(who_opens_it_waits_for_no_reader),
		faulty_test(a_database_whose_sync_failed_is_written_again_before_the_log_is_shortened),
		faulty_test(why_the_log_could_not_be_written_anew_is_told),
		faulty_test(what_cannot_be_opened_anew_is_not_kept_from_others),
		faulty_test(another_ledger_in_its_place_is_not_taken_for_it),
		faulty_test(the_working_directory_may_change),
		faulty_test(commits_are_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
