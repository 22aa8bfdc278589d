/* SPDX-License-Identifier: MIT */
/*
 * cpio.h - writes an archive that Linux unpacks into its first file system (initramfs): the "newc" format of cpio(1),
 * as the kernel's Documentation/driver-api/early-userspace/buffer-format.rst has it.
 *
 *	lab_cpio_file(out, "/bin/program", 0755, fd);
 *	lab_cpio_end(out);
 *	if (fflush(out) != 0)
 *		... it is not whole
 */
#ifndef LAB_CPIO_H
#define LAB_CPIO_H

#include <lastbyte/base.h>
#include <stdio.h>
#include <sys/types.h>

/* An empty folder, after the folders that it lies in. An archive may have a folder twice. */
void lab_cpio_folder(FILE *out, const char *path);

/* A file with what fd has from its beginning on, after the folders that it lies in. 0 or a negative errno, of reading. */
LB_CHECKED int lab_cpio_file(FILE *out, const char *path, mode_t permissions, int fd);

void lab_cpio_end(FILE *out);

#endif
