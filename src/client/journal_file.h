/* SPDX-License-Identifier: MIT */
/* The journal's file, for journal.c: reading on, appending, compacting; all of it under the lock. */
#ifndef CLIENT_JOURNAL_FILE_H
#define CLIENT_JOURNAL_FILE_H

#include "client/journal_line.h"

/* A delivery or a reservation that is open, as the line that says so. */
struct lb_open_line {
	struct lb_id id;    /* the first of */
	uint32_t     count; /* numbers */
	size_t       len;
	char         text[];
};

struct lb_journal {
	struct lb_host       *host;
	int                   dir, lock, file;
	uint64_t              inode, device; /* of file */
	uint64_t              offset;        /* all before it is whole and has been read */
	uint64_t              size;          /* of file: the rest is a torn line */
	uint64_t              lines;
	uint64_t              next;  /* number */
	size_t                live;  /* bytes of the lines that are still needed */
	int                   dead;  /* -errno for every call from now on */
	bool                  known; /* client */
	uint8_t               client[16];
	struct lb_open_line **open;
	size_t                n_open, max_open;
};

bool lb_journal_is_own(const struct lb_journal *journal, const struct lb_id *id);

/* Where the open delivery with this id, or the reservation that has it, is in journal->open, or NULL. */
struct lb_open_line **lb_journal_place(const struct lb_journal *journal, const struct lb_id *id);

/* Makes the first journal in the directory `path`, with a random client id. */
int lb_journal_create(struct lb_journal *journal, const char *path, char why[256]);

/* Takes the lock and reads what others have written. After leave the state may be out of date. */
int  lb_journal_enter(struct lb_journal *journal);
void lb_journal_leave(struct lb_journal *journal);

/* Reads on, for who has the lock already. -EUCLEAN: a line is damaged; -EPROTONOSUPPORT: of a newer version. */
int lb_journal_catch_up(struct lb_journal *journal);

/* Makes one line durable and applies it. Unless it returns 0, nothing happened. */
int lb_journal_append(struct lb_journal *journal, const struct lb_line *line);

void lb_journal_forget(struct lb_journal *journal); /* what was read */

#endif
