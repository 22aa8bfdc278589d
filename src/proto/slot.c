/* SPDX-License-Identifier: MIT */
/* The deliveries and questions without a final answer. Which stage they are at is their role's business. */
#include "proto/machine.h"
#include <string.h>

struct lb_slot *lb_conn_slot(const struct lb_conn *conn, uint32_t handle)
{
	struct lb_slot *slot = conn->near;

	if (handle == 0)
		return NULL;
	if (conn->current != NULL && conn->current->handle == handle)
		return conn->current;
	for (uint32_t i = 0; i < conn->n_ready; i++, slot = lb_slot_after(conn, slot))
		if (slot->handle == handle)
			return slot;
	return NULL;
}

static void make_ready(struct lb_conn *conn)
{
	uint32_t n = conn->n_ready < conn->n_slots / 2 ? 2 * conn->n_ready : conn->n_slots;

	while (conn->n_ready < n)
		conn->slots[conn->n_ready++].handle = 0;
}

struct lb_slot *lb_conn_slot_new(struct lb_conn *conn, uint32_t handle, enum lb_stage stage)
{
	struct lb_slot *slot;

	if (conn->n_used == conn->n_ready)
		make_ready(conn);
	slot = conn->newest;
	do
		slot = lb_slot_after(conn, slot);
	while (slot->handle != 0);
	conn->newest = slot;
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
	conn->near = slot;
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
