/* SPDX-License-Identifier: MIT */
/* The real machine without a network, whose disk fails when it is told to. */
#ifndef CLIENT_FAULTY_DISK_H
#define CLIENT_FAULTY_DISK_H

#include "loop/real.h"
#include <errno.h>
#include <sys/random.h>

struct faulty {
	struct lb_host     host; /* first: the tables' functions cast it back */
	struct lb_disk_ops disk;
	int      fail_append, fail_sync, fail_rename, fail_lock; /* -errno for every such call; 0: none */
	unsigned good_appends, good_locks; /* that fail_append and fail_lock leave alone */
	unsigned syncs, appends;
};

static inline void faulty_random(struct lb_host *host, void *buf, size_t len)
{
	(void)host;
	assert_int_equal(getrandom(buf, len, 0), len);
}

static inline lb_time faulty_now(struct lb_host *host)
{
	(void)host;
	return lb_now();
}

/* A disk that fills up has taken the first half. */
static inline int faulty_append(struct lb_host *host, int fd, const void *buf, size_t len)
{
	struct faulty *faulty = (struct faulty *)host;

	faulty->appends++;
	if (faulty->fail_append == 0 || faulty->good_appends > 0) {
		faulty->good_appends -= faulty->fail_append != 0;
		return lb_disk_real.append(host, fd, buf, len);
	}
	assert_int_equal(lb_disk_real.append(host, fd, buf, len / 2), 0);
	return faulty->fail_append;
}

static inline int faulty_sync(struct lb_host *host, int fd)
{
	struct faulty *faulty = (struct faulty *)host;

	(void)fd;
	faulty->syncs++;
	return faulty->fail_sync; /* nobody pulls the plug, and a busy disk takes its time */
}

static inline int faulty_rename(
	struct lb_host *host, int dirfd, const char *name, int new_dirfd, const char *new_name, bool replace)
{
	struct faulty *faulty = (struct faulty *)host;

	return faulty->fail_rename != 0
		       ? faulty->fail_rename
		       : lb_disk_real.rename(host, dirfd, name, new_dirfd, new_name, replace);
}

static inline int faulty_lock(struct lb_host *host, int fd, uint64_t byte, bool wait)
{
	struct faulty *faulty = (struct faulty *)host;

	if (faulty->fail_lock == 0 || faulty->good_locks > 0) {
		faulty->good_locks -= faulty->fail_lock != 0;
		return lb_disk_real.lock(host, fd, byte, wait);
	}
	return faulty->fail_lock;
}

static inline void faulty_init(struct faulty *faulty)
{
	static const struct lb_clock_ops clock = {.now = faulty_now, .random = faulty_random};

	*faulty = (struct faulty){.host = {.clock = &clock, .disk = &faulty->disk}, .disk = lb_disk_real};
	faulty->disk.append = faulty_append;
	faulty->disk.sync   = faulty_sync;
	faulty->disk.rename = faulty_rename;
	faulty->disk.lock   = faulty_lock;
}

#endif
