/* SPDX-License-Identifier: MIT */
/* Big-endian integers and byte strings: a put returns where the next byte goes, a get moves its cursor. */
#ifndef PROTO_BYTES_H
#define PROTO_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t *lb_put_be(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = bytes; i > 0; i--) {
		out[i - 1] = (uint8_t)value;
		value >>= 8;
	}
	return out + bytes;
}

static inline uint8_t *lb_put_bytes(uint8_t *out, const void *bytes, size_t len)
{
	memcpy(out, bytes, len);
	return out + len;
}

static inline uint64_t lb_get_be(const uint8_t **inp, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (*inp)[i];
	*inp += bytes;
	return value;
}

static inline void lb_get_bytes(const uint8_t **inp, void *bytes, size_t len)
{
	memcpy(bytes, *inp, len);
	*inp += len;
}

#endif
