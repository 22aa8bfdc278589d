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

/* Feeds bytes to a server that has not been greeted, one by one; how many it took until it failed. */
static size_t taken_until_failure(const void *bytes, size_t len, enum lb_failure failure)
{
	struct pair *pair = pair_new((struct lb_conn_options){0}, (struct lb_conn_options){0});
	size_t n = 0;

	while (n < len && lb_conn_state(pair->server.conn) != LB_CONN_FAILED)
		side_feed(&pair->server, (const uint8_t *)bytes + n++, 1, 0, pair->now);
	side_failed(&pair->server, failure, pair->now);
	pair_free(pair);
	return n;
}

static void what_is_not_this_protocol_is_told_so_at_once(void **state)
{
	static const uint8_t tls[] = {0x16, 0x03, 0x01, 0x02, 0x00}, tpkt[] = {0x03, 0x00, 0x00, 0x13};
	uint8_t hello[LB_HEADER_BYTES + 36] = {0};

	(void)state;
	assert_int_equal(taken_until_failure("GET / HTTP/1.1", 14, LB_FAILURE_NOT_LASTBYTE), 1);
	assert_int_equal(taken_until_failure("SSH-2.0-", 8, LB_FAILURE_NOT_LASTBYTE), 1);
	assert_int_equal(taken_until_failure("\r\n", 2, LB_FAILURE_NOT_LASTBYTE), 2);
	assert_int_equal(taken_until_failure(tls, sizeof tls, LB_FAILURE_NOT_LASTBYTE), 1);
	assert_int_equal(taken_until_failure(tpkt, sizeof tpkt, LB_FAILURE_NOT_LASTBYTE), 4);
	lb_header_put(hello, LB_FRAME_HELLO, 0, 36);
	memcpy(hello + LB_HEADER_BYTES, "LASTBITE", 8);
	assert_int_equal(
		taken_until_failure(hello, sizeof hello, LB_FAILURE_NOT_LASTBYTE), LB_HEADER_BYTES + 6);
}

static void a_client_notices_that_its_server_is_none(void **state)
{
	struct pair *pair = pair_new((struct lb_conn_options){0}, (struct lb_conn_options){0});
	uint8_t hello[256];

	(void)state;
	side_written(&pair->client, hello, sizeof hello, pair->now);
	side_feed(&pair->client, "HTTP/1.1 400 Bad Request", 24, 0, pair->now);
	side_failed(&pair->client, LB_FAILURE_NOT_LASTBYTE, pair->now);
	pair_free(pair);
}

/* A greeted server is given the header of a frame with these parts. */
static void fails_on(unsigned type, uint8_t zero, uint32_t handle, uint32_t length, enum lb_failure failure)
{
	struct pair *pair = pair_new_greeted(0);
	uint8_t header[LB_HEADER_BYTES];

	lb_header_put(header, type, handle, length);
	header[2] = zero;
	side_feed(&pair->server, header, sizeof header, 0, pair->now);
	side_failed(&pair->server, failure, pair->now);
	pair_free(pair);
}

static void a_header_that_is_none_is_an_error_of_its_kind(void **state)
{
	(void)state;
	fails_on(0, 0, 0, 0, LB_FAILURE_FRAME_TYPE);
	fails_on(0x16, 0, 0, 0, LB_FAILURE_FRAME_TYPE);
	fails_on(0xff, 1, 9, UINT32_MAX, LB_FAILURE_FRAME_TYPE);
	fails_on(LB_FRAME_PING, 1, 0, 8, LB_FAILURE_FRAME_CONTENT);
	fails_on(LB_FRAME_PING, 0, 1, 8, LB_FAILURE_HANDLE);
	fails_on(LB_FRAME_PING, 0, 0, 7, LB_FAILURE_FRAME_LENGTH);
	fails_on(LB_FRAME_PING, 0, 0, 9, LB_FAILURE_FRAME_LENGTH);
	fails_on(LB_FRAME_PING, 0, 0, UINT32_MAX, LB_FAILURE_FRAME_LENGTH);
	fails_on(LB_FRAME_CLOSE, 0, 0, 1, LB_FAILURE_FRAME_LENGTH);
	fails_on(LB_FRAME_BEGIN, 0, 1, 52, LB_FAILURE_FRAME_LENGTH);
	fails_on(LB_FRAME_BEGIN, 0, 1, 309, LB_FAILURE_FRAME_LENGTH);
	fails_on(LB_FRAME_BEGIN_OK, 0, 1, 12, LB_FAILURE_STATE);
}

static void a_data_frame_has_from_one_byte_to_a_mebibyte(void **state)
{
	static const struct {
		uint32_t length;
		bool fine;
	} cases[] = {
		{0, false}, {1, true}, {LB_DATA_MAX, true}, {LB_DATA_MAX + 1, false}, {UINT32_MAX, false}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair *pair = pair_new_greeted(0);
		uint32_t handle = pair_open(pair, 1);
		uint8_t header[LB_HEADER_BYTES];

		lb_header_put(header, LB_FRAME_DATA, handle, cases[i].length);
		side_feed(&pair->server, header, sizeof header, 0, pair->now);
		if (cases[i].fine)
			side_no_event(&pair->server);
		else
			side_failed(&pair->server, LB_FAILURE_FRAME_LENGTH, pair->now);
		pair_free(pair);
	}
}

static void data_is_handed_out_where_it_lies(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	uint32_t handle = pair_open(pair, 1);
	uint8_t bytes[LB_HEADER_BYTES + 10];
	struct lb_event event;

	(void)state;
	lb_header_put(bytes, LB_FRAME_DATA, handle, 10);
	assert_int_equal(lb_conn_recv(pair->server.conn, bytes, LB_HEADER_BYTES + 4, pair->now, &event),
		LB_HEADER_BYTES + 4);
	assert_int_equal(event.type, LB_EVENT_DATA);
	assert_int_equal(event.handle, handle);
	assert_ptr_equal(event.data, bytes + LB_HEADER_BYTES);
	assert_int_equal(event.len, 4);
	assert_int_equal(
		lb_conn_recv(pair->server.conn, bytes + LB_HEADER_BYTES + 4, 6, pair->now, &event), 6);
	assert_ptr_equal(event.data, bytes + LB_HEADER_BYTES + 4);
	assert_int_equal(event.len, 6);
	pair_free(pair);
}

static void a_ping_gets_its_eight_bytes_back(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_greeted(0);
		struct side *side = i == 0 ? &pair->server : &pair->client;

		side_frame(side, LB_FRAME_PING, 0, "\0\1\2\3pong", 8, pair->now);
		assert_memory_equal(side_wrote_frame(side, LB_FRAME_PONG, 0, pair->now), "\0\1\2\3pong", 8);
		side_no_event(side);
		pair_free(pair);
	}
}

static void a_flood_of_pings_is_taken_only_as_it_is_answered(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_greeted(0);
		struct side *side = i == 0 ? &pair->server : &pair->client;
		uint8_t ping[LB_HEADER_BYTES + 8] = {0};
		static uint8_t bytes[1 << 16];
		size_t answered, flood = 6000;

		lb_header_put(ping, LB_FRAME_PING, 0, 8);
		for (size_t n = 0; n < flood; n++)
			side_feed(side, ping, sizeof ping, 0, pair->now);
		assert_true(side->stash_len > 0);
		answered = side_written(side, bytes, sizeof bytes, pair->now) / sizeof ping;
		assert_true(answered > 0 && answered < flood);
		do {
			side_feed(side, ping, 0, 0, pair->now);
			answered += side_written(side, bytes, sizeof bytes, pair->now) / sizeof ping;
		} while (side->stash_len > 0);
		assert_int_equal(answered, flood);
		pair_free(pair);
	}
}

static void a_server_has_room_for_every_answer_although_nothing_is_read(void **state)
{
	struct pair *pair = pair_new_greeted(LB_FEATURE_RESUME);
	uint8_t ping[LB_HEADER_BYTES + 8] = {0};
	struct lb_receipt receipt = pair_receipt(1, "", 0, pair_digest(1));
	char text[300];
	uint32_t handle;

	(void)state;
	memset(receipt.name, 'n', LB_NAME_MAX);
	memset(receipt.placed, 'p', LB_NAME_MAX);
	memset(text, 't', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	lb_header_put(ping, LB_FRAME_PING, 0, 8);
	for (int i = 0; i < LB_UNDECIDED_MAX; i++)
		assert_int_equal(lb_conn_resolve(pair->client.conn, &receipt.id, &pair_ledger, &handle), 0);
	pair_run(pair);
	for (int i = 0; i < 1000; i++)
		side_feed(&pair->server, ping, sizeof ping, 0, pair->now);
	for (uint32_t h = 1; h <= LB_UNDECIDED_MAX; h++)
		assert_int_equal(lb_conn_resolved(pair->server.conn, h, LB_VERDICT_COMMITTED, LB_REASON_NONE,
					 &receipt),
			0);
	assert_int_equal(lb_conn_going_away(pair->server.conn), 0);
	lb_conn_fail(pair->server.conn, LB_FAILURE_STORAGE, text);
	assert_true(pair->server.conn->output.used <= pair->server.conn->output.size);
	pair->server.stash_len = 0;
	pair_run(pair);
	for (uint32_t h = 1; h <= LB_UNDECIDED_MAX; h++)
		assert_int_equal(side_event(&pair->client, LB_EVENT_RESOLVED)->handle, h);
	side_event(&pair->client, LB_EVENT_GOING_AWAY);
	assert_int_equal(strlen(side_event(&pair->client, LB_EVENT_ERROR)->text), LB_TEXT_MAX);
	pair_free(pair);
}

static void an_error_of_the_peer_is_never_answered(void **state)
{
	static const uint8_t payload[] = {0x03, 0xe7, 'w', 'h', 'y', '\n'};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_greeted(0);
		struct side *side = i == 0 ? &pair->server : &pair->client;
		const struct lb_event *event;

		side_frame(side, LB_FRAME_ERROR, 0, payload, sizeof payload, pair->now);
		event = side_event(side, LB_EVENT_ERROR);
		assert_true(event->from_peer);
		assert_int_equal(event->failure, 999);
		assert_string_equal(event->text, "why?");
		assert_int_equal(lb_conn_state(side->conn), LB_CONN_FAILED);
		assert_int_equal(lb_conn_send(side->conn, (struct iovec[4]){0}, 4), 0);
		pair_free(pair);
	}
}

static void a_failure_of_0_is_an_unknown_one(void **state)
{
	static const uint8_t payload[] = {0, 0};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct pair *pair = pair_new_greeted(0);
		struct side *side = i == 0 ? &pair->server : &pair->client;

		side_frame(side, LB_FRAME_ERROR, 0, payload, sizeof payload, pair->now);
		assert_true(side_event(side, LB_EVENT_ERROR)->from_peer);
		assert_int_equal(lb_conn_state(side->conn), LB_CONN_FAILED);
		assert_int_equal(lb_conn_send(side->conn, (struct iovec[4]){0}, 4), 0);
		pair_free(pair);
	}
}

static void not_even_an_error_that_is_none_is_answered(void **state)
{
	static const struct {
		uint8_t zero;
		uint32_t handle, length;
	} wrong[] = {{1, 0, 2}, {0, 1, 2}, {0, 0, 1}, {0, 0, 258}};

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pair *pair = pair_new_greeted(0);
		uint8_t header[LB_HEADER_BYTES];

		lb_header_put(header, LB_FRAME_ERROR, wrong[i].handle, wrong[i].length);
		header[3] = wrong[i].zero;
		side_feed(&pair->server, header, sizeof header, 0, pair->now);
		side_event(&pair->server, LB_EVENT_ERROR);
		assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
		pair_free(pair);
	}
}

static void after_a_failure_everything_is_taken_and_ignored(void **state)
{
	struct pair *pair = pair_new_greeted(0);
	struct lb_event event;

	(void)state;
	lb_conn_fail(pair->server.conn, LB_FAILURE_STOPPED, "stop\nped");
	lb_conn_fail(pair->server.conn, LB_FAILURE_STORAGE, "again");
	assert_int_equal(
		side_wrote_frame(&pair->server, LB_FRAME_ERROR, 0, pair->now)[1], LB_FAILURE_STOPPED);
	assert_int_equal(lb_conn_recv(pair->server.conn, "GET / HTTP", 10, pair->now, &event), 10);
	assert_int_equal(event.type, LB_EVENT_NONE);
	lb_conn_tick(pair->server.conn, pair->now + 3600 * SECOND, &event);
	assert_int_equal(event.type, LB_EVENT_NONE);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	pair_free(pair);
}

static void more_reported_written_than_there_was_does_no_harm(void **state)
{
	struct pair *pair = pair_new_greeted(0);

	(void)state;
	side_frame(&pair->server, LB_FRAME_PING, 0, "12345678", 8, pair->now);
	lb_conn_sent(pair->server.conn, 1000000, pair->now);
	assert_int_equal(lb_conn_send(pair->server.conn, (struct iovec[4]){0}, 4), 0);
	side_frame(&pair->server, LB_FRAME_PING, 0, "abcdefgh", 8, pair->now);
	assert_memory_equal(side_wrote_frame(&pair->server, LB_FRAME_PONG, 0, pair->now), "abcdefgh", 8);
	pair_free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delivery_goes_through_whole),
		cmocka_unit_test(a_delivery_goes_through_in_pieces_of_any_size),
		cmocka_unit_test(what_is_not_this_protocol_is_told_so_at_once),
		cmocka_unit_test(a_client_notices_that_its_server_is_none),
		cmocka_unit_test(a_header_that_is_none_is_an_error_of_its_kind),
		cmocka_unit_test(a_data_frame_has_from_one_byte_to_a_mebibyte),
		cmocka_unit_test(data_is_handed_out_where_it_lies),
		cmocka_unit_test(a_ping_gets_its_eight_bytes_back),
		cmocka_unit_test(a_flood_of_pings_is_taken_only_as_it_is_answered),
		cmocka_unit_test(a_server_has_room_for_every_answer_although_nothing_is_read),
		cmocka_unit_test(an_error_of_the_peer_is_never_answered),
		cmocka_unit_test(a_failure_of_0_is_an_unknown_one),
		cmocka_unit_test(not_even_an_error_that_is_none_is_answered),
		cmocka_unit_test(after_a_failure_everything_is_taken_and_ignored),
		cmocka_unit_test(more_reported_written_than_there_was_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
