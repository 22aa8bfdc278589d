/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "lib/scratch.h"
#include "client/statedir.h"
#include "faulty_disk.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *path_for(const char *xdg, const char *home, const char *path)
{
	static char out[LB_PATH_MAX];
	char why[256];

	if (xdg != NULL)
		setenv("XDG_STATE_HOME", xdg, 1);
	else
		unsetenv("XDG_STATE_HOME");
	if (home != NULL)
		setenv("HOME", home, 1);
	else
		unsetenv("HOME");
	return lb_state_path(path, out, why) == 0 ? out : "none";
}

static void the_default_follows_the_environment(void **state)
{
	(void)state;
	assert_string_equal(path_for("/xdg", "/home/me", NULL), "/xdg/lastbyte");
	assert_string_equal(path_for(NULL, "/home/me", NULL), "/home/me/.local/state/lastbyte");
	assert_string_equal(path_for("", "/home/me", NULL), "/home/me/.local/state/lastbyte");
	assert_string_equal(path_for("relative", "/home/me", NULL), "/home/me/.local/state/lastbyte");
	assert_string_equal(path_for(NULL, NULL, NULL), "none");
	assert_string_equal(path_for("relative", "", NULL), "none");
}

static void a_given_path_is_taken_as_it_is(void **state)
{
	char long_path[LB_PATH_MAX + 1];

	(void)state;
	assert_string_equal(path_for("/xdg", "/home/me", "state"), "state");
	assert_string_equal(path_for(NULL, NULL, "/a/b//"), "/a/b");
	assert_string_equal(path_for(NULL, NULL, "/"), "/");
	assert_string_equal(path_for("/xdg", "/home/me", ""), "none");
	memset(long_path, 'a', sizeof long_path);
	long_path[LB_PATH_MAX] = '\0';
	assert_string_equal(path_for(NULL, NULL, long_path), "none");
}

static void it_is_made_with_its_parents_and_private(void **state)
{
	struct scratch scratch;
	struct faulty machine;
	struct stat st;
	char why[256];
	int fd;

	(void)state;
	scratch_make(&scratch);
	faulty_init(&machine);
	for (int again = 0; again < 2; again++) {
		fd = lb_state_open(&machine.host, scratch_path(&scratch, "a/b/c"), true, why);
		assert_true(fd >= 0);
		close(fd);
	}
	assert_int_equal(stat(scratch_path(&scratch, "a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(scratch_path(&scratch, "a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	scratch_remove(&scratch);
}

static void the_parents_of_a_given_path_are_not_made(void **state)
{
	struct scratch scratch;
	struct faulty machine;
	char why[256];

	(void)state;
	scratch_make(&scratch);
	faulty_init(&machine);
	assert_int_equal(lb_state_open(&machine.host, scratch_path(&scratch, "a/b"), false, why), -ENOENT);
	assert_non_null(strstr(why, "a/b: No such file or directory"));
	assert_int_not_equal(access(scratch_path(&scratch, "a"), F_OK), 0);
	scratch_remove(&scratch);
}

static void every_directory_above_it_is_synced(void **state)
{
	struct scratch scratch;
	struct faulty machine;
	unsigned levels = 1;
	char why[256];
	int fd;

	(void)state;
	scratch_make(&scratch);
	faulty_init(&machine);
	fd = lb_state_open(&machine.host, scratch_path(&scratch, "a//b"), true, why);
	assert_true(fd >= 0);
	close(fd);
	for (const char *s = scratch.path; *s != '\0'; s++)
		levels += *s == '/' && s[1] != '/';
	assert_int_equal(lb_state_sync(&machine.host, scratch_path(&scratch, "a//b"), why), 0);
	assert_int_equal(machine.syncs, levels + 2);
	machine.fail_sync = -EIO;
	assert_int_equal(lb_state_sync(&machine.host, scratch.path, why), -EIO);
	assert_non_null(strstr(why, scratch.path));
	scratch_remove(&scratch);
}

/* A file system where nothing may be made says so of what exists, too. */
static int mkdir_on_a_read_only_disk(struct lb_host *host, int dirfd, const char *name, unsigned mode)
{
	return strstr(name, "/made") != NULL ? lb_disk_real.mkdir(host, dirfd, name, mode) : -EROFS;
}

static void a_parent_that_exists_need_not_be_made(void **state)
{
	struct scratch scratch;
	struct faulty machine;
	char why[256];
	int fd;

	(void)state;
	scratch_make(&scratch);
	faulty_init(&machine);
	machine.disk.mkdir = mkdir_on_a_read_only_disk;
	fd = lb_state_open(&machine.host, scratch_path(&scratch, "made/here"), true, why);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(
		lb_state_open(&machine.host, scratch_path(&scratch, "missing/here"), true, why), -EROFS);
	assert_non_null(strstr(why, "cannot make the state directory"));
	scratch_remove(&scratch);
}

static void a_relative_path_is_synced_up_to_the_working_directory(void **state)
{
	int here = open(".", O_RDONLY | O_DIRECTORY);
	struct scratch scratch;
	struct faulty machine;
	char why[256];

	(void)state;
	scratch_make(&scratch);
	faulty_init(&machine);
	assert_int_equal(chdir(scratch.path), 0);
	assert_int_equal(mkdir("state", 0700), 0);
	assert_int_equal(lb_state_sync(&machine.host, "state", why), 0);
	assert_int_equal(machine.syncs, 2);
	assert_int_equal(fchdir(here), 0);
	close(here);
	scratch_remove(&scratch);
}

static int sync_left;

static int sync_fails_later(struct lb_host *host, int fd)
{
	struct faulty *machine = (struct faulty *)host;

	(void)fd;
	machine->syncs++;
	return sync_left-- > 0 ? 0 : machine->fail_sync;
}

/* What is another user's, or on a disk that nobody writes to, was there before. */
static void above_it_a_directory_that_cannot_be_ours_need_not_be_synced(void **state)
{
	static const int fine[] = {-EACCES, -EPERM, -EROFS, -EINVAL};
	struct scratch scratch;
	struct faulty machine;
	char why[256];

	(void)state;
	scratch_make(&scratch);
	faulty_init(&machine);
	machine.disk.sync = sync_fails_later;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
		machine.fail_sync = fine[i];
		sync_left = 1;
		assert_int_equal(lb_state_sync(&machine.host, scratch.path, why), 0);
		sync_left = 0; /* but itself it must be */
		assert_int_equal(lb_state_sync(&machine.host, scratch.path, why), fine[i]);
	}
	machine.fail_sync = -EIO;
	sync_left = 1;
	assert_int_equal(lb_state_sync(&machine.host, scratch.path, why), -EIO);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_follows_the_environment),
		cmocka_unit_test(a_given_path_is_taken_as_it_is),
		cmocka_unit_test(it_is_made_with_its_parents_and_private),
		cmocka_unit_test(the_parents_of_a_given_path_are_not_made),
		cmocka_unit_test(every_directory_above_it_is_synced),
		cmocka_unit_test(a_parent_that_exists_need_not_be_made),
		cmocka_unit_test(a_relative_path_is_synced_up_to_the_working_directory),
		cmocka_unit_test(above_it_a_directory_that_cannot_be_ours_need_not_be_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
