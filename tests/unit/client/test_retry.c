/* SPDX-License-Identifier: MIT */
#include "fake.h"

#define TEXT "some text, which can be read again"

/* A client that tries again, its file, and what is done while it waits. */
struct trying {
	struct fake *fake;
	struct lb_client *client;
	struct lb_delivery delivery;
	const char *text;
	int read_error;
	unsigned waits;
	enum lb_reason why;
	lb_time longest;
	struct lb_id id;
	void (*meanwhile)(struct trying *trying);
};

static ssize_t read_again(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct trying *trying = arg;
	size_t left = strlen(trying->text) > offset ? strlen(trying->text) - offset : 0;

	if (trying->read_error != 0)
		return -trying->read_error;
	if (len > left)
		len = left;
	memcpy(buf, trying->text + offset, len);
	return (ssize_t)len;
}

static void waiting(void *arg, const struct lb_outcome *why, lb_time wait)
{
	struct trying *trying = arg;

	if (why == NULL)
		return;
	trying->waits++;
	trying->why = why->reason;
	if (wait > trying->longest)
		trying->longest = wait;
	if (trying->meanwhile != NULL)
		trying->meanwhile(trying);
}

static void open_trying(struct trying *trying, struct fake *fake)
{
	const struct lb_client_options options = {
		.state_dir = fake->dir, .retry = true, .waiting = waiting, .waiting_arg = trying};
	struct lb_outcome outcome;

	*trying = (struct trying){.fake = fake, .text = TEXT};
	trying->delivery = (struct lb_delivery){.name = "name",
		.length = LB_UNKNOWN,
		.source = "/source",
		.read_again = read_again,
		.read_again_arg = trying};
	assert_int_equal(lb_client_open_on(&fake->machine.host, "host", &options, fake_in(fake, 10),
				 &trying->client, &outcome),
		0);
}

/* Begins it, and the link is cut once the server has heard of `at`. */
static void cut(struct trying *trying, enum lb_event_type at)
{
	trying->fake->cut_at = at;
	trying->fake->cut = FAKE_RST;
	assert_int_equal(lb_client_begin(trying->client, &trying->delivery, fake_in(trying->fake, 100)), 0);
	trying->id = *lb_client_id(trying->client);
}

static void mend(struct trying *trying)
{
	fake_restart(trying->fake);
	trying->fake->cut_at = LB_EVENT_NONE;
}

static void a_wait_is_random_up_to_a_limit_that_doubles(void **state)
{
	(void)state;
	for (unsigned failures = 0; failures < 200; failures++) {
		lb_time most = failures < 7 ? INT64_C(100000000) << failures : INT64_C(10000000000);

		if (most > INT64_C(10000000000))
			most = INT64_C(10000000000);
		assert_int_equal(lb_retry_wait(failures, 0), 0);
		assert_int_equal(lb_retry_wait(failures, (uint64_t)most), most);
		assert_int_equal(lb_retry_wait(failures, (uint64_t)most + 1), 0);
		assert_in_range(lb_retry_wait(failures, UINT64_MAX), 0, most);
		assert_in_range(lb_retry_wait(failures, (uint64_t)1 << 63), 0, most);
	}
	assert_in_range(lb_retry_wait(UINT32_MAX, UINT64_MAX), 0, INT64_C(10000000000));
}

static void a_file_is_read_again_and_committed_under_its_id(void **state)
{
	static const enum lb_event_type at[] = {LB_EVENT_BEGIN, LB_EVENT_DATA, LB_EVENT_COMMIT};

	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		struct fake *fake = *state;
		struct trying trying;
		struct told told;

		fake_restart(fake);
		open_trying(&trying, fake);
		trying.meanwhile = mend;
		cut(&trying, at[i]);
		assert_int_equal(fake_write(fake, trying.client, TEXT), 0);
		told = fake_commit(fake, trying.client);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
		assert_int_equal(told.receipt.length, strlen(TEXT));
		assert_memory_equal(&told.receipt.id, &trying.id, sizeof trying.id);
		assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
		assert_int_equal(fake->length, strlen(TEXT));
		assert_int_equal(trying.waits, 1);
		assert_int_equal(trying.why, LB_REASON_BROKEN);
		fake_close(fake, trying.client);
		assert_false(fake_is_open(fake, &trying.id));
		assert_string_equal(fake->order, "HSBDCX");
	}
}

static struct lb_receipt stored;

static void mend_and_have_it(struct trying *trying)
{
	mend(trying);
	stored = fake_receipt(trying->fake, &trying->id, "name", TEXT);
	trying->fake->has = &stored;
}

static void what_was_committed_is_told_and_not_sent_again(void **state)
{
	struct fake *fake = *state;
	struct trying trying;
	struct told told;

	open_trying(&trying, fake);
	trying.meanwhile = mend_and_have_it;
	cut(&trying, LB_EVENT_COMMIT);
	assert_int_equal(fake_write(fake, trying.client, TEXT), 0);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(told.outcome.confirmed, strlen(TEXT));
	fake_close(fake, trying.client);
	assert_string_equal(fake->order, "HSBX");
}

static void what_the_server_has_once_more_and_differs_is_refused(void **state)
{
	struct fake *fake = *state;
	struct trying trying;
	struct told told;

	open_trying(&trying, fake);
	trying.meanwhile = mend_and_have_it;
	cut(&trying, LB_EVENT_COMMIT);
	assert_int_equal(fake_write(fake, trying.client, "some other text"), 0);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_REFUSED);
	assert_int_equal(told.outcome.reason, LB_REASON_DIFFERENT);
	fake_close(fake, trying.client);
}

static void without_a_way_to_read_again_it_ends_unless_commit_was_sent(void **state)
{
	struct fake *fake = *state;
	struct trying trying;
	struct told told;

	open_trying(&trying, fake);
	trying.delivery.read_again = NULL;
	trying.meanwhile = mend;
	cut(&trying, LB_EVENT_DATA);
	(void)fake_write(fake, trying.client, TEXT);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_BROKEN);
	assert_int_equal(trying.waits, 0);
	fake_close(fake, trying.client);
	fake_restart(fake);
	open_trying(&trying, fake);
	trying.delivery.read_again = NULL;
	trying.meanwhile = mend;
	cut(&trying, LB_EVENT_COMMIT);
	assert_int_equal(fake_write(fake, trying.client, TEXT), 0);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_LOST);
	assert_string_equal(fake->order, "HSBR?"); /* fenced: the COMMIT may have been on its way */
	fake_close(fake, trying.client);
}

static void be_ready(struct trying *trying)
{
	mend(trying);
	trying->fake->refuse_begin = trying->fake->refuse_commit = LB_REASON_NONE;
}

static void busy_and_going_away_are_tried_again_and_a_refusal_is_not(void **state)
{
	struct fake *fake = *state;
	struct trying trying;
	struct told told;

	open_trying(&trying, fake);
	trying.meanwhile = be_ready;
	fake->refuse_begin = LB_REASON_BUSY;
	assert_int_equal(lb_client_begin(trying.client, &trying.delivery, fake_in(fake, 10)), 0);
	assert_int_equal(trying.why, LB_REASON_BUSY);
	fake->refuse_commit = LB_REASON_GOING_AWAY;
	assert_int_equal(fake_write(fake, trying.client, TEXT), 0);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(trying.why, LB_REASON_GOING_AWAY);
	assert_int_equal(trying.waits, 2);
	assert_string_equal(lb_client_text(trying.client), "");
	fake->refuse_begin = LB_REASON_NAME_EXISTS;
	assert_int_equal(lb_client_begin(trying.client, &trying.delivery, fake_in(fake, 10)), -ECONNABORTED);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_REFUSED);
	assert_int_equal(trying.waits, 2);
	fake_close(fake, trying.client);
}

static void mend_with_another_ledger(struct trying *trying)
{
	mend(trying);
	trying->fake->ledger.bytes[0]++;
}

static void another_ledger_is_not_asked(void **state)
{
	static const enum lb_event_type at[] = {LB_EVENT_DATA, LB_EVENT_COMMIT};

	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		struct fake *fake = *state;
		struct trying trying;
		struct told told;

		fake_restart(fake);
		open_trying(&trying, fake);
		trying.meanwhile = mend_with_another_ledger;
		cut(&trying, at[i]);
		(void)fake_write(fake, trying.client, TEXT);
		told = fake_commit(fake, trying.client);
		assert_int_equal(told.outcome.reason, LB_REASON_ANOTHER_LEDGER);
		assert_int_equal(told.outcome.verdict,
			at[i] == LB_EVENT_COMMIT ? LB_VERDICT_IN_DOUBT : LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(fake->seen[LB_EVENT_BEGIN], 0);
		fake_close(fake, trying.client);
	}
}

/* It was begun without a connection, when the ledger was thought to be the one before. */
static void what_is_open_at_the_ledger_that_answers_in_the_end_is_taken_up(void **state)
{
	struct fake *fake = *state;
	struct lb_uuid before = fake->ledger;
	struct trying trying;
	struct told told;
	struct lb_id id;

	fake->ledger.bytes[0]++;
	id = fake_leave_open_at(fake, "elsewhere:7117", "name", "/source");
	fake->ledger = before;
	open_trying(&trying, fake);
	fake->broken = FAKE_RST;
	assert_true(lb_client_step(trying.client));
	trying.meanwhile = mend_with_another_ledger;
	fake_begin(fake, trying.client);
	assert_memory_equal(lb_client_id(trying.client), &id, sizeof id);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
	assert_int_equal(fake_write(fake, trying.client, TEXT), 0);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, trying.client);
	assert_false(fake_is_open(fake, &id));
}

static void what_another_process_works_on_there_is_left_to_it(void **state)
{
	struct fake *fake = *state;
	struct lb_uuid before = fake->ledger;
	char why[256], *dir = strdup(fake->dir);
	struct lb_journal_entry entry;
	struct lb_journal *other;
	struct trying trying;
	struct told told;
	struct lb_id id;

	fake->ledger.bytes[0]++;
	id = fake_leave_open_at(fake, "elsewhere:7117", "name", "/source");
	fake->ledger = before;
	open_trying(&trying, fake);
	assert_int_equal(lb_journal_open(&fake->machine.host, dir, &other, why), 0);
	assert_int_equal(lb_journal_find(other, &id, &entry), 1);
	fake->broken = FAKE_RST;
	assert_true(lb_client_step(trying.client));
	trying.meanwhile = mend_with_another_ledger;
	assert_int_equal(lb_client_begin(trying.client, &trying.delivery, fake_in(fake, 100)), -ECONNABORTED);
	told = fake_commit(fake, trying.client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_BUSY);
	assert_int_equal(fake->seen[LB_EVENT_BEGIN], 0);
	fake_close(fake, trying.client);
	lb_journal_close(other);
	assert_true(fake_is_open(fake, &id));
	free(dir);
}

static void a_source_that_cannot_be_read_again_ends_it(void **state)
{
	struct fake *fake = *state;
	struct trying trying;
	struct told told;

	for (int error = 0; error <= EIO; error += EIO) {
		fake_restart(fake);
		open_trying(&trying, fake);
		trying.meanwhile = mend;
		trying.text = error == 0 ? "some" : TEXT;
		trying.read_error = error;
		cut(&trying, LB_EVENT_DATA);
		(void)fake_write(fake, trying.client, TEXT);
		told = fake_commit(fake, trying.client);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(told.outcome.reason,
			error == 0 ? LB_REASON_SOURCE_CHANGED : LB_REASON_SOURCE_UNREADABLE);
		fake_close(fake, trying.client);
	}
}

static void the_deadline_ends_the_tries(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir, .retry = true};
	struct lb_outcome outcome;
	struct lb_client *client;
	lb_time started = fake->now;

	fake->refuse_connects = INT32_MAX;
	assert_int_equal(lb_client_open_on(&fake->machine.host, "host", &options, fake_in(fake, 100), &client,
				 &outcome),
		-ETIMEDOUT);
	assert_int_equal(fake->now - started, INT64_C(100000000000));
	assert_in_range(fake->connects, 3 * 10, 3 * 100);
	assert_int_equal(outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(outcome.how, LB_END_NO_CONNECTION);
	/* of the last address, which fails in one of two ways by turns: how many tries there are is random */
	assert_true(outcome.err == ECONNREFUSED || outcome.err == ENETUNREACH);
}

static void interrupt(struct trying *trying)
{
	lb_client_interrupt(trying->client);
}

static void an_interrupt_ends_a_wait(void **state)
{
	static const enum lb_event_type at[] = {LB_EVENT_DATA, LB_EVENT_COMMIT};

	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		struct fake *fake = *state;
		struct trying trying;
		struct told told;

		fake_restart(fake);
		open_trying(&trying, fake);
		trying.meanwhile = interrupt;
		cut(&trying, at[i]);
		if (fake_write(fake, trying.client, TEXT) == -EINTR)
			told = fake_rollback(fake, trying.client, LB_REASON_INTERRUPTED);
		else
			told = fake_commit(fake, trying.client);
		assert_int_equal(told.outcome.verdict,
			at[i] == LB_EVENT_COMMIT ? LB_VERDICT_IN_DOUBT : LB_VERDICT_ROLLED_BACK);
		assert_int_equal(fake_is_open(fake, &trying.id), at[i] == LB_EVENT_COMMIT);
		fake_close(fake, trying.client);
	}
}

/* It has left nothing that could commit; or an earlier process may have. */
static void closed_while_it_waits_it_ends_at_once(void **state)
{
	struct fake *fake = *state;

	for (int earlier = 0; earlier <= 1; earlier++) {
		struct trying trying;
		struct told told;
		struct lb_id id;
		lb_time now;

		fake_restart(fake);
		if (earlier == 1)
			fake_leave_open(fake, "name", "/source");
		open_trying(&trying, fake);
		assert_int_equal(lb_client_begin(trying.client, &trying.delivery, fake_in(fake, 10)), 0);
		id = *lb_client_id(trying.client);
		fake->broken = FAKE_RST;
		assert_true(lb_client_step(trying.client));
		assert_int_equal(trying.waits, 1);
		now = fake->now;
		told = fake_close(fake, trying.client);
		assert_int_equal(told.r, -ECONNABORTED);
		assert_int_equal(
			told.outcome.verdict, earlier ? LB_VERDICT_IN_DOUBT : LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(fake->now, now);
		assert_int_equal(fake_is_open(fake, &id), earlier);
	}
}

static void the_next_delivery_connects_anew(void **state)
{
	struct fake *fake = *state;
	struct trying trying;

	open_trying(&trying, fake);
	fake->broken = FAKE_FIN;
	assert_int_equal(lb_client_wait(trying.client, FAKE_INPUT, fake_in(fake, 1)), -ECONNABORTED);
	fake_restart(fake);
	trying.meanwhile = mend;
	fake_begin(fake, trying.client);
	assert_int_equal(fake_write(fake, trying.client, TEXT), 0);
	assert_int_equal(fake_commit(fake, trying.client).outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, trying.client);
}

#define BY(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wait_is_random_up_to_a_limit_that_doubles),
		BY(a_file_is_read_again_and_committed_under_its_id),
		BY(what_was_committed_is_told_and_not_sent_again),
		BY(what_the_server_has_once_more_and_differs_is_refused),
		BY(without_a_way_to_read_again_it_ends_unless_commit_was_sent),
		BY(busy_and_going_away_are_tried_again_and_a_refusal_is_not),
		BY(another_ledger_is_not_asked),
		BY(what_is_open_at_the_ledger_that_answers_in_the_end_is_taken_up),
		BY(what_another_process_works_on_there_is_left_to_it),
		BY(a_source_that_cannot_be_read_again_ends_it),
		BY(the_deadline_ends_the_tries),
		BY(an_interrupt_ends_a_wait),
		BY(closed_while_it_waits_it_ends_at_once),
		BY(the_next_delivery_connects_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
