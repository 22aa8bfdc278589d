/* SPDX-License-Identifier: MIT */
/* XXH3 128 bits over a stream, by the widest vector instructions that the processor has. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <lastbyte/base.h>

struct lb_hasher {
	_Alignas(64) unsigned char state[576];
};

void lb_hasher_init(struct lb_hasher *hasher);
void lb_hasher_update(struct lb_hasher *hasher, const void *buf, size_t len);
void lb_hasher_digest(const struct lb_hasher *hasher, struct lb_digest *digestp); /* may go on afterwards */

#endif
