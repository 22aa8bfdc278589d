/* SPDX-License-Identifier: MIT */
/* The functions that digest_variant.c defines for each instruction set. */
#ifndef BASE_DIGEST_VARIANT_H
#define BASE_DIGEST_VARIANT_H

#include <stddef.h>

#define LB_HASHER_SIZE 576

#define LB_DECLARE_VARIANT(variant)                                                                          \
	void lb_xxh3_init_##variant(void *state);                                                            \
	void lb_xxh3_update_##variant(void *state, const void *buf, size_t len);                             \
	void lb_xxh3_digest_##variant(const void *state, unsigned char out[16])

LB_DECLARE_VARIANT(base);
LB_DECLARE_VARIANT(avx2);
LB_DECLARE_VARIANT(avx512);

#endif
