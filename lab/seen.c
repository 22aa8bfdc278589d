/* SPDX-License-Identifier: MIT */
/* The questions of seen.h. What was not seen is no answer: without all packets, nobody knows that there was no RST. */
#include "lab/seen.h"
#include "lab/moments.h"

struct lab_seen seen_of(const struct lab_play *play)
{
	const struct lab_call *closed = moment_call(play, "close("), *last = moment_read(play, "0");
	lb_time data = moment_peer_data(play);

	return (struct lab_seen){.end = play->peer_end,
		.whole = play->peer_bytes == play->meant_bytes,
		.packets = play->captured && play->missed == 0,
		.rst = {play->captured && play->segments[LINK_LEFT].rst > 0,
			play->captured && play->segments[LINK_RIGHT].rst > 0},
		.late = closed != NULL && data != LB_NEVER && data >= closed->at + closed->took,
		.gave_up = moment_read(play, "ETIME") != NULL,
		.read_0 = last != NULL,
		.read_on = last != NULL ? moment_peer_read(play) - (last->at + last->took) : 0,
		.back_bytes = play->back_bytes};
}

bool seen_cut_by_reset(const struct lab_seen *seen)
{
	return !seen->whole && seen->end == LAB_RESET;
}

bool seen_reset_and_cut(const struct lab_seen *seen)
{
	return seen_reset(seen) && !seen->whole;
}

bool seen_no_reset(const struct lab_seen *seen)
{
	return !seen_reset(seen) && (seen->packets || seen->end == LAB_EOF);
}

bool seen_cut_at_eof(const struct lab_seen *seen)
{
	return !seen->whole && seen->end == LAB_EOF;
}

bool seen_whole_at_eof(const struct lab_seen *seen)
{
	return seen->whole && seen->end == LAB_EOF;
}

bool seen_reset(const struct lab_seen *seen)
{
	return seen->rst[LINK_LEFT] || seen->end == LAB_RESET;
}

bool seen_reset_but_whole(const struct lab_seen *seen)
{
	return seen_reset(seen) && seen->whole;
}

bool seen_fin_alone(const struct lab_seen *seen)
{
	return seen_whole_at_eof(seen) && seen->packets && !seen_reset(seen);
}

bool seen_clean(const struct lab_seen *seen)
{
	return seen->packets && !seen_unclean(seen);
}

bool seen_unclean(const struct lab_seen *seen)
{
	return !seen->whole || seen_reset(seen) || seen->rst[LINK_RIGHT];
}

bool seen_late_and_reset(const struct lab_seen *seen)
{
	return seen->late && seen_reset(seen);
}

bool seen_late_and_cut(const struct lab_seen *seen)
{
	return seen->late && seen_reset_and_cut(seen);
}

bool seen_late_and_not(const struct lab_seen *seen)
{
	return seen->late && seen->packets && !seen_reset(seen);
}

bool seen_proven(const struct lab_seen *seen)
{
	return seen->read_0 && seen->read_on <= 0 && seen_whole_at_eof(seen);
}

bool seen_not_proven(const struct lab_seen *seen)
{
	return seen->read_0 && !seen_proven(seen);
}
