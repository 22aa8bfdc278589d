/* SPDX-License-Identifier: MIT */
/*
 * XXH3 from its header, compiled once for each instruction set (LB_VARIANT): inlined it is three times as
 * fast as Debian's shared library, which has only the baseline one.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "base/digest_variant.h"

#define JOIN(a, b)  a##b
#define NAME(a, b)  JOIN(a, b)
#define VARIANT(fn) NAME(fn, LB_VARIANT)

_Static_assert(sizeof(XXH3_state_t) <= LB_HASHER_SIZE, "the state of XXH3 has grown");

void VARIANT(lb_xxh3_update_)(void *state, const void *buf, size_t len)
{
	XXH3_128bits_update(state, buf, len);
}

void VARIANT(lb_xxh3_digest_)(const void *state, unsigned char out[16])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	memcpy(out, canonical.digest, 16);
}

void VARIANT(lb_xxh3_init_)(void *state)
{
	XXH3_INITSTATE((XXH3_state_t *)state);
	XXH3_128bits_reset(state);
}
