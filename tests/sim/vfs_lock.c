/* SPDX-License-Identifier: MIT */
/*
 * What processes with one database do to each other: SQLite's locks on it, and the memory in which the index of the
 * write-ahead log is. Both are bound to the file and gone with the last process that has it open, however that ended.
 * Owns that memory.
 */
#include "sim/vfs_file.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define REGION_BYTES ((size_t)32768) /* SQLite asks for no other size */
#define REGIONS      8
#define VIEW_BYTES   (REGION_BYTES * REGIONS)

/* Bytes of the database's file that are locked; from the last one on those of its shared memory. */
enum { PENDING, RESERVED, SHARED, SLOTS };

struct sim_shm {
	int fd; /* a memory file: a process that has died keeps its pages, and changes only its own copies */
	int regions;
	unsigned users;
};

static struct sim_open_file *open_file_of(const struct sim_vfs_file *file)
{
	return &file->process->files[file->fd];
}

static bool lock_byte(const struct sim_vfs_file *file, int byte, bool shared)
{
	struct sim_open_file *open = open_file_of(file);

	return sim_file_lock(open->inode, (uint64_t)byte, shared, open) == 0;
}

static void unlock_byte(const struct sim_vfs_file *file, int byte)
{
	struct sim_open_file *open = open_file_of(file);

	sim_file_unlock(open->inode, (uint64_t)byte, open);
}

static bool lock_shared(struct sim_vfs_file *file)
{
	bool locked;

	/* Whoever waits for the readers to leave lets no new one in. */
	if (!lock_byte(file, PENDING, true))
		return false;
	locked = lock_byte(file, SHARED, true);
	unlock_byte(file, PENDING);
	return locked;
}

static bool lock_exclusive(struct sim_vfs_file *file)
{
	if (!lock_byte(file, PENDING, false))
		return false;
	file->level = SQLITE_LOCK_PENDING;
	return lock_byte(file, SHARED, false);
}

int sim_vfs_lock(sqlite3_file *base, int level)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	bool locked;

	if (!sim_process_step(file->process, SIM_OP_READ))
		return SQLITE_IOERR_LOCK;
	if (level <= file->level)
		return SQLITE_OK;
	if (level == SQLITE_LOCK_SHARED)
		locked = lock_shared(file);
	else if (level == SQLITE_LOCK_RESERVED)
		locked = lock_byte(file, RESERVED, false);
	else
		locked = lock_exclusive(file);
	if (locked)
		file->level = level;
	return locked ? SQLITE_OK : SQLITE_BUSY;
}

/* The locks of a dead process are gone already. */
int sim_vfs_unlock(sqlite3_file *base, int level)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);

	if (file->process->dead || level >= file->level)
		return SQLITE_OK;
	file->level = level;
	unlock_byte(file, PENDING);
	unlock_byte(file, RESERVED);
	if (level == SQLITE_LOCK_SHARED)
		(void)lock_byte(file, SHARED, true);
	else
		unlock_byte(file, SHARED);
	return SQLITE_OK;
}

int sim_vfs_check_reserved(sqlite3_file *base, int *resultp)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);

	if (!sim_process_step(file->process, SIM_OP_READ))
		return SQLITE_IOERR_CHECKRESERVEDLOCK;
	*resultp = !lock_byte(file, RESERVED, false);
	if (!*resultp && file->level < SQLITE_LOCK_RESERVED)
		unlock_byte(file, RESERVED);
	*resultp = *resultp || file->level >= SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

static void *map(int how, struct sim_shm *shm, void *at)
{
	void *view = mmap(at, VIEW_BYTES, PROT_READ | PROT_WRITE, how, shm->fd, 0);

	if (view == MAP_FAILED)
		abort();
	return view;
}

/* The first one finds it empty, as SQLite's own makes it. */
static void join(struct sim_vfs_file *file)
{
	struct sim_inode *inode = open_file_of(file)->inode;

	if (inode->shm == NULL) {
		inode->shm = calloc(1, sizeof *inode->shm);
		if (inode->shm == NULL)
			abort();
		inode->shm->fd = memfd_create("sim", MFD_CLOEXEC);
		if (inode->shm->fd < 0 || ftruncate(inode->shm->fd, VIEW_BYTES) != 0)
			abort();
	}
	file->shm = inode->shm;
	file->shm->users++;
	file->view = map(MAP_SHARED, file->shm, NULL);
	file->process->vfs->sharer = file;
}

static void leave(struct sim_vfs_file *file)
{
	if (--file->shm->users == 0) {
		open_file_of(file)->inode->shm = NULL;
		close(file->shm->fd);
		free(file->shm);
	}
	file->shm = NULL;
	file->process->vfs->sharer = NULL;
}

void sim_vfs_die(struct sim_vfs *vfs)
{
	struct sim_vfs_file *file = vfs->sharer;

	if (file == NULL)
		return;
	(void)map(MAP_PRIVATE | MAP_FIXED, file->shm, file->view);
	leave(file);
}

int sim_vfs_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **atp)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);

	*atp = NULL;
	if (!sim_process_step(file->process, SIM_OP_READ) || region >= REGIONS || size != (int)REGION_BYTES)
		return SQLITE_IOERR_SHMMAP;
	if (file->view == NULL)
		join(file);
	if (region >= file->shm->regions && extend)
		file->shm->regions = region + 1;
	if (region < file->shm->regions)
		*atp = file->view + (size_t)region * REGION_BYTES;
	return SQLITE_OK;
}

int sim_vfs_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);
	bool locks = (flags & SQLITE_SHM_LOCK) != 0;
	int locked = 0;

	if (locks && !sim_process_step(file->process, SIM_OP_READ))
		return SQLITE_IOERR_SHMLOCK;
	if (file->process->dead)
		return SQLITE_OK;
	while (locks && locked < n &&
		lock_byte(file, SLOTS + offset + locked, (flags & SQLITE_SHM_SHARED) != 0))
		locked++;
	if (locks && locked == n)
		return SQLITE_OK;
	for (int i = 0; i < (locks ? locked : n); i++)
		unlock_byte(file, SLOTS + offset + i);
	return locks ? SQLITE_BUSY : SQLITE_OK;
}

/* Another processor may see what comes before, and not yet what comes after. */
void sim_vfs_shm_barrier(sqlite3_file *base)
{
	(void)sim_process_step(sim_vfs_file_of(base)->process, SIM_OP_READ);
}

int sim_vfs_shm_unmap(sqlite3_file *base, int delete_it)
{
	struct sim_vfs_file *file = sim_vfs_file_of(base);

	(void)delete_it;
	if (file->shm != NULL)
		leave(file);
	if (file->view != NULL)
		munmap(file->view, VIEW_BYTES);
	file->view = NULL;
	return SQLITE_OK;
}
