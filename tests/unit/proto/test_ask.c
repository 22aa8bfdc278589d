/* SPDX-License-Identifier: MIT */
#include "pair.h"
#include <stdlib.h>

static void nothing_is_asked_before_hello_ok(void **state)
{
	struct pair *pair = pair_new((struct lb_conn_options){0}, (struct lb_conn_options){0});
	struct lb_begin begin = pair_begin(1, "name");
	uint32_t handle = 9;

	(void)state;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), -EPROTO);
	assert_int_equal(handle, 0);
	assert_int_equal(lb_conn_resolve(pair->client.conn, &begin.id, &pair_ledger, &handle), -EPROTO);
	assert_int_equal(lb_conn_settled(pair->client.conn, &begin.id), -EPROTO);
	assert_int_equal(lb_conn_close(pair->client.conn), -EPROTO);
	side_wrote_frame(&pair->client, LB_FRAME_HELLO, 0, pair->now);
	pair_free(pair);
}

static void a_begin_out_of_range_is_not_said(void **state)
{
	char longest[LB_NAME_MAX + 2];
	struct pair *pair = pair_new_greeted(0);
	struct lb_begin wrong[8];
	uint32_t handle;
	size_t n = 0;

	(void)state;
	memset(longest, 'x', sizeof longest);
	longest[LB_NAME_MAX + 1] = '\0';
	for (size_t i = 0; i < 8; i++)
		wrong[i] = pair_begin(1, "name");
	wrong[n++].name = "";
	wrong[n++].name = "a/b";
	wrong[n++].name = longest;
	wrong[n++].id.number = 0;
	wrong[n++].id.number = (uint64_t)INT64_MAX + 1;
	wrong[n++].attempt = 0;
	wrong[n++].length = (uint64_t)INT64_MAX + 1;
	memset(&wrong[n++].ledger, 0, 16);
	while (n-- > 0)
		assert_int_equal(lb_conn_begin(pair->client.conn, &wrong[n], &handle), -EINVAL);
	assert_int_equal(lb_conn_send(pair->client.conn, (struct iovec[4]){0}, 4), 0);
	wrong[0] = pair_begin(1, longest + 1);
	assert_int_equal(lb_conn_begin(pair->client.conn, &wrong[0], &handle), 0);
	pair_free(pair);
}

static void one_delivery_is_open_at_a_time(void **state)
{
	struct lb_digest digest = pair_digest(1);
	struct lb_begin begin = pair_begin(2, "next");
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1), next;

	(void)state;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &next), -EPROTO);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, 0, &digest), 0);
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &next), 0);
	assert_true(next > handle);
	pair_free(pair);
}

static void what_goes_on_with_a_delivery_needs_begin_ok(void **state)
{
	struct lb_digest digest = pair_digest(1);
	struct lb_begin begin = pair_begin(1, "name");
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	struct lb_conn *client = pair->client.conn;
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_begin(client, &begin, &handle), 0);
	assert_int_equal(lb_conn_data(client, handle, "abc", 3), -EPROTO);
	assert_int_equal(lb_conn_sync(client, handle), -EPROTO);
	assert_int_equal(lb_conn_commit(client, handle, 0, &digest), -EPROTO);
	pair_free(pair);
}

static void only_the_open_delivery_is_gone_on_with(void **state)
{
	struct lb_digest digest = pair_digest(1);
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	struct lb_conn *client = pair->client.conn;
	uint32_t handle = pair_open(pair, 1), other;

	(void)state;
	for (other = 0; other < 3; other++) {
		if (other == handle)
			continue;
		assert_int_equal(lb_conn_data(client, other, "abc", 3), -EPROTO);
		assert_int_equal(lb_conn_sync(client, other), -EPROTO);
		assert_int_equal(lb_conn_commit(client, other, 0, &digest), -EPROTO);
		assert_int_equal(lb_conn_rollback(client, other), -EPROTO);
	}
	assert_int_equal(lb_conn_commit(client, handle, 0, &digest), 0);
	assert_int_equal(lb_conn_data(client, handle, "abc", 3), -EPROTO);
	assert_int_equal(lb_conn_rollback(client, handle), -EPROTO);
	assert_int_equal(lb_conn_commit(client, handle, 0, &digest), -EPROTO);
	pair_free(pair);
}

static void data_is_bounded_and_refers_to_its_callers_bytes(void **state)
{
	uint8_t *data = calloc(1, LB_DATA_MAX + 1);
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);
	struct iovec iov[4];

	(void)state;
	assert_non_null(data);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, data, 0), -EINVAL);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, data, LB_DATA_MAX + 1), -EINVAL);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, data, LB_DATA_MAX), 0);
	assert_int_equal(lb_conn_send(pair->client.conn, iov, 4), 2);
	assert_int_equal(iov[0].iov_len, LB_HEADER_BYTES);
	assert_ptr_equal(iov[1].iov_base, data);
	assert_int_equal(iov[1].iov_len, LB_DATA_MAX);
	pair_free(pair);
	free(data);
}

/* More than is copied. */
static const uint8_t large[LB_DATA_COPIED + 1] = "large";

static void nothing_is_put_behind_a_payload_that_is_referred_to(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, large, sizeof large), 0);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "def", 3), -EAGAIN);
	lb_conn_sent(pair->client.conn, LB_HEADER_BYTES + sizeof large - 1, pair->now);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "def", 3), -EAGAIN);
	lb_conn_sent(pair->client.conn, 1, pair->now);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "def", 3), 0);
	pair_free(pair);
}

static void a_small_payload_is_its_callers_again_at_once(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);
	char bytes[LB_DATA_COPIED];

	(void)state;
	for (int i = 0; i < 8; i++) {
		memset(bytes, 'a' + i, sizeof bytes);
		assert_int_equal(lb_conn_data(pair->client.conn, handle, bytes, 1), 0);
	}
	pair_run(pair);
	assert_int_equal(pair->server.data_len, 8);
	assert_memory_equal(pair->server.data, "abcdefgh", 8);
	memset(bytes, 'z', sizeof bytes);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, bytes, sizeof bytes), 0);
	memset(bytes, 0, sizeof bytes);
	pair->server.data_len = 0;
	pair_run(pair);
	memset(bytes, 'z', sizeof bytes);
	assert_int_equal(pair->server.data_len, sizeof bytes);
	assert_memory_equal(pair->server.data, bytes, sizeof bytes);
	pair_free(pair);
}

static void small_payloads_one_behind_the_other_are_one_frame_until_a_byte_of_it_was_written(void **state)
{
	static const uint8_t expected[] = {5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 'a', 'b', 'c', 'd', /* DATA */
		5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 'e', 'f',                                      /* DATA */
		6, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,                                                /* SYNC */
		5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'g'};                                          /* DATA */
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	uint32_t handle = pair_open(pair, 1);
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "a", 1), 0);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "bcd", 3), 0);
	lb_conn_sent(pair->client.conn, 1, pair->now);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "e", 1), 0);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "f", 1), 0);
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), 0);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "g", 1), 0);
	assert_int_equal(side_written(&pair->client, bytes, sizeof bytes, pair->now), sizeof expected - 1);
	assert_memory_equal(bytes, expected + 1, sizeof expected - 1);
	pair_free(pair);
}

static void small_payloads_wait_together_until_there_is_no_room(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);
	struct iovec iov[4];
	int said = 0;

	(void)state;
	while (lb_conn_data(pair->client.conn, handle, large, LB_DATA_COPIED) == 0)
		assert_true(++said < 1000);
	assert_true(said >= 8);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, large, LB_DATA_COPIED), -EAGAIN);
	assert_int_equal(lb_conn_send(pair->client.conn, iov, 4), 1);
	assert_int_equal(iov[0].iov_len, LB_HEADER_BYTES + (size_t)said * LB_DATA_COPIED);
	lb_conn_sent(pair->client.conn, iov[0].iov_len, pair->now);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, large, LB_DATA_COPIED), 0);
	pair_free(pair);
}

static void what_is_said_after_a_payload_goes_out_after_it(void **state)
{
	static const uint8_t expected[] = {5, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 'a', 'b', 'c', 8};
	struct lb_digest digest = pair_digest(1);
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);
	uint8_t bytes[64];

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, 3, &digest), 0);
	side_written(&pair->client, bytes, sizeof bytes, pair->now);
	assert_memory_equal(bytes, expected, sizeof expected);
	pair_free(pair);
}

static void as_many_questions_as_the_server_allows_and_then_wait(void **state)
{
	struct pair *pair =
		pair_new((struct lb_conn_options){0}, (struct lb_conn_options){.max_undecided = 2});
	struct lb_begin begin = pair_begin(1, "name");
	uint32_t handle;

	(void)state;
	pair_run(pair);
	assert_int_equal(lb_conn_resolve(pair->client.conn, &begin.id, &pair_ledger, &handle), 0);
	assert_int_equal(lb_conn_resolve(pair->client.conn, &begin.id, &pair_ledger, &handle), 0);
	assert_int_equal(lb_conn_resolve(pair->client.conn, &begin.id, &pair_ledger, &handle), -EAGAIN);
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), -EAGAIN);
	pair_run(pair);
	assert_int_equal(
		lb_conn_resolved(pair->server.conn, 1, LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED, NULL), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	assert_int_equal(handle, 3);
	pair_free(pair);
}

static void a_client_that_cannot_write_is_told_to_wait(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	struct lb_id id = pair_begin(1, "n").id;
	static uint8_t scrap[1 << 16];
	int said = 0;

	(void)state;
	while (lb_conn_settled(pair->client.conn, &id) == 0)
		assert_true(++said < 10000);
	assert_true(said > 16);
	assert_int_equal(lb_conn_settled(pair->client.conn, &id), -EAGAIN);
	side_written(&pair->client, scrap, sizeof scrap, pair->now);
	assert_int_equal(lb_conn_settled(pair->client.conn, &id), 0);
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_free(pair);
}

static void commit_is_sent_with_its_first_byte(void **state)
{
	struct lb_digest digest = pair_digest(1);
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, 3, &digest), 0);
	lb_conn_sent(pair->client.conn, LB_HEADER_BYTES + 3, pair->now);
	assert_false(lb_conn_commit_sent(pair->client.conn, handle));
	lb_conn_sent(pair->client.conn, 1, pair->now);
	assert_true(lb_conn_commit_sent(pair->client.conn, handle));
	assert_false(lb_conn_commit_sent(pair->client.conn, handle + 1));
	assert_false(lb_conn_commit_sent(pair->client.conn, 0));
	pair_free(pair);
}

/* Of DATA and COMMIT `first` bytes are written before the machine fails; then the rest. */
static void commit_after_failure(size_t len, size_t first, bool sent)
{
	struct lb_digest digest = pair_digest(1);
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);
	uint8_t bytes[sizeof large + 1024];

	assert_int_equal(lb_conn_data(pair->client.conn, handle, large, len), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, len, &digest), 0);
	lb_conn_sent(pair->client.conn, first, pair->now);
	lb_conn_fail(pair->client.conn, LB_FAILURE_STOPPED, NULL);
	if (!sent) {
		size_t data_left = LB_HEADER_BYTES + len - first;

		assert_true(side_written(&pair->client, bytes, sizeof bytes, pair->now) > data_left);
		assert_int_equal(bytes[data_left], LB_FRAME_ERROR);
	} else {
		side_written(&pair->client, bytes, sizeof bytes, pair->now);
	}
	assert_int_equal(lb_conn_commit_sent(pair->client.conn, handle), sent);
	pair_free(pair);
}

static void a_commit_that_was_not_sent_is_taken_back_by_a_failure(void **state)
{
	(void)state;
	for (size_t len = 3; len <= sizeof large; len += sizeof large - 3) {
		size_t data = LB_HEADER_BYTES + len;

		for (size_t first = 0; first <= LB_HEADER_BYTES + 3; first++)
			commit_after_failure(len, first, false);
		commit_after_failure(len, data, false);
		commit_after_failure(len, data + 1, true);
		commit_after_failure(len, data + LB_HEADER_BYTES + 24, true);
	}
}

static void close_gives_the_open_delivery_up(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), -EPROTO);
	assert_int_equal(lb_conn_close(pair->client.conn), -EPROTO);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_ROLLBACK);
	assert_int_equal(lb_conn_rolled_back(pair->server.conn, handle), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_ROLLED_BACK);
	side_event(&pair->client, LB_EVENT_CLOSE_OK);
	assert_int_equal(lb_conn_close(pair->client.conn), -ECONNABORTED);
	pair_free(pair);
}

static void sync_needs_its_feature(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), -EPROTO);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_asked_before_hello_ok),
		cmocka_unit_test(a_begin_out_of_range_is_not_said),
		cmocka_unit_test(one_delivery_is_open_at_a_time),
		cmocka_unit_test(what_goes_on_with_a_delivery_needs_begin_ok),
		cmocka_unit_test(only_the_open_delivery_is_gone_on_with),
		cmocka_unit_test(data_is_bounded_and_refers_to_its_callers_bytes),
		cmocka_unit_test(nothing_is_put_behind_a_payload_that_is_referred_to),
		cmocka_unit_test(a_small_payload_is_its_callers_again_at_once),
		cmocka_unit_test(
			small_payloads_one_behind_the_other_are_one_frame_until_a_byte_of_it_was_written),
		cmocka_unit_test(small_payloads_wait_together_until_there_is_no_room),
		cmocka_unit_test(what_is_said_after_a_payload_goes_out_after_it),
		cmocka_unit_test(as_many_questions_as_the_server_allows_and_then_wait),
		cmocka_unit_test(a_client_that_cannot_write_is_told_to_wait),
		cmocka_unit_test(commit_is_sent_with_its_first_byte),
		cmocka_unit_test(a_commit_that_was_not_sent_is_taken_back_by_a_failure),
		cmocka_unit_test(close_gives_the_open_delivery_up),
		cmocka_unit_test(sync_needs_its_feature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
