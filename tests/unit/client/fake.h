/* SPDX-License-Identifier: MIT */
/*
 * A server in the same thread, behind the client's network table: the machine of conn.h in the server's role, which
 * answers as the test says. Time stands still but for net->wait, which jumps to the deadline when nothing else can
 * happen.
 */
#ifndef CLIENT_FAKE_H
#define CLIENT_FAKE_H

#include "lib/cmocka.h"
#include "lib/scratch.h"
#include "client/engine.h"
#include "faulty_disk.h"
#include <errno.h>
#include <string.h>

#define FAKE_FD        70 /* the connection */
#define FAKE_INTERRUPT 71
#define FAKE_INPUT     72 /* what lb_client_wait waits for */

enum fake_cut { FAKE_NO_CUT, FAKE_FIN, FAKE_RST };

struct fake {
	struct faulty       machine; /* first: with the tables of below */
	struct lb_net_ops   net;
	struct lb_clock_ops clock;
	lb_time             now;
	struct scratch      scratch;
	const char         *dir;

	/* the network */
	int             refuse_connects; /* as many addresses do not answer */
	bool            black_hole;      /* a connect neither succeeds nor fails */
	int             connects;
	struct lb_conn *server;
	uint8_t         to_client[1 << 16];
	size_t          to_client_len;
	size_t          room;    /* bytes that our kernel still takes */
	uint64_t        sent;    /* bytes that it took */
	unsigned        sends;   /* in as many calls */
	uint64_t        drained; /* how much `room` grows when the client waits for it */
	enum fake_cut   broken;
	int             send_error; /* -errno of the next sends */
	bool            mute;       /* the server hears, and nothing comes of it */
	bool            push;       /* what the server has to say arrives while the client waits */
	int             first_endpoint;
	bool     answer_in_flight; /* what the server has to say arrives with the next send, and its end */
	bool     fds_ready[3];     /* FAKE_INTERRUPT and FAKE_INPUT are readable */
	unsigned ended, aborted;   /* how the client ended its sockets */
	lb_time  waited_until;     /* the latest deadline that passed in a wait */

	/* what the server has seen */
	unsigned         seen[LB_EVENT_CLOSE + 1];
	struct lb_event  last[LB_EVENT_CLOSE + 1]; /* of each type */
	char             order[64];                /* a letter for each: H B D Y (SYNC) C R ? S X (CLOSE) */
	struct lb_uuid   ledger;
	struct lb_id     id;
	char             name[LB_NAME_MAX + 1];
	uint64_t         length;
	struct lb_hasher hasher;

	/* what it does: at an event of type `at`, nothing, or a cut before or after the answer */
	bool               raw_garbage; /* it is no Lastbyte server at all */
	bool               busy;
	uint32_t           allows;    /* so many deliveries without an answer; 0: as many as there can be */
	enum lb_event_type silent_at; /* never answers that; NONE: answers all */
	enum lb_event_type cut_at;
	enum fake_cut      cut;
	enum lb_event_type fail_at; /* says ERROR(fail_with) */
	enum lb_failure    fail_with;
	enum lb_reason     refuse_begin, refuse_data, refuse_commit, refuse_resolve; /* NONE: does not */
	const char        *words;         /* in REFUSED and ERROR; NULL: those of the reason */
	const struct lb_receipt *has;     /* this is committed already */
	bool                     resumes; /* it can: then SYNC is answered, and */
	uint64_t                 offset;  /* BEGIN_OK says this, and means so many bytes of `kept` */
	const char              *kept;
	bool                     forges;                             /* a digest in what it says is wrong */
	enum lb_verdict          resolves_to;                        /* ROLLED_BACK unless said otherwise */
	void (*on)(struct fake *fake, const struct lb_event *event); /* before it answers; or NULL */

	uint8_t held[4096]; /* what its machine could not take yet */
	size_t  held_len;
};

/* Setup and teardown of cmocka: a fake with a state directory of its own. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* A client that is connected to it. */
struct lb_client *fake_client(struct fake *fake);

/* Begins "name" from "/source", of a length not told; expects 0. */
void fake_begin(struct fake *fake, struct lb_client *client);

struct told {
	int               r;
	struct lb_receipt receipt;
	struct lb_outcome outcome;
};

/* The calls with a deadline in ten seconds. */
int         fake_write(struct fake *fake, struct lb_client *client, const char *text);
struct told fake_commit(struct fake *fake, struct lb_client *client);
struct told fake_rollback(struct fake *fake, struct lb_client *client, enum lb_reason reason);
struct told fake_resolve(struct fake *fake, struct lb_client *client, const struct lb_id *id);
struct told fake_close(struct fake *fake, struct lb_client *client);

/* The answer to a BEGIN at which it was silent. */
void fake_begin_ok(struct fake *fake);

/* The receipt of what the server has received of the delivery that was begun last. */
struct lb_receipt fake_received(struct fake *fake);

/* A second connection, to the same server or to one with another ledger, as another process would make it. */
void fake_restart(struct fake *fake);

lb_time fake_in(const struct fake *fake, int seconds);

/* The receipt of what was written, and of `name` with `text`. */
struct lb_receipt fake_receipt(
	const struct fake *fake, const struct lb_id *id, const char *name, const char *text);

/* Whether the journal, as another process reads it, has the id open. */
bool fake_is_open(struct fake *fake, const struct lb_id *id);

/* Whether it is open there, and claimed: by the client that has handed its verdict on last. */
bool fake_is_held(struct fake *fake, const struct lb_id *id);

/* An id that is open in the journal, from an earlier process. */
struct lb_id fake_leave_open(struct fake *fake, const char *name, const char *source);
struct lb_id fake_leave_open_at(struct fake *fake, const char *address, const char *name, const char *source);

#endif
