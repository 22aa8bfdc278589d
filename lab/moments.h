/* SPDX-License-Identifier: MIT */
/* When calls of a play were made, and when its data left. */
#ifndef LAB_MOMENTS_H
#define LAB_MOMENTS_H

#include "lab/cell.h"

/* Our last call that begins so and has returned; or NULL. */
const struct lab_call *moment_call(const struct lab_play *play, const char *text);

/* Our last call that reads, if that ended so, as in "0"; or NULL. */
const struct lab_call *moment_read(const struct lab_play *play, const char *result);

/* When the last call returned by which the peer reads; or 0. */
lb_time moment_peer_read(const struct lab_play *play);

/* When the first data of the peer's arrived, or where that could not be seen, was written; or LB_NEVER. */
lb_time moment_peer_data(const struct lab_play *play);

/* Whether every segment was seen, data of ours among them, and none was lost: what waits then waits for no other reason. */
bool moment_has_data(const struct lab_play *play);

/* The least time from when a segment of ours left until it arrived. */
lb_time moment_one_way(const struct lab_play *play);

/* Bytes of our largest segment. */
uint32_t moment_largest(const struct lab_play *play);

/* When the last of our data arrived, as far as that is known; or 0. */
lb_time moment_arrived(const struct lab_play *play);

/* When our last segment with data left that was not sent again; and how long that was after the last of it was written. */
lb_time moment_left(const struct lab_play *play);
lb_time moment_waited(const struct lab_play *play);

#endif
