/* SPDX-License-Identifier: MIT */
/*
 * spool.h - keeps the packets of many cells in one file without a name, so that a run that does not come to its end
 * leaves nothing behind; then each cell gets a file of its own.
 */
#ifndef LAB_SPOOL_H
#define LAB_SPOOL_H

#include <lastbyte/base.h>

struct lab_spool;

/* For files in the directory `dir`, in which there has to be room for twice of them. 0 or a negative errno. */
LB_CHECKED int lab_spool_new(const char *dir, struct lab_spool **spoolp);
void           lab_spool_free(struct lab_spool *spool); /* NULL is fine */

/* Keeps what the file `fd` holds, to be called `name`. 0 or a negative errno, which lab_spool_write returns again. */
int lab_spool_add(struct lab_spool *spool, const char *name, int fd);

/* Writes all files, each whole or not at all; one of the same name is replaced. 0 or a negative errno. */
LB_CHECKED int lab_spool_write(struct lab_spool *spool);

#endif
