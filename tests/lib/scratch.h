/* SPDX-License-Identifier: MIT */
/* A directory of one test's own, in TMPDIR or /tmp, and gone with everything in it afterwards. */
#ifndef LIB_SCRATCH_H
#define LIB_SCRATCH_H

#include "lib/cmocka.h"
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct scratch {
	char path[200];
};

static inline void scratch_make(struct scratch *scratch)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(scratch->path, sizeof scratch->path, "%s/lastbyte-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(scratch->path));
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void scratch_remove(struct scratch *scratch)
{
	assert_int_equal(nftw(scratch->path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* "SCRATCH/name", in a static buffer for each of four calls. */
static inline const char *scratch_path(const struct scratch *scratch, const char *name)
{
	static char     bufs[4][400];
	static unsigned turn;
	char           *buf = bufs[turn++ % 4];

	snprintf(buf, sizeof bufs[0], "%s/%s", scratch->path, name);
	return buf;
}

#endif
