/* SPDX-License-Identifier: MIT */
/*
 * Owns the format of an archive, one entry after another. There are no links and no devices in it: every entry has
 * the inode number 0, which nobody looks at where the number of links is 1.
 */
#include "lab/cpio.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER 110 /* bytes before the name */

static void pad(FILE *out, size_t written)
{
	for (; written % 4 != 0; written++)
		putc(0, out);
}

static void put_entry(FILE *out, const char *path, mode_t mode, size_t size)
{
	size_t name = strlen(path) + 1;

	/* inode, mode, owner, group, links, time, size, four numbers of devices, length of the name, checksum */
	fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0, mode, 0, 0, 1, 0,
		(unsigned)size, 0, 0, 0, 0, (unsigned)name, 0);
	fwrite(path, 1, name, out);
	pad(out, HEADER + name);
}

/* Whoever unpacks makes no folder that has no entry. Returns the path without the slash that it may begin with. */
static const char *put_parents(FILE *out, const char *path)
{
	char parent[4096];

	path += path[0] == '/';
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
		put_entry(out, parent, S_IFDIR | 0755, 0);
	}
	return path;
}

void lab_cpio_folder(FILE *out, const char *path)
{
	path = put_parents(out, path);
	put_entry(out, path, S_IFDIR | 0755, 0);
}

int lab_cpio_file(FILE *out, const char *path, mode_t permissions, int fd)
{
	char piece[65536];
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size > UINT32_MAX)
		return -EFBIG;
	path = put_parents(out, path);
	put_entry(out, path, S_IFREG | permissions, (size_t)status.st_size);
	for (off_t at = 0; at < status.st_size;) {
		off_t left = status.st_size - at;
		ssize_t n = pread(fd, piece, left < (off_t)sizeof piece ? (size_t)left : sizeof piece, at);

		if (n <= 0) /* 0: the file has become shorter */
			return n < 0 ? -errno : -EIO;
		fwrite(piece, 1, (size_t)n, out);
		at += n;
	}
	pad(out, (size_t)status.st_size);
	return 0;
}

void lab_cpio_end(FILE *out)
{
	put_entry(out, "TRAILER!!!", 0, 0);
}
