/* SPDX-License-Identifier: MIT */
/* The verdicts of one run of `lastbyte send`. */
#ifndef CLI_TELL_H
#define CLI_TELL_H

#include "peer.h"
#include "print.h"

struct lb_telling {
	bool json;      /* objects, and not lines */
	int  exit;      /* the code to leave with: that of the most serious verdict so far */
	bool older;     /* how to settle older ones first was said */
	int  unwritten; /* why the last result could not be written, which is said once, or 0 */
};

/* One verdict goes out: a line at once, but the last object of a connection only when that has been ended. Then the last
 * call on the peer is made: what was told leaves the journal, and what could not be told does not. */
void lb_tell(struct lb_telling *telling, struct lb_peer *peer, struct lb_result *result, bool last);

#endif
