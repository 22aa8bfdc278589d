/* SPDX-License-Identifier: MIT */
#include "fake.h"

static const struct lb_event *answer(
	struct fake *fake, enum lb_verdict verdict, enum lb_reason reason, enum lb_event_type type)
{
	const struct lb_uuid ledger = {.bytes = {0x11}};
	struct lb_id id = fake_id(7);
	struct peer *peer = fake_greet(fake, 0);
	const struct lb_event *event;
	uint32_t handle;

	fake->resolve_verdict = verdict;
	fake->resolve_reason = reason;
	assert_int_equal(lb_conn_resolve(peer->conn, &id, &ledger, &handle), 0);
	fake_run(fake);
	event = peer_heard(peer, type);
	assert_non_null(event);
	assert_int_equal(event->handle, handle);
	return event;
}

static void a_question_has_the_answer_of_the_sink(void **state)
{
	const struct lb_event *event =
		answer(*state, LB_VERDICT_COMMITTED, LB_REASON_NONE, LB_EVENT_RESOLVED);

	assert_int_equal(event->verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(event->receipt.id.number, 7);
	event = answer(*state, LB_VERDICT_ROLLED_BACK, LB_REASON_FENCED, LB_EVENT_RESOLVED);
	assert_int_equal(event->verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(event->reason, LB_REASON_FENCED);
	event = answer(*state, LB_VERDICT_FORGOTTEN, LB_REASON_FORGOTTEN, LB_EVENT_RESOLVED);
	assert_int_equal(event->verdict, LB_VERDICT_FORGOTTEN);
}

/* It may be committed: that is no verdict. */
static void what_the_sink_cannot_tell_now_is_refused(void **state)
{
	const struct lb_event *event =
		answer(*state, LB_VERDICT_NOT_COMMITTED, LB_REASON_IO_ERROR, LB_EVENT_REFUSED);

	assert_int_equal(event->reason, LB_REASON_IO_ERROR);
	event = answer(*state, LB_VERDICT_IN_DOUBT, LB_REASON_DISK_FULL, LB_EVENT_REFUSED);
	assert_int_equal(event->reason, LB_REASON_DISK_FULL);
}

static void a_question_whose_connection_has_ended_is_answered_to_nobody(void **state)
{
	struct fake *fake = *state;
	struct lb_id id = fake_id(7);
	const struct lb_uuid ledger = {.bytes = {0x11}};
	struct peer *peer = fake_greet(fake, 0);
	uint32_t handle;

	assert_int_equal(lb_conn_resolve(peer->conn, &id, &ledger, &handle), 0);
	fake_run_without_jobs(fake);
	peer->fin = true;
	fake_run_without_jobs(fake);
	assert_true(peer->gone);
	fake_run(fake);
	assert_null(peer_heard(peer, LB_EVENT_RESOLVED));
}

static void settle(struct peer *peer, uint64_t lowest)
{
	struct lb_id id = fake_id(lowest);

	assert_int_equal(lb_conn_settled(peer->conn, &id), 0);
}

static void of_settled_that_come_while_one_is_at_work_the_highest_is_done(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	for (uint64_t lowest = 2; lowest <= 5; lowest++) {
		settle(peer, lowest);
		fake_run_without_jobs(fake);
	}
	fake_run(fake);
	assert_int_equal(fake->settled, 2);
	assert_int_equal(fake->lowest.number, 5);
}

static void one_that_is_at_work_outlives_its_connection(void **state)
{
	struct fake *fake = *state;
	struct peer *peer = fake_greet(fake, 0);

	settle(peer, 2);
	fake_run_without_jobs(fake);
	settle(peer, 3);
	fake_run_without_jobs(fake);
	peer->fin = true;
	fake_run_without_jobs(fake);
	assert_true(peer->gone);
	fake_run(fake);
	assert_int_equal(fake->settled, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		running_test(a_question_has_the_answer_of_the_sink),
		running_test(what_the_sink_cannot_tell_now_is_refused),
		running_test(a_question_whose_connection_has_ended_is_answered_to_nobody),
		running_test(of_settled_that_come_while_one_is_at_work_the_highest_is_done),
		running_test(one_that_is_at_work_outlives_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
