/* SPDX-License-Identifier: MIT */
/*
 * Locks on one byte of a file. They belong to the open file description: unlike those of the process, they
 * hold between two fds of one process, and do not vanish when some other fd of the same file is closed. Owns
 * no state.
 */
#include "loop/real.h"
#include <errno.h>
#include <fcntl.h>

static int set_lock(int fd, uint64_t byte, int command, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
	int r;

	do
		r = fcntl(fd, command, &lock);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return 0;
}

int lb_byte_lock(int fd, uint64_t byte, bool wait)
{
	return set_lock(fd, byte, wait ? F_OFD_SETLKW : F_OFD_SETLK, F_WRLCK);
}

int lb_byte_unlock(int fd, uint64_t byte)
{
	return set_lock(fd, byte, F_OFD_SETLK, F_UNLCK);
}
