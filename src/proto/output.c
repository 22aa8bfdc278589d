/* SPDX-License-Identifier: MIT */
/* The queue of output.h. Knows nothing of frames; who fills it sees to the room. */
#include "proto/output.h"
#include <string.h>

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* `offset` counts from the head. */
static void place(struct lb_output *output, size_t offset, const void *bytes, size_t len)
{
	size_t at = output->head + offset, first;

	if (at >= output->size)
		at -= output->size;
	first = at_most(len, output->size - at);
	memcpy(output->ring + at, bytes, first);
	if (first < len)
		memcpy(output->ring, (const uint8_t *)bytes + first, len - first);
}

void lb_output_put(struct lb_output *output, const void *bytes, size_t len)
{
	place(output, output->used, bytes, len);
	output->used += len;
}

void lb_output_patch(struct lb_output *output, uint64_t position, uint32_t value)
{
	size_t at = (size_t)(position - output->written);

	if (output->payload != NULL && at >= output->before)
		at -= output->payload_len;
	at += output->head;
	for (int shift = 24; shift >= 0; shift -= 8, at++)
		output->ring[at < output->size ? at : at - output->size] = (uint8_t)(value >> shift);
}

void lb_output_refer(struct lb_output *output, const void *payload, size_t len)
{
	output->payload = payload;
	output->payload_len = len;
	output->before = output->used;
}

/* The bytes of the ring from `offset` (counted from its head) to `end`. */
static int ring_vectors(const struct lb_output *output, size_t offset, size_t end, struct iovec *iov, int max)
{
	int n = 0;

	while (offset < end && n < max) {
		size_t at = output->head + offset;

		if (at >= output->size)
			at -= output->size;
		iov[n].iov_base = output->ring + at;
		iov[n].iov_len = at_most(end - offset, output->size - at);
		offset += iov[n++].iov_len;
	}
	return n;
}

int lb_output_vectors(const struct lb_output *output, struct iovec *iov, int max)
{
	size_t before = output->payload != NULL ? output->before : output->used;
	int n = ring_vectors(output, 0, before, iov, max);

	if (output->payload != NULL && n < max) {
		iov[n].iov_base = (void *)(uintptr_t)output->payload;
		iov[n++].iov_len = output->payload_len;
	}
	return n + ring_vectors(output, before, output->used, iov + n, max - n);
}

static void drop(struct lb_output *output, size_t len)
{
	output->head += len;
	if (output->head >= output->size)
		output->head -= output->size;
	output->used -= len;
	if (output->used == 0)
		output->head = 0; /* one piece again, and bytes that are in the cache */
}

void lb_output_wrote(struct lb_output *output, size_t len)
{
	size_t n;

	output->written += len;
	if (output->payload != NULL) {
		n = at_most(len, output->before);
		drop(output, n);
		output->before -= n;
		len -= n;
		n = at_most(len, output->payload_len);
		output->payload += n;
		output->payload_len -= n;
		len -= n;
		if (output->payload_len == 0)
			output->payload = NULL;
	}
	drop(output, len);
}

void lb_output_cut(struct lb_output *output, uint64_t end)
{
	size_t keep = (size_t)(end - output->written);

	if (output->payload != NULL && keep <= output->before) {
		output->payload = NULL;
		output->payload_len = 0;
	}
	output->used = keep - output->payload_len;
}
