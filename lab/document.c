/* SPDX-License-Identifier: MIT */
/*
 * Words and numbers of lastbyte-lab(1), "The object", for what lab_run has seen. Judges nothing, and knows no cell from
 * another: what is not known is null, and never 0.
 */
#include "lab/document.h"
#include <string.h>

static json_t *count(uint64_t bytes)
{
	return bytes == LB_UNKNOWN ? json_null() : json_integer((json_int_t)bytes);
}

/* LB_NEVER is null. */
static json_t *microseconds(lb_time time)
{
	return time == LB_NEVER ? json_null() : json_integer(time / 1000);
}

static json_t *milliseconds(lb_time time)
{
	lb_time us = time / 1000;

	return json_real((double)us / 1e3);
}

static const char *whose(bool peer)
{
	return peer ? "peer" : "ours";
}

static json_t *outcome(const struct lab_play *play)
{
	const struct lb_outcome *o = &play->outcome;
	const char *error = o->err != 0 ? strerrorname_np(o->err) : NULL;
	char text[256];

	if (!play->has_outcome)
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:s}", "rung",
		lb_rung_word(o->rung), "how", lb_end_word(o->how), "by", lb_party_word(o->by), "phase",
		lb_phase_word(o->phase), "error", error, "accepted", count(o->accepted), "acked",
		count(o->acked), "lost", count(o->lost), "discarded", count(o->discarded), "took_ms",
		milliseconds(o->took), "text", lb_outcome_text(o, text, sizeof text));
}

static json_t *segments(const struct lab_play *play, bool peer)
{
	const struct segments *s = &play->segments[peer];

	if (!play->captured)
		return json_null();
	return json_pack("{s:I, s:I, s:I}", "data", (json_int_t)s->data, "fin", (json_int_t)s->fin, "rst",
		(json_int_t)s->rst);
}

static json_t *counters(const struct lab_play *play)
{
	/* they are read wherever there is a capture, or something moved */
	json_t *object = play->captured || play->counters > 0 ? json_object() : json_null();

	for (unsigned i = 0; i < play->counters; i++)
		json_object_set_new(object, play->counter[i].name, json_integer(play->counter[i].by));
	return object;
}

static json_t *calls(const struct lab_play *play)
{
	unsigned n = play->calls < LAB_CALLS ? play->calls : LAB_CALLS;
	json_t *array = json_array();

	for (unsigned i = 0; i < n; i++) {
		const struct lab_call *call = &play->call[i];

		json_array_append_new(
			array, json_pack("[o, o, s, s]", microseconds(call->at), microseconds(call->took),
				       whose(call->peer), call->text));
	}
	return array;
}

static json_t *arrows(const struct lab_play *play)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < play->arrows; i++) {
		const struct lab_arrow *a = &play->arrow[i];

		json_array_append_new(
			array, json_pack("[o, o, s, i, I, I, I, I, I, o]", microseconds(a->sent),
				       microseconds(a->arrived), whose(a->peer), (int)a->flags,
				       (json_int_t)a->seq, (json_int_t)a->ack, (json_int_t)a->bytes,
				       (json_int_t)a->window, (json_int_t)a->count, microseconds(a->until)));
	}
	return array;
}

static json_t *cell(const struct lab_cell *cell)
{
	static const char *const ends[] = {
		[LAB_WAITING] = "waiting", [LAB_EOF] = "eof", [LAB_RESET] = "reset"};
	const struct lab_play *play = &cell->shown;
	char id[LAB_ID];
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i}", "id",
		lab_cell_id(cell, id), "link", cell->link, "policy", cell->policy, "scenario", cell->scenario,
		"runs", (int)cell->runs, "whole", (int)cell->whole, "eofs", (int)cell->eofs, "resets",
		(int)cell->resets, "waits", (int)cell->waits);
	json_t *shown = json_pack("{s:I, s:I, s:I, s:I, s:s, s:o, s:b, s:o, s:o, s:I, s:o, s:o, s:o, s:o}",
		"meant_bytes", (json_int_t)play->meant_bytes, "sent_bytes", (json_int_t)play->sent_bytes,
		"peer_bytes", (json_int_t)play->peer_bytes, "back_bytes", (json_int_t)play->back_bytes,
		"peer_end", ends[play->peer_end], "blocked_ms", milliseconds(play->blocked), "captured",
		(int)play->captured, "segments", segments(play, false), "peer_segments", segments(play, true),
		"missed", (json_int_t)play->missed, "counters", counters(play), "outcome", outcome(play),
		"calls", calls(play), "arrows", arrows(play));

	json_object_update_new(object, shown);
	return object;
}

static json_t *links(const struct lab *lab)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < lab->links_count; i++) {
		const struct lab_link *link = &lab->links[i];

		json_array_append_new(array,
			json_pack("{s:s, s:s, s:b, s:o, s:f}", "name", link->name, "text", link->text,
				"played", (int)link->played, "delay_ms", milliseconds(link->options.delay),
				"loss_pct", link->options.loss / 100.0));
	}
	return array;
}

static json_t *policies(void)
{
	json_t *array = json_array();

	for (const struct lab_policy *p = lab_policies; p->name != NULL; p++)
		json_array_append_new(array, json_pack("{s:s, s:s}", "name", p->name, "text", p->text));
	return array;
}

static json_t *scenarios(void)
{
	json_t *array = json_array();

	for (const struct lab_scenario *s = lab_scenarios; s->name != NULL; s++)
		json_array_append_new(array, json_pack("{s:s, s:s}", "name", s->name, "text", s->text));
	return array;
}

static json_t *cells(const struct lab *lab)
{
	json_t *array = json_array();

	for (size_t i = 0; i < lab->count; i++)
		json_array_append_new(array, cell(&lab->cells[i]));
	return array;
}

static json_t *failed(const struct lab *lab)
{
	json_t *array = json_array();
	char id[LAB_ID];

	for (size_t i = lab->count; i < lab->count + lab->failed; i++)
		json_array_append_new(array, json_pack("{s:s, s:s}", "id", lab_cell_id(&lab->cells[i], id),
						     "why", lab->cells[i].shown.failed));
	return array;
}

static json_t *judged(const struct lab_claim *claims)
{
	static const char *const verdicts[] = {
		[LAB_HOLDS] = "holds", [LAB_PARTLY] = "partly", [LAB_FAILS] = "fails"};
	json_t *array = json_array();
	char id[LAB_ID];

	for (const struct lab_claim *claim = claims; claim < claims + LAB_CLAIMS; claim++) {
		json_t *ids = claim->judged ? json_array() : NULL;

		if (ids == NULL)
			continue;
		for (unsigned i = 0; i < claim->count; i++)
			json_array_append_new(ids, json_string(lab_cell_id(claim->cells[i], id)));
		json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", claim->id, "text",
						     claim->text, "verdict", verdicts[claim->verdict],
						     "because", claim->because, "cells", ids));
	}
	return array;
}

json_t *lab_document(const struct lab *lab, const struct lab_claim *claims)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kernel", lab->kernel, "links", links(lab),
		"policies", policies(), "scenarios", scenarios(), "cells", cells(lab), "failed", failed(lab),
		"claims", judged(claims));
}
