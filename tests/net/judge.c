/* SPDX-License-Identifier: MIT */
/*
 * What an outcome may say about a cell, given what the peer's application got: the ladder of certainty, turned into
 * conditions. The peer reads all that its kernel has in the end, so that what it got is what its kernel had.
 */
#include "net/cell.h"

static bool clean_end(const struct cell *cell)
{
	return cell->tcp.peer.ended && !cell->send_failed;
}

static bool got_all(const struct cell *cell)
{
	return cell->tcp.peer.got == cell->tcp.written;
}

/* Where it takes longer until all is acked than until what the peer does at first is seen. */
static bool far_but_sure(const struct cell *cell)
{
	return cell->far && !cell->lossy;
}

static const char *judge_counts(const struct cell *cell)
{
	const struct lb_outcome *end = &cell->end;
	bool known = end->acked != LB_UNKNOWN && end->lost != LB_UNKNOWN;

	if (end->accepted != cell->tcp.written)
		return "accepted is not what was written";
	if (cell->tcp.peer.got > end->accepted)
		return "the peer got more than was accepted";
	if (end->acked != LB_UNKNOWN && end->acked > cell->tcp.peer.got && !cell->scenario->gives_up)
		return "acked is more than the peer's kernel had";
	if (known && end->acked + end->lost != end->accepted)
		return "acked and lost do not add up to accepted";
	if (!known && !cell->manner->leaves)
		return "a count is unknown, and nothing was left to the kernel";
	if (cell->manner->leaves && known && end->lost > 0 && end->how != LB_END_RST)
		return "bytes were called lost, and the kernel went on";
	if (end->discarded > cell->tcp.peer.sent)
		return "more was discarded than the peer sent";
	return NULL;
}

static const char *judge_rung(const struct cell *cell)
{
	const struct lb_outcome *end = &cell->end;

	if (end->rung > LB_RUNG_ENDED)
		return "no policy proves so much";
	if (end->rung >= LB_RUNG_ACKED && !got_all(cell) && !cell->scenario->gives_up)
		return "a truncated stream was called acked or ended";
	if (end->rung >= LB_RUNG_ACKED && (end->acked != end->accepted || end->lost != 0))
		return "acked, and yet bytes are missing";
	if (end->rung < LB_RUNG_ACKED && end->acked == end->accepted && end->lost == 0)
		return "all was acked, and that was not said";
	if (end->rung == LB_RUNG_ENDED && !clean_end(cell))
		return "ended, and the peer saw no clean end";
	if (end->rung == LB_RUNG_ENDED && cell->scenario->never_closes)
		return "ended, and the peer had not ended";
	if (end->rung == LB_RUNG_ENDED && cell->scenario->ends_first && far_but_sure(cell))
		return "ended, and that was before the peer had everything";
	return NULL;
}

/*
 * What comes of it when the rest is left to the kernel: all goes well if the peer sends nothing, and else it does not.
 */
static const char *judge_left(const struct cell *cell)
{
	const struct scenario *scenario = cell->scenario;

	if (scenario->sends)
		return cell->far && !cell->lossy && got_all(cell)
			       ? "nothing was lost: the scenario shows nothing"
			       : NULL;
	if (!got_all(cell))
		return "a peer that sends nothing did not get everything";
	if (!clean_end(cell))
		return "a peer that sends nothing saw no clean end";
	return NULL;
}

/* A peer that floods is reset once it has everything: it may, or may not, still see the end. */
static const char *judge_promise(const struct cell *cell)
{
	const struct manner *manner = cell->manner;

	if (manner->leaves)
		return judge_left(cell);
	if (manner->policy == LB_POLICY_ABORT && clean_end(cell))
		return "aborted, and the peer saw a clean end";
	if (manner->waits && cell->scenario->gives_up && cell->end.how != LB_END_RST && !cell->lossy)
		return "reset, and that was not said";
	if (!manner->sure || cell->scenario->never_reads || cell->scenario->gives_up)
		return NULL;
	if (!got_all(cell))
		return "a peer that reads did not get everything";
	if (!clean_end(cell) && !cell->scenario->floods)
		return "a peer that reads saw no clean end";
	if (!manner->exits && cell->end.rung < LB_RUNG_ACKED)
		return "a peer that reads got everything, and that was not found out";
	if (manner->waits && !cell->scenario->never_closes && !cell->scenario->ends_first &&
		cell->end.rung != LB_RUNG_ENDED)
		return "the peer ended, and that was not found out";
	return NULL;
}

const char *cell_judge(const struct cell *cell)
{
	const char *wrong = cell->failed;

	if (wrong == NULL && !cell->tcp.peer.intact)
		wrong = "the peer got other bytes than were written";
	if (wrong == NULL && cell->result != 0)
		wrong = "lb_close refused";
	if (wrong == NULL && !cell->manner->exits)
		wrong = judge_counts(cell);
	if (wrong == NULL && !cell->manner->exits)
		wrong = judge_rung(cell);
	return wrong != NULL ? wrong : judge_promise(cell);
}
