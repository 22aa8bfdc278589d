/* SPDX-License-Identifier: MIT */
/*
 * server.h - receives deliveries (liblastbyte-server).
 *
 *	lb_sink_dir_open, lb_server_new, lb_server_run; lb_server_stop from a signal handler or a callback.
 */
#ifndef LASTBYTE_SERVER_H
#define LASTBYTE_SERVER_H

#include <lastbyte/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lb_sink;
struct lb_server;

/*
 * What is kept of a delivery whose connection has ended before its end, so that a later attempt of it can go on: the
 * bytes up to the last SYNCED. How long is counted while a server runs and nobody is at that delivery, by a clock that
 * never jumps: no setting of the wall clock removes anything, and neither the time without a server counts nor the last
 * minute before its end (of a time below 8 minutes, an eighth).
 */
struct lb_sink_dir_options {
	lb_time keep_parts; /* 0: 24 h; negative: nothing is kept, and no client is offered to resume */
	/* bytes of all that are kept: the ones left first go first, and one that is larger by itself; 0: no limit */
	uint64_t parts_max;
	/* settled deliveries of each client that the ledger remembers, one by one, and up to an eighth more: it writes
	 * that down. 0: as many as it says, 1024 in a new one. What it has forgotten stays so, whatever is set later. */
	unsigned keep_receipts;
};

/*
 * Opens the directory `path` as a sink, making it (not its parents) if it is missing: each delivery appears
 * in it as a file, atomically. Its ledger lies in path/.lastbyte/. Recovers what a crash left: committed
 * deliveries are placed, what can be resumed is kept, the rest removed. `options` NULL: the defaults. Blocks. On
 * failure: a negative errno, and why, as a sentence, in `why` (256 bytes). -EBUSY: another server has it open.
 */
LB_PUBLIC LB_CHECKED int lb_sink_dir_open(
	const char *path, const struct lb_sink_dir_options *options, struct lb_sink **sinkp, char why[256]);

struct lb_sink_sqlite_options {
	uint64_t max_delivery; /* bytes of one, at most LB_SINK_SQLITE_MAX; 0: 1 MiB */
	uint64_t
		memory_max; /* bytes of all that have not committed yet; 0: 256 MiB. Beyond it REFUSED(BUSY) */
	unsigned keep_receipts; /* as above */
};
#define LB_SINK_SQLITE_MAX (UINT64_C(64) << 20)

/*
 * Opens the SQLite database at `path` as a sink, making it (not the directory that it lies in) if it is missing: each
 * delivery appears in it as a row of
 *
 *	deliveries(sequence INTEGER PRIMARY KEY, id TEXT, name TEXT, content BLOB, length INTEGER, digest TEXT,
 *	           committed_at INTEGER)
 *
 * in the transaction that commits it: sequence counts in the order of commit and never again, committed_at is in
 * nanoseconds since 1970, id and digest are texts as of base.h. Its ledger is in the same database, which several
 * processes may have open as sinks at once: they share it. Rows of `deliveries` are there to be taken: whoever deletes
 * them changes nothing of what the ledger knows. A writer who holds the database for 10 s gets deliveries refused as
 * BUSY; one who turns off PRAGMA synchronous takes the proof out of COMMITTED. The sink cannot resume. `options` NULL:
 * the defaults. Blocks. On failure: a negative errno, and why, as a sentence, in `why` (256 bytes). -ENOTSUP: it is the
 * ledger of a directory, or of a newer version, or a database of something else; -EINVAL: max_delivery.
 */
LB_PUBLIC LB_CHECKED int lb_sink_sqlite_open(const char *path, const struct lb_sink_sqlite_options *options,
	struct lb_sink **sinkp, char why[256]);

/* The identity of its ledger. */
LB_PUBLIC const struct lb_uuid *lb_sink_ledger(const struct lb_sink *sink);

/* Legal once no server uses it. NULL is fine. */
LB_PUBLIC void lb_sink_close(struct lb_sink *sink);

/* A delivery that has ended, as the server saw it. */
struct lb_report {
	struct lb_receipt receipt; /* length: bytes received; digest: of them (all zero if not known) */
	enum lb_verdict   verdict; /* ROLLED_BACK: no COMMIT came. Never UNPROVEN */
	enum lb_reason    reason;
	enum lb_end       ended; /* how its connection ended; OPEN: it serves another delivery by now */
	lb_time           took;  /* from BEGIN to the verdict */
	const char       *peer;  /* "ADDR:PORT" */
};

#define LB_WORK_REPLY_MAX 65536

/* A delivery that has come whole, with the length and the digest that its COMMIT says. */
struct lb_work {
	struct lb_id id;
	const char  *name;
	const void  *content;
	size_t       len;
};

/*
 * The application's work on a delivery: request, work, durable result and reply in one exchange. Called on the thread for
 * storage, one at a time, before the commit; others wait for it. Returns LB_REASON_NONE: then the delivery commits, and
 * its receipt carries the reply: *lenp bytes, which it has written to `reply` (room for LB_WORK_REPLY_MAX; *lenp is 0).
 * Or REJECTED, or BUSY, if trying again may help: then it does not commit, and what was written to `reply` is a text of
 * at most 255 bytes, for people. Any other reason counts as REJECTED; a *lenp above LB_WORK_REPLY_MAX is a mistake, and
 * the delivery is refused as IO_ERROR.
 *
 * The reply is in the ledger, in the same step as the commit: every receipt of this id carries the same one, for as long
 * as the ledger knows of it. The delivery commits at most once, and no work is done on one that the ledger knows to be
 * committed, or to never commit, when its turn comes. But the work may be done more than once: when its commit
 * fails, or when the process dies in between, or when two servers of one ledger have an attempt each. So work that has
 * effects of its own has to know id->number of what it has done, and to do that again harmlessly.
 */
typedef enum lb_reason lb_server_work(void *arg, const struct lb_work *work, void *reply, size_t *lenp);

struct lb_server_options {
	const char *listen;        /* "ADDR[:PORT]"; NULL: 127.0.0.1:7117. Port 0 picks one */
	bool        insecure;      /* not loopback alone, though nothing is encrypted or authenticated */
	uint64_t    max_delivery;  /* bytes; 0: as many as the sink takes */
	unsigned    max_sessions;  /* 0: 1024 */
	lb_time     idle_timeout;  /* 0: 60 s */
	lb_time     drain_timeout; /* 0: 10 s */
	/* on the thread of lb_server_run */
	void (*report)(void *arg, const struct lb_report *report);
	void           *arg;
	lb_server_work *work; /* NULL: none, and clients are offered no replies */
	void           *work_arg;
	size_t work_max; /* bytes of content, in memory for the work; larger ones are TOO_LARGE. 0: 1 MiB */
};

/* Listens. -EACCES with why: not a loopback address and not `insecure`; -EADDRINUSE, ... -ENOTSUP: a sink
 * that keeps nothing for `work` to be done on. The sink stays the caller's and must outlive the server. */
LB_PUBLIC LB_CHECKED int lb_server_new(struct lb_sink *sink, const struct lb_server_options *options,
	struct lb_server **serverp, char why[256]);

/* Where it listens: "127.0.0.1:7117", and the port alone. */
LB_PUBLIC const char *lb_server_address(const struct lb_server *server);
LB_PUBLIC unsigned    lb_server_port(const struct lb_server *server);

/* Serves until lb_server_stop, then takes what has connected by then, lets open deliveries finish within
 * drain_timeout, and returns 0. Uses one more thread, for storage. Negative errno: the loop itself failed. */
LB_PUBLIC LB_CHECKED int lb_server_run(struct lb_server *server);

/* Async-signal-safe, and callable from any thread. */
LB_PUBLIC void lb_server_stop(struct lb_server *server);

LB_PUBLIC void lb_server_free(struct lb_server *server); /* NULL is fine */

/* What a ledger says of itself. */
struct lb_ledger_info {
	struct lb_uuid ledger;
	unsigned       keep_receipts; /* settled deliveries of each client that it remembers, one by one */
};

/* One row of a ledger. */
struct lb_ledger_row {
	struct lb_receipt receipt;
	enum lb_verdict   verdict; /* COMMITTED, or ROLLED_BACK for a fence */
};

/*
 * Reads the ledger of the sink at `path`, of either kind, also while a server uses it: the rows of one moment, in order of commit.
 * *infop is filled before the first of them. Stops when `row` returns other than 0 and returns that. -ENOENT: there is
 * no ledger. -ENOTSUP: it is of another version; a server brings one of an older version up to date when it starts.
 */
LB_PUBLIC LB_CHECKED int lb_ledger_read(const char *path, struct lb_ledger_info *infop,
	int (*row)(void *arg, const struct lb_ledger_row *row), void *arg, char why[256]);

#ifdef __cplusplus
}
#endif
#endif
