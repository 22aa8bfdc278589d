/* SPDX-License-Identifier: MIT */
#include "sink_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <lastbyte/server.h>
#include <signal.h>

static void what_is_missing_is_made_and_synced(void **state)
{
	struct fixture *fx = *state;

	fx->logging = true;
	sink_open(fx);
	assert_non_null(strstr(fx->log, "sync lastbyte-test-"));
	assert_non_null(strstr(fx->log, "sync .lastbyte;"));
	assert_non_null(strstr(fx->log, "sync parts;"));
	assert_non_null(strstr(fx->log, "sync inbox;"));
	assert_true(exists(inbox(fx, ".lastbyte/ledger.db")));
}

static void a_path_without_a_slash_or_with_one_at_the_end_is_fine(void **state)
{
	struct fixture *fx = *state;
	int here = open(".", O_RDONLY | O_DIRECTORY);

	assert_int_equal(chdir(fx->scratch.path), 0);
	assert_int_equal(lb_sink_dir_open_on(&fx->host, NULL, "inbox", NULL, &fx->sink, fx->why), 0);
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
	lb_sink_close(fx->sink);
	fx->sink = NULL;
	assert_int_equal(lb_sink_dir_open_on(&fx->host, NULL, "other/", NULL, &fx->sink, fx->why), 0);
	assert_true(exists(scratch_path(&fx->scratch, "other/.lastbyte/ledger.db")));
	assert_int_equal(fchdir(here), 0);
	close(here);
}

static void a_link_to_a_directory_is_one(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(mkdir(scratch_path(&fx->scratch, "elsewhere"), 0777), 0);
	assert_int_equal(symlink("elsewhere", scratch_path(&fx->scratch, "inbox")), 0);
	sink_open(fx);
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
	assert_file(scratch_path(&fx->scratch, "elsewhere/a"), "hello");
}

static void what_is_not_a_directory_is_refused(void **state)
{
	struct fixture *fx = *state;

	put_file(scratch_path(&fx->scratch, "inbox"), "");
	assert_int_equal(sink_try_open(fx), -ENOTDIR);
	assert_null(fx->sink);
	assert_non_null(strstr(fx->why, "inbox is not a directory"));
}

static void a_missing_parent_is_not_made(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(lb_sink_dir_open_on(&fx->host, NULL, scratch_path(&fx->scratch, "no/inbox"), NULL,
				 &fx->sink, fx->why),
		-ENOENT);
	assert_non_null(strstr(fx->why, "the directory above it does not exist"));
	assert_false(exists(scratch_path(&fx->scratch, "no")));
}

/* What a user without the right gets, who in a test may be root. */
static void a_directory_that_cannot_be_written_is_refused(void **state)
{
	struct fixture *fx = *state;

	fail_on(fx, "mkdir", ".lastbyte", -EACCES, 1);
	assert_int_equal(sink_try_open(fx), -EACCES);
	assert_non_null(strstr(fx->why, "cannot write in"));
	assert_non_null(strstr(fx->why, "Permission denied"));
	fail_on(fx, "rename", ".lastbyte-probe", -EACCES, 1);
	assert_int_equal(sink_try_open(fx), -EACCES);
	assert_non_null(strstr(fx->why, "cannot move files into"));
	sink_open(fx);
	assert_false(exists(inbox(fx, ".lastbyte-probe")));
}

static void a_failed_sync_of_any_directory_is_an_error(void **state)
{
	static const char *const names[] = {"parts", ".lastbyte", "inbox"};
	struct fixture *fx = *state;

	for (size_t i = 0; i < 3; i++) {
		fail_on(fx, "sync", names[i], -EIO, 1);
		assert_int_equal(sink_try_open(fx), -EIO);
		assert_non_null(strstr(fx->why, "cannot sync"));
	}
	sink_open(fx);
}

static void a_second_server_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct lb_sink *second;

	sink_open(fx);
	assert_int_equal(lb_sink_dir_open_on(&fx->host, NULL, scratch_path(&fx->scratch, "inbox"), NULL,
				 &second, fx->why),
		-EBUSY);
	assert_null(second);
	assert_non_null(strstr(fx->why, "in use by another server"));
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
	sink_reopen(fx);
}

static void a_second_server_of_another_process_is_refused_too(void **state)
{
	struct fixture *fx = *state;
	int status;
	pid_t pid;

	sink_open(fx);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(-sink_try_open(fx));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EBUSY);
}

static void the_public_calls_use_the_machine_itself(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(lb_sink_dir_open(scratch_path(&fx->scratch, "inbox"), NULL, &fx->sink, fx->why), 0);
	assert_ptr_equal(lb_sink_ledger(fx->sink), &fx->sink->ledger);
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
	lb_sink_close(NULL);
}

static void the_identity_outlives_the_server(void **state)
{
	struct fixture *fx = *state;
	struct lb_uuid uuid;

	sink_open(fx);
	uuid = *lb_sink_ledger(fx->sink);
	sink_reopen(fx);
	assert_memory_equal(lb_sink_ledger(fx->sink), &uuid, sizeof uuid);
}

static void memory_is_not_called_a_disk(void **state)
{
	struct fixture *fx = *state;
	char path[] = "/dev/shm/lastbyte-test-XXXXXX";
	struct scratch memory;
	struct lb_intake intake;

	if (access("/dev/shm", W_OK) != 0 || mkdtemp(path) == NULL)
		skip();
	snprintf(memory.path, sizeof memory.path, "%s", path);
	assert_int_equal(lb_sink_dir_open_on(&fx->host, NULL, path, NULL, &fx->sink, fx->why), 0);
	intake = deliver(fx, 1, "a", "hello");
	assert_answer(intake, COMMITTED, NONE);
	assert_int_equal(intake.receipt.durability, LB_DURABILITY_NONE);
	lb_sink_close(fx->sink);
	fx->sink = NULL;
	scratch_remove(&memory);
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

/* A process that is killed at a point of its choice while it commits deliveries 1 and 2. */
static void kill_at(struct fixture *fx, const char *point)
{
	struct lb_intake a, b, *both[] = {&a, &b};
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (sink_try_open(fx) != 0)
			_exit(1);
		begin_full(fx, &a, 1, "a", "hello");
		begin_full(fx, &b, 2, "b", "world");
		setenv("LASTBYTE_FAULT", point, 1);
		fx->sink->ops->commit(fx->sink, both, 2);
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void killed_before_the_row_nothing_is_left(void **state)
{
	static const char *const points[] = {"commit_begun", "part_synced", "parts_synced"};
	struct fixture *fx = *state;

	for (size_t i = 0; i < 3; i++) {
		kill_at(fx, points[i]);
		assert_int_equal(count_entries(inbox(fx, ".lastbyte/parts")), 2);
		sink_open(fx);
		assert_int_equal(count_entries(inbox(fx, ".lastbyte/parts")), 0);
		assert_int_equal(count_entries(inbox(fx, "")), 1);
		lb_sink_close(fx->sink);
		fx->sink = NULL;
	}
	sink_open(fx);
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
}

static void check_killed_after_the_row(struct fixture *fx, const char *point)
{
	kill_at(fx, point);
	sink_open(fx);
	assert_int_equal(count_entries(inbox(fx, ".lastbyte/parts")), 0);
	assert_int_equal(count_entries(inbox(fx, "")), 3);
	assert_file(inbox(fx, "a"), "hello");
	assert_file(inbox(fx, "b"), "world");
	assert_answer(deliver(fx, 1, "a", "hello"), COMMITTED, NONE);
	assert_answer(resolve(fx, 2), COMMITTED, NONE);
}

static void killed_after_the_row_it_is_placed(void **state)
{
	check_killed_after_the_row(*state, "row_committed");
}

static void killed_while_it_was_placed_the_rest_is_placed(void **state)
{
	check_killed_after_the_row(*state, "renamed");
}

static void killed_after_all_was_placed_nothing_happens_twice(void **state)
{
	check_killed_after_the_row(*state, "inbox_synced");
}

static void recovery_gives_way_to_an_outsiders_file(void **state)
{
	struct fixture *fx = *state;
	struct lb_resolution resolution;

	kill_at(fx, "row_committed");
	put_file(inbox(fx, "a"), "theirs");
	sink_open(fx);
	assert_file(inbox(fx, "a"), "theirs");
	assert_file(inbox(fx, "a~" CLIENT_HEX "-1"), "hello");
	resolution = resolve(fx, 1);
	assert_answer(resolution, COMMITTED, NONE);
	assert_string_equal(resolution.receipt.placed, "a~" CLIENT_HEX "-1");
}

/* The ledger names the other place before the move: a crash in between must not make it name a stranger's file. */
static void recovery_places_where_the_ledger_says(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake a;
	struct lb_resolution resolution;

	sink_open(fx);
	begin_full(fx, &a, 1, "a", "hello");
	put_file(inbox(fx, "a"), "theirs");
	fail_on(fx, "rename", "a~" CLIENT_HEX "-1", -EIO, 1);
	commit(fx, &a);
	assert_answer(a, IN_DOUBT, IO_ERROR);
	assert_int_equal(unlink(inbox(fx, "a")), 0);
	sink_reopen(fx);
	resolution = resolve(fx, 1);
	assert_answer(resolution, COMMITTED, NONE);
	assert_string_equal(resolution.receipt.placed, "a~" CLIENT_HEX "-1");
	assert_file(inbox(fx, resolution.receipt.placed), "hello");
	assert_false(exists(inbox(fx, "a")));
}

static void what_was_fetched_after_the_crash_is_not_placed_again(void **state)
{
	struct fixture *fx = *state;

	kill_at(fx, "inbox_synced");
	assert_int_equal(unlink(inbox(fx, "a")), 0);
	sink_open(fx);
	assert_false(exists(inbox(fx, "a")));
	assert_answer(resolve(fx, 1), COMMITTED, NONE);
}

static void recovery_that_cannot_place_does_not_serve(void **state)
{
	struct fixture *fx = *state;

	kill_at(fx, "row_committed");
	fail_on(fx, "rename", "b", -EIO, 1);
	assert_int_equal(sink_try_open(fx), -EIO);
	assert_non_null(strstr(fx->why, "cannot place a committed delivery in"));
	assert_true(exists(part_path(fx, 2, "b")));
	sink_open(fx);
	assert_file(inbox(fx, "b"), "world");
}

static void recovery_that_cannot_sync_keeps_the_parts_directories(void **state)
{
	struct fixture *fx = *state;

	kill_at(fx, "row_committed");
	fail_on(fx, "sync", "inbox", -EIO, 1);
	assert_int_equal(sink_try_open(fx), -EIO);
	assert_true(exists(part_path(fx, 1, "")));
	sink_open(fx);
	assert_file(inbox(fx, "a"), "hello");
	assert_false(exists(part_path(fx, 1, "")));
}

static void what_is_not_a_part_is_left_alone(void **state)
{
	struct fixture *fx = *state;

	sink_open(fx);
	put_file(inbox(fx, ".lastbyte/parts/notes"), "mine");
	put_file(inbox(fx, ".lastbyte/parts/" CLIENT_HEX "-x"), "mine");
	sink_reopen(fx);
	assert_file(inbox(fx, ".lastbyte/parts/notes"), "mine");
	assert_file(inbox(fx, ".lastbyte/parts/" CLIENT_HEX "-x"), "mine");
}

static void a_failed_open_leaves_no_descriptor(void **state)
{
	struct fixture *fx = *state;
	int before, after;

	sink_open(fx);
	sink_reopen(fx);
	lb_sink_close(fx->sink);
	fx->sink = NULL;
	before = dup(0);
	close(before);
	fail_on(fx, "sync", "inbox", -EIO, 1);
	assert_int_equal(sink_try_open(fx), -EIO);
	fail_on(fx, "open", "lock", -EIO, 1);
	assert_int_equal(sink_try_open(fx), -EIO);
	fail_on(fx, "open", "parts", -EMFILE, 1);
	assert_int_equal(sink_try_open(fx), -EMFILE);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bare_test(what_is_missing_is_made_and_synced),
		bare_test(a_path_without_a_slash_or_with_one_at_the_end_is_fine),
		bare_test(a_link_to_a_directory_is_one),
		bare_test(what_is_not_a_directory_is_refused),
		bare_test(a_missing_parent_is_not_made),
		bare_test(a_directory_that_cannot_be_written_is_refused),
		bare_test(a_failed_sync_of_any_directory_is_an_error),
		bare_test(a_second_server_is_refused),
		bare_test(a_second_server_of_another_process_is_refused_too),
		bare_test(the_public_calls_use_the_machine_itself),
		bare_test(the_identity_outlives_the_server),
		bare_test(memory_is_not_called_a_disk),
		bare_test(killed_before_the_row_nothing_is_left),
		bare_test(killed_after_the_row_it_is_placed),
		bare_test(killed_while_it_was_placed_the_rest_is_placed),
		bare_test(killed_after_all_was_placed_nothing_happens_twice),
		bare_test(recovery_gives_way_to_an_outsiders_file),
		bare_test(recovery_places_where_the_ledger_says),
		bare_test(what_was_fetched_after_the_crash_is_not_placed_again),
		bare_test(recovery_that_cannot_place_does_not_serve),
		bare_test(recovery_that_cannot_sync_keeps_the_parts_directories),
		bare_test(what_is_not_a_part_is_left_alone),
		bare_test(a_failed_open_leaves_no_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
