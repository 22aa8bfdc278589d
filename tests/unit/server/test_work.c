/* SPDX-License-Identifier: MIT */
/* What shares a batch of the worker, and how its answers leave. */
#include "server_fixture.h"

#define N 15 /* with the one under way, as many as a connection may have undecided */

/* All that was said is with the server: it answers in order. */
static void ping(struct wire *wire)
{
	wire_say(wire, LB_FRAME_PING, "12345678", 8);
	wire_send(wire);
	wire_hear(wire, LB_FRAME_PONG);
}

/* One delivery whose commit is under way, and held. */
static void hold_one(struct serving *serving, struct wire *wire)
{
	serving->held = true;
	serving->sink.begins_at_once = true;
	serving_start(serving);
	wire_open(wire, serving, 1, 0);
	wire_deliver(wire, 1, "first");
	wire_send(wire);
	await_commit(serving);
	wire_hear(wire, LB_FRAME_BEGIN_OK);
}

static void say_many(struct wire *wire, int n)
{
	for (int i = 0; i < n; i++)
		wire_deliver(wire, 1, "more");
	wire_send(wire);
	for (int i = 0; i < n; i++)
		wire_hear(wire, LB_FRAME_BEGIN_OK);
	ping(wire);
}

static void the_commits_of_one_connection_share_a_batch_and_a_write(void **state)
{
	struct serving serving = {0};
	struct wire wire;
	unsigned sends;

	(void)state;
	hold_one(&serving, &wire);
	say_many(&wire, N);
	sends = serving.sends;
	let_go(&serving);
	wire_hear(&wire, LB_FRAME_COMMITTED);
	await_commit(&serving);
	let_go(&serving);
	for (int i = 0; i < N; i++)
		wire_hear(&wire, LB_FRAME_COMMITTED);
	assert_int_equal(serving.sends - sends, 2);
	wire_close(&wire);
	serving_end(&serving);
	assert_int_equal(serving.n_batches, 2);
	assert_int_equal(serving.batches[0], 1);
	assert_int_equal(serving.batches[1], N);
}

static void the_commits_of_several_connections_share_a_batch(void **state)
{
	struct serving serving = {0};
	struct wire wire, others[3];
	unsigned sends;

	(void)state;
	hold_one(&serving, &wire);
	for (uint8_t i = 0; i < 3; i++) {
		wire_open(&others[i], &serving, (uint8_t)(i + 2), 0);
		say_many(&others[i], 4);
	}
	sends = serving.sends;
	let_go(&serving);
	wire_hear(&wire, LB_FRAME_COMMITTED);
	await_commit(&serving);
	let_go(&serving);
	for (int i = 0; i < 12; i++)
		wire_hear(&others[i / 4], LB_FRAME_COMMITTED);
	assert_int_equal(serving.sends - sends, 4);
	wire_close(&wire);
	for (int i = 0; i < 3; i++)
		wire_close(&others[i]);
	serving_end(&serving);
	assert_int_equal(serving.n_batches, 2);
	assert_int_equal(serving.batches[1], 12);
}

static void a_lone_commit_waits_for_no_company(void **state)
{
	struct serving serving = {.sink = {.begins_at_once = true}};
	struct wire wire;

	(void)state;
	serving_start(&serving);
	wire_open(&wire, &serving, 1, 0);
	for (int i = 0; i < 3; i++) {
		wire_deliver(&wire, 1, "alone");
		wire_send(&wire);
		wire_hear(&wire, LB_FRAME_BEGIN_OK);
		wire_hear(&wire, LB_FRAME_COMMITTED);
		assert_int_equal(serving.n_batches, i + 1);
		assert_int_equal(serving.batches[i], 1);
	}
	wire_close(&wire);
	serving_end(&serving);
}

/* The verdicts of a connection that is gone go to the log alone; those of the others are not late for that. */
static void one_that_is_gone_when_the_batch_ends_is_written_to_no_more(void **state)
{
	struct serving serving = {0};
	struct wire wire, gone;

	(void)state;
	hold_one(&serving, &wire);
	wire_open(&gone, &serving, 2, 0);
	say_many(&gone, 2);
	say_many(&wire, 2);
	assert_int_equal(setsockopt(gone.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
				 sizeof(struct linger)),
		0);
	close(gone.fd);
	let_go(&serving);
	await_commit(&serving);
	let_go(&serving);
	for (int i = 0; i < 3; i++)
		wire_hear(&wire, LB_FRAME_COMMITTED);
	wire_close(&wire);
	serving_end(&serving);
	assert_int_equal(serving.reports, 5);
}

struct oracle {
	struct lb_sink sink; /* first */
	enum lb_reason reason;
	unsigned asked;
};

static void answer(struct lb_sink *sink, struct lb_resolution *resolution)
{
	struct oracle *oracle = (struct oracle *)sink;

	oracle->asked++;
	resolution->reason = oracle->reason;
	resolution->verdict = LB_VERDICT_NOT_COMMITTED;
}

static void who_cannot_be_asked_now_is_not_asked_for_each_question_of_a_batch(void **state)
{
	static const struct {
		enum lb_reason reason;
		unsigned asked;
	} cases[] = {{LB_REASON_BUSY, 1}, {LB_REASON_IO_ERROR, 1}, {LB_REASON_DISK_FULL, 3},
		{LB_REASON_SETTLE_FIRST, 3}};
	const struct lb_sink_ops ops = {.resolve = answer};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct oracle oracle = {.sink.ops = &ops, .reason = cases[i].reason};
		struct lb_server server = {.sink = &oracle.sink};
		struct lb_task tasks[3] = {0};

		for (int n = 0; n < 3; n++) {
			tasks[n].kind = LB_TASK_RESOLVE;
			tasks[n].job.next = n < 2 ? &tasks[n + 1].job : NULL;
		}
		lb_task_work(&server, &tasks[0].job);
		assert_int_equal(oracle.asked, cases[i].asked);
		for (int n = 0; n < 3; n++) {
			assert_int_equal(tasks[n].resolution.verdict, LB_VERDICT_NOT_COMMITTED);
			assert_int_equal(tasks[n].resolution.reason, cases[i].reason);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_commits_of_one_connection_share_a_batch_and_a_write),
		cmocka_unit_test(the_commits_of_several_connections_share_a_batch),
		cmocka_unit_test(a_lone_commit_waits_for_no_company),
		cmocka_unit_test(one_that_is_gone_when_the_batch_ends_is_written_to_no_more),
		cmocka_unit_test(who_cannot_be_asked_now_is_not_asked_for_each_question_of_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
