/* SPDX-License-Identifier: MIT */
/* Renaming with and without replacing, also where the kernel or the file system lacks RENAME_NOREPLACE. */
#include "disk_fixture.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void rename_replaces_when_told(void **state)
{
	put(dir_of(state), "a", "new");
	put(dir_of(state), "b", "old");
	assert_int_equal(DISK->rename(HOST, dir_of(state), "a", dir_of(state), "b", true), 0);
	assert_absent(dir_of(state), "a");
	assert_holds(dir_of(state), "b", "new");
	assert_int_equal(DISK->rename(HOST, dir_of(state), "a", dir_of(state), "b", true), -ENOENT);
}

/* What rename without `replace` promises, whatever the file system can do. */
static void check_no_replace(int dir)
{
	int sub;

	put(dir, "a", "new");
	put(dir, "b", "old");
	assert_int_equal(linkat(dir, "a", dir, "a's other name", 0), 0);
	assert_int_equal(symlinkat("nowhere", dir, "dangling"), 0);
	assert_int_equal(DISK->rename(HOST, dir, "a", dir, "b", false), -EEXIST);
	assert_int_equal(DISK->rename(HOST, dir, "a", dir, "dangling", false), -EEXIST);
	assert_int_equal(DISK->rename(HOST, dir, "none", dir, "c", false), -ENOENT);
	assert_holds(dir, "a", "new");
	assert_holds(dir, "b", "old");
	assert_absent(dir, "nowhere");
	assert_absent(dir, "c");
	assert_int_equal(DISK->mkdir(HOST, dir, "sub", 0777), 0);
	sub = DISK->open(HOST, dir, "sub", LB_OPEN_DIR);
	assert_int_equal(DISK->rename(HOST, dir, "a", sub, "a", false), 0);
	assert_absent(dir, "a");
	assert_holds(sub, "a", "new");
	DISK->close(HOST, sub);
}

static void rename_without_replace_never_overwrites(void **state)
{
	check_no_replace(dir_of(state));
}

/* In this process from now on, renameat2(2) is as on a file system (EINVAL) or a kernel (ENOSYS) without it. */
static void take_renameat2_away(int err)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* A crash came after link(2) and before unlink(2): both names are there. */
static void check_rename_is_finished(int dir)
{
	put(dir, "part", "whole");
	assert_int_equal(linkat(dir, "part", dir, "placed", 0), 0);
	assert_int_equal(DISK->rename(HOST, dir, "part", dir, "placed", false), 0);
	assert_absent(dir, "part");
	assert_holds(dir, "placed", "whole");
}

static void check_itself_is_kept(int dir)
{
	put(dir, "same", "kept");
	assert_int_equal(DISK->rename(HOST, dir, "same", dir, "same", false), -EEXIST);
	assert_holds(dir, "same", "kept");
}

static void in_child_without_renameat2(int dir, int err, void (*check)(int dir))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		take_renameat2_away(err);
		check(dir);
		_exit(0); /* a failed assertion ends a child of cmocka with another code */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void rename_never_overwrites_where_the_file_system_cannot_promise_it(void **state)
{
	in_child_without_renameat2(dir_of(state), EINVAL, check_no_replace);
}

static void rename_never_overwrites_where_the_kernel_cannot_promise_it(void **state)
{
	in_child_without_renameat2(dir_of(state), ENOSYS, check_no_replace);
}

static void a_rename_by_two_links_is_finished_after_a_crash(void **state)
{
	in_child_without_renameat2(dir_of(state), EINVAL, check_rename_is_finished);
}

static void a_rename_to_its_own_name_loses_nothing(void **state)
{
	check_itself_is_kept(dir_of(state));
	assert_int_equal(DISK->unlink(HOST, dir_of(state), "same"), 0);
	in_child_without_renameat2(dir_of(state), EINVAL, check_itself_is_kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(rename_replaces_when_told),
		IN_PLACE(rename_without_replace_never_overwrites),
		IN_PLACE(rename_never_overwrites_where_the_file_system_cannot_promise_it),
		IN_PLACE(rename_never_overwrites_where_the_kernel_cannot_promise_it),
		IN_PLACE(a_rename_by_two_links_is_finished_after_a_crash),
		IN_PLACE(a_rename_to_its_own_name_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
