/* SPDX-License-Identifier: MIT */
/* The inside of the `dir:` sink: sink_dir.c (the table of functions), sink_dir_commit.c, sink_dir_part.c (parts and
 * placing them), sink_dir_keep.c (parts that are kept) and sink_dir_open.c (opening and recovery). All of it, but write, is the worker's. */
#ifndef SERVER_SINK_DIR_H
#define SERVER_SINK_DIR_H

#include "server/ledger.h"
#include "server/sink.h"

#define LB_DIR_BATCH  256          /* deliveries that share one sync */
#define LB_DIR_REHASH (16u << 20)  /* bytes, of one piece: others get their turn between two */
#define LB_DIR_READ   (256u << 10) /* of one read(2) */

struct lb_dir {
	struct lb_sink    sink;
	struct lb_ledger *ledger;
	struct lb_intake *intakes; /* not decided yet: their ids and names are reserved */
	int               inbox;   /* PATH */
	int               control; /* PATH/.lastbyte */
	int               parts;   /* PATH/.lastbyte/parts */
	int               lock;    /* PATH/.lastbyte/lock */
	lb_time           keep;    /* parts; 0 or less: none */
	uint64_t          keep_max;
	uint64_t keep_room; /* so much at least may be left before one has to look at all that is kept */
	lb_time  swept;     /* when the ages of parts were counted last */
	/* of one commit */
	struct lb_intake      *batch[LB_DIR_BATCH];
	struct lb_ledger_entry entries[LB_DIR_BATCH];
	/* of one read */
	uint8_t buf[LB_DIR_READ];
};

extern const struct lb_sink_ops lb_dir_ops;
void                            lb_dir_commit(struct lb_sink *sink, struct lb_intake **intakes, size_t n);
void lb_dir_free(struct lb_dir *dir); /* closes everything; also when it was opened in part */

/* sink_dir_keep.c: functions of the table; and taking up what an earlier attempt has left. 0: the verdict is still
 * UNPROVEN and the part open with intake->offset above 0, or there is nothing of it any more, or there is a verdict. */
void           lb_dir_rehash(struct lb_sink *sink, struct lb_intake *intake, struct lb_hasher *hasher);
enum lb_reason lb_dir_sync(struct lb_sink *sink, struct lb_intake *intake, uint64_t offset);
void           lb_dir_leave(struct lb_sink *sink, struct lb_intake *intake);
void           lb_dir_sweep(struct lb_sink *sink);
int            lb_dir_resume(struct lb_dir *dir, struct lb_intake *intake);
int            lb_dir_recover_parts(
		   struct lb_dir *dir); /* rows without their part go, and what is too old or too much */

struct lb_intake *lb_dir_find(struct lb_dir *dir, const struct lb_id *id); /* being received; or NULL */

/* Syncs parts/: -EIO etc.: no intake of now can commit. */
int lb_dir_sync_parts(struct lb_dir *dir);

/* Lets go of what an intake holds, and leaves its part or removes it, and its row. */
void lb_dir_close_fd(struct lb_dir *dir, int *fdp);
void lb_dir_release(struct lb_dir *dir, struct lb_intake *intake);
void lb_dir_discard(struct lb_dir *dir, struct lb_intake *intake);

/* The directory of a part: parts/ID. */
void lb_dir_part_name(const struct lb_id *id, char name[LB_ID_TEXT]);
int  lb_dir_part_parse(const char *name, struct lb_id *idp);
int  lb_dir_part_open(struct lb_dir *dir, const struct lb_id *id);

int lb_dir_part_create(struct lb_dir *dir, struct lb_intake *intake); /* a new one, instead of any other */

/* Removes it with all files in it. 0 also when there is none. */
int lb_dir_part_remove(struct lb_dir *dir, const struct lb_id *id);

/*
 * Moves a committed part to receipt->placed, or, where somebody else's file lies there, to a name of its own,
 * which the ledger knows first: then receipt->placed is that. -ENOENT: the part is not there, it was moved
 * before. PATH is not synced yet; lb_dir_unplace is for when that failed: it moves the part back.
 */
int  lb_dir_place(struct lb_dir *dir, int part_dir, struct lb_receipt *receipt);
void lb_dir_unplace(struct lb_dir *dir, int part_dir, const struct lb_receipt *receipt);

/* Makes sure that a committed delivery is in the inbox, durably. */
int lb_dir_place_left(struct lb_dir *dir, struct lb_receipt *receipt);

#endif
