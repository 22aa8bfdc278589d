/* SPDX-License-Identifier: MIT */
/* Copies of machines. Owns their disks and processes. */
#include "sim/copy.h"
#include "sim/vfs.h"
#include "base/test.h"
#include <string.h>

void sim_copy_start(struct sim_copy *copy, const struct sim_machine *machine, const char *name)
{
	memset(copy, 0, sizeof *copy);
	copy->machine = (struct sim_machine){.world = machine->world,
		.net = machine->net,
		.name = name,
		.address = machine->address,
		.up = true,
		.disk = sim_disk_copy(machine->disk)};
	copy->machine.disk->room = UINT64_MAX;
	copy->process = sim_process_new(&copy->machine, name, NULL);
	copy->process->instant = true;
	copy->bug = lb_test_bug;
	lb_test_bug = NULL;
	sim_vfs_new(copy->process);
}

void sim_copy_end(struct sim_copy *copy)
{
	lb_test_bug = copy->bug;
	sim_vfs_free(copy->process->vfs);
	sim_process_free(copy->process);
	sim_disk_free(copy->machine.disk);
}
