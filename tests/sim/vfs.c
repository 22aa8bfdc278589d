/* SPDX-License-Identifier: MIT */
/*
 * An SQLite VFS on the tables of a simulated process: what it writes is as durable as its syncs make it. One
 * connection has a database at a time, so locks hold nobody off, and the index of the write-ahead log is on the heap.
 */
#include "sim/vfs.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 512
#define SHM_REGIONS    8

struct sim_vfs {
	sqlite3_vfs base;
	struct sim_process *process;
};

struct vfs_file {
	sqlite3_file base;
	struct sim_process *process;
	int fd;
	bool sync_dir; /* with its first sync, as SQLite's own does for a journal that it has made */
	bool delete_on_close;
	char path[PATH_MAX_BYTES];
	void *regions[SHM_REGIONS];
};

static struct vfs_file *file_of(sqlite3_file *file)
{
	return (struct vfs_file *)file;
}

static struct sim_process *process_of(sqlite3_vfs *vfs)
{
	return ((struct sim_vfs *)vfs)->process;
}

static int sync_dir_of(struct sim_process *process, const char *path)
{
	const struct lb_disk_ops *disk = process->host.disk;
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX_BYTES];
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
	struct vfs_file *file = file_of(base);
	struct lb_host *host = &file->process->host;

	if (file->delete_on_close)
		(void)host->disk->unlink(host, LB_HERE, file->path);
	host->disk->close(host, file->fd);
	for (int i = 0; i < SHM_REGIONS; i++)
		free(file->regions[i]);
	return SQLITE_OK;
}

static int vfs_read(sqlite3_file *base, void *buf, int len, sqlite3_int64 offset)
{
	struct vfs_file *file = file_of(base);
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
	struct vfs_file *file = file_of(base);
	struct lb_host *host = &file->process->host;
	int result = host->disk->write(host, file->fd, buf, (size_t)len, (uint64_t)offset);

	return result == 0 ? SQLITE_OK : result == -ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct vfs_file *file = file_of(base);
	struct lb_host *host = &file->process->host;

	return host->disk->truncate(host, file->fd, (uint64_t)size) == 0 ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int vfs_sync(sqlite3_file *base, int flags)
{
	struct vfs_file *file = file_of(base);
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
	struct vfs_file *file = file_of(base);
	struct lb_file_stat stat;
	struct lb_host *host = &file->process->host;

	if (host->disk->stat(host, LB_HERE, file->path, &stat) != 0)
		return SQLITE_IOERR_FSTAT;
	*sizep = (sqlite3_int64)stat.size;
	return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *base, int level)
{
	(void)base;
	(void)level;
	return SQLITE_OK;
}

static int vfs_check_reserved(sqlite3_file *base, int *resultp)
{
	(void)base;
	*resultp = 0;
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

static int vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **atp)
{
	struct vfs_file *file = file_of(base);

	*atp = NULL;
	if (region >= SHM_REGIONS)
		return SQLITE_IOERR_SHMMAP;
	if (file->regions[region] == NULL && extend)
		file->regions[region] = calloc(1, (size_t)size);
	*atp = file->regions[region];
	return SQLITE_OK;
}

static int vfs_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
	(void)base;
	(void)offset;
	(void)n;
	(void)flags;
	return SQLITE_OK;
}

static void vfs_shm_barrier(sqlite3_file *base)
{
	(void)base;
}

static int vfs_shm_unmap(sqlite3_file *base, int delete_it)
{
	struct vfs_file *file = file_of(base);

	(void)delete_it;
	for (int i = 0; i < SHM_REGIONS; i++) {
		free(file->regions[i]);
		file->regions[i] = NULL;
	}
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
	.iVersion = 2,
	.xClose = vfs_close,
	.xRead = vfs_read,
	.xWrite = vfs_write,
	.xTruncate = vfs_truncate,
	.xSync = vfs_sync,
	.xFileSize = vfs_size,
	.xLock = vfs_lock,
	.xUnlock = vfs_lock,
	.xCheckReservedLock = vfs_check_reserved,
	.xFileControl = vfs_control,
	.xSectorSize = vfs_sector,
	.xDeviceCharacteristics = vfs_characteristics,
	.xShmMap = vfs_shm_map,
	.xShmLock = vfs_shm_lock,
	.xShmBarrier = vfs_shm_barrier,
	.xShmUnmap = vfs_shm_unmap,
};

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *base, int flags, int *flagsp)
{
	struct vfs_file *file = file_of(base);
	struct lb_host *host = &process_of(vfs)->host;
	bool journal = (flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL)) != 0;
	unsigned how = (flags & SQLITE_OPEN_READWRITE) != 0 ? LB_OPEN_WRITE : LB_OPEN_READ;

	memset(file, 0, sizeof *file);
	if (path == NULL || strlen(path) >= PATH_MAX_BYTES)
		return SQLITE_CANTOPEN; /* a temporary file: none of the statements is large enough for one */
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

struct sim_vfs *sim_vfs_new(struct sim_process *process)
{
	struct sim_vfs *vfs = calloc(1, sizeof *vfs);

	if (vfs == NULL)
		abort();
	vfs->process = process;
	vfs->base = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct vfs_file),
		.mxPathname = PATH_MAX_BYTES - 1,
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
	return vfs;
}

void sim_vfs_free(struct sim_vfs *vfs)
{
	sqlite3_vfs_unregister(&vfs->base);
	free(vfs);
}
