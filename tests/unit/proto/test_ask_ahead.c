/* SPDX-License-Identifier: MIT */
/* What a client says before BEGIN_OK has come, without RESUME, and even before HELLO_OK. */
#include "pair.h"

/* Begins `number`, sends a byte of it and asks to commit it, all at once. */
static uint32_t say_whole(struct pair *pair, uint64_t number)
{
	struct lb_begin begin = pair_begin(number, "name");
	struct lb_digest digest = pair_digest(1);
	uint32_t handle;

	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "x", 1), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, 1, &digest), 0);
	return handle;
}

static void without_resume_deliveries_need_not_wait_for_begin_ok(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	struct lb_receipt receipt;
	struct iovec iov[4];

	(void)state;
	for (uint64_t number = 1; number <= 3; number++)
		assert_int_equal(say_whole(pair, number), number);
	assert_int_equal(lb_conn_send(pair->client.conn, iov, 4), 1);
	for (uint32_t handle = 1; handle <= 3; handle++) {
		pair_run(pair);
		assert_int_equal(side_event(&pair->server, LB_EVENT_BEGIN)->handle, handle);
		side_no_event(&pair->server);
		assert_int_equal(pair->server.data_len, handle - 1);
		assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
		pair_run(pair);
		assert_int_equal(side_event(&pair->client, LB_EVENT_BEGIN_OK)->handle, handle);
		assert_int_equal(side_event(&pair->server, LB_EVENT_COMMIT)->handle, handle);
		assert_int_equal(pair->server.data_len, handle);
	}
	for (uint32_t handle = 1; handle <= 3; handle++) {
		receipt = pair_receipt(handle, "name", 1, pair_digest(1));
		assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	}
	pair_run(pair);
	for (uint32_t handle = 1; handle <= 3; handle++)
		assert_int_equal(side_event(&pair->client, LB_EVENT_COMMITTED)->handle, handle);
	pair_free(pair);
}

static void after_an_early_commit_only_the_next_delivery_is_legal(void **state)
{
	struct lb_digest digest = pair_digest(1);
	struct pair *pair = pair_new_greeted(0);
	struct lb_conn *client = pair->client.conn;
	uint32_t handle = say_whole(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_data(client, handle, "x", 1), -EPROTO);
	assert_int_equal(lb_conn_commit(client, handle, 1, &digest), -EPROTO);
	assert_int_equal(lb_conn_rollback(client, handle), -EPROTO);
	assert_int_equal(lb_conn_sync(client, handle), -EPROTO);
	say_whole(pair, 2);
	assert_int_equal(lb_conn_close(client), 0);
	pair_free(pair);
}

static void close_does_not_withdraw_what_was_asked_to_commit_before_begin_ok(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 1, pair_digest(1));
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = say_whole(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_COMMIT);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_BEGIN_OK);
	side_event(&pair->client, LB_EVENT_COMMITTED);
	side_event(&pair->client, LB_EVENT_CLOSE_OK);
	pair_free(pair);
}

static void a_final_answer_to_begin_may_cross_data_and_commit(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = say_whole(pair, 1);

	(void)state;
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_true(lb_conn_commit_sent(pair->client.conn, handle));
	assert_int_equal(lb_conn_refused(pair->server.conn, handle, LB_REASON_NAME_EXISTS, NULL), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_REFUSED)->handle, handle);
	assert_false(lb_conn_commit_sent(pair->client.conn, handle));
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "x", 1), -EPROTO);
	side_no_event(&pair->server);
	assert_int_equal(pair->server.data_len, 0);
	pair_open(pair, 2);
	pair_free(pair);
}

static void say_committed(struct pair *pair, uint32_t handle, struct lb_receipt receipt)
{
	uint8_t payload[LB_PAYLOAD_MAX];

	side_frame(&pair->client, LB_FRAME_COMMITTED, handle, payload, lb_committed_put(payload, &receipt, 0),
		pair->now);
}

static void an_earlier_commit_is_told_as_it_was_even_if_commit_was_said_meanwhile(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = say_whole(pair, 1);
	struct lb_receipt receipt = pair_receipt(1, "name", 2, pair_digest(9));

	(void)state;
	pair_run(pair);
	say_committed(pair, handle, receipt);
	assert_int_equal(side_event(&pair->client, LB_EVENT_COMMITTED)->receipt.length, 2);
	assert_false(lb_conn_commit_sent(pair->client.conn, handle));
	pair_free(pair);
}

static void after_begin_ok_the_receipt_is_for_what_was_said_before_it(void **state)
{
	(void)state;
	for (uint8_t fill = 1; fill < 3; fill++) {
		struct pair *pair = pair_new_greeted(0);
		uint32_t handle = say_whole(pair, 1);
		uint8_t payload[12];

		pair_run(pair);
		side_frame(&pair->client, LB_FRAME_BEGIN_OK, handle, payload,
			lb_begin_ok_put(payload, 0, false), pair->now);
		side_event(&pair->client, LB_EVENT_BEGIN_OK);
		say_committed(pair, handle, pair_receipt(1, "name", 1, pair_digest(fill)));
		if (fill == 1)
			side_event(&pair->client, LB_EVENT_COMMITTED);
		else
			side_failed(&pair->client, LB_FAILURE_FRAME_CONTENT, pair->now);
		pair_free(pair);
	}
}

/* Three deliveries wait, and bytes of them are written before the machine fails. */
static void an_early_commit_is_taken_back_with_all_that_follows_it(void **state)
{
	size_t first = 0, whole;

	(void)state;
	do {
		struct pair *pair = pair_new_greeted(0);
		uint8_t bytes[2048], failed[2048];
		size_t len, frame, n = 0;
		struct iovec iov[4];

		for (uint64_t number = 1; number <= 3; number++)
			say_whole(pair, number);
		assert_int_equal(lb_conn_send(pair->client.conn, iov, 4), 1);
		whole = iov[0].iov_len;
		frame = whole / 3;
		memcpy(bytes, iov[0].iov_base, whole);
		lb_conn_sent(pair->client.conn, first, pair->now);
		lb_conn_fail(pair->client.conn, LB_FAILURE_STOPPED, NULL);
		for (uint32_t handle = 1; handle <= 3; handle++) {
			bool sent = first > handle * frame - LB_HEADER_BYTES - 24;

			assert_int_equal(lb_conn_commit_sent(pair->client.conn, handle), sent);
			n += sent;
		}
		len = side_written(&pair->client, failed, sizeof failed, pair->now);
		/* what was put before the first COMMIT that is taken back, and then ERROR */
		n = (n < 3 ? (n + 1) * frame - LB_HEADER_BYTES - 24 : whole) - first;
		assert_true(len > n);
		assert_memory_equal(failed, bytes + first, n);
		assert_int_equal(failed[n], LB_FRAME_ERROR);
		pair_free(pair);
	} while (++first <= whole);
}

static struct pair *pair_ahead(struct lb_conn_options server)
{
	return pair_new((struct lb_conn_options){.ahead = true, .idle_timeout = 30 * SECOND}, server);
}

static void a_whole_delivery_and_close_may_go_out_behind_hello(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 1, pair_digest(1));
	struct pair *pair = pair_ahead((struct lb_conn_options){0});
	uint32_t handle = say_whole(pair, 1);
	struct iovec iov[4];

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	assert_int_equal(lb_conn_send(pair->client.conn, iov, 4), 1);
	assert_int_equal(lb_conn_state(pair->client.conn), LB_CONN_HELLO);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_HELLO);
	assert_int_equal(side_event(&pair->server, LB_EVENT_BEGIN)->handle, handle);
	side_event(&pair->client, LB_EVENT_HELLO_OK);
	assert_int_equal(lb_conn_state(pair->client.conn), LB_CONN_CLOSING);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_BEGIN_OK);
	side_event(&pair->server, LB_EVENT_COMMIT);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_COMMITTED);
	side_event(&pair->client, LB_EVENT_CLOSE_OK);
	pair_free(pair);
}

static void before_hello_ok_one_delivery_or_question_is_without_an_answer(void **state)
{
	struct pair *pair = pair_ahead((struct lb_conn_options){0});
	struct lb_begin begin = pair_begin(2, "name");
	uint32_t handle;

	(void)state;
	say_whole(pair, 1);
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), -EAGAIN);
	assert_int_equal(lb_conn_resolve(pair->client.conn, &begin.id, &pair_ledger, &handle), -EAGAIN);
	pair_run(pair);
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_free(pair);
}

static void who_offers_a_feature_says_nothing_before_hello_ok(void **state)
{
	struct pair *pair = pair_new((struct lb_conn_options){.ahead = true, .features = LB_FEATURE_REPLY},
		(struct lb_conn_options){0});
	struct lb_begin begin = pair_begin(1, "name");
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), -EPROTO);
	pair_free(pair);
}

static void before_hello_ok_only_it_and_error_are_legal(void **state)
{
	static const unsigned types[] = {LB_FRAME_BEGIN_OK, LB_FRAME_ROLLED_BACK, LB_FRAME_PING,
		LB_FRAME_PONG, LB_FRAME_GOING_AWAY, LB_FRAME_CLOSE_OK};

	(void)state;
	for (size_t i = 0; i < 2 * (sizeof types / sizeof *types); i++) {
		struct pair *pair = pair_ahead((struct lb_conn_options){0});
		unsigned type = types[i / 2];
		uint32_t handle = say_whole(pair, 1);
		uint8_t payload[12] = {0};

		if (i % 2 != 0)
			assert_int_equal(lb_conn_close(pair->client.conn), 0);
		side_frame(&pair->client, type, lb_frame_has_handle(type) ? handle : 0, payload,
			type == LB_FRAME_BEGIN_OK                        ? 12
			: type == LB_FRAME_PING || type == LB_FRAME_PONG ? 8
									 : 0,
			pair->now);
		assert_int_equal(side_event(&pair->client, LB_EVENT_ERROR)->failure, LB_FAILURE_STATE);
		pair_free(pair);
	}
}

static void after_close_nothing_more_is_said_ahead_and_error_neither(void **state)
{
	struct pair *pair = pair_ahead((struct lb_conn_options){0});
	struct lb_begin begin = pair_begin(1, "name");
	uint8_t scrap[1024];
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	assert_int_equal(lb_conn_close(pair->client.conn), -EPROTO);
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), -EPROTO);
	side_written(&pair->client, scrap, sizeof scrap, pair->now);
	side_frame(&pair->client, LB_FRAME_CLOSE_OK, 0, NULL, 0, pair->now);
	side_event(&pair->client, LB_EVENT_ERROR);
	assert_int_equal(lb_conn_send(pair->client.conn, (struct iovec[4]){0}, 4), 0);
	pair_free(pair);
}

static void error_instead_of_hello_ok_leaves_a_commit_that_was_sent_in_doubt(void **state)
{
	struct pair *pair = pair_ahead((struct lb_conn_options){.busy = true});
	uint32_t handle = say_whole(pair, 1);

	(void)state;
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_ERROR);
	side_no_event(&pair->server);
	assert_int_equal(side_event(&pair->client, LB_EVENT_ERROR)->failure, LB_FAILURE_BUSY);
	assert_true(lb_conn_commit_sent(pair->client.conn, handle));
	pair_free(pair);
}

static void another_ledger_refuses_what_was_begun_ahead(void **state)
{
	struct pair *pair = pair_ahead((struct lb_conn_options){0});
	struct lb_begin begin = pair_begin(1, "name");
	uint32_t handle;

	(void)state;
	begin.ledger.bytes[0] ^= 1;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_HELLO);
	assert_int_equal(side_event(&pair->server, LB_EVENT_REFUSED)->reason, LB_REASON_ANOTHER_LEDGER);
	side_no_event(&pair->server);
	side_event(&pair->client, LB_EVENT_HELLO_OK);
	assert_int_equal(side_event(&pair->client, LB_EVENT_REFUSED)->handle, handle);
	pair_free(pair);
}

static void what_is_sent_ahead_does_not_prolong_the_greetings(void **state)
{
	struct pair *pair = pair_ahead((struct lb_conn_options){0});
	lb_time start = pair->now;
	uint8_t scrap[1024];
	struct lb_event event;

	(void)state;
	say_whole(pair, 1);
	side_written(&pair->client, scrap, sizeof scrap, start + 20 * SECOND);
	assert_int_equal(lb_conn_deadline(pair->client.conn), start + 30 * SECOND);
	lb_conn_tick(pair->client.conn, start + 30 * SECOND, &event);
	assert_int_equal(event.type, LB_EVENT_TIMEOUT);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_resume_deliveries_need_not_wait_for_begin_ok),
		cmocka_unit_test(after_an_early_commit_only_the_next_delivery_is_legal),
		cmocka_unit_test(close_does_not_withdraw_what_was_asked_to_commit_before_begin_ok),
		cmocka_unit_test(a_final_answer_to_begin_may_cross_data_and_commit),
		cmocka_unit_test(an_earlier_commit_is_told_as_it_was_even_if_commit_was_said_meanwhile),
		cmocka_unit_test(after_begin_ok_the_receipt_is_for_what_was_said_before_it),
		cmocka_unit_test(an_early_commit_is_taken_back_with_all_that_follows_it),
		cmocka_unit_test(a_whole_delivery_and_close_may_go_out_behind_hello),
		cmocka_unit_test(before_hello_ok_one_delivery_or_question_is_without_an_answer),
		cmocka_unit_test(who_offers_a_feature_says_nothing_before_hello_ok),
		cmocka_unit_test(before_hello_ok_only_it_and_error_are_legal),
		cmocka_unit_test(after_close_nothing_more_is_said_ahead_and_error_neither),
		cmocka_unit_test(error_instead_of_hello_ok_leaves_a_commit_that_was_sent_in_doubt),
		cmocka_unit_test(another_ledger_refuses_what_was_begun_ahead),
		cmocka_unit_test(what_is_sent_ahead_does_not_prolong_the_greetings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
