/* SPDX-License-Identifier: MIT */
/* A directory of its own on the real disk for each test. */
#ifndef LOOP_DISK_FIXTURE_H
#define LOOP_DISK_FIXTURE_H

#include "lib/cmocka.h"
#include "loop/host.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOST lb_host_real()
#define DISK HOST->disk

struct place {
	char path[64];
	int  dir;
};

static inline int make_place(void **state)
{
	struct place *place = calloc(1, sizeof *place);

	snprintf(place->path, sizeof place->path, "/tmp/lastbyte-disk-XXXXXX");
	if (mkdtemp(place->path) == NULL)
		return -1;
	place->dir = DISK->open(HOST, LB_HERE, place->path, LB_OPEN_DIR);
	*state     = place;
	return place->dir < 0 ? -1 : 0;
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline int remove_place(void **state)
{
	struct place *place = *state;
	int           r     = nftw(place->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	close(place->dir);
	free(place);
	return r;
}

static inline int dir_of(void **state)
{
	return ((struct place *)*state)->dir;
}

/* A new file that holds text. */
static inline void put(int dir, const char *name, const char *text)
{
	int fd = DISK->open(HOST, dir, name, LB_OPEN_WRITE | LB_OPEN_NEW);

	assert_true(fd >= 0);
	assert_int_equal(DISK->write(HOST, fd, text, strlen(text), 0), 0);
	DISK->close(HOST, fd);
}

static inline void assert_holds(int dir, const char *name, const char *text)
{
	char    buf[256];
	int     fd = DISK->open(HOST, dir, name, LB_OPEN_READ);
	ssize_t n;

	assert_true(fd >= 0);
	n = DISK->read(HOST, fd, buf, sizeof buf, 0);
	DISK->close(HOST, fd);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static inline void assert_absent(int dir, const char *name)
{
	struct lb_file_stat st;

	assert_int_equal(DISK->stat(HOST, dir, name, &st), -ENOENT);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
