/* SPDX-License-Identifier: MIT */
/* Both ends have an idle time of 30 s, so that PING is due after 10. */
#include "pair.h"

static struct pair *at_thirty_seconds(void)
{
	struct lb_conn_options options = {.idle_timeout = 30 * SECOND};
	struct pair *pair = pair_new(options, options);

	pair_run(pair);
	side_event(&pair->server, LB_EVENT_HELLO);
	side_event(&pair->client, LB_EVENT_HELLO_OK);
	return pair;
}

static enum lb_event_type tick(struct side *side, lb_time now)
{
	struct lb_event event;

	lb_conn_tick(side->conn, now, &event);
	return event.type;
}

/* Ticks both ends whenever they ask for it, and carries bytes, for so long. */
static void pass(struct pair *pair, lb_time span)
{
	lb_time end = pair->now + span;

	for (;;) {
		lb_time client = lb_conn_deadline(pair->client.conn),
			server = lb_conn_deadline(pair->server.conn);
		lb_time next = client < server ? client : server;

		if (next > end)
			break;
		assert_true(next > pair->now);
		pair->now = next;
		assert_int_equal(tick(&pair->client, next), LB_EVENT_NONE);
		assert_int_equal(tick(&pair->server, next), LB_EVENT_NONE);
		pair_run(pair);
	}
	pair->now = end;
}

static void the_shorter_idle_time_counts_at_both_ends(void **state)
{
	struct pair *pair = pair_new((struct lb_conn_options){.idle_timeout = 20 * SECOND},
		(struct lb_conn_options){.idle_timeout = 10 * SECOND});

	(void)state;
	assert_int_equal(lb_conn_deadline(pair->client.conn), pair->now + 20 * SECOND);
	assert_int_equal(lb_conn_deadline(pair->server.conn), pair->now + 10 * SECOND);
	pair_run(pair);
	assert_int_equal(lb_conn_deadline(pair->client.conn), pair->now + 10 * SECOND / 3);
	assert_int_equal(lb_conn_deadline(pair->server.conn), pair->now + 10 * SECOND);
	pair_free(pair);
}

static void a_session_without_deliveries_lives_as_long_as_one_likes(void **state)
{
	struct pair *pair = at_thirty_seconds();

	(void)state;
	pass(pair, 3600 * SECOND);
	assert_int_equal(lb_conn_state(pair->client.conn), LB_CONN_READY);
	assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_READY);
	pair_free(pair);
}

static void a_slow_commit_keeps_the_session(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = at_thirty_seconds();
	uint32_t handle = pair_ask_commit(pair, 1, "abc");

	(void)state;
	pass(pair, 600 * SECOND);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_COMMITTED);
	pair_free(pair);
}

static void a_slow_commit_keeps_the_session_after_close_too(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = at_thirty_seconds();
	uint32_t handle = pair_ask_commit(pair, 1, "abc");

	(void)state;
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_run(pair);
	pass(pair, 600 * SECOND);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_COMMITTED);
	side_event(&pair->client, LB_EVENT_CLOSE_OK);
	pair_free(pair);
}

static void a_client_that_hears_nothing_gives_up(void **state)
{
	struct pair *pair = at_thirty_seconds();
	uint8_t bytes[256];
	lb_time start = pair->now;

	(void)state;
	for (int pings = 0; pings < 2; pings++) {
		pair->now = lb_conn_deadline(pair->client.conn);
		assert_int_equal(pair->now, start + (pings + 1) * 10 * SECOND);
		assert_int_equal(tick(&pair->client, pair->now), LB_EVENT_NONE);
		side_wrote_frame(&pair->client, LB_FRAME_PING, 0, pair->now);
	}
	pair->now = lb_conn_deadline(pair->client.conn);
	assert_int_equal(pair->now, start + 30 * SECOND);
	assert_int_equal(tick(&pair->client, pair->now), LB_EVENT_TIMEOUT);
	assert_int_equal(lb_conn_state(pair->client.conn), LB_CONN_FAILED);
	assert_int_equal(lb_conn_deadline(pair->client.conn), LB_NEVER);
	assert_true(side_written(&pair->client, bytes, sizeof bytes, pair->now) > 0);
	assert_int_equal(bytes[0], LB_FRAME_ERROR);
	assert_int_equal(bytes[LB_HEADER_BYTES + 1], LB_FAILURE_IDLE);
	pair_free(pair);
}

static void a_client_that_writes_need_not_hear_anything(void **state)
{
	struct pair *pair = at_thirty_seconds();
	uint32_t handle = pair_open(pair, 1);

	(void)state;
	for (int i = 0; i < 20; i++) {
		pair->now += 9 * SECOND;
		assert_int_equal(tick(&pair->client, pair->now), LB_EVENT_NONE);
		assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
		side_wrote_frame(&pair->client, LB_FRAME_DATA, handle, pair->now);
	}
	pair_free(pair);
}

static void a_client_that_waits_asks_although_it_writes(void **state)
{
	struct pair *pair = at_thirty_seconds();
	struct lb_begin begin = pair_begin(2, "next");
	uint32_t handle;

	(void)state;
	pair_ask_commit(pair, 1, "abc");
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	pair->now += 6 * SECOND;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	side_wrote_frame(&pair->client, LB_FRAME_DATA, handle, pair->now);
	pair->now += 4 * SECOND;
	assert_int_equal(lb_conn_deadline(pair->client.conn), pair->now);
	assert_int_equal(tick(&pair->client, pair->now), LB_EVENT_NONE);
	side_wrote_frame(&pair->client, LB_FRAME_PING, 0, pair->now);
	pair_free(pair);
}

static void a_client_that_waits_for_synced_asks_too(void **state)
{
	struct lb_conn_options options = {.idle_timeout = 30 * SECOND, .features = LB_FEATURE_RESUME};
	struct pair *pair = pair_new(options, options);
	uint32_t handle;

	(void)state;
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_HELLO);
	side_event(&pair->client, LB_EVENT_HELLO_OK);
	handle = pair_open(pair, 1);
	assert_int_equal(lb_conn_sync(pair->client.conn, handle), 0);
	pair_run(pair);
	pair->now += 6 * SECOND;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	side_wrote_frame(&pair->client, LB_FRAME_DATA, handle, pair->now);
	assert_int_equal(lb_conn_deadline(pair->client.conn), pair->now + 4 * SECOND);
	pair_free(pair);
}

static void a_client_that_cannot_write_gives_up_and_queues_no_pings(void **state)
{
	struct pair *pair = at_thirty_seconds();
	uint32_t handle = pair_open(pair, 1);
	lb_time start = pair->now;
	int ticks = 0;

	(void)state;
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "abc", 3), 0);
	do {
		pair->now = lb_conn_deadline(pair->client.conn);
		assert_true(++ticks < 10);
	} while (tick(&pair->client, pair->now) != LB_EVENT_TIMEOUT);
	assert_int_equal(pair->now, start + 30 * SECOND);
	assert_int_equal(pair->client.conn->pings, 0);
	pair_free(pair);
}

static void a_server_that_hears_nothing_gives_up(void **state)
{
	struct pair *pair = at_thirty_seconds();

	(void)state;
	pair_open(pair, 1);
	assert_int_equal(lb_conn_deadline(pair->server.conn), pair->now + 30 * SECOND);
	assert_int_equal(tick(&pair->server, pair->now + 30 * SECOND - 1), LB_EVENT_NONE);
	assert_int_equal(tick(&pair->server, pair->now + 30 * SECOND), LB_EVENT_TIMEOUT);
	assert_int_equal(side_wrote_frame(&pair->server, LB_FRAME_ERROR, 0, pair->now)[1], LB_FAILURE_IDLE);
	pair_free(pair);
}

static void bytes_that_a_server_does_not_take_yet_count_as_heard(void **state)
{
	struct pair *pair = at_thirty_seconds();
	struct lb_begin begin = pair_begin(1, "name");
	uint32_t handle;

	(void)state;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	assert_int_equal(lb_conn_rollback(pair->client.conn, handle), 0);
	pair_run(pair);
	assert_true(pair->server.stash_len > 0);
	assert_int_equal(lb_conn_deadline(pair->server.conn), LB_NEVER);
	pair->now += 600 * SECOND;
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_deadline(pair->server.conn), pair->now + 30 * SECOND);
	pair_free(pair);
}

static void greetings_are_complete_within_one_idle_time(void **state)
{
	struct lb_conn_options options = {.idle_timeout = 30 * SECOND};
	struct pair *pair = pair_new(options, options);
	uint8_t hello[256];
	lb_time start = pair->now;

	(void)state;
	side_written(&pair->client, hello, sizeof hello, pair->now);
	for (int i = 0; i < 29; i++)
		side_feed(&pair->server, hello + i, 1, 0, pair->now += SECOND);
	assert_int_equal(lb_conn_deadline(pair->server.conn), start + 30 * SECOND);
	assert_int_equal(tick(&pair->server, start + 30 * SECOND), LB_EVENT_TIMEOUT);
	pair_free(pair);
}

static void a_server_gives_up_a_client_that_does_not_read_its_answers_after_close(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = at_thirty_seconds();
	uint32_t handle = pair_ask_commit(pair, 1, "abc");
	struct lb_id id = receipt.id;
	uint32_t question;

	(void)state;
	assert_int_equal(lb_conn_resolve(pair->client.conn, &id, &pair_ledger, &question), 0);
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	assert_int_equal(tick(&pair->server, pair->now + 29 * SECOND), LB_EVENT_NONE);
	assert_int_equal(tick(&pair->server, pair->now + 30 * SECOND), LB_EVENT_TIMEOUT);
	pair_free(pair);
}

static void a_server_is_patient_with_a_client_that_reads_slowly_after_close(void **state)
{
	struct lb_receipt receipt = pair_receipt(1, "name", 3, pair_digest(7));
	struct pair *pair = at_thirty_seconds();
	uint32_t handle = pair_ask_commit(pair, 1, "abc"), question;

	(void)state;
	assert_int_equal(lb_conn_resolve(pair->client.conn, &receipt.id, &pair_ledger, &question), 0);
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	for (int i = 0; i < 10; i++) {
		lb_conn_sent(pair->server.conn, 1, pair->now += 25 * SECOND);
		assert_int_equal(tick(&pair->server, pair->now), LB_EVENT_NONE);
	}
	assert_int_equal(tick(&pair->server, pair->now + 30 * SECOND), LB_EVENT_TIMEOUT);
	pair_free(pair);
}

static void a_ping_of_a_server_that_comes_late_does_not_end_the_session(void **state)
{
	struct pair *pair = at_thirty_seconds();

	(void)state;
	pair_ask_commit(pair, 1, "abc");
	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_run(pair);
	pair->now += 100 * SECOND;
	assert_int_equal(tick(&pair->server, pair->now), LB_EVENT_NONE);
	assert_int_equal(lb_conn_deadline(pair->server.conn), pair->now + 10 * SECOND);
	assert_int_equal(tick(&pair->server, pair->now + 29 * SECOND), LB_EVENT_NONE);
	assert_int_equal(tick(&pair->server, pair->now + 30 * SECOND), LB_EVENT_TIMEOUT);
	pair_free(pair);
}

static void idle_times_are_brought_into_range(void **state)
{
	static const struct {
		lb_time given;
		uint32_t ms;
	} cases[] = {{0, 60000}, {-1, 60000}, {1, 100}, {100 * SECOND / 1000, 100}, {SECOND + 1, 1001},
		{LB_NEVER, UINT32_MAX}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair *pair = pair_new((struct lb_conn_options){.idle_timeout = cases[i].given},
			(struct lb_conn_options){.idle_timeout = LB_NEVER});
		const uint8_t *hello = side_wrote_frame(&pair->client, LB_FRAME_HELLO, 0, pair->now);
		struct lb_hello said;
		const char *why;

		lb_hello_get(hello, 36, &said, &why);
		assert_int_equal(said.idle_ms, cases[i].ms);
		pair_free(pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_shorter_idle_time_counts_at_both_ends),
		cmocka_unit_test(a_session_without_deliveries_lives_as_long_as_one_likes),
		cmocka_unit_test(a_slow_commit_keeps_the_session),
		cmocka_unit_test(a_slow_commit_keeps_the_session_after_close_too),
		cmocka_unit_test(a_client_that_hears_nothing_gives_up),
		cmocka_unit_test(a_client_that_writes_need_not_hear_anything),
		cmocka_unit_test(a_client_that_waits_asks_although_it_writes),
		cmocka_unit_test(a_client_that_waits_for_synced_asks_too),
		cmocka_unit_test(a_client_that_cannot_write_gives_up_and_queues_no_pings),
		cmocka_unit_test(a_server_that_hears_nothing_gives_up),
		cmocka_unit_test(bytes_that_a_server_does_not_take_yet_count_as_heard),
		cmocka_unit_test(greetings_are_complete_within_one_idle_time),
		cmocka_unit_test(a_server_gives_up_a_client_that_does_not_read_its_answers_after_close),
		cmocka_unit_test(a_server_is_patient_with_a_client_that_reads_slowly_after_close),
		cmocka_unit_test(a_ping_of_a_server_that_comes_late_does_not_end_the_session),
		cmocka_unit_test(idle_times_are_brought_into_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
