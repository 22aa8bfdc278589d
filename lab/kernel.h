/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - the lab on another kernel: `lastbyte lab` runs once more in a virtual machine (QEMU) that this kernel
 * boots, with nothing in it but our own executable, the libraries that it uses, and the modules that the links need.
 *
 *	lab_kernel_run      the host: makes the guest's first file system, runs it, and takes the document from it
 *	lab_kernel_guest    the guest: what `lastbyte lab --guest ARGUMENTS` does as the first process
 *
 * The guest has two serial ports: what its kernel and its lab print comes from the first one, line by line, and the
 * document from the second.
 */
#ifndef LAB_KERNEL_H
#define LAB_KERNEL_H

#include "lab/link.h"
#include <jansson.h>

struct lab_kernel {
	/*
	 * A bzImage for x86-64. Its modules are looked for in ../lib/modules/VERSION and ../usr/lib/modules/VERSION
	 * beside it; without them there is no link in the guest but loopback, and a line says so.
	 */
	const char *vmlinuz;
	char *const
		*args; /* for the guest's `lastbyte lab`, NULL is last; neither spaces nor quotes in them */
	int      stop; /* a descriptor that is readable when the guest shall be killed; -1: none */
	void (*line)(void *arg, const char *text); /* is called for every line that the guest prints */
	void *arg;
};

/*
 * Blocks until the guest has ended: QEMU's emulation takes minutes where KVM cannot be had. A guest that says nothing
 * for 5 minutes, or runs for 3 hours, is killed; it also dies with the thread that calls this. The document is the
 * guest's, whole, and the caller's to json_decref.
 *
 * 0; -EINTR: it was to stop; or another negative errno, and `why` says what was wrong.
 */
LB_CHECKED int lab_kernel_run(const struct lab_kernel *kernel, json_t **documentp, char why[LINK_WHY]);

/* Runs the lab as the guest's first process and turns the machine off. Returns only to whoever is not that: -EPERM. */
int lab_kernel_guest(char *const args[]);

/* Whether this machine's first process is that: then the machine is the lab's own. */
bool lab_kernel_is_guest(void);

/* The version of the kernel in this image, as its modules' folder is called. For lab_kernel_run, and its tests. */
LB_CHECKED int lab_kernel_version(const char *vmlinuz, char version[65], char why[LINK_WHY]);

#endif
