/* SPDX-License-Identifier: MIT */
/* initramfs.h - the guest's first file system: see kernel.h. */
#ifndef LAB_INITRAMFS_H
#define LAB_INITRAMFS_H

#include "lab/link.h"

/*
 * A file in memory with our own executable as /lastbyte, the libraries that this process has, where they are, and the
 * modules of tun and veth of the kernel `version` beside vmlinuz, in /modules. `line` hears which ones are not to be had.
 * libraries: gets the folders that the libraries lie in, as in LD_LIBRARY_PATH. Returns a descriptor or a negative errno.
 */
LB_CHECKED int lab_initramfs_new(const char *vmlinuz, const char *version, char libraries[1024],
	void (*line)(void *arg, const char *text), void *arg, char why[LINK_WHY]);

#endif
