/* SPDX-License-Identifier: MIT */
#include "fake.h"
#include "lib/failing.h"

static void a_name_that_nobody_knows_is_told(void **state)
{
	struct fake *fake = *state;

	fake->resolve_error = -EINVAL;
	assert_int_equal(fake_start(fake), -EINVAL);
	assert_null(fake->server);
	assert_string_equal(fake->why, "cannot listen on 127.0.0.1: no such host");
	fake->options.listen = "nowhere";
	assert_int_equal(fake_start(fake), -EINVAL);
	assert_string_equal(fake->why, "cannot listen on nowhere: no such host");
}

static void an_address_that_is_not_loopback_needs_to_be_allowed(void **state)
{
	struct fake *fake = *state;

	fake->is_public = true;
	assert_int_equal(fake_start(fake), -EACCES);
	assert_non_null(strstr(fake->why, "--insecure"));
	fake->options.insecure = true;
	assert_int_equal(fake_start(fake), 0);
}

static void an_address_that_is_taken_is_told(void **state)
{
	struct fake *fake = *state;

	fake->listen_error = -EADDRINUSE;
	assert_int_equal(fake_start(fake), -EADDRINUSE);
	assert_string_equal(fake->why, "cannot listen on 127.0.0.1:7117: Address already in use");
}

static void without_a_place_in_the_loop_it_does_not_start(void **state)
{
	struct fake *fake = *state;

	fake->watch_error = -ENOMEM;
	assert_int_equal(fake_start(fake), -ENOMEM);
	assert_null(fake->server);
	fake->watch_error = 0;
}

static void without_memory_it_does_not_start(void **state)
{
	struct fake *fake = *state;
	struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;
	int r;

	for (;; plan.at++) {
		failing_begin(&plan);
		r = fake_start(fake);
		if (!failing_end(&seen))
			break;
		assert_int_equal(r, -ENOMEM);
		assert_string_equal(fake->why, "out of memory");
	}
	assert_int_equal(r, 0);
	assert_true(plan.at > 1);
}

static void when_no_descriptor_is_left_it_accepts_again_a_moment_later(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_connect(fake, 0);

	fake->accept_error = -EMFILE;
	fake_run(fake); /* and does not go round in circles */
	assert_int_equal(fake->accepted, 0);
	fake->accept_error = 0;
	fake_run(fake);
	assert_int_equal(fake->accepted, 0);
	fake_pass(fake, FAKE_SECOND / 10);
	assert_non_null(peer_heard(peer, LB_EVENT_HELLO_OK));
}

static void who_comes_beyond_max_sessions_is_told_that_it_is_busy(void **state)
{
	struct fake *fake = *state;
	struct peer *peer;

	fake->options.max_sessions = 1;
	assert_int_equal(fake_start(fake), 0);
	fake_greet(fake, 0);
	peer = fake_connect(fake, 0);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_ERROR)->failure, LB_FAILURE_BUSY);
	assert_true(peer->gone);
}

static void far_beyond_it_they_wait_to_be_accepted(void **state)
{
	struct fake *fake = *state;

	fake->options.max_sessions = 1;
	fake->lingers = true; /* those that are told take their time to go */
	assert_int_equal(fake_start(fake), 0);
	for (int i = 0; i < 68; i++)
		fake_connect(fake, 0);
	fake_run(fake);
	assert_int_equal(fake->accepted, 65);
	fake_pass(fake, 30 * FAKE_SECOND);
	assert_int_equal(fake->accepted, 68);
}

static void a_server_that_stops_takes_who_waits_and_says_goodbye(void **state)
{
	struct fake *fake = *state;
	struct peer *idle = fake_greet(fake, 0), *waits = fake_connect(fake, 0);

	lb_server_begin_stop(fake->server);
	lb_server_begin_stop(fake->server); /* once is enough */
	fake_run(fake);
	assert_int_equal(fake->accepted, 2);
	assert_non_null(peer_heard(idle, LB_EVENT_GOING_AWAY));
	assert_false(idle->gone); /* a COMMIT may be on its way */
	fake_pass(fake, FAKE_SECOND);
	assert_true(idle->gone);
	assert_non_null(peer_heard(waits, LB_EVENT_GOING_AWAY));
	fake_pass(fake, 20 * FAKE_SECOND);
	assert_true(waits->gone);
	assert_true(fake->stopped);
}

static void what_was_on_its_way_when_it_stops_is_refused(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	lb_server_begin_stop(fake->server);
	fake_run(fake);
	peer_begin(peer, 1, 1);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_GOING_AWAY);
	fake_pass(fake, FAKE_SECOND);
	assert_true(peer->gone);
	assert_true(fake->stopped);
}

static void what_is_open_when_it_stops_may_finish(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);
	uint32_t handle = peer_open(fake, peer, 1);

	lb_server_begin_stop(fake->server);
	fake_run(fake);
	assert_false(fake->stopped);
	peer_data(peer, handle, "text");
	fake_run(fake);
	peer_commit(peer, handle, "text");
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_COMMITTED));
	peer_begin(peer, 2, 1);
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_GOING_AWAY);
	peer->fin = true;
	fake_run(fake);
	assert_true(fake->stopped);
}

static void what_is_open_when_its_time_is_up_is_rolled_back(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_open(fake, peer, 1);
	lb_server_begin_stop(fake->server);
	fake_pass(fake, 10 * FAKE_SECOND);
	assert_int_equal(peer_heard(peer, LB_EVENT_ERROR)->failure, LB_FAILURE_STOPPED);
	assert_true(fake->stopped);
	assert_int_equal(fake->left, 1);
	assert_int_equal(fake->committed, 0);
}

static void what_is_at_work_when_its_time_is_up_has_its_answer_first(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	peer_deliver(fake, peer, 1, "text");
	fake_run_without_jobs(fake);
	lb_server_begin_stop(fake->server);
	fake->now += 10 * FAKE_SECOND;
	fake_run_without_jobs(fake);
	assert_null(peer_heard(peer, LB_EVENT_ERROR));
	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_COMMITTED));
	assert_int_equal(peer_heard(peer, LB_EVENT_ERROR)->failure, LB_FAILURE_STOPPED);
	assert_true(fake->stopped);
}

static void the_sinks_limit_holds_and_that_of_the_options_where_it_is_smaller(void **state)
{
	static const struct {
		uint64_t sinks, wanted, limit;
	} cases[] = {{0, 0, UINT64_MAX}, {0, 9, 9}, {5, 0, 5}, {5, 9, 5}, {5, 3, 3}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fake *fake;
		void *made;

		fake_setup(&made);
		fake = made;
		fake->sink.max_delivery = cases[i].sinks;
		fake->options.max_delivery = cases[i].wanted;
		assert_int_equal(fake_start(fake), 0);
		assert_int_equal(
			peer_heard(fake_greet(fake, 0), LB_EVENT_HELLO_OK)->max_delivery, cases[i].limit);
		fake_teardown(&made);
	}
}

static void without_memory_for_a_sweep_it_comes_with_the_next(void **state)
{
	struct fake *fake = *state;
	const struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;

	failing_begin(&plan);
	fake_pass(fake, 1000 * FAKE_SECOND);
	assert_true(failing_end(&seen));
	assert_int_equal(fake->swept, 0);
	fake_pass(fake, 1000 * FAKE_SECOND);
	assert_int_equal(fake->swept, 1);
}

static void what_is_kept_is_swept_now_and_then(void **state)
{
	struct fake *fake = *state;

	fake_pass(fake, 1000 * FAKE_SECOND);
	assert_int_equal(fake->swept, 1);
	fake_pass(fake, 1000 * FAKE_SECOND);
	assert_int_equal(fake->swept, 2);
}

static void the_public_calls_use_the_machine_itself(void **state)
{
	struct fake *fake = *state;
	struct lb_server *server;

	fake->options.listen = "nowhere:1:2";
	assert_int_equal(lb_server_new(&fake->sink, &fake->options, &server, fake->why), -EINVAL);
	assert_null(server);
	assert_non_null(strstr(fake->why, "nowhere"));
	fake->options.listen = "127.0.0.1:0";
	assert_int_equal(lb_server_new(&fake->sink, &fake->options, &server, fake->why), 0);
	assert_int_not_equal(lb_server_port(server), 0);
	assert_memory_equal(lb_server_address(server), "127.0.0.1:", 10);
	lb_server_stop(server); /* before it runs: it stops at once */
	assert_int_equal(lb_server_run(server), 0);
	lb_server_free(server);
}

static void without_a_descriptor_for_the_loop_there_is_no_server(void **state)
{
	struct failing_plan plan = {.at = 1};
	struct failing_seen seen;
	struct fake *fake = *state;
	struct lb_server *server;
	int r;

	fake->options.listen = "127.0.0.1:0";
	do {
		failing_begin(&plan);
		r = lb_server_new(&fake->sink, &fake->options, &server, fake->why);
		failing_end(&seen);
		assert_true(r == 0 || seen.name != NULL);
		assert_true((r == 0) == (server != NULL));
		lb_server_free(server);
		failing_next(&plan, &seen);
	} while (seen.name != NULL);
}

static void a_server_of_nothing_can_be_freed(void **state)
{
	(void)state;
	lb_server_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(a_name_that_nobody_knows_is_told),
		fake_test(an_address_that_is_not_loopback_needs_to_be_allowed),
		fake_test(an_address_that_is_taken_is_told),
		fake_test(without_a_place_in_the_loop_it_does_not_start),
		fake_test(without_memory_it_does_not_start),
		running_test(when_no_descriptor_is_left_it_accepts_again_a_moment_later),
		fake_test(who_comes_beyond_max_sessions_is_told_that_it_is_busy),
		fake_test(far_beyond_it_they_wait_to_be_accepted),
		running_test(a_server_that_stops_takes_who_waits_and_says_goodbye),
		running_test(what_was_on_its_way_when_it_stops_is_refused),
		running_test(what_is_open_when_it_stops_may_finish),
		running_test(what_is_open_when_its_time_is_up_is_rolled_back),
		running_test(what_is_at_work_when_its_time_is_up_has_its_answer_first),
		cmocka_unit_test(the_sinks_limit_holds_and_that_of_the_options_where_it_is_smaller),
		running_test(without_memory_for_a_sweep_it_comes_with_the_next),
		running_test(what_is_kept_is_swept_now_and_then),
		fake_test(the_public_calls_use_the_machine_itself),
		fake_test(without_a_descriptor_for_the_loop_there_is_no_server),
		cmocka_unit_test(a_server_of_nothing_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
