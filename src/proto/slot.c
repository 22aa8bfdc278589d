/* SPDX-License-Identifier: MIT */
/* The deliveries and questions without a final answer. Which stage they are at is their role's business. */
#include "proto/machine.h"
#include <string.h>

struct lb_slot *lb_conn_slot(struct lb_conn *conn, uint32_t handle)
{
	if (handle == 0)
		return NULL;
	if (conn->current != NULL && conn->current->handle == handle)
		return conn->current;
	for (uint32_t i = 0; i < conn->n_slots; i++)
		if (conn->slots[i].handle == handle)
			return &conn->slots[i];
	return NULL;
}

struct lb_slot *lb_conn_slot_new(struct lb_conn *conn, uint32_t handle, enum lb_stage stage)
{
	struct lb_slot *slot = conn->slots;

	while (slot->handle != 0)
		slot++;
	memset(slot, 0, sizeof *slot);
	slot->handle = handle;
	slot->stage = stage;
	conn->n_used++;
	return slot;
}

void lb_conn_slot_free(struct lb_conn *conn, struct lb_slot *slot)
{
	if (conn->current == slot)
		conn->current = NULL;
	slot->handle = 0;
	conn->n_used--;
}

static bool same_id(const struct lb_id *a, const struct lb_id *b)
{
	return a->number == b->number && memcmp(a->client, b->client, sizeof a->client) == 0;
}

bool lb_slot_matches(const struct lb_slot *slot, const struct lb_receipt *receipt)
{
	if (!same_id(&slot->id, &receipt->id))
		return false;
	if (slot->stage == LB_STAGE_ASKED)
		return true;
	if (strcmp(slot->name, receipt->name) != 0)
		return false;
	if (slot->declared != LB_UNKNOWN && slot->declared != receipt->length)
		return false;
	return slot->stage != LB_STAGE_COMMITTING ||
	       (slot->length == receipt->length &&
		       memcmp(&slot->digest, &receipt->digest, sizeof slot->digest) == 0);
}
