/* SPDX-License-Identifier: MIT */
/* What `lastbyte send` reads: a file that must stay as it is meanwhile, or a stream. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct lb_source {
	int         fd;
	bool        waits;  /* a pipe, a terminal, a socket: wait until it is readable */
	off_t       at;     /* where in the file it begins */
	uint64_t    length; /* bytes that lie ahead, or LB_UNKNOWN */
	uint64_t    got;    /* bytes read */
	bool        again;  /* opened once more, it begins at its beginning */
	int         error;  /* the errno of a read that failed */
	struct stat before;
};

/* Whether `path` can be read at all; NULL, or why not. Reads nothing and does not wait for a pipe's writer. */
const char *lb_source_check(const char *path);

/* Opens `path`, "-" for standard input. 0 or a negative errno. */
int  lb_source_open(struct lb_source *source, const char *path);
void lb_source_close(struct lb_source *source);

/* Bytes read, 0 at the end, -EAGAIN: nothing yet, or a negative errno. */
ssize_t lb_source_read(struct lb_source *source, void *buf, size_t len);

/* Of one that does not wait: what was read before, once more from `offset` on. Changes nothing; `arg` is a
 * struct lb_source. Returns as the above. */
ssize_t lb_source_read_again(void *arg, uint64_t offset, void *buf, size_t len);

/* Whether it is no longer the file, of the length and times, that it was when it was opened. */
bool lb_source_changed(const struct lb_source *source);

#endif
