/* SPDX-License-Identifier: MIT */
/* A rename that never overwrites, on every file system. Owns no state. */
#include "loop/real.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* For file systems without RENAME_NOREPLACE, link and unlink: link(2) never replaces either. A crash
 * between the two leaves both names; another try finds that the new name is this very file already, and
 * finishes. */
static int link_and_unlink(int dirfd, const char *name, int new_dirfd, const char *new_name)
{
	if (linkat(dirfd, name, new_dirfd, new_name, 0) < 0) {
		struct stat from, to;
		int err = errno;

		if (err != EEXIST || fstatat(dirfd, name, &from, AT_SYMLINK_NOFOLLOW) < 0 ||
			fstatat(new_dirfd, new_name, &to, AT_SYMLINK_NOFOLLOW) < 0 ||
			from.st_ino != to.st_ino || from.st_dev != to.st_dev || from.st_nlink < 2)
			return -err;
	}
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

int lb_rename_new(int dirfd, const char *name, int new_dirfd, const char *new_name)
{
	if (renameat2(dirfd, name, new_dirfd, new_name, RENAME_NOREPLACE) == 0)
		return 0;
	/* EINVAL: not this file system; ENOSYS: not this kernel */
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	return link_and_unlink(dirfd, name, new_dirfd, new_name);
}
