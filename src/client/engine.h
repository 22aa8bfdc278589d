/* SPDX-License-Identifier: MIT */
/*
 * The inside of the client: operations that never block. client.c is the same with the waiting done.
 *
 * engine.c owns the operations, link.c the connection, retry.c the next one, delivery.c the attempts, undecided.c those
 * that nobody waits for, say.c what is said of them, stream.c their bytes, verdict.c what the answers mean.
 */
#ifndef CLIENT_ENGINE_H
#define CLIENT_ENGINE_H

#include "base/digest.h"
#include "client/client.h"
#include "client/journal.h"
#include "client/replay.h"
#include <lastbyte/conn.h>

#define LB_CLIENT_READ 16384        /* bytes read at once: answers are short */
#define LB_CHUNK       (256 * 1024) /* of DATA: hashed and sent while it is in the processor's cache */

#define LB_RESERVATIONS (LB_UNDECIDED_MAX + 4) /* of which numbers are undecided, or in doubt */

#define LB_RETRY_MOST (10 * INT64_C(1000000000)) /* ns: of a wait, and of a try to connect with `retry` */

enum lb_operation {
	LB_OPERATION_NONE,
	LB_OPERATION_OPEN,
	LB_OPERATION_BEGIN,
	LB_OPERATION_WRITE,
	LB_OPERATION_COMMIT,
	LB_OPERATION_COMMIT_ASYNC,
	LB_OPERATION_DECISION,
	LB_OPERATION_ROLLBACK,
	LB_OPERATION_RESOLVE,
	LB_OPERATION_CLOSE,
};

enum lb_link {
	LB_LINK_CONNECTING,
	LB_LINK_WAITING, /* until `retry_at`, to connect once more */
	LB_LINK_HELLO,   /* connected, not greeted */
	LB_LINK_READY,
	LB_LINK_BROKEN, /* nothing comes or goes any more: `end` says why; fd may be open */
	LB_LINK_ENDING, /* both have agreed, or there is nothing to agree on: the socket is being ended */
	LB_LINK_ENDED,
};

/* Where the delivery stands. */
enum lb_course {
	LB_COURSE_NONE,     /* there is none, or its outcome was given out */
	LB_COURSE_BEGIN,    /* BEGIN has no answer yet */
	LB_COURSE_OPEN,     /* DATA may be sent */
	LB_COURSE_COMPARE,  /* it is committed already: what is written is compared with the receipt */
	LB_COURSE_COMMIT,   /* COMMIT has no answer yet */
	LB_COURSE_ROLLBACK, /* ROLLBACK has no answer yet */
	LB_COURSE_RESOLVE,  /* RESOLVE has no answer yet */
	LB_COURSE_ENDED,    /* there is a verdict */
};

/* What RESOLVE was said for. */
enum lb_intent {
	LB_INTENT_ASK,      /* lb_client_resolve */
	LB_INTENT_ROLLBACK, /* give it up: `reason` */
	LB_INTENT_REFUSED, /* an attempt of ours was refused for `reason`, an earlier one may have committed */
};

/* Consecutive numbers of the journal, and which of them are done with. */
struct lb_reservation {
	struct lb_id   first; /* number 0: there is none */
	struct lb_uuid ledger;
	uint32_t       count, given, n_ended;
	uint64_t       ended[LB_NUMBERS_MAX / 64]; /* a bit for each */
	bool           made;                       /* by this client, and not by an earlier process */
};

/* One attempt at one delivery, or a question about one. What comes before `course` is large, and filled one by one. */
struct lb_attempt {
	struct lb_journal_entry entry;
	struct lb_hasher        hasher;
	struct lb_receipt       stored;    /* the ledger's, if it has one */
	char                    text[256]; /* of REFUSED */
	enum lb_course          course;
	enum lb_intent          intent;
	bool                    claimed;  /* it is open in the journal, and ours */
	bool                    earlier;  /* an attempt that we know nothing of may have sent COMMIT */
	bool                    said;     /* COMMIT was, or ROLLBACK */
	bool                    whole;    /* everything was written: the digest is that of all of it */
	bool                    vouched;  /* COMMIT was asked for, of what could not all be written */
	bool                    accepted; /* BEGIN_OK has come */
	uint32_t                handle;   /* of BEGIN, while it has no final answer; 0: none */
	uint32_t                asked;    /* of RESOLVE */
	enum lb_reason          cut;    /* DEADLINE, INTERRUPTED, ...: it can only be rolled back, for this */
	enum lb_reason          reason; /* of the intent, then of the verdict */
	enum lb_verdict         verdict;
	int                     err;
	uint64_t                declared, length; /* length: bytes that the caller has written */
	uint64_t                sent;             /* the offset at which the connection goes on, once OPEN */
	bool                    resumable, syncing; /* BEGIN_OK said so; SYNC has no answer yet */
	uint64_t                asked_sync;         /* the offset of the last SYNC */
	bool     kept;         /* what the server may lose is in the replay buffer, this one's byte 0 at */
	uint64_t base, synced; /* that is, from `base` + `synced` on */
	bool     withdrawing, anew; /* an attempt, so that the next one begins at 0; ROLLED_BACK said so */
	uint64_t lowest;            /* open number of the journal, once this attempt was recorded */
	bool     has_stored;
	ssize_t (*read_again)(void *arg, uint64_t offset, void *buf, size_t len);
	void                  *read_again_arg;
	void                  *tag;
	struct lb_reservation *reservation;     /* of its number; NULL: it has a line of its own */
	lb_time                committed, took; /* since when it is undecided; how long that was */
	void                  *reply;
	size_t                 reply_len;
};

/* Attempts in an order. */
struct lb_attempts {
	struct lb_attempt *at[LB_UNDECIDED_MAX];
	unsigned           n;
};

struct lb_client {
	struct lb_host    *host;
	struct lb_journal *journal;
	struct lb_conn    *conn;
	lb_time            idle_timeout;
	int                interrupt_fd; /* -1: none */
	char               address[LB_ADDRESS_TEXT], peer[LB_ADDRESS_TEXT];
	struct lb_endpoint endpoints[LB_ENDPOINTS_MAX];
	int                n_endpoints, endpoint;
	lb_time            endpoint_until;

	bool               retry;
	lb_client_waiting *waiting;
	void              *waiting_arg;
	unsigned failures; /* since a delivery was decided or more of it was durable, for the back-off */
	lb_time  retry_at;

	enum lb_link         link;
	int                  fd; /* -1: none */
	struct lb_uuid       ledger;
	struct lb_outcome    end; /* how, by, phase and err of the connection; OPEN while it has not ended */
	struct lb_ending_run run;
	bool     blocked, agreed, closing; /* send would block; CLOSE_OK was seen; CLOSE was said */
	int      send_error;
	uint64_t taken, confirmed; /* bytes: by our kernel; of committed deliveries */
	uint64_t settled;          /* the last SETTLED that was said */
	uint8_t  in[LB_CLIENT_READ];
	size_t   in_at, in_len;

	enum lb_operation operation;
	lb_time           started, deadline;
	int               result;
	bool              concludes; /* what was over last: what it tells of a delivery is the last word */
	bool              interrupted;

	struct lb_attempt *attempts[1 + LB_UNDECIDED_MAX]; /* made as they are needed: each is large */
	unsigned           n_attempts;
	/* What the calls are about; and what is worked on, which between two steps is the same. */
	struct lb_attempt *stage, *attempt;
	/* Those beside it: committed without waiting, by COMMIT; whose verdict waits to be fetched, by verdict; free. */
	struct lb_attempts undecided, verdicts, spare;
	struct lb_attempt *fetched; /* one of the spare: the caller was given its verdict last; NULL: none */
	bool               some_ended; /* of the undecided */
	bool               repeating;  /* some of them are to be begun once more, before anything new is */
	enum lb_reason postponed; /* BUSY, GOING_AWAY: for this some of them wait for another connection */
	uint64_t       told, told_before; /* verdicts that were handed on: now, as lb_client_decision began */
	struct lb_reservation  reservations[LB_RESERVATIONS];
	struct lb_reservation *numbered; /* the one that gives out; NULL: none */
	unsigned               numbers;  /* of one reservation */
	bool                   keep;     /* what is open in the journal stays so */
	bool                   only_open;
	uint64_t               lowest; /* open number, as it was made */
	bool                   pipeline;
	lb_client_decided     *decided;
	void                  *decided_arg;
	void                  *reply; /* that the caller was given last */
	size_t                 reply_len;
	char                   text[256], error_text[256]; /* that was given to the caller; of ERROR */

	/* what is written: the caller's buffer, of which the machine holds `chunk`, or of whose rest we keep a copy */
	const uint8_t   *out, *chunk;
	size_t           out_len, chunk_len;
	uint8_t         *stash;
	uint8_t         *again; /* LB_CHUNK bytes that were read again; NULL: none ever were */
	struct lb_replay replay;
	size_t           replay_size;
};

/* What to wait for before the next step: one of `events` at fd (-1: none), or until `at`. */
struct lb_needs {
	int      fd;
	uint32_t events;
	lb_time  at;
};

/* As the calls of lastbyte/client.h, on any machine. */
LB_CHECKED int lb_client_start_open_on(struct lb_host *host, const char *address,
	const struct lb_client_options *options, lb_time deadline, struct lb_client **clientp,
	struct lb_outcome *outcomep);
LB_CHECKED int lb_client_start_decision(struct lb_client *client, lb_time deadline);

void lb_client_needs(const struct lb_client *client, struct lb_needs *needs);

/* The outcome of the operation that is over. After commit, rollback and resolve the delivery is gone. */
void lb_client_outcome(struct lb_client *client, struct lb_receipt *receiptp, struct lb_outcome *outcomep);

void lb_client_free(struct lb_client *client); /* resets the connection if there still is one; NULL is fine */

/* connect.c: "ADDR:PORT", so that an address with and without the port it stands for is one address. 0, or -EINVAL. */
int lb_client_normalise(const char *address, char out[LB_ADDRESS_TEXT]);
int lb_client_look_up(
	struct lb_client *client, const char **whyp); /* the endpoints: 0, or a negative errno */

/* engine.c, for the others: the connection has ended, and why. */
void lb_client_break(struct lb_client *client, enum lb_end how, enum lb_party by, int err);
void lb_client_begin_operation(struct lb_client *client, enum lb_operation operation, lb_time deadline);

/* say.c: says what is next to be said. True if it said something. */
bool lb_delivery_proceed(struct lb_client *client);

/* undecided.c */
int  lb_undecided_init(struct lb_client *client); /* 0, or -ENOMEM */
void lb_undecided_deinit(struct lb_client *client);
void lb_attempt_clear(struct lb_attempt *attempt);
/* Does it with all that have no verdict: with each at hand, by COMMIT, at last with what the calls are about. */
void lb_undecided_each(struct lb_client *client, void (*what)(struct lb_client *client));
bool lb_undecided_find(struct lb_client *client, uint32_t handle); /* the one it names is put at hand */
bool lb_undecided_has(
	const struct lb_client *client, const struct lb_id *id); /* or its verdict was not fetched */
/* Whether COMMIT of what is at hand may be said: not without a place for what comes next. Until then it can be taken back. */
bool lb_undecided_may_commit(struct lb_client *client);
bool lb_undecided_is_full(struct lb_client *client); /* until a verdict was fetched there is no such place */
bool lb_undecided_put(struct lb_client *client);     /* what the calls are about, beside it. False: not yet */
bool lb_undecided_choose(
	struct lb_client *client); /* whose turn it is to speak is put at hand. False: nobody's */
bool lb_undecided_wait_here(const struct lb_client *client); /* for an answer over this connection */
void lb_undecided_collect(struct lb_client *client);         /* hands the verdicts on */
bool lb_undecided_has_told(const struct lb_client *client);  /* lb_client_decision is over */
void lb_undecided_fetch(struct lb_client *client, struct lb_decision *decision);

/* numbers.c: the next number for the attempt at hand: 1, 0: it needs a line of its own, or a negative errno; the one that
 * an earlier process has left, of a reservation; its verdict was handed on; no more are given out. */
int  lb_numbers_give(struct lb_client *client);
void lb_numbers_adopt(struct lb_client *client);
void lb_numbers_end(struct lb_attempt *attempt);
void lb_numbers_stop(struct lb_client *client);

/* delivery.c */
void lb_delivery_give_up(struct lb_client *client, enum lb_reason reason);
bool lb_delivery_is_undecided(const struct lb_client *client);
void lb_delivery_again(struct lb_client *client);      /* another connection stands: the next attempt */
void lb_delivery_begin_anew(struct lb_client *client); /* without what the server has kept */
bool lb_delivery_overtake(struct lb_client *client);   /* with a greater attempt; false: there is none */

/* stream.c: where BEGIN_OK says that the delivery goes on; the next DATA: 0, 1: there is none, or a negative errno;
 * whether what a server may lack can be said once more. */
void lb_stream_open(struct lb_client *client, const struct lb_event *event);
void lb_stream_begin(struct lb_client *client); /* at once, without BEGIN_OK */
void lb_stream_synced(struct lb_client *client, uint64_t offset);
void lb_stream_release(struct lb_client *client); /* what nobody can need again */
int  lb_stream_say(struct lb_client *client);
/* The whole of a write that is small, where nothing else is due: it is said, and all is done. */
bool lb_stream_gather(struct lb_client *client, const void *buf, size_t len);
bool lb_stream_can_repeat(const struct lb_client *client);
bool lb_stream_has_from(const struct lb_client *client, uint64_t offset);

/* retry.c: see there. Each is true if there will be another try. */
bool lb_retry_broken(struct lb_client *client);
bool lb_retry_refused(struct lb_client *client, enum lb_reason reason);
void lb_retry_postponed(
	struct lb_client *client); /* an answer has come: nothing may be left to wait for here */
void    lb_retry_close(struct lb_client *client); /* there will not be another connection */
bool    lb_retry_step(struct lb_client *client);  /* WAITING: true if anything moved */
lb_time lb_retry_wait(unsigned failures, uint64_t random);

/* verdict.c */
void lb_delivery_end(struct lb_client *client, enum lb_verdict verdict, enum lb_reason reason);
/* Its verdict was handed on: it leaves the journal. Nothing, if it was not, or there is none. */
void lb_delivery_told(struct lb_client *client, struct lb_attempt *attempt);
void lb_delivery_goes_on(struct lb_client *client); /* the caller, who has what was handed on last */
void lb_delivery_compare(struct lb_client *client); /* with the stored receipt, once everything was written */
void lb_delivery_answer(struct lb_client *client, const struct lb_event *event);
void lb_delivery_broken(struct lb_client *client);
void lb_delivery_cut(struct lb_client *client, int error); /* -ETIMEDOUT or -EINTR: the operation ends now */
bool lb_delivery_commit_sent(const struct lb_client *client); /* of this attempt, and without an answer */

#endif
