/* SPDX-License-Identifier: MIT */
/* SQLite's own machine, one of whose calls fails: the one that its place among all of them says. Registered as "flaky". */
#ifndef SERVER_FLAKY_VFS_H
#define SERVER_FLAKY_VFS_H

#include "lib/cmocka.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

static struct {
	sqlite3_vfs        vfs, *machine;
	sqlite3_io_methods main, real_main, other,
		real_other;    /* of the database, and of what lies beside it */
	int         at, calls; /* which call fails, from 1, and how many there were; at 0: none does */
	bool        full;      /* writes alone count, and fail because the disk is full */
	const char *failed;    /* the name of the one that has; NULL: none */
} flaky_vfs;

static int flaky_result(const char *name, int code)
{
	if ((flaky_vfs.full && code != SQLITE_FULL) || ++flaky_vfs.calls != flaky_vfs.at)
		return SQLITE_OK;
	flaky_vfs.failed = name;
	return code;
}

static const sqlite3_io_methods *flaky_real(sqlite3_file *file)
{
	return file->pMethods == &flaky_vfs.main ? &flaky_vfs.real_main : &flaky_vfs.real_other;
}

/* clang-format off */
#define FLAKY(name, code, params, args)                                                                      \
	static int flaky_##name params                                                                       \
	{                                                                                                    \
		int rc = flaky_result(#name, code);                                                          \
		return rc != SQLITE_OK ? rc : flaky_real(file)->name args;                                   \
	}

FLAKY(xRead, SQLITE_IOERR_READ, (sqlite3_file *file, void *buf, int n, sqlite3_int64 at), (file, buf, n, at))
FLAKY(xWrite, flaky_vfs.full ? SQLITE_FULL : SQLITE_IOERR_WRITE,
	(sqlite3_file *file, const void *buf, int n, sqlite3_int64 at), (file, buf, n, at))
FLAKY(xTruncate, SQLITE_IOERR_TRUNCATE, (sqlite3_file *file, sqlite3_int64 size), (file, size))
FLAKY(xFileSize, SQLITE_IOERR_FSTAT, (sqlite3_file *file, sqlite3_int64 *sizep), (file, sizep))
FLAKY(xLock, SQLITE_IOERR_LOCK, (sqlite3_file *file, int lock), (file, lock))
FLAKY(xShmMap, SQLITE_IOERR_SHMMAP, (sqlite3_file *file, int page, int size, int extend, void volatile **atp),
	(file, page, size, extend, atp))
/* clang-format on */

#undef FLAKY

/* A lock is always given back: whoever waits for it would do so for long. */
static int flaky_xShmLock(sqlite3_file *file, int at, int n, int flags)
{
	int rc = flags & SQLITE_SHM_LOCK ? flaky_result("xShmLock", SQLITE_IOERR_SHMLOCK) : SQLITE_OK;

	return rc != SQLITE_OK ? rc : flaky_real(file)->xShmLock(file, at, n, flags);
}

/* No power fails here: what was written is there, and a test that does all this often would wait for the disk. */
static int flaky_xSync(sqlite3_file *file, int flags)
{
	(void)file, (void)flags;
	return flaky_result("xSync", SQLITE_IOERR_FSYNC);
}

static int flaky_xOpen(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	bool                is_main = (flags & SQLITE_OPEN_MAIN_DB) != 0;
	sqlite3_io_methods *methods = is_main ? &flaky_vfs.main : &flaky_vfs.other;
	int                 rc      = flaky_result("xOpen", SQLITE_CANTOPEN);

	file->pMethods = NULL;
	if (rc == SQLITE_OK)
		rc = flaky_vfs.machine->xOpen(vfs, name, file, flags, out_flags);
	if (rc != SQLITE_OK)
		return rc;
	*(is_main ? &flaky_vfs.real_main : &flaky_vfs.real_other) = *methods = *file->pMethods;
	methods->xRead                                                       = flaky_xRead;
	methods->xWrite                                                      = flaky_xWrite;
	methods->xTruncate                                                   = flaky_xTruncate;
	methods->xFileSize                                                   = flaky_xFileSize;
	methods->xLock                                                       = flaky_xLock;
	methods->xSync                                                       = flaky_xSync;
	methods->xShmMap                                                     = flaky_xShmMap;
	methods->xShmLock                                                    = flaky_xShmLock;
	file->pMethods                                                       = methods;
	return SQLITE_OK;
}

/* is_default: for whoever names none, too. */
static inline void flaky_vfs_init(bool is_default)
{
	memset(&flaky_vfs, 0, sizeof flaky_vfs);
	flaky_vfs.machine   = sqlite3_vfs_find(NULL);
	flaky_vfs.vfs       = *flaky_vfs.machine;
	flaky_vfs.vfs.zName = "flaky";
	flaky_vfs.vfs.xOpen = flaky_xOpen;
	flaky_vfs.vfs.pNext = NULL;
	assert_int_equal(sqlite3_vfs_register(&flaky_vfs.vfs, is_default), SQLITE_OK);
}

static inline void flaky_vfs_deinit(void)
{
	sqlite3_vfs_unregister(&flaky_vfs.vfs);
}

#endif
