/* SPDX-License-Identifier: MIT */
/*
 * The ledger: which delivery was committed, which never will be. An SQLite database (WAL, synchronous FULL).
 * Commit and fence are inserts under one primary key, so the first one wins. One thread at a time; but several
 * processes may have it open, and what one has done the others see. A ledger with contents has these in it, too: the
 * table `deliveries`, one row each, inserted with the row that commits it; whoever wants to may remove it again.
 */
#ifndef SERVER_LEDGER_H
#define SERVER_LEDGER_H

#include "loop/host.h"
#include <lastbyte/server.h>

struct lb_ledger;

enum lb_ledger_state {
	LB_LEDGER_UNSEEN,    /* no row */
	LB_LEDGER_COMMITTED, /* the entry holds the receipt */
	LB_LEDGER_FENCED,    /* will never commit */
	LB_LEDGER_SETTLED,   /* no row, below the client's lowest open number: will never commit */
	LB_LEDGER_FORGOTTEN, /* below what was pruned */
	LB_LEDGER_BEYOND, /* no row, and LB_NUMBERS_OPEN_MAX or more above the client's lowest open number */
	/* of a commit into a ledger with contents alone; there is no row: */
	LB_LEDGER_REJECTED, /* a constraint or a trigger of somebody else's on the table does not take it */
	LB_LEDGER_FAILED, /* the insert has an error that is this row's own: of an expression, of its size */
};

#define LB_LEDGER_KEEP 1024
#define LB_LEDGER_STEP (LB_LEDGER_KEEP / 8) /* of pruning, with the default */

struct lb_ledger_options {
	/* Settled numbers of each client whose rows are kept, and up to an eighth more: it is written into the ledger. 0: as
	 * it says there, and LB_LEDGER_KEEP in a new one. What was pruned once stays forgotten, whatever is set later. */
	unsigned keep;
	/* It is of a sink that keeps contents in it. A ledger is of one kind from its making on. */
	bool contents;
};

/* Opens or creates it, brings one of an older version up to date, makes what it says durable, and reads its identity.
 * On a full disk one with contents, of this version, is opened as if it had been broken: see below. `options` NULL: the defaults. -ENOTSUP: a newer version made it, it is of the other
 * kind, or a database of something else, which is left as it is. */
int                   lb_ledger_open(struct lb_host *host, const char *vfs, const char *path,
			  const struct lb_ledger_options *options, struct lb_ledger **ledgerp, char why[256]);
void                  lb_ledger_close(struct lb_ledger *ledger);
const struct lb_uuid *lb_ledger_uuid(const struct lb_ledger *ledger);
/* Where its file lies: absolute, and no link. */
const char *lb_ledger_path(const struct lb_ledger *ledger);

/*
 * All return 0, or not done: -ENOSPC, -EBUSY (another process has held the database for 10 s;
 * as long as it goes on doing so, that is said to the next ones within 0.1 s); or -EIO: broken. After
 * -EIO every call first reopens the database, makes durable what it says and goes on from what it reads; while
 * that fails it returns -EIO again, or -ENOSPC if it is for want of room.
 */
/* What the application has answered, and goes out with the receipt. On the heap: whoever has it frees `bytes`. */
struct lb_ledger_reply {
	void  *bytes; /* NULL: none */
	size_t len;
};

/* A row: as it is to be inserted, and then as it is there. */
struct lb_ledger_entry {
	struct lb_receipt      receipt;
	struct lb_ledger_reply reply;
	enum lb_ledger_state   state;
	const void            *content; /* of a ledger with contents: receipt.length bytes */
	char                  *text;    /* REJECTED, FAILED: SQLite's words, on the heap, or NULL */
};

/* What is there of an id. The receipt and the reply are those of a commit; NULL where no reply is wanted. */
int lb_ledger_look(struct lb_ledger *ledger, const struct lb_id *id, enum lb_ledger_state *statep,
	struct lb_receipt *receiptp, struct lb_ledger_reply *replyp);

/* Inserts n rows in one transaction. The state is what was there first: UNSEEN: the entry is in the ledger now;
 * REJECTED and FAILED: it is not, and the others are; else what was there is left, and the entry holds it, its own reply
 * freed. On -ENOSPC no row was inserted. On
 * -EIO any may be, durable or not: look before answering. */
int lb_ledger_commit(struct lb_ledger *ledger, struct lb_ledger_entry *entries, size_t n);

/* Inserts a fence unless there is a row, or no room for one. *statep: FENCED, or what was there first. */
int lb_ledger_fence(struct lb_ledger *ledger, const struct lb_id *id, enum lb_ledger_state *statep,
	struct lb_receipt *receiptp, struct lb_ledger_reply *replyp);

/* The file had to be placed under another name. */
int lb_ledger_placed(struct lb_ledger *ledger, const struct lb_id *id, const char *placed);

/* Raises the client's lowest open number, and prunes rows that lie more than the kept ones below it. */
int lb_ledger_settle(struct lb_ledger *ledger, const struct lb_id *lowest);

/* As lb_ledger_settle, but in the transaction of the next commit or fence, or of the next settle of any kind once 64
 * clients wait: so it costs no sync. What waits is lost with the process: the client says it again. `now` does it. */
int lb_ledger_settle_later(struct lb_ledger *ledger, const struct lb_id *lowest);
int lb_ledger_settle_now(struct lb_ledger *ledger);

/* ledger_part.c: what was received of a delivery that is not decided, and is durable. A row speaks of bytes
 * that were synced before it was written; commit, fence and settle remove it in their own transaction. */
struct lb_ledger_part {
	struct lb_id id;
	uint32_t     attempt;  /* the latest */
	uint64_t     declared; /* length said in BEGIN, or LB_UNKNOWN */
	uint64_t     offset;   /* the bytes before it */
	lb_time      age;      /* how long nobody has been at it, as lb_ledger_parts_age was told */
	char         name[LB_NAME_MAX + 1];
};

int lb_ledger_part_look(
	struct lb_ledger *ledger, const struct lb_id *id, struct lb_ledger_part *partp, bool *foundp);

/* Inserts the row, of age 0, or replaces it, unless the fate of its id is known: *statep is that, or UNSEEN. */
int lb_ledger_part_put(
	struct lb_ledger *ledger, const struct lb_ledger_part *part, enum lb_ledger_state *statep);

/* All of them, the one that was put last first. The caller frees *partsp. Also -ENOMEM. */
int lb_ledger_parts(struct lb_ledger *ledger, struct lb_ledger_part **partsp, size_t *np);
/* As that, but only those that a SETTLED takes away: of its client, with a number below. */
int lb_ledger_parts_below(
	struct lb_ledger *ledger, const struct lb_id *lowest, struct lb_ledger_part **partsp, size_t *np);

/* In one transaction: sets the age of each; removes them. A row that is not there is no error. */
int lb_ledger_parts_age(struct lb_ledger *ledger, const struct lb_ledger_part *parts, size_t n);
int lb_ledger_parts_forget(struct lb_ledger *ledger, const struct lb_ledger_part *parts, size_t n);

#endif
