/* SPDX-License-Identifier: MIT */
/* SQLite on a simulated process: its files, locks, clock and randomness. */
#ifndef SIM_VFS_H
#define SIM_VFS_H

#include "sim/machine.h"

struct sim_vfs;

/* Known to SQLite by the process's name, and its default until it is freed. */
struct sim_vfs *sim_vfs_new(struct sim_process *process);
void            sim_vfs_free(struct sim_vfs *vfs);

#endif
