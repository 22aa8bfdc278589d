/* SPDX-License-Identifier: MIT */
/*
 * The observer on the wire: splits both directions into frames and holds them to invariants 1 (who asked for a
 * COMMIT), 7 (which ledger a BEGIN names), 9 (which offsets are said, and what a digest covers), 10 (the order of CLOSE)
 * and 11 (no failure on legal traffic). Owns what it remembers of each connection.
 */
#include "sim/wire.h"
#include "proto/bytes.h"
#include "proto/frame.h"
#include <stdlib.h>
#include <string.h>

struct stream {
	uint8_t header[LB_HEADER_BYTES], payload[LB_PAYLOAD_MAX];
	size_t have; /* of the header */
	struct lb_header frame;
	size_t at; /* of its payload */
	bool over; /* its side may say nothing any more */
};

struct question {
	uint32_t handle; /* 0: free */
	struct sim_ident *ident;
	const char *name; /* as it was begun */
	bool resolves;
	bool commit;   /* COMMIT was sent, and the client has not read an answer */
	bool answered; /* the server has sent it */
};

struct tap {
	struct stream said[2], read; /* by either end; by the client */
	struct question open[LB_UNDECIDED_MAX];
};

static struct question *find(struct tap *tap, uint32_t handle)
{
	for (int i = 0; i < LB_UNDECIDED_MAX; i++)
		if (tap->open[i].handle == handle)
			return &tap->open[i];
	return NULL;
}

static struct question *add(
	struct sim_check *check, struct tap *tap, uint32_t handle, struct sim_ident *ident)
{
	struct question *question = find(tap, 0);

	if (question == NULL)
		sim_violation(check->world, 11, "a client has more than %d questions", LB_UNDECIDED_MAX);
	*question = (struct question){.handle = handle, .ident = ident};
	return question;
}

static void see_begin(struct sim_check *check, struct tap *tap, const struct stream *stream)
{
	struct lb_event event = {0};
	const char *why;
	struct sim_source *source;
	struct sim_ident *ident;

	if (lb_begin_get(stream->payload, stream->frame.length, &event, &why) != LB_FAILURE_NONE)
		sim_violation(check->world, 11, "a client sends a BEGIN that is not one");
	source = sim_source_named(check, event.name);
	if (source == NULL)
		sim_violation(check->world, 11, "a client begins %s, which nobody has", event.name);
	ident = sim_check_ident(check, &event.id, source);
	sim_check_names(check, ident, &event.ledger);
	add(check, tap, stream->frame.handle, ident)->name = source->name;
}

static void see_resolve(struct sim_check *check, struct tap *tap, const struct stream *stream)
{
	struct lb_event event = {0};
	const char *why;

	if (lb_resolve_get(stream->payload, stream->frame.length, &event, &why) != LB_FAILURE_NONE)
		sim_violation(check->world, 11, "a client sends a RESOLVE that is not one");
	add(check, tap, stream->frame.handle, sim_check_ident(check, &event.id, NULL))->resolves = true;
}

static void see_commit(struct sim_check *check, struct tap *tap, const struct stream *stream)
{
	struct question *question = find(tap, stream->frame.handle);

	struct lb_event event = {0};
	struct sim_source *source;

	if (question == NULL)
		return; /* it was refused, and this was on its way */
	question->commit = true;
	question->ident->undecided += !question->ident->never; /* it comes too late */
	lb_commit_get(stream->payload, &event);
	source = sim_source_with(check, question->name, &event.digest);
	if (source == NULL || event.length != source->len)
		sim_violation(check->world, 9, "a COMMIT of %s does not cover all of it, or something else",
			question->name);
	if (!source->wanted)
		sim_violation(check->world, 1, "a COMMIT is sent for %s, and its user has not asked for it",
			source->name);
	source->asked = true;
}

static bool is_final(enum lb_reason reason)
{
	return reason == LB_REASON_FENCED || reason == LB_REASON_SETTLED || reason == LB_REASON_FORGOTTEN ||
	       reason == LB_REASON_DIFFERENT;
}

/* The client reads an answer: to this COMMIT, or to all that there ever were of this id. */
static void see_read(struct sim_check *check, struct tap *tap, const struct stream *stream)
{
	struct question *question = find(tap, stream->frame.handle);
	struct lb_event event = {0};
	const char *why;
	bool all = stream->frame.type == LB_FRAME_COMMITTED || stream->frame.type == LB_FRAME_RESOLVED;

	if (stream->frame.handle == 0 || stream->frame.type == LB_FRAME_BEGIN_OK ||
		stream->frame.type == LB_FRAME_SYNCED || stream->frame.type == LB_FRAME_GOING_AWAY)
		return;
	if (question == NULL)
		sim_violation(check->world, 11, "a server answers what nobody has asked");
	if (stream->frame.type == LB_FRAME_REFUSED) {
		if (lb_refused_get(stream->payload, stream->frame.length, &event, &why) != LB_FAILURE_NONE)
			sim_violation(check->world, 11, "a server sends a REFUSED that is not one");
		all = is_final(event.reason);
	}
	if (all)
		question->ident->undecided = 0;
	else if (question->commit && question->ident->undecided > 0)
		question->ident->undecided--;
	*question = (struct question){0};
}

static void see_error(struct sim_check *check, const struct stream *stream, int side)
{
	struct lb_event event = {0};

	lb_error_get(stream->payload, stream->frame.length, &event);
	sim_trace(check->world, "%s says ERROR: %s (%s)", side == 0 ? "the client" : "the server",
		lb_failure_word(event.failure), event.text);
	if (event.failure == LB_FAILURE_IDLE || (side == 1 && event.failure == LB_FAILURE_BUSY) ||
		(side == 1 && event.failure == LB_FAILURE_STOPPED) ||
		(side == 1 && event.failure == LB_FAILURE_STORAGE &&
			strcmp(event.text, "internal error") != 0))
		return;
	sim_violation(check->world, 11, "%s says ERROR %s on legal traffic: %s",
		side == 0 ? "the client" : "the server", lb_failure_word(event.failure), event.text);
}

static void see_close_ok(struct sim_check *check, const struct tap *tap)
{
	for (int i = 0; i < LB_UNDECIDED_MAX; i++)
		if (tap->open[i].handle != 0 && tap->open[i].commit && !tap->open[i].answered)
			sim_violation(check->world, 10, "CLOSE_OK is sent before the verdict of %s",
				tap->open[i].ident->source->name);
}

/* Invariant 9. Both frames begin with an offset. */
static void see_offset(struct sim_check *check, struct tap *tap, const struct stream *stream)
{
	const struct question *question = find(tap, stream->frame.handle);
	const uint8_t *at = stream->payload;
	uint64_t offset = lb_get_be(&at, 8);

	if (question == NULL)
		return; /* its client has read the final answer, and this was on its way before */
	if (stream->frame.type == LB_FRAME_SYNCED)
		sim_check_says_synced(check, question->ident, offset);
	else
		sim_check_says_begin_ok(check, question->ident, offset);
}

static void see_answer(struct tap *tap, uint32_t handle)
{
	struct question *question = find(tap, handle);

	if (question != NULL)
		question->answered = true;
}

static void see_frame(struct sim_check *check, struct tap *tap, struct stream *stream, int side)
{
	sim_mix(check->world, stream->frame.type);
	if (stream->frame.type != LB_FRAME_DATA)
		sim_trace(check->world, "%s %s %u", side == 0 ? "  >" : "  <",
			lb_frame_name(stream->frame.type), stream->frame.handle);
	if (!lb_frame_is_from(stream->frame.type, side == 0 ? LB_ROLE_CLIENT : LB_ROLE_SERVER))
		sim_violation(check->world, 11, "%s sends %s", side == 0 ? "a client" : "a server",
			lb_frame_name(stream->frame.type));
	switch (stream->frame.type) {
	case LB_FRAME_BEGIN:
		see_begin(check, tap, stream);
		break;
	case LB_FRAME_RESOLVE:
		see_resolve(check, tap, stream);
		break;
	case LB_FRAME_COMMIT:
		see_commit(check, tap, stream);
		break;
	case LB_FRAME_BEGIN_OK:
	case LB_FRAME_SYNCED:
		see_offset(check, tap, stream);
		break;
	case LB_FRAME_COMMITTED:
	case LB_FRAME_REFUSED:
	case LB_FRAME_ROLLED_BACK:
		see_answer(tap, stream->frame.handle);
		break;
	case LB_FRAME_CLOSE:
		stream->over = true;
		break;
	case LB_FRAME_CLOSE_OK:
		see_close_ok(check, tap);
		stream->over = true;
		break;
	case LB_FRAME_ERROR:
		see_error(check, stream, side);
		stream->over = true;
		break;
	default:
		break;
	}
}

/* Takes what belongs to the present frame, and tells when that is complete. DATA's payload is of no interest here, and
 * others are short. */
static size_t take(
	struct sim_check *check, struct stream *stream, const uint8_t *buf, size_t len, bool *completep)
{
	size_t n;

	*completep = false;
	if (stream->have < LB_HEADER_BYTES) {
		n = LB_HEADER_BYTES - stream->have < len ? LB_HEADER_BYTES - stream->have : len;
		if (stream->over)
			sim_violation(check->world, 10, "an end says more after its last word");
		memcpy(stream->header + stream->have, buf, n);
		stream->have += n;
		if (stream->have < LB_HEADER_BYTES)
			return n;
		lb_header_get(stream->header, &stream->frame);
		stream->at = 0;
		if (!lb_frame_is_type(stream->frame.type) ||
			!lb_frame_length_ok(stream->frame.type, stream->frame.length, true))
			sim_violation(check->world, 11, "a frame of type %u with %u bytes",
				stream->frame.type, stream->frame.length);
	} else {
		n = stream->frame.length - stream->at < len ? stream->frame.length - stream->at : len;
		if (stream->frame.type != LB_FRAME_DATA && stream->at < sizeof stream->payload)
			memcpy(stream->payload + stream->at, buf,
				n < sizeof stream->payload - stream->at
					? n
					: sizeof stream->payload - stream->at);
		stream->at += n;
	}
	if (stream->at == stream->frame.length) {
		stream->have = 0;
		*completep = true;
	}
	return n;
}

static struct tap *tap_of(struct sim_link *link)
{
	if (link->tap == NULL)
		link->tap = calloc(1, sizeof(struct tap));
	if (link->tap == NULL)
		abort();
	return link->tap;
}

static void see(struct sim_link *link, int side, const void *buf, size_t len)
{
	struct sim_check *check = link->net->arg;
	struct tap *tap = tap_of(link);

	for (size_t at = 0; at < len;) {
		bool complete;

		at += take(check, &tap->said[side], (const uint8_t *)buf + at, len - at, &complete);
		if (complete)
			see_frame(check, tap, &tap->said[side], side);
	}
}

static void see_reading(struct sim_link *link, int side, const void *buf, size_t len)
{
	struct sim_check *check = link->net->arg;
	struct tap *tap = tap_of(link);

	for (size_t at = 0; side == 0 && at < len;) {
		bool complete;

		at += take(check, &tap->read, (const uint8_t *)buf + at, len - at, &complete);
		if (complete)
			see_read(check, tap, &tap->read);
	}
}

static void forget(struct sim_link *link)
{
	free(link->tap);
}

void sim_wire_watch(struct sim_net *net, struct sim_check *check)
{
	net->tap = see;
	net->tap_read = see_reading;
	net->untap = forget;
	net->arg = check;
}
