/* SPDX-License-Identifier: MIT */
/* `lastbyte send --lines` and `--records`: each record of one input is a delivery of its own. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "deliver.h"
#include "tell.h"

#define LB_LINES_DIGITS 12 /* of the number that follows the name and a dot: so the names sort */
#define LB_LINES_MOST   (16 * 1024 * 1024) /* bytes of a record: what --replay keeps by default */

/* The name of one record; they count from 1. */
void lb_lines_name(const char *name, uint64_t index, char out[LB_NAME_MAX + 1]);

/* Delivers the records of `path` ("-": standard input): its lines, or `prefixed` by their lengths. Each verdict is told
 * when it comes. Returns the exit code. */
int lb_lines(struct lb_sending *sending, struct lb_telling *telling, const char *path, const char *name,
	bool prefixed);

#endif
