/* SPDX-License-Identifier: MIT */
/*
 * The arrows of arrows.h. Segments that tell more than others are arrows of their own, for as long as there is room, in
 * the order of enum rank; between two of them those that are left are merged by class, so that there is one arrow for
 * all of a class at most. Owns nothing.
 */
#include "lab/arrows.h"
#include <errno.h>
#include <stdlib.h>

#define FIRST_RESETS 2  /* of each end: a flood may meet one for each of its segments */
#define FIRST        6  /* data segments of each end, and acks, from the beginning ... */
#define LAST         2  /* ... and before its FIN or RST */
#define PAUSES       20 /* a pause is longer than one part in so many of the whole */

/* What a diagram shows first. */
enum rank { RANK_BOUND, RANK_FIRST, RANK_LAST, RANK_AGAIN, RANK_PAUSE, RANK_RESET, RANK_OTHER, RANKS };

enum kind { KIND_DATA, KIND_ACK, KIND_SYN, KIND_FIN, KIND_RST, KINDS };

#define CLASSES                                                                                              \
	(KINDS * 8) /* by the end, by whether they were lost and by whether they are sent again, too */

_Static_assert(CLASSES <= LAB_ARROWS, "all can be drawn when all of a class are merged");

/* What is known of a segment here. */
struct mark {
	enum rank rank;
	unsigned class;
	bool alone; /* an arrow of its own */
};

static enum kind kind_of(const struct lab_segment *segment)
{
	if ((segment->flags & LAB_RST) != 0)
		return KIND_RST;
	if ((segment->flags & LAB_FIN) != 0)
		return KIND_FIN;
	if ((segment->flags & LAB_SYN) != 0)
		return KIND_SYN;
	return segment->bytes > 0 ? KIND_DATA : KIND_ACK;
}

/* Whether this segment, or a part of it, has been sent before; *highp is what comes after all that has been. */
static bool is_again(const struct lab_segment *segment, uint32_t *highp)
{
	uint32_t len = segment->bytes + ((segment->flags & LAB_SYN) != 0) + ((segment->flags & LAB_FIN) != 0);
	bool again = len > 0 && (int32_t)(segment->seq - *highp) < 0;

	if ((int32_t)(segment->seq + len - *highp) > 0)
		*highp = segment->seq + len;
	return again;
}

static void rank_forwards(const struct lab_segment *segments, struct mark *marks, size_t count)
{
	unsigned seen[2][KINDS] = {{0}};
	uint32_t high[2] = {0};
	lb_time before = segments[0].sent, whole = segments[count - 1].sent - before;

	for (size_t i = 0; i < count; i++) {
		const struct lab_segment *segment = &segments[i];
		bool again = is_again(segment, &high[segment->from]), lost = segment->arrived == LB_NEVER;
		enum kind kind = kind_of(segment);
		unsigned nth = seen[segment->from][kind]++;

		marks[i].class =
			(((unsigned)kind * 2 + (segment->from == LINK_RIGHT)) * 2 + lost) * 2 + again;
		if (kind == KIND_SYN || kind == KIND_FIN || (kind == KIND_RST && nth < FIRST_RESETS))
			marks[i].rank = RANK_BOUND;
		else if (kind != KIND_RST && nth < FIRST)
			marks[i].rank = RANK_FIRST;
		else if (again || lost)
			marks[i].rank = RANK_AGAIN;
		else if (segment->sent - before > whole / PAUSES)
			marks[i].rank = RANK_PAUSE;
		else
			marks[i].rank = kind == KIND_RST ? RANK_RESET : RANK_OTHER;
		before = segment->sent;
	}
}

static void rank_backwards(const struct lab_segment *segments, struct mark *marks, size_t count)
{
	unsigned left[2][2] = {{0}}; /* by end; of data and of acks */

	for (size_t i = count; i-- > 0;) {
		enum link_end from = segments[i].from;
		enum kind kind = kind_of(&segments[i]);

		if (kind == KIND_FIN || kind == KIND_RST) {
			left[from][KIND_DATA] = left[from][KIND_ACK] = LAST;
		} else if (kind <= KIND_ACK && left[from][kind] > 0) {
			left[from][kind]--;
			if (marks[i].rank > RANK_LAST)
				marks[i].rank = RANK_LAST;
		}
	}
}

static unsigned arrows_needed(const struct mark *marks, size_t count)
{
	uint64_t classes = 0;
	unsigned needed = 0;

	for (size_t i = 0; i < count; i++) {
		if (marks[i].alone) {
			needed++;
			classes = 0;
		} else if ((classes & UINT64_C(1) << marks[i].class) == 0) {
			needed++;
			classes |= UINT64_C(1) << marks[i].class;
		}
	}
	return needed;
}

/* No rank begins before the one above it is done, or has no room for its next one. */
static void choose(struct mark *marks, size_t count)
{
	for (int rank = 0; rank < RANKS; rank++)
		for (size_t i = 0; i < count; i++) {
			if ((int)marks[i].rank != rank)
				continue;
			marks[i].alone = true;
			if (arrows_needed(marks, count) <= LAB_ARROWS)
				continue;
			marks[i].alone = false;
			break;
		}
}

static void merge(struct lab_arrow *arrow, const struct lab_segment *segment)
{
	if (arrow->count++ == 0) {
		arrow->sent = segment->sent;
		arrow->arrived = arrow->until = segment->arrived;
		arrow->peer = segment->from == LINK_RIGHT;
		arrow->flags = segment->flags;
		arrow->seq = segment->seq;
	}
	arrow->ack = segment->ack;
	arrow->window = segment->window;
	arrow->bytes += segment->bytes;
	if (segment->arrived > arrow->until)
		arrow->until = segment->arrived;
}

static void draw(
	const struct lab_segment *segments, const struct mark *marks, size_t count, struct lab_play *play)
{
	struct lab_arrow *open[CLASSES] = {NULL}; /* since the last one that stands alone */

	for (size_t i = 0; i < count; i++) {
		struct lab_arrow **arrow = &open[marks[i].class];

		if (marks[i].alone)
			for (int j = 0; j < CLASSES; j++)
				open[j] = NULL;
		if (*arrow == NULL) {
			*arrow = &play->arrow[play->arrows++];
			**arrow = (struct lab_arrow){0};
		}
		merge(*arrow, &segments[i]);
		if (marks[i].alone)
			*arrow = NULL;
	}
}

int lab_arrows_draw(const struct lab_segment *segments, size_t count, struct lab_play *play)
{
	struct mark *marks = calloc(count + 1, sizeof *marks);

	play->arrows = 0;
	if (marks == NULL)
		return -ENOMEM;
	if (count > 0) {
		rank_forwards(segments, marks, count);
		rank_backwards(segments, marks, count);
		choose(marks, count);
		draw(segments, marks, count, play);
	}
	free(marks);
	return 0;
}
