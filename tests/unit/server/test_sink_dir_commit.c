/* SPDX-License-Identifier: MIT */
#include "faulty_vfs.h"
#include "sink_fixture.h"

static int faulty_make(void **state)
{
	struct fixture *fx;

	faulty_vfs_init();
	bare_make(state);
	fx = *state;
	fx->vfs = "faulty";
	sink_open(fx);
	return 0;
}

static int faulty_remove(void **state)
{
	sink_remove(state);
	faulty_vfs_deinit();
	return 0;
}

#define faulty_test(f) cmocka_unit_test_setup_teardown(f, faulty_make, faulty_remove)

static void a_commit_syncs_in_order(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	fx->logging = true;
	commit(fx, &intake);
	assert_string_equal(fx->log, "sync a;sync " CLIENT_HEX "-1;sync parts;rename a;sync inbox;");
}

static void commits_together_share_the_sync_of_directories(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a, b, *both[] = {&a, &b};

	begin_full(fx, &a, 1, "a", "hello");
	begin_full(fx, &b, 2, "b", "world");
	fx->logging = true;
	fx->sink->ops->commit(fx->sink, both, 2);
	assert_string_equal(fx->log, "sync a;sync " CLIENT_HEX "-1;sync b;sync " CLIENT_HEX
				     "-2;sync parts;rename a;rename b;sync inbox;");
	assert_answer(a, COMMITTED, NONE);
	assert_answer(b, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
	assert_file(inbox(fx, "b"), "world");
}

static void while_somebody_does_not_let_go_of_the_ledger_it_is_busy(void **state)
{
	struct fixture *fx = *state;
	sqlite3 *beside;

	assert_int_equal(sqlite3_open(inbox(fx, ".lastbyte/ledger.db"), &beside), SQLITE_OK);
	assert_int_equal(sqlite3_exec(beside, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_answer(deliver(fx, 1, "a", "hello"), NOT_COMMITTED, BUSY);
	assert_false(exists(inbox(fx, "a")));
	assert_int_equal(sqlite3_exec(beside, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
	sqlite3_close(beside);
}

static void more_than_a_batch_commit_in_one_call(void **state)
{
	enum { N = 300 };
	struct fixture *fx = *state;
	struct lb_intake *all = calloc(N, sizeof *all), *list[N];
	char name[20];

	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof name, "file %u", i);
		begin_full(fx, &all[i], i + 1, name, name);
		list[i] = &all[i];
	}
	fx->sink->ops->commit(fx->sink, list, N);
	for (unsigned i = 0; i < N; i++) {
		assert_answer(all[i], COMMITTED, NONE);
		assert_file(inbox(fx, all[i].name), all[i].name);
	}
	free(all);
}

static void a_part_whose_sync_fails_is_discarded_and_the_others_commit(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a, b, *both[] = {&a, &b};
	struct lb_receipt receipt;

	begin_full(fx, &a, 1, "a", "hello");
	begin_full(fx, &b, 2, "b", "world");
	fail_on(fx, "sync", "a", -EIO, 1);
	fx->sink->ops->commit(fx->sink, both, 2);
	assert_answer(a, NOT_COMMITTED, IO_ERROR);
	assert_answer(b, COMMITTED, NONE);
	assert_false(exists(part_path(fx, 1, "")));
	assert_false(exists(inbox(fx, "a")));
	assert_int_equal(in_ledger(fx, 1, &receipt), LB_LEDGER_UNSEEN);
	a = deliver(fx, 1, "a", "hello");
	assert_answer(a, COMMITTED, NONE);
}

static void a_part_whose_directory_cannot_be_synced_is_discarded(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;
	struct lb_receipt receipt;

	begin_full(fx, &a, 1, "a", "hello");
	fail_on(fx, "sync", CLIENT_HEX "-1", -EIO, 1);
	commit(fx, &a);
	assert_answer(a, NOT_COMMITTED, IO_ERROR);
	assert_int_equal(in_ledger(fx, 1, &receipt), LB_LEDGER_UNSEEN);
}

static void a_full_disk_found_by_the_sync_is_told_as_such(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	fail_on(fx, "sync", "a", -ENOSPC, 1);
	commit(fx, &a);
	assert_answer(a, NOT_COMMITTED, DISK_FULL);
}

/* A later sync would say nothing of the entries that the failed one was to make durable. */
static void after_a_failed_sync_of_the_parts_none_of_that_time_commits(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a, b, c;

	begin_full(fx, &a, 1, "a", "hello");
	begin_full(fx, &b, 2, "b", "world");
	fail_on(fx, "sync", "parts", -EIO, 1);
	commit(fx, &a);
	assert_answer(a, NOT_COMMITTED, IO_ERROR);
	take_in(fx, &b, "!");
	commit(fx, &b);
	assert_answer(b, NOT_COMMITTED, IO_ERROR);
	assert_false(exists(part_path(fx, 2, "")));
	c = deliver(fx, 3, "c", "later");
	assert_answer(c, COMMITTED, NONE);
}

static void a_full_disk_at_the_ledger_commits_nothing_and_it_goes_on(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a, b, *both[] = {&a, &b};

	begin_full(fx, &a, 1, "a", "hello");
	begin_full(fx, &b, 2, "b", "world");
	faulty_vfs.fail_log_write = SQLITE_FULL;
	fx->sink->ops->commit(fx->sink, both, 2);
	assert_answer(a, NOT_COMMITTED, DISK_FULL);
	assert_answer(b, NOT_COMMITTED, DISK_FULL);
	assert_answer(resolve(fx, 3), NOT_COMMITTED, DISK_FULL);
	faulty_vfs.fail_log_write = 0;
	assert_false(exists(part_path(fx, 1, "")));
	a = deliver(fx, 1, "a", "hello");
	assert_answer(a, COMMITTED, NONE);
}

static void a_row_that_is_there_after_an_error_is_placed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	deliver(fx, 9, "z", "the log has begun");
	begin_full(fx, &a, 1, "a", "hello");
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	faulty_vfs.syncs_that_fail = 1;
	commit(fx, &a);
	assert_answer(a, COMMITTED, NONE);
	assert_string_equal(a.receipt.placed, "a");
	assert_file(inbox(fx, "a"), "hello");
}

static void without_a_row_after_an_error_it_has_not_committed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;

	begin_full(fx, &a, 1, "a", "hello");
	faulty_vfs.fail_log_write = SQLITE_IOERR_WRITE;
	faulty_vfs.writes_that_fail = 1;
	commit(fx, &a);
	assert_answer(a, NOT_COMMITTED, IO_ERROR);
	assert_false(exists(part_path(fx, 1, "")));
	assert_false(exists(inbox(fx, "a")));
}

static void what_the_ledger_cannot_tell_stays_in_doubt_until_it_can(void **state)
{
	struct fixture *fx = *state;
	struct lb_resolution resolution;
	struct lb_intake a, again;

	deliver(fx, 9, "z", "the log has begun");
	begin_full(fx, &a, 1, "a", "hello");
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	commit(fx, &a);
	assert_answer(a, IN_DOUBT, IO_ERROR);
	assert_true(exists(part_path(fx, 1, "a")));
	assert_false(exists(inbox(fx, "a")));
	begin(fx, &again, 1, "a");
	assert_answer(again, IN_DOUBT, IO_ERROR);
	assert_answer(resolve(fx, 1), NOT_COMMITTED, IO_ERROR);
	faulty_vfs.fail_log_sync = 0;
	resolution = resolve(fx, 1);
	assert_answer(resolution, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello");
	assert_false(exists(part_path(fx, 1, "")));
}

static void a_committed_delivery_holds_no_descriptor_and_no_name(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;
	int before = dup(0), after;

	assert_true(before >= 0);
	close(before);
	for (unsigned i = 0; i < 3; i++) {
		a = deliver(fx, 1 + i, "a", "hello");
		assert_answer(a, COMMITTED, NONE);
		assert_int_equal(unlink(inbox(fx, "a")), 0);
	}
	begin_full(fx, &a, 8, "a", "hello");
	fail_on(fx, "sync", "a", -EIO, 1);
	commit(fx, &a);
	begin_full(fx, &a, 8, "a", "hello");
	fail_on(fx, "rename", "a", -EIO, 1);
	commit(fx, &a);
	assert_answer(a, IN_DOUBT, IO_ERROR);
	a = deliver(fx, 9, "a", "hello");
	assert_answer(a, COMMITTED, NONE);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void a_planted_bug_commits_without_a_sync_of_the_part(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	lb_test_bug = "early_commit";
	fx->logging = true;
	commit(fx, &intake);
	lb_test_bug = NULL;
	assert_null(strstr(fx->log, "sync a;"));
}

/* Another connection to the ledger inserts it, as a sink does whose lock was lost. */
static void commit_beside(struct fixture *fx, const struct lb_intake *intake)
{
	struct lb_ledger_entry entry = {
		.receipt = {.id = intake->id, .length = intake->received, .committed_at = 1}};
	struct lb_ledger *other;
	struct lb_hasher hasher;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, "hello", 5);
	lb_hasher_digest(&hasher, &entry.receipt.digest);
	strcpy(entry.receipt.name, intake->name);
	strcpy(entry.receipt.placed, intake->name);
	assert_int_equal(
		lb_ledger_open(lb_host_real(), NULL, inbox(fx, ".lastbyte/ledger.db"), NULL, &other, fx->why),
		0);
	assert_int_equal(lb_ledger_commit(other, &entry, 1), 0);
	lb_ledger_close(other);
}

static void a_row_that_is_there_already_decides_and_the_part_goes(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake same, other;

	begin_full(fx, &same, 1, "a", "hello");
	commit_beside(fx, &same);
	commit(fx, &same);
	assert_answer(same, COMMITTED, NONE);
	assert_int_equal(same.receipt.committed_at, 1);
	begin_full(fx, &other, 2, "b", "world");
	commit_beside(fx, &other);
	commit(fx, &other);
	assert_answer(other, REFUSED, DIFFERENT);
	for (uint64_t number = 1; number <= 2; number++)
		assert_false(exists(part_path(fx, number, "")));
	assert_false(exists(inbox(fx, "b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sink_test(a_commit_syncs_in_order),
		sink_test(commits_together_share_the_sync_of_directories),
		sink_test(a_row_that_is_there_already_decides_and_the_part_goes),
		faulty_test(while_somebody_does_not_let_go_of_the_ledger_it_is_busy),
		sink_test(more_than_a_batch_commit_in_one_call),
		sink_test(a_part_whose_sync_fails_is_discarded_and_the_others_commit),
		sink_test(a_part_whose_directory_cannot_be_synced_is_discarded),
		sink_test(a_full_disk_found_by_the_sync_is_told_as_such),
		sink_test(after_a_failed_sync_of_the_parts_none_of_that_time_commits),
		faulty_test(a_full_disk_at_the_ledger_commits_nothing_and_it_goes_on),
		faulty_test(a_row_that_is_there_after_an_error_is_placed),
		faulty_test(without_a_row_after_an_error_it_has_not_committed),
		faulty_test(what_the_ledger_cannot_tell_stays_in_doubt_until_it_can),
		sink_test(a_committed_delivery_holds_no_descriptor_and_no_name),
		sink_test(a_planted_bug_commits_without_a_sync_of_the_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
