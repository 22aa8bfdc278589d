/* SPDX-License-Identifier: MIT */
#include "fake.h"
#include "lib/failing.h"
#include "proto/frame.h"

/* How a connection ended, as the report of the delivery that was open says. */
static void is_reported_as(struct fake *fake, enum lb_end end)
{
	assert_int_equal(fake->n_reports, 1);
	assert_int_not_equal(fake->reports[0].verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->reports[0].reason, LB_REASON_BROKEN);
	assert_int_equal(fake->reports[0].ended, end);
	assert_int_equal(fake->left, 1);
	assert_int_equal(fake->committed, 0);
}

static void a_stream_that_fails_to_be_read_ends_as_its_error_says(void **state)
{
	static const struct {
		int error;
		enum lb_end end;
	} cases[] = {{-ECONNRESET, LB_END_RST}, {-ETIMEDOUT, LB_END_TIMEOUT}, {-EIO, LB_END_NET_ERROR}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		void *made;
		struct fake *fake;
		struct peer *peer;

		fake_setup_running(&made);
		fake = made;
		peer = fake_greet(fake, 0);
		peer_open(fake, peer, 1);
		peer->recv_error = cases[i].error;
		fake_run(fake);
		assert_true(peer->gone);
		is_reported_as(fake, cases[i].end);
		fake_teardown(&made);
	}
}

static void a_stream_that_fails_to_be_written_is_one_that_was_reset(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);
	uint32_t handle = peer_open(fake, peer, 1);

	peer->send_error = -EPIPE;
	fake->write_reason = LB_REASON_DISK_FULL;
	peer_data(peer, handle, "text");
	fake_run(fake);
	assert_true(peer->gone);
	assert_int_equal(fake->rolled_back, 1);
	assert_int_equal(fake->reports[0].reason, LB_REASON_DISK_FULL);
}

static void an_end_of_the_stream_is_no_commit(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_data(peer, peer_open(fake, peer, 1), "text");
	fake_run(fake);
	peer->fin = true;
	fake_run(fake);
	assert_true(peer->gone);
	is_reported_as(fake, LB_END_FIN);
}

static void a_client_that_says_nothing_is_timed_out(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_open(fake, peer, 1);
	peer->fin = false;
	fake->now += 60 * FAKE_SECOND;
	peer->to_server_len = 0;
	fake_run(fake);
	assert_true(peer->gone);
	is_reported_as(fake, LB_END_TIMEOUT);
}

static void what_is_no_frame_ends_the_connection(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_open(fake, peer, 1);
	memset(peer->to_server, 0xff, 64);
	peer->to_server_len = 64;
	fake_run(fake);
	assert_true(peer->gone);
	is_reported_as(fake, LB_END_PROTOCOL_ERROR);
}

static void after_close_ok_it_waits_for_the_clients_end_and_not_for_ever(void **state)
{
	struct fake *fake = *state;
	struct peer *polite = fake_greet(fake, 0), *mute = fake_greet(fake, 0);

	assert_int_equal(lb_conn_close(polite->conn), 0);
	assert_int_equal(lb_conn_close(mute->conn), 0);
	fake_run(fake);
	assert_non_null(peer_heard(polite, LB_EVENT_CLOSE_OK));
	assert_false(polite->gone || mute->gone);
	polite->fin = true;
	fake_run(fake);
	assert_true(polite->gone);
	assert_false(mute->gone);
	fake_pass(fake, 10 * FAKE_SECOND);
	assert_true(mute->gone);
}

static void one_that_stops_does_not_wait_for_it_longer_than_it_has(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	assert_int_equal(lb_conn_close(peer->conn), 0);
	fake_pass(fake, 5 * FAKE_SECOND); /* CLOSE_OK is said */
	lb_server_begin_stop(fake->server);
	fake_run(fake);
	assert_false(peer->gone);
	fake_pass(fake, 10 * FAKE_SECOND);
	assert_true(peer->gone);
	assert_true(fake->stopped);
}

static void an_ending_that_takes_its_time_is_stepped_until_it_is_over(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	fake->lingers = true;
	peer->fin = true;
	fake_run(fake);
	assert_false(peer->gone);
	lb_server_begin_stop(fake->server); /* which leaves it alone */
	fake_run(fake);
	assert_false(peer->gone);
	fake_pass(fake, 30 * FAKE_SECOND);
	assert_true(peer->gone);
	assert_true(fake->stopped);
}

static void what_there_is_no_room_for_waits_until_there_is(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer->room = 3;
	peer_begin(peer, 1, 1);
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_BEGIN_OK));
	peer->room = SIZE_MAX;
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_BEGIN_OK));
}

/* Its answers leave at once, and then there is room for those to the rest: nothing else would have it go on. */
static void more_pings_than_it_has_room_to_answer_together_are_answered(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);
	static const uint8_t payload[8];

	while (peer->to_server_len + 1024 < sizeof peer->to_server) {
		lb_header_put(peer->to_server + peer->to_server_len, LB_FRAME_PING, 0, sizeof payload);
		peer->to_server_len += LB_HEADER_BYTES;
		memcpy(peer->to_server + peer->to_server_len, payload, sizeof payload);
		peer->to_server_len += sizeof payload;
	}
	peer_begin(peer, 1, 1);
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_BEGIN_OK));
}

/* DATA waits for the answer to BEGIN, and what the server has to say for room: nothing is read any more. */
static struct peer *is_stuck(struct fake *fake)
{
	struct peer *peer = fake_greet(fake, 0);

	peer_data(peer, peer_begin(peer, 1, 1), "text");
	fake_run_without_jobs(fake);
	peer->room = 0;
	lb_server_begin_stop(fake->server); /* it says so */
	fake_run_without_jobs(fake);
	assert_false(peer->gone);
	return peer;
}

static void a_reset_is_noticed_when_nothing_is_read(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = is_stuck(fake);

	peer->recv_error = -ETIMEDOUT;
	fake_run(fake);
	assert_true(peer->gone);
	is_reported_as(fake, LB_END_TIMEOUT);
}

static void what_came_before_a_reset_and_was_not_read_is_not_taken(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = is_stuck(fake);

	peer_commit(peer, 1, "text");
	fake_run_without_jobs(fake);
	assert_true(peer->to_server_len > 0);
	peer->recv_error = -ECONNRESET;
	fake_run(fake);
	assert_true(peer->gone);
	is_reported_as(fake, LB_END_RST);
}

static void without_a_place_in_the_loop_a_connection_is_dropped(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_connect(fake, 0);

	fake->watch_error = -ENOMEM;
	fake_run(fake);
	assert_true(peer->gone);
	fake->watch_error = 0;
	fake_greet(fake, 0);
}

/* Everything that a connection does; without RESUME, DATA is said before BEGIN has its answer. */
static void live(struct fake *fake, struct peer *peer, bool resumes)
{
	const struct lb_uuid ledger = {.bytes = {0x11}};
	struct lb_id lowest = fake_id(1), asked = fake_id(9);
	uint32_t handle, other;

	fake_run(fake);
	if (peer->gone)
		return;
	assert_int_equal(lb_conn_settled(peer->conn, &lowest), 0);
	assert_int_equal(lb_conn_resolve(peer->conn, &asked, &ledger, &other), 0);
	handle = peer_begin(peer, 1, 1);
	if (resumes)
		fake_run(fake);
	else
		fake_run_without_jobs(fake);
	if (lb_conn_data(peer->conn, handle, "some text", 9) != 0)
		return; /* it was refused */
	fake_run_without_jobs(fake);
	if (resumes)
		(void)!lb_conn_sync(peer->conn, handle);
	fake_run(fake);
	if (peer->gone || peer_heard(peer, LB_EVENT_REFUSED) != NULL)
		return;
	peer_commit(peer, handle, "some text");
	fake_run(fake);
}

static void is_told_the_truth(bool resumes)
{
	struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;

	do {
		struct peer *peer, *next;
		struct fake *fake;
		void *made;

		fake_setup_running(&made);
		fake = made;
		peer = fake_connect(fake, resumes ? LB_FEATURE_RESUME : 0);
		failing_begin(&plan);
		live(fake, peer, resumes);
		failing_end(&seen);
		assert_int_equal(peer_heard(peer, LB_EVENT_COMMITTED) != NULL, fake->committed == 1);
		assert_true(fake->committed == 1 || seen.name != NULL);
		next = fake_greet(fake, 0);
		peer_deliver(fake, next, 2, "more");
		fake_run(fake);
		assert_non_null(peer_heard(next, LB_EVENT_COMMITTED));
		fake_teardown(&made);
		plan.at++;
	} while (seen.name != NULL);
	assert_true(plan.at > 5); /* of that many allocations each has failed */
}

static void whichever_allocation_fails_the_client_is_told_the_truth_and_the_next_one_is_served(void **state)
{
	(void)state;
	is_told_the_truth(false);
	is_told_the_truth(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_that_fails_to_be_read_ends_as_its_error_says),
		running_test(a_stream_that_fails_to_be_written_is_one_that_was_reset),
		running_test(an_end_of_the_stream_is_no_commit),
		running_test(a_client_that_says_nothing_is_timed_out),
		running_test(what_is_no_frame_ends_the_connection),
		running_test(after_close_ok_it_waits_for_the_clients_end_and_not_for_ever),
		running_test(one_that_stops_does_not_wait_for_it_longer_than_it_has),
		running_test(an_ending_that_takes_its_time_is_stepped_until_it_is_over),
		running_test(what_there_is_no_room_for_waits_until_there_is),
		running_test(more_pings_than_it_has_room_to_answer_together_are_answered),
		running_test(a_reset_is_noticed_when_nothing_is_read),
		running_test(what_came_before_a_reset_and_was_not_read_is_not_taken),
		running_test(without_a_place_in_the_loop_a_connection_is_dropped),
		cmocka_unit_test(
			whichever_allocation_fails_the_client_is_told_the_truth_and_the_next_one_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
