/* SPDX-License-Identifier: MIT */
/* The real disk, in a directory of its own for each test. */
#include "disk_fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/vfs.h>

static void a_read_is_short_at_the_end_only(void **state)
{
	char buf[16];
	int fd;

	put(dir_of(state), "file", "0123456789");
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_READ);
	assert_int_equal(DISK->read(HOST, fd, buf, 4, 2), 4);
	assert_memory_equal(buf, "2345", 4);
	assert_int_equal(DISK->read(HOST, fd, buf, sizeof buf, 7), 3);
	assert_memory_equal(buf, "789", 3);
	assert_int_equal(DISK->read(HOST, fd, buf, sizeof buf, 10), 0);
	assert_int_equal(DISK->read(HOST, fd, buf, sizeof buf, 1000), 0);
	DISK->close(HOST, fd);
	assert_int_equal(DISK->read(HOST, fd, buf, 1, 0), -EBADF);
}

static void a_write_goes_to_its_offset(void **state)
{
	int fd;

	put(dir_of(state), "file", "0123456789");
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE);
	assert_int_equal(DISK->write(HOST, fd, "xy", 2, 9), 0);
	assert_int_equal(DISK->write(HOST, fd, "ab", 2, 0), 0);
	assert_int_equal(DISK->write(HOST, fd, "", 0, 0), 0);
	assert_int_equal(DISK->write(HOST, fd, "z", 1, UINT64_MAX), -EFBIG);
	DISK->close(HOST, fd);
	assert_holds(dir_of(state), "file", "ab2345678xy");
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_READ);
	assert_int_equal(DISK->write(HOST, fd, "z", 1, 0), -EBADF);
	DISK->close(HOST, fd);
}

static void a_full_disk_is_told(void **state)
{
	int fd = DISK->open(HOST, LB_HERE, "/dev/full", LB_OPEN_WRITE);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(DISK->write(HOST, fd, "z", 1, 0), -ENOSPC);
	assert_int_equal(DISK->append(HOST, fd, "z", 1), -ENOSPC);
	DISK->close(HOST, fd);
}

/* The kernel takes what fits under the limit, 60 of 100 bytes, and only then fails. */
static void a_short_write_is_gone_on_with_until_it_fails(void **state)
{
	struct rlimit before, small;
	struct lb_file_stat st;
	char bytes[100] = {0};
	int fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_NEW), r;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){.rlim_cur = 60, .rlim_max = before.rlim_max};
	setrlimit(RLIMIT_FSIZE, &small);
	r = DISK->write(HOST, fd, bytes, sizeof bytes, 0);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "file", &st), 0);
	assert_int_equal(st.size, 60);
	DISK->close(HOST, fd);
}

static void a_new_file_must_not_exist(void **state)
{
	int fd;

	put(dir_of(state), "file", "old");
	assert_int_equal(DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_NEW), -EEXIST);
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_CREATE);
	assert_true(fd >= 0);
	DISK->close(HOST, fd);
	assert_holds(dir_of(state), "file", "old");
}

static void only_create_makes_a_file(void **state)
{
	int fd;

	assert_int_equal(DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE), -ENOENT);
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_CREATE);
	assert_true(fd >= 0);
	DISK->close(HOST, fd);
	assert_holds(dir_of(state), "file", "");
	assert_int_equal(DISK->open(HOST, dir_of(state), "file", LB_OPEN_DIR), -ENOTDIR);
}

static void a_link_in_a_directory_is_not_followed(void **state)
{
	struct lb_file_stat st;

	put(dir_of(state), "file", "secret");
	assert_int_equal(symlinkat("file", dir_of(state), "link"), 0);
	assert_int_equal(symlinkat(".", dir_of(state), "dirlink"), 0);
	assert_int_equal(DISK->open(HOST, dir_of(state), "link", LB_OPEN_READ), -ELOOP);
	assert_int_equal(DISK->open(HOST, dir_of(state), "link", LB_OPEN_WRITE | LB_OPEN_CREATE), -ELOOP);
	assert_true(DISK->open(HOST, dir_of(state), "dirlink", LB_OPEN_DIR) < 0);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "dirlink", &st), 0);
	assert_false(st.is_dir);
}

static void a_path_of_the_users_may_lead_through_a_link(void **state)
{
	struct place *place = *state;
	char path[96], buf[8];
	int fd;

	put(place->dir, "file", "mine");
	assert_int_equal(symlinkat("file", place->dir, "link"), 0);
	snprintf(path, sizeof path, "%s/link", place->path);
	fd = DISK->open(HOST, LB_HERE, path, LB_OPEN_READ);
	assert_true(fd >= 0);
	assert_int_equal(DISK->read(HOST, fd, buf, sizeof buf, 0), 4);
	DISK->close(HOST, fd);
}

static void descriptors_are_closed_on_exec(void **state)
{
	int fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_CREATE);

	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(dir_of(state), F_GETFD) & FD_CLOEXEC);
	DISK->close(HOST, fd);
}

static void appends_of_two_fds_follow_each_other(void **state)
{
	unsigned flags = LB_OPEN_WRITE | LB_OPEN_CREATE | LB_OPEN_APPEND;
	int a = DISK->open(HOST, dir_of(state), "log", flags),
	    b = DISK->open(HOST, dir_of(state), "log", flags);

	assert_int_equal(DISK->append(HOST, a, "one ", 4), 0);
	assert_int_equal(DISK->append(HOST, b, "two ", 4), 0);
	assert_int_equal(DISK->append(HOST, a, "three", 5), 0);
	DISK->close(HOST, a);
	DISK->close(HOST, b);
	assert_holds(dir_of(state), "log", "one two three");
}

static void truncate_shortens(void **state)
{
	int fd;

	put(dir_of(state), "file", "0123456789");
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE);
	assert_int_equal(DISK->truncate(HOST, fd, 4), 0);
	DISK->close(HOST, fd);
	assert_holds(dir_of(state), "file", "0123");
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_READ);
	assert_int_equal(DISK->truncate(HOST, fd, 0), -EINVAL);
	DISK->close(HOST, fd);
}

static void stat_tells_files_from_directories(void **state)
{
	struct lb_file_stat file, again, dir;

	put(dir_of(state), "file", "12345");
	assert_int_equal(DISK->mkdir(HOST, dir_of(state), "dir", 0777), 0);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "file", &file), 0);
	assert_false(file.is_dir);
	assert_int_equal(file.size, 5);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "dir", &dir), 0);
	assert_true(dir.is_dir);
	assert_int_equal(dir.device, file.device);
	assert_int_not_equal(dir.inode, file.inode);
	assert_int_equal(DISK->rename(HOST, dir_of(state), "file", dir_of(state), "moved", false), 0);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "moved", &again), 0);
	assert_int_equal(again.inode, file.inode);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "none", &file), -ENOENT);
}

static void directories_are_made_and_removed(void **state)
{
	int dir;

	assert_int_equal(DISK->mkdir(HOST, dir_of(state), "dir", 0777), 0);
	assert_int_equal(DISK->mkdir(HOST, dir_of(state), "dir", 0777), -EEXIST);
	dir = DISK->open(HOST, dir_of(state), "dir", LB_OPEN_DIR);
	put(dir, "file", "");
	assert_int_equal(DISK->rmdir(HOST, dir_of(state), "dir"), -ENOTEMPTY);
	assert_int_equal(DISK->unlink(HOST, dir_of(state), "dir"), -EISDIR);
	assert_int_equal(DISK->rmdir(HOST, dir, "file"), -ENOTDIR);
	assert_int_equal(DISK->unlink(HOST, dir, "file"), 0);
	assert_int_equal(DISK->unlink(HOST, dir, "file"), -ENOENT);
	DISK->close(HOST, dir);
	assert_int_equal(DISK->rmdir(HOST, dir_of(state), "dir"), 0);
	assert_int_equal(DISK->rmdir(HOST, dir_of(state), "dir"), -ENOENT);
}

static void a_directory_has_the_mode_that_it_was_given(void **state)
{
	struct stat st;

	assert_int_equal(DISK->mkdir(HOST, dir_of(state), "private", 0700), 0);
	assert_int_equal(fstatat(dir_of(state), "private", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void files_and_directories_are_synced(void **state)
{
	int fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_NEW), pipes[2];

	assert_int_equal(DISK->sync(HOST, fd), 0);
	assert_int_equal(DISK->sync(HOST, dir_of(state)), 0);
	DISK->close(HOST, fd);
	assert_int_equal(DISK->sync(HOST, fd), -EBADF);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(DISK->sync(HOST, pipes[1]), -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
}

struct names {
	int dir, count, stop_after, nested;
	bool a, b, other;
};

static int count_name(void *arg, const char *name)
{
	++*(int *)arg;
	(void)name;
	return 0;
}

static int see_name(void *arg, const char *name)
{
	struct names *names = arg;

	names->count++;
	if (strcmp(name, "a") == 0)
		names->a = true;
	else if (strcmp(name, ".b") == 0)
		names->b = true;
	else
		names->other = true;
	if (names->count == 1)
		assert_int_equal(DISK->list(HOST, names->dir, count_name, &names->nested), 0);
	return names->count == names->stop_after ? 42 : 0;
}

static void list_gives_every_name_and_can_be_nested_and_repeated(void **state)
{
	put(dir_of(state), "a", "");
	assert_int_equal(DISK->mkdir(HOST, dir_of(state), ".b", 0777), 0);
	for (int i = 0; i < 2; i++) {
		struct names names = {.dir = dir_of(state)};

		assert_int_equal(DISK->list(HOST, dir_of(state), see_name, &names), 0);
		assert_int_equal(names.count, 2);
		assert_int_equal(names.nested, 2);
		assert_true(names.a && names.b && !names.other);
	}
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void list_stops_when_told_and_leaves_no_fd(void **state)
{
	struct names names = {.dir = dir_of(state), .stop_after = 1};
	int before = open_fds();

	put(dir_of(state), "a", "");
	put(dir_of(state), ".b", "");
	assert_int_equal(DISK->list(HOST, dir_of(state), see_name, &names), 42);
	assert_int_equal(names.count, 1);
	assert_int_equal(DISK->list(HOST, -1, see_name, &names), -EBADF);
	assert_int_equal(open_fds(), before);
}

static void tmpfs_is_not_durable(void **state)
{
	struct statfs fs;
	int fd;

	(void)state;
	if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		skip();
	fd = DISK->open(HOST, LB_HERE, "/dev/shm", LB_OPEN_DIR);
	assert_false(DISK->durable(HOST, fd));
	DISK->close(HOST, fd);
}

static void a_disk_is_durable_and_a_closed_fd_is_not(void **state)
{
	struct statfs fs;
	int fd;

	assert_int_equal(fstatfs(dir_of(state), &fs), 0);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC)
		skip();
	fd = DISK->open(HOST, dir_of(state), "file", LB_OPEN_WRITE | LB_OPEN_NEW);
	assert_true(DISK->durable(HOST, dir_of(state)));
	assert_true(DISK->durable(HOST, fd));
	DISK->close(HOST, fd);
	assert_false(DISK->durable(HOST, fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_read_is_short_at_the_end_only),
		IN_PLACE(a_write_goes_to_its_offset),
		IN_PLACE(a_full_disk_is_told),
		IN_PLACE(a_short_write_is_gone_on_with_until_it_fails),
		IN_PLACE(a_new_file_must_not_exist),
		IN_PLACE(only_create_makes_a_file),
		IN_PLACE(a_link_in_a_directory_is_not_followed),
		IN_PLACE(a_path_of_the_users_may_lead_through_a_link),
		IN_PLACE(descriptors_are_closed_on_exec),
		IN_PLACE(appends_of_two_fds_follow_each_other),
		IN_PLACE(truncate_shortens),
		IN_PLACE(stat_tells_files_from_directories),
		IN_PLACE(directories_are_made_and_removed),
		IN_PLACE(a_directory_has_the_mode_that_it_was_given),
		IN_PLACE(files_and_directories_are_synced),
		IN_PLACE(list_gives_every_name_and_can_be_nested_and_repeated),
		IN_PLACE(list_stops_when_told_and_leaves_no_fd),
		IN_PLACE(tmpfs_is_not_durable),
		IN_PLACE(a_disk_is_durable_and_a_closed_fd_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
