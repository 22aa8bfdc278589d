/* SPDX-License-Identifier: MIT */
#include "pair.h"

static uint8_t payload[LB_PAYLOAD_MAX];

/* The client has a delivery named "name" of 3 bytes and asks to commit it; the answers are written by hand. */
static struct pair *committing(uint32_t features, uint32_t *handlep)
{
	struct pair *pair = pair_new_greeted(features);

	*handlep = pair_ask_commit(pair, 1, "abc");
	return pair;
}

static void say_committed(struct pair *pair, uint32_t handle, struct lb_receipt receipt)
{
	side_frame(&pair->client, LB_FRAME_COMMITTED, handle, payload, lb_committed_put(payload, &receipt, 0),
		pair->now);
}

static void greet(struct pair *pair, struct lb_hello_ok ok)
{
	side_written(&pair->client, payload, sizeof payload, pair->now);
	ok.ledger = pair_ledger;
	side_frame(&pair->client, LB_FRAME_HELLO_OK, 0, payload, lb_hello_ok_put(payload, &ok), pair->now);
}

static void a_hello_ok_with_what_was_not_offered_is_an_error(void **state)
{
	static const struct {
		struct lb_hello_ok ok;
		enum lb_failure failure;
	} wrong[] = {
		{{.version = 2, .max_undecided = 1, .idle_ms = 1000}, LB_FAILURE_VERSION},
		{{.version = 0, .max_undecided = 1, .idle_ms = 1000}, LB_FAILURE_VERSION},
		{{.version = 1, .features = 2, .max_undecided = 1, .idle_ms = 1000},
			LB_FAILURE_FRAME_CONTENT},
		{{.version = 1, .max_undecided = 1, .idle_ms = 60001}, LB_FAILURE_FRAME_CONTENT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pair *pair = pair_new(
			(struct lb_conn_options){.features = LB_FEATURE_RESUME}, (struct lb_conn_options){0});

		greet(pair, wrong[i].ok);
		side_failed(&pair->client, wrong[i].failure, pair->now);
		pair_free(pair);
	}
}

static void hello_ok_tells_the_ledger_and_the_limit(void **state)
{
	struct pair *pair =
		pair_new((struct lb_conn_options){0}, (struct lb_conn_options){.max_delivery = 12345});
	const struct lb_event *event;

	(void)state;
	pair_run(pair);
	event = side_event(&pair->client, LB_EVENT_HELLO_OK);
	assert_memory_equal(&event->ledger, &pair_ledger, 16);
	assert_int_equal(event->max_delivery, 12345);
	pair_free(pair);
}

static void a_receipt_for_something_else_is_never_believed(void **state)
{
	struct lb_receipt wrong[] = {
		pair_receipt(2, "name", 3, pair_digest(7)),
		pair_receipt(1, "nama", 3, pair_digest(7)),
		pair_receipt(1, "name", 2, pair_digest(7)),
		pair_receipt(1, "name", 3, pair_digest(8)),
		pair_receipt(1, "name", 3, pair_digest(7)),
	};
	uint32_t handle;

	(void)state;
	wrong[4].id.client[0] ^= 1;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pair *pair = committing(0, &handle);

		say_committed(pair, handle, wrong[i]);
		assert_true(lb_conn_commit_sent(pair->client.conn, handle));
		side_failed(&pair->client, LB_FAILURE_FRAME_CONTENT, pair->now);
		pair_free(pair);
	}
}

static void begin_may_be_answered_with_the_receipt_of_an_earlier_commit(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(9));
	struct lb_begin begin = pair_begin(1, "name");
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle;

	(void)state;
	begin.length = 3;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	pair_run(pair);
	assert_memory_equal(
		&side_event(&pair->client, LB_EVENT_COMMITTED)->receipt.digest, &receipt.digest, 16);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), -EPROTO);
	pair_free(pair);
}

static void the_receipt_of_an_earlier_commit_has_the_length_that_begin_said(void **state)
{
	struct lb_begin begin = pair_begin(1, "name");
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle;

	(void)state;
	begin.length = 4;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	say_committed(pair, handle, pair_receipt(1, "name", 3, pair_digest(9)));
	side_failed(&pair->client, LB_FAILURE_FRAME_CONTENT, pair->now);
	pair_free(pair);
}

static void a_resolution_for_another_id_is_never_believed(void **state)
{
	struct lb_receipt receipt = pair_receipt(2, "name", 3, pair_digest(9));
	struct pair *pair = pair_new_greeted(0);
	struct lb_id id = pair_begin(1, "n").id;
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_resolve(pair->client.conn, &id, &pair_ledger, &handle), 0);
	pair_run(pair);
	side_frame(&pair->client, LB_FRAME_RESOLVED, handle, payload,
		lb_resolved_put(payload, LB_VERDICT_COMMITTED, LB_REASON_NONE, &receipt, 0), pair->now);
	side_failed(&pair->client, LB_FAILURE_FRAME_CONTENT, pair->now);
	pair_free(pair);
}

static void a_reply_that_was_not_agreed_on_is_an_error(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	uint32_t handle;
	struct pair *pair = committing(0, &handle);
	size_t len = lb_committed_put(payload, &receipt, 1);

	(void)state;
	payload[len] = 'r';
	side_frame(&pair->client, LB_FRAME_COMMITTED, handle, payload, len + 1, pair->now);
	side_failed(&pair->client, LB_FAILURE_FRAME_CONTENT, pair->now);
	pair_free(pair);
}

static void a_handle_that_names_nothing_is_an_error(void **state)
{
	(void)state;
	for (uint32_t handle = 0; handle < 4; handle++) {
		uint32_t asked;
		struct pair *pair = committing(0, &asked);

		if (handle != asked) {
			side_frame(&pair->client, LB_FRAME_ROLLED_BACK, handle, NULL, 0, pair->now);
			side_failed(&pair->client, LB_FAILURE_HANDLE, pair->now);
		}
		pair_free(pair);
	}
}

static void a_second_answer_is_an_error(void **state)
{
	uint32_t handle;
	struct pair *pair = committing(0, &handle);

	(void)state;
	say_committed(pair, handle, pair_receipt(1, "name", 3, pair_digest(7)));
	side_event(&pair->client, LB_EVENT_COMMITTED);
	say_committed(pair, handle, pair_receipt(1, "name", 3, pair_digest(7)));
	side_failed(&pair->client, LB_FAILURE_HANDLE, pair->now);
	pair_free(pair);
}

static void a_refusal_says_what_it_means(void **state)
{
	uint32_t handle;
	struct pair *pair = committing(0, &handle);
	const struct lb_event *event;

	(void)state;
	assert_int_equal(lb_conn_refused(pair->server.conn, handle, LB_REASON_WRONG_DIGEST, "no"), 0);
	pair_run(pair);
	event = side_event(&pair->client, LB_EVENT_REFUSED);
	assert_int_equal(event->reason, LB_REASON_WRONG_DIGEST);
	assert_int_equal(event->verdict, LB_VERDICT_NOT_COMMITTED);
	assert_string_equal(event->text, "no");
	assert_false(lb_conn_commit_sent(pair->client.conn, handle));
	pair_free(pair);
}

static void a_refusal_may_cross_data_commit_and_rollback(void **state)
{
	struct lb_digest digest = pair_digest(1);

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct pair *pair = pair_new_greeted(0);
		uint32_t handle = pair_open(pair, 1);

		assert_int_equal(lb_conn_refused(pair->server.conn, handle, LB_REASON_DISK_FULL, NULL), 0);
		assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
		if (i == 1)
			assert_int_equal(lb_conn_commit(pair->client.conn, handle, 3, &digest), 0);
		if (i == 2)
			assert_int_equal(lb_conn_rollback(pair->client.conn, handle), 0);
		pair_run(pair);
		side_event(&pair->client, LB_EVENT_REFUSED);
		side_no_event(&pair->server);
		assert_int_equal(pair->server.data_len, 0);
		pair_open(pair, 2);
		pair_free(pair);
	}
}

static void what_is_withdrawn_before_begin_ok_ends_with_one_event(void **state)
{
	struct lb_begin begin = pair_begin(1, "name");
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	assert_int_equal(lb_conn_rollback(pair->client.conn, handle), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	side_no_event(&pair->client);
	assert_int_equal(lb_conn_rolled_back(pair->server.conn, handle), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_ROLLED_BACK)->handle, handle);
	side_no_event(&pair->client);
	pair_free(pair);
}

static void a_begin_ok_with_an_impossible_offset_is_an_error(void **state)
{
	static const struct {
		uint32_t features, flags;
		uint64_t offset;
	} wrong[] = {{0, 0, 1}, {0, 1, 0}, {1, 0, 1}, {1, 1, 101}, {1, 1, UINT64_MAX}};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pair *pair = pair_new_greeted(wrong[i].features);
		struct lb_begin begin = pair_begin(1, "name");
		uint32_t handle;

		begin.length = 100;
		assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
		pair_run(pair);
		side_frame(&pair->client, LB_FRAME_BEGIN_OK, handle, payload,
			lb_begin_ok_put(payload, wrong[i].offset, wrong[i].flags != 0), pair->now);
		side_failed(&pair->client, LB_FAILURE_FRAME_CONTENT, pair->now);
		pair_free(pair);
	}
}

static void a_synced_that_cannot_be_is_an_error(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
		uint32_t handle = pair_open(pair, 1);

		if (i == 1)
			assert_int_equal(lb_conn_sync(pair->client.conn, handle), 0);
		pair_run(pair);
		side_frame(&pair->client, LB_FRAME_SYNCED, handle, payload, lb_synced_put(payload, 1),
			pair->now);
		side_failed(&pair->client, i == 0 ? LB_FAILURE_STATE : LB_FAILURE_FRAME_CONTENT, pair->now);
		pair_free(pair);
	}
}

static void going_away_comes_once_and_names_what_was_begun(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_going_away(pair->server.conn), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_GOING_AWAY)->handle, handle);
	side_frame(&pair->client, LB_FRAME_GOING_AWAY, handle, NULL, 0, pair->now);
	side_failed(&pair->client, LB_FAILURE_STATE, pair->now);
	pair_free(pair);

	pair = pair_new_greeted(0);
	side_frame(&pair->client, LB_FRAME_GOING_AWAY, 1, NULL, 0, pair->now);
	side_failed(&pair->client, LB_FAILURE_HANDLE, pair->now);
	pair_free(pair);
}

static void close_ok_before_every_answer_is_an_error_that_is_not_said(void **state)
{
	uint32_t handle;
	struct pair *pair = committing(0, &handle);

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	side_wrote_frame(&pair->client, LB_FRAME_CLOSE, 0, pair->now);
	side_frame(&pair->client, LB_FRAME_CLOSE_OK, 0, NULL, 0, pair->now);
	assert_int_equal(side_event(&pair->client, LB_EVENT_ERROR)->failure, LB_FAILURE_STATE);
	assert_int_equal(lb_conn_send(pair->client.conn, (struct iovec[4]){0}, 4), 0);
	assert_true(lb_conn_commit_sent(pair->client.conn, handle));
	pair_free(pair);
}

static void after_close_a_client_says_nothing_and_hears_every_answer(void **state)
{
	uint32_t handle;
	struct pair *pair = committing(0, &handle);

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	side_wrote_frame(&pair->client, LB_FRAME_CLOSE, 0, pair->now);
	side_frame(&pair->client, LB_FRAME_PING, 0, "12345678", 8, pair->now);
	assert_int_equal(lb_conn_send(pair->client.conn, (struct iovec[4]){0}, 4), 0);
	say_committed(pair, handle, pair_receipt(1, "name", 3, pair_digest(7)));
	side_event(&pair->client, LB_EVENT_COMMITTED);
	side_frame(&pair->client, LB_FRAME_CLOSE_OK, 0, NULL, 0, pair->now);
	side_event(&pair->client, LB_EVENT_CLOSE_OK);
	side_feed(&pair->client, "garbage", 7, 0, pair->now);
	side_no_event(&pair->client);
	assert_int_equal(lb_conn_state(pair->client.conn), LB_CONN_CLOSED);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hello_ok_with_what_was_not_offered_is_an_error),
		cmocka_unit_test(hello_ok_tells_the_ledger_and_the_limit),
		cmocka_unit_test(a_receipt_for_something_else_is_never_believed),
		cmocka_unit_test(begin_may_be_answered_with_the_receipt_of_an_earlier_commit),
		cmocka_unit_test(the_receipt_of_an_earlier_commit_has_the_length_that_begin_said),
		cmocka_unit_test(a_resolution_for_another_id_is_never_believed),
		cmocka_unit_test(a_reply_that_was_not_agreed_on_is_an_error),
		cmocka_unit_test(a_handle_that_names_nothing_is_an_error),
		cmocka_unit_test(a_second_answer_is_an_error),
		cmocka_unit_test(a_refusal_says_what_it_means),
		cmocka_unit_test(a_refusal_may_cross_data_commit_and_rollback),
		cmocka_unit_test(what_is_withdrawn_before_begin_ok_ends_with_one_event),
		cmocka_unit_test(a_begin_ok_with_an_impossible_offset_is_an_error),
		cmocka_unit_test(a_synced_that_cannot_be_is_an_error),
		cmocka_unit_test(going_away_comes_once_and_names_what_was_begun),
		cmocka_unit_test(close_ok_before_every_answer_is_an_error_that_is_not_said),
		cmocka_unit_test(after_close_a_client_says_nothing_and_hears_every_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
