/* SPDX-License-Identifier: MIT */
/*
 * A sink: where deliveries go, with the ledger of what was committed. A table of functions, so that sinks
 * of other kinds are one file each. All but `write`, and what the sink says it does at once, run on the worker, which
 * alone touches the ledger.
 */
#ifndef SERVER_SINK_H
#define SERVER_SINK_H

#include "base/digest.h"
#include "loop/host.h"
#include "server/ledger.h"
#include <lastbyte/server.h>

/* One delivery at the server, from BEGIN to its verdict. The session fills the question, the sink the answer. */
struct lb_intake {
	struct lb_id     id;
	uint32_t         attempt;
	uint64_t         declared; /* length said in BEGIN, or LB_UNKNOWN */
	bool             resume;   /* an offset above 0 can be said to its client */
	uint64_t         received; /* bytes written, those before the offset included */
	struct lb_digest digest;   /* of these, before commit */
	/* the answer: UNPROVEN after a successful begin; COMMITTED with the receipt; else with the reason.
	 * IN_DOUBT: the sink cannot tell now; no verdict may be sent. */
	enum lb_verdict verdict;
	enum lb_reason  reason;
	char    *text; /* of a refusal, for people; NULL: that of the reason. The task's, on the heap */
	void    *reply; /* the application's, to be kept with the row; COMMITTED: that in the ledger. The task's, on the heap */
	size_t   reply_len;
	uint64_t offset; /* UNPROVEN after begin: what an earlier attempt has left; rehash it first */
	uint64_t rehashed;
	/* the sink's own */
	int               part, part_dir;
	uint64_t          durable; /* the offset in the ledger; 0: none */
	bool              linked;  /* so are the directories above the part */
	struct lb_intake *next;
	void             *content; /* in memory */
	uint64_t          room;    /* bytes of it, `received` of which are filled */
	/* large, and of no meaning before they are filled: the name by the session, the receipt with COMMITTED */
	char              name[LB_NAME_MAX + 1];
	struct lb_receipt receipt;
};

/* The answer to RESOLVE: COMMITTED with the receipt, ROLLED_BACK (FENCED or SETTLED), FORGOTTEN, or
 * NOT_COMMITTED (IO_ERROR, DISK_FULL, SETTLE_FIRST): no answer for now, it may even be committed; ask again. */
struct lb_resolution {
	struct lb_id      id;
	enum lb_verdict   verdict;
	enum lb_reason    reason;
	void             *reply; /* as in struct lb_intake */
	size_t            reply_len;
	struct lb_receipt receipt; /* of no meaning before COMMITTED */
};

struct lb_sink_ops {
	/* Takes a delivery in, or says why not, or that it is committed already. */
	void (*begin)(struct lb_sink *sink, struct lb_intake *intake);
	/* Hashes a piece of what lies before `offset`, and raises `rehashed`; to be called until they are equal. What
	 * cannot be read is given up: then offset is 0, the hasher as new, and the verdict still UNPROVEN, or why not. */
	void (*rehash)(struct lb_sink *sink, struct lb_intake *intake, struct lb_hasher *hasher);
	/* On the loop's thread, a byte or more: LB_REASON_NONE, or DISK_FULL, or IO_ERROR (then roll back). */
	enum lb_reason (*write)(struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len);
	/* Makes the bytes before `offset` durable, and that they are: NONE: a later attempt can go on there. Else why this
	 * one cannot commit any more: roll it back. Bytes behind `offset` may be written meanwhile. */
	enum lb_reason (*sync)(struct lb_sink *sink, struct lb_intake *intake, uint64_t offset);
	/* Reads all that was received of a delivery, before its commit: NONE, or why that cannot be. NULL: no such sink. */
	enum lb_reason (*read)(struct lb_sink *sink, struct lb_intake *intake, void *buf);
	/* Whether the ledger knows what has become, or never will, of an id: 0, or a negative errno. NULL where `read` is. */
	int (*is_decided)(struct lb_sink *sink, const struct lb_id *id, bool *decidedp);
	/* Makes n deliveries durable together: sets each one's verdict, and releases what it held of them. */
	void (*commit)(struct lb_sink *sink, struct lb_intake **intakes, size_t n);
	/* Removes what was received of a delivery that begin took in. */
	void (*rollback)(struct lb_sink *sink, struct lb_intake *intake);
	/* Its connection has ended, or another attempt takes over: as rollback, but what a sync has made durable stays. */
	void (*leave)(struct lb_sink *sink, struct lb_intake *intake);
	void (*resolve)(struct lb_sink *sink, struct lb_resolution *resolution);
	/* lowest->number is the client's lowest open number: what lies below may be pruned. */
	void (*settle)(struct lb_sink *sink, const struct lb_id *lowest);
	/* Removes what was kept for too long. To be called every `sweep_every`. */
	void (*sweep)(struct lb_sink *sink);
	void (*close)(struct lb_sink *sink);
};

struct lb_sink {
	const struct lb_sink_ops *ops;
	struct lb_host           *host;
	struct lb_uuid            ledger;
	enum lb_durability        durability;
	uint64_t                  max_delivery; /* bytes; 0: any */
	bool                      resumable; /* else rehash, sync and sweep are not called, and may be NULL */
	lb_time                   sweep_every;
	bool begins_at_once; /* begin, of a first attempt, neither blocks nor touches the ledger: on the loop's thread */
	bool commits_at_once; /* so is all of commit, rollback and leave. Not of a sink that is resumable */
};

/* sink.c: answers that all sinks give alike. DISK_FULL, BUSY or IO_ERROR, for a negative errno. */
enum lb_reason lb_sink_reason(int err);
void           lb_intake_decide(struct lb_intake *intake, enum lb_reason reason);
void lb_intake_decide_known(struct lb_intake *intake, enum lb_ledger_state state); /* no row to commit */
void lb_intake_doubt(struct lb_intake *intake);
/* What the ledger knows of it: receipt and reply become the intake's. As lb_ledger_look. */
int lb_intake_look(struct lb_intake *intake, struct lb_ledger *ledger, enum lb_ledger_state *statep);
/* At BEGIN: whether the ledger has nothing of its id yet. If it has, or cannot tell, the verdict is that. */
bool lb_intake_is_open(struct lb_intake *intake, struct lb_ledger *ledger);
/* Whether a commit of it could not but find out what the ledger knows already. As lb_ledger_look. */
int lb_sink_is_decided(struct lb_ledger *ledger, const struct lb_id *id, bool *decidedp);
/* Asks the ledger, which fences what is not committed: receipt and reply become the resolution's. As lb_ledger_fence. */
int lb_resolution_fence(
	struct lb_resolution *resolution, struct lb_ledger *ledger, enum lb_ledger_state *statep);
/* What the ledger has said to a question (err 0), or why it did not. */
void lb_resolution_decide(struct lb_resolution *resolution, int err, enum lb_ledger_state state);

/* Whether an intake is not what the receipt speaks of; before it is complete, as far as BEGIN has said. */
bool lb_intake_differs(const struct lb_intake *intake, const struct lb_receipt *receipt, bool is_complete);

/* Opens the directory in which `path` lies: its descriptor, or a negative errno. */
int lb_sink_open_above(struct lb_host *host, const char *path);

/* As lb_sink_dir_open and lb_sink_sqlite_open, on any machine; vfs: SQLite's, by name, or NULL for its default. */
int lb_sink_dir_open_on(struct lb_host *host, const char *vfs, const char *path,
	const struct lb_sink_dir_options *options, struct lb_sink **sinkp, char why[256]);
int lb_sink_sqlite_open_on(struct lb_host *host, const char *vfs, const char *path,
	const struct lb_sink_sqlite_options *options, struct lb_sink **sinkp, char why[256]);

#endif
