/* SPDX-License-Identifier: MIT */
#include "pair.h"

static const struct lb_conn_options none;

/* A server whose client has not greeted it; its frames are written by hand. */
static struct pair *alone(struct lb_conn_options options)
{
	struct pair *pair = pair_new(none, options);

	lb_conn_free(pair->client.conn);
	pair->client.conn = NULL;
	return pair;
}

static void say_hello(struct pair *pair, struct lb_hello hello)
{
	uint8_t payload[LB_PAYLOAD_MAX];

	memcpy(hello.client, pair_client_id, 16);
	side_frame(&pair->server, LB_FRAME_HELLO, 0, payload, lb_hello_put(payload, &hello), pair->now);
}

static struct pair *greeted(struct lb_conn_options options)
{
	struct pair *pair = alone(options);

	say_hello(
		pair, (struct lb_hello){.min_version = 1, .max_version = 1, .features = 3, .idle_ms = 60000});
	side_event(&pair->server, LB_EVENT_HELLO);
	side_wrote_frame(&pair->server, LB_FRAME_HELLO_OK, 0, pair->now);
	return pair;
}

static void say_begin(struct pair *pair, uint32_t handle, struct lb_begin begin)
{
	uint8_t payload[LB_PAYLOAD_MAX];

	side_frame(&pair->server, LB_FRAME_BEGIN, handle, payload, lb_begin_put(payload, &begin), pair->now);
}

static void say_commit(struct pair *pair, uint32_t handle, uint64_t length)
{
	struct lb_digest digest = pair_digest(1);
	uint8_t payload[24];

	side_frame(&pair->server, LB_FRAME_COMMIT, handle, payload, lb_commit_put(payload, length, &digest),
		pair->now);
}

static void say_resolve(struct pair *pair, uint32_t handle, const struct lb_uuid *ledger)
{
	struct lb_id id = pair_begin(1, "n").id;
	uint8_t payload[40];

	side_frame(&pair->server, LB_FRAME_RESOLVE, handle, payload, lb_resolve_put(payload, &id, ledger),
		pair->now);
}

/* A delivery with handle 1 is open. */
static struct pair *open_one(struct lb_conn_options options, uint64_t length)
{
	struct pair *pair = greeted(options);
	struct lb_begin begin = pair_begin(1, "name");

	begin.length = length;
	say_begin(pair, 1, begin);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 1, 0, false), 0);
	side_wrote_frame(&pair->server, LB_FRAME_BEGIN_OK, 1, pair->now);
	return pair;
}

static void refused_with(struct pair *pair, uint32_t handle, enum lb_reason reason)
{
	const uint8_t *payload = side_wrote_frame(&pair->server, LB_FRAME_REFUSED, handle, pair->now);

	assert_int_equal(payload[0] << 8 | payload[1], reason);
}

static void doomed_with(struct pair *pair, uint32_t handle, enum lb_reason reason)
{
	const struct lb_event *event = side_event(&pair->server, LB_EVENT_ROLLBACK);

	assert_int_equal(event->handle, handle);
	assert_int_equal(event->reason, reason);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_rolled_back(pair->server.conn, handle), 0);
	refused_with(pair, handle, reason);
}

static void hello_ok_says_what_is_in_force(void **state)
{
	struct lb_conn_options options = {
		.features = LB_FEATURE_RESUME, .idle_timeout = 20 * SECOND, .max_undecided = 3};
	struct pair *pair = alone(options);
	struct lb_hello_ok ok;
	const char *why;

	(void)state;
	say_hello(pair,
		(struct lb_hello){.min_version = 1, .max_version = 9, .features = 0xff, .idle_ms = 30000});
	lb_hello_ok_get(side_wrote_frame(&pair->server, LB_FRAME_HELLO_OK, 0, pair->now), 40, &ok, &why);
	assert_int_equal(ok.version, 1);
	assert_int_equal(ok.features, LB_FEATURE_RESUME);
	assert_int_equal(ok.idle_ms, 20000);
	assert_int_equal(ok.max_undecided, 3);
	assert_true(ok.max_delivery == LB_UNKNOWN);
	pair_free(pair);
}

static void a_version_that_it_does_not_speak_is_refused_with_those_it_does(void **state)
{
	struct pair *pair = alone(none);

	(void)state;
	say_hello(pair, (struct lb_hello){.min_version = 2, .max_version = 4, .idle_ms = 1000});
	assert_non_null(strstr(pair->server.events[0].text, "version 1"));
	side_failed(&pair->server, LB_FAILURE_VERSION, pair->now);
	pair_free(pair);
}

static void a_busy_server_says_so_to_whoever_greets_it(void **state)
{
	struct pair *pair = alone((struct lb_conn_options){.busy = true});

	(void)state;
	say_hello(pair, (struct lb_hello){.min_version = 1, .max_version = 1, .idle_ms = 1000});
	side_failed(&pair->server, LB_FAILURE_BUSY, pair->now);
	pair_free(pair);
}

static void what_cannot_begin_is_refused_without_an_event(void **state)
{
	struct pair *pair = greeted((struct lb_conn_options){.max_delivery = 100});
	struct lb_begin begin = pair_begin(1, "name");

	(void)state;
	begin.ledger.bytes[0] ^= 1;
	say_begin(pair, 1, begin);
	refused_with(pair, 1, LB_REASON_ANOTHER_LEDGER);
	begin = pair_begin(1, "na/me");
	say_begin(pair, 2, begin);
	refused_with(pair, 2, LB_REASON_BAD_NAME);
	begin = pair_begin(1, "name");
	begin.length = 101;
	say_begin(pair, 3, begin);
	refused_with(pair, 3, LB_REASON_TOO_LARGE);
	side_no_event(&pair->server);
	begin.length = 100;
	say_begin(pair, 4, begin);
	assert_int_equal(side_event(&pair->server, LB_EVENT_BEGIN)->length, 100);
	pair_free(pair);
}

static void what_a_client_sent_before_it_saw_the_refusal_is_ignored(void **state)
{
	struct pair *pair = open_one(none, LB_UNKNOWN);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	assert_int_equal(lb_conn_refused(pair->server.conn, 1, LB_REASON_DISK_FULL, NULL), 0);
	refused_with(pair, 1, LB_REASON_DISK_FULL);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "def", 3, pair->now);
	say_commit(pair, 1, 6);
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
	struct pair *pair = open_one(none, LB_UNKNOWN);
	uint8_t frame[LB_HEADER_BYTES + 6];

	(void)state;
	lb_header_put(frame, LB_FRAME_DATA, 1, 6);
	memcpy(frame + LB_HEADER_BYTES, "abcdef", 6);
	side_feed(&pair->server, frame, LB_HEADER_BYTES + 2, 0, pair->now);
	assert_int_equal(pair->server.data_len, 2);
	assert_int_equal(lb_conn_refused(pair->server.conn, 1, LB_REASON_DISK_FULL, NULL), 0);
	refused_with(pair, 1, LB_REASON_DISK_FULL);
	side_feed(&pair->server, frame + LB_HEADER_BYTES + 2, 4, 0, pair->now);
	assert_int_equal(pair->server.data_len, 2);
	say_begin(pair, 2, pair_begin(2, "next"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	pair_free(pair);
}

static void a_commit_with_another_total_is_refused(void **state)
{
	static const uint64_t totals[] = {0, 2, 4, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
		struct pair *pair = open_one(none, LB_UNKNOWN);

		side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
		say_commit(pair, 1, totals[i]);
		doomed_with(pair, 1, LB_REASON_WRONG_LENGTH);
		say_begin(pair, 2, pair_begin(2, "next"));
		side_event(&pair->server, LB_EVENT_BEGIN);
		pair_free(pair);
	}
}

static void fewer_bytes_than_begin_said_are_refused(void **state)
{
	struct pair *pair = open_one(none, 4);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	say_commit(pair, 1, 3);
	doomed_with(pair, 1, LB_REASON_WRONG_LENGTH);
	pair_free(pair);
}

static void more_bytes_than_begin_said_are_refused_and_swallowed(void **state)
{
	struct pair *pair = open_one(none, 4);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "de", 2, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "fg", 2, pair->now);
	say_commit(pair, 1, 7);
	assert_int_equal(pair->server.data_len, 3);
	doomed_with(pair, 1, LB_REASON_WRONG_LENGTH);
	pair_free(pair);
}

static void more_bytes_than_it_takes_are_refused_and_swallowed(void **state)
{
	struct pair *pair = open_one((struct lb_conn_options){.max_delivery = 4}, LB_UNKNOWN);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abcd", 4, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "e", 1, pair->now);
	assert_int_equal(pair->server.data_len, 4);
	doomed_with(pair, 1, LB_REASON_TOO_LARGE);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "f", 1, pair->now);
	side_frame(&pair->server, LB_FRAME_ROLLBACK, 1, NULL, 0, pair->now);
	side_no_event(&pair->server);
	say_begin(pair, 2, pair_begin(2, "next"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	pair_free(pair);
}

static void a_doomed_delivery_may_be_refused_for_another_reason(void **state)
{
	struct pair *pair = open_one(none, 1);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "ab", 2, pair->now);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	assert_int_equal(lb_conn_refused(pair->server.conn, 1, LB_REASON_SUPERSEDED, NULL), 0);
	refused_with(pair, 1, LB_REASON_SUPERSEDED);
	assert_int_equal(lb_conn_rolled_back(pair->server.conn, 1), -EPROTO);
	pair_free(pair);
}

static void a_doomed_delivery_is_not_begun_anew_before_its_answer(void **state)
{
	struct pair *pair = open_one(none, 1);

	(void)state;
	side_frame(&pair->server, LB_FRAME_DATA, 1, "ab", 2, pair->now);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	say_begin(pair, 2, pair_begin(2, "next"));
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void what_follows_begin_waits_for_its_answer(void **state)
{
	struct pair *pair = greeted(none);

	(void)state;
	say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	say_commit(pair, 1, 3);
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
	struct pair *pair = greeted(none);

	(void)state;
	say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	say_commit(pair, 1, 3);
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
	struct pair *pair = greeted((struct lb_conn_options){.features = LB_FEATURE_RESUME});

	(void)state;
	say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void a_rollback_before_begin_ok_waits_for_it(void **state)
{
	struct pair *pair = greeted((struct lb_conn_options){.features = LB_FEATURE_RESUME});

	(void)state;
	say_begin(pair, 1, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	side_frame(&pair->server, LB_FRAME_ROLLBACK, 1, NULL, 0, pair->now);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 1, 0, true), 0);
	side_feed(&pair->server, "", 0, 0, pair->now);
	assert_int_equal(side_event(&pair->server, LB_EVENT_ROLLBACK)->reason, LB_REASON_NONE);
	pair_free(pair);
}

static void handles_ascend_over_begin_and_resolve_together(void **state)
{
	static const uint32_t wrong[] = {0, 6, 7};

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct pair *pair = greeted(none);

		say_resolve(pair, 7, &pair_ledger);
		side_event(&pair->server, LB_EVENT_RESOLVE);
		if (i < 3)
			say_begin(pair, wrong[i], pair_begin(1, "name"));
		else
			say_resolve(pair, wrong[i - 3], &pair_ledger);
		side_failed(&pair->server, LB_FAILURE_HANDLE, pair->now);
		pair_free(pair);
	}
}

static void only_the_delivery_begun_last_can_be_gone_on_with(void **state)
{
	struct pair *pair = open_one(none, LB_UNKNOWN);

	(void)state;
	say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	say_begin(pair, 2, pair_begin(2, "next"));
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, 2, 0, false), 0);
	side_wrote_frame(&pair->server, LB_FRAME_BEGIN_OK, 2, pair->now);
	side_frame(&pair->server, LB_FRAME_DATA, 1, "abc", 3, pair->now);
	side_failed(&pair->server, LB_FAILURE_HANDLE, pair->now);
	pair_free(pair);
}

static void a_committed_delivery_cannot_be_rolled_back(void **state)
{
	struct pair *pair = open_one(none, LB_UNKNOWN);

	(void)state;
	say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	side_frame(&pair->server, LB_FRAME_ROLLBACK, 1, NULL, 0, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void more_questions_than_allowed_are_an_error(void **state)
{
	struct pair *pair = greeted((struct lb_conn_options){.max_undecided = 2});

	(void)state;
	say_resolve(pair, 1, &pair_ledger);
	say_begin(pair, 2, pair_begin(1, "name"));
	side_event(&pair->server, LB_EVENT_RESOLVE);
	side_event(&pair->server, LB_EVENT_BEGIN);
	say_resolve(pair, 3, &pair_ledger);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void resolve_of_another_ledger_is_refused_and_of_any_is_not(void **state)
{
	struct lb_uuid ledger = pair_ledger;
	struct pair *pair = greeted(none);

	(void)state;
	ledger.bytes[15] ^= 1;
	say_resolve(pair, 1, &ledger);
	refused_with(pair, 1, LB_REASON_ANOTHER_LEDGER);
	side_no_event(&pair->server);
	memset(&ledger, 0, sizeof ledger);
	say_resolve(pair, 2, &ledger);
	assert_int_equal(side_event(&pair->server, LB_EVENT_RESOLVE)->id.number, 1);
	pair_free(pair);
}

static void settled_says_whose_numbers_and_from_which_on(void **state)
{
	struct lb_id id = {.number = 9, .client = {1, 2, 3}};
	struct pair *pair = greeted(none);
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
	struct pair *pair = open_one((struct lb_conn_options){.features = LB_FEATURE_RESUME}, LB_UNKNOWN);

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
	struct pair *pair = open_one(none, LB_UNKNOWN);

	(void)state;
	assert_int_equal(lb_conn_going_away(pair->server.conn), 0);
	side_wrote_frame(&pair->server, LB_FRAME_GOING_AWAY, 1, pair->now);
	say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	say_begin(pair, 2, pair_begin(2, "next"));
	refused_with(pair, 2, LB_REASON_GOING_AWAY);
	side_frame(&pair->server, LB_FRAME_DATA, 2, "abc", 3, pair->now);
	say_commit(pair, 2, 3);
	side_no_event(&pair->server);
	say_resolve(pair, 3, &pair_ledger);
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
	struct pair *pair = open_one(none, LB_UNKNOWN);

	(void)state;
	say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	say_resolve(pair, 2, &pair_ledger);
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
		struct pair *pair = open_one(none, LB_UNKNOWN);
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
	struct pair *pair = greeted(none);

	(void)state;
	say_begin(pair, 1, pair_begin(1, "name"));
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
	struct pair *pair = open_one(none, LB_UNKNOWN);

	(void)state;
	say_commit(pair, 1, 0);
	side_event(&pair->server, LB_EVENT_COMMIT);
	side_frame(&pair->server, LB_FRAME_CLOSE, 0, NULL, 0, pair->now);
	side_event(&pair->server, LB_EVENT_CLOSE);
	side_frame(&pair->server, LB_FRAME_PONG, 0, "12345678", 8, pair->now);
	side_failed(&pair->server, LB_FAILURE_STATE, pair->now);
	pair_free(pair);
}

static void after_close_ok_a_server_says_nothing_whatever_comes(void **state)
{
	struct pair *pair = greeted(none);

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
		cmocka_unit_test(what_cannot_begin_is_refused_without_an_event),
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
		cmocka_unit_test(handles_ascend_over_begin_and_resolve_together),
		cmocka_unit_test(only_the_delivery_begun_last_can_be_gone_on_with),
		cmocka_unit_test(a_committed_delivery_cannot_be_rolled_back),
		cmocka_unit_test(more_questions_than_allowed_are_an_error),
		cmocka_unit_test(resolve_of_another_ledger_is_refused_and_of_any_is_not),
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
