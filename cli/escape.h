/* SPDX-License-Identifier: MIT */
/* Bytes as people write them in C: "QUIT\r\n". */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H

#include <stddef.h>

/* Any bytes. */
struct lb_bytes {
	const char *bytes;
	size_t      len;
};

/* Replaces the escapes in text by what they stand for, in place: what is there then is *bytesp. NULL, or where the
 * first wrong escape begins, in the text as it was. */
const char *lb_escape_read(char *text, struct lb_bytes *bytesp);

#endif
