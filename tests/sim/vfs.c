/* SPDX-License-Identifier: MIT */
/*
 * An SQLite VFS on the tables of a simulated process: what it writes is as durable as its syncs make it. One
 * connection of a process has a database at a time; what several of them do to each other is vfs_lock.c's.
 */
#include "sim/vfs_file.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static struct sim_process *process_of(sqlite3_vfs *vfs)
{
	return ((struct sim_vfs *)vfs)->process;
}

static int sync_dir_of(struct sim_process *process, const char *path)
{
	const struct lb_disk_ops *disk = process->host.disk;
	const char *slash = strrchr(path, '/');
	char dir[SIM_VFS_PATH];
	int fd, result;

	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	fd = disk->open(&process->host, LB_HERE, dir, LB_OPEN_DIR);
	if (fd < 0)
		return fd;
	result = disk->sync(&process->host, fd);
	disk->close(&process->host, fd);
	return result;
}

static int vfs_close(sqlite3_file *base)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_host *host = &file->process->host;

	if (file->delete_on_close)
		(void)host->disk->unlink(host, LB_HERE, file->path);
	(void)sim_vfs_shm_unmap(base, 0);
	host->disk->close(host, file->fd);
	return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *buf, int len, sqlite3_int64 offset)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_host *host = &file->process->host;
	ssize_t n = host->disk->read(host, file->fd, buf, (size_t)len, (uint64_t)offset);

	if (n < 0)
		return SQLITE_IOERR_READ;
	if (n == len)
		return SQLITE_OK;
	memset((char *)buf + n, 0, (size_t)(len - n));
	return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *buf, int len, sqlite3_int64 offset)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_host *host = &file->process->host;
	int result = host->disk->write(host, file->fd, buf, (size_t)len, (uint64_t)offset);

	return result == 0 ? SQLITE_OK : result == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_host *host = &file->process->host;

	return host->disk->truncate(host, file->fd, (uint64_t)size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_host *host = &file->process->host;

	(void)flags;
	if (host->disk->sync(host, file->fd) != 0)
		return SQLITE_IOERR_FSYNC;
	if (file->sync_dir && sync_dir_of(file->process, file->path) != 0)
		return SQLITE_IOERR_DIR_FSYNC;
	file->sync_dir = false;
	return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *sizep)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_file_stat stat;
	struct lb_host *host = &file->process->host;

	if (host->disk->stat(host, LB_HERE, file->path, &stat) != 0)
		return SQLITE_IOERR_FSTAT;
	*sizep = (sqlite3_int64)stat.size;
	return SQLITE_OK;
}

static int vfs_control(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int vfs_sector(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

static int vfs_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_size,
	.xLock = sim_vfs_lock,
	.xUnlock = sim_vfs_unlock,
	.xCheckReservedLock = sim_vfs_check_reserved,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_characteristics,
	.xShmMap = sim_vfs_shm_map,
	.xShmLock = sim_vfs_shm_lock,
	.xShmBarrier = sim_vfs_shm_barrier,
	.xShmUnmap = sim_vfs_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *flagsp)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	struct lb_host *host = &process_of(vfs)->host;
	bool journal = (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
	unsigned how = (flags & SQLITE_OPEN_READWRITE) != 0 ? LB_OPEN_WRITE : LB_OPEN_READ;

	memset(file, 0, sizeof *file);
	if (path == NULL || strlen(path) >= SIM_VFS_PATH)
		return SQLITE_CANTOPEN; /* a temporary file: what statements gather stays in memory */
	if ((flags & SQLITE_OPEN_CREATE) != 0)
		how |= LB_OPEN_CREATE;
	file->process = process_of(vfs);
	file->fd = host->disk->open(host, LB_HERE, path, how);
	if (file->fd < 0)
		return SQLITE_CANTOPEN;
	file->sync_dir = journal && (flags & SQLITE_OPEN_CREATE) != 0;
	file->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
	memcpy(file->path, path, strlen(path) + 1);
	file->base.pMethods = &methods;
	if (flagsp != NULL)
		*flagsp = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	struct lb_host *host = &process_of(vfs)->host;
	int result = host->disk->unlink(host, LB_HERE, path);

	if (result == -ENOENT)
		return SQLITE_IOERR_DELETE_NOENT;
	if (result != 0)
		return SQLITE_IOERR_DELETE;
	return sync_dir && sync_dir_of(process_of(vfs), path) != 0 ? SQLITE_IOERR_DIR_FSYNC : SQLITE_OK;
}

/* An empty file counts as none when it is asked for: SQLite's own does so for journals. */
static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *resultp)
{
	struct lb_host *host = &process_of(vfs)->host;
	struct lb_file_stat stat;
	int result = host->disk->stat(host, LB_HERE, path, &stat);

	*resultp = result == 0 && (flags != SQLITE_ACCESS_EXISTS || stat.is_dir || stat.size > 0);
	return result == 0 || result == -ENOENT ? SQLITE_OK : SQLITE_IOERR_ACCESS;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int room, char *out)
{
	(void)vfs;
	if (path[0] != '/' || (int)strlen(path) >= room)
		return SQLITE_CANTOPEN;
	memcpy(out, path, strlen(path) + 1);
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	struct lb_host *host = &process_of(vfs)->host;

	host->clock->random(host, out, (size_t)len);
	return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds)
{
	struct sim_process *process = process_of(vfs);

	if (!process->dead && process->world->current != NULL)
		sim_task_pause(process->world, process->world->now + (lb_time)microseconds * 1000, false);
	return microseconds;
}

/* Milliseconds since the noon at which Julian days begin. */
static int vfs_now_ms(sqlite3_vfs *vfs, sqlite3_int64 *nowp)
{
	struct lb_host *host = &process_of(vfs)->host;

	*nowp = INT64_C(210866760000000) + host->clock->wall(host) / SIM_MS;
	return SQLITE_OK;
}

static int vfs_now(sqlite3_vfs *vfs, double *nowp)
{
	sqlite3_int64 ms;

	vfs_now_ms(vfs, &ms);
	*nowp = (double)ms / 86400000.0;
	return SQLITE_OK;
}

void sim_vfs_new(struct sim_process *process)
{
	struct sim_vfs *vfs = calloc(1, sizeof *vfs);

	if (vfs == NULL)
		abort();
	vfs->process = process;
	process->vfs = vfs;
	vfs->base = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct sim_vfs_file),
		.mxPathname = SIM_VFS_PATH - 1,
		.zName = process->name,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_path,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_now,
		.xCurrentTimeInt64 = vfs_now_ms,
	};
	if (sqlite3_vfs_register(&vfs->base, 1) != SQLITE_OK)
		abort();
}

void sim_vfs_free(struct sim_vfs *vfs)
{
	sqlite3_vfs_unregister(&vfs->base);
	vfs->process->vfs = NULL;
	free(vfs);
}
