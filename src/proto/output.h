/* SPDX-License-Identifier: MIT */
/*
 * What waits to be written, in order: copied bytes in a ring, and at one place among them a payload that
 * stays with its owner.
 */
#ifndef PROTO_OUTPUT_H
#define PROTO_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct lb_output {
	uint8_t       *ring; /* the owner's, `size` bytes */
	size_t         size, head, used;
	const uint8_t *payload; /* what is left of it; NULL: none */
	size_t         payload_len;
	size_t         before;  /* bytes of the ring that go out before it */
	uint64_t       written; /* bytes since the beginning */
};

static inline size_t lb_output_room(const struct lb_output *output)
{
	return output->size - output->used;
}

/* The position in the stream at which the next byte put will be. */
static inline uint64_t lb_output_end(const struct lb_output *output)
{
	return output->written + output->used + output->payload_len;
}

/* len is at most the room. */
void lb_output_put(struct lb_output *output, const void *bytes, size_t len);

/* Puts other bytes in the place of what was put at `position`, and is not written yet. */
void lb_output_patch(struct lb_output *output, uint64_t position, uint32_t value);

/* Puts a payload that is not copied; there is none yet. */
void lb_output_refer(struct lb_output *output, const void *payload, size_t len);

/* At most 4 vectors cover all of it. */
int lb_output_vectors(const struct lb_output *output, struct iovec *iov, int max);

void lb_output_wrote(struct lb_output *output, size_t len);

/* Drops what was put from position `end` on, which was no place inside a payload. */
void lb_output_cut(struct lb_output *output, uint64_t end);

#endif
