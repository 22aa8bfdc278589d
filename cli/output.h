/* SPDX-License-Identifier: MIT */
/* Files that are written whole or not at all: under another name beside it, and then renamed. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stddef.h>

/* Whether the file can be written: 0 or a negative errno. Leaves nothing behind. */
int lb_output_check(const char *path);

/* Writes it. After an error a file that was there before is as it was. 0 or a negative errno. */
int lb_output_write(const char *path, const char *data, size_t len);

#endif
