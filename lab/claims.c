/* SPDX-License-Identifier: MIT */
/*
 * What bears on each claim of claims.def, and how: a function for each, over cells alone. How evidence becomes a verdict
 * is in evidence.c, when calls were made and segments left in moments.c. Limits in time lie far from what either side of
 * them takes, because plays share a machine.
 */
#include "lab/claims.h"
#include "lab/evidence.h"
#include "lab/moments.h"
#include "lab/seen.h"
#include <stdio.h>
#include <string.h>

#define MS         INT64_C(1000000)
#define LONG       (20 * MS)  /* a call that blocks, and not only waits for its turn */
#define FAR        (5 * MS)   /* one way: a link that is too long for its delay to be the machine's */
#define AT_ONCE    (10 * MS)  /* Nagle's algorithm waits for 40 ms, or a round trip over a link that is far */
#define HELD       (100 * MS) /* so long after its last write, cork_held takes the cork off */
#define HALF_CLOSE 100000     /* bytes that the peer sends after our end */

#define CLOSES "raw_close plain"

static bool is_in(const struct lab_cell *cell, const char *scenario)
{
	return strcmp(cell->scenario, scenario) == 0;
}

/*
 * Where a run was whole in spite of the RST, nothing was left to be dropped: that says nothing, but of a slow reader, who
 * cannot have had it all. That the peer still waits says nothing either: the link may have lost the RST.
 */
static void unread_resets(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned early = 0;

	while ((cell = evidence_next(e, cell, CLOSES, "unread unread_slow")) != NULL) {
		unsigned whole = evidence_runs(cell, seen_reset_but_whole);
		bool slow = is_in(cell, "unread_slow");

		evidence_add(e, cell, evidence_runs(cell, seen_reset_and_cut),
			evidence_runs(cell, seen_no_reset) + (slow ? whole : 0));
		early += slow ? 0 : whole;
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "reset, and cut short: ");
	evidence_say_runs(e);
	if (early > 0)
		evidence_say(e, "; reset when everything had arrived: %u", early);
}

static void error_not_eof(struct evidence *e)
{
	const struct lab_cell *cell = NULL;

	while ((cell = evidence_next(e, cell, CLOSES, "unread unread_slow false_eof")) != NULL)
		evidence_add(e, cell, evidence_runs(cell, seen_cut_by_reset),
			evidence_runs(cell, seen_cut_at_eof));
	if (!evidence_conclude(e, "false_eof", "nobody has taken the error before (SO_ERROR)"))
		return;
	evidence_say(e, "of the runs that were cut short, the peer's last read failed in ");
	evidence_say_runs(e);
	if (e->runs[0] > 0)
		evidence_say(e, "; in the others it returned 0, as at a true end");
}

/*
 * How long it is blocked at least, if it is until everything has arrived, or the linger time is over; 0 where that is too
 * short to be told from a call that is not.
 */
static lb_time blocking(const struct lab_cell *cell)
{
	const struct lab_play *play = &cell->shown;
	const struct lab_call *linger = moment_call(play, "setsockopt(fd, SO_LINGER");
	lb_time arrived = moment_arrived(play);
	bool long_way = is_in(cell, "slow") || is_in(cell, "never_reads");
	int seconds = 0;

	if (!long_way && moment_one_way(play) < FAR)
		return 0;
	if (linger == NULL || arrived == 0 ||
		sscanf(linger->text, "setsockopt(fd, SO_LINGER, %d s)", &seconds) != 1)
		return LONG;
	arrived -= linger->at;
	return arrived < seconds * 1000 * MS ? arrived : seconds * 1000 * MS;
}

static void linger_close_blocks(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	struct span blocked[2] = {0};

	while ((cell = evidence_next(
			e, cell, "raw_linger", "reads_all nonblock slow never_reads fork exit")) != NULL) {
		bool agrees = cell->shown.blocked >= blocking(cell);

		if (blocking(cell) == 0)
			continue;
		evidence_add(e, cell, agrees, !agrees);
		span_add(&blocked[agrees], cell->shown.blocked);
	}
	if (!evidence_conclude(
		    e, "fork exit", "the process calls close(2) itself, on the last copy of the socket"))
		return;
	evidence_say(e, "our end was blocked for ");
	if (blocked[1].count > 0)
		evidence_say_span(e, &blocked[1]);
	evidence_say(e, "%s", blocked[0].count > 0 && blocked[1].count > 0 ? ", and else for " : "");
	if (blocked[0].count > 0)
		evidence_say_span(e, &blocked[0]);
}

/* If shutdown(2) waits, there is nothing left for close(2) to wait for. Neither waits where the close resets. */
static void linger_shutdown_blocks(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	struct span shutdowns = {0}, closes = {0};

	while ((cell = evidence_next(e, cell, "raw_linger_shutdown", "reads_all slow never_reads")) != NULL) {
		const struct lab_call *first = moment_call(&cell->shown, "shutdown(");
		const struct lab_call *last = moment_call(&cell->shown, "close(");
		bool agrees;

		if (first == NULL || last == NULL || first->took + last->took < LONG)
			continue;
		agrees = first->took >= last->took;
		evidence_add(e, cell, agrees, !agrees);
		span_add(&shutdowns, first->took);
		span_add(&closes, last->took);
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "shutdown(2) took ");
	evidence_say_span(e, &shutdowns);
	evidence_say(e, ", and the close(2) after it ");
	evidence_say_span(e, &closes);
}

/*
 * Where everything had arrived before the late data, the RST comes after the FIN, and only the packets show it. What was
 * there before the close(2) did not come late.
 */
static void shutdown_late_resets(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned cut = 0;

	while ((cell = evidence_next(e, cell, "raw_shutdown", "late late_slow")) != NULL) {
		evidence_add(e, cell, evidence_runs(cell, seen_late_and_reset),
			evidence_runs(cell, seen_late_and_not));
		cut += evidence_runs(cell, seen_late_and_cut);
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "data that came after close(2) was answered by RST in ");
	evidence_say_runs(e);
	evidence_say(e, "; by that, %u of %u were cut short", cut, e->runs[0] + e->runs[1]);
}

static void drain_proves(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	struct span early = {0};
	unsigned never = 0;

	while ((cell = evidence_next(e, cell, "raw_drain", NULL)) != NULL) {
		evidence_add(e, cell, evidence_runs(cell, seen_proven), evidence_runs(cell, seen_not_proven));
		for (const struct lab_seen *seen = cell->seen; seen < cell->seen + cell->runs; seen++) {
			if (seen->read_0 && seen->read_on > 0)
				span_add(&early, seen->read_on);
			never += seen_not_proven(seen) && !seen_whole_at_eof(seen);
		}
	}
	if (!evidence_conclude(
		    e, "ends_first agreed_peer_first", "the peer ends because it has seen our end"))
		return;
	evidence_say(e, "our read returned 0 when the peer had read everything, and our end, in ");
	evidence_say_runs(e);
	if (early.count > 0) {
		evidence_say(e, "; else the peer read on for ");
		evidence_say_span(e, &early);
	}
	if (never > 0)
		evidence_say(e, "; in %u it never did", never);
}

/* A run can be whole in spite of the RST: its FIN had left before the close. That RST only the packets show. */
static void linger_finish_fin(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned spared = 0;

	while ((cell = evidence_next(e, cell, "raw_linger_shutdown", "unread")) != NULL) {
		evidence_add(e, cell, evidence_runs(cell, seen_fin_alone), evidence_runs(cell, seen_reset));
		spared += evidence_runs(cell, seen_reset_but_whole);
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "everything arrived with FIN, and no RST was sent, in ");
	evidence_say_runs(e);
	evidence_say(e, "; it did in spite of an RST in %u of %u", spared, e->runs[0] + e->runs[1]);
}

/* For a long time before it was taken off, only full segments had left; then what they had left over did. */
static bool is_held(const struct lab_play *play, const struct lab_call *off)
{
	uint32_t full = moment_largest(play), held = 0;
	lb_time before = off->at - HELD / 2;

	for (unsigned i = 0; i < play->arrows; i++) {
		const struct lab_arrow *arrow = &play->arrow[i];

		if (arrow->peer || arrow->bytes == 0)
			continue;
		if (arrow->sent < before && arrow->bytes < full * arrow->count)
			return false;
		if (arrow->sent >= before)
			held += arrow->bytes;
	}
	return held > 0 && moment_left(play) < off->at + off->took + LONG;
}

static void cork_holds(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	struct span kept = {0};

	while ((cell = evidence_next(e, cell, "cork_held", "request")) != NULL) {
		const struct lab_call *off = moment_call(&cell->shown, "setsockopt(fd, TCP_CORK, 0)");
		bool agrees;

		if (off == NULL || !moment_has_data(&cell->shown))
			continue;
		agrees = is_held(&cell->shown, off);
		evidence_add(e, cell, agrees, !agrees);
	}
	while ((cell = evidence_next(e, cell, "cork_kept", "request")) != NULL)
		if (moment_has_data(&cell->shown))
			span_add(&kept, moment_waited(&cell->shown));
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e,
		"until it was taken off, 100 ms later, only full segments left, and then the rest at once: ");
	evidence_say_runs(e);
	if (kept.count > 0) {
		evidence_say(e, "; never taken off, it was sent by the kernel after ");
		evidence_say_span(e, &kept);
	}
}

static void nodelay_at_once(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	struct span nodelay = {0}, nagle = {0};

	while ((cell = evidence_next(e, cell, "nodelay nagle", "request")) != NULL) {
		bool prompt = strcmp(cell->policy, "nodelay") == 0;

		if (!moment_has_data(&cell->shown))
			continue;
		span_add(prompt ? &nodelay : &nagle, moment_waited(&cell->shown));
		if (prompt)
			evidence_add(e, cell, moment_waited(&cell->shown) < AT_ONCE,
				moment_waited(&cell->shown) >= AT_ONCE);
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "the last segment left at most ");
	evidence_say_span(e, &(struct span){1, nodelay.most, nodelay.most});
	evidence_say(e, " after it was written");
	if (nagle.count > 0) {
		evidence_say(e, "; with Nagle's algorithm, ");
		evidence_say_span(e, &nagle);
	}
}

static void agreed_plain_close(struct evidence *e)
{
	const struct lab_cell *cell = NULL;

	while ((cell = evidence_next(e, cell, CLOSES, "agreed agreed_peer_first")) != NULL)
		evidence_add(e, cell, evidence_runs(cell, seen_clean), evidence_runs(cell, seen_unclean));
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "everything arrived, and nothing was reset, in ");
	evidence_say_runs(e);
}

static bool is_half_closed(const struct lab_seen *seen)
{
	return seen_whole_at_eof(seen) && seen->back_bytes == HALF_CLOSE;
}

/* A link that is too slow for that is no contradiction. */
static bool is_not_half_closed(const struct lab_seen *seen)
{
	return !is_half_closed(seen) && !seen->gave_up && seen->end != LAB_WAITING;
}

static void half_close(struct evidence *e)
{
	const struct lab_cell *cell = NULL;

	while ((cell = evidence_next(e, cell, "raw_drain", "half_close")) != NULL)
		evidence_add(e, cell, evidence_runs(cell, is_half_closed),
			evidence_runs(cell, is_not_half_closed));
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "the peer read everything and the end, and then all %d bytes of its own arrived, in ",
		HALF_CLOSE);
	evidence_say_runs(e);
}

/* A clean end that looks like one, and ruptures that do. */
static void eof_ambiguous(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned cleans = 0;

	while ((cell = evidence_next(e, cell, CLOSES, "reads_all")) != NULL)
		cleans += evidence_runs(cell, seen_whole_at_eof);
	while (cleans > 0 && (cell = evidence_next(e, cell, CLOSES, "killed false_eof")) != NULL)
		evidence_add(e, cell, evidence_runs(cell, seen_cut_at_eof),
			evidence_runs(cell, seen_cut_by_reset));
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e,
		"the last read returned 0 at %u clean ends, and as well when the stream was cut: ", cleans);
	evidence_say_runs(e);
}

void lab_claims_judge(const struct lab_cell *cells, size_t count, struct lab_claim claims[LAB_CLAIMS])
{
	static const struct {
		const char *id, *text;
		void (*judge)(struct evidence *evidence);
	} table[LAB_CLAIMS] = {
#define LAB_CLAIM(name, id, text) {id, text, name},
#include "lab/claims.def"
#undef LAB_CLAIM
	};

	for (int i = 0; i < LAB_CLAIMS; i++) {
		struct evidence evidence = {.cells = cells, .count = count, .claim = &claims[i]};

		claims[i] = (struct lab_claim){.id = table[i].id, .text = table[i].text};
		table[i].judge(&evidence);
	}
}
