/* SPDX-License-Identifier: MIT */
/* Records in a stream of bytes: each a length of 4 bytes, big-endian, and as many bytes. Counted in any pieces. */
#ifndef BENCH_RECORDS_H
#define BENCH_RECORDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RECORD_LENGTH 4

struct records {
	uint8_t  length[RECORD_LENGTH]; /* of the next one, as far as it has come */
	size_t   have;
	uint64_t left; /* bytes of the present one */
	uint64_t begun;
};

static inline void records_count(struct records *records, const uint8_t *in, size_t len)
{
	while (len > 0) {
		size_t skip = records->left < len ? (size_t)records->left : len, n;

		in += skip;
		len -= skip;
		records->left -= skip;
		n = RECORD_LENGTH - records->have < len ? RECORD_LENGTH - records->have : len;
		memcpy(records->length + records->have, in, n);
		records->have += n;
		in += n;
		len -= n;
		if (records->have < RECORD_LENGTH)
			return;
		records->have = 0;
		records->begun++;
		for (size_t i = 0; i < RECORD_LENGTH; i++)
			records->left = records->left << 8 | records->length[i];
	}
}

/* Whole records, of a stream that has ended. */
static inline uint64_t records_whole(const struct records *records)
{
	return records->begun - (records->left > 0);
}

#endif
