/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include "proto/machine.h"

struct input {
	const uint8_t *in;
	size_t         left;
	uint32_t       newest; /* handle that was seen or said */
};

uint8_t          input_next(struct input *input); /* 0 at the end */
uint64_t         input_value(struct input *input);
uint32_t         input_handle(struct input *input);
struct lb_id     input_id(struct input *input);
struct lb_uuid   input_ledger(struct input *input); /* mostly {1}, the server's */
struct lb_digest input_digest(struct input *input);
const char      *input_name(struct input *input);
struct lb_begin  input_begin(struct input *input);
/* Mostly one that fits the slot, if there is one. */
struct lb_receipt input_receipt(struct input *input, const struct lb_slot *slot);
/* At most LB_PAYLOAD_MAX bytes; its length. */
size_t input_payload(struct input *input, unsigned type, const struct lb_slot *slot, uint8_t *payload);

#endif
