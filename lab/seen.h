/* SPDX-License-Identifier: MIT */
/* What counts of one play when claims are judged, and what can be asked of that. */
#ifndef LAB_SEEN_H
#define LAB_SEEN_H

#include "lab/cell.h"

struct lab_seen seen_of(const struct lab_play *play);

/* Whether the peer got all, and how its last read ended. */
bool seen_cut_by_reset(const struct lab_seen *seen);
bool seen_cut_at_eof(const struct lab_seen *seen);
bool seen_whole_at_eof(const struct lab_seen *seen);

/* Whether our end was seen to send RST, or the peer to get one; and the peer got all, in spite of that. */
bool seen_reset(const struct lab_seen *seen);
bool seen_reset_but_whole(const struct lab_seen *seen);
bool seen_reset_and_cut(const struct lab_seen *seen);

/* Whether nothing was reset before the end of the stream: it came, or there was no RST of ours among all segments. */
bool seen_no_reset(const struct lab_seen *seen);

/* Whether the peer got all, and its end of the stream, and every segment was seen, no RST of ours among them. */
bool seen_fin_alone(const struct lab_seen *seen);

/* Whether the peer got all, and every segment was seen, no RST among them; and whether that is known not to be so. */
bool seen_clean(const struct lab_seen *seen);
bool seen_unclean(const struct lab_seen *seen);

/* Whether data that came late was answered by RST; by that, the peer did not get all; there was none, as the packets show. */
bool seen_late_and_reset(const struct lab_seen *seen);
bool seen_late_and_cut(const struct lab_seen *seen);
bool seen_late_and_not(const struct lab_seen *seen);

/* Whether our read returned 0, and the peer then had read all and the end of the stream; and whether it had not. */
bool seen_proven(const struct lab_seen *seen);
bool seen_not_proven(const struct lab_seen *seen);

#endif
