/* SPDX-License-Identifier: MIT */
/*
 * What a machine gives to a program: a clock, randomness, sockets and files, each a small table of functions.
 * client and server know the outside world through these alone, so that tests/sim can be a second
 * machine, one whose network cuts, whose disk forgets and whose clock jumps.
 *
 * Every function returns a value of 0 or more, or a negative errno. None raises a signal, none leaves an fd
 * open on failure. Descriptors mean something to their own table only.
 */
#ifndef LOOP_HOST_H
#define LOOP_HOST_H

#include "sock/address.h"
#include "sock/ending.h"
#include <lastbyte/base.h>
#include <stdbool.h>
#include <sys/uio.h>

struct lb_host;

struct lb_clock_ops {
	lb_time (*now)(struct lb_host *host);
	int64_t (*wall)(struct lb_host *host); /* nanoseconds since 1970 */
	void (*random)(struct lb_host *host, void *buf, size_t len);
};

struct lb_net_ops {
	/* Number of endpoints of "ADDR[:PORT]"; -EINVAL or -EHOSTUNREACH with why (static text). */
	int (*resolve)(struct lb_host *host, const char *address, struct lb_endpoint *endpoints, int max,
		const char **whyp);
	/* A listening fd, and what it is bound to. */
	int (*listen)(struct lb_host *host, const struct lb_endpoint *endpoint, struct lb_endpoint *boundp);
	int (*accept)(
		struct lb_host *host, int listener, struct lb_endpoint *peerp); /* an fd; -EAGAIN: nobody */
	void (*unlisten)(struct lb_host *host, int listener);
	/* An fd that is connecting; when it is writable, connected() tells: 0, -EINPROGRESS, or why not. */
	int (*connect)(struct lb_host *host, const struct lb_endpoint *endpoint);
	int (*connected)(struct lb_host *host, int fd);
	/* Neither blocks: -EAGAIN. recv returns 0 at the end of the stream. */
	ssize_t (*recv)(struct lb_host *host, int fd, void *buf, size_t len);
	ssize_t (*send)(struct lb_host *host, int fd, const struct iovec *iov, int n);
	/* Blocks until one of `events` (EPOLLIN, EPOLLOUT; 0: none) holds for fd (-1: none), or fd2 or fd3 (-1: none)
	 * is readable, or the deadline has passed. A sum of 1 fd, 2 fd2, 4 fd3; 0 passed; -EINTR is not returned. */
	int (*wait)(struct lb_host *host, int fd, uint32_t events, int fd2, int fd3, lb_time deadline);
	/* Ends a connection: consumes fd. As sock/ending.h. */
	void (*end_start)(struct lb_host *host, struct lb_ending_run *run, int fd, lb_time deadline);
	bool (*end_step)(struct lb_host *host, struct lb_ending_run *run, struct lb_outcome *outcomep);
	void (*abort)(struct lb_host *host, int fd, struct lb_outcome *outcomep);
	/* Of a connection whose ends have agreed to end it, and whose peer's end was read: nothing is in flight that could
	 * reset it, nothing is left to be waited for. */
	void (*close)(struct lb_host *host, int fd);
};

struct lb_file_stat {
	bool     is_dir;
	uint64_t size, inode, device;
};

enum lb_open_flags {
	LB_OPEN_READ   = 0,
	LB_OPEN_WRITE  = 1, /* and read */
	LB_OPEN_CREATE = 2, /* if missing */
	LB_OPEN_NEW    = 4, /* and it must not exist */
	LB_OPEN_DIR    = 8, /* a directory, for the other calls and for sync */
	LB_OPEN_APPEND = 16,
};

struct lb_disk_ops {
	/* A name is relative to the directory dirfd; LB_HERE is the working directory, and takes a path. */
	int (*open)(struct lb_host *host, int dirfd, const char *name, unsigned flags);
	void (*close)(struct lb_host *host, int fd);
	ssize_t (*read)(struct lb_host *host, int fd, void *buf, size_t len,
		uint64_t offset); /* short at the end only */
	int (*write)(struct lb_host *host, int fd, const void *buf, size_t len,
		uint64_t offset); /* 0: all of it */
	int (*append)(
		struct lb_host *host, int fd, const void *buf, size_t len); /* LB_OPEN_APPEND; 0: all of it */
	int (*sync)(struct lb_host *host,
		int fd); /* file data, or a directory's entries. Never retry one that failed */
	int (*truncate)(struct lb_host *host, int fd, uint64_t size);
	int (*stat)(struct lb_host *host, int dirfd, const char *name,
		struct lb_file_stat *statp); /* follows no link */
	int (*mkdir)(struct lb_host *host, int dirfd, const char *name,
		unsigned mode); /* as mkdir(2), with umask */
	int (*unlink)(struct lb_host *host, int dirfd, const char *name);
	int (*rmdir)(struct lb_host *host, int dirfd, const char *name);
	int (*rename)(struct lb_host *host, int dirfd, const char *name, int new_dirfd, const char *new_name,
		bool replace);
	/* Calls `entry` for each name but . and .. of a directory fd, until it returns other than 0. */
	int (*list)(struct lb_host *host, int dirfd, int (*entry)(void *arg, const char *name), void *arg);
	/* An exclusive lock on one byte of an open file, which ends with its fd. -EAGAIN: held by another fd, and
	 * `wait` is false. */
	int (*lock)(struct lb_host *host, int fd, uint64_t byte, bool wait);
	int (*unlock)(struct lb_host *host, int fd, uint64_t byte);
	/* Whether a sync of this fd reaches a disk: false for tmpfs and the like. */
	bool (*durable)(struct lb_host *host, int fd);
};

#define LB_HERE (-100) /* AT_FDCWD */

struct lb_host {
	const struct lb_clock_ops *clock;
	const struct lb_net_ops   *net;
	const struct lb_disk_ops  *disk;
};

/* The machine that we run on. */
struct lb_host *lb_host_real(void);

#endif
