/* SPDX-License-Identifier: MIT */
/* A client's and a server's machine back to back, and what tests say and ask about them. */
#ifndef PROTO_PAIR_H
#define PROTO_PAIR_H

#include "lib/cmocka.h"
#include "proto/machine.h"
#include <errno.h>
#include <string.h>

#define SECOND      INT64_C(1000000000)
#define PAIR_EVENTS 256

/* One machine, the events that it has given, and the bytes of its peer that it has not taken yet. */
struct side {
	struct lb_conn *conn;
	struct lb_event events[PAIR_EVENTS];
	size_t          n_events, next;
	uint8_t         data[4096]; /* of its DATA events, joined */
	size_t          data_len;
	uint8_t         stash[1 << 17];
	size_t          stash_len;
};

struct pair {
	struct side client, server;
	lb_time     now;
	size_t      piece; /* bytes fed at once; 0: all there are */
};

extern const uint8_t        pair_client_id[16];
extern const struct lb_uuid pair_ledger;

/* Machines with these options (0 fields get their defaults, max_delivery is no limit), not greeted yet. */
struct pair *pair_new(struct lb_conn_options client, struct lb_conn_options server);
struct pair *pair_new_greeted(uint32_t features);
void         pair_free(struct pair *pair);

/* Carries bytes both ways until nothing moves. */
void pair_run(struct pair *pair);

/* What a machine has to write, as reported written; its length. */
size_t side_written(struct side *side, uint8_t *buf, size_t size, lb_time now);

/* Feeds bytes to a machine; what it does not take is stashed. */
void side_feed(struct side *side, const void *bytes, size_t len, size_t piece, lb_time now);

/* Feeds one frame, whole, that its peer's machine has not said. */
void side_frame(
	struct side *side, unsigned type, uint32_t handle, const void *payload, size_t len, lb_time now);

/* What it has to write is exactly one frame of this type; its payload. */
const uint8_t *side_wrote_frame(struct side *side, unsigned type, uint32_t handle, lb_time now);

/* The machine has failed with this, on its own, and has told its peer; nothing else is to be written. */
void side_failed(struct side *side, enum lb_failure failure, lb_time now);

/* The next event, which must be of this type; DATA is not among them. */
const struct lb_event *side_event(struct side *side, enum lb_event_type type);
void                   side_no_event(struct side *side);

/* What both ends say about delivery `number` in these tests. */
struct lb_begin   pair_begin(uint64_t number, const char *name);
struct lb_digest  pair_digest(uint8_t fill);
struct lb_receipt pair_receipt(uint64_t number, const char *name, uint64_t length, struct lb_digest digest);

/* Begins `number` named "name", and has it accepted; its handle. */
uint32_t pair_open(struct pair *pair, uint64_t number);
/* The same, and the client has sent `text` and asked to commit it. */
uint32_t pair_ask_commit(struct pair *pair, uint64_t number, const char *text);

#endif
