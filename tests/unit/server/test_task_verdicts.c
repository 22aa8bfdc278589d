/* SPDX-License-Identifier: MIT */
/* What becomes of a delivery when its sink, its connection, another attempt or the server's end comes in between. */
#include "fake.h"
#include "lib/failing.h"

static void what_was_asked_to_be_made_durable_is(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);
	uint32_t handle = peer_open(fake, peer, 1);

	peer_data(peer, handle, "text");
	fake_run(fake);
	assert_int_equal(lb_conn_sync(peer->conn, handle), 0);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_SYNCED)->offset, 4);
}

static void what_cannot_be_made_durable_is_refused_and_rolled_back(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);
	uint32_t handle = peer_open(fake, peer, 1);

	fake->sync_reason = LB_REASON_IO_ERROR;
	assert_int_equal(lb_conn_sync(peer->conn, handle), 0);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_IO_ERROR);
	assert_int_equal(fake->rolled_back, 1);
}

static void without_memory_for_a_sync_it_is_left_for_a_later_attempt(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);
	uint32_t handle = peer_open(fake, peer, 1);
	const struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;

	assert_int_equal(lb_conn_sync(peer->conn, handle), 0);
	failing_begin(&plan);
	fake_run(fake);
	assert_true(failing_end(&seen));
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_BUSY);
	assert_int_equal(fake->left, 1);
	assert_int_equal(fake->rolled_back, 0);
}

static void a_sync_that_fails_beside_a_commit_says_nothing_of_it(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);
	uint32_t handle = peer_deliver(fake, peer, 1, "text");

	fake->sync_reason = LB_REASON_IO_ERROR;
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_COMMITTED));
	handle = peer_open(fake, peer, 2);
	assert_int_equal(lb_conn_sync(peer->conn, handle), 0);
	peer_commit(peer, handle, "");
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_REFUSED));
	assert_int_equal(fake->committed, 2);
}

static void a_sync_whose_connection_has_ended_is_answered_to_nobody(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);
	uint32_t handle = peer_open(fake, peer, 1);

	assert_int_equal(lb_conn_sync(peer->conn, handle), 0);
	fake_run_without_jobs(fake);
	peer->fin = true;
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_SYNCED));
	assert_int_equal(fake->left, 1);
}

static void a_commit_in_doubt_is_said_to_nobody(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	fake->commit_verdict = LB_VERDICT_IN_DOUBT;
	fake->commit_reason = LB_REASON_IO_ERROR;
	peer_deliver(fake, peer, 1, "text");
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_REFUSED));
	assert_int_equal(peer_heard(peer, LB_EVENT_ERROR)->failure, LB_FAILURE_STORAGE);
	assert_int_equal(fake->reports[0].verdict, LB_VERDICT_IN_DOUBT);
}

/* Its client has a right to doubt, and no receipt that is wrong. */
static void a_receipt_that_is_not_of_what_was_sent_goes_to_nobody(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	fake->forges = true;
	peer_deliver(fake, peer, 1, "text");
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_COMMITTED));
	assert_null(peer_heard(peer, LB_EVENT_REFUSED));
	assert_int_equal(peer_heard(peer, LB_EVENT_ERROR)->failure, LB_FAILURE_STORAGE);
}

static void a_commit_goes_on_without_its_connection(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_deliver(fake, peer, 1, "text");
	fake_run_without_jobs(fake);
	peer->fin = true;
	fake_run(fake);
	assert_true(peer->gone);
	assert_int_equal(fake->committed, 1);
	assert_int_equal(fake->reports[0].verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->reports[0].ended, LB_END_FIN);
}

static void a_wrong_digest_is_rolled_back(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);
	uint32_t handle = peer_open(fake, peer, 1);

	peer_data(peer, handle, "text");
	fake_run(fake);
	peer_commit(peer, handle, "tixt");
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_WRONG_DIGEST);
	assert_int_equal(fake->committed, 0);
	assert_int_equal(fake->rolled_back, 1);
}

static void a_later_attempt_takes_over_and_an_earlier_one_is_told_to_wait(void **state)
{
	struct fake *fake = *state;
	struct peer *first = fake_greet(fake, 0), *second = fake_greet(fake, 0);

	peer_open(fake, first, 1);
	peer_begin(second, 1, 1);
	fake_run(fake);
	assert_int_equal(peer_heard(second, LB_EVENT_REFUSED)->reason, LB_REASON_BUSY);
	peer_begin(second, 1, 2);
	fake_run(fake);
	assert_int_equal(peer_heard(first, LB_EVENT_REFUSED)->reason, LB_REASON_SUPERSEDED);
	assert_non_null(peer_heard(second, LB_EVENT_BEGIN_OK));
	assert_int_equal(fake->left, 1);
}

static void an_attempt_is_superseded_on_its_own_connection_too(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);
	uint32_t handle = peer_open(fake, peer, 1);

	assert_int_equal(lb_conn_rollback(peer->conn, handle), 0);
	peer_begin(peer, 1, 2);
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_ROLLED_BACK));
	assert_int_equal(peer_heard(peer, LB_EVENT_BEGIN_OK)->handle, handle + 1);
	assert_int_equal(fake->rolled_back, 1);
}

static void one_whose_connection_ended_while_it_was_begun_is_left(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_begin(peer, 1, 1);
	fake_run_without_jobs(fake);
	peer->fin = true;
	fake_run_without_jobs(fake);
	assert_true(peer->gone);
	fake_run(fake);
	assert_int_equal(fake->left, 1);
	assert_int_equal(fake->reports[0].reason, LB_REASON_BROKEN);
}

static void what_the_sink_does_not_take_in_is_refused_at_once(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	fake->begin_verdict = LB_VERDICT_REFUSED;
	fake->begin_reason = LB_REASON_NAME_EXISTS;
	peer_begin(peer, 1, 1);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_NAME_EXISTS);
	fake_pass(fake, 2 * FAKE_SECOND);
	assert_int_equal(fake->reports[0].reason, LB_REASON_NAME_EXISTS);
	assert_int_equal(fake->reports[0].ended, LB_END_OPEN);
}

static void what_is_kept_is_hashed_again_before_it_goes_on(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);

	fake->kept = 3;
	peer_open(fake, peer, 1);
	assert_int_equal(fake->rehashed, 3);
	assert_int_equal(peer_heard(peer, LB_EVENT_BEGIN_OK)->offset, 3);
}

static void what_is_kept_and_is_too_large_by_now_is_rolled_back(void **state)
{
	struct fake *fake = *state;
	struct peer *peer;

	fake->options.max_delivery = 2;
	fake->kept = 3;
	assert_int_equal(fake_start(fake), 0);
	peer = fake_greet(fake, LB_FEATURE_RESUME);
	peer_begin(peer, 1, 1);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_TOO_LARGE);
	assert_int_equal(fake->rolled_back, 1);
}

static void what_is_still_hashed_when_the_server_stops_is_left_for_the_next(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, LB_FEATURE_RESUME);

	fake->kept = 3;
	peer_begin(peer, 1, 1);
	fake_run_without_jobs(fake);
	lb_server_begin_stop(fake->server);
	fake->now += 10 * FAKE_SECOND;
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_GOING_AWAY);
	assert_int_equal(fake->left, 1);
	assert_true(fake->stopped);
}

static void a_server_without_a_log_reports_nothing(void **state)
{
	struct fake *fake = *state;
	struct peer *peer;

	fake->options.report = NULL;
	assert_int_equal(fake_start(fake), 0);
	peer = fake_greet(fake, 0);
	peer_deliver(fake, peer, 1, "text");
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_COMMITTED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		running_test(what_was_asked_to_be_made_durable_is),
		running_test(what_cannot_be_made_durable_is_refused_and_rolled_back),
		running_test(without_memory_for_a_sync_it_is_left_for_a_later_attempt),
		running_test(a_sync_that_fails_beside_a_commit_says_nothing_of_it),
		running_test(a_sync_whose_connection_has_ended_is_answered_to_nobody),
		running_test(a_commit_in_doubt_is_said_to_nobody),
		running_test(a_receipt_that_is_not_of_what_was_sent_goes_to_nobody),
		running_test(a_commit_goes_on_without_its_connection),
		running_test(a_wrong_digest_is_rolled_back),
		running_test(a_later_attempt_takes_over_and_an_earlier_one_is_told_to_wait),
		running_test(an_attempt_is_superseded_on_its_own_connection_too),
		running_test(one_whose_connection_ended_while_it_was_begun_is_left),
		running_test(what_the_sink_does_not_take_in_is_refused_at_once),
		running_test(what_is_kept_is_hashed_again_before_it_goes_on),
		fake_test(what_is_kept_and_is_too_large_by_now_is_rolled_back),
		running_test(what_is_still_hashed_when_the_server_stops_is_left_for_the_next),
		fake_test(a_server_without_a_log_reports_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
