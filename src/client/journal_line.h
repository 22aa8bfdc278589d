/* SPDX-License-Identifier: MIT */
/*
 * One line of the journal as text and back. Fields are separated by a space, the last one is a checksum of
 * all before it:
 *
 *	lastbyte-journal 1 CLIENT                             the first line, and only that
 *	open ID ATTEMPT LEDGER ADDRESS NAME SOURCE            also for a later attempt
 *	range NUMBER COUNT ENDED LEDGER ADDRESS NAME SOURCE NOTE
 *	done ID
 *	next NUMBER                                           numbers below it were given out
 *
 * ID is NUMBER for this client's own, CLIENT:NUMBER for another's. A range is the COUNT numbers from NUMBER on; done ends
 * it when it names the first, and so does the line of a later range whose ENDED is the first; 0: it ends none.
 */
#ifndef CLIENT_JOURNAL_LINE_H
#define CLIENT_JOURNAL_LINE_H

#include "client/journal.h"

#define LB_LINE_MAX 16384 /* with its newline; every byte of the longest entry may need three */

enum lb_line_type { LB_LINE_HEADER, LB_LINE_OPEN, LB_LINE_RANGE, LB_LINE_DONE, LB_LINE_NEXT };

struct lb_line {
	enum lb_line_type       type;
	struct lb_journal_entry entry; /* HEADER: id.client; DONE: id; NEXT: id.number */
	uint64_t                ended; /* RANGE: the first number of the range that it ends, or 0 */
};

/* Its length. own: the client whose journal it is. */
size_t lb_line_write(const struct lb_line *line, const uint8_t own[16], char text[LB_LINE_MAX]);

/* text without its newline. -EBADMSG: not a whole line; -EPROTONOSUPPORT: whole, but of a newer version. */
int lb_line_parse(const char *text, size_t len, const uint8_t own[16], struct lb_line *linep);

#endif
