/* SPDX-License-Identifier: MIT */
/*
 * conn.h - the delivery protocol as a state machine without I/O: bytes and time in, bytes and events out.
 *
 * The bytes are specified in docs/protocol.md. One machine serves one connection, in one role. It never
 * allocates after lb_conn_new, never reads a clock, and its memory is bounded whatever comes in.
 *
 *	feed:   n = lb_conn_recv(conn, buf, len, now, &event)    until len bytes are consumed, or n is 0
 *	write:  k = lb_conn_send(conn, iov, 4); writev(...); lb_conn_sent(conn, written, now)
 *	time:   lb_conn_tick(conn, now, &event) at lb_conn_deadline(conn)
 *
 * All functions that return int return 0, or -EPROTO: not legal in this state or role (a mistake of the
 * caller's, nothing happened), or -EINVAL: an argument is out of range, or -ECONNABORTED: the machine has
 * failed or closed. The client's also return -EAGAIN: as many deliveries and questions as the server allows
 * are without an answer, or too much waits to be written; nothing happened, feed and write, then try again.
 * After each of them there may be bytes to write.
 *
 * The end of the stream is no input: whoever reads it ends the connection. After that, and after
 * LB_EVENT_ERROR and LB_EVENT_TIMEOUT, a server rolls back what was not asked to commit, finishes what was, and
 * keeps its verdict to itself. A client calls a delivery IN_DOUBT if lb_conn_commit_sent says true of it.
 */
#ifndef LASTBYTE_CONN_H
#define LASTBYTE_CONN_H

#include <lastbyte/base.h>
#include <stdbool.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LB_PORT             7117
#define LB_VERSION_NUMBER   1          /* of the protocol */
#define LB_DATA_MAX         (1u << 20) /* bytes in one DATA frame */
#define LB_DATA_COPIED      4096       /* up to so many bytes are copied by lb_conn_data */
#define LB_UNDECIDED_MAX    64         /* deliveries and questions of one connection without an answer */
#define LB_NUMBERS_OPEN_MAX 1024       /* a client's numbers beyond its lowest open one */

enum lb_role { LB_ROLE_CLIENT, LB_ROLE_SERVER };

enum lb_feature {
	LB_FEATURE_RESUME = 1, /* SYNC, SYNCED, and a resume offset in BEGIN_OK that may be above 0 */
	LB_FEATURE_REPLY  = 2, /* a reply of the application in COMMITTED and RESOLVED */
};

struct lb_conn_options {
	enum lb_role role;
	uint32_t     features;     /* offered; in force is what both offer */
	lb_time      idle_timeout; /* at least 100 ms; 0: 60 s. The shorter one of both ends counts */
	/* The client's alone: what it says before HELLO_OK goes out behind HELLO, one BEGIN or RESOLVE at most. For who
	 * knows the ledger; with features offered it has no effect. */
	bool ahead;
	/* the server's alone */
	struct lb_uuid ledger;        /* not all zero */
	uint64_t       max_delivery;  /* bytes; LB_UNKNOWN: no limit */
	uint32_t       max_undecided; /* 1 to LB_UNDECIDED_MAX; 0: all of them */
	bool           busy;          /* answer HELLO with ERROR(BUSY) */
};

enum lb_conn_state {
	LB_CONN_HELLO, /* HELLO_OK has not been seen (client, CLOSE said or not), HELLO has not been seen (server) */
	LB_CONN_READY,
	LB_CONN_CLOSING, /* CLOSE has been said and CLOSE_OK has not */
	LB_CONN_CLOSED,  /* CLOSE_OK has been said: write what is left, then end the connection */
	LB_CONN_FAILED,  /* ERROR was said by either end, or time ran out: write what is left, then end it */
};

enum lb_event_type {
	LB_EVENT_NONE,
	/* at either end */
	LB_EVENT_ERROR,   /* the machine has failed: `failure`, `from_peer`, `text` */
	LB_EVENT_TIMEOUT, /* nothing came for the idle time: the machine has failed; `failure`, `text` */
	/* at the client */
	LB_EVENT_HELLO_OK, /* `ledger`, `max_delivery` */
	LB_EVENT_BEGIN_OK, /* `handle`, `offset`, `resumable` */
	LB_EVENT_SYNCED,   /* `handle`, `offset` */
	/* `handle`, `receipt` (`ledger` filled in), `reply`. After BEGIN_OK and COMMIT it is for the length and the digest
	 * that COMMIT named. In answer to BEGIN, of an earlier commit, even if COMMIT was said meanwhile: then it is the
	 * caller's to compare them. */
	LB_EVENT_COMMITTED,
	LB_EVENT_REFUSED, /* `handle`, `reason`, its `verdict`, `text`; in answer to anything about a handle */
	LB_EVENT_ROLLED_BACK, /* `handle`: in answer to ROLLBACK, or to CLOSE with one open */
	LB_EVENT_RESOLVED,    /* `handle`, `verdict`, `reason`, `receipt` if committed, `reply` */
	LB_EVENT_GOING_AWAY,  /* `handle`: of the last BEGIN that was accepted, 0 if none */
	LB_EVENT_CLOSE_OK,
	/* at the server */
	LB_EVENT_HELLO, /* `id.client` */
	/* `handle`, `id`, `attempt`, `ledger` (the one in the options), `length` (LB_UNKNOWN if not said), `name`,
	 * `resumable` (RESUME is in force).
	 * To be answered with begin_ok, committed or refused. The machine itself refuses another ledger, a bad name, a
	 * length that is too large, and everything after lb_conn_going_away: then it is LB_EVENT_REFUSED, with `id`,
	 * `name` (empty if bad) and `reason`, for the log. */
	LB_EVENT_BEGIN,
	LB_EVENT_DATA, /* `handle`, `data`, `len`: points into the buffer given to lb_conn_recv */
	LB_EVENT_SYNC, /* `handle` */
	LB_EVENT_COMMIT, /* `handle`, `length`, `digest`: `length` equals the bytes received, else it is ROLLBACK */
	/* `handle`: roll back, then lb_conn_rolled_back. Also made of CLOSE with one open. With a `reason` the machine
	 * has found that it cannot commit: TOO_LARGE, or WRONG_LENGTH; lb_conn_rolled_back then says REFUSED. */
	LB_EVENT_ROLLBACK,
	LB_EVENT_RESOLVE, /* `handle`, `id`, `ledger` (the one in the options, or all zero) */
	LB_EVENT_SETTLED, /* `id`: the client and its lowest open number */
	LB_EVENT_CLOSE,   /* CLOSE_OK goes out by itself once every delivery has its verdict */
};

/* Only `type` and the fields named above are filled. */
struct lb_event {
	enum lb_event_type type;
	uint32_t           handle;
	enum lb_failure    failure;
	enum lb_reason     reason;
	enum lb_verdict    verdict;
	bool               from_peer, resumable;
	uint32_t           attempt;
	uint64_t           offset, length, max_delivery;
	struct lb_id       id;
	struct lb_uuid     ledger; /* all zero: whichever it is */
	struct lb_digest   digest;
	struct lb_receipt  receipt;
	char               name[LB_NAME_MAX + 1];
	char               text[256]; /* for people; the peer's words, checked for control characters */
	const void        *data;      /* DATA: in the caller's buffer */
	size_t             len;
	const void        *reply; /* in the machine, until its next call */
	size_t             reply_len;
};

/* What a client says when it begins a delivery. */
struct lb_begin {
	struct lb_id   id;
	struct lb_uuid ledger;  /* the one that the journal names */
	uint32_t       attempt; /* counts from 1 */
	uint64_t       length;  /* bytes, or LB_UNKNOWN */
	const char    *name;
};

/* Either end. */
/* `client` is the client's id; a server gives NULL. A client has HELLO to write at once. NULL: out of memory. */
LB_PUBLIC struct lb_conn *lb_conn_new(
	const struct lb_conn_options *options, const uint8_t client[16], lb_time now);
LB_PUBLIC void lb_conn_free(struct lb_conn *conn); /* NULL is fine */

/*
 * Feeds received bytes. Consumes up to the end of the first event and says how many; *eventp is that event,
 * or LB_EVENT_NONE. Returns 0 without an event when it can take no more for now: a BEGIN waits for its answer
 * and more of that delivery lies ahead, or too much waits to be written. Keep the bytes, and feed them once
 * that has changed. A DATA frame gives one event for each piece that comes. After a failure everything is
 * consumed and ignored, and so is what comes after CLOSE_OK.
 */
LB_PUBLIC size_t lb_conn_recv(
	struct lb_conn *conn, const void *buf, size_t len, lb_time now, struct lb_event *eventp);

/*
 * What to write, at most max vectors (give it 4); 0 when there is nothing. The bytes stay until lb_conn_sent.
 * A client that writes asynchronously reports with lb_conn_sent before it calls anything else: when the machine
 * fails it takes back a COMMIT of which nothing was reported as written, so that "not committed" stays true.
 */
LB_PUBLIC int    lb_conn_send(const struct lb_conn *conn, struct iovec *iov, int max);
LB_PUBLIC size_t lb_conn_waiting(const struct lb_conn *conn); /* bytes of all that it has to give */
LB_PUBLIC void   lb_conn_sent(struct lb_conn *conn, size_t len, lb_time now);

/* When to call lb_conn_tick, which sends PING, or reports that the idle time has passed. */
LB_PUBLIC lb_time lb_conn_deadline(const struct lb_conn *conn);
LB_PUBLIC void    lb_conn_tick(struct lb_conn *conn, lb_time now, struct lb_event *eventp);

LB_PUBLIC enum lb_conn_state lb_conn_state(const struct lb_conn *conn);

/* Says ERROR to the peer and fails. text NULL: that of the failure. After CLOSE_OK it does nothing. */
LB_PUBLIC void lb_conn_fail(struct lb_conn *conn, enum lb_failure failure, const char *text);

/* The client says. A handle names what was asked until its answer has come. */
LB_PUBLIC LB_CHECKED int lb_conn_begin(struct lb_conn *conn, const struct lb_begin *begin, uint32_t *handlep);
/*
 * The next bytes of the open delivery: once BEGIN_OK has come, or if RESUME is not in force at once, as lb_conn_commit.
 * If BEGIN is then answered for good what was said for the handle is without effect, and the handle is gone.
 * At most LB_DATA_COPIED bytes are copied, so that much can wait to be written together, in
 * one frame where it follows each other; more are referred to: buf must
 * stay as it is until they are written. -EAGAIN: there is no room, or bytes that are referred to are not all written.
 */
LB_PUBLIC LB_CHECKED int lb_conn_data(struct lb_conn *conn, uint32_t handle, const void *buf, size_t len);
LB_PUBLIC LB_CHECKED int lb_conn_sync(struct lb_conn *conn, uint32_t handle);
LB_PUBLIC LB_CHECKED int lb_conn_commit(
	struct lb_conn *conn, uint32_t handle, uint64_t length, const struct lb_digest *digest);
LB_PUBLIC LB_CHECKED int lb_conn_rollback(struct lb_conn *conn, uint32_t handle);
LB_PUBLIC LB_CHECKED int lb_conn_resolve(
	struct lb_conn *conn, const struct lb_id *id, const struct lb_uuid *ledger, uint32_t *handlep);
LB_PUBLIC LB_CHECKED int lb_conn_settled(struct lb_conn *conn, const struct lb_id *lowest_open);
LB_PUBLIC LB_CHECKED int lb_conn_close(struct lb_conn *conn);
/* True once a byte of a COMMIT for this handle was reported as written: from then on only an answer, or RESOLVE,
 * tells. False again once it was answered. Legal after a failure, too. */
LB_PUBLIC bool lb_conn_commit_sent(const struct lb_conn *conn, uint32_t handle);

/* The server says. */
/* offset above 0 only with RESUME in force and a resumable sink; without RESUME `resumable` is not said. */
LB_PUBLIC LB_CHECKED int lb_conn_begin_ok(
	struct lb_conn *conn, uint32_t handle, uint64_t offset, bool resumable);
LB_PUBLIC LB_CHECKED int lb_conn_synced(struct lb_conn *conn, uint32_t handle, uint64_t offset);
/* What goes as the reply into the COMMITTED or RESOLVED said next for this handle: at most 64 KiB, the caller's, and
 * to stay as it is until then. That call may return -EAGAIN: too much waits to be written. -EPROTO: REPLY is not in force. */
LB_PUBLIC LB_CHECKED int lb_conn_reply(struct lb_conn *conn, uint32_t handle, const void *reply, size_t len);
/* In answer to BEGIN or COMMIT. -EINVAL: the receipt has another id, name, length or digest than the client gave. */
LB_PUBLIC LB_CHECKED int lb_conn_committed(
	struct lb_conn *conn, uint32_t handle, const struct lb_receipt *receipt);
/* In answer to anything, or at any time while the delivery is open. text NULL: that of the reason. */
LB_PUBLIC LB_CHECKED int lb_conn_refused(
	struct lb_conn *conn, uint32_t handle, enum lb_reason reason, const char *text);
LB_PUBLIC LB_CHECKED int lb_conn_rolled_back(struct lb_conn *conn, uint32_t handle);
/* verdict COMMITTED with its receipt; ROLLED_BACK or FORGOTTEN with a reason. */
LB_PUBLIC LB_CHECKED int lb_conn_resolved(struct lb_conn *conn, uint32_t handle, enum lb_verdict verdict,
	enum lb_reason reason, const struct lb_receipt *receipt);
/* Once. Later BEGINs are refused by the machine. Legal before HELLO too: it is said after HELLO_OK. */
LB_PUBLIC LB_CHECKED int lb_conn_going_away(struct lb_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
