/* SPDX-License-Identifier: MIT */
/*
 * The simulated disk: its files, their bytes and locks, and what a loss of power leaves of them. names.c has its
 * directories. Knows nothing of processes and descriptors.
 */
#include "sim/disk.h"
#include "sim/names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void bytes_resize(struct sim_bytes *bytes, size_t len)
{
	if (len > bytes->room) {
		bytes->room = len + len / 2;
		bytes->at = sim_realloc(bytes->at, bytes->room);
	}
	if (len > bytes->len)
		memset(bytes->at + bytes->len, 0, len - bytes->len);
	bytes->len = len;
}

static void bytes_put(struct sim_bytes *bytes, const void *buf, size_t len, uint64_t offset)
{
	if (len == 0)
		return;
	if (offset + len > bytes->len)
		bytes_resize(bytes, offset + len);
	memcpy(bytes->at + offset, buf, len);
}

static void bytes_copy(struct sim_bytes *bytes, const struct sim_bytes *from)
{
	bytes_resize(bytes, 0);
	bytes_put(bytes, from->at, from->len, 0);
}

static void change(struct sim_disk *disk)
{
	disk->version = ++disk->world->next_version;
}

static struct sim_dirty *add_dirty(struct sim_inode *file, const void *buf, size_t len, uint64_t offset)
{
	struct sim_dirty *dirty = malloc(sizeof *dirty + len);

	if (dirty == NULL)
		abort();
	*dirty = (struct sim_dirty){.offset = offset, .len = len};
	if (len > 0)
		memcpy(dirty->bytes, buf, len);
	*file->last_dirty = dirty;
	file->last_dirty = &dirty->next;
	return dirty;
}

static void drop_dirty(struct sim_inode *file)
{
	while (file->dirty != NULL) {
		struct sim_dirty *dirty = file->dirty;

		file->dirty = dirty->next;
		free(dirty);
	}
	file->last_dirty = &file->dirty;
}

/* Makes the first `len` bytes of it durable. */
static void settle(struct sim_inode *file, const struct sim_dirty *dirty, size_t len)
{
	if (dirty->truncates)
		bytes_resize(&file->stable, dirty->offset);
	else
		bytes_put(&file->stable, dirty->bytes, len, dirty->offset);
}

void sim_file_sync(struct sim_inode *file)
{
	for (struct sim_dirty *dirty = file->dirty; dirty != NULL; dirty = dirty->next)
		settle(file, dirty, dirty->len);
	drop_dirty(file);
}

/* Linux marks the pages clean although they were not written: fsync(2) tells of it once for each descriptor that is
 * open, and nothing to those that are opened later. */
void sim_file_fail_sync(struct sim_disk *disk, struct sim_inode *file)
{
	for (struct sim_dirty *dirty = file->dirty; dirty != NULL; dirty = dirty->next)
		if (sim_chance(disk->world, 50))
			settle(file, dirty, dirty->len);
	drop_dirty(file);
	file->errors++;
}

/* A write is there whole, not at all, or up to a sector's end. */
static void lose_file(struct sim_disk *disk, struct sim_inode *file, unsigned percent_kept)
{
	for (struct sim_dirty *dirty = file->dirty; dirty != NULL; dirty = dirty->next) {
		if (sim_chance(disk->world, percent_kept)) {
			settle(file, dirty, dirty->len);
		} else if (percent_kept > 0 && !dirty->truncates && sim_chance(disk->world, 30)) {
			uint64_t end = dirty->offset + sim_below(disk->world, dirty->len);

			end -= end % SIM_SECTOR;
			if (end > dirty->offset)
				settle(file, dirty, (size_t)(end - dirty->offset));
		}
	}
	drop_dirty(file);
	bytes_copy(&file->seen, &file->stable);
}

static void lose_locks(struct sim_inode *file)
{
	while (file->locks != NULL)
		sim_file_unlock_all(file, file->locks->owner);
}

static uint64_t count_used(const struct sim_inode *dir)
{
	uint64_t used = dir->seen.len;

	for (size_t i = 0; i < dir->names.n; i++)
		used += count_used(dir->names.at[i].inode);
	return used;
}

void sim_disk_lose_power(struct sim_disk *disk, unsigned percent_kept)
{
	sim_changes_lose(disk, percent_kept);
	for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
		inode->twin = inode;
	for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
		lose_locks(inode);
		lose_file(disk, inode, percent_kept);
		sim_names_free(&inode->names);
		sim_names_copy(&inode->names, &inode->stable_names);
	}
	disk->read_only = false;
	disk->used = count_used(disk->root);
	change(disk);
}

void sim_disk_wipe(struct sim_disk *disk)
{
	sim_changes_free(disk);
	for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
		sim_names_free(&inode->names);
		sim_names_free(&inode->stable_names);
	}
	disk->used = 0;
	change(disk);
}

struct sim_disk *sim_disk_new(struct sim_world *world)
{
	struct sim_disk *disk = calloc(1, sizeof *disk);
	struct sim_inode *root = calloc(1, sizeof *root);

	if (disk == NULL || root == NULL)
		abort();
	root->is_dir = true;
	root->last_dirty = &root->dirty;
	*disk = (struct sim_disk){
		.world = world, .root = root, .inodes = root, .next_number = 1, .room = UINT64_MAX};
	disk->last_change = &disk->changes;
	return disk;
}

static struct sim_inode *copy_inode(const struct sim_inode *inode)
{
	struct sim_inode *twin = calloc(1, sizeof *twin);

	if (twin == NULL)
		abort();
	twin->number = inode->number;
	twin->is_dir = inode->is_dir;
	twin->last_dirty = &twin->dirty;
	bytes_copy(&twin->seen, &inode->seen);
	bytes_copy(&twin->stable, &inode->stable);
	for (const struct sim_dirty *dirty = inode->dirty; dirty != NULL; dirty = dirty->next)
		add_dirty(twin, dirty->bytes, dirty->len, dirty->offset)->truncates = dirty->truncates;
	return twin;
}

struct sim_disk *sim_disk_copy(const struct sim_disk *disk)
{
	struct sim_disk *copy = calloc(1, sizeof *copy);
	struct sim_inode **lastp;

	if (copy == NULL)
		abort();
	*copy = (struct sim_disk){.world = disk->world,
		.next_number = disk->next_number,
		.version = disk->version,
		.used = disk->used,
		.room = disk->room};
	copy->last_change = &copy->changes;
	lastp = &copy->inodes;
	for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
		inode->twin = *lastp = copy_inode(inode);
		lastp = &inode->twin->next;
	}
	for (struct sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
		sim_names_copy(&inode->twin->names, &inode->names);
		sim_names_copy(&inode->twin->stable_names, &inode->stable_names);
	}
	sim_changes_copy(copy, disk);
	copy->root = disk->root->twin;
	return copy;
}

void sim_disk_free(struct sim_disk *disk)
{
	sim_changes_free(disk);
	while (disk->inodes != NULL) {
		struct sim_inode *inode = disk->inodes;

		disk->inodes = inode->next;
		lose_locks(inode);
		drop_dirty(inode);
		sim_names_free(&inode->names);
		sim_names_free(&inode->stable_names);
		free(inode->seen.at);
		free(inode->stable.at);
		free(inode);
	}
	free(disk);
}

struct sim_inode *sim_disk_find(const struct sim_disk *disk, const char *path)
{
	struct sim_inode *inode = disk->root;
	char name[LB_NAME_MAX + 1];

	while (inode != NULL) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 0)
			return inode;
		if (len > LB_NAME_MAX || !inode->is_dir)
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		inode = sim_dir_find(inode, name);
		path += len;
	}
	return NULL;
}

bool sim_file_is(const struct sim_inode *file, const void *buf, size_t len)
{
	return file->seen.len == len && (len == 0 || memcmp(file->seen.at, buf, len) == 0);
}

size_t sim_file_read(const struct sim_inode *file, void *buf, size_t len, uint64_t offset)
{
	if (offset >= file->seen.len)
		return 0;
	if (len > file->seen.len - offset)
		len = file->seen.len - offset;
	memcpy(buf, file->seen.at + offset, len);
	return len;
}

/* A disk that becomes full takes a part of the write first. */
int sim_file_write(
	struct sim_disk *disk, struct sim_inode *file, const void *buf, size_t len, uint64_t offset)
{
	uint64_t grows = offset + len > file->seen.len ? offset + len - file->seen.len : 0;
	int result = 0;

	if (disk->read_only)
		return -EROFS;
	if (grows > 0 && (disk->used >= disk->room || grows > disk->room - disk->used)) {
		uint64_t left = disk->used >= disk->room ? 0 : disk->room - disk->used,
			 fits = len - grows + left;

		if (grows > len)
			return -ENOSPC;
		len = (size_t)sim_below(disk->world, fits + 1);
		grows = offset + len > file->seen.len ? offset + len - file->seen.len : 0;
		result = -ENOSPC;
	}
	if (len > 0) {
		disk->used += grows;
		bytes_put(&file->seen, buf, len, offset);
		add_dirty(file, buf, len, offset);
		change(disk);
	}
	return result;
}

int sim_file_truncate(struct sim_disk *disk, struct sim_inode *file, uint64_t size)
{
	if (disk->read_only)
		return -EROFS;
	if (size > file->seen.len)
		disk->used += size - file->seen.len;
	else
		disk->used -= file->seen.len - size < disk->used ? file->seen.len - size : disk->used;
	bytes_resize(&file->seen, size);
	add_dirty(file, NULL, 0, size)->truncates = true;
	change(disk);
	return 0;
}

int sim_file_lock(struct sim_inode *file, uint64_t byte, bool shared, const void *owner)
{
	struct sim_lock *own = NULL;

	for (struct sim_lock *lock = file->locks; lock != NULL; lock = lock->next) {
		if (lock->byte == byte && lock->owner == owner)
			own = lock;
		else if (lock->byte == byte && !(shared && lock->shared))
			return -EAGAIN;
	}
	if (own == NULL) {
		own = malloc(sizeof *own);
		if (own == NULL)
			abort();
		*own = (struct sim_lock){.next = file->locks, .byte = byte, .owner = owner};
		file->locks = own;
	}
	own->shared = shared;
	return 0;
}

static void unlock(struct sim_inode *file, const uint64_t *byte, const void *owner)
{
	for (struct sim_lock **lockp = &file->locks; *lockp != NULL;) {
		struct sim_lock *lock = *lockp;

		if (lock->owner != owner || (byte != NULL && lock->byte != *byte)) {
			lockp = &lock->next;
			continue;
		}
		*lockp = lock->next;
		free(lock);
	}
}

void sim_file_unlock(struct sim_inode *file, uint64_t byte, const void *owner)
{
	unlock(file, &byte, owner);
}

void sim_file_unlock_all(struct sim_inode *file, const void *owner)
{
	unlock(file, NULL, owner);
}
