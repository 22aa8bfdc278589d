/* SPDX-License-Identifier: MIT */
#include "fake.h"

#define NUMBERS 8

static struct lb_client *open_client(struct fake *fake)
{
	const struct lb_client_options options = {
		.state_dir = fake->dir, .pipeline = true, .numbers = NUMBERS, .retry = true};
	struct lb_client *client;
	struct lb_outcome outcome;

	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	return client;
}

static const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN, .note = "line 1"};

static struct told deliver(struct fake *fake, struct lb_client *client)
{
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	return fake_commit(fake, client);
}

static struct lb_journal *open_journal(struct fake *fake)
{
	struct lb_journal *journal;
	char why[256];

	assert_int_equal(lb_journal_open(&fake->machine.host, fake->dir, &journal, why), 0);
	return journal;
}

static uint64_t lowest_open(struct fake *fake)
{
	struct lb_journal *journal = open_journal(fake);
	uint64_t number;

	assert_int_equal(lb_journal_lowest(journal, &number), 0);
	lb_journal_close(journal);
	return number;
}

static void the_server_hears_what_is_settled_and_none_is_open_at_the_end(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);

	for (uint64_t i = 1; i <= 3 * NUMBERS + 1; i++) {
		struct told told;

		told = deliver(fake, client);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
		assert_int_equal(told.receipt.id.number, i);
		assert_int_equal(lowest_open(fake), (i - 1) / NUMBERS * NUMBERS + 1);
	}
	assert_int_equal(fake->seen[LB_EVENT_SETTLED], 4);
	assert_int_equal(fake->last[LB_EVENT_SETTLED].id.number, 3 * NUMBERS + 1);
	fake_close(fake, client);
	assert_int_equal(lowest_open(fake), 4 * NUMBERS + 1); /* those that were not used, too */
}

static void the_journal_is_synced_once_for_many(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);
	unsigned before = fake->machine.syncs;

	for (uint64_t i = 1; i <= 3 * NUMBERS; i++)
		deliver(fake, client);
	assert_int_equal(fake->machine.syncs - before, 3);
	fake_close(fake, client);
}

static void one_that_is_in_doubt_keeps_its_reservation_open(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);
	struct told told;

	deliver(fake, client);
	fake->silent_at = LB_EVENT_COMMIT;
	told = deliver(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	fake->silent_at = LB_EVENT_NONE;
	for (int i = 0; i < 2 * NUMBERS; i++)
		deliver(fake, client);
	assert_int_equal(fake->last[LB_EVENT_SETTLED].id.number, 1);
	fake_close(fake, client);
	assert_true(fake_is_open(fake, &told.receipt.id));
	assert_int_equal(lowest_open(fake), 1);
}

static int count(void *arg, const struct lb_journal_entry *entry)
{
	*(struct lb_journal_entry *)arg = *entry;
	return 0;
}

static void what_an_earlier_process_has_left_is_closed_when_each_of_them_was_asked_about(void **state)
{
	struct fake *fake = *state;
	struct lb_journal *journal = open_journal(fake);
	struct lb_journal_entry entry = {.ledger = fake->ledger, .address = "host:7117"};
	struct lb_client *client;

	assert_int_equal(lb_journal_reserve(journal, &entry, NUMBERS, "line 1", NULL), 0);
	lb_journal_close(journal);
	client = open_client(fake);
	for (uint64_t i = 1; i <= NUMBERS; i++) {
		struct lb_id id = entry.id;

		assert_int_equal(lowest_open(fake), 1);
		id.number = NUMBERS + 1 - i;
		if (i == 3) { /* refused, and then not */
			fake->refuse_resolve = LB_REASON_IO_ERROR;
			assert_int_equal(
				fake_resolve(fake, client, &id).outcome.verdict, LB_VERDICT_IN_DOUBT);
			fake->refuse_resolve = LB_REASON_NONE;
		}
		assert_int_equal(fake_resolve(fake, client, &id).outcome.verdict, LB_VERDICT_ROLLED_BACK);
	}
	assert_int_equal(lowest_open(fake), 1);
	fake_close(fake, client);
	assert_int_equal(lowest_open(fake), NUMBERS + 1);
	journal = open_journal(fake);
	entry.count = 0;
	assert_int_equal(lb_journal_each(journal, count, &entry), 0);
	assert_int_equal(entry.count, 0);
	lb_journal_close(journal);
}

/* The note of the new one may be all that is known of what is left of them. */
static void what_an_earlier_process_has_left_stays_open_until_others_are_reserved(void **state)
{
	struct fake *fake = *state;
	struct lb_journal *journal = open_journal(fake);
	struct lb_journal_entry entry = {.ledger = fake->ledger, .address = "host:7117"};
	struct lb_client *client;

	for (int i = 0; i < 2; i++)
		assert_int_equal(lb_journal_reserve(journal, &entry, NUMBERS, NULL, NULL), 0);
	lb_journal_close(journal);
	client = open_client(fake);
	for (uint64_t i = 1; i <= 2 * NUMBERS; i++) {
		entry.id.number = i;
		assert_int_equal(
			fake_resolve(fake, client, &entry.id).outcome.verdict, LB_VERDICT_ROLLED_BACK);
	}
	fake->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), -ECONNABORTED);
	assert_int_equal(fake_commit(fake, client).outcome.reason, LB_REASON_JOURNAL);
	fake->machine.fail_append = 0;
	assert_int_equal(lowest_open(fake), 1);
	assert_int_equal(deliver(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(lowest_open(fake), 2 * NUMBERS + 1);
	fake_close(fake, client);
}

/* The note of the one behind may say nothing of records that an earlier one was for. */
static void the_earliest_is_closed_first_so_that_a_crash_leaves_no_gap(void **state)
{
	struct fake *fake = *state;
	struct lb_journal *journal = open_journal(fake);
	struct lb_journal_entry entry = {.ledger = fake->ledger, .address = "host:7117"};
	struct lb_client *client;

	for (int i = 0; i < 3; i++)
		assert_int_equal(lb_journal_reserve(journal, &entry, NUMBERS, NULL, NULL), 0);
	lb_journal_close(journal);
	client = open_client(fake);
	for (uint64_t i = 0; i < 3 * NUMBERS; i++) {
		static const unsigned order[] = {0, 2, 1};

		entry.id.number = order[i / NUMBERS] * NUMBERS + i % NUMBERS + 1;
		assert_int_equal(
			fake_resolve(fake, client, &entry.id).outcome.verdict, LB_VERDICT_ROLLED_BACK);
	}
	for (uint64_t closed = 1; closed <= 2; closed++) {
		fake->machine.fail_append = -ENOSPC;
		fake->machine.good_appends = 1;
		if (closed == 1)
			assert_int_equal(deliver(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
		else
			fake_close(fake, client);
		fake->machine.fail_append = 0;
		assert_int_equal(lowest_open(fake), closed * NUMBERS + 1);
	}
}

static void none_is_closed_before_an_earlier_one_that_was_given_out_here(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);
	struct lb_outcome outcome;
	struct lb_id later;

	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), 0);
	assert_int_equal(lb_client_commit_async(client, fake_in(fake, 10)), 0);
	assert_int_equal(lb_client_decision(client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->silent_at = LB_EVENT_NONE;
	for (unsigned i = 1; i <= 2 * NUMBERS; i++)
		assert_int_equal(deliver(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	later = *lb_client_id(client);
	assert_int_equal(later.number, 2 * NUMBERS + 1);
	later.number = NUMBERS + 1;
	assert_true(fake_is_held(fake, &later));
	lb_client_abort(client, &outcome);
	assert_true(fake_is_open(fake, &later));
}

static void what_is_to_be_kept_stays_open_though_its_end_is_known(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);

	for (unsigned i = 0; i < NUMBERS; i++)
		deliver(fake, client);
	lb_client_keep(client);
	for (unsigned i = 0; i < NUMBERS; i++)
		deliver(fake, client);
	fake_close(fake, client);
	assert_int_equal(lowest_open(fake), 1);
}

static void the_note_is_there_for_who_finds_them(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);
	struct lb_journal_entry entry = {.count = 0};
	struct lb_journal *journal;
	struct lb_delivery long_note = delivery;
	char note[LB_NOTE_MAX + 2] = "";
	struct lb_outcome outcome;

	memset(note, 'x', sizeof note - 1);
	long_note.note = note;
	assert_int_equal(lb_client_begin(client, &long_note, fake_in(fake, 10)), -EINVAL);
	fake->silent_at = LB_EVENT_COMMIT;
	deliver(fake, client);
	lb_client_abort(client, &outcome);
	journal = open_journal(fake);
	assert_int_equal(lb_journal_each(journal, count, &entry), 0);
	assert_int_equal(entry.count, NUMBERS);
	assert_string_equal(entry.note, "line 1");
	lb_journal_close(journal);
}

static void with_another_ledger_other_numbers_are_used(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);

	assert_int_equal(deliver(fake, client).receipt.id.number, 1);
	fake->broken = FAKE_FIN;
	(void)lb_client_step(client);
	fake_restart(fake);
	fake->ledger.bytes[0]++;
	assert_int_equal(deliver(fake, client).receipt.id.number, NUMBERS + 1);
	assert_int_equal(lowest_open(fake), NUMBERS + 1);
	fake_close(fake, client);
}

static void who_has_a_source_or_an_id_has_a_line_of_its_own(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);
	struct lb_id id;

	deliver(fake, client);
	fake_begin(fake, client);
	id = *lb_client_id(client);
	assert_int_equal(id.number, NUMBERS + 1);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_true(fake_is_held(fake, &id));
	assert_int_equal(deliver(fake, client).receipt.id.number, 2);
	assert_false(fake_is_open(fake, &id));
	fake_close(fake, client);
}

static void a_number_that_was_told_is_given_to_nobody_else(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);

	for (unsigned good = 0; good < 5; good++) {
		struct told failed, told;
		int r;

		fake->machine.good_locks = good;
		fake->machine.fail_lock = -ENOLCK;
		r = lb_client_begin(client, &delivery, fake_in(fake, 10));
		fake->machine.fail_lock = 0;
		failed = fake_commit(fake, client);
		told = deliver(fake, client);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
		assert_true(r == 0 || failed.receipt.id.number == 0 ||
			    failed.receipt.id.number != told.receipt.id.number);
		fake_close(fake, client);
		fake->first_endpoint = fake->connects;
		client = open_client(fake);
	}
	fake_close(fake, client);
}

static void a_number_that_was_asked_about_first_is_not_given(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);

	assert_int_equal(deliver(fake, client).receipt.id.number, 1);
	for (uint64_t number = 2; number <= NUMBERS; number++) {
		struct lb_id id = *lb_client_id(client);
		struct lb_receipt receipt;
		struct lb_outcome outcome;

		id.number = number;
		assert_int_equal(lb_client_resolve(client, &id, fake_in(fake, 10), &receipt, &outcome), 0);
		assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	}
	for (uint64_t number = NUMBERS + 1; number <= 2 * NUMBERS + 1; number++)
		assert_int_equal(deliver(fake, client).receipt.id.number, number);
	fake_close(fake, client);
	assert_int_equal(lowest_open(fake), 3 * NUMBERS + 1);
}

static void without_a_journal_that_can_be_written_nothing_is_begun(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake);
	struct told told;

	fake->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_JOURNAL);
	assert_int_equal(fake->seen[LB_EVENT_BEGIN], 0);
	fake->machine.fail_append = 0;
	fake_close(fake, client);
}

#define BY(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY(the_server_hears_what_is_settled_and_none_is_open_at_the_end),
		BY(the_journal_is_synced_once_for_many),
		BY(one_that_is_in_doubt_keeps_its_reservation_open),
		BY(what_an_earlier_process_has_left_is_closed_when_each_of_them_was_asked_about),
		BY(what_an_earlier_process_has_left_stays_open_until_others_are_reserved),
		BY(the_earliest_is_closed_first_so_that_a_crash_leaves_no_gap),
		BY(none_is_closed_before_an_earlier_one_that_was_given_out_here),
		BY(what_is_to_be_kept_stays_open_though_its_end_is_known),
		BY(the_note_is_there_for_who_finds_them),
		BY(with_another_ledger_other_numbers_are_used),
		BY(who_has_a_source_or_an_id_has_a_line_of_its_own),
		BY(a_number_that_was_asked_about_first_is_not_given),
		BY(a_number_that_was_told_is_given_to_nobody_else),
		BY(without_a_journal_that_can_be_written_nothing_is_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
