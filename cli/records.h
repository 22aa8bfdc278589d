/* SPDX-License-Identifier: MIT */
/* The records of an input, each whole: its lines, or what a length of 4 bytes, big-endian, comes before. */
#ifndef CLI_RECORDS_H
#define CLI_RECORDS_H

#include "base/digest.h"
#include "source.h"
#include <stddef.h>

struct lb_records {
	struct lb_source source;
	bool             prefixed; /* by their lengths; else lines */
	bool             ended;    /* nothing more is read: of a file, what is added to it meanwhile is not */
	size_t           most;     /* bytes of a record */
	uint8_t         *buf;
	size_t           size, at, end; /* of buf; what was read and not cut lies from at to end */
	size_t           looked;        /* from at on, so many bytes have no newline */
	uint64_t         index, offset; /* of the record cut last, from 1 on; where in the input it begins */
	size_t           length;        /* bytes of the input that it takes, 0 before the first one */
	uint64_t         last;          /* record, once it has ended */
	struct lb_hasher before;        /* has seen everything before it */
};

/* Opens `path`, "-" for standard input. 0 or a negative errno. Close it in any case. */
int  lb_records_open(struct lb_records *records, const char *path, bool prefixed, size_t most);
void lb_records_close(struct lb_records *records);

/* The next record: 1; 0: it has not been read yet, or there is none any more (`ended`). -EMSGSIZE: it is longer than
 * `most`; -EBADMSG: the input ends within it. What *recordp points to stays until the next fill. */
int lb_records_cut(struct lb_records *records, const uint8_t **recordp, size_t *lenp);

/* Goes back in a file to where record `index` + 1 begins; `before` has seen what comes before that. 0 or a negative errno. */
int lb_records_back(
	struct lb_records *records, uint64_t index, uint64_t offset, const struct lb_hasher *before);

/* Reads on, once, if the last cut was 0. 0, or a negative errno; also when there was nothing to read yet. */
int lb_records_fill(struct lb_records *records);

#endif
