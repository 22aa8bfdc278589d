/* SPDX-License-Identifier: MIT */
/* SQLite on a simulated process: its files, locks, clock and randomness. */
#ifndef SIM_VFS_H
#define SIM_VFS_H

#include "sim/machine.h"

struct sim_vfs;

/* The process's: known to SQLite by its name, and the default until it is freed. */
void sim_vfs_new(struct sim_process *process);
void sim_vfs_free(struct sim_vfs *vfs);
/* At the death of its process: what that writes from now on to the memory it shares, the others do not see. */
void sim_vfs_die(struct sim_vfs *vfs);

#endif
