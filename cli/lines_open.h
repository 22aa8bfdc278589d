/* SPDX-License-Identifier: MIT */
/* What an earlier run of `lastbyte send --lines` has left open, and what this one leaves in the journal for the next. */
#ifndef CLI_LINES_OPEN_H
#define CLI_LINES_OPEN_H

#include "peer.h"
#include "records.h"

#define LB_LINES_DIGITS   12  /* of the number that follows the name and a dot: so the names sort */
#define LB_LINES_SKIP_MAX 320 /* records */
#define LB_LINES_NOTE_MAX 255
#define LB_LINES_RANGES   16 /* that may be open of one input */

/* The name of one record; they count from 1. */
void lb_lines_name(const char *name, uint64_t index, char out[LB_NAME_MAX + 1]);

/*
 * Which records the numbers of a reservation are for, as the journal's note: those from `index` on, in their order, but
 * for the ones that `skip` names by their bits, as they are committed. Numbers that lie behind the end of the input are for
 * nothing: none of them was begun.
 */
struct lb_lines_note {
	bool     prefixed;
	uint64_t index, offset;               /* of the first one: in the input */
	char     before[LB_DIGEST_TEXT];      /* of all that comes before it there */
	char     source[LB_DIGEST_TEXT];      /* of the path of the input */
	uint8_t  skip[LB_LINES_SKIP_MAX / 8]; /* record index + i: bit i % 8 of byte i / 8 */
	unsigned skips;                       /* bytes of it */
	char     skipped[LB_DIGEST_TEXT];     /* of the lengths and digests of those records; "": not known */
	uint64_t refused;                     /* the first record that was, before those; 0: none */
	unsigned left;                        /* records that the input has from `index` on; 0: not known */
};

void lb_lines_note_write(const struct lb_lines_note *note, char text[LB_LINES_NOTE_MAX + 1]);
bool lb_lines_note_parse(const char *text, struct lb_lines_note *notep); /* false: it is something else's */
uint64_t lb_lines_note_record(
	const struct lb_lines_note *note, unsigned i); /* that the i-th number is for, from 0 */

bool lb_lines_note_is_used(const struct lb_lines_note *note, unsigned i); /* or it is behind the end */

struct lb_lines_range {
	struct lb_id         first;
	unsigned             count;
	struct lb_lines_note note;
};

/* One record of those that the open numbers are for. */
struct lb_lines_old {
	bool             there, committed; /* the input has it; an earlier run has delivered it */
	uint64_t         length;
	struct lb_digest digest;
};

struct lb_lines_open {
	char                   source[LB_DIGEST_TEXT];
	struct lb_lines_range *ranges; /* the one with the first record is the first */
	size_t                 n;
	uint64_t from, until;     /* the records: from `from` on, before `until`; the same: there are none */
	struct lb_lines_old *old; /* of each */
	struct lb_hasher     before;  /* has seen what comes before the first */
	uint64_t             refused; /* the first record that was, by this run or one before it; 0: none */
};

/* Looks for what is open of this source, an absolute path, or NULL: then it is nothing; at peer's ledger or address, or
 * anywhere if there is no connection, as then the ledger is not known: it only says whether there is any, and `from`.
 * 0; -EBUSY: another process works on it; -E2BIG: it is too much for a note; or a negative errno. Free it in any case. */
int  lb_lines_open_find(struct lb_lines_open *open, const struct lb_peer *peer, const char *source,
	 const char *name, bool prefixed);
void lb_lines_open_free(struct lb_lines_open *open);

/* Whether that is still all that is open, once each number was asked about: then nobody else has settled any of them, and
 * begun its record under another one. 0; -EBUSY: somebody has; or a negative errno. */
int lb_lines_open_check(
	struct lb_lines_open *open, const struct lb_peer *peer, const char *name, bool prefixed);

/* Whether nobody else has begun to deliver the input since it was looked for: `id` is the number that this run has reserved
 * first, for record `index`. Of several that do so at once, one is told so. 0; -EBUSY; or a negative errno. */
int lb_lines_open_alone(struct lb_lines_open *open, const struct lb_peer *peer, const char *name,
	bool prefixed, const struct lb_id *id, uint64_t index);

/* Reads the input as far as the numbers go, and goes back to the first record that they are for. 0; -ESTALE: what comes
 * before that is not what was there; -EUCLEAN: nor is a record that has committed, and that no number is open for any more;
 * or as lb_records_cut and lb_records_fill. */
int lb_lines_open_read(struct lb_lines_open *open, struct lb_records *records);

/* The server has refused the record: it is not sent again, and the next run shall know. */
void lb_lines_open_refused(struct lb_lines_open *open, uint64_t index);

/* Whether an earlier run has delivered the record. */
bool lb_lines_open_has(const struct lb_lines_open *open, uint64_t index);

/* What the reservation that is made for the record at hand shall say. */
void lb_lines_open_note(
	const struct lb_lines_open *open, const struct lb_records *records, char text[LB_LINES_NOTE_MAX + 1]);

#endif
