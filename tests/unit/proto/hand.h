/* SPDX-License-Identifier: MIT */
/* A server's machine whose client is written by hand, frame by frame. */
#ifndef PROTO_HAND_H
#define PROTO_HAND_H

#include "pair.h"

struct pair *hand_alone(struct lb_conn_options options);   /* not greeted */
struct pair *hand_greeted(struct lb_conn_options options); /* with both features offered */
/* A delivery with handle 1, number 1, "name" and this length is open. */
struct pair *hand_open_one(struct lb_conn_options options, uint64_t length);

void hand_say_hello(struct pair *pair, struct lb_hello hello);
void hand_say_begin(struct pair *pair, uint32_t handle, struct lb_begin begin);
void hand_say_commit(struct pair *pair, uint32_t handle, uint64_t length);
void hand_say_resolve(struct pair *pair, uint32_t handle, const struct lb_uuid *ledger);

/* The server has answered with REFUSED, and with nothing else. */
void hand_refused_with(struct pair *pair, uint32_t handle, enum lb_reason reason);
/* Its machine asks to roll back for this reason, and then answers with REFUSED. */
void hand_doomed_with(struct pair *pair, uint32_t handle, enum lb_reason reason);

#endif
