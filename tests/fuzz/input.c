/* SPDX-License-Identifier: MIT */
/* Values and payloads out of a fuzzer's bytes: mostly plausible ones, for the others end a connection at once. */
#include "fuzz/input.h"
#include <string.h>

uint8_t input_next(struct input *input)
{
	if (input->left == 0)
		return 0;
	input->left--;
	return *input->in++;
}

/* A value at a boundary, or a small one. */
uint64_t input_value(struct input *input)
{
	static const uint64_t edges[] = {0, 1, 2, 3, 64, 100, 1023, 1024, UINT32_MAX, INT64_MAX,
		(uint64_t)INT64_MAX + 1, UINT64_MAX - 1, UINT64_MAX};
	uint8_t byte = input_next(input);

	return byte < sizeof edges / sizeof *edges ? edges[byte] : byte;
}

uint32_t input_handle(struct input *input)
{
	uint8_t byte = input_next(input);

	return byte < 128 ? input->newest : byte < 192 ? input->newest + 1 : byte % 8;
}

struct lb_id input_id(struct input *input)
{
	return (struct lb_id){.number = input_value(input), .client = {input_next(input) & 1}};
}

struct lb_uuid input_ledger(struct input *input)
{
	uint8_t byte = input_next(input);

	return (struct lb_uuid){{byte < 224 ? 1 : byte & 1}};
}

struct lb_digest input_digest(struct input *input)
{
	return (struct lb_digest){{input_next(input) & 1}};
}

const char *input_name(struct input *input)
{
	static const char *const names[] = {"a", "name", "", "..", "a/b", "\xff", "\xc2\x9b"};
	uint8_t byte = input_next(input);

	return names[byte < 7 ? byte : 1];
}

struct lb_receipt input_receipt(struct input *input, const struct lb_slot *slot)
{
	struct lb_receipt result = {.id = input_id(input),
		.length = input_value(input),
		.digest = input_digest(input),
		.committed_at = (int64_t)input_value(input),
		.durability = (enum lb_durability)(input_next(input) % 3)};

	strcpy(result.name, input_name(input));
	strcpy(result.placed, input_name(input));
	if (slot != NULL && input_next(input) < 224) {
		result.id = slot->id;
		result.length = slot->stage == LB_STAGE_COMMITTING ? slot->length : slot->declared;
		result.digest = slot->digest;
		strcpy(result.name, slot->name[0] != '\0' ? slot->name : "name");
		result.placed[0] = '\0';
	}
	return result;
}

struct lb_begin input_begin(struct input *input)
{
	return (struct lb_begin){.id = input_id(input),
		.ledger = input_ledger(input),
		.attempt = (uint32_t)input_value(input),
		.length = input_value(input),
		.name = input_name(input)};
}

size_t input_payload(struct input *input, unsigned type, const struct lb_slot *slot, uint8_t *payload)
{
	struct lb_hello hello = {
		.min_version = 1, .max_version = 1 + input_next(input) % 2, .features = 3, .idle_ms = 100};
	struct lb_hello_ok ok = {
		.version = 1, .features = 0, .ledger = {{1}}, .max_delivery = 1000, .idle_ms = 100};
	struct lb_begin what;
	struct lb_receipt paid;
	struct lb_digest whole;
	struct lb_uuid where;
	struct lb_id which;

	switch (type) {
	case LB_FRAME_HELLO:
		return lb_hello_put(payload, &hello);
	case LB_FRAME_HELLO_OK:
		ok.features = input_next(input) & 3;
		ok.max_undecided = (uint32_t)input_value(input);
		return lb_hello_ok_put(payload, &ok);
	case LB_FRAME_BEGIN:
		what = input_begin(input);
		return lb_begin_put(payload, &what);
	case LB_FRAME_BEGIN_OK:
		return lb_begin_ok_put(payload, input_value(input), input_next(input) & 1);
	case LB_FRAME_SYNCED:
		return lb_synced_put(payload, input_value(input));
	case LB_FRAME_COMMIT:
		whole = input_digest(input);
		return lb_commit_put(payload, input_value(input), &whole);
	case LB_FRAME_COMMITTED:
	case LB_FRAME_RESOLVED:
		paid = input_receipt(input, slot);
		if (type == LB_FRAME_COMMITTED)
			return lb_committed_put(payload, &paid, 0);
		return lb_resolved_put(payload, (enum lb_verdict)(input_next(input) % 7),
			(enum lb_reason)input_value(input), &paid, 0);
	case LB_FRAME_REFUSED:
		return lb_refused_put(payload, (enum lb_reason)input_value(input), input_name(input));
	case LB_FRAME_RESOLVE:
		which = input_id(input);
		where = input_ledger(input);
		return lb_resolve_put(payload, &which, &where);
	case LB_FRAME_SETTLED:
		which = input_id(input);
		return lb_settled_put(payload, &which);
	case LB_FRAME_ERROR:
		return lb_error_put(payload, (enum lb_failure)input_value(input), input_name(input));
	case LB_FRAME_PING:
	case LB_FRAME_PONG:
		memset(payload, 0, 8);
		return 8;
	case LB_FRAME_DATA:
		memset(payload, 'd', 64);
		return input_next(input) % 64 + 1;
	default:
		return 0;
	}
}
