/* SPDX-License-Identifier: MIT */
#include "fake.h"

static void interrupt(struct fake *fake, bool on)
{
	fake->fds_ready[FAKE_INTERRUPT - FAKE_FD] = on;
}

static void the_ledger_and_the_peer_are_known(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	assert_memory_equal(lb_client_ledger(client), &fake->ledger, sizeof fake->ledger);
	assert_string_equal(lb_client_peer(client), "0.0.0.0:1");
	fake_close(fake, client);
}

static void an_interrupt_ends_a_begin_that_can_be_rolled_back(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN};
	struct told told;

	fake->silent_at = LB_EVENT_BEGIN;
	interrupt(fake, true);
	assert_int_equal(lb_client_begin(client, &delivery, LB_NEVER), -EINTR);
	told = fake_rollback(fake, client, LB_REASON_INTERRUPTED);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(told.outcome.reason, LB_REASON_INTERRUPTED);
	fake_close(fake, client);
}

static void an_interrupt_ends_a_write_though_it_need_not_wait(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	fake->room = 5;
	interrupt(fake, true);
	assert_int_equal(fake_write(fake, client, "text"), -EINTR);
	interrupt(fake, false);
	fake->room = SIZE_MAX;
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(told.outcome.reason, LB_REASON_INTERRUPTED);
	assert_int_equal(fake->seen[LB_EVENT_COMMIT], 0);
	fake_close(fake, client);
}

static void an_interrupt_before_commit_rolls_back(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	interrupt(fake, true);
	told = fake_commit(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(told.outcome.reason, LB_REASON_INTERRUPTED);
	fake_close(fake, client);
	assert_string_equal(fake->order, "HSBDRX");
}

static void interrupt_at_commit(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_COMMIT)
		interrupt(fake, true);
}

static void an_interrupt_after_commit_leaves_doubt(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	fake->on = interrupt_at_commit;
	fake->silent_at = LB_EVENT_COMMIT;
	told = fake_commit(fake, client);
	assert_int_equal(told.r, -EINPROGRESS);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(told.outcome.reason, LB_REASON_NO_ANSWER);
	assert_true(fake_is_open(fake, &told.receipt.id));
	fake->silent_at = LB_EVENT_NONE;
	assert_int_equal(
		fake_resolve(fake, client, &told.receipt.id).outcome.verdict, LB_VERDICT_ROLLED_BACK);
	fake_close(fake, client);
}

/* They end by their own deadline, so that what was begun can be ended after a signal. */
static void rollback_and_close_are_not_interrupted(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_leave_open(fake, "name", "/source");
	fake_begin(fake, client);
	interrupt(fake, true);
	told = fake_rollback(fake, client, LB_REASON_INTERRUPTED);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 1);
	told = fake_close(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.how, LB_END_CLOSE_OK);
}

static void a_wait_ends_when_there_is_something_to_read(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	fake_begin(fake, client);
	fake->fds_ready[FAKE_INPUT - FAKE_FD] = true;
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, LB_NEVER), 0);
	fake_close(fake, client);
}

static void a_wait_that_ended_without_input_loses_nothing(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	fake_begin(fake, client);
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, fake_in(fake, 1)), -ETIMEDOUT);
	interrupt(fake, true);
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, LB_NEVER), -EINTR);
	interrupt(fake, false);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, client);
}

static void a_long_wait_keeps_the_session(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);

	fake_begin(fake, client);
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, fake_in(fake, 3600)), -ETIMEDOUT);
	assert_int_equal(fake->seen[LB_EVENT_TIMEOUT], 0);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_commit(fake, client).outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, client);
}

static void a_wait_ends_with_the_delivery(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	assert_int_equal(
		lb_conn_refused(fake->server, fake->last[LB_EVENT_BEGIN].handle, LB_REASON_DISK_FULL, NULL),
		0);
	fake->push = true;
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, LB_NEVER), -ECONNABORTED);
	assert_int_equal(fake_write(fake, client, "text"), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.reason, LB_REASON_DISK_FULL);
	fake_begin(fake, client);
	fake->broken = FAKE_RST;
	assert_int_equal(lb_client_wait(client, FAKE_INPUT, LB_NEVER), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.reason, LB_REASON_BROKEN);
	fake_close(fake, client);
}

static void a_verdict_is_given_out_once(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	assert_int_equal(fake_commit(fake, client).r, 0);
	told = fake_commit(fake, client);
	assert_int_equal(told.r, -EINVAL);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_IN_DOUBT);
	fake_close(fake, client);
}

static void what_is_open_can_be_found_without_a_server(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir};
	struct lb_delivery delivery = {.name = "name", .source = "/source"};
	struct lb_id id = fake_leave_open(fake, "name", "/source"), found = {.number = 0};

	assert_int_equal(lb_client_find("host", &options, &delivery, &found), 1);
	assert_memory_equal(&found, &id, sizeof id);
	assert_int_equal(lb_client_find("elsewhere", &options, &delivery, &found), 0);
	assert_int_equal(lb_client_find("host:x", &options, &delivery, &found), -EINVAL);
	delivery = (struct lb_delivery){.name = "any", .id = id};
	assert_int_equal(lb_client_find("elsewhere", &options, &delivery, &found), 1);
	delivery.id.number++;
	assert_int_equal(lb_client_find("host", &options, &delivery, &found), 0);
	assert_true(fake_is_open(fake, &id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_ledger_and_the_peer_are_known),
		TEST(an_interrupt_ends_a_begin_that_can_be_rolled_back),
		TEST(an_interrupt_ends_a_write_though_it_need_not_wait),
		TEST(an_interrupt_before_commit_rolls_back),
		TEST(an_interrupt_after_commit_leaves_doubt),
		TEST(rollback_and_close_are_not_interrupted),
		TEST(a_wait_ends_when_there_is_something_to_read),
		TEST(a_wait_that_ended_without_input_loses_nothing),
		TEST(a_long_wait_keeps_the_session),
		TEST(a_wait_ends_with_the_delivery),
		TEST(a_verdict_is_given_out_once),
		TEST(what_is_open_can_be_found_without_a_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
