/* SPDX-License-Identifier: MIT */
/*
 * Reads what is sent. A regular file is watched for changes by what fstat(2) says before and after: its
 * digest would be right for bytes that never were its content at one time. Standard input stays open.
 */
#include "source.h"
#include <errno.h>
#include <fcntl.h>
#include <lastbyte/base.h>
#include <string.h>
#include <unistd.h>

const char *lb_source_check(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") == 0)
		return NULL;
	if (stat(path, &st) < 0)
		return strerror(errno);
	if (S_ISDIR(st.st_mode))
		return "it is a directory; send its files, or an archive of it";
	if (S_ISSOCK(st.st_mode))
		return "it is a socket";
	return access(path, R_OK) == 0 ? NULL : strerror(errno);
}

int lb_source_open(struct lb_source *source, const char *path)
{
	bool standard_input = strcmp(path, "-") == 0;

	*source = (struct lb_source){.length = LB_UNKNOWN};
	/* O_NONBLOCK: opening a pipe must not wait for its writer, where no signal and no PING would be served */
	source->fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (source->fd < 0)
		return -errno;
	if (fstat(source->fd, &source->before) < 0) {
		int r = -errno;

		lb_source_close(source);
		return r;
	}
	source->again =
		!standard_input && (S_ISREG(source->before.st_mode) || S_ISBLK(source->before.st_mode));
	source->waits = !S_ISREG(source->before.st_mode) && !S_ISBLK(source->before.st_mode);
	if (standard_input && !source->waits)
		source->at = lseek(source->fd, 0, SEEK_CUR);
	if (S_ISREG(source->before.st_mode)) {
		off_t at = source->at, size = source->before.st_size;

		source->length = at < size ? (uint64_t)(size - at) : 0;
		(void)posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return 0;
}

void lb_source_close(struct lb_source *source)
{
	if (source->fd > STDIN_FILENO)
		close(source->fd);
	source->fd = -1;
}

ssize_t lb_source_read(struct lb_source *source, void *buf, size_t len)
{
	ssize_t n;

	do
		n = read(source->fd, buf, len);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		source->error = errno;
		return -errno;
	}
	source->got += (uint64_t)n;
	return n;
}

ssize_t lb_source_read_again(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct lb_source *source = arg;
	ssize_t n;

	do
		n = pread(source->fd, buf, len, source->at + (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		source->error = errno;
		return -errno;
	}
	return n;
}

bool lb_source_changed(const struct lb_source *source)
{
	const struct stat *before = &source->before;
	struct stat now;

	if (!S_ISREG(before->st_mode))
		return false;
	if (source->got != source->length || fstat(source->fd, &now) < 0)
		return true;
	return now.st_dev != before->st_dev || now.st_ino != before->st_ino ||
	       now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != before->st_mtim.tv_nsec ||
	       now.st_ctim.tv_sec != before->st_ctim.tv_sec || now.st_ctim.tv_nsec != before->st_ctim.tv_nsec;
}
