/* SPDX-License-Identifier: MIT */
/* Owns the name under which a file is written before it has its own. Devices and pipes are written as they are. */
#include "output.h"
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct target {
	char path[PATH_MAX];   /* where a symbolic link leads */
	char beside[PATH_MAX]; /* the other name; "": it is no regular file */
	mode_t mode;
};

static int look(const char *path, struct target *target)
{
	mode_t mask = umask(0);
	struct stat stat_of;
	const char *slash;
	size_t len;

	umask(mask);
	target->mode = 0666 & ~mask;
	target->beside[0] = '\0';
	if (path[0] == '\0')
		return -ENOENT;
	if (strlen(path) >= PATH_MAX - sizeof "/.lastbyte-XXXXXX")
		return -ENAMETOOLONG;
	if (realpath(path, target->path) == NULL)
		strcpy(target->path, path);
	if (stat(path, &stat_of) == 0) {
		if (S_ISDIR(stat_of.st_mode))
			return -EISDIR;
		if (access(path, W_OK) < 0)
			return -errno;
		if (!S_ISREG(stat_of.st_mode))
			return 0;
		target->mode = stat_of.st_mode & 07777;
	}
	slash = strrchr(target->path, '/');
	len = slash != NULL ? (size_t)(slash - target->path) + 1 : 0;
	snprintf(target->beside, sizeof target->beside, "%.*s.lastbyte-XXXXXX", (int)len, target->path);
	return 0;
}

/* The file to write into, or NULL and errno. */
static FILE *begin(struct target *target)
{
	FILE *file;
	int fd;

	if (target->beside[0] == '\0')
		return fopen(target->path, "we");
	fd = mkstemp(target->beside);
	if (fd < 0)
		return NULL;
	file = fchmod(fd, target->mode) == 0 ? fdopen(fd, "we") : NULL;
	if (file == NULL) {
		close(fd);
		unlink(target->beside);
	}
	return file;
}

int lb_output_check(const char *path)
{
	struct target target;
	int result = look(path, &target);
	FILE *file;

	if (result < 0 || target.beside[0] == '\0')
		return result;
	file = begin(&target);
	if (file == NULL)
		return -errno;
	fclose(file);
	unlink(target.beside);
	return 0;
}

int lb_output_write(const char *path, const char *data, size_t len)
{
	struct target target;
	int result = look(path, &target);
	FILE *file = result == 0 ? begin(&target) : NULL;
	bool written;

	if (file == NULL)
		return result < 0 ? result : -errno;
	written = fwrite(data, 1, len, file) == len;
	if (fclose(file) != 0 || !written)
		result = -errno;
	if (target.beside[0] == '\0')
		return result;
	if (result == 0 && rename(target.beside, target.path) < 0)
		result = -errno;
	if (result < 0)
		unlink(target.beside);
	return result;
}
