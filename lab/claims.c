/* SPDX-License-Identifier: MIT */
/*
 * What bears on each claim of claims.def, and how: a function for each, over cells alone. How evidence becomes a verdict
 * is in evidence.c, when calls were made and segments left in moments.c. Limits in time lie far from what either side of
 * them takes, because plays share a machine.
 */
#include "lab/claims.h"
#include "lab/evidence.h"
#include "lab/moments.h"
#include <string.h>

#define MS         INT64_C(1000000)
#define LONG       (20 * MS)  /* a call that blocks, and not only waits for its turn */
#define FAR        (5 * MS)   /* one way: a link that is too long for its delay to be the machine's */
#define AT_ONCE    (10 * MS)  /* Nagle's algorithm waits for 40 ms, or a round trip over a link that is far */
#define HELD       (100 * MS) /* so long after its last write, cork_held takes the cork off */
#define HALF_CLOSE 100000     /* bytes that the peer sends after our end */

#define CLOSES "raw_close plain"

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool is_in(const struct lab_cell *cell, const char *scenario)
{
	return strcmp(cell->scenario, scenario) == 0;
}

/* How runs ended, and whether they were whole, is counted apart: for a cut one that was reset, there has to be either. */
static unsigned cut_and(const struct lab_cell *cell, unsigned ended)
{
	return least(cell->runs - cell->whole, ended);
}

static bool sent_rst(const struct lab_cell *cell)
{
	return cell->shown.captured && cell->shown.segments[LINK_LEFT].rst > 0;
}

/*
 * Where a run was whole in spite of the RST, nothing was left to be dropped: that says nothing, but of a slow reader, who
 * cannot have had it all.
 */
static void unread_resets(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned early = 0;

	while ((cell = evidence_next(e, cell, CLOSES, "unread unread_slow")) != NULL) {
		unsigned cut = cut_and(cell, cell->resets);
		bool slow = is_in(cell, "unread_slow");

		evidence_add(e, cell, cut, slow ? cell->runs - cut : cell->runs - cell->resets);
		early += slow ? 0 : cell->resets - cut;
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
		evidence_add(e, cell, cut_and(cell, cell->resets), cut_and(cell, cell->eofs));
	if (!evidence_conclude(e, "false_eof", "nobody has taken the error before (SO_ERROR)"))
		return;
	evidence_say(e, "of the runs that were cut short, the peer's last read failed in ");
	evidence_say_runs(e);
	if (e->runs[0] > 0)
		evidence_say(e, "; in the others it returned 0, as at a true end");
}

/* What it takes at least to be blocked; 0 where that is too short to be told from a call that is not. */
static lb_time blocking(const struct lab_cell *cell)
{
	lb_time way = moment_one_way(&cell->shown);

	if (is_in(cell, "slow") || is_in(cell, "never_reads"))
		return LONG;
	return way >= FAR ? 2 * way : 0;
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

/* Where everything had arrived before the late data, the RST comes after the FIN, and only the packets show it. */
static void shutdown_late_resets(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned cut = 0, runs = 0;

	while ((cell = evidence_next(e, cell, "raw_shutdown", "late late_slow")) != NULL) {
		unsigned resets = sent_rst(cell) ? cell->runs : cell->resets;

		evidence_add(e, cell, resets, cell->runs - resets);
		cut += cell->runs - cell->whole;
		runs += cell->runs;
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "late data was answered by RST in ");
	evidence_say_runs(e);
	evidence_say(e, "; by that, %u of %u were cut short", cut, runs);
}

static void drain_proves(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	struct span early = {0};

	while ((cell = evidence_next(e, cell, "raw_drain", NULL)) != NULL) {
		const struct lab_call *last = moment_read_0(&cell->shown);
		lb_time read_on;
		unsigned proven;

		if (last == NULL)
			continue;
		read_on = moment_peer_read(&cell->shown) - (last->at + last->took);
		proven = read_on > 0 ? 0 : cell->whole;
		if (read_on > 0)
			span_add(&early, read_on);
		evidence_add(e, cell, proven, cell->runs - proven);
	}
	if (!evidence_conclude(e, "ends_first",
		    "the peer ends because of our end, and not before it has read everything"))
		return;
	evidence_say(e, "our read returned 0 when the peer had read everything in ");
	evidence_say_runs(e);
	if (early.count > 0) {
		evidence_say(e, "; else the peer read on for ");
		evidence_say_span(e, &early);
	}
}

/* A run can be whole in spite of the RST: its FIN had left before the close. That RST only the packets show. */
static void linger_finish_fin(struct evidence *e)
{
	const struct lab_cell *cell = NULL;
	unsigned spared = 0, runs = 0;

	while ((cell = evidence_next(e, cell, "raw_linger_shutdown", "unread")) != NULL) {
		unsigned clean = sent_rst(cell) ? 0 : least(cell->whole, cell->eofs);

		evidence_add(e, cell, clean, cell->runs - clean);
		spared += cell->whole - clean;
		runs += cell->runs;
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "everything arrived with FIN, and no RST was sent, in ");
	evidence_say_runs(e);
	evidence_say(e, "; it did in spite of an RST in %u of %u", spared, runs);
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

	while ((cell = evidence_next(e, cell, CLOSES, "agreed agreed_peer_first")) != NULL) {
		const struct lab_play *play = &cell->shown;
		bool rst =
			play->captured && play->segments[LINK_LEFT].rst + play->segments[LINK_RIGHT].rst > 0;
		unsigned clean = rst ? 0 : least(cell->whole, cell->runs - cell->resets);

		evidence_add(e, cell, clean, cell->runs - clean);
	}
	if (!evidence_conclude(e, NULL, NULL))
		return;
	evidence_say(e, "everything arrived, and nothing was reset, in ");
	evidence_say_runs(e);
}

static void half_close(struct evidence *e)
{
	const struct lab_cell *cell = NULL;

	while ((cell = evidence_next(e, cell, "raw_drain", "half_close")) != NULL) {
		unsigned ended = cell->shown.back_bytes == HALF_CLOSE ? least(cell->whole, cell->eofs) : 0;

		evidence_add(e, cell, ended, cell->runs - ended);
	}
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
		cleans += least(cell->whole, cell->eofs);
	while (cleans > 0 && (cell = evidence_next(e, cell, CLOSES, "killed false_eof")) != NULL)
		evidence_add(e, cell, cut_and(cell, cell->eofs), cut_and(cell, cell->resets));
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
