/* SPDX-License-Identifier: MIT */
/* Picks the variant of XXH3 that this processor runs fastest. Owns no state. */
#include "base/digest.h"
#include "base/digest_variant.h"

_Static_assert(
	sizeof(((struct lb_hasher *)0)->state) == LB_HASHER_SIZE, "digest.h and digest_variant.h differ");

#ifdef __x86_64__
#define PICK(call, ...)                                                                                      \
	do {                                                                                                 \
		if (__builtin_cpu_supports("avx512f"))                                                       \
			lb_xxh3_##call##_avx512(__VA_ARGS__);                                                \
		else if (__builtin_cpu_supports("avx2"))                                                     \
			lb_xxh3_##call##_avx2(__VA_ARGS__);                                                  \
		else                                                                                         \
			lb_xxh3_##call##_base(__VA_ARGS__);                                                  \
	} while (0)
#else
#define PICK(call, ...) lb_xxh3_##call##_base(__VA_ARGS__)
#endif

void lb_hasher_init(struct lb_hasher *hasher)
{
	PICK(init, hasher->state);
}

void lb_hasher_update(struct lb_hasher *hasher, const void *buf, size_t len)
{
	PICK(update, hasher->state, buf, len);
}

void lb_hasher_digest(const struct lb_hasher *hasher, struct lb_digest *digestp)
{
	PICK(digest, hasher->state, digestp->bytes);
}
