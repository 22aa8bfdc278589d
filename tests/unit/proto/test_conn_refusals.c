/* SPDX-License-Identifier: MIT */
#include "hand.h"

static const struct lb_conn_options none;

static void what_cannot_begin_is_refused_by_the_machine_which_tells(void **state)
{
	struct pair *pair = hand_greeted((struct lb_conn_options){.max_delivery = 100});
	struct lb_begin begin = pair_begin(1, "name");

	(void)state;
	begin.ledger.bytes[0] ^= 1;
	hand_say_begin(pair, 1, begin);
	hand_refused_with(pair, 1, LB_REASON_ANOTHER_LEDGER);
	assert_int_equal(side_event(&pair->server, LB_EVENT_REFUSED)->reason, LB_REASON_ANOTHER_LEDGER);
	begin = pair_begin(1, "na/me");
	hand_say_begin(pair, 2, begin);
	hand_refused_with(pair, 2, LB_REASON_BAD_NAME);
	assert_string_equal(side_event(&pair->server, LB_EVENT_REFUSED)->name, "");
	begin = pair_begin(1, "name");
	begin.length = 101;
	hand_say_begin(pair, 3, begin);
	hand_refused_with(pair, 3, LB_REASON_TOO_LARGE);
	assert_string_equal(side_event(&pair->server, LB_EVENT_REFUSED)->name, "name");
	side_no_event(&pair->server);
	begin.length = 100;
	hand_say_begin(pair, 4, begin);
	assert_int_equal(side_event(&pair->server, LB_EVENT_BEGIN)->length, 100);
	pair_free(pair);
}

static void the_first_reason_of_several_is_given(void **state)
{
	struct pair *pair = hand_greeted((struct lb_conn_options){.max_delivery = 100});
	struct lb_begin begin = pair_begin(1, "na/me");

	(void)state;
	begin.length = 101;
	hand_say_begin(pair, 1, begin);
	hand_refused_with(pair, 1, LB_REASON_BAD_NAME);
	assert_int_equal(lb_conn_going_away(pair->server.conn), 0);
	side_wrote_frame(&pair->server, LB_FRAME_GOING_AWAY, 0, pair->now);
	hand_say_begin(pair, 2, begin);
	hand_refused_with(pair, 2, LB_REASON_GOING_AWAY);
	begin.ledger.bytes[0] ^= 1;
	hand_say_begin(pair, 3, begin);
	hand_refused_with(pair, 3, LB_REASON_ANOTHER_LEDGER);
	pair_free(pair);
}

static void what_a_client_sent_before_it_saw_the_refusal_is_ignored(void **state)
{
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	assert_int_equal(lb_conn_refused(pair->server.conn, 1, LB_REASON_DISK_FULL, NULL), 0);
	hand_refused_with(pair, 1, LB_REASON_DISK_FULL);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "def", 3, pair->now);
	hand_say_commit(pair, 1, 6);
	side_no_event(&pair->server);
	assert_int_equal(pair->server.data_len, 3);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	/* but it had said COMMIT: nothing more can come of it */
	side_frame(&pair->server, LB_FRAME_DATA, 1, "ghi", 3, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void the_rest_of_a_payload_is_swallowed_after_a_refusal(void **state)
{
	struct pair *pair = hand_open_one(none, LB_UNKNOWN);
	uint8_t frame[LB_HEADER_BYTES + 6];

	(void)state;
	lb_header_put(frame, LB_FRAME_DATA, 1, 6);
	memcpy(frame + LB_HEADER_BYTES, "abcdef", 6);
	side_feed(&pair->server, frame, LB_HEADER_BYTES + 2, 0, pair->now);
	assert_int_equal(pair->server.data_len, 2);
	assert_int_equal(lb_conn_refused(pair->server.conn, 1, LB_REASON_DISK_FULL, NULL), 0);
	hand_refused_with(pair, 1, LB_REASON_DISK_FULL);
	side_feed(&pair->server, frame + LB_HEADER_BYTES + 2, 4, 0, pair->now);
	assert_int_equal(pair->server.data_len, 2);
	hand_say_begin(pair, 2, pair_begin(2, "next"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	pair_free(pair);
}

static void a_commit_with_another_total_is_refused(void **state)
{
	static const uint64_t totals[] = {0, 2, 4, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
		struct pair *pair = hand_open_one(none, LB_UNKNOWN);

		side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
		hand_say_commit(pair, 1, totals[i]);
		hand_doomed_with(pair, 1, LB_REASON_WRONG_LENGTH);
		hand_say_begin(pair, 2, pair_begin(2, "next"));
		side_event(&pair->server, LB_EVENT_BEGIN);
		pair_free(pair);
	}
}

static void fewer_bytes_than_begin_said_are_refused(void **state)
{
	struct pair *pair = hand_open_one(none, 4);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	hand_say_commit(pair, 1, 3);
	hand_doomed_with(pair, 1, LB_REASON_WRONG_LENGTH);
	pair_free(pair);
}

static void more_bytes_than_begin_said_are_refused_and_swallowed(void **state)
{
	struct pair *pair = hand_open_one(none, 4);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "de", 2, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "fg", 2, pair->now);
	hand_say_commit(pair, 1, 7);
	assert_int_equal(pair->server.data_len, 3);
	hand_doomed_with(pair, 1, LB_REASON_WRONG_LENGTH);
	pair_free(pair);
}

static void more_bytes_than_it_takes_are_refused_and_swallowed(void **state)
{
	struct pair *pair = hand_open_one((struct lb_conn_options){.max_delivery = 4}, LB_UNKNOWN);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abcd", 4, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "e", 1, pair->now);
	assert_int_equal(pair->server.data_len, 4);
	hand_doomed_with(pair, 1, LB_REASON_TOO_LARGE);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "f", 1, pair->now);
	side_frame(&pair->server, LB_FRAME_ROLLBACK, 1, NULL, 0, pair->now);
	side_no_event(&pair->server);
	hand_say_begin(pair, 2, pair_begin(2, "next"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	pair_free(pair);
}

static void a_doomed_delivery_may_be_refused_for_another_reason(void **state)
{
	struct pair *pair = hand_open_one(none, 1);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "ab", 2, pair->now);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	assert_int_equal(lb_conn_refused(pair->server.conn, 1, LB_REASON_SUPERSEDED, NULL), 0);
	hand_refused_with(pair, 1, LB_REASON_SUPERSEDED);
	assert_int_equal(lb_conn_rolled_back(pair->server.conn, 1), -EPROTO);
	pair_free(pair);
}

static void a_doomed_delivery_is_not_begun_anew_before_its_answer(void **state)
{
	struct pair *pair = hand_open_one(none, 1);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "ab", 2, pair->now);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	hand_say_begin(pair, 2, pair_begin(2, "next"));
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void what_follows_begin_waits_for_its_answer(void **state)
{
	struct pair *pair = hand_greeted(none);

	(void)state;
	hand_say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	hand_say_commit(pair, 1, 3);
	side_no_event(&pair->server);
	assert_true(pair->server.stash_len > 0);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 1, 0, false), 0);
	side_feed(&pair->server, "", 0, 0, pair->now);
	assert_memory_equal(pair->server.data, "abc", 3);
	side_event(&pair->server, LB_EVENT_COMMIT);
	assert_int_equal(pair->server.stash_len, 0);
	pair_free(pair);
}

static void what_was_held_is_ignored_when_the_answer_is_final(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(1));
	struct pair *pair = hand_greeted(none);

	(void)state;
	hand_say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	hand_say_commit(pair, 1, 3);
	assert_int_equal(lb_conn_committed(pair->server.conn, 1, &receipt), 0);
	side_wrote_frame(&pair->server, LB_FRAME_COMMITTED, 1, pair->now);
	side_feed(&pair->server, "", 0, 0, pair->now);
	side_no_event(&pair->server);
	assert_int_equal(pair->server.stash_len, 0);
	assert_int_equal(pair->server.data_len, 0);
	assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_READY);
	pair_free(pair);
}

static void data_before_begin_ok_is_illegal_with_resume(void **state)
{
	struct pair *pair = hand_greeted((struct lb_conn_options){.features = LB_FEATURE_RESUME});

	(void)state;
	hand_say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void a_rollback_before_begin_ok_waits_for_it(void **state)
{
	struct pair *pair = hand_greeted((struct lb_conn_options){.features = LB_FEATURE_RESUME});

	(void)state;
	hand_say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_ROLLBACK, 1, NULL, 0, pair->now);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 1, 0, true), 0);
	side_feed(&pair->server, "", 0, 0, pair->now);
	assert_int_equal(side_event(&pair->server, LB_EVENT_ROLLBACK)->reason, LB_REASON_NONE);
	pair_free(pair);
}

static void resolve_of_another_ledger_is_refused_and_of_any_is_not(void **state)
{
	struct lb_uuid ledger = pair_ledger;
	struct pair *pair = hand_greeted(none);

	(void)state;
	ledger.bytes[15] ^= 1;
	hand_say_resolve(pair, 1, &ledger);
	hand_refused_with(pair, 1, LB_REASON_ANOTHER_LEDGER);
	side_no_event(&pair->server);
	memset(&ledger, 0, sizeof ledger);
	hand_say_resolve(pair, 2, &ledger);
	assert_int_equal(side_event(&pair->server, LB_EVENT_RESOLVE)->id.number, 1);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_begin_is_refused_by_the_machine_which_tells),
		cmocka_unit_test(the_first_reason_of_several_is_given),
		cmocka_unit_test(what_a_client_sent_before_it_saw_the_refusal_is_ignored),
		cmocka_unit_test(the_rest_of_a_payload_is_swallowed_after_a_refusal),
		cmocka_unit_test(a_commit_with_another_total_is_refused),
		cmocka_unit_test(fewer_bytes_than_begin_said_are_refused),
		cmocka_unit_test(more_bytes_than_begin_said_are_refused_and_swallowed),
		cmocka_unit_test(more_bytes_than_it_takes_are_refused_and_swallowed),
		cmocka_unit_test(a_doomed_delivery_may_be_refused_for_another_reason),
		cmocka_unit_test(a_doomed_delivery_is_not_begun_anew_before_its_answer),
		cmocka_unit_test(what_follows_begin_waits_for_its_answer),
		cmocka_unit_test(what_was_held_is_ignored_when_the_answer_is_final),
		cmocka_unit_test(data_before_begin_ok_is_illegal_with_resume),
		cmocka_unit_test(a_rollback_before_begin_ok_waits_for_it),
		cmocka_unit_test(resolve_of_another_ledger_is_refused_and_of_any_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
