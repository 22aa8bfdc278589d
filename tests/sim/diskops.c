/* SPDX-License-Identifier: MIT */
/*
 * What a process can do with its machine's disk: the table lb_disk_ops, with descriptors, paths, locks that wait,
 * and errors. Owns the descriptors; disk.c and names.c have what is behind them.
 */
#include "sim/machine.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A call on what is not open is a mistake of the code under test, whatever comes of it. */
static struct sim_open_file *file_of(struct sim_process *process, int fd, const char *what)
{
	if (fd < 0 || fd >= SIM_FILES || process->files[fd].inode == NULL)
		sim_violation(process->world, 11, "%s: %s of descriptor %d, which is not open", process->name,
			what, fd);
	return &process->files[fd];
}

/* Before an operation on an open file. NULL: the process is dead. */
static struct sim_open_file *step(struct sim_process *process, int fd, enum sim_op op, const char *what)
{
	return sim_process_step(process, op) ? file_of(process, fd, what) : NULL;
}

/* The directory that a name lies in, and the name's last part. */
static int find_dir(struct sim_process *process, int dirfd, const char *path, struct sim_inode **dirp,
	char name[LB_NAME_MAX + 1])
{
	struct sim_inode *dir = process->machine->disk->root;

	if (dirfd != LB_HERE)
		dir = file_of(process, dirfd, "a name")->inode;
	for (;;) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!dir->is_dir)
			return -ENOTDIR;
		if (len > LB_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		if (path[strspn(path, "/")] == '\0') {
			*dirp = dir;
			return 0;
		}
		dir = sim_dir_find(dir, name);
		if (dir == NULL)
			return -ENOENT;
	}
}

static struct sim_inode *find_inode(struct sim_inode *dir, const char *name)
{
	return name[0] == '\0' || strcmp(name, ".") == 0 ? dir : sim_dir_find(dir, name);
}

static int open_inode(struct sim_process *process, struct sim_inode *inode, unsigned flags)
{
	for (int fd = 3; fd < SIM_FILES; fd++) {
		if (process->files[fd].inode != NULL)
			continue;
		process->files[fd] =
			(struct sim_open_file){.inode = inode, .flags = flags, .errors = inode->errors};
		return fd;
	}
	return -EMFILE;
}

static int disk_open(struct lb_host *host, int dirfd, const char *path, unsigned flags)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_disk *disk = process->machine->disk;
	struct sim_inode *dir, *inode;
	char name[LB_NAME_MAX + 1];
	int result;

	if (!sim_process_step(
		    process, (flags & (LB_OPEN_CREATE | LB_OPEN_NEW)) != 0 ? SIM_OP_NAME : SIM_OP_READ))
		return -EIO;
	result = find_dir(process, dirfd, path, &dir, name);
	if (result != 0)
		return result;
	inode = find_inode(dir, name);
	if (inode != NULL && (flags & LB_OPEN_NEW) != 0)
		return -EEXIST;
	if (inode == NULL && (flags & (LB_OPEN_CREATE | LB_OPEN_NEW)) == 0)
		return -ENOENT;
	if (inode == NULL) {
		result = sim_disk_create(disk, dir, name, false, &inode);
		sim_trace(process->world, "%s: create %s: %d", process->name, path, result);
		if (result != 0)
			return result;
	}
	if (inode->is_dir != ((flags & LB_OPEN_DIR) != 0))
		return inode->is_dir ? -EISDIR : -ENOTDIR;
	return open_inode(process, inode, flags);
}

static void disk_close(struct lb_host *host, int fd)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file;

	if (process->dead)
		return;
	file = file_of(process, fd, "close");
	sim_file_unlock_all(file->inode, file);
	file->inode = NULL;
	for (struct sim_process *other = process->machine->processes; other != NULL; other = other->next)
		sim_process_notify(other);
}

static ssize_t disk_read(struct lb_host *host, int fd, void *buf, size_t len, uint64_t offset)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_READ, "read");

	if (file == NULL)
		return -EIO;
	return (ssize_t)sim_file_read(file->inode, buf, len, offset);
}

static int disk_write(struct lb_host *host, int fd, const void *buf, size_t len, uint64_t offset)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_WRITE, "write");

	if (file == NULL)
		return -EIO;
	if ((file->flags & LB_OPEN_WRITE) == 0)
		return -EBADF;
	return sim_file_write(process->machine->disk, file->inode, buf, len, offset);
}

static int disk_append(struct lb_host *host, int fd, const void *buf, size_t len)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_WRITE, "append");

	if (file == NULL)
		return -EIO;
	if ((file->flags & LB_OPEN_APPEND) == 0)
		return -EBADF;
	return sim_file_write(process->machine->disk, file->inode, buf, len, file->inode->seen.len);
}

static int disk_truncate(struct lb_host *host, int fd, uint64_t size)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_WRITE, "truncate");

	if (file == NULL)
		return -EIO;
	return sim_file_truncate(process->machine->disk, file->inode, size);
}

static int disk_sync(struct lb_host *host, int fd)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_SYNC, "sync");
	struct sim_disk *disk = process->machine->disk;

	if (file == NULL)
		return -EIO;
	if (disk->read_only && file->inode->is_dir)
		return -EIO;
	if (sim_below(process->world, 1000) < process->machine->sync_errors) {
		sim_trace(process->world, "%s: a sync fails", process->name);
		if (file->inode->is_dir)
			sim_disk_fail_dir(disk);
		else
			sim_file_fail_sync(disk, file->inode);
		file->errors = file->inode->errors;
		return -EIO;
	}
	if (file->errors != file->inode->errors) { /* of another descriptor's sync */
		file->errors = file->inode->errors;
		return -EIO;
	}
	if (file->inode->is_dir)
		return sim_disk_sync_dir(disk, file->inode);
	sim_file_sync(file->inode);
	return 0;
}

static int disk_stat(struct lb_host *host, int dirfd, const char *path, struct lb_file_stat *statp)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_inode *dir, *inode;
	char name[LB_NAME_MAX + 1];
	int result;

	if (!sim_process_step(process, SIM_OP_READ))
		return -EIO;
	result = find_dir(process, dirfd, path, &dir, name);
	if (result != 0)
		return result;
	inode = find_inode(dir, name);
	if (inode == NULL)
		return -ENOENT;
	*statp = (struct lb_file_stat){.is_dir = inode->is_dir,
		.size = inode->seen.len,
		.inode = inode->number,
		.device = process->machine->address};
	return 0;
}

static int disk_mkdir(struct lb_host *host, int dirfd, const char *path, unsigned mode)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_inode *dir, *inode;
	char name[LB_NAME_MAX + 1];
	int result;

	(void)mode;
	if (!sim_process_step(process, SIM_OP_NAME))
		return -EIO;
	result = find_dir(process, dirfd, path, &dir, name);
	if (result == 0 && name[0] == '\0')
		result = -EEXIST;
	if (result == 0)
		result = sim_disk_create(process->machine->disk, dir, name, true, &inode);
	sim_trace(process->world, "%s: mkdir %s: %d", process->name, path, result);
	return result;
}

static int remove_name(struct lb_host *host, int dirfd, const char *path, bool is_dir)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_inode *dir;
	char name[LB_NAME_MAX + 1];
	int result;

	if (!sim_process_step(process, SIM_OP_NAME))
		return -EIO;
	result = find_dir(process, dirfd, path, &dir, name);
	if (result == 0)
		result = sim_disk_remove(process->machine->disk, dir, name, is_dir);
	sim_trace(process->world, "%s: remove %s: %d", process->name, path, result);
	return result;
}

static int disk_unlink(struct lb_host *host, int dirfd, const char *path)
{
	return remove_name(host, dirfd, path, false);
}

static int disk_rmdir(struct lb_host *host, int dirfd, const char *path)
{
	return remove_name(host, dirfd, path, true);
}

static int disk_rename(
	struct lb_host *host, int dirfd, const char *path, int new_dirfd, const char *new_path, bool replace)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_inode *dir, *new_dir;
	char name[LB_NAME_MAX + 1], new_name[LB_NAME_MAX + 1];
	int result;

	if (!sim_process_step(process, SIM_OP_NAME))
		return -EIO;
	result = find_dir(process, dirfd, path, &dir, name);
	if (result == 0)
		result = find_dir(process, new_dirfd, new_path, &new_dir, new_name);
	if (result == 0)
		result = sim_disk_rename(process->machine->disk, dir, name, new_dir, new_name, replace);
	sim_trace(process->world, "%s: rename %s to %s: %d", process->name, path, new_path, result);
	return result;
}

/* In no order that anybody could rely on; of the names as they are at the start. */
static int disk_list(struct lb_host *host, int dirfd, int (*entry)(void *arg, const char *name), void *arg)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, dirfd, SIM_OP_READ, "list");
	struct sim_names *names;
	size_t n, first;
	char **copy;
	int result = 0;

	if (file == NULL)
		return -EIO;
	names = &file->inode->names;
	n = names->n;
	first = (size_t)sim_below(process->world, n);
	copy = calloc(n + 1, sizeof *copy);
	if (copy == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		copy[i] = strdup(names->at[(first + i) % n].text);
	for (size_t i = 0; i < n && result == 0; i++)
		result = entry(arg, copy[i]);
	for (size_t i = 0; i < n; i++)
		free(copy[i]);
	free(copy);
	return result;
}

static int disk_lock(struct lb_host *host, int fd, uint64_t byte, bool wait)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_NAME, "lock");
	int result;

	if (file == NULL)
		return -EIO;
	while ((result = sim_file_lock(file->inode, byte, false, file)) == -EAGAIN && wait) {
		sim_process_wait(process, LB_NEVER);
		if (process->dead)
			return -EIO;
	}
	return result;
}

static int disk_unlock(struct lb_host *host, int fd, uint64_t byte)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_open_file *file = step(process, fd, SIM_OP_NAME, "unlock");

	if (file == NULL)
		return -EIO;
	sim_file_unlock(file->inode, byte, file);
	for (struct sim_process *other = process->machine->processes; other != NULL; other = other->next)
		sim_process_notify(other);
	return 0;
}

static bool disk_durable(struct lb_host *host, int fd)
{
	(void)host;
	(void)fd;
	return true;
}

const struct lb_disk_ops sim_disk_ops = {
	.open = disk_open,
	.close = disk_close,
	.read = disk_read,
	.write = disk_write,
	.append = disk_append,
	.sync = disk_sync,
	.truncate = disk_truncate,
	.stat = disk_stat,
	.mkdir = disk_mkdir,
	.unlink = disk_unlink,
	.rmdir = disk_rmdir,
	.rename = disk_rename,
	.list = disk_list,
	.lock = disk_lock,
	.unlock = disk_unlock,
	.durable = disk_durable,
};
