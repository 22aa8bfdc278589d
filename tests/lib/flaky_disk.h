/* SPDX-License-Identifier: MIT */
/* The real machine without a network, one of whose calls on the disk fails: the one that its place among all of them says. */
#ifndef LIB_FLAKY_DISK_H
#define LIB_FLAKY_DISK_H

#include "lib/cmocka.h"
#include "loop/real.h"
#include <errno.h>

struct flaky {
	struct lb_host     host; /* first: the tables' functions cast it back */
	struct lb_disk_ops disk;
	int                at, error; /* which call fails, from 1, and with what (-errno); 0: none does */
	int                calls;     /* so far */
	const char        *failed;    /* its name; NULL: none has */
};

static inline int flaky_fails(struct lb_host *host, const char *name)
{
	struct flaky *flaky = (struct flaky *)host;

	if (++flaky->calls != flaky->at)
		return 0;
	flaky->failed = name;
	return flaky->error;
}

/* clang-format off */
#define FLAKY(type, name, params, args)                                                                      \
	static inline type flaky_##name params                                                               \
	{                                                                                                    \
		type error = flaky_fails(host, #name);                                                       \
		return error != 0 ? error : lb_disk_real.name args;                                          \
	}

FLAKY(int, open, (struct lb_host *host, int dirfd, const char *name, unsigned flags), (host, dirfd, name, flags))
FLAKY(ssize_t, read, (struct lb_host *host, int fd, void *buf, size_t len, uint64_t at), (host, fd, buf, len, at))
FLAKY(int, write, (struct lb_host *host, int fd, const void *buf, size_t len, uint64_t at), (host, fd, buf, len, at))
FLAKY(int, append, (struct lb_host *host, int fd, const void *buf, size_t len), (host, fd, buf, len))
FLAKY(int, truncate, (struct lb_host *host, int fd, uint64_t size), (host, fd, size))
FLAKY(int, stat, (struct lb_host *host, int dirfd, const char *name, struct lb_file_stat *st), (host, dirfd, name, st))
FLAKY(int, mkdir, (struct lb_host *host, int dirfd, const char *name, unsigned mode), (host, dirfd, name, mode))
FLAKY(int, unlink, (struct lb_host *host, int dirfd, const char *name), (host, dirfd, name))
FLAKY(int, rmdir, (struct lb_host *host, int dirfd, const char *name), (host, dirfd, name))
FLAKY(int, rename, (struct lb_host *host, int dirfd, const char *name, int to, const char *new_name, bool replace),
	(host, dirfd, name, to, new_name, replace))
FLAKY(int, list, (struct lb_host *host, int dirfd, int (*entry)(void *arg, const char *name), void *arg),
	(host, dirfd, entry, arg))
FLAKY(int, lock, (struct lb_host *host, int fd, uint64_t byte, bool wait), (host, fd, byte, wait))
/* clang-format on */

#undef FLAKY

/* No power fails here: what was written is there, and a test that does all this often would wait for the disk. */
static inline int flaky_sync(struct lb_host *host, int fd)
{
	(void)fd;
	return flaky_fails(host, "sync");
}

static inline void flaky_init(struct flaky *flaky, int at, int error)
{
	*flaky               = (struct flaky){.host = {.clock = lb_host_real()->clock, .disk = &flaky->disk},
			      .disk                 = lb_disk_real,
			      .at                   = at,
			      .error                = error};
	flaky->disk.open     = flaky_open;
	flaky->disk.read     = flaky_read;
	flaky->disk.write    = flaky_write;
	flaky->disk.append   = flaky_append;
	flaky->disk.sync     = flaky_sync;
	flaky->disk.truncate = flaky_truncate;
	flaky->disk.stat     = flaky_stat;
	flaky->disk.mkdir    = flaky_mkdir;
	flaky->disk.unlink   = flaky_unlink;
	flaky->disk.rmdir    = flaky_rmdir;
	flaky->disk.rename   = flaky_rename;
	flaky->disk.list     = flaky_list;
	flaky->disk.lock     = flaky_lock;
}

#endif
