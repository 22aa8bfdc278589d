/* SPDX-License-Identifier: MIT */
#include "fake.h"
#include <lastbyte/conn.h>

/* A delivery "name" from "/source", of which an earlier process may have sent COMMIT, or of which none has. */
static struct lb_client *client_with(struct fake *fake, bool earlier)
{
	if (earlier)
		fake_leave_open(fake, "name", "/source");
	return fake_client(fake);
}

static int try_begin(struct fake *fake, struct lb_client *client)
{
	const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN, .source = "/source"};

	return lb_client_begin(client, &delivery, fake_in(fake, 10));
}

/* Begins and writes as far as it goes, then commits. */
static struct told deliver(struct fake *fake, struct lb_client *client, const char *text)
{
	if (try_begin(fake, client) == 0)
		(void)fake_write(fake, client, text);
	return fake_commit(fake, client);
}

static void check(struct fake *fake, const struct told *told, enum lb_verdict verdict, enum lb_reason reason)
{
	assert_int_equal(told->outcome.verdict, verdict);
	assert_int_equal(told->outcome.reason, reason);
	assert_int_equal(told->r, verdict == LB_VERDICT_IN_DOUBT ? -EINPROGRESS : 0);
	if (verdict == LB_VERDICT_COMMITTED || verdict == LB_VERDICT_FORGOTTEN)
		assert_true(fake_is_held(fake, &told->receipt.id));
	else
		assert_int_equal(fake_is_open(fake, &told->receipt.id), verdict == LB_VERDICT_IN_DOUBT);
	if (verdict != LB_VERDICT_COMMITTED && reason != LB_REASON_DIFFERENT)
		assert_int_equal(told->receipt.committed_at, 0);
	assert_int_equal(told->outcome.rung == LB_RUNG_COMMITTED, verdict == LB_VERDICT_COMMITTED);
}

/* Cuts `told` down to the end of its client, so that a test reads as its rule. */
static void expect(struct fake *fake, struct lb_client *client, struct told told, enum lb_verdict verdict,
	enum lb_reason reason)
{
	check(fake, &told, verdict, reason);
	fake_close(fake, client);
	assert_int_equal(fake_is_open(fake, &told.receipt.id), verdict == LB_VERDICT_IN_DOUBT);
}

static const struct {
	enum lb_reason reason;
	enum lb_verdict verdict;
} refusals[] = {
#define LB_REASON(name, code, verdict_name, word, text) {LB_REASON_##name, LB_VERDICT_##verdict_name},
#include <lastbyte/outcomes.def>
};

static void run_refusal(struct fake *fake, enum lb_reason *when, size_t i)
{
	struct lb_client *client = client_with(fake, false);

	*when = refusals[i].reason;
	expect(fake, client, deliver(fake, client, "text"), refusals[i].verdict, refusals[i].reason);
	*when = LB_REASON_NONE;
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 0);
	fake_restart(fake);
	if (refusals[i].verdict == LB_VERDICT_IN_DOUBT) { /* it would be taken up again */
		client = fake_client(fake);
		assert_int_equal(deliver(fake, client, "text").r, 0);
		fake_close(fake, client);
		fake_restart(fake);
	}
}

static void a_refusal_of_the_only_attempt_is_its_verdict(void **state)
{
	struct fake *fake = *state;

	for (size_t i = 1; refusals[i].reason < LB_REASON_NO_CONNECTION; i++) {
		run_refusal(fake, &fake->refuse_begin, i);
		run_refusal(fake, &fake->refuse_data, i);
		run_refusal(fake, &fake->refuse_commit, i);
	}
}

static void definite(void **state, enum lb_reason reason, enum lb_verdict verdict)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, true);

	fake->refuse_begin = reason;
	expect(fake, client, deliver(fake, client, "text"), verdict, reason);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 0);
}

static void fenced_is_definite_for_every_attempt(void **state)
{
	definite(state, LB_REASON_FENCED, LB_VERDICT_REFUSED);
}

static void forgotten_is_definite_for_every_attempt(void **state)
{
	definite(state, LB_REASON_FORGOTTEN, LB_VERDICT_FORGOTTEN);
}

static void another_ledger_settles_nothing(void **state)
{
	definite(state, LB_REASON_ANOTHER_LEDGER, LB_VERDICT_IN_DOUBT);
}

/* Where each refusal finds the delivery, when an earlier attempt may have committed. */
static struct lb_client *refused_later(struct fake *fake, enum lb_reason *when)
{
	struct lb_client *client = client_with(fake, true);

	*when = LB_REASON_DISK_FULL;
	return client;
}

static void after_a_refusal_resolve_tells_of_earlier_attempts(void **state)
{
	struct fake *fake = *state;
	enum lb_reason *const when[] = {&fake->refuse_begin, &fake->refuse_data, &fake->refuse_commit};
	static const char *const orders[] = {"HSB?X", "HSBD?X", "HSBDC?X"};

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = refused_later(fake, when[i]);

		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED);
		assert_string_equal(fake->order, orders[i]);
		*when[i] = LB_REASON_NONE;
		fake_restart(fake);
	}
}

static struct lb_receipt earlier_receipt;

static void becomes_committed(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_RESOLVE)
		fake->has = &earlier_receipt;
}

static void an_earlier_attempt_that_committed_the_same_is_a_commit(void **state)
{
	struct fake *fake = *state;
	enum lb_reason *const when[] = {&fake->refuse_begin, &fake->refuse_data, &fake->refuse_commit};

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = refused_later(fake, when[i]);
		struct lb_id id = {.number = (uint64_t)i + 1};

		memcpy(id.client, lb_journal_client(client->journal), 16);
		earlier_receipt = fake_receipt(fake, &id, "name", "text");
		fake->on = becomes_committed;
		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_COMMITTED, LB_REASON_NONE);
		*when[i] = LB_REASON_NONE;
		fake->has = NULL;
		fake_restart(fake);
	}
}

static void an_earlier_attempt_that_committed_something_else_is_no_commit(void **state)
{
	struct fake *fake = *state;
	enum lb_reason *const when[] = {&fake->refuse_begin, &fake->refuse_data, &fake->refuse_commit};

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = refused_later(fake, when[i]);
		struct lb_id id = {.number = (uint64_t)i + 1};
		struct told told;

		memcpy(id.client, lb_journal_client(client->journal), 16);
		earlier_receipt = fake_receipt(fake, &id, "name", "TEXT");
		fake->on = becomes_committed;
		told = deliver(fake, client, "text");
		assert_int_equal(told.receipt.committed_at, 5);
		assert_memory_equal(
			&told.receipt.digest, &earlier_receipt.digest, sizeof told.receipt.digest);
		expect(fake, client, told, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
		*when[i] = LB_REASON_NONE;
		fake->has = NULL;
		fake_restart(fake);
	}
}

/* The name is another one: RESOLVE fetches the receipt, so that the caller can tell what was committed. */
static void different_comes_with_the_receipt_of_what_is_there(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	earlier_receipt = fake_receipt(fake, &id, "other", "text");
	fake->has = &earlier_receipt;
	fake->refuse_begin = LB_REASON_DIFFERENT;
	assert_int_equal(try_begin(fake, client), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_string_equal(told.receipt.name, "other");
	expect(fake, client, told, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
	assert_string_equal(fake->order, "HSB?X");
}

static void different_is_definite_though_no_receipt_came(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, true);

	fake->refuse_begin = LB_REASON_DIFFERENT;
	fake->cut_at = LB_EVENT_RESOLVE;
	fake->cut = FAKE_RST;
	expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
}

static void a_refusal_and_no_answer_to_resolve_is_doubt(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, true);

	fake->refuse_commit = LB_REASON_WRONG_DIGEST;
	fake->silent_at = LB_EVENT_RESOLVE;
	expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
	fake_restart(fake);
	fake->silent_at = LB_EVENT_NONE;
	fake->refuse_resolve = LB_REASON_IO_ERROR;
	client = fake_client(fake);
	expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_IN_DOUBT, LB_REASON_IO_ERROR);
}

static void what_is_committed_already_is_compared_and_not_sent(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	earlier_receipt = fake_receipt(fake, &id, "name", "text");
	fake->has = &earlier_receipt;
	told = deliver(fake, client, "text");
	assert_memory_equal(&told.receipt.digest, &earlier_receipt.digest, sizeof told.receipt.digest);
	assert_int_equal(told.receipt.committed_at, 5);
	assert_int_equal(told.outcome.confirmed, 4);
	expect(fake, client, told, LB_VERDICT_COMMITTED, LB_REASON_NONE);
	assert_string_equal(fake->order, "HSBX");
}

static void what_was_committed_differently_is_refused(void **state)
{
	static const char *const texts[] = {"texT", "texts", "tex", ""};
	struct fake *fake = *state;

	for (int i = 0; i < 4; i++) {
		struct lb_id id = fake_leave_open(fake, "name", "/source");
		struct lb_client *client = fake_client(fake);
		struct told told;

		earlier_receipt = fake_receipt(fake, &id, "name", "text");
		fake->has = &earlier_receipt;
		told = deliver(fake, client, texts[i]);
		assert_memory_equal(
			&told.receipt.digest, &earlier_receipt.digest, sizeof told.receipt.digest);
		expect(fake, client, told, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
		fake->has = NULL;
		fake_restart(fake);
	}
}

static void a_comparison_needs_no_connection(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);

	earlier_receipt = fake_receipt(fake, &id, "name", "text");
	fake->has = &earlier_receipt;
	assert_int_equal(try_begin(fake, client), 0);
	fake->broken = FAKE_RST;
	assert_int_equal(fake_write(fake, client, "te"), 0);
	assert_int_equal(fake_write(fake, client, "xt"), 0);
	expect(fake, client, fake_commit(fake, client), LB_VERDICT_COMMITTED, LB_REASON_NONE);
}

static void no_answer_to_commit_is_doubt(void **state)
{
	struct fake *fake = *state;

	for (int earlier = 0; earlier < 2; earlier++) {
		struct lb_client *client = client_with(fake, earlier);

		fake->silent_at = LB_EVENT_COMMIT;
		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
		fake_restart(fake);
	}
}

static void a_connection_that_breaks_after_commit_leaves_doubt(void **state)
{
	struct fake *fake = *state;

	for (int cut = FAKE_FIN; cut <= FAKE_RST; cut++) {
		struct lb_client *client = client_with(fake, false);

		fake->cut_at = LB_EVENT_COMMIT;
		fake->cut = (enum fake_cut)cut;
		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
		fake_restart(fake);
	}
}

static void an_error_of_the_servers_storage_leaves_doubt(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct told told;

	fake->fail_at = LB_EVENT_COMMIT;
	fake->fail_with = LB_FAILURE_STORAGE;
	told = deliver(fake, client, "text");
	assert_int_equal(told.outcome.err, EIO);
	expect(fake, client, told, LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
}

static void one_byte_of_commit_is_enough_for_doubt(void **state)
{
	struct fake *fake = *state;

	for (size_t room = 0; room < 2; room++) {
		struct lb_client *client = client_with(fake, false);

		assert_int_equal(try_begin(fake, client), 0);
		assert_int_equal(fake_write(fake, client, "text"), 0);
		fake->room = room;
		if (room == 0)
			expect(fake, client, fake_commit(fake, client), LB_VERDICT_NOT_COMMITTED,
				LB_REASON_DEADLINE);
		else
			expect(fake, client, fake_commit(fake, client), LB_VERDICT_IN_DOUBT,
				LB_REASON_NO_ANSWER);
		fake_restart(fake);
	}
}

/* What was called not committed must not be committed later, by a COMMIT that waited for room. */
static void a_commit_that_was_called_off_never_goes_out(void **state)
{
	struct fake *fake = *state;

	for (int interrupt = 0; interrupt < 2; interrupt++) {
		struct lb_client *client = client_with(fake, false);
		struct told told;

		assert_int_equal(try_begin(fake, client), 0);
		assert_int_equal(fake_write(fake, client, "text"), 0);
		fake->room = 0;
		assert_int_equal(lb_client_start_commit(client, fake_in(fake, 1)), 0);
		assert_false(lb_client_step(client));
		if (interrupt)
			lb_client_interrupt(client);
		else
			fake->now = fake_in(fake, 2);
		assert_true(lb_client_step(client));
		lb_client_outcome(client, &told.receipt, &told.outcome);
		told.r = client->result;
		fake->room = SIZE_MAX;
		if (interrupt)
			expect(fake, client, told, LB_VERDICT_ROLLED_BACK, LB_REASON_INTERRUPTED);
		else
			expect(fake, client, told, LB_VERDICT_NOT_COMMITTED, LB_REASON_DEADLINE);
		assert_int_equal(fake->seen[LB_EVENT_COMMIT], 0);
		fake_restart(fake);
	}
}

static void a_connection_that_breaks_before_commit_committed_nothing(void **state)
{
	static const enum lb_event_type at[] = {LB_EVENT_BEGIN, LB_EVENT_DATA};
	struct fake *fake = *state;

	for (int i = 0; i < 2; i++) {
		struct lb_client *client = client_with(fake, false);

		fake->cut_at = at[i];
		fake->cut = FAKE_RST;
		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_NOT_COMMITTED,
			LB_REASON_BROKEN);
		fake_restart(fake);
		client = client_with(fake, true);
		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
		fake_restart(fake);
		fake->cut_at = LB_EVENT_NONE;
		client = fake_client(fake);
		expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_COMMITTED, LB_REASON_NONE);
		fake_restart(fake);
	}
}

/* Whoever gives an id has it from an attempt that this journal does not know. */
static void a_given_id_may_have_been_committed_elsewhere(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	const struct lb_delivery delivery = {
		.name = "name", .length = LB_UNKNOWN, .id = {.client = {7}, .number = 7}};

	fake->cut_at = LB_EVENT_BEGIN;
	fake->cut = FAKE_FIN;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), -ECONNABORTED);
	expect(fake, client, fake_commit(fake, client), LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
}

static void on_a_broken_connection_nothing_is_begun(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, true);
	const struct lb_delivery other = {.name = "other", .length = LB_UNKNOWN, .source = "/other"};
	struct told told;

	fake->broken = FAKE_FIN;
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, fake_in(fake, 1)), -ECONNABORTED);
	assert_int_equal(lb_client_begin(client, &other, fake_in(fake, 1)), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.how, LB_END_FIN);
	assert_int_equal(told.receipt.id.number, 0);
	expect(fake, client, deliver(fake, client, "text"), LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
}

static void a_receipt_for_something_else_is_not_believed(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct told told;

	fake->forges = true;
	told = deliver(fake, client, "text");
	assert_int_equal(told.outcome.how, LB_END_PROTOCOL_ERROR);
	assert_int_equal(told.outcome.err, EPROTO);
	expect(fake, client, told, LB_VERDICT_IN_DOUBT, LB_REASON_PROTOCOL);
}

/* An id that is known from elsewhere, and what is committed under it is not what was begun here. */
static void what_is_given_up_and_was_committed_otherwise_is_different(void **state)
{
	struct fake *fake = *state;

	for (int what = 0; what < 4; what++) {
		struct lb_client *client = client_with(fake, false);
		const struct lb_delivery delivery = {.name = "name",
			.length = what == 2 ? 6 : LB_UNKNOWN,
			.id = {.client = {1}, .number = 5}};
		const struct lb_receipt receipt = fake_receipt(
			fake, &delivery.id, what == 0 ? "other" : "name", what == 1 ? "te" : "texts");
		struct told told;

		fake_restart(fake);
		assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), 0);
		assert_int_equal(fake_write(fake, client, "text"), 0);
		fake->has = &receipt;
		told = fake_rollback(fake, client, LB_REASON_ROLLED_BACK);
		fake->has = NULL;
		assert_int_equal(told.receipt.length, receipt.length);
		if (what == 3) /* it may be the beginning of that */
			expect(fake, client, told, LB_VERDICT_COMMITTED, LB_REASON_NONE);
		else
			expect(fake, client, told, LB_VERDICT_REFUSED, LB_REASON_DIFFERENT);
	}
}

static void keep_an_eighth_attempt(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_BEGIN)
		fake->refuse_begin = event->attempt < 8 ? LB_REASON_SUPERSEDED : LB_REASON_NONE;
}

static void an_id_that_the_journal_does_not_know_is_taken_up_where_it_was_left(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	const struct lb_delivery delivery = {
		.name = "name", .length = LB_UNKNOWN, .id = {.client = {1}, .number = 5}};

	fake->on = keep_an_eighth_attempt;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), 0);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 8);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	expect(fake, client, fake_commit(fake, client), LB_VERDICT_COMMITTED, LB_REASON_NONE);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 0);
}

static void an_attempt_that_no_count_overtakes_is_refused(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);

	fake->refuse_begin = LB_REASON_SUPERSEDED;
	assert_int_equal(try_begin(fake, client), -ECONNABORTED);
	expect(fake, client, fake_commit(fake, client), LB_VERDICT_NOT_COMMITTED, LB_REASON_SUPERSEDED);
	assert_int_equal(fake->seen[LB_EVENT_BEGIN], 32);
}

static void the_servers_own_words_are_passed_on_and_steer_no_terminal(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);

	fake->words = "no\033[2J room";
	fake->refuse_commit = LB_REASON_DISK_FULL;
	assert_int_equal(try_begin(fake, client), 0);
	assert_int_equal(fake_commit(fake, client).outcome.reason, LB_REASON_DISK_FULL);
	assert_string_equal(lb_client_text(client), "no?[2J room");
	fake->refuse_commit = LB_REASON_NONE;
	assert_int_equal(try_begin(fake, client), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_string_equal(lb_client_text(client), "");
	fake->fail_at = LB_EVENT_COMMIT;
	fake->fail_with = LB_FAILURE_STORAGE;
	fake->words = "the disk is gone";
	assert_int_equal(try_begin(fake, client), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_string_equal(lb_client_text(client), "the disk is gone");
	fake_close(fake, client);
}

/* The machine has looked at the receipt before; a second look costs nothing. */
static void a_receipt_for_something_else_is_not_believed_if_the_machine_lets_it_pass(void **state)
{
	struct fake *fake = *state;

	for (int field = 0; field < 6; field++) {
		struct lb_client *client = client_with(fake, false);
		struct lb_event event = {.type = LB_EVENT_COMMITTED};
		struct lb_receipt *receipt = &event.receipt;
		struct told told;

		assert_int_equal(try_begin(fake, client), 0);
		assert_int_equal(fake_write(fake, client, "text"), 0);
		assert_int_equal(lb_client_start_commit(client, fake_in(fake, 10)), 0);
		event.handle = client->attempt->handle;
		*receipt = fake_receipt(fake, lb_client_id(client), "name", "text");
		receipt->id.number += field == 0;
		receipt->id.client[3] ^= field == 1;
		receipt->ledger.bytes[4] ^= field == 2;
		receipt->length += field == 3;
		receipt->digest.bytes[15] ^= field == 4;
		receipt->name[0] ^= field == 5;
		lb_delivery_answer(client, &event);
		assert_true(lb_client_step(client));
		told.r = client->result;
		lb_client_outcome(client, &told.receipt, &told.outcome);
		assert_int_equal(told.outcome.how, LB_END_PROTOCOL_ERROR);
		expect(fake, client, told, LB_VERDICT_IN_DOUBT, LB_REASON_PROTOCOL);
		fake_restart(fake);
	}
}

/* Our end hears of the reset by a failed send, while the answer lies unread. */
static void the_answer_that_came_before_the_end_counts(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct lb_receipt receipt;
	struct told told;

	assert_int_equal(try_begin(fake, client), 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(lb_client_start_commit(client, fake_in(fake, 300)), 0);
	assert_false(lb_client_step(client));
	receipt = fake_receipt(fake, lb_client_id(client), "name", "text");
	assert_int_equal(lb_conn_committed(fake->server, fake->last[LB_EVENT_COMMIT].handle, &receipt), 0);
	fake->answer_in_flight = true;
	fake->send_error = -EPIPE;
	fake->now = lb_conn_deadline(client->conn);
	assert_true(lb_client_step(client)); /* it is time for PING */
	told.r = client->result;
	lb_client_outcome(client, &told.receipt, &told.outcome);
	assert_int_equal(told.outcome.how, LB_END_RST);
	expect(fake, client, told, LB_VERDICT_COMMITTED, LB_REASON_NONE);
}

static void a_rollback_is_its_reasons_verdict(void **state)
{
	static const enum lb_reason reasons[] = {LB_REASON_ROLLED_BACK, LB_REASON_INTERRUPTED,
		LB_REASON_SOURCE_CHANGED, LB_REASON_SOURCE_UNREADABLE, LB_REASON_DEADLINE};
	struct fake *fake = *state;

	for (int i = 0; i < 5; i++) {
		struct lb_client *client = client_with(fake, false);

		assert_int_equal(try_begin(fake, client), 0);
		assert_int_equal(fake_write(fake, client, "text"), 0);
		expect(fake, client, fake_rollback(fake, client, reasons[i]), lb_reason_verdict(reasons[i]),
			reasons[i]);
		assert_string_equal(fake->order, "HSBDRX");
		fake_restart(fake);
	}
}

static void a_rollback_claims_no_more_than_a_rollback(void **state)
{
	static const enum lb_reason reasons[] = {LB_REASON_NONE, LB_REASON_NO_ANSWER, LB_REASON_FORGOTTEN};
	struct fake *fake = *state;

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = client_with(fake, false);

		assert_int_equal(try_begin(fake, client), 0);
		expect(fake, client, fake_rollback(fake, client, reasons[i]), LB_VERDICT_ROLLED_BACK,
			LB_REASON_ROLLED_BACK);
		fake_restart(fake);
	}
}

static void a_rollback_is_certain_without_an_answer(void **state)
{
	static const enum fake_cut cuts[] = {FAKE_NO_CUT, FAKE_FIN, FAKE_RST};
	struct fake *fake = *state;

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = client_with(fake, false);

		assert_int_equal(try_begin(fake, client), 0);
		fake->silent_at = LB_EVENT_ROLLBACK;
		fake->cut_at = LB_EVENT_ROLLBACK;
		fake->cut = cuts[i];
		expect(fake, client, fake_rollback(fake, client, LB_REASON_INTERRUPTED),
			LB_VERDICT_ROLLED_BACK, LB_REASON_INTERRUPTED);
		fake_restart(fake);
	}
}

static void before_begin_has_its_answer_it_can_be_rolled_back(void **state)
{
	struct fake *fake = *state;

	for (int late = 0; late < 2; late++) {
		struct lb_client *client = client_with(fake, false);
		struct told told;

		fake->silent_at = LB_EVENT_BEGIN;
		assert_int_equal(try_begin(fake, client), -ETIMEDOUT);
		assert_int_equal(fake_write(fake, client, "text"), -ECONNABORTED);
		assert_int_equal(lb_client_start_rollback(client, LB_REASON_DEADLINE, fake_in(fake, 5)), 0);
		assert_false(lb_client_step(client));
		if (late)
			fake_begin_ok(fake);
		else
			fake->now = fake_in(fake, 6);
		assert_true(lb_client_step(client));
		told.r = client->result;
		lb_client_outcome(client, &told.receipt, &told.outcome);
		expect(fake, client, told, LB_VERDICT_NOT_COMMITTED, LB_REASON_DEADLINE);
		fake_restart(fake);
	}
}

static void giving_up_a_later_attempt_settles_the_earlier_ones(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, true);

	assert_int_equal(try_begin(fake, client), 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	expect(fake, client, fake_rollback(fake, client, LB_REASON_SOURCE_CHANGED), LB_VERDICT_NOT_COMMITTED,
		LB_REASON_SOURCE_CHANGED);
	assert_string_equal(fake->order, "HSBDR?X");
}

static void giving_up_a_later_attempt_may_find_it_committed(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	earlier_receipt = fake_receipt(fake, &id, "name", "earlier text");
	assert_int_equal(try_begin(fake, client), 0);
	fake->has = &earlier_receipt;
	told = fake_rollback(fake, client, LB_REASON_INTERRUPTED);
	assert_int_equal(told.receipt.length, 12);
	expect(fake, client, told, LB_VERDICT_COMMITTED, LB_REASON_NONE);
}

static void what_could_not_all_be_written_is_not_committed_because_something_was(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);

	earlier_receipt = fake_receipt(fake, &id, "name", "earlier text");
	assert_int_equal(try_begin(fake, client), 0);
	fake->room = 0;
	assert_int_equal(fake_write(fake, client, "text"), -ETIMEDOUT);
	fake->room = SIZE_MAX;
	fake->has = &earlier_receipt;
	expect(fake, client, fake_commit(fake, client), LB_VERDICT_IN_DOUBT, LB_REASON_DEADLINE);
}

static void giving_up_a_later_attempt_without_an_answer_is_doubt(void **state)
{
	static const enum fake_cut cuts[] = {FAKE_NO_CUT, FAKE_FIN, FAKE_RST};
	struct fake *fake = *state;

	fake_leave_open(fake, "name", "/source");
	for (int i = 0; i < 3; i++) {
		struct lb_client *client = fake_client(fake);

		assert_int_equal(try_begin(fake, client), 0);
		fake->silent_at = LB_EVENT_RESOLVE;
		fake->cut_at = LB_EVENT_RESOLVE;
		fake->cut = cuts[i];
		expect(fake, client, fake_rollback(fake, client, LB_REASON_INTERRUPTED), LB_VERDICT_IN_DOUBT,
			LB_REASON_NO_ANSWER);
		fake_restart(fake);
	}
}

static void giving_up_what_is_committed_already_finds_it_so(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);

	earlier_receipt = fake_receipt(fake, &id, "name", "text");
	fake->has = &earlier_receipt;
	assert_int_equal(try_begin(fake, client), 0);
	expect(fake, client, fake_rollback(fake, client, LB_REASON_INTERRUPTED), LB_VERDICT_COMMITTED,
		LB_REASON_NONE);
}

static void a_question_has_the_ledgers_answer(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake->silent_at = LB_EVENT_RESOLVE;
	told = fake_resolve(fake, client, &id);
	check(fake, &told, LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
	fake->silent_at = LB_EVENT_NONE;
	fake->refuse_resolve = LB_REASON_ANOTHER_LEDGER;
	told = fake_resolve(fake, client, &id);
	check(fake, &told, LB_VERDICT_IN_DOUBT, LB_REASON_ANOTHER_LEDGER);
	fake->refuse_resolve = LB_REASON_NONE;
	earlier_receipt = fake_receipt(fake, &id, "name", "text");
	fake->has = &earlier_receipt;
	told = fake_resolve(fake, client, &id);
	check(fake, &told, LB_VERDICT_COMMITTED, LB_REASON_NONE);
	assert_int_equal(told.receipt.committed_at, 5);
	fake->has = NULL;
	fake->resolves_to = LB_VERDICT_FORGOTTEN;
	told = fake_resolve(fake, client, &id); /* by now it is not open any more */
	assert_int_equal(told.outcome.verdict, LB_VERDICT_FORGOTTEN);
	assert_false(fake_is_open(fake, &id));
	fake->resolves_to = LB_VERDICT_ROLLED_BACK;
	told = fake_resolve(fake, client, &id);
	expect(fake, client, told, LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED);
}

static void each_answer_for_good_ends_the_journals_entry(void **state)
{
	static const enum lb_verdict verdicts[] = {
		LB_VERDICT_ROLLED_BACK, LB_VERDICT_FORGOTTEN, LB_VERDICT_COMMITTED};
	const struct lb_id elsewhere = {.client = "another client", .number = 1};
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	for (int i = 0; i < 3; i++) {
		struct lb_id id = fake_leave_open(fake, "name", "/source");

		earlier_receipt = fake_receipt(fake, &id, "name", "text");
		fake->has = verdicts[i] == LB_VERDICT_COMMITTED ? &earlier_receipt : NULL;
		fake->resolves_to = verdicts[i];
		assert_true(fake_is_open(fake, &id));
		assert_int_equal(fake_resolve(fake, client, &id).outcome.verdict, verdicts[i]);
		assert_int_equal(fake_is_held(fake, &id), verdicts[i] != LB_VERDICT_ROLLED_BACK);
		fake->has = NULL;
		fake->resolves_to = LB_VERDICT_ROLLED_BACK;
		(void)fake_resolve(fake, client, &elsewhere); /* it goes on: by now it was told */
		assert_false(fake_is_open(fake, &id));
	}
	fake_close(fake, client);
}

/* The verdict was given out: an answer that comes later must not change the next delivery's. */
static void a_late_answer_is_nobodys(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	const struct lb_delivery other = {.name = "other", .length = LB_UNKNOWN, .source = "/other"};
	struct lb_receipt receipt;
	struct told told;

	fake->silent_at = LB_EVENT_COMMIT;
	told = deliver(fake, client, "text");
	check(fake, &told, LB_VERDICT_IN_DOUBT, LB_REASON_NO_ANSWER);
	fake->silent_at = LB_EVENT_NONE;
	receipt = fake_receipt(fake, &told.receipt.id, "name", "text");
	assert_int_equal(lb_conn_committed(fake->server, fake->last[LB_EVENT_COMMIT].handle, &receipt), 0);
	fake->refuse_commit = LB_REASON_DISK_FULL;
	assert_int_equal(lb_client_begin(client, &other, fake_in(fake, 10)), 0);
	expect(fake, client, fake_commit(fake, client), LB_VERDICT_NOT_COMMITTED, LB_REASON_DISK_FULL);
}

static void a_verdict_that_was_given_out_stays(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct lb_receipt receipt;
	struct told told;

	fake->silent_at = LB_EVENT_COMMIT;
	told = deliver(fake, client, "text");
	receipt = fake_receipt(fake, &told.receipt.id, "name", "text");
	assert_int_equal(lb_conn_committed(fake->server, fake->last[LB_EVENT_COMMIT].handle, &receipt), 0);
	told = fake_close(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(told.outcome.confirmed, 0);
}

static void an_end_that_the_journal_cannot_take_does_not_change_the_verdict(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct told told;

	assert_int_equal(try_begin(fake, client), 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	told = fake_commit(fake, client);
	fake->machine.fail_append = -ENOSPC;
	fake_close(fake, client);
	fake->machine.fail_append = 0;
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_true(fake_is_open(fake, &told.receipt.id)); /* asked again, the ledger says so again */
}

/* The next process will find it open, and may send it: nobody can say that it never commits. */
static void a_rollback_that_cannot_be_written_down_is_only_not_committed(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct told told;

	assert_int_equal(try_begin(fake, client), 0);
	fake->machine.fail_append = -ENOSPC;
	told = fake_rollback(fake, client, LB_REASON_INTERRUPTED);
	fake->machine.fail_append = 0;
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_JOURNAL);
	assert_int_equal(told.outcome.err, ENOSPC);
	assert_true(fake_is_open(fake, &told.receipt.id));
	fake_close(fake, client);
}

/* The name may be free when the next process finds it open. */
static void a_refusal_that_cannot_be_written_down_is_only_not_committed(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = client_with(fake, false);
	struct told told;

	fake->refuse_commit = LB_REASON_NAME_EXISTS;
	assert_int_equal(try_begin(fake, client), 0);
	fake->machine.fail_append = -ENOSPC;
	told = fake_commit(fake, client);
	fake->machine.fail_append = 0;
	fake->refuse_commit = LB_REASON_NONE;
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_JOURNAL);
	assert_true(fake_is_open(fake, &told.receipt.id));
	fake_close(fake, client);
}

static void a_fence_that_cannot_be_written_down_is_one(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake->machine.fail_append = -ENOSPC;
	told = fake_resolve(fake, client, &id);
	fake->machine.fail_append = 0;
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(told.outcome.reason, LB_REASON_FENCED);
	fake_close(fake, client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refusal_of_the_only_attempt_is_its_verdict),
		TEST(fenced_is_definite_for_every_attempt),
		TEST(forgotten_is_definite_for_every_attempt),
		TEST(another_ledger_settles_nothing),
		TEST(after_a_refusal_resolve_tells_of_earlier_attempts),
		TEST(an_earlier_attempt_that_committed_the_same_is_a_commit),
		TEST(an_earlier_attempt_that_committed_something_else_is_no_commit),
		TEST(different_comes_with_the_receipt_of_what_is_there),
		TEST(different_is_definite_though_no_receipt_came),
		TEST(a_refusal_and_no_answer_to_resolve_is_doubt),
		TEST(what_is_committed_already_is_compared_and_not_sent),
		TEST(what_was_committed_differently_is_refused),
		TEST(a_comparison_needs_no_connection),
		TEST(no_answer_to_commit_is_doubt),
		TEST(a_connection_that_breaks_after_commit_leaves_doubt),
		TEST(an_error_of_the_servers_storage_leaves_doubt),
		TEST(one_byte_of_commit_is_enough_for_doubt),
		TEST(a_commit_that_was_called_off_never_goes_out),
		TEST(a_connection_that_breaks_before_commit_committed_nothing),
		TEST(a_given_id_may_have_been_committed_elsewhere),
		TEST(on_a_broken_connection_nothing_is_begun),
		TEST(a_receipt_for_something_else_is_not_believed),
		TEST(what_is_given_up_and_was_committed_otherwise_is_different),
		TEST(an_id_that_the_journal_does_not_know_is_taken_up_where_it_was_left),
		TEST(an_attempt_that_no_count_overtakes_is_refused),
		TEST(the_servers_own_words_are_passed_on_and_steer_no_terminal),
		TEST(a_receipt_for_something_else_is_not_believed_if_the_machine_lets_it_pass),
		TEST(the_answer_that_came_before_the_end_counts),
		TEST(a_rollback_is_its_reasons_verdict),
		TEST(a_rollback_claims_no_more_than_a_rollback),
		TEST(a_rollback_is_certain_without_an_answer),
		TEST(before_begin_has_its_answer_it_can_be_rolled_back),
		TEST(giving_up_a_later_attempt_settles_the_earlier_ones),
		TEST(giving_up_a_later_attempt_may_find_it_committed),
		TEST(what_could_not_all_be_written_is_not_committed_because_something_was),
		TEST(giving_up_a_later_attempt_without_an_answer_is_doubt),
		TEST(giving_up_what_is_committed_already_finds_it_so),
		TEST(a_question_has_the_ledgers_answer),
		TEST(each_answer_for_good_ends_the_journals_entry),
		TEST(a_late_answer_is_nobodys),
		TEST(a_verdict_that_was_given_out_stays),
		TEST(a_rollback_that_cannot_be_written_down_is_only_not_committed),
		TEST(a_refusal_that_cannot_be_written_down_is_only_not_committed),
		TEST(a_fence_that_cannot_be_written_down_is_one),
		TEST(an_end_that_the_journal_cannot_take_does_not_change_the_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
