/* SPDX-License-Identifier: MIT */
/*
 * The files of the machine that we run on. Owns no state and keeps no fd. When what must be synced is not
 * decided here.
 */
#include "loop/real.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* NOLINTNEXTLINE(misc-redundant-expression): that it is redundant is what has to stay so */
_Static_assert(LB_HERE == AT_FDCWD, "LB_HERE goes to the kernel as it is");

static int open_file(struct lb_host *host, int dirfd, const char *name, unsigned flags)
{
	int how = O_CLOEXEC, fd;

	(void)host;
	if (flags & LB_OPEN_DIR)
		how |= O_DIRECTORY | O_RDONLY;
	else if (flags & (LB_OPEN_WRITE | LB_OPEN_APPEND))
		how |= O_RDWR;
	if (flags & LB_OPEN_CREATE)
		how |= O_CREAT;
	if (flags & LB_OPEN_NEW)
		how |= O_CREAT | O_EXCL;
	if (flags & LB_OPEN_APPEND)
		how |= O_APPEND;
	/* A path is the user's own words, and may well lead through a link. In a directory of ours a link
	 * is a stranger's work. */
	if (dirfd != LB_HERE)
		how |= O_NOFOLLOW;
	do
		fd = openat(dirfd, name, how, 0666);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static void close_file(struct lb_host *host, int fd)
{
	(void)host;
	close(fd); /* what matters was synced before: an error here says nothing about it */
}

static ssize_t read_file(struct lb_host *host, int fd, void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;

	(void)host;
	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* write(2) where offset is negative, and pwrite(2). A disk that gets full writes a part first and fails
 * only then; an answer of 0 has no meaning, and must not become an endless loop. */
static int write_all(int fd, const char *buf, size_t len, off_t offset)
{
	while (len > 0) {
		ssize_t n = offset < 0 ? write(fd, buf, len) : pwrite(fd, buf, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		buf += n;
		len -= (size_t)n;
		if (offset >= 0)
			offset += n;
	}
	return 0;
}

static int write_file(struct lb_host *host, int fd, const void *buf, size_t len, uint64_t offset)
{
	(void)host;
	return offset > INT64_MAX ? -EFBIG : write_all(fd, buf, len, (off_t)offset);
}

static int append_file(struct lb_host *host, int fd, const void *buf, size_t len)
{
	(void)host;
	return write_all(fd, buf, len, -1);
}

static int sync_file(struct lb_host *host, int fd)
{
	struct stat st;

	(void)host;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* fdatasync(2) leaves out only what is not needed to read the data again; of directories fsync(2)
	 * alone says that it makes their entries durable. Neither is called again after EINTR: a second
	 * call says nothing of what the first one lost. */
	return (S_ISDIR(st.st_mode) ? fsync(fd) : fdatasync(fd)) < 0 ? -errno : 0;
}

static int truncate_file(struct lb_host *host, int fd, uint64_t size)
{
	int r;

	(void)host;
	do
		r = ftruncate(fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int stat_name(struct lb_host *host, int dirfd, const char *name, struct lb_file_stat *statp)
{
	struct stat st;

	(void)host;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*statp = (struct lb_file_stat){
		.is_dir = S_ISDIR(st.st_mode),
		.size = (uint64_t)st.st_size,
		.inode = st.st_ino,
		.device = st.st_dev,
	};
	return 0;
}

static int make_dir(struct lb_host *host, int dirfd, const char *name, unsigned mode)
{
	(void)host;
	return mkdirat(dirfd, name, mode) < 0 ? -errno : 0;
}

static int unlink_name(struct lb_host *host, int dirfd, const char *name)
{
	(void)host;
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

static int remove_dir(struct lb_host *host, int dirfd, const char *name)
{
	(void)host;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int rename_file(
	struct lb_host *host, int dirfd, const char *name, int new_dirfd, const char *new_name, bool replace)
{
	(void)host;
	if (!replace)
		return lb_rename_new(dirfd, name, new_dirfd, new_name);
	return renameat(dirfd, name, new_dirfd, new_name) < 0 ? -errno : 0;
}

static int list_names(struct lb_host *host, int dirfd, int (*entry)(void *arg, const char *name), void *arg)
{
	/* opened anew, and not dup(2)ed: a copy would share its position with dirfd and with other lists
	 * of it */
	int fd = open_file(host, dirfd, ".", LB_OPEN_DIR), r = 0;
	struct dirent *found;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (dir == NULL) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0; /* the only way to tell an error from the end: readdir(3) */
		found = readdir(dir);
		if (found == NULL) {
			r = -errno;
			break;
		}
		if (strcmp(found->d_name, ".") != 0 && strcmp(found->d_name, "..") != 0)
			r = entry(arg, found->d_name);
	}
	closedir(dir);
	return r;
}

static int lock_byte(struct lb_host *host, int fd, uint64_t byte, bool wait)
{
	(void)host;
	return lb_byte_lock(fd, byte, wait);
}

static int unlock_byte(struct lb_host *host, int fd, uint64_t byte)
{
	(void)host;
	return lb_byte_unlock(fd, byte);
}

static bool is_durable(struct lb_host *host, int fd)
{
	struct statfs fs;

	(void)host;
	return fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC;
}

const struct lb_disk_ops lb_disk_real = {
	.open = open_file,
	.close = close_file,
	.read = read_file,
	.write = write_file,
	.append = append_file,
	.sync = sync_file,
	.truncate = truncate_file,
	.stat = stat_name,
	.mkdir = make_dir,
	.unlink = unlink_name,
	.rmdir = remove_dir,
	.rename = rename_file,
	.list = list_names,
	.lock = lock_byte,
	.unlock = unlock_byte,
	.durable = is_durable,
};
