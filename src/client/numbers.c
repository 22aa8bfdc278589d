/* SPDX-License-Identifier: MIT */
/*
 * Numbers out of reservations: the journal gives out many with one line, and has it back when the end of each of them was
 * handed on. Owns what is known of each reservation. One of which a number stays in doubt is left open.
 */
#include "client/engine.h"
#include <string.h>

static struct lb_reservation *find(struct lb_client *client, uint64_t first)
{
	for (unsigned i = 0; i < LB_RESERVATIONS; i++)
		if (client->reservations[i].first.number == first)
			return &client->reservations[i];
	return NULL;
}

static bool is_done(const struct lb_reservation *reservation)
{
	return reservation->first.number != 0 && reservation->n_ended == reservation->count;
}

static bool has_ended(const struct lb_reservation *reservation, uint64_t at)
{
	return (reservation->ended[at / 64] >> at % 64 & 1) != 0;
}

static void end(struct lb_reservation *reservation, uint64_t number)
{
	uint64_t at = number - reservation->first.number;

	reservation->n_ended += !has_ended(reservation, at);
	reservation->ended[at / 64] |= UINT64_C(1) << at % 64;
}

/* Of those that are done the one to close next, before which none stays open that was made here, or is done: what the
 * later one was for may be in no note of those that stay. */
static struct lb_reservation *earliest(struct lb_client *client)
{
	struct lb_reservation *found = NULL;

	for (unsigned i = 0; i < LB_RESERVATIONS && !client->keep; i++) {
		struct lb_reservation *reservation = &client->reservations[i];

		if (reservation->first.number != 0 && (reservation->made || is_done(reservation)) &&
			(found == NULL || reservation->first.number < found->first.number))
			found = reservation;
	}
	return found != NULL && is_done(found) && found != client->numbered ? found : NULL;
}

/* If that cannot be written down they stay open there, and are asked about once more. */
static void settle(struct lb_client *client)
{
	struct lb_reservation *reservation;

	while ((reservation = earliest(client)) != NULL &&
		lb_journal_settle(client->journal, &reservation->first) == 0)
		reservation->first.number = 0;
}

/* No more of them are given out. */
static void stop(struct lb_client *client)
{
	struct lb_reservation *reservation = client->numbered;

	client->numbered = NULL;
	while (reservation != NULL && reservation->given < reservation->count)
		end(reservation, reservation->first.number + reservation->given++);
}

/* The same line closes the earliest that is done, and others are closed after it: not before, as the note of this one may
 * say what is left of those. */
static int reserve(struct lb_client *client, struct lb_reservation *reservation)
{
	struct lb_journal_entry *entry = &client->attempt->entry;
	struct lb_reservation *done = earliest(client);
	int r = lb_journal_reserve(
		client->journal, entry, client->numbers, entry->note, done != NULL ? &done->first : NULL);

	if (r < 0)
		return r;
	if (done != NULL)
		done->first.number = 0;
	settle(client);
	*reservation = (struct lb_reservation){
		.first = entry->id, .ledger = entry->ledger, .count = client->numbers, .made = true};
	client->numbered = reservation;
	return lb_journal_lowest(client->journal, &client->lowest);
}

int lb_numbers_give(struct lb_client *client)
{
	struct lb_attempt *attempt = client->attempt;
	struct lb_reservation *reservation = client->numbered;
	int r = 0;

	/* Whoever has restored a journal may have asked about one before it was given: it can deliver nothing any more. */
	while (reservation != NULL && reservation->given < reservation->count &&
		has_ended(reservation, reservation->given))
		reservation->given++;
	if (reservation != NULL && (reservation->given == reservation->count ||
					   memcmp(&reservation->ledger, &attempt->entry.ledger,
						   sizeof reservation->ledger) != 0))
		stop(client);
	if (client->numbered == NULL) {
		reservation = find(client, 0);
		if (reservation == NULL)
			return 0;
		r = reserve(client, reservation);
	}
	if (r < 0) { /* perhaps when the numbers were reserved: the next delivery has the first of them then */
		attempt->entry.id.number = 0;
		return r;
	}
	attempt->reservation = client->numbered;
	attempt->entry.id = client->numbered->first;
	attempt->entry.id.number += client->numbered->given++;
	attempt->lowest = client->lowest;
	return 1;
}

void lb_numbers_adopt(struct lb_client *client)
{
	struct lb_journal_entry *entry = &client->attempt->entry;
	struct lb_reservation *reservation = find(client, entry->first);

	if (reservation == NULL && find(client, 0) == NULL)
		settle(client);
	if (reservation == NULL)
		reservation = find(client, 0);
	if (reservation != NULL && reservation->first.number == 0) {
		*reservation = (struct lb_reservation){.first = entry->id,
			.ledger = entry->ledger,
			.count = entry->count,
			.given = entry->count};
		reservation->first.number = entry->first;
	}
	client->attempt->reservation = reservation;
}

void lb_numbers_end(struct lb_attempt *attempt)
{
	end(attempt->reservation, attempt->entry.id.number);
}

void lb_numbers_stop(struct lb_client *client)
{
	stop(client);
	settle(client);
}
