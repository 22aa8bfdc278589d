/* SPDX-License-Identifier: MIT */
#include "fake.h"

static int open_client(
	struct fake *fake, lb_time deadline, struct lb_client **clientp, struct lb_outcome *outcomep)
{
	const struct lb_client_options options = {.state_dir = fake->dir, .interrupt_fd = FAKE_INTERRUPT};

	return lb_client_open_on(&fake->machine.host, "host", &options, deadline, clientp, outcomep);
}

static void the_addresses_are_tried_in_order(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;

	fake->refuse_connects = 2; /* one at once, one later */
	client = fake_client(fake);
	assert_int_equal(fake->connects, 3);
	assert_string_equal(lb_client_peer(client), "0.0.0.0:3");
	assert_int_equal(fake->aborted, 1);
	fake_close(fake, client);
}

static void when_none_answers_the_last_error_is_told(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	for (int last = 3; last <= 4; last++) {
		fake->connects = last - 3; /* which of the two ways it is that the third one fails */
		fake->refuse_connects = 100;
		fake->first_endpoint = last - 3;
		assert_int_equal(open_client(fake, fake_in(fake, 10), &client, &outcome), -EHOSTUNREACH);
		assert_null(client);
		assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(outcome.reason, LB_REASON_NO_CONNECTION);
		assert_int_equal(outcome.how, LB_END_NO_CONNECTION);
		assert_int_equal(outcome.by, LB_PARTY_NETWORK);
		assert_int_equal(outcome.phase, LB_PHASE_CONNECT);
		assert_int_equal(outcome.err, last % 2 ? ENETUNREACH : ECONNREFUSED);
		assert_int_equal(outcome.accepted, 0);
	}
}

static void an_address_that_swallows_everything_takes_its_share_of_the_time(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;
	lb_time started = fake->now;

	fake->black_hole = true;
	assert_int_equal(open_client(fake, fake_in(fake, 9), &client, &outcome), -ETIMEDOUT);
	assert_int_equal(fake->connects, 3);
	assert_int_equal(fake->aborted, 3);
	assert_int_equal(fake->now - started, 9000000000);
	assert_int_equal(outcome.reason, LB_REASON_DEADLINE);
	assert_int_equal(outcome.how, LB_END_NO_CONNECTION);
	assert_int_equal(outcome.err, ETIMEDOUT);
	assert_int_equal(outcome.took, 9000000000);
}

static void a_connect_can_be_interrupted(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct lb_client *client;

	fake->black_hole = true;
	fake->fds_ready[FAKE_INTERRUPT - FAKE_FD] = true;
	assert_int_equal(open_client(fake, LB_NEVER, &client, &outcome), -EINTR);
	assert_null(client);
	assert_int_equal(outcome.reason, LB_REASON_INTERRUPTED);
	assert_int_equal(fake->aborted, 1);
}

static void an_address_with_and_without_the_port_it_stands_for_is_one(void **state)
{
	static const char *const cases[][2] = {{"host", "host:7117"}, {"host:7117", "host:7117"},
		{"host:1", "host:1"}, {"[::1]", "[::1]:7117"}, {"[::1]:9", "[::1]:9"}, {"host:99999", NULL}};
	char address[LB_ADDRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int r = lb_client_normalise(cases[i][0], address);

		assert_int_equal(r, cases[i][1] != NULL ? 0 : -EINVAL);
		if (r == 0)
			assert_string_equal(address, cases[i][1]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_address_with_and_without_the_port_it_stands_for_is_one),
		TEST(the_addresses_are_tried_in_order),
		TEST(when_none_answers_the_last_error_is_told),
		TEST(an_address_that_swallows_everything_takes_its_share_of_the_time),
		TEST(a_connect_can_be_interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
