/* SPDX-License-Identifier: MIT */
#include "pair.h"

static void a_delivery_goes_through(size_t piece)
{
	struct pair *pair = pair_new((struct lb_conn_options){0}, (struct lb_conn_options){0});
	struct lb_begin begin = pair_begin(41, "dump.sql");
	struct lb_digest digest = pair_digest(0xab);
	struct lb_receipt receipt = pair_receipt(41, "dump.sql", 11, digest);
	const struct lb_event *event;
	uint32_t handle;

	pair->piece = piece;
	pair_run(pair);
	event = side_event(&pair->server, LB_EVENT_HELLO);
	assert_memory_equal(event->id.client, pair_client_id, 16);
	event = side_event(&pair->client, LB_EVENT_HELLO_OK);
	assert_memory_equal(&event->ledger, &pair_ledger, sizeof pair_ledger);

	begin.length = 11;
	assert_int_equal(lb_conn_begin(pair->client.conn, &begin, &handle), 0);
	pair_run(pair);
	event = side_event(&pair->server, LB_EVENT_BEGIN);
	assert_int_equal(event->handle, handle);
	assert_memory_equal(&event->id, &begin.id, sizeof begin.id);
	assert_int_equal(event->attempt, 1);
	assert_int_equal(event->length, 11);
	assert_string_equal(event->name, "dump.sql");
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, handle, 0, false), 0);
	pair_run(pair);
	side_event(&pair->client, LB_EVENT_BEGIN_OK);

	assert_int_equal(lb_conn_data(pair->client.conn, handle, "hello ", 6), 0);
	pair_run(pair);
	assert_int_equal(lb_conn_data(pair->client.conn, handle, "world", 5), 0);
	assert_int_equal(lb_conn_commit(pair->client.conn, handle, 11, &digest), 0);
	assert_false(lb_conn_commit_sent(pair->client.conn, handle));
	pair_run(pair);
	assert_true(lb_conn_commit_sent(pair->client.conn, handle));
	event = side_event(&pair->server, LB_EVENT_COMMIT);
	assert_int_equal(event->length, 11);
	assert_memory_equal(&event->digest, &digest, sizeof digest);
	assert_int_equal(pair->server.data_len, 11);
	assert_memory_equal(pair->server.data, "hello world", 11);

	assert_int_equal(lb_conn_committed(pair->server.conn, handle, &receipt), 0);
	pair_run(pair);
	event = side_event(&pair->client, LB_EVENT_COMMITTED);
	assert_int_equal(event->verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(event->receipt.committed_at, receipt.committed_at);
	assert_memory_equal(&event->receipt.ledger, &pair_ledger, sizeof pair_ledger);
	assert_string_equal(event->receipt.placed, "dump.sql");

	assert_int_equal(lb_conn_close(pair->client.conn), 0);
	pair_run(pair);
	side_event(&pair->server, LB_EVENT_CLOSE);
	side_event(&pair->client, LB_EVENT_CLOSE_OK);
	side_no_event(&pair->client);
	side_no_event(&pair->server);
	assert_int_equal(lb_conn_state(pair->client.conn), LB_CONN_CLOSED);
	assert_int_equal(lb_conn_state(pair->server.conn), LB_CONN_CLOSED);
	pair_free(pair);
}

static void a_delivery_goes_through_whole(void **state)
{
	(void)state;
	a_delivery_goes_through(0);
}

static void a_delivery_goes_through_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 40; piece++)
		a_delivery_goes_through(piece);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivery_goes_through_whole),
		cmocka_unit_test(a_delivery_goes_through_in_pieces_of_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
