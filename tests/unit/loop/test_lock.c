/* SPDX-License-Identifier: MIT */
/* The locks of the real disk. */
#include "disk_fixture.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

static void a_lock_holds_against_another_fd_of_this_process(void **state)
{
	unsigned flags = LB_OPEN_WRITE | LB_OPEN_CREATE;
	int a = DISK->open(HOST, dir_of(state), "lock", flags),
	    b = DISK->open(HOST, dir_of(state), "lock", flags);
	int c = DISK->open(HOST, dir_of(state), "lock", flags);

	assert_int_equal(DISK->lock(HOST, a, 7, false), 0);
	assert_int_equal(DISK->lock(HOST, a, 7, false), 0);
	assert_int_equal(DISK->lock(HOST, b, 7, false), -EAGAIN);
	assert_int_equal(DISK->lock(HOST, b, 8, false), 0);
	DISK->close(HOST, c); /* not the holder: changes nothing */
	assert_int_equal(DISK->lock(HOST, b, 7, false), -EAGAIN);
	DISK->close(HOST, a);
	assert_int_equal(DISK->lock(HOST, b, 7, false), 0);
	DISK->close(HOST, b);
	assert_int_equal(DISK->lock(HOST, b, 7, false), -EBADF);
}

static void unlock_gives_one_byte_back(void **state)
{
	unsigned flags = LB_OPEN_WRITE | LB_OPEN_CREATE;
	int a = DISK->open(HOST, dir_of(state), "lock", flags),
	    b = DISK->open(HOST, dir_of(state), "lock", flags);

	assert_int_equal(DISK->lock(HOST, a, 0, false), 0);
	assert_int_equal(DISK->lock(HOST, a, UINT64_C(1) << 62, false), 0);
	assert_int_equal(DISK->unlock(HOST, a, 0), 0);
	assert_int_equal(DISK->lock(HOST, b, 0, false), 0);
	assert_int_equal(DISK->lock(HOST, b, UINT64_C(1) << 62, false), -EAGAIN);
	DISK->close(HOST, a);
	DISK->close(HOST, b);
}

/* Whether /proc/locks shows somebody who waits for a lock of this inode. */
static bool somebody_waits(uint64_t inode)
{
	char line[256], wanted[32];
	bool found = false;
	FILE *locks = fopen("/proc/locks", "r");

	assert_non_null(locks);
	snprintf(wanted, sizeof wanted, ":%llu ", (unsigned long long)inode);
	while (fgets(line, sizeof line, locks) != NULL)
		found |= strstr(line, "->") != NULL && strstr(line, wanted) != NULL;
	fclose(locks);
	return found;
}

static void a_lock_can_be_waited_for(void **state)
{
	unsigned flags = LB_OPEN_WRITE | LB_OPEN_CREATE;
	int fd = DISK->open(HOST, dir_of(state), "lock", flags), status;
	int *released =
		mmap(NULL, sizeof *released, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct lb_file_stat st;
	pid_t pid;

	assert_true(released != MAP_FAILED);
	assert_int_equal(DISK->stat(HOST, dir_of(state), "lock", &st), 0);
	assert_int_equal(DISK->lock(HOST, fd, 0, false), 0);
	pid = fork();
	if (pid == 0) {
		fd = DISK->open(HOST, dir_of(state), "lock", flags);
		_exit(DISK->lock(HOST, fd, 0, true) != 0 || !__atomic_load_n(released, __ATOMIC_SEQ_CST));
	}
	/* a child that did not wait is reaped here, and missing below */
	while (!somebody_waits(st.inode) && waitpid(pid, &status, WNOHANG) == 0)
		sched_yield();
	__atomic_store_n(released, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(DISK->unlock(HOST, fd, 0), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(released, sizeof *released);
	DISK->close(HOST, fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(a_lock_holds_against_another_fd_of_this_process),
		IN_PLACE(unlock_gives_one_byte_back),
		IN_PLACE(a_lock_can_be_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
