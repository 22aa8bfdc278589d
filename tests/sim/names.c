/* SPDX-License-Identifier: MIT */
/*
 * Names on the simulated disk: directories, and the changes that a loss of power may undo. A change is durable once
 * the directory that it ends in is synced, with every earlier change that it builds on. Owns no file content.
 */
#include "sim/names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim_name *find(const struct sim_names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->at[i].text, name) == 0)
			return &names->at[i];
	return NULL;
}

void sim_names_set(struct sim_names *names, const char *name, struct sim_inode *inode)
{
	struct sim_name *entry = find(names, name);

	if (entry != NULL && inode != NULL) {
		entry->inode = inode;
	} else if (entry != NULL) {
		free(entry->text);
		*entry = names->at[--names->n];
	} else if (inode != NULL) {
		if (names->n == names->room) {
			names->room = names->room == 0 ? 8 : names->room * 2;
			names->at = sim_realloc(names->at, names->room * sizeof *names->at);
		}
		names->at[names->n++] = (struct sim_name){.text = strdup(name), .inode = inode};
	}
}

void sim_names_free(struct sim_names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->at[i].text);
	free(names->at);
	*names = (struct sim_names){0};
}

void sim_names_copy(struct sim_names *names, const struct sim_names *from)
{
	for (size_t i = 0; i < from->n; i++)
		sim_names_set(names, from->at[i].text, from->at[i].inode->twin);
}

struct sim_inode *sim_dir_find(const struct sim_inode *dir, const char *name)
{
	struct sim_name *entry = find(&dir->names, name);

	return entry == NULL ? NULL : entry->inode;
}

static void free_change(struct sim_change *change)
{
	for (int i = 0; i < change->steps; i++)
		free(change->step[i].name);
	free(change);
}

static void unlink_change(struct sim_disk *disk, struct sim_change **changep)
{
	struct sim_change *change = *changep;

	*changep = change->next;
	if (disk->last_change == &change->next)
		disk->last_change = changep;
	free_change(change);
}

static struct sim_change *new_change(struct sim_disk *disk)
{
	struct sim_change *change = calloc(1, sizeof *change);

	if (change == NULL)
		abort();
	*disk->last_change = change;
	disk->last_change = &change->next;
	return change;
}

static void add_step(
	struct sim_change *change, struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
	change->step[change->steps++] = (struct sim_step){.dir = dir, .inode = inode, .name = strdup(name)};
}

static void apply(const struct sim_change *change)
{
	for (int i = 0; i < change->steps; i++)
		sim_names_set(
			&change->step[i].dir->stable_names, change->step[i].name, change->step[i].inode);
}

/* Whether `later` cannot be without `before`. */
static bool builds_on(const struct sim_change *later, const struct sim_change *before)
{
	for (int i = 0; i < before->steps; i++) {
		if (later->emptied == before->step[i].dir)
			return true;
		for (int k = 0; k < later->steps; k++)
			if (later->step[k].dir == before->step[i].dir &&
				strcmp(later->step[k].name, before->step[i].name) == 0)
				return true;
	}
	return false;
}

void sim_changes_copy(struct sim_disk *disk, const struct sim_disk *from)
{
	for (const struct sim_change *change = from->changes; change != NULL; change = change->next) {
		struct sim_change *twin = new_change(disk);

		for (int i = 0; i < change->steps; i++) {
			const struct sim_step *step = &change->step[i];

			add_step(twin, step->dir->twin, step->name,
				step->inode == NULL ? NULL : step->inode->twin);
		}
		twin->emptied = change->emptied == NULL ? NULL : change->emptied->twin;
	}
}

void sim_changes_free(struct sim_disk *disk)
{
	while (disk->changes != NULL)
		unlink_change(disk, &disk->changes);
}

/* Keeps a part of them at random; `mark`: dropped. */
void sim_changes_lose(struct sim_disk *disk, unsigned percent_kept)
{
	for (struct sim_change *change = disk->changes; change != NULL; change = change->next) {
		change->mark = !sim_chance(disk->world, percent_kept);
		for (struct sim_change *before = disk->changes; before != change; before = before->next)
			if (before->mark && builds_on(change, before))
				change->mark = true;
		if (!change->mark)
			apply(change);
	}
	sim_changes_free(disk);
}

/* Marks from `change` on, in order of time, what a sync of `dir` makes durable, and tells whether it marked any. */
static void mark_synced(struct sim_change *change, const struct sim_inode *dir)
{
	if (change == NULL)
		return;
	mark_synced(change->next, dir);
	change->mark = change->step[change->steps - 1].dir == dir;
	for (struct sim_change *later = change->next; later != NULL && !change->mark; later = later->next)
		change->mark = later->mark && builds_on(later, change);
}

int sim_disk_sync_dir(struct sim_disk *disk, struct sim_inode *dir)
{
	mark_synced(disk->changes, dir);
	for (struct sim_change **changep = &disk->changes; *changep != NULL;) {
		if (!(*changep)->mark) {
			changep = &(*changep)->next;
			continue;
		}
		apply(*changep);
		unlink_change(disk, changep);
	}
	return 0;
}

static void show(struct sim_disk *disk, struct sim_inode *dir, const char *name, struct sim_inode *inode)
{
	const struct sim_inode *before = sim_dir_find(dir, name);

	sim_names_set(&dir->names, name, inode);
	if (disk->watch != NULL && inode != NULL && !inode->is_dir &&
		sim_dir_find(disk->root, disk->watch) == dir)
		disk->placed(disk->arg, name, inode, before);
}

int sim_disk_create(struct sim_disk *disk, struct sim_inode *dir, const char *name, bool is_dir,
	struct sim_inode **inodep)
{
	struct sim_inode *inode;

	if (disk->read_only)
		return -EROFS;
	if (find(&dir->names, name) != NULL)
		return -EEXIST;
	if (disk->used >= disk->room && sim_chance(disk->world, 50))
		return -ENOSPC;
	inode = calloc(1, sizeof *inode);
	if (inode == NULL)
		abort();
	inode->number = disk->next_number++;
	inode->is_dir = is_dir;
	inode->last_dirty = &inode->dirty;
	inode->next = disk->inodes;
	disk->inodes = inode;
	add_step(new_change(disk), dir, name, inode);
	show(disk, dir, name, inode);
	*inodep = inode;
	return 0;
}

int sim_disk_remove(struct sim_disk *disk, struct sim_inode *dir, const char *name, bool is_dir)
{
	struct sim_inode *inode = sim_dir_find(dir, name);
	struct sim_change *change;

	if (disk->read_only)
		return -EROFS;
	if (inode == NULL)
		return -ENOENT;
	if (inode->is_dir != is_dir)
		return is_dir ? -ENOTDIR : -EISDIR;
	if (inode->names.n > 0)
		return -ENOTEMPTY;
	change = new_change(disk);
	add_step(change, dir, name, NULL);
	if (is_dir)
		change->emptied = inode;
	disk->used -= inode->seen.len < disk->used ? inode->seen.len : disk->used;
	show(disk, dir, name, NULL);
	return 0;
}

int sim_disk_rename(struct sim_disk *disk, struct sim_inode *dir, const char *name, struct sim_inode *new_dir,
	const char *new_name, bool replace)
{
	struct sim_inode *inode = sim_dir_find(dir, name), *there = sim_dir_find(new_dir, new_name);
	struct sim_change *change;

	if (disk->read_only)
		return -EROFS;
	if (inode == NULL)
		return -ENOENT;
	if (there != NULL && !replace)
		return -EEXIST;
	if (there != NULL && there->is_dir != inode->is_dir)
		return inode->is_dir ? -ENOTDIR : -EISDIR;
	if (there != NULL && there->names.n > 0)
		return -ENOTEMPTY;
	if (there == inode)
		return 0;
	change = new_change(disk);
	add_step(change, dir, name, NULL);
	add_step(change, new_dir, new_name, inode);
	if (there != NULL && there->is_dir)
		change->emptied = there;
	show(disk, dir, name, NULL);
	show(disk, new_dir, new_name, inode);
	return 0;
}

/* The journal of a real file system gives up then, in one of two ways. */
void sim_disk_fail_dir(struct sim_disk *disk)
{
	disk->read_only = sim_chance(disk->world, 50);
}
