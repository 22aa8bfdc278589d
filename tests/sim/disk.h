/* SPDX-License-Identifier: MIT */
/*
 * A disk that forgets. What is written is seen at once and is durable only after a sync: of the file for its bytes
 * and its size, of the directory for its entries. A loss of power keeps, drops or tears each write that was not
 * synced, and keeps or drops each change of a name, never a later one of the same name without the earlier.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "sim/world.h"

#define SIM_SECTOR 512

struct sim_change; /* of names, not durable yet */

/* A write or a truncation that is not durable yet. */
struct sim_dirty {
	struct sim_dirty *next;
	uint64_t          offset; /* or the new size */
	size_t            len;
	bool              truncates;
	unsigned char     bytes[];
};

struct sim_bytes {
	unsigned char *at;
	size_t         len, room;
};

struct sim_name {
	char             *text;
	struct sim_inode *inode;
};

struct sim_names {
	struct sim_name *at;
	size_t           n, room;
};

struct sim_lock {
	struct sim_lock *next;
	uint64_t         byte;
	bool             shared;
	const void      *owner;
};

struct sim_inode {
	struct sim_inode *next; /* of the same disk */
	uint64_t          number;
	bool              is_dir;
	/* a file */
	struct sim_bytes  seen, stable; /* as read now; as it would be after the pessimistic loss of power */
	struct sim_dirty *dirty, **last_dirty;
	struct sim_lock  *locks;
	struct sim_shm   *shm;    /* what the processes that have it open share: vfs_lock.c's */
	unsigned          errors; /* syncs that have failed */
	/* a directory */
	struct sim_names  names, stable_names;
	struct sim_inode *twin; /* while a disk is copied */
};

struct sim_disk {
	struct sim_world  *world;
	struct sim_inode  *root, *inodes;
	uint64_t           next_number;
	struct sim_change *changes, **last_change;
	uint64_t           version;    /* of the files' contents: another one after each change */
	uint64_t           used, room; /* bytes; UINT64_MAX: there is always room */
	bool read_only; /* a directory could not be written: nothing changes until the next power loss */
	/* A name in the root's directory `watch` has come to show a file, instead of `before` if not NULL. */
	const char *watch;
	void (*placed)(
		void *arg, const char *name, const struct sim_inode *file, const struct sim_inode *before);
	void *arg;
};

struct sim_disk *sim_disk_new(struct sim_world *world);
struct sim_disk *sim_disk_copy(const struct sim_disk *disk); /* not the locks, and nothing is watched */
void             sim_disk_free(struct sim_disk *disk);
void             sim_disk_lose_power(struct sim_disk *disk, unsigned percent_kept);
void             sim_disk_wipe(struct sim_disk *disk); /* an operator removes everything, durably */

struct sim_inode *sim_dir_find(const struct sim_inode *dir, const char *name); /* NULL: no such name */
/* The file or directory of a path from the root; NULL if there is none. */
struct sim_inode *sim_disk_find(const struct sim_disk *disk, const char *path);

/* 0 or a negative errno. */
int sim_disk_create(struct sim_disk *disk, struct sim_inode *dir, const char *name, bool is_dir,
	struct sim_inode **inodep);
int sim_disk_remove(struct sim_disk *disk, struct sim_inode *dir, const char *name, bool is_dir);
int sim_disk_rename(struct sim_disk *disk, struct sim_inode *dir, const char *name, struct sim_inode *new_dir,
	const char *new_name, bool replace);
int sim_disk_sync_dir(struct sim_disk *disk, struct sim_inode *dir);
/* A sync that fails: the changes stay undone or not, nobody knows. */
void sim_disk_fail_dir(struct sim_disk *disk);

/* Whether it holds just these bytes. */
bool   sim_file_is(const struct sim_inode *file, const void *buf, size_t len);
size_t sim_file_read(const struct sim_inode *file, void *buf, size_t len, uint64_t offset);
int    sim_file_write(
	   struct sim_disk *disk, struct sim_inode *file, const void *buf, size_t len, uint64_t offset);
int  sim_file_truncate(struct sim_disk *disk, struct sim_inode *file, uint64_t size);
void sim_file_sync(struct sim_inode *file);
/* A sync that fails: what was not durable stays readable, and no later sync makes it durable. */
void sim_file_fail_sync(struct sim_disk *disk, struct sim_inode *file);

/* A lock on a byte, which an owner may share with others, and may make exclusive or shared when it has it: 0, or -EAGAIN
 * when another owner holds it off. */
int  sim_file_lock(struct sim_inode *file, uint64_t byte, bool shared, const void *owner);
void sim_file_unlock(struct sim_inode *file, uint64_t byte, const void *owner);
void sim_file_unlock_all(struct sim_inode *file, const void *owner);

#endif
