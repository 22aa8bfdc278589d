/* SPDX-License-Identifier: MIT */
/* The bytes of a stream that the other end may lose: those after the last offset that it has made durable. Bounded. */
#ifndef CLIENT_REPLAY_H
#define CLIENT_REPLAY_H

#include <stddef.h>
#include <stdint.h>

struct lb_replay {
	uint8_t *bytes; /* NULL: nothing is kept */
	size_t   size;
	uint64_t from, to; /* offsets in the stream: what it has */
};

/* Empty, at an offset, with room for `size` bytes. 0, or -ENOMEM: nothing is kept. */
int  lb_replay_start(struct lb_replay *replay, uint64_t offset, size_t size);
void lb_replay_stop(struct lb_replay *replay);

size_t lb_replay_room(const struct lb_replay *replay);
void   lb_replay_put(struct lb_replay *replay, const uint8_t *bytes,
	  size_t len);                                            /* at most as many as there is room for */
void   lb_replay_drop(struct lb_replay *replay, uint64_t offset); /* what lies before it */

/* Some of the bytes from `offset` on, which it has; they stay where they are until they are dropped. */
const uint8_t *lb_replay_at(const struct lb_replay *replay, uint64_t offset, size_t *lenp);

#endif
