/* SPDX-License-Identifier: MIT */
/* modules.h - which files of a kernel's modules have to be loaded, and in what order: modules.dep(5). */
#ifndef LAB_MODULES_H
#define LAB_MODULES_H

#include <lastbyte/base.h>
#include <stdio.h>

#define LAB_MODULES 32

/* All zero is none. Whoever has one frees the paths. */
struct lab_modules {
	char    *path[LAB_MODULES]; /* as the list has them: "kernel/drivers/net/tun.ko.xz" */
	unsigned count;
};

/*
 * Adds the module of this name, after those that it needs; what is there is not added again. `list` is read from its
 * beginning: a modules.dep, or a modules.builtin, where no module needs another. 0; -ENOENT: it is not in the list;
 * -ENOMEM, -ENOSPC.
 */
LB_CHECKED int lab_modules_add(FILE *list, const char *name, struct lab_modules *modules);

void lab_modules_free(struct lab_modules *modules);

#endif
