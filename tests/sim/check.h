/* SPDX-License-Identifier: MIT */
/*
 * The oracle: it knows what every client has, has asked for and was told, sees what every server does, and says
 * at each step whether the invariants hold, by their numbers.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "server/sink.h"
#include "sim/machine.h"

#define SIM_INBOX    "inbox" /* below the root of a server's disk */
#define SIM_DATABASE "deliveries.db"
#define SIM_FOREIGN  "not a delivery"

/* Something that a user wants delivered, once. */
struct sim_source {
	struct sim_source *next;
	char               name[40], path[64];
	unsigned char     *bytes;
	size_t             len;
	struct lb_digest   digest;
	bool     loose;    /* its client has restored an old journal: what that has lost is sent again */
	bool     careless; /* its client settles what it does not know the end of */
	bool     wanted;   /* its user has asked for the commit of all of it */
	bool     asked;    /* and COMMIT was sent */
	unsigned taken, destroyed; /* out of inboxes, by whoever reads them, or with them */
};

/* One id, whose it is and what was said of it. */
struct sim_ident {
	struct sim_ident  *next;
	struct lb_id       id;
	struct sim_source *source;
	struct sim_source *kept;       /* what is committed under it; NULL: not known */
	struct lb_digest   reply;      /* of the application, in every receipt; all zero: not known */
	struct lb_uuid     ledger;     /* where it was begun first; all zero: not yet */
	bool               committed;  /* a sink has said so, or a client was told */
	bool               never;      /* somebody was told that it never will be */
	bool               not_yet;    /* its client was told so, and has not begun it again */
	bool               forgotten;  /* a ledger has said so */
	bool               found;      /* at the end, its ledger */
	uint64_t           sync_asked; /* the greatest offset that a sink was asked to keep, */
	uint64_t           synced;     /* and that it said it has kept */
	unsigned undecided; /* COMMITs of it that were sent and whose answer its client has not read */
};

/* A ledger that has been wiped away by its operator. */
struct sim_ledger {
	struct sim_ledger *next;
	struct lb_uuid     uuid;
};

struct sim_settled;

/* One delivery in the table `deliveries`. */
struct sim_row {
	struct lb_id             id;
	const struct sim_source *source;
};

/* All of them, of the database that was looked at last. */
struct sim_rows {
	uint64_t        version; /* of its disk; 0: none */
	struct sim_row *at;
	size_t          n, room;
};

struct sim_check {
	struct sim_world   *world;
	struct sim_machine *servers[2]; /* machines with an inbox or a database, whatever runs on them */
	int                 n_servers;
	struct sim_source  *sources;
	struct sim_ident   *idents;
	struct sim_ledger  *wiped;
	struct sim_settled *settled;
	struct sim_rows     rows;
	bool                database;   /* one, of all servers; else each has an inbox */
	unsigned            keep;       /* settled numbers of each client that a ledger still knows */
	bool                works;      /* the servers have an application, which replies */
	bool                one_ledger; /* there will never be another */
	unsigned            recoveries; /* percent of occasions on which a copy of a disk is recovered */
};

void sim_check_init(struct sim_check *check, struct sim_world *world);
void sim_check_deinit(struct sim_check *check);
void sim_check_server(struct sim_check *check, struct sim_machine *machine); /* watches its disk */

struct sim_source *sim_check_source(struct sim_check *check, const char *name, size_t len);
bool               sim_source_is_called(const struct sim_source *source, const char *name);
struct sim_source *sim_source_named(
	struct sim_check *check, const char *name); /* also as NAME~...; or NULL */
struct sim_source *sim_source_with(struct sim_check *check, const char *name,
	const struct lb_digest *digest); /* and this content; or NULL */
struct sim_ident *sim_check_ident(struct sim_check *check, const struct lb_id *id, struct sim_source *source);
bool              sim_check_is_wiped(const struct sim_check *check, const struct lb_uuid *ledger);

/* Files or rows of it that one machine has; all have, or that were taken out of inboxes, or are gone with them. */
unsigned sim_inbox_count(
	struct sim_check *check, struct sim_machine *machine, const struct sim_source *source);
unsigned sim_source_delivered(struct sim_check *check, const struct sim_source *source);
/* Invariants 3 and 7: not twice, be it at one ledger or at several. */
void sim_check_once(struct sim_check *check, const struct sim_source *source);

/* rows.c: the rows as whoever opens the database next would find them. Each is of somebody who has asked for it. */
const struct sim_rows *sim_rows_look(struct sim_check *check, struct sim_machine *machine);

/* Whoever reads the inbox takes a file away, durably. */
void sim_check_take(struct sim_check *check, struct sim_machine *machine);
/* Before an inbox is wiped. */
void sim_check_destroy(struct sim_check *check, struct sim_machine *machine, const struct lb_uuid *ledger);
/* Everything that the inbox or the database has now, as after a loss of power. */
void sim_check_inbox(struct sim_check *check, struct sim_machine *machine);

/* What a client does and is told. */
void sim_check_begins(struct sim_check *check, const struct lb_id *id, struct sim_source *source);
void sim_check_told(struct sim_check *check, const struct lb_id *id, struct sim_source *source,
	const struct lb_outcome *outcome, const struct lb_receipt *receipt);

/* The application's reply, which comes with a receipt. */
void sim_check_replied(struct sim_check *check, const struct lb_id *id, const void *reply, size_t len);

/* Whether its ledger is gone. */
bool sim_check_is_lost(struct sim_check *check, const struct lb_id *id);

/* A BEGIN names a ledger. */
void sim_check_names(struct sim_check *check, struct sim_ident *ident, const struct lb_uuid *ledger);

/* What a server's sink does. */
void sim_check_begun(struct sim_check *check, const struct lb_uuid *ledger, const struct lb_intake *intake);
void sim_check_commits(struct sim_check *check, const struct lb_uuid *ledger, const struct lb_intake *intake);
void sim_check_committed(
	struct sim_check *check, struct sim_machine *machine, const struct lb_intake *intake);
void sim_check_resolved(struct sim_check *check, struct sim_machine *machine, const struct lb_uuid *ledger,
	const struct lb_resolution *resolution);

/* settle.c: what a client says that it is done with; whether a ledger may have forgotten an id then; that one says it is
 * forgotten, or settled (other reasons do not matter); that one says it is committed. */
void sim_check_settles(struct sim_check *check, const struct lb_uuid *ledger, const struct lb_id *lowest);
void sim_check_forget_settled(struct sim_check *check);
bool sim_check_may_be_forgotten(const struct sim_check *check, const struct sim_ident *ident);
void sim_check_is_past(struct sim_check *check, struct sim_ident *ident, const struct lb_uuid *ledger,
	enum lb_reason reason);
void sim_check_may_commit(struct sim_check *check, const struct sim_ident *ident);

/* resume.c: what it is asked to keep, says that it has kept, and goes on with; and what is said of that on the wire. */
void sim_check_syncs(struct sim_check *check, const struct lb_intake *intake, uint64_t offset);
void sim_check_synced(struct sim_check *check, struct sim_machine *machine, const struct lb_intake *intake,
	uint64_t offset);
void sim_check_resumed(
	struct sim_check *check, const struct sim_machine *machine, const struct lb_intake *intake);
void sim_check_says_synced(const struct sim_check *check, const struct sim_ident *ident, uint64_t offset);
void sim_check_says_begin_ok(const struct sim_check *check, const struct sim_ident *ident, uint64_t offset);
/* A later attempt on a copy that was recovered after a loss of power. */
void sim_check_sync_survived(const struct sim_check *check, const struct sim_machine *copy,
	const struct sim_ident *ident, const struct lb_intake *intake, uint64_t offset);

/* On a copy of the machine as a loss of power would leave it now, recovered. */
void sim_check_survives(struct sim_check *check, struct sim_machine *machine, const struct sim_ident *ident);
void sim_check_fence_survives(
	struct sim_check *check, struct sim_machine *machine, const struct sim_ident *ident);
void sim_check_sync_survives(
	struct sim_check *check, struct sim_machine *machine, const struct sim_ident *ident, uint64_t offset);

/* When everything has been settled and no server runs any more. */
void sim_check_end(struct sim_check *check);

#endif
