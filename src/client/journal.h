/* SPDX-License-Identifier: MIT */
/*
 * The client's journal: who it is, and which of its deliveries are open. Durable before it returns; safe
 * against several processes at once and against SIGKILL and power loss at any point.
 */
#ifndef CLIENT_JOURNAL_H
#define CLIENT_JOURNAL_H

#include "loop/host.h"

struct lb_journal;

#define LB_SOURCE_MAX  4096
#define LB_NOTE_MAX    255
#define LB_NUMBERS_MAX 256 /* that one reservation gives out: so many questions it may leave after a crash */

/* A delivery, or a reservation: consecutive numbers for deliveries that have no line of their own each. */
struct lb_journal_entry {
	struct lb_id   id;
	uint64_t       first;   /* of the reservation that id is one of; of a delivery: id.number */
	uint32_t       count;   /* numbers of the reservation; 1: a delivery of its own */
	struct lb_uuid ledger;  /* the one that it was begun at */
	uint32_t       attempt; /* the last one, counts from 1; of a reservation: not kept */
	char           address[LB_ADDRESS_TEXT]; /* as the user gave it, of the last attempt */
	char           name[LB_NAME_MAX + 1];
	char           source[LB_SOURCE_MAX]; /* "": nothing to find it by */
	bool           busy;                  /* lb_journal_each: another process has claimed it */
	char           note[LB_NOTE_MAX + 1]; /* of a reservation: its maker's, for whoever finds it open */
};

/* path NULL: the default. Makes what is missing. -errno with a sentence in why. */
int  lb_journal_open(struct lb_host *host, const char *path, struct lb_journal **journalp, char why[256]);
void lb_journal_close(struct lb_journal *journal);
const uint8_t *lb_journal_client(const struct lb_journal *journal); /* 16 bytes */

/* The open entry with this id, or the delivery of this source and name that was begun at this ledger, whatever its address,
 * or at this address (NULL: anywhere); of a reservation each number is found, and none by its source. 1 found, 0 not
 * found, negative errno.
 * A found entry is claimed: no other process's find or open gets it, until release, done or the process's end.
 * -EBUSY: another process has claimed it. For a source that is the answer, too, unless that process made it and
 * is at its first attempt: what it settles may be committed, and with another number would be committed twice. */
int lb_journal_find(struct lb_journal *journal, const struct lb_id *id, struct lb_journal_entry *entryp);
int lb_journal_find_source(struct lb_journal *journal, const struct lb_uuid *ledger, const char *address,
	const char *name, const char *source, struct lb_journal_entry *entryp);

/* Calls `each` for every open entry, in the order in which they were begun, until it returns
 * other than 0, which is returned. A reservation is one entry. `each` must not call the journal. */
int lb_journal_each(
	struct lb_journal *journal, int (*each)(void *arg, const struct lb_journal_entry *entry), void *arg);

/* Records a delivery as open and claims it. A zero id gets this client's next number, which is written to
 * entry->id; an entry that is claimed already is replaced (a later attempt). -EBUSY: another process has claimed it, or
 * it is one of a reservation: how often that was begun is known to its maker alone, so that after a crash it can be
 * asked about, but not begun again. */
int lb_journal_begin(struct lb_journal *journal, struct lb_journal_entry *entry);

/* Records that its end is known, and releases it. Unknown ids are fine, and nothing happens to a reservation. */
int lb_journal_done(struct lb_journal *journal, const struct lb_id *id);

/* Releases it and leaves it open. A reservation stays claimed until it is settled or the journal is closed. */
void lb_journal_release(struct lb_journal *journal, const struct lb_id *id);

/* Gives out `count` of this client's numbers at once, 2 to LB_NUMBERS_MAX, with one line and one sync, and claims them.
 * The first one is written to entry->id. `note`: at most LB_NOTE_MAX bytes, NULL: none. `ended`: NULL, or a number of a
 * reservation of ours, which the same line settles. A number that is not used in the end costs nothing. */
int lb_journal_reserve(struct lb_journal *journal, struct lb_journal_entry *entry, uint32_t count,
	const char *note, const struct lb_id *ended);

/* Records that the end of each number of the reservation that has this one is known, and releases it. Until then all of
 * them count as open: which were decided is not kept. An unknown one is fine. */
int lb_journal_settle(struct lb_journal *journal, const struct lb_id *id);

/* This client's lowest open number, or its next one when none is open, read under the lock. */
int lb_journal_lowest(struct lb_journal *journal, uint64_t *numberp);

#endif
