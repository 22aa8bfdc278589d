/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "lib/scratch.h"
#include "client/statedir.h"
#include "faulty_disk.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_default_follows_the_environment),
		cmocka_unit_test(a_given_path_is_taken_as_it_is),
		cmocka_unit_test(it_is_made_with_its_parents_and_private),
		cmocka_unit_test(the_parents_of_a_given_path_are_not_made),
		cmocka_unit_test(every_directory_above_it_is_synced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
