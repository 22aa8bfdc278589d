/* SPDX-License-Identifier: MIT */
/* The scenario `request`: one request, sent in one of the ways of ways.h, and its answer. */
#ifndef LAB_REQUEST_H
#define LAB_REQUEST_H

#include "lab/cell.h"

/*
 * Plays it over a connection that link_connect has just made, both ends here: fds[0] sends and closes once the answer
 * is there, fds[1] is a thread of its own until it has seen that. Consumes both. play->zero is set by the caller, and
 * so is what is captured and counted: all from the bytes' first segment on to both FINs is this request's. Fills bytes,
 * calls, peer_end, and `blocked`: from the first call that sends until the answer.
 *
 * way  one of ways_names. Returns 0, -EINVAL for any other, or a negative errno of what failed.
 */
LB_CHECKED int lab_request(const int fds[2], const char *way, struct lab_play *play);

#endif
