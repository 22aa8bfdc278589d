/* SPDX-License-Identifier: MIT */
#include "pair.h"

static void an_open_delivery_cannot_be_called_committed(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 0, pair_digest(7));
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), -EPROTO);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	pair_free(pair);
}

static void a_receipt_for_something_else_is_not_said(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_ask_commit(pair, 1, "abc");
	struct lb_receipt wrong[] = {
		pair_receipt(2, "name", 3, pair_digest(7)),
		pair_receipt(1, "nama", 3, pair_digest(7)),
		pair_receipt(1, "name", 4, pair_digest(7)),
		pair_receipt(1, "name", 3, pair_digest(8)),
		pair_receipt(1, "name", 3, pair_digest(7)),
		pair_receipt(1, "name", 3, pair_digest(7)),
		pair_receipt(1, "name", 3, pair_digest(7)),
	};

	(void)state;
	wrong[4].id.client[3] ^= 1;
	wrong[5].placed[0] = '/';
	wrong[6].durability = (enum lb_durability)7;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(lb_conn_committed(pair->server.conn, handle, &wrong[i]), -EINVAL);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	wrong[5].placed[0] = '\0';
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &wrong[5]), 0);
	pair_run(pair);
	assert_string_equal(side_event(&pair->client, LB_EVENT_COMMITTED)->receipt.placed, "name");
	pair_free(pair);
}

static void what_is_not_asked_is_not_answered(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME | LB_FEATURE_REPLY);
	struct lb_conn *server = pair->server.conn;
	uint32_t handle = pair_ask_commit(pair, 1, "abc");

	(void)state;
	for (uint32_t h = 0; h < 4; h++) {
		assert_int_equal(lb_conn_begin_ok(server, h, 0, false), -EPROTO);
		assert_int_equal(lb_conn_synced(server, h, 0), -EPROTO);
		assert_int_equal(lb_conn_rolled_back(server, h), -EPROTO);
		assert_int_equal(
			lb_conn_resolved(server, h, LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED, NULL), -EPROTO);
		if (h == handle)
			continue;
		assert_int_equal(lb_conn_committed(server, h, &receipt), -EPROTO);
		assert_int_equal(lb_conn_refused(server, h, LB_REASON_BUSY, NULL), -EPROTO);
		assert_int_equal(lb_conn_reply(server, h, "r", 1), -EPROTO);
	}
	assert_int_equal(lb_conn_committed(server, handle, &receipt), 0);
	assert_int_equal(lb_conn_committed(server, handle, &receipt), -EPROTO);
	assert_int_equal(lb_conn_refused(server, handle, LB_REASON_BUSY, NULL), -EPROTO);
	pair_free(pair);
}

static void a_client_does_not_answer_and_a_server_does_not_ask(void **state)
{
	struct lb_begin begin = pair_begin(1, "name");
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_begin(pair->server.conn, &begin, &handle), -EPROTO);
	assert_int_equal(lb_conn_close(pair->server.conn), -EPROTO);
	assert_int_equal(lb_conn_begin_ok(pair->client.conn, 1, 0, false), -EPROTO);
	assert_int_equal(lb_conn_going_away(pair->client.conn), -EPROTO);
	pair_free(pair);
}

static void a_reason_that_does_not_travel_is_not_said(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_refused(pair->server.conn, handle, LB_REASON_NONE, NULL), -EINVAL);
	assert_int_equal(lb_conn_refused(pair->server.conn, handle, LB_REASON_BROKEN, NULL), -EINVAL);
	assert_int_equal(lb_conn_refused(pair->server.conn, handle, LB_REASON_SUPERSEDED, NULL), 0);
	pair_run(pair);
	assert_string_equal(
		side_event(&pair->client, LB_EVENT_REFUSED)->text, lb_reason_text(LB_REASON_SUPERSEDED));
	pair_free(pair);
}

static void a_resume_offset_needs_resume_and_a_resumable_sink(void **state)
{
	struct lb_begin begin = pair_begin(1, "name");
	const struct lb_event *event;
	uint32_t handle;

	(void)state;
	begin.length = 100;
	for (uint32_t features = 0; features <= LB_FEATURE_RESUME; features++) {
		struct pair *pair = pair_new_greeted(features);

		assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
		pair_run(pair);
		assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 1, false), -EINVAL);
		assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 101, true), -EINVAL);
		assert_int_equal(
			lb_conn_begin_ok(pair->server.conn, handle, 100, true), features != 0 ? 0 : -EINVAL);
		if (features == 0)
			assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, true), 0);
		pair_run(pair);
		event = side_event(&pair->client, LB_EVENT_BEGIN_OK);
		assert_int_equal(event->offset, features != 0 ? 100 : 0);
		assert_int_equal(event->resumable, features != 0);
		pair_free(pair);
	}
}

static void bytes_are_counted_from_the_resume_offset_on(void **state)
{
	struct lb_digest digest = pair_digest(1);
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	struct lb_begin begin = pair_begin(1, "name");
	uint32_t handle;

	(void)state;
	begin.length = 103;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 100, true), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abcd", 4), -EINVAL);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, 103, &digest), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->server, LB_EVENT_COMMIT)->length, 103);
	pair_free(pair);
}

static void synced_goes_forward_and_not_beyond_what_came(void **state)
{
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_SYNC);
	assert_int_equal(lb_conn_synced(pair->server.conn, handle, 4), -EINVAL);
	assert_int_equal(lb_conn_synced(pair->server.conn, handle, 3), 0);
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), -EAGAIN);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_SYNCED)->offset, 3);
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_synced(pair->server.conn, handle, 2), -EINVAL);
	pair_free(pair);
}

static void sync_of_what_cannot_be_resumed_is_answered_with_0(void **state)
{
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	uint32_t handle = pair_open(pair, 1); /* flag 0 */

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_synced(pair->server.conn, handle, 0), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_SYNCED)->offset, 0);
	pair_free(pair);
}

static void a_reply_travels_with_committed(void **state)
{
	static uint8_t reply[LB_REPLY_MAX + 1];

	(void)state;
	for (size_t piece = 0; piece < 3; piece++) {
		struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
		struct pair *pair = pair_new_greeted(LB_FEATURE_REPLY);
		uint32_t handle = pair_ask_commit(pair, 1, "abc");
		const struct lb_event *event;

		memset(reply, 'r', sizeof reply);
		pair->piece = piece * 1000;
		assert_int_equal(lb_conn_reply(pair->server.conn, handle, reply, sizeof reply), -EINVAL);
		assert_int_equal(lb_conn_reply(pair->server.conn, handle, reply, LB_REPLY_MAX), 0);
		assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
		memset(reply, 'x', sizeof reply);
		pair_run(pair);
		event = side_event(&pair->client, LB_EVENT_COMMITTED);
		assert_int_equal(event->reply_len, LB_REPLY_MAX);
		assert_int_equal(((const uint8_t *)event->reply)[0], 'r');
		assert_int_equal(((const uint8_t *)event->reply)[LB_REPLY_MAX - 1], 'r');
		pair_free(pair);
	}
}

static void a_reply_travels_with_resolved_and_only_with_its_own(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = pair_new_greeted(LB_FEATURE_REPLY);
	const struct lb_event *event;
	uint32_t first, second;

	(void)state;
	assert_int_equal(lb_conn_resolve(pair->client.conn, &receipt.id, &pair_ledger, &first), 0);
	assert_int_equal(lb_conn_resolve(pair->client.conn, &receipt.id, &pair_ledger, &second), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_reply(pair->server.conn, second, "answer", 6), 0);
	assert_int_equal(
		lb_conn_resolved(pair->server.conn, first, LB_VERDICT_COMMITTED, LB_REASON_NONE, &receipt),
		0);
	assert_int_equal(
		lb_conn_resolved(pair->server.conn, second, LB_VERDICT_COMMITTED, LB_REASON_NONE, &receipt),
		0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_RESOLVED)->reply_len, 0);
	event = side_event(&pair->client, LB_EVENT_RESOLVED);
	assert_int_equal(event->handle, second);
	assert_int_equal(event->reply_len, 6);
	pair_free(pair);
}

static void a_second_long_reply_waits_until_the_first_is_written(void **state)
{
	static uint8_t reply[LB_REPLY_MAX];
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = pair_new_greeted(LB_FEATURE_REPLY);
	uint32_t handles[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			lb_conn_resolve(pair->client.conn, &receipt.id, &pair_ledger, &handles[i]), 0);
	pair_run(pair);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(lb_conn_reply(pair->server.conn, handles[i], reply, sizeof reply), 0);
		assert_int_equal(lb_conn_resolved(pair->server.conn, handles[i], LB_VERDICT_COMMITTED,
					 LB_REASON_NONE, &receipt),
			i == 0 ? 0 : -EAGAIN);
	}
	pair_run(pair);
	assert_int_equal(lb_conn_resolved(pair->server.conn, handles[1], LB_VERDICT_COMMITTED, LB_REASON_NONE,
				 &receipt),
		0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_RESOLVED);
	assert_int_equal(side_event(&pair->client, LB_EVENT_RESOLVED)->reply_len, LB_REPLY_MAX);
	pair_free(pair);
}

static void without_the_feature_there_is_no_reply(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_ask_commit(pair, 1, "abc");

	(void)state;
	assert_int_equal(lb_conn_reply(pair->server.conn, handle, "r", 1), -EPROTO);
	pair_free(pair);
}

static void a_resolution_is_committed_rolled_back_or_forgotten(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = pair_new_greeted(0);
	struct lb_conn *server = pair->server.conn;
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_resolve(pair->client.conn, &receipt.id, &pair_ledger, &handle), 0);
	pair_run(pair);
	assert_int_equal(
		lb_conn_resolved(server, handle, LB_VERDICT_IN_DOUBT, LB_REASON_BUSY, NULL), -EINVAL);
	assert_int_equal(
		lb_conn_resolved(server, handle, LB_VERDICT_COMMITTED, LB_REASON_NONE, NULL), -EINVAL);
	assert_int_equal(
		lb_conn_resolved(server, handle, LB_VERDICT_ROLLED_BACK, LB_REASON_BROKEN, NULL), -EINVAL);
	receipt.id.number = 2;
	assert_int_equal(
		lb_conn_resolved(server, handle, LB_VERDICT_COMMITTED, LB_REASON_NONE, &receipt), -EINVAL);
	assert_int_equal(
		lb_conn_resolved(server, handle, LB_VERDICT_FORGOTTEN, LB_REASON_FORGOTTEN, NULL), 0);
	pair_run(pair);
	assert_int_equal(side_event(&pair->client, LB_EVENT_RESOLVED)->verdict, LB_VERDICT_FORGOTTEN);
	pair_free(pair);
}

static void after_a_failure_every_answer_is_too_late(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_ask_commit(pair, 1, "abc");

	(void)state;
	lb_conn_fail(pair->server.conn, LB_FAILURE_STORAGE, NULL);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), -ECONNABORTED);
	assert_int_equal(lb_conn_going_away(pair->server.conn), -ECONNABORTED);
	side_wrote_frame(&pair->server, LB_FRAME_ERROR, 0, pair->now);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_open_delivery_cannot_be_called_committed),
		cmocka_unit_test(a_receipt_for_something_else_is_not_said),
		cmocka_unit_test(what_is_not_asked_is_not_answered),
		cmocka_unit_test(a_client_does_not_answer_and_a_server_does_not_ask),
		cmocka_unit_test(a_reason_that_does_not_travel_is_not_said),
		cmocka_unit_test(a_resume_offset_needs_resume_and_a_resumable_sink),
		cmocka_unit_test(bytes_are_counted_from_the_resume_offset_on),
		cmocka_unit_test(synced_goes_forward_and_not_beyond_what_came),
		cmocka_unit_test(sync_of_what_cannot_be_resumed_is_answered_with_0),
		cmocka_unit_test(a_reply_travels_with_committed),
		cmocka_unit_test(a_reply_travels_with_resolved_and_only_with_its_own),
		cmocka_unit_test(a_second_long_reply_waits_until_the_first_is_written),
		cmocka_unit_test(without_the_feature_there_is_no_reply),
		cmocka_unit_test(a_resolution_is_committed_rolled_back_or_forgotten),
		cmocka_unit_test(after_a_failure_every_answer_is_too_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
