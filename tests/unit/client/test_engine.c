/* SPDX-License-Identifier: MIT */
#include "fake.h"
#include <stdio.h>
#include <sys/epoll.h>

static int open_client(struct fake *fake, const char *address, const char *dir, struct lb_client **clientp,
	struct lb_outcome *outcomep)
{
	const struct lb_client_options options = {.state_dir = dir};

	return lb_client_open_on(
		&fake->machine.host, address, &options, fake_in(fake, 10), clientp, outcomep);
}

static void without_a_journal_nothing_is_connected(void **state)
{
	struct fake *fake = *state;
	char why[256] = "";
	const struct lb_client_options options = {
		.state_dir = scratch_path(&fake->scratch, "a/b"), .why = why};
	struct lb_outcome outcome;
	struct lb_client *client;

	assert_int_equal(
		lb_client_open_on(&fake->machine.host, "host", &options, LB_NEVER, &client, &outcome),
		-ENOENT);
	assert_null(client);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_JOURNAL);
	assert_int_equal(outcome.err, ENOENT);
	assert_non_null(strstr(why, "a/b"));
	assert_int_equal(fake->connects, 0);
}

static void what_is_no_address_is_told_before_anything_is_made(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;
	struct stat st;

	assert_int_equal(open_client(fake, "host:99999", fake->dir, &client, &outcome), -EINVAL);
	assert_null(client);
	assert_int_not_equal(outcome.reason, LB_REASON_JOURNAL);
	assert_int_not_equal(stat(fake->dir, &st), 0);
}

static void a_name_that_nobody_knows_is_no_connection(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	assert_int_equal(open_client(fake, "nowhere", fake->dir, &client, &outcome), -EHOSTUNREACH);
	assert_null(client);
	assert_int_equal(outcome.reason, LB_REASON_NO_CONNECTION);
	assert_int_equal(outcome.how, LB_END_NO_CONNECTION);
}

static void another_protocol_is_not_this_one(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	fake->raw_garbage = true;
	assert_int_equal(open_client(fake, "host", fake->dir, &client, &outcome), -EPROTO);
	assert_null(client);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_PROTOCOL);
	assert_int_equal(outcome.how, LB_END_PROTOCOL_ERROR);
	assert_int_equal(fake->aborted, 1);
}

static void a_server_that_is_full_says_so(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	fake->busy = true;
	assert_int_equal(open_client(fake, "host", fake->dir, &client, &outcome), -EBUSY);
	assert_null(client);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_NO_CONNECTION);
}

static void a_server_that_hangs_up_at_the_greeting_is_a_broken_connection(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	fake->cut_at = LB_EVENT_HELLO;
	fake->cut = FAKE_FIN;
	fake->mute = true;
	assert_int_equal(open_client(fake, "host", fake->dir, &client, &outcome), -ECONNRESET);
	assert_null(client);
	assert_int_equal(outcome.reason, LB_REASON_BROKEN);
	assert_int_equal(outcome.how, LB_END_FIN);
}

static void a_server_that_never_greets_is_given_up_at_the_deadline(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	fake->mute = true;
	assert_int_equal(open_client(fake, "host", fake->dir, &client, &outcome), -ETIMEDOUT);
	assert_int_equal(outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(outcome.how, LB_END_TIMEOUT);
	assert_int_equal(outcome.by, LB_PARTY_SELF);
}

/* What the blocking calls do, without ever waiting. */
static void every_operation_is_a_start_and_steps(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir};
	const struct lb_delivery delivery = {.name = "name", .length = 4};
	struct lb_host *host = &fake->machine.host;
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	struct lb_client *client;
	struct lb_needs needs;

	fake->room = 10;
	assert_int_equal(
		lb_client_start_open_on(host, "host", &options, fake_in(fake, 10), &client, &outcome), 0);
	assert_false(lb_client_step(client));
	lb_client_needs(client, &needs);
	assert_int_equal(needs.fd, FAKE_FD);
	assert_int_equal(needs.events, EPOLLIN | EPOLLOUT);
	assert_int_equal(needs.at, fake_in(fake, 10));
	assert_false(lb_client_step(client));
	fake->room = SIZE_MAX;
	assert_true(lb_client_step(client));
	assert_int_equal(client->result, 0);
	assert_int_equal(lb_client_start_begin(client, &delivery, fake_in(fake, 10)), 0);
	assert_true(lb_client_step(client));
	assert_int_equal(lb_client_start_write(client, "text", 4, fake_in(fake, 10)), 0);
	assert_true(lb_client_step(client));
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(lb_client_start_commit(client, fake_in(fake, 10)), 0);
	assert_false(lb_client_step(client));
	lb_client_needs(client, &needs);
	assert_int_equal(needs.events, EPOLLIN);
	fake->now = fake_in(fake, 10);
	assert_true(lb_client_step(client));
	assert_int_equal(client->result, -EINPROGRESS);
	lb_client_outcome(client, &receipt, &outcome);
	assert_int_equal(outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(lb_client_start_resolve(client, &receipt.id, fake_in(fake, 10)), 0);
	assert_true(lb_client_step(client));
	lb_client_outcome(client, &receipt, &outcome);
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	lb_client_start_close(client, fake_in(fake, 10));
	(void)lb_client_step(client);
	lb_client_free(client);
}

static void the_result_of_a_begin_that_is_refused_leaves_the_verdict_to_commit(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	const struct lb_delivery delivery = {.name = "name", .length = 4};
	struct lb_outcome outcome;

	fake->refuse_begin = LB_REASON_NAME_EXISTS;
	assert_int_equal(lb_client_start_begin(client, &delivery, fake_in(fake, 10)), 0);
	assert_true(lb_client_step(client));
	assert_int_equal(lb_client_result(client, NULL, NULL), -ECONNABORTED);
	assert_int_equal(lb_client_start_write(client, "text", 4, fake_in(fake, 10)), -ECONNABORTED);
	assert_int_equal(lb_client_start_commit(client, fake_in(fake, 10)), 0);
	assert_true(lb_client_step(client));
	assert_int_equal(lb_client_result(client, NULL, &outcome), 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_REFUSED);
	assert_int_equal(outcome.reason, LB_REASON_NAME_EXISTS);
	assert_int_equal(lb_client_start_commit(client, fake_in(fake, 10)), -EINVAL); /* it is gone */
	fake_close(fake, client);
}

static void while_one_operation_runs_no_other_can_be_started(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	const struct lb_delivery delivery = {.name = "name", .length = 4};
	const struct lb_id id = {.number = 5};
	struct lb_outcome outcome;

	fake->silent_at = LB_EVENT_BEGIN;
	assert_int_equal(lb_client_start_begin(client, &delivery, fake_in(fake, 10)), 0);
	assert_false(lb_client_step(client));
	assert_int_equal(lb_client_start_begin(client, &delivery, fake_in(fake, 10)), -EBUSY);
	assert_int_equal(lb_client_start_write(client, "text", 4, fake_in(fake, 10)), -EINVAL);
	assert_int_equal(lb_client_start_commit(client, fake_in(fake, 10)), -EINVAL);
	assert_int_equal(lb_client_start_rollback(client, LB_REASON_ROLLED_BACK, fake_in(fake, 10)), -EINVAL);
	assert_int_equal(lb_client_start_resolve(client, &id, fake_in(fake, 10)), -EBUSY);
	lb_client_abort(client, &outcome);
}

static void a_rollback_hears_no_interrupt(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_outcome outcome;

	fake_begin(fake, client);
	fake->silent_at = LB_EVENT_ROLLBACK;
	assert_int_equal(lb_client_start_rollback(client, LB_REASON_INTERRUPTED, fake_in(fake, 10)), 0);
	lb_client_interrupt(client);
	assert_false(lb_client_step(client));
	lb_client_abort(client, &outcome);
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
}

static void a_call_takes_the_time_that_it_took(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	fake->silent_at = LB_EVENT_COMMIT;
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.took, 10000000000);
	fake_close(fake, client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

static void why_a_name_is_not_known_is_told_to_who_asks(void **state)
{
	struct fake *fake = *state;
	char why[256] = "";
	const struct lb_client_options options = {.state_dir = fake->dir, .why = why};
	struct lb_outcome outcome;
	struct lb_client *client;

	assert_int_equal(lb_client_open_on(&fake->machine.host, "nowhere", &options, fake_in(fake, 10),
				 &client, &outcome),
		-EHOSTUNREACH);
	assert_string_not_equal(why, "");
}

static void without_options_the_journal_lies_where_the_user_keeps_state(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;
	struct stat st;

	assert_int_equal(setenv("XDG_STATE_HOME", scratch_path(&fake->scratch, "home"), 1), 0);
	assert_int_equal(
		lb_client_open_on(&fake->machine.host, "host", NULL, fake_in(fake, 10), &client, &outcome),
		0);
	assert_int_equal(stat(scratch_path(&fake->scratch, "home/lastbyte"), &st), 0);
	fake_close(fake, client);
	assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
	lb_client_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_journal_nothing_is_connected),
		TEST(what_is_no_address_is_told_before_anything_is_made),
		TEST(a_name_that_nobody_knows_is_no_connection),
		TEST(another_protocol_is_not_this_one),
		TEST(a_server_that_is_full_says_so),
		TEST(a_server_that_hangs_up_at_the_greeting_is_a_broken_connection),
		TEST(a_server_that_never_greets_is_given_up_at_the_deadline),
		TEST(every_operation_is_a_start_and_steps),
		TEST(the_result_of_a_begin_that_is_refused_leaves_the_verdict_to_commit),
		TEST(while_one_operation_runs_no_other_can_be_started),
		TEST(a_rollback_hears_no_interrupt),
		TEST(a_call_takes_the_time_that_it_took),
		TEST(why_a_name_is_not_known_is_told_to_who_asks),
		TEST(without_options_the_journal_lies_where_the_user_keeps_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
