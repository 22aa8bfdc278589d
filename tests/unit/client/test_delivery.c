/* SPDX-License-Identifier: MIT */
#include "fake.h"
#include "base/test.h"

static struct lb_delivery a_file = {.name = "name", .length = LB_UNKNOWN, .source = "/source"};

static void a_delivery_is_begun_written_and_committed(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	assert_int_equal(fake_write(fake, client, "some "), 0);
	assert_int_equal(fake_write(fake, client, ""), 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	told = fake_commit(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_NONE);
	assert_int_equal(told.outcome.rung, LB_RUNG_COMMITTED);
	assert_int_equal(told.outcome.how, LB_END_OPEN);
	assert_int_equal(told.outcome.confirmed, 9);
	assert_int_equal(told.outcome.accepted, fake->sent);
	assert_int_equal(told.receipt.length, 9);
	assert_string_equal(told.receipt.name, "name");
	assert_memory_equal(&told.receipt.ledger, &fake->ledger, sizeof fake->ledger);
	assert_memory_equal(&told.receipt.id, lb_client_id(client), sizeof told.receipt.id);
	assert_int_equal(told.receipt.id.number, 1);
	assert_true(fake_is_held(fake, &told.receipt.id));
	fake_close(fake, client);
	assert_false(fake_is_open(fake, &told.receipt.id));
	assert_string_equal(fake->order, "HSBDCX");
}

static void check_journal_at_begin(struct fake *fake, const struct lb_event *event)
{
	struct lb_journal *journal;
	struct lb_journal_entry entry;
	char why[256];

	if (event->type != LB_EVENT_BEGIN)
		return;
	assert_int_equal(lb_journal_open(&fake->machine.host, fake->dir, &journal, why), 0);
	assert_int_equal(lb_journal_find(journal, &event->id, &entry), -EBUSY); /* it is open, and claimed */
	lb_journal_close(journal);
}

static void the_id_is_in_the_journal_before_the_first_byte(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	fake->on = check_journal_at_begin;
	fake_begin(fake, client);
	assert_int_equal(fake->seen[LB_EVENT_BEGIN], 1);
	fake_close(fake, client);
}

static void begin_says_what_the_journal_has(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_delivery delivery = a_file;

	delivery.length = 7;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), 0);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].length, 7);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 1);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].id.number, 1);
	assert_memory_equal(&fake->last[LB_EVENT_BEGIN].ledger, &fake->ledger, sizeof fake->ledger);
	assert_string_equal(fake->last[LB_EVENT_BEGIN].name, "name");
	fake_close(fake, client);
}

static void without_a_journal_nothing_is_begun(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), -ECONNABORTED);
	assert_int_equal(fake_write(fake, client, "text"), -ECONNABORTED);
	fake->machine.fail_append = 0;
	told = fake_commit(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_JOURNAL);
	assert_int_equal(told.outcome.err, ENOSPC);
	assert_string_equal(fake->order, "H");
	fake_begin(fake, client);
	assert_int_equal(lb_client_id(client)->number, 1);
	fake_close(fake, client);
}

static void an_open_delivery_whose_attempt_cannot_be_written_down_is_in_doubt(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake->machine.fail_append = -ENOSPC;
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), -ECONNABORTED);
	fake->machine.fail_append = 0;
	told = fake_commit(fake, client);
	assert_int_equal(told.r, -EINPROGRESS);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(told.outcome.reason, LB_REASON_JOURNAL);
	assert_true(fake_is_open(fake, &id));
	assert_string_equal(fake->order, "H");
	fake_close(fake, client);
}

static void where_the_journal_cannot_be_asked_what_a_source_has_open_is_in_doubt(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake->machine.fail_lock = -EIO;
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), -ECONNABORTED);
	fake->machine.fail_lock = 0;
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(told.outcome.reason, LB_REASON_JOURNAL);
	assert_true(fake_is_open(fake, &id));
	fake_close(fake, client);
}

static void settled_names_the_lowest_open_number_when_it_has_changed(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	for (int i = 1; i <= 3; i++) {
		fake_begin(fake, client);
		assert_int_equal(fake->last[LB_EVENT_SETTLED].id.number, i);
		assert_int_equal(fake_commit(fake, client).r, 0);
	}
	assert_int_equal(fake->seen[LB_EVENT_SETTLED], 3);
	fake_leave_open(fake, "other", "/other");
	for (int i = 5; i <= 7; i++) {
		fake_begin(fake, client);
		assert_int_equal(lb_client_id(client)->number, i);
		assert_int_equal(fake->last[LB_EVENT_SETTLED].id.number, 4);
		assert_int_equal(fake_commit(fake, client).r, 0);
	}
	assert_int_equal(fake->seen[LB_EVENT_SETTLED], 4);
	fake_close(fake, client);
}

static void a_question_too_names_the_lowest_open_number_before(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_id first = fake_leave_open(fake, "one", "/one"),
		     second = fake_leave_open(fake, "two", "/two"),
		     third = fake_leave_open(fake, "three", "/three");

	fake_resolve(fake, client, &first);
	assert_int_equal(fake->last[LB_EVENT_SETTLED].id.number, 1);
	fake_resolve(fake, client, &third); /* the second one is still open */
	assert_int_equal(fake->last[LB_EVENT_SETTLED].id.number, 2);
	fake_resolve(fake, client, &second);
	fake_resolve(fake, client, &first); /* what is asked about again is not settled before */
	assert_int_equal(fake->seen[LB_EVENT_SETTLED], 2);
	fake_close(fake, client);
}

static void an_open_delivery_of_the_same_source_is_taken_up_again(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);

	fake_begin(fake, client);
	assert_memory_equal(&fake->last[LB_EVENT_BEGIN].id, &id, sizeof id);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	fake_begin(fake, client);
	assert_int_equal(lb_client_id(client)->number, id.number + 1);
	fake_close(fake, client);
}

static void each_attempt_is_counted_in_the_journal(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;

	fake_leave_open(fake, "name", "/source");
	for (uint32_t attempt = 2; attempt <= 4; attempt++) {
		client = fake_client(fake);
		fake_begin(fake, client);
		assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, attempt);
		fake->broken = FAKE_RST;
		assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_IN_DOUBT);
		fake_close(fake, client);
		fake_restart(fake);
	}
}

static int take_address(void *address, const struct lb_open_delivery *open)
{
	strcpy(address, open->address);
	return 0;
}

static void at_another_address_of_its_ledger_it_is_taken_up_and_open_there_from_then_on(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir};
	struct lb_id id = fake_leave_open_at(fake, "elsewhere:7117", "name", "/source");
	struct lb_client *client = fake_client(fake);
	char address[LB_ADDRESS_TEXT];

	fake_begin(fake, client);
	assert_memory_equal(&fake->last[LB_EVENT_BEGIN].id, &id, sizeof id);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
	fake->broken = FAKE_RST;
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_IN_DOUBT);
	fake_close(fake, client);
	assert_int_equal(lb_client_each_open(&options, NULL, take_address, address), 0);
	assert_string_equal(address, "host:7117");
}

static void at_another_address_and_ledger_it_is_another_delivery(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open_at(fake, "elsewhere:7117", "name", "/source");
	struct lb_client *client;

	fake->ledger.bytes[0]++;
	client = fake_client(fake);
	fake_begin(fake, client);
	assert_int_equal(lb_client_id(client)->number, id.number + 1);
	fake_close(fake, client);
}

static void without_a_source_it_is_another_delivery(void **state)
{
	struct fake *fake = *state;
	struct lb_delivery delivery = a_file;
	struct lb_client *client;

	fake_leave_open(fake, "name", "/source");
	fake_leave_open(fake, "name", "");
	client = fake_client(fake);
	delivery.source = NULL;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), 0);
	assert_int_equal(lb_client_id(client)->number, 3);
	fake_close(fake, client);
}

static void an_address_with_and_without_the_default_port_is_one(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir};
	static const char *const addresses[] = {"host", "host:7117"};
	struct lb_outcome outcome;
	struct lb_client *client;

	fake_leave_open(fake, "name", "/source");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lb_client_open_on(&fake->machine.host, addresses[i], &options, LB_NEVER,
					 &client, &outcome),
			0);
		fake_begin(fake, client);
		assert_int_equal(lb_client_id(client)->number, 1);
		lb_client_abort(client, &outcome);
		fake_restart(fake);
	}
}

static void another_ledger_is_told_nothing_of_an_open_delivery(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_uuid expected = fake->ledger;
	struct lb_client *client;
	struct told told;
	uint64_t sent;

	fake->ledger.bytes[0] = 0x22;
	client = fake_client(fake);
	sent = fake->sent;
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_int_equal(told.r, -EINPROGRESS);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(told.outcome.reason, LB_REASON_ANOTHER_LEDGER);
	assert_memory_equal(&told.receipt.ledger, &expected, sizeof expected);
	told = fake_resolve(fake, client, &id);
	assert_int_equal(told.r, -EINPROGRESS);
	assert_int_equal(told.outcome.reason, LB_REASON_ANOTHER_LEDGER);
	assert_int_equal(fake->sent, sent); /* the server's machine would refuse it, too, and tell nobody */
	assert_true(fake_is_open(fake, &id));
	fake_close(fake, client);
}

static void a_given_id_is_the_open_delivery_of_that_id(void **state)
{
	struct fake *fake = *state;
	struct lb_delivery delivery = a_file;
	struct lb_client *client;

	fake_leave_open(fake, "first", "/first");
	delivery.id = fake_leave_open(fake, "name", "/other");
	client = fake_client(fake);
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), 0);
	assert_memory_equal(&fake->last[LB_EVENT_BEGIN].id, &delivery.id, sizeof delivery.id);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
	fake_close(fake, client);
}

static void another_clients_id_is_written_down_and_settles_nothing(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_delivery delivery = a_file;
	struct told told;

	memset(delivery.id.client, 0xEE, 16);
	delivery.id.number = 12;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), 0);
	assert_string_equal(fake->order, "HB");
	fake->silent_at = LB_EVENT_COMMIT;
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_true(fake_is_open(fake, &delivery.id));
	fake->silent_at = LB_EVENT_NONE;
	assert_int_equal(fake_resolve(fake, client, &delivery.id).outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_false(fake_is_open(fake, &delivery.id));
	fake_close(fake, client);
}

static void what_cannot_be_a_delivery_changes_nothing(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_delivery bad[] = {a_file, a_file, a_file, a_file, a_file};
	char source[LB_SOURCE_MAX + 1];

	memset(source, 'x', LB_SOURCE_MAX);
	source[LB_SOURCE_MAX] = '\0';
	bad[0].name = "a/b";
	bad[1].source = source;
	bad[2].length = LB_UNKNOWN - 1;
	bad[3].id.client[0] = 1;
	bad[4].id.number = UINT64_MAX;
	for (int i = 0; i < 5; i++)
		assert_int_equal(lb_client_begin(client, &bad[i], fake_in(fake, 1)), -EINVAL);
	assert_int_equal(fake_write(fake, client, "text"), -EINVAL);
	assert_int_equal(fake_commit(fake, client).r, -EINVAL);
	assert_int_equal(fake_rollback(fake, client, LB_REASON_ROLLED_BACK).r, -EINVAL);
	fake_begin(fake, client);
	assert_int_equal(lb_client_id(client)->number, 1);
	fake_close(fake, client);
}

static void there_is_one_delivery_at_a_time(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_id id;

	fake_begin(fake, client);
	id = *lb_client_id(client);
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), -EBUSY);
	assert_int_equal(fake_resolve(fake, client, &id).r, -EBUSY);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, client);
}

static void a_delivery_that_another_process_works_on_is_busy(void **state)
{
	struct fake *fake = *state;
	struct lb_delivery delivery = a_file;
	struct lb_journal_entry entry;
	struct lb_journal *journal;
	struct lb_client *client;
	char why[256];

	delivery.id = fake_leave_open(fake, "name", "/source");
	client = fake_client(fake);
	assert_int_equal(lb_journal_open(&fake->machine.host, fake->dir, &journal, why), 0);
	assert_int_equal(lb_journal_find(journal, &delivery.id, &entry), 1);
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), -EBUSY);
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), -EBUSY);
	assert_int_equal(fake_resolve(fake, client, &delivery.id).r, -EBUSY);
	assert_string_equal(fake->order, "H");
	lb_journal_close(journal);
	assert_int_equal(fake_resolve(fake, client, &delivery.id).r, 0);
	fake_close(fake, client);
}

#define LARGE (3 * 1000 * 1000)

static void much_data_arrives_as_it_was_written(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	uint8_t *data = malloc(LARGE);
	struct told told;

	assert_non_null(data);
	for (size_t i = 0; i < LARGE; i++)
		data[i] = (uint8_t)(i * 7 ^ i >> 8);
	fake_begin(fake, client);
	fake->room = 1000;
	fake->drained = 70001;
	assert_int_equal(lb_client_write(client, data, LARGE, LB_NEVER), 0);
	free(data);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(told.receipt.length, LARGE);
	fake_close(fake, client);
}

/* The frame's header has said how long it is: the rest must follow before anything else can be said. */
static void the_buffer_of_a_write_that_was_cut_short_is_not_read_again(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	char *data = malloc(100000);
	struct lb_digest digest, received;
	struct lb_hasher hasher;
	struct told told;

	assert_non_null(data);
	memset(data, 'd', 100000);
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, data, 100000);
	lb_hasher_digest(&hasher, &digest);
	fake_begin(fake, client);
	fake->room = 5000;
	assert_int_equal(lb_client_write(client, data, 100000, fake_in(fake, 5)), -ETIMEDOUT);
	free(data);
	assert_int_equal(fake_write(fake, client, "more"), -ECONNABORTED);
	fake->drained = 777;
	told = fake_rollback(fake, client, LB_REASON_DEADLINE);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(fake->length, 100000);
	lb_hasher_digest(&fake->hasher, &received);
	assert_memory_equal(&received, &digest, sizeof digest);
	fake->room = SIZE_MAX;
	fake_begin(fake, client);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, client);
	assert_string_equal(fake->order, "HSBDRSBDCX");
}

static void a_write_that_was_cut_short_cannot_be_committed(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	fake->room = 0;
	assert_int_equal(fake_write(fake, client, "text"), -ETIMEDOUT);
	fake->room = SIZE_MAX;
	told = fake_commit(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(fake->seen[LB_EVENT_COMMIT], 0);
	fake_close(fake, client);
}

static void more_than_was_announced_is_not_sent(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_delivery delivery = a_file;
	struct told told;

	delivery.length = 6;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_write(fake, client, "text"), -EMSGSIZE);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_SOURCE_CHANGED);
	assert_string_equal(fake->order, "HSBDR");
	fake_close(fake, client);
}

static void a_question_names_the_ledger_that_the_journal_has(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source"), unknown = {.client = {9}, .number = 9};
	struct lb_client *client = fake_client(fake);
	const struct lb_uuid any = {.bytes = {0}};
	struct told told;

	told = fake_resolve(fake, client, &unknown);
	assert_int_equal(told.r, 0);
	assert_memory_equal(&fake->last[LB_EVENT_RESOLVE].ledger, &any, sizeof any);
	assert_memory_equal(&told.receipt.ledger, &fake->ledger, sizeof fake->ledger);
	told = fake_resolve(fake, client, &id);
	assert_int_equal(told.r, 0);
	assert_memory_equal(&fake->last[LB_EVENT_RESOLVE].ledger, &fake->ledger, sizeof fake->ledger);
	assert_string_equal(told.receipt.name, "name");
	id.number = 0;
	assert_int_equal(fake_resolve(fake, client, &id).r, -EINVAL);
	fake_close(fake, client);
}

/* The planted bugs, which the simulator has to find: here only that they are what they say. */
static void the_planted_bugs_do_what_they_say(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct lb_client *client = fake_client(fake);

	lb_test_bug = "new_number_on_retry";
	fake_begin(fake, client);
	assert_int_equal(lb_client_id(client)->number, id.number + 1);
	lb_test_bug = NULL;
	fake_close(fake, client);
	fake_restart(fake);
	fake->ledger.bytes[0] = 0x33;
	client = fake_client(fake);
	lb_test_bug = "ignore_ledger";
	assert_int_equal(lb_client_begin(client, &a_file, fake_in(fake, 1)), 0);
	assert_int_equal(lb_client_id(client)->number, id.number);
	lb_test_bug = NULL;
	fake_close(fake, client);
}

static void an_attempt_that_was_to_begin_anew_is_rolled_back_when_it_is_given_up(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN};

	fake->silent_at = LB_EVENT_BEGIN;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 1)), -ETIMEDOUT);
	lb_delivery_begin_anew(client); /* and its ROLLBACK was not said yet */
	fake_begin_ok(fake);
	assert_int_equal(
		fake_rollback(fake, client, LB_REASON_ROLLED_BACK).outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(fake->seen[LB_EVENT_ROLLBACK], 1);
	fake_close(fake, client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_delivery_is_begun_written_and_committed),
		TEST(the_id_is_in_the_journal_before_the_first_byte),
		TEST(begin_says_what_the_journal_has),
		TEST(without_a_journal_nothing_is_begun),
		TEST(an_open_delivery_whose_attempt_cannot_be_written_down_is_in_doubt),
		TEST(where_the_journal_cannot_be_asked_what_a_source_has_open_is_in_doubt),
		TEST(settled_names_the_lowest_open_number_when_it_has_changed),
		TEST(a_question_too_names_the_lowest_open_number_before),
		TEST(an_open_delivery_of_the_same_source_is_taken_up_again),
		TEST(each_attempt_is_counted_in_the_journal),
		TEST(at_another_address_of_its_ledger_it_is_taken_up_and_open_there_from_then_on),
		TEST(at_another_address_and_ledger_it_is_another_delivery),
		TEST(without_a_source_it_is_another_delivery),
		TEST(an_address_with_and_without_the_default_port_is_one),
		TEST(another_ledger_is_told_nothing_of_an_open_delivery),
		TEST(a_given_id_is_the_open_delivery_of_that_id),
		TEST(another_clients_id_is_written_down_and_settles_nothing),
		TEST(what_cannot_be_a_delivery_changes_nothing),
		TEST(there_is_one_delivery_at_a_time),
		TEST(a_delivery_that_another_process_works_on_is_busy),
		TEST(much_data_arrives_as_it_was_written),
		TEST(the_buffer_of_a_write_that_was_cut_short_is_not_read_again),
		TEST(a_write_that_was_cut_short_cannot_be_committed),
		TEST(more_than_was_announced_is_not_sent),
		TEST(a_question_names_the_ledger_that_the_journal_has),
		TEST(the_planted_bugs_do_what_they_say),
		TEST(an_attempt_that_was_to_begin_anew_is_rolled_back_when_it_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
