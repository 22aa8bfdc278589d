/* SPDX-License-Identifier: MIT */
/*
 * The inside of struct lb_conn, shared by the files that make it up: conn.c feeds it, client.c and server.c
 * take the frames of its two roles, ask.c and answer.c say what these may say, clock.c is its time.
 */
#ifndef PROTO_MACHINE_H
#define PROTO_MACHINE_H

#include "proto/output.h"
#include "proto/rules.h"

/* A delivery or a question that has no final answer yet. */
struct lb_slot {
	uint32_t         handle; /* 0: free */
	enum lb_stage    stage;
	bool             syncing;     /* SYNC was said, SYNCED was not */
	bool             commit_said; /* client: it may be BEGUN still */
	enum lb_reason   reason;      /* why it is doomed */
	struct lb_id     id;
	uint64_t         declared; /* length said in BEGIN, or LB_UNKNOWN */
	uint64_t         counted;  /* bytes before the resume offset, and those of DATA since */
	uint64_t         synced;   /* the last offset that SYNCED or BEGIN_OK named */
	uint64_t         length;   /* as COMMIT says, as the digest */
	struct lb_digest digest;
	uint64_t         commit_at; /* where in our stream COMMIT begins (client) */
	char             name[LB_NAME_MAX + 1];
};

struct lb_conn {
	enum lb_role       role;
	enum lb_conn_state state;
	uint32_t           features;      /* offered, then in force */
	uint32_t           max_undecided; /* in force; the slots are as many as we have */
	uint32_t           n_slots, n_used;
	uint32_t
		n_ready; /* slots in use so far, and what lies between: the memory of others is not touched */
	uint32_t last_handle; /* of a BEGIN or a RESOLVE */
	uint32_t last_begun;
	uint32_t last_accepted; /* server: of a BEGIN that it has not refused by itself */
	bool     going_away;    /* GOING_AWAY was said (server: is to be said, before HELLO_OK) */
	bool     quiet; /* nothing may be said any more: a client has said CLOSE, or ERROR was said or came */
	bool     ahead; /* client: it may speak before HELLO_OK */
	bool     busy;  /* server: answer HELLO with ERROR(BUSY) */
	bool     held;  /* bytes were offered, and not taken because BEGIN waits for its answer */
	uint8_t  client[16];
	struct lb_uuid  ledger;
	uint64_t        max_delivery;
	enum lb_stage   flow;    /* server: of the delivery begun last */
	struct lb_slot *current; /* of the delivery begun last, while it has a slot */
	struct lb_slot *slots;
	struct lb_slot *newest,
		*near; /* near: was let go last. Answers come in order mostly: the next one's is behind it */

	/* clock.c */
	lb_time  idle;              /* in force */
	lb_time  last_in, last_out; /* when bytes came, and went */
	lb_time  last_work;         /* when bytes other than PING and PONG went */
	lb_time  last_ping;         /* when PING was due */
	lb_time  last_clear;        /* when it was, and nothing waited to be written */
	uint64_t work_end;          /* where in our stream the last of those ends */
	uint64_t pings;

	/* the frame that comes in */
	struct lb_header header;
	size_t           have;    /* bytes of it in `frame`, or, of DATA, LB_HEADER_BYTES */
	size_t           pending; /* bytes of DATA's payload that are to come */
	uint8_t         *frame;

	/* what the server says with its next COMMITTED or RESOLVED */
	uint32_t    reply_handle;
	const void *reply;
	size_t      reply_len;

	/* where in our stream the last DATA that was copied begins, and ends */
	uint64_t data_at, data_end;

	struct lb_output output;
};

/* Room that is kept for what must always fit: ERROR, CLOSE_OK, GOING_AWAY, PING. */
#define LB_ROOM_KEPT 512
/* Room for what the machine answers by itself to one frame: PONG, or REFUSED with a text. */
#define LB_ROOM_OWN 512
/* Room that one slot's answers take at most: BEGIN_OK, SYNCED and RESOLVED with a receipt. */
#define LB_ROOM_SLOT (3 * LB_HEADER_BYTES + 12 + 8 + LB_PAYLOAD_MAX)

/* Puts one frame. The caller has seen to the room. */
void lb_conn_put(struct lb_conn *conn, unsigned type, uint32_t handle, const void *payload, size_t len);

/* Whether len bytes of payload fit, over and above what is kept. */
bool lb_conn_has_room(const struct lb_conn *conn, size_t len);

/* Fails, says why to the peer unless the peer has failed first or we may say nothing, and fills the event. */
void lb_conn_break(struct lb_conn *conn, enum lb_failure failure, const char *text, struct lb_event *event);

/* In a ring. */
static inline struct lb_slot *lb_slot_after(const struct lb_conn *conn, struct lb_slot *slot)
{
	return ++slot == conn->slots + conn->n_ready ? conn->slots : slot;
}

struct lb_slot *lb_conn_slot(const struct lb_conn *conn, uint32_t handle); /* NULL: none */
struct lb_slot *lb_conn_slot_new(struct lb_conn *conn, uint32_t handle, enum lb_stage stage);
void            lb_conn_slot_free(struct lb_conn *conn, struct lb_slot *slot);

/* Whether a receipt can be that of what the slot asks: "the same id means the same name, length and digest". */
bool lb_slot_matches(const struct lb_slot *slot, const struct lb_receipt *receipt);

/* 0 where a call of this role is legal now; else what the call returns. */
int lb_conn_may(const struct lb_conn *conn, enum lb_role role);

/* client.c and server.c: a whole frame, legal here, payload in place. They fill the event, or fail. */
void lb_client_frame(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event);
void lb_server_frame(struct lb_conn *conn, const uint8_t *payload, size_t len, struct lb_event *event);

void lb_client_hello(struct lb_conn *conn);

/* The server's: says CLOSE_OK once CLOSE has come and nothing is left to be answered. */
void lb_server_close_when_done(struct lb_conn *conn);
/* The server's: DATA of conn->header.length begins. What does not fit the delivery dooms it: ROLLBACK. */
void lb_server_data(struct lb_conn *conn, struct lb_event *event);
/* CLOSE comes: says ROLLBACK of the open delivery, if there is one. */
void lb_server_close_open(struct lb_conn *conn, struct lb_event *event);
/* Whether the frame of conn->header's type and handle can be taken now. */
bool lb_server_can_take(struct lb_conn *conn);

#endif
