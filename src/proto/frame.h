/* SPDX-License-Identifier: MIT */
/*
 * Frames: their headers, their limits, and the payload of each type, to bytes and back. docs/protocol.md,
 * "Frames", is the specification.
 */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include <lastbyte/conn.h>

enum lb_frame_type {
	LB_FRAME_HELLO = 0x01,
	LB_FRAME_HELLO_OK,
	LB_FRAME_BEGIN,
	LB_FRAME_BEGIN_OK,
	LB_FRAME_DATA,
	LB_FRAME_SYNC,
	LB_FRAME_SYNCED,
	LB_FRAME_COMMIT,
	LB_FRAME_COMMITTED,
	LB_FRAME_REFUSED,
	LB_FRAME_ROLLBACK,
	LB_FRAME_ROLLED_BACK,
	LB_FRAME_RESOLVE,
	LB_FRAME_RESOLVED,
	LB_FRAME_SETTLED,
	LB_FRAME_PING,
	LB_FRAME_PONG,
	LB_FRAME_GOING_AWAY,
	LB_FRAME_CLOSE,
	LB_FRAME_CLOSE_OK,
	LB_FRAME_ERROR,
	LB_FRAME_TYPES, /* one more than the last */
};

#define LB_HEADER_BYTES  12
#define LB_TEXT_MAX      255
#define LB_REPLY_MAX     65536
#define LB_GROW_MAX      256                   /* bytes that a later version may add to HELLO and HELLO_OK */
#define LB_COUNT_MAX     ((uint64_t)INT64_MAX) /* of lengths, offsets and numbers */
#define LB_RECEIPT_BYTES 63                    /* of a receipt without its name, placed and reply */
#define LB_PAYLOAD_MAX   (LB_RECEIPT_BYTES + 4 + 2 * LB_NAME_MAX) /* of any frame but DATA, without a reply */
#define LB_IDLE_MIN_MS   100
#define LB_FEATURES      (LB_FEATURE_RESUME | LB_FEATURE_REPLY)

struct lb_header {
	uint8_t  type;
	bool     zeroed; /* the bytes that must be 0 are */
	uint32_t handle, length;
};

struct lb_hello {
	uint16_t min_version, max_version;
	uint32_t features;
	uint8_t  client[16];
	uint32_t idle_ms;
};

struct lb_hello_ok {
	uint16_t       version;
	uint32_t       features;
	struct lb_uuid ledger;
	uint64_t       max_delivery;
	uint32_t       max_undecided, idle_ms;
};

/* The functions below take a type that is one; name says "unknown" of others. */
bool        lb_frame_is_type(unsigned type);
const char *lb_frame_name(unsigned type);

/* Who says it. */
bool lb_frame_is_from(unsigned type, enum lb_role role);

/* Whether it is about a delivery or a question, and so has a handle above 0. */
bool lb_frame_has_handle(unsigned type);
bool lb_frame_handle_ok(unsigned type, uint32_t handle);

/* The least and the greatest payload, without and with a reply allowed. */
bool lb_frame_length_ok(unsigned type, uint32_t length, bool reply);

void lb_header_put(uint8_t out[LB_HEADER_BYTES], unsigned type, uint32_t handle, uint32_t length);
void lb_header_get(const uint8_t in[LB_HEADER_BYTES], struct lb_header *headerp);

/*
 * To bytes: each writes a payload to `out`, which has room for LB_PAYLOAD_MAX bytes (and for the reply), and
 * returns its length. From bytes: each reads a payload whose length lb_frame_length_ok has found right, and
 * returns LB_FAILURE_NONE, or what is wrong, with *whyp (static text) saying it.
 */
size_t          lb_hello_put(uint8_t *out, const struct lb_hello *hello);
enum lb_failure lb_hello_get(const uint8_t *in, size_t len, struct lb_hello *hellop, const char **whyp);
bool            lb_hello_magic_ok(const uint8_t *in, size_t len); /* as far as len bytes can tell */
size_t          lb_hello_ok_put(uint8_t *out, const struct lb_hello_ok *ok);
enum lb_failure lb_hello_ok_get(const uint8_t *in, size_t len, struct lb_hello_ok *okp, const char **whyp);

/* A bad name is no failure: the event's name is then empty, and its text says what is wrong with it. */
size_t          lb_begin_put(uint8_t *out, const struct lb_begin *begin);
enum lb_failure lb_begin_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);
size_t          lb_begin_ok_put(uint8_t *out, uint64_t offset, bool resumable);
enum lb_failure lb_begin_ok_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);
size_t          lb_synced_put(uint8_t *out, uint64_t offset);
void            lb_synced_get(const uint8_t *in, struct lb_event *event);
size_t          lb_commit_put(uint8_t *out, uint64_t length, const struct lb_digest *digest);
void            lb_commit_get(const uint8_t *in, struct lb_event *event);

/* The reply's bytes are not copied: it is written behind what is put here, and points into `in` after get. */
size_t          lb_committed_put(uint8_t *out, const struct lb_receipt *receipt, size_t reply_len);
enum lb_failure lb_committed_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);
size_t          lb_resolved_put(uint8_t *out, enum lb_verdict verdict, enum lb_reason reason,
		 const struct lb_receipt *receipt, size_t reply_len);
enum lb_failure lb_resolved_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);

size_t          lb_refused_put(uint8_t *out, enum lb_reason reason, const char *text);
enum lb_failure lb_refused_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);
size_t          lb_resolve_put(uint8_t *out, const struct lb_id *id, const struct lb_uuid *ledger);
enum lb_failure lb_resolve_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);
size_t          lb_settled_put(uint8_t *out, const struct lb_id *lowest);
enum lb_failure lb_settled_get(const uint8_t *in, size_t len, struct lb_event *event, const char **whyp);
size_t          lb_error_put(uint8_t *out, enum lb_failure failure, const char *text);
void            lb_error_get(const uint8_t *in, size_t len, struct lb_event *event);

/* A number that SETTLED, BEGIN and RESOLVE may name: 1 to LB_COUNT_MAX. */
static inline bool lb_number_ok(uint64_t number)
{
	return number >= 1 && number <= LB_COUNT_MAX;
}

/* A reason that REFUSED may give: those from 1000 on are a client's own. */
static inline bool lb_reason_travels(uint64_t reason)
{
	return reason >= 1 && reason < 1000;
}

static inline bool lb_uuid_is_zero(const struct lb_uuid *uuid)
{
	uint8_t any = 0;

	for (size_t i = 0; i < sizeof uuid->bytes; i++)
		any |= uuid->bytes[i];
	return any == 0;
}

#endif
