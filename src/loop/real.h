/* SPDX-License-Identifier: MIT */
/* What the files of the real machine share: host.c puts their tables together. */
#ifndef LOOP_REAL_H
#define LOOP_REAL_H

#include "loop/host.h"
#include <errno.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <unistd.h>

extern const struct lb_net_ops  lb_net_real;
extern const struct lb_disk_ops lb_disk_real;

/* The wait of struct lb_net_ops. */
int lb_wait_until(int fd, uint32_t events, int fd2, int fd3, lb_time deadline);

/* The rename of struct lb_disk_ops that does not replace. */
int lb_rename_new(int dirfd, const char *name, int new_dirfd, const char *new_name);

/* The time-out for poll(2) and epoll_wait(2), in milliseconds. Rounded up: one that ends before the deadline
 * would have its caller spin until then. */
static inline int lb_timeout_ms(lb_time now, lb_time deadline)
{
	int64_t ms;

	if (deadline == LB_NEVER)
		return -1;
	if (deadline <= now)
		return 0;
	ms = (deadline - now - 1) / 1000000 + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* The locks of struct lb_disk_ops. */
int lb_byte_lock(int fd, uint64_t byte, bool wait);
int lb_byte_unlock(int fd, uint64_t byte);

/* An eventfd, or a negative errno. */
static inline int lb_event_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Makes it readable; for signal handlers too, which must leave errno as it was. The one error is
 * EAGAIN: so many that nobody read yet, and it is readable already. */
static inline void lb_event_raise(int fd)
{
	uint64_t one = 1;
	int      err = errno;

	if (write(fd, &one, sizeof one) < 0)
		errno = err;
}

/* And unreadable. The one error is EAGAIN: it is already. */
static inline void lb_event_lower(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof count) < 0)
		return;
}

#endif
