/* SPDX-License-Identifier: MIT */
/* A ring: the byte at an offset lies at that offset modulo the size. Owns its memory, and knows nothing of connections. */
#include "client/replay.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lb_replay_start(struct lb_replay *replay, uint64_t offset, size_t size)
{
	if (replay->bytes != NULL && replay->size != size)
		lb_replay_stop(replay);
	if (replay->bytes == NULL)
		replay->bytes = malloc(size);
	if (replay->bytes == NULL)
		return -ENOMEM;
	replay->size = size;
	replay->from = replay->to = offset;
	return 0;
}

void lb_replay_stop(struct lb_replay *replay)
{
	free(replay->bytes);
	replay->bytes = NULL;
}

size_t lb_replay_room(const struct lb_replay *replay)
{
	return replay->size - (size_t)(replay->to - replay->from);
}

/* How many bytes there are until the ring's memory begins again, `len` at most. */
static size_t in_a_row(const struct lb_replay *replay, uint64_t offset, uint64_t len)
{
	size_t rest = replay->size - (size_t)(offset % replay->size);

	return len < rest ? (size_t)len : rest;
}

void lb_replay_put(struct lb_replay *replay, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		size_t n = in_a_row(replay, replay->to, len);

		memcpy(replay->bytes + replay->to % replay->size, bytes, n);
		replay->to += n;
		bytes += n;
		len -= n;
	}
}

void lb_replay_drop(struct lb_replay *replay, uint64_t offset)
{
	if (offset > replay->from)
		replay->from = offset < replay->to ? offset : replay->to;
}

const uint8_t *lb_replay_at(const struct lb_replay *replay, uint64_t offset, size_t *lenp)
{
	*lenp = in_a_row(replay, offset, replay->to - offset);
	return replay->bytes + offset % replay->size;
}
