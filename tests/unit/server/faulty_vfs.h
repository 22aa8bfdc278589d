/* SPDX-License-Identifier: MIT */
/* SQLite's own machine, whose files fail when they are told to. Registered as "faulty". */
#ifndef SERVER_FAULTY_VFS_H
#define SERVER_FAULTY_VFS_H

#include "lib/cmocka.h"
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static struct {
	sqlite3_vfs        vfs;
	sqlite3_io_methods real, log; /* of the write-ahead log */
	sqlite3_io_methods real_main, main;
	int                fail_log_write, fail_log_sync, fail_main_sync,
		fail_open;                         /* SQLite's codes, for every such call, */
	int     writes_that_fail, syncs_that_fail; /* or, above 0, for so many */
	int     characteristics;                   /* taken away from the main file's */
	bool    no_shared_memory;                  /* as on a file system that has none */
	int64_t slept;                             /* microseconds, in no time */
	void (*on_sleep)(void);                    /* or NULL */
} faulty_vfs;

static int faulty_result(int *codep, int *timesp)
{
	int code = *codep;

	if (code != 0 && *timesp > 0 && --*timesp == 0)
		*codep = 0;
	return code;
}

static int faulty_log_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 offset)
{
	int rc = faulty_result(&faulty_vfs.fail_log_write, &faulty_vfs.writes_that_fail);

	return rc != SQLITE_OK ? rc : faulty_vfs.real.xWrite(file, buf, len, offset);
}

static int faulty_log_sync(sqlite3_file *file, int flags)
{
	int rc = faulty_result(&faulty_vfs.fail_log_sync, &faulty_vfs.syncs_that_fail);

	return rc != SQLITE_OK ? rc : faulty_vfs.real.xSync(file, flags);
}

static int faulty_main_sync(sqlite3_file *file, int flags)
{
	int rc = faulty_result(&faulty_vfs.fail_main_sync, &faulty_vfs.syncs_that_fail);

	return rc != SQLITE_OK ? rc : faulty_vfs.real_main.xSync(file, flags);
}

static int faulty_characteristics(sqlite3_file *file)
{
	return faulty_vfs.real_main.xDeviceCharacteristics(file) & ~faulty_vfs.characteristics;
}

static int faulty_sleep(sqlite3_vfs *vfs, int microseconds)
{
	(void)vfs;
	faulty_vfs.slept += microseconds;
	if (faulty_vfs.on_sleep != NULL)
		faulty_vfs.on_sleep();
	return microseconds;
}

static int faulty_vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	int rc = faulty_vfs.fail_open;

	if (rc == SQLITE_OK)
		rc = sqlite3_vfs_find(NULL)->xOpen(vfs, name, file, flags, out_flags);
	else
		file->pMethods = NULL;
	if (rc == SQLITE_OK && (flags & SQLITE_OPEN_WAL)) {
		faulty_vfs.real = faulty_vfs.log = *file->pMethods;
		faulty_vfs.log.xWrite            = faulty_log_write;
		faulty_vfs.log.xSync             = faulty_log_sync;
		file->pMethods                   = &faulty_vfs.log;
	} else if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB)) {
		faulty_vfs.real_main = faulty_vfs.main = *file->pMethods;
		faulty_vfs.main.xDeviceCharacteristics = faulty_characteristics;
		faulty_vfs.main.xSync                  = faulty_main_sync;
		if (faulty_vfs.no_shared_memory)
			faulty_vfs.main.iVersion = 1;
		file->pMethods = &faulty_vfs.main;
	}
	return rc;
}

static inline void faulty_vfs_init(void)
{
	memset(&faulty_vfs, 0, sizeof faulty_vfs);
	faulty_vfs.vfs        = *sqlite3_vfs_find(NULL);
	faulty_vfs.vfs.zName  = "faulty";
	faulty_vfs.vfs.xOpen  = faulty_vfs_open;
	faulty_vfs.vfs.xSleep = faulty_sleep;
	faulty_vfs.vfs.pNext  = NULL;
	assert_int_equal(sqlite3_vfs_register(&faulty_vfs.vfs, 0), SQLITE_OK);
}

static inline void faulty_vfs_deinit(void)
{
	sqlite3_vfs_unregister(&faulty_vfs.vfs);
}

#endif
