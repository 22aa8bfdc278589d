/* SPDX-License-Identifier: MIT */
/* `lastbyte send --lines` and `--records`: each record of one input is a delivery of its own. */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "deliver.h"
#include "lines_open.h"
#include "tell.h"

#define LB_LINES_MOST (16 * 1024 * 1024) /* bytes of a record: what --replay keeps by default */

/* Delivers the records of `path` ("-": standard input): its lines, or `prefixed` by their lengths. Of a file, goes on where
 * an earlier run has ended. Each verdict is told when it comes. Returns the exit code. */
int lb_lines(struct lb_sending *sending, struct lb_telling *telling, const char *path, const char *name,
	bool prefixed);

#endif
