/* SPDX-License-Identifier: MIT */
/*
 * A sink: where deliveries go, with the ledger of what was committed. A table of functions, so that sinks
 * of other kinds are one file each. All but `write` run on the worker, which alone touches the ledger.
 */
#ifndef SERVER_SINK_H
#define SERVER_SINK_H

#include "loop/host.h"
#include <lastbyte/server.h>

/* One delivery at the server, from BEGIN to its verdict. The session fills the question, the sink the answer. */
struct lb_intake {
	struct lb_id     id;
	uint32_t         attempt;
	uint64_t         declared; /* length said in BEGIN, or LB_UNKNOWN */
	char             name[LB_NAME_MAX + 1];
	uint64_t         received; /* bytes written */
	struct lb_digest digest;   /* of these, before commit */
	/* the answer: UNPROVEN after a successful begin; COMMITTED with the receipt; else with the reason.
	 * IN_DOUBT: the sink cannot tell now; no verdict may be sent. */
	enum lb_verdict   verdict;
	enum lb_reason    reason;
	struct lb_receipt receipt;
	/* the sink's own */
	int               part, part_dir;
	struct lb_intake *next;
};

/* The answer to RESOLVE: COMMITTED with the receipt, ROLLED_BACK (FENCED or SETTLED), FORGOTTEN, or
 * NOT_COMMITTED (IO_ERROR, DISK_FULL, SETTLE_FIRST): no answer for now, it may even be committed; ask again. */
struct lb_resolution {
	struct lb_id      id;
	enum lb_verdict   verdict;
	enum lb_reason    reason;
	struct lb_receipt receipt;
};

struct lb_sink_ops {
	/* Takes a delivery in, or says why not, or that it is committed already. */
	void (*begin)(struct lb_sink *sink, struct lb_intake *intake);
	/* On the loop's thread: LB_REASON_NONE, or DISK_FULL, or IO_ERROR (then roll back). */
	enum lb_reason (*write)(struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len);
	/* Makes n deliveries durable together: sets each one's verdict, and releases what it held of them. */
	void (*commit)(struct lb_sink *sink, struct lb_intake **intakes, size_t n);
	/* Removes what was received of a delivery that begin took in. */
	void (*rollback)(struct lb_sink *sink, struct lb_intake *intake);
	void (*resolve)(struct lb_sink *sink, struct lb_resolution *resolution);
	/* lowest->number is the client's lowest open number: what lies below may be pruned. */
	void (*settle)(struct lb_sink *sink, const struct lb_id *lowest);
	void (*close)(struct lb_sink *sink);
};

struct lb_sink {
	const struct lb_sink_ops *ops;
	struct lb_host           *host;
	struct lb_uuid            ledger;
	enum lb_durability        durability;
};

/* As lb_sink_dir_open, on any machine; vfs: SQLite's, by name, or NULL for its default. */
int lb_sink_dir_open_on(
	struct lb_host *host, const char *vfs, const char *path, struct lb_sink **sinkp, char why[256]);

#endif
