/* SPDX-License-Identifier: MIT */
/* Owns the nameless file and knows where in it each cell's packets lie. What they mean is no concern of it. */
#include "lab/spool.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct part {
	char name[100];
	off_t at, len;
};

struct lab_spool {
	int dir, file;
	off_t len;
	int error; /* the first one: what is kept is not complete */
	struct part *parts;
	size_t count;
};

int lab_spool_new(const char *dir, struct lab_spool **spoolp)
{
	char name[4096];
	struct lab_spool *spool = calloc(1, sizeof *spool);
	int error;

	*spoolp = NULL;
	if (spool == NULL)
		return -ENOMEM;
	spool->file = -1;
	spool->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* not O_TMPFILE, which many file systems do not have */
	snprintf(name, sizeof name, "%s/.lastbyte-XXXXXX", dir);
	if (spool->dir >= 0)
		spool->file = mkostemp(name, O_CLOEXEC);
	if (spool->file < 0) {
		error = -errno;
		lab_spool_free(spool);
		return error;
	}
	unlink(name);
	*spoolp = spool;
	return 0;
}

void lab_spool_free(struct lab_spool *spool)
{
	if (spool == NULL)
		return;
	if (spool->dir >= 0)
		close(spool->dir);
	if (spool->file >= 0)
		close(spool->file);
	free(spool->parts);
	free(spool);
}

/* From where `from` stands to where `to` does. */
static int copy(int from, int to, off_t len)
{
	while (len > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)len);

		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* it was longer a moment ago */
		len -= n;
	}
	return 0;
}

static int add(struct lab_spool *spool, const char *name, int fd)
{
	struct part *parts = reallocarray(spool->parts, spool->count + 1, sizeof *parts);
	struct stat stat;
	int result;

	if (parts == NULL)
		return -ENOMEM;
	spool->parts = parts;
	if (fstat(fd, &stat) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	result = copy(fd, spool->file, stat.st_size);
	if (result < 0)
		return result;
	parts += spool->count++;
	snprintf(parts->name, sizeof parts->name, "%s", name);
	parts->at = spool->len;
	parts->len = stat.st_size;
	spool->len += stat.st_size;
	return 0;
}

int lab_spool_add(struct lab_spool *spool, const char *name, int fd)
{
	if (spool->error == 0)
		spool->error = add(spool, name, fd);
	return spool->error;
}

int lab_spool_write(struct lab_spool *spool)
{
	int result = spool->error;

	for (size_t i = 0; i < spool->count && result == 0; i++) {
		const struct part *part = &spool->parts[i];
		int fd = openat(spool->dir, part->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

		if (fd < 0 || lseek(spool->file, part->at, SEEK_SET) < 0)
			result = -errno;
		else
			result = copy(spool->file, fd, part->len);
		if (fd < 0)
			continue;
		close(fd);
		if (result < 0)
			unlinkat(spool->dir, part->name, 0);
	}
	return result;
}
