/* SPDX-License-Identifier: MIT */
/* The application's work where its content, its memory, its room or its client is missing. */
#include "fake.h"
#include "lib/failing.h"
#include <errno.h>
#include <lastbyte/conn.h>

static unsigned works;

static enum lb_reason reply_with_ok(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	(void)arg;
	assert_memory_equal(work->content, "xxxx", work->len);
	works++;
	memcpy(reply, "ok", 2);
	*lenp = 2;
	return LB_REASON_NONE;
}

static enum lb_reason reply_too_long(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	(void)arg, (void)work;
	strcpy(reply, "what another one was told");
	*lenp = LB_WORK_REPLY_MAX + 1;
	return LB_REASON_NONE;
}

static void start(struct fake *fake, lb_server_work *work)
{
	works = 0;
	fake->options.work = work;
	assert_int_equal(fake_start(fake), 0);
}

static const struct lb_event *deliver(struct fake *fake, enum lb_event_type type)
{
	struct peer *peer = fake_greet(fake, LB_FEATURE_REPLY);

	peer_deliver(fake, peer, 1, "text");
	fake_run(fake);
	assert_non_null(peer_heard(peer, type));
	return peer_heard(peer, type);
}

static void the_reply_comes_with_the_receipt(void **state)
{
	start(*state, reply_with_ok);
	assert_int_equal(deliver(*state, LB_EVENT_COMMITTED)->reply_len, 2);
	assert_int_equal(works, 1);
}

static void what_cannot_be_read_is_not_worked_on(void **state)
{
	struct fake *fake = *state;

	start(fake, reply_with_ok);
	fake->read_reason = LB_REASON_IO_ERROR;
	assert_int_equal(deliver(fake, LB_EVENT_REFUSED)->reason, LB_REASON_IO_ERROR);
	assert_int_equal(works, 0);
	assert_int_equal(fake->committed, 0);
	assert_int_equal(fake->rolled_back, 1);
}

static void without_knowing_that_nothing_is_decided_no_work_is_done(void **state)
{
	struct fake *fake = *state;

	start(fake, reply_with_ok);
	fake->look_error = -EBUSY;
	assert_int_equal(deliver(fake, LB_EVENT_REFUSED)->reason, LB_REASON_BUSY);
	assert_int_equal(works, 0);
	assert_int_equal(fake->committed, 0);
	assert_int_equal(fake->rolled_back, 1);
}

static void a_reply_that_is_too_long_commits_nothing_and_nothing_of_it_is_said(void **state)
{
	struct fake *fake = *state;
	const struct lb_event *event;

	start(fake, reply_too_long);
	event = deliver(fake, LB_EVENT_REFUSED);
	assert_int_equal(event->reason, LB_REASON_IO_ERROR);
	assert_string_equal(event->text, lb_reason_text(LB_REASON_IO_ERROR));
	assert_int_equal(fake->committed, 0);
	assert_int_equal(fake->rolled_back, 1);
}

static void a_limit_below_that_of_the_work_stays(void **state)
{
	struct fake *fake = *state;
	struct peer *peer;

	fake->options.max_delivery = 3;
	start(fake, reply_with_ok);
	peer = fake_greet(fake, LB_FEATURE_REPLY);
	peer_data(peer, peer_open(fake, peer, 1), "text");
	fake_run(fake);
	assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_TOO_LARGE);
	assert_int_equal(works, 0);
}

static void a_limit_above_that_of_the_work_is_that_of_the_work(void **state)
{
	struct fake *fake = *state;

	fake->options.max_delivery = 100;
	fake->options.work_max = 3;
	start(fake, reply_with_ok);
	assert_int_equal(peer_heard(fake_greet(fake, 0), LB_EVENT_HELLO_OK)->max_delivery, 3);
}

static enum lb_reason reply_with_much(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	(void)arg, (void)work;
	memset(reply, 'r', LB_WORK_REPLY_MAX);
	*lenp = LB_WORK_REPLY_MAX;
	return LB_REASON_NONE;
}

static void commits_that_found_no_room_when_the_connection_ended_are_reported_all_the_same(void **state)
{
	struct fake *fake = *state;
	struct peer *peer;

	start(fake, reply_with_much);
	peer = fake_greet(fake, LB_FEATURE_REPLY);
	peer->room = 0;
	for (uint64_t number = 1; number <= 6; number++) {
		uint32_t handle = peer_begin(peer, number, 1);

		peer_data(peer, handle, "text");
		peer_commit(peer, handle, "text");
		fake_run(fake);
	}
	assert_null(peer_heard(peer, LB_EVENT_COMMITTED));
	peer->recv_error = -ECONNRESET;
	fake_run(fake);
	assert_int_equal(fake->committed, 6);
	assert_int_equal(fake->n_reports, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(fake->reports[i].verdict, LB_VERDICT_COMMITTED);
}

static void without_memory_for_its_work_a_server_does_not_start(void **state)
{
	struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;
	struct fake *fake = *state;
	int r;

	fake->options.work = reply_with_ok;
	for (;; plan.at++) {
		failing_begin(&plan);
		r = fake_start(fake);
		if (!failing_end(&seen))
			break;
		assert_int_equal(r, -ENOMEM);
	}
	assert_int_equal(r, 0);
	assert_true(plan.at > 3);
}

static void without_memory_for_the_reply_it_is_not_committed(void **state)
{
	struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;

	(void)state;
	do {
		struct peer *peer;
		struct fake *fake;
		void *made;

		fake_setup(&made);
		fake = made;
		start(fake, reply_with_ok);
		peer = fake_greet(fake, LB_FEATURE_REPLY);
		peer_deliver(fake, peer, 1, "text");
		failing_begin(&plan);
		fake_run(fake);
		failing_end(&seen);
		assert_int_equal(peer_heard(peer, LB_EVENT_COMMITTED) != NULL, fake->committed == 1);
		assert_true(seen.name != NULL || fake->committed == 1);
		if (fake->committed == 0)
			assert_int_equal(peer_heard(peer, LB_EVENT_REFUSED)->reason, LB_REASON_BUSY);
		fake_teardown(&made);
		plan.at++;
	} while (seen.name != NULL);
	assert_true(plan.at > 2);
}

#define QUESTIONS 6

/* Questions whose replies are more than there is room for. */
static struct peer *ask_for_much(struct fake *fake)
{
	const struct lb_uuid ledger = {.bytes = {0x11}};
	struct peer *peer;

	start(fake, reply_with_ok);
	fake->resolve_reply = 20000;
	peer = fake_greet(fake, LB_FEATURE_REPLY);
	peer->room = 0;
	for (uint64_t number = 1; number <= QUESTIONS; number++) {
		struct lb_id id = fake_id(number);
		uint32_t handle;

		assert_int_equal(lb_conn_resolve(peer->conn, &id, &ledger, &handle), 0);
	}
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_RESOLVED));
	return peer;
}

static void answers_that_find_no_room_wait_for_it(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = ask_for_much(fake);
	unsigned answers = 0;

	peer->room = SIZE_MAX;
	fake_run(fake);
	for (unsigned i = 0; i < peer->n_events; i++) {
		answers += peer->events[i].type == LB_EVENT_RESOLVED;
		if (peer->events[i].type == LB_EVENT_RESOLVED)
			assert_int_equal(peer->events[i].reply_len, 20000);
	}
	assert_int_equal(answers, QUESTIONS);
}

static void those_of_a_connection_that_has_ended_go_to_nobody(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = ask_for_much(fake);

	peer->recv_error = -ECONNRESET;
	fake_run(fake);
	assert_true(peer->gone);
	assert_int_equal(fake->n_reports, 0); /* a question is no delivery */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(the_reply_comes_with_the_receipt),
		fake_test(what_cannot_be_read_is_not_worked_on),
		fake_test(without_knowing_that_nothing_is_decided_no_work_is_done),
		fake_test(a_reply_that_is_too_long_commits_nothing_and_nothing_of_it_is_said),
		fake_test(a_limit_below_that_of_the_work_stays),
		fake_test(a_limit_above_that_of_the_work_is_that_of_the_work),
		fake_test(commits_that_found_no_room_when_the_connection_ended_are_reported_all_the_same),
		fake_test(without_memory_for_its_work_a_server_does_not_start),
		cmocka_unit_test(without_memory_for_the_reply_it_is_not_committed),
		fake_test(answers_that_find_no_room_wait_for_it),
		fake_test(those_of_a_connection_that_has_ended_go_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
