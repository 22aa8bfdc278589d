/* SPDX-License-Identifier: MIT */
#include "hand.h"

static const struct lb_conn_options none;

static void hello_ok_says_what_is_in_force(void **state)
{
	struct lb_conn_options options = {
		.features = LB_FEATURE_RESUME, .idle_timeout = 20 * SECOND, .max_undecided = 3};
	struct pair *pair = hand_alone(options);
	struct lb_hello_ok ok;
	const char *why;

	(void)state;
	hand_say_hello(pair,
		(struct lb_hello){.min_version = 1, .max_version = 9, .features = 0xff, .idle_ms = 30000});
	lb_hello_ok_get(side_wrote_frame(&pair->server, LB_FRAME_HELLO_OK, 0, pair->now), 40, &ok, &why);
	assert_int_equal(ok.version, 1);
	assert_int_equal(ok.features, LB_FEATURE_RESUME);
	assert_int_equal(ok.idle_ms, 20000);
	assert_int_equal(ok.max_undecided, 3);
	assert_true(ok.max_delivery == LB_UNKNOWN);
	pair_free(pair);

	pair = hand_alone((struct lb_conn_options){.features = LB_FEATURE_RESUME | LB_FEATURE_REPLY});
	hand_say_hello(
		pair, (struct lb_hello){.min_version = 1, .max_version = 1, .features = 2, .idle_ms = 30000});
	lb_hello_ok_get(side_wrote_frame(&pair->server, LB_FRAME_HELLO_OK, 0, pair->now), 40, &ok, &why);
	assert_int_equal(ok.features, LB_FEATURE_REPLY);
	pair_free(pair);
}

static void a_version_that_it_does_not_speak_is_refused_with_those_it_does(void **state)
{
	struct pair *pair = hand_alone(none);

	(void)state;
	hand_say_hello(pair, (struct lb_hello){.min_version = 2, .max_version = 4, .idle_ms = 1000});
	assert_non_null(strstr(pair->server.events[0].text, "version 1"));
	side_failed(&pair->server, LB_FAILURE_VERSION, pair->now);
	pair_free(pair);
}

static void a_busy_server_says_so_to_whoever_greets_it(void **state)
{
	struct pair *pair = hand_alone((struct lb_conn_options){.busy = true});

	(void)state;
	hand_say_hello(pair, (struct lb_hello){.min_version = 1, .max_version = 1, .idle_ms = 1000});
	side_failed(&pair->server, LB_FAILURE_BUSY, pair->now);
	pair_free(pair);
}

static void handles_ascend_over_begin_and_resolve_together(void **state)
{
	static const uint32_t wrong[] = {0, 6, 7};

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct pair *pair = hand_greeted(none);

		hand_say_resolve(pair, 7, &pair_ledger);
		side_event(&pair->server, LB_EVENT_RESOLVE);
		if (i < 3)
			hand_say_begin(pair, wrong[i], pair_begin(1, "name"));
		else
			hand_say_resolve(pair, wrong[i - 3], &pair_ledger);
		side_failed(&pair->server, LB_FAILURE_HANDLE, pair->now);
		pair_free(pair);
	}
}

static void only_the_delivery_begun_last_can_be_gone_on_with(void **state)
{
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	hand_say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	hand_say_begin(pair, 2, pair_begin(2, "next"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 2, 0, false), 0);
	side_wrote_frame(&pair->server, LB_FRAME_BEGIN_OK, 2, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_failed(&pair->server, LB_FAILURE_HANDLE, pair->now);
	pair_free(pair);
}

static void a_committed_delivery_cannot_be_rolled_back(void **state)
{
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	hand_say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	side_frame(&pair->server, LB_FRAME_ROLLBACK, 1, NULL, 0, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void after_the_answer_to_commit_nothing_more_belongs_to_it(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 0, pair_digest(1));
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	hand_say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	assert_int_equal(lb_conn_committed(pair->server.conn, 1, &receipt), 0);
	side_wrote_frame(&pair->server, LB_FRAME_COMMITTED, 1, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void a_question_waits_until_there_is_room_for_its_answer(void **state)
{
	struct pair *pair = hand_greeted((struct lb_conn_options){.max_undecided = 1});
	uint8_t scrap[4096];

	(void)state;
	for (int i = 0; i < 50; i++)
		side_frame(&pair->server, LB_FRAME_PING, 0, "12345678", 8, pair->now);
	assert_int_equal(pair->server.stash_len, 0);
	hand_say_resolve(pair, 1, &pair_ledger);
	side_no_event(&pair->server);
	assert_true(pair->server.stash_len > 0);
	side_written(&pair->server, scrap, sizeof scrap, pair->now);
	side_feed(&pair->server, "", 0, 0, pair->now);
	side_event(&pair->server, LB_EVENT_RESOLVE);
	pair_free(pair);
}

static void more_questions_than_allowed_are_an_error(void **state)
{
	struct pair *pair = hand_greeted((struct lb_conn_options){.max_undecided = 2});

	(void)state;
	hand_say_resolve(pair, 1, &pair_ledger);
	hand_say_begin(pair, 2, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_RESOLVE);
	side_event(&pair->server, LB_EVENT_BEGIN);
	hand_say_resolve(pair, 3, &pair_ledger);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void settled_says_whose_numbers_and_from_which_on(void **state)
{
	struct lb_id id = {.number = 9, .client = {1, 2, 3}};
	struct pair *pair = hand_greeted(none);
	uint8_t payload[24];

	(void)state;
	side_frame(&pair->server, LB_FRAME_SETTLED, 0, payload, lb_settled_put(payload, &id), pair->now);
	assert_memory_equal(&side_event(&pair->server, LB_EVENT_SETTLED)->id, &id, sizeof id);
	id.number = 0;
	side_frame(&pair->server, LB_FRAME_SETTLED, 0, payload, lb_settled_put(payload, &id), pair->now);
	side_failed(&pair->server, LB_FAILURE_FRAME_CONTENT, pair->now);
	pair_free(pair);
}

static void one_sync_at_a_time(void **state)
{
	struct pair *pair =
		hand_open_one((struct lb_conn_options){.features = LB_FEATURE_RESUME}, LB_UNKNOWN);

	(void)state;
	side_frame(&pair->server, LB_FRAME_SYNC, 1, NULL, 0, pair->now);
	side_event(&pair->server, LB_EVENT_SYNC);
	assert_int_equal(lb_conn_synced(pair->server.conn, 1, 0), 0);
	side_wrote_frame(&pair->server, LB_FRAME_SYNCED, 1, pair->now);
	side_frame(&pair->server, LB_FRAME_SYNC, 1, NULL, 0, pair->now);
	side_event(&pair->server, LB_EVENT_SYNC);
	side_frame(&pair->server, LB_FRAME_SYNC, 1, NULL, 0, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void after_going_away_begin_is_refused_and_resolve_is_not(void **state)
{
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	assert_int_equal(lb_conn_going_away(pair->server.conn), 0);
	side_wrote_frame(&pair->server, LB_FRAME_GOING_AWAY, 1, pair->now);
	hand_say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	hand_say_begin(pair, 2, pair_begin(2, "next"));
	hand_refused_with(pair, 2, LB_REASON_GOING_AWAY);
	assert_int_equal(side_event(&pair->server, LB_EVENT_REFUSED)->reason, LB_REASON_GOING_AWAY);
	side_frame(&pair->server, LB_FRAME_DATA, 2, "abc", 3, pair->now);
	hand_say_commit(pair, 2, 3);
	side_no_event(&pair->server);
	hand_say_resolve(pair, 3, &pair_ledger);
	side_event(&pair->server, LB_EVENT_RESOLVE);
	assert_int_equal(lb_conn_going_away(pair->server.conn), -EPROTO);
	pair_free(pair);
}

static void going_away_before_hello_is_said_after_hello_ok(void **state)
{
	struct pair *pair = pair_new(none, none);

	(void)state;
	assert_int_equal(lb_conn_going_away(pair->server.conn), 0);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_HELLO_OK);
	assert_int_equal(side_event(&pair->client, LB_EVENT_GOING_AWAY)->handle, 0);
	pair_free(pair);
}

static void close_ok_waits_for_every_answer(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 0, pair_digest(1));
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	hand_say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	hand_say_resolve(pair, 2, &pair_ledger);
	side_event(&pair->server, LB_EVENT_RESOLVE);
	side_frame(&pair->server, LB_FRAME_CLOSE, 0, NULL, 0, pair->now);
	side_event(&pair->server, LB_EVENT_CLOSE);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_CLOSING);
	assert_int_equal(lb_conn_committed(pair->server.conn, 1, &receipt), 0);
	side_wrote_frame(&pair->server, LB_FRAME_COMMITTED, 1, pair->now);
	assert_int_equal(
		lb_conn_resolved(pair->server.conn, 2, LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED, NULL), 0);
	assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_CLOSED);
	assert_int_equal(lb_conn_going_away(pair->server.conn), -ECONNABORTED);
	pair_free(pair);
}

static void close_rolls_an_open_delivery_back_first(void **state)
{
	static uint8_t bytes[64];

	(void)state;
	for (size_t piece = 0; piece < 13; piece++) {
		struct pair *pair = hand_open_one(none, LB_UNKNOWN);
		uint8_t frame[LB_HEADER_BYTES];
		size_t len;

		lb_header_put(frame, LB_FRAME_CLOSE, 0, 0);
		side_feed(&pair->server, frame, sizeof frame, piece, pair->now);
		assert_int_equal(side_event(&pair->server, LB_EVENT_ROLLBACK)->handle, 1);
		side_event(&pair->server, LB_EVENT_CLOSE);
		assert_int_equal(lb_conn_rolled_back(pair->server.conn, 1), 0);
		len = side_written(&pair->server, bytes, sizeof bytes, pair->now);
		assert_int_equal(len, 2 * LB_HEADER_BYTES);
		assert_int_equal(bytes[0], LB_FRAME_ROLLED_BACK);
		assert_int_equal(bytes[LB_HEADER_BYTES], LB_FRAME_CLOSE_OK);
		assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_CLOSED);
		pair_free(pair);
	}
}

static void close_waits_for_the_answer_to_begin(void **state)
{
	struct pair *pair = hand_greeted(none);

	(void)state;
	hand_say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_CLOSE, 0, NULL, 0, pair->now);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 1, 0, false), 0);
	side_feed(&pair->server, "", 0, 0, pair->now);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	side_event(&pair->server, LB_EVENT_CLOSE);
	pair_free(pair);
}

static void nothing_may_follow_close(void **state)
{
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	hand_say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	side_frame(&pair->server, LB_FRAME_CLOSE, 0, NULL, 0, pair->now);
	side_event(&pair->server, LB_EVENT_CLOSE);
	side_frame(&pair->server, LB_FRAME_PONG, 0, "12345678", 8, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void after_close_ok_a_server_says_nothing_whatever_comes(void **state)
{
	struct pair *pair = hand_greeted(none);

	(void)state;
	side_frame(&pair->server, LB_FRAME_CLOSE, 0, NULL, 0, pair->now);
	side_event(&pair->server, LB_EVENT_CLOSE);
	side_wrote_frame(&pair->server, LB_FRAME_CLOSE_OK, 0, pair->now);
	side_frame(&pair->server, LB_FRAME_PING, 0, "12345678", 8, pair->now);
	side_feed(&pair->server, "garbage", 7, 0, pair->now);
	lb_conn_fail(pair->server.conn, LB_FAILURE_STOPPED, NULL);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_CLOSED);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_ok_says_what_is_in_force),
		cmocka_unit_test(a_version_that_it_does_not_speak_is_refused_with_those_it_does),
		cmocka_unit_test(a_busy_server_says_so_to_whoever_greets_it),
		cmocka_unit_test(handles_ascend_over_begin_and_resolve_together),
		cmocka_unit_test(only_the_delivery_begun_last_can_be_gone_on_with),
		cmocka_unit_test(a_committed_delivery_cannot_be_rolled_back),
		cmocka_unit_test(after_the_answer_to_commit_nothing_more_belongs_to_it),
		cmocka_unit_test(a_question_waits_until_there_is_room_for_its_answer),
		cmocka_unit_test(more_questions_than_allowed_are_an_error),
		cmocka_unit_test(settled_says_whose_numbers_and_from_which_on),
		cmocka_unit_test(one_sync_at_a_time),
		cmocka_unit_test(after_going_away_begin_is_refused_and_resolve_is_not),
		cmocka_unit_test(going_away_before_hello_is_said_after_hello_ok),
		cmocka_unit_test(close_ok_waits_for_every_answer),
		cmocka_unit_test(close_rolls_an_open_delivery_back_first),
		cmocka_unit_test(close_waits_for_the_answer_to_begin),
		cmocka_unit_test(nothing_may_follow_close),
		cmocka_unit_test(after_close_ok_a_server_says_nothing_whatever_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
