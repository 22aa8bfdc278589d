/* SPDX-License-Identifier: MIT */
/* The names of a simulated disk, and the changes of them that are not durable yet. */
#ifndef SIM_NAMES_H
#define SIM_NAMES_H

#include "sim/disk.h"

/* One name comes to mean another inode, or none. */
struct sim_step {
	struct sim_inode *dir, *inode;
	char             *name;
};

/* Done whole or not at all: a creation or a removal has one step, a rename two, the last one where it goes to. */
struct sim_change {
	struct sim_change *next;
	int                steps;
	struct sim_step    step[2];
	struct sim_inode  *emptied; /* a directory that is removed: depends on all that happened in it */
	bool               mark;
};

void sim_names_set(struct sim_names *names, const char *name, struct sim_inode *inode); /* NULL removes it */
void sim_names_free(struct sim_names *names);
void sim_names_copy(struct sim_names *names, const struct sim_names *from); /* to the twins of its inodes */
void sim_changes_copy(struct sim_disk *disk, const struct sim_disk *from);
void sim_changes_free(struct sim_disk *disk);
void sim_changes_lose(struct sim_disk *disk, unsigned percent_kept);

#endif
