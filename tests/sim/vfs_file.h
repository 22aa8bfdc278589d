/* SPDX-License-Identifier: MIT */
/* The inside of the VFS: vfs.c (files, names, time) and vfs_lock.c (locks, and the index of the write-ahead log). */
#ifndef SIM_VFS_FILE_H
#define SIM_VFS_FILE_H

#include "sim/vfs.h"
#include <sqlite3.h>

#define SIM_VFS_PATH 512

struct sim_vfs_file {
	sqlite3_file        base;
	struct sim_process *process;
	int                 fd;
	bool sync_dir; /* with its first sync, as SQLite's own does for a journal that it has made */
	bool delete_on_close;
	char path[SIM_VFS_PATH];
	int  level;           /* of the locks that it has, SQLITE_LOCK_NONE to SQLITE_LOCK_EXCLUSIVE */
	struct sim_shm *shm;  /* NULL: it shares nothing */
	unsigned char  *view; /* of that, or of what it was when the process died; NULL: none */
};

struct sim_vfs {
	sqlite3_vfs          base;
	struct sim_process  *process;
	struct sim_vfs_file *sharer; /* NULL: none of its files shares anything */
};

static inline struct sim_vfs_file *sim_vfs_file_of(sqlite3_file *file)
{
	return (struct sim_vfs_file *)file;
}

/* vfs_lock.c: of sqlite3_io_methods. */
int  sim_vfs_lock(sqlite3_file *base, int level);
int  sim_vfs_unlock(sqlite3_file *base, int level);
int  sim_vfs_check_reserved(sqlite3_file *base, int *resultp);
int  sim_vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **atp);
int  sim_vfs_shm_lock(sqlite3_file *base, int offset, int n, int flags);
void sim_vfs_shm_barrier(sqlite3_file *base);
int  sim_vfs_shm_unmap(sqlite3_file *base, int delete_it);

#endif
