/* SPDX-License-Identifier: MIT */
/*
 * One line of the journal as text and back. Fields are separated by a space, the last one is a checksum of
 * all before it:
 *
 *	lastbyte-journal 1 CLIENT                             the first line, and only that
 *	open ID ATTEMPT LEDGER ADDRESS NAME SOURCE            also for a later attempt
 *	done ID
 *	next NUMBER                                           numbers below it were given out
 *
 * ID is NUMBER for this client's own, CLIENT:NUMBER for another's.
 */
#ifndef CLIENT_JOURNAL_LINE_H
#define CLIENT_JOURNAL_LINE_H

#include "client/journal.h"

#define LB_LINE_MAX 16384 /* with its newline; every byte of the longest entry may need three */

enum lb_line_type { LB_LINE_HEADER, LB_LINE_OPEN, LB_LINE_DONE, LB_LINE_NEXT };

struct lb_line {
	enum lb_line_type       type;
	struct lb_journal_entry entry; /* HEADER: id.client; DONE: id; NEXT: id.number */
};

/* Its length. own: the client whose journal it is. */
size_t lb_line_write(const struct lb_line *line, const uint8_t own[16], char text[LB_LINE_MAX]);

/* text without its newline. -EBADMSG: not a whole line; -EPROTONOSUPPORT: whole, but of a newer version. */
int lb_line_parse(const char *text, size_t len, const uint8_t own[16], struct lb_line *linep);

#endif
