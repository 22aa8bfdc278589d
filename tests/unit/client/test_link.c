/* SPDX-License-Identifier: MIT */
#include "fake.h"
#include <sys/epoll.h>

static void both_ends_agree_and_the_socket_is_ended_in_order(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct told told;

	fake_begin(fake, client);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	assert_int_equal(fake_commit(fake, client).r, 0);
	told = fake_close(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.how, LB_END_CLOSE_OK);
	assert_int_equal(told.outcome.by, LB_PARTY_SELF);
	assert_int_equal(told.outcome.phase, LB_PHASE_DONE);
	assert_int_equal(told.outcome.rung, LB_RUNG_COMMITTED);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(told.outcome.accepted, fake->sent);
	assert_int_equal(told.outcome.acked, fake->sent);
	assert_int_equal(told.outcome.lost, 0);
	assert_int_equal(told.outcome.confirmed, 4);
	assert_int_equal(fake->ended, 1);
	assert_int_equal(fake->aborted, 0);
	assert_string_equal(fake->order, "HSBDCX");
}

static void closing_rolls_an_open_delivery_back(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_id id;
	struct told told;

	fake_begin(fake, client);
	id = *lb_client_id(client);
	assert_int_equal(fake_write(fake, client, "text"), 0);
	told = fake_close(fake, client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.how, LB_END_CLOSE_OK);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(told.outcome.rung, LB_RUNG_ENDED);
	assert_string_equal(fake->order, "HSBDRX");
	assert_false(fake_is_open(fake, &id));
}

static void without_close_ok_nothing_was_agreed(void **state)
{
	static const struct {
		enum fake_cut cut;
		enum lb_end how;
		enum lb_party by;
		int err, r;
		unsigned ended;
	} cases[] = {
		{FAKE_NO_CUT, LB_END_TIMEOUT, LB_PARTY_SELF, ETIMEDOUT, -ETIMEDOUT, 0},
		{FAKE_FIN, LB_END_FIN, LB_PARTY_PEER, 0, -ECONNABORTED, 1},
		{FAKE_RST, LB_END_RST, LB_PARTY_PEER, ECONNRESET, -ECONNABORTED, 0},
	};
	struct fake *fake = *state;

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = fake_client(fake);
		struct told told;

		fake->mute = true;
		fake->cut_at = LB_EVENT_CLOSE;
		fake->cut = cases[i].cut;
		fake->ended = fake->aborted = 0;
		told = fake_close(fake, client);
		assert_int_equal(told.r, cases[i].r);
		assert_int_equal(told.outcome.how, cases[i].how);
		assert_int_equal(told.outcome.by, cases[i].by);
		assert_int_equal(told.outcome.err, cases[i].err);
		assert_int_equal(told.outcome.phase, LB_PHASE_CLOSE_SENT);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_UNPROVEN);
		assert_int_equal(fake->ended, cases[i].ended);
		assert_int_equal(fake->aborted, !cases[i].ended);
		fake->mute = false;
		fake_restart(fake);
	}
}

static void a_connection_that_broke_is_told_as_it_broke(void **state)
{
	static const struct {
		int send_error;
		enum lb_end how;
		enum lb_party by;
	} cases[] = {
		{-EPIPE, LB_END_RST, LB_PARTY_PEER},
		{-ECONNRESET, LB_END_RST, LB_PARTY_PEER},
		{-ETIMEDOUT, LB_END_TIMEOUT, LB_PARTY_NETWORK},
		{-EHOSTUNREACH, LB_END_NET_ERROR, LB_PARTY_NETWORK},
	};
	struct fake *fake = *state;

	for (int i = 0; i < 4; i++) {
		struct lb_client *client = fake_client(fake);
		struct told told;

		fake_begin(fake, client);
		fake->send_error = cases[i].send_error;
		assert_int_equal(fake_write(fake, client, "text"), -ECONNABORTED);
		told = fake_commit(fake, client);
		assert_int_equal(told.outcome.how, cases[i].how);
		assert_int_equal(told.outcome.by, cases[i].by);
		assert_int_equal(told.outcome.phase, LB_PHASE_DATA);
		assert_int_equal(told.outcome.err, -cases[i].send_error);
		told = fake_close(fake, client);
		assert_int_equal(told.r, cases[i].how == LB_END_TIMEOUT ? -ETIMEDOUT : -ECONNABORTED);
		assert_int_equal(told.outcome.how, cases[i].how);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
		fake_restart(fake);
	}
}

static void what_the_server_says_as_its_last_word_is_told(void **state)
{
	static const struct {
		enum lb_failure failure;
		enum lb_end how;
		int err;
	} cases[] = {
		{LB_FAILURE_STOPPED, LB_END_FIN, ESHUTDOWN},
		{LB_FAILURE_IDLE, LB_END_TIMEOUT, ETIMEDOUT},
		{LB_FAILURE_STATE, LB_END_PROTOCOL_ERROR, EPROTO},
	};
	struct fake *fake = *state;

	for (int i = 0; i < 3; i++) {
		struct lb_client *client = fake_client(fake);
		struct told told;

		fake_begin(fake, client);
		lb_conn_fail(fake->server, cases[i].failure, NULL);
		fake->answer_in_flight = true;
		(void)fake_write(fake, client, "text");
		told = fake_commit(fake, client);
		fake->answer_in_flight = false;
		assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(told.outcome.how, cases[i].how);
		assert_int_equal(told.outcome.by, LB_PARTY_PEER);
		assert_int_equal(told.outcome.err, cases[i].err);
		fake_close(fake, client);
		fake_restart(fake);
	}
}

static void a_server_without_a_sign_of_life_is_given_up(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	lb_time started = fake->now;

	fake_begin(fake, client);
	fake->mute = true;
	assert_int_equal(lb_client_commit(client, LB_NEVER, &receipt, &outcome), -EINPROGRESS);
	assert_int_equal(outcome.reason, LB_REASON_NO_ANSWER);
	assert_int_equal(outcome.how, LB_END_TIMEOUT);
	assert_int_equal(outcome.by, LB_PARTY_SELF);
	assert_in_range(fake->now - started, 60000000000, 61000000000);
	fake_close(fake, client);
	assert_int_equal(fake->aborted, 1);
}

static void a_server_that_is_only_slow_is_waited_for(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_outcome outcome;
	struct lb_receipt receipt;

	fake_begin(fake, client);
	fake->silent_at = LB_EVENT_COMMIT; /* but it answers PING */
	assert_int_equal(lb_client_commit(client, fake_in(fake, 1000), &receipt, &outcome), -EINPROGRESS);
	assert_int_equal(outcome.how, LB_END_OPEN);
	assert_int_equal(outcome.took, 1000000000000);
	lb_client_abort(client, &outcome);
}

static void aborting_resets_and_tells_the_truth_about_the_delivery(void **state)
{
	struct fake *fake = *state;

	for (int earlier = 0; earlier < 2; earlier++) {
		struct lb_client *client;
		struct lb_outcome outcome;
		struct lb_id id;

		if (earlier)
			fake_leave_open(fake, "name", "/source");
		client = fake_client(fake);
		fake_begin(fake, client);
		id = *lb_client_id(client);
		fake->aborted = 0;
		lb_client_abort(client, &outcome);
		assert_int_equal(fake->aborted, 1);
		assert_int_equal(outcome.how, LB_END_LOCAL_ABORT);
		assert_int_equal(outcome.by, LB_PARTY_SELF);
		assert_int_equal(outcome.verdict, earlier ? LB_VERDICT_IN_DOUBT : LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(fake_is_open(fake, &id), earlier);
		fake_restart(fake);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

static void a_flood_is_not_read_beyond_what_can_be_answered(void **state)
{
	static const uint8_t ping[20] = {0x10, [11] = 8};
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	size_t many = sizeof fake->to_client / sizeof ping;
	uint64_t before = fake->sent;
	struct lb_outcome outcome;
	struct lb_needs needs;

	for (size_t i = 0; i < many; i++)
		memcpy(fake->to_client + i * sizeof ping, ping, sizeof ping);
	fake->to_client_len = many * sizeof ping;
	fake->mute = true;
	fake->room = 0;
	assert_true(lb_client_step(client));
	lb_client_needs(client, &needs);
	assert_int_equal(needs.events, EPOLLOUT);
	assert_int_equal(fake->sent, before);
	fake->room = SIZE_MAX;
	while (needs.events != EPOLLIN) {
		assert_true(lb_client_step(client));
		lb_client_needs(client, &needs);
	}
	assert_int_equal(fake->sent - before, many * sizeof ping); /* as many PONGs */
	lb_client_abort(client, &outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_ends_agree_and_the_socket_is_ended_in_order),
		TEST(closing_rolls_an_open_delivery_back),
		TEST(without_close_ok_nothing_was_agreed),
		TEST(a_connection_that_broke_is_told_as_it_broke),
		TEST(what_the_server_says_as_its_last_word_is_told),
		TEST(a_server_without_a_sign_of_life_is_given_up),
		TEST(a_server_that_is_only_slow_is_waited_for),
		TEST(aborting_resets_and_tells_the_truth_about_the_delivery),
		TEST(a_flood_is_not_read_beyond_what_can_be_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
