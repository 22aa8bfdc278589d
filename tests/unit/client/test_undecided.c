/* SPDX-License-Identifier: MIT */
#include "fake.h"

#define ALL  LB_UNDECIDED_MAX
#define SOME 16

/* Many deliveries, the server's ledger, and what was told of each. */
struct many {
	struct fake *fake;
	struct lb_client *client;
	char texts[2 * ALL][16];
	unsigned n_told;
	struct lb_decision told[2 * ALL];
	char replies[2 * ALL][16];

	unsigned n_has, n_heard;
	struct lb_receipt has[2 * ALL];
	uint32_t handles[2 * ALL]; /* of COMMIT, as they came */
	bool remembers;            /* what is committed is told when it is begun again */
	unsigned cut_at;           /* the connection is cut at so many frames; 0: never */
	bool mutes;                /* and nothing that was answered until then arrives */
	unsigned waits;
};

static struct many *many; /* of the test that runs: the fake's hook has no argument of its own */

static void decided(void *arg, const struct lb_decision *decision)
{
	struct many *of = arg;

	assert_in_range(of->n_told, 0, 2 * ALL - 1);
	if (decision->reply_len > 0)
		memcpy(of->replies[of->n_told], decision->reply, decision->reply_len);
	of->told[of->n_told++] = *decision;
}

static const struct lb_receipt *lookup(const struct lb_id *id)
{
	for (unsigned i = 0; i < many->n_has; i++)
		if (memcmp(&many->has[i].id, id, sizeof *id) == 0)
			return &many->has[i];
	return NULL;
}

static void serve(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_BEGIN && many->remembers)
		fake->has = lookup(&event->id);
	if (event->type == LB_EVENT_RESOLVE && many->remembers)
		fake->has = lookup(&event->id);
	if (event->type == LB_EVENT_COMMIT) {
		const struct lb_receipt receipt = fake_received(fake);

		assert_null(lookup(&receipt.id)); /* once, whatever was cut */
		many->handles[many->n_has] = event->handle;
		many->has[many->n_has++] = receipt;
	}
	if (event->type == LB_EVENT_HELLO)
		return;
	fake->mute = many->mutes && many->waits == 0;
	fake->cut_at = ++many->n_heard == many->cut_at ? event->type : LB_EVENT_NONE;
}

static void mend(void *arg, const struct lb_outcome *why, lb_time wait)
{
	(void)wait;
	if (why == NULL)
		return;
	((struct many *)arg)->waits++;
	fake_restart(many->fake);
	many->fake->mute = false;
}

static void start(struct many *of, struct fake *fake, struct lb_client_options options)
{
	struct lb_outcome outcome;

	many = of;
	memset(of, 0, sizeof *of);
	of->fake = fake;
	of->remembers = true;
	fake->on = serve;
	fake->cut = FAKE_RST;
	fake->has = NULL;
	fake->cut_at = fake->silent_at = LB_EVENT_NONE;
	fake_restart(fake);
	options.state_dir = fake->dir;
	options.waiting = mend;
	options.waiting_arg = of;
	options.decided_arg = of;
	assert_int_equal(lb_client_open_on(&fake->machine.host, "host", &options, fake_in(fake, 10),
				 &of->client, &outcome),
		0);
}

static int begin(struct many *of, unsigned i)
{
	const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN, .tag = of->texts[i]};

	snprintf(of->texts[i], sizeof of->texts[i], "text %u", i);
	return lb_client_begin(of->client, &delivery, fake_in(of->fake, 100));
}

static int put(struct many *of, unsigned i)
{
	int r = begin(of, i);

	if (r == 0)
		r = fake_write(of->fake, of->client, of->texts[i]);
	if (r == 0 || r == -ECONNABORTED)
		r = lb_client_commit_async(of->client, fake_in(of->fake, 100));
	return r;
}

static void put_all(struct many *of, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(put(of, i), 0);
}

/* The others of those that were put get their answers. */
static void wait_for_all(struct many *of)
{
	int r = 0;

	while (r == 0)
		r = lb_client_decision(of->client, fake_in(of->fake, 100), NULL);
	assert_int_equal(r, -ENOENT);
}

/* Each of n exactly once, with what was written. */
static void expect_each_once(const struct many *of, unsigned n, enum lb_verdict verdict)
{
	bool seen[2 * ALL] = {false};

	assert_int_equal(of->n_told, n);
	for (unsigned i = 0; i < n; i++) {
		const struct lb_decision *told = &of->told[i];
		size_t which = (size_t)((const char(*)[16])told->tag - of->texts);
		struct lb_receipt expected = fake_receipt(of->fake, &told->receipt.id, "name", told->tag);

		assert_in_range(which, 0, n - 1);
		assert_false(seen[which]);
		seen[which] = true;
		assert_int_equal(told->outcome.verdict, verdict);
		assert_memory_equal(&told->receipt.digest, &expected.digest, sizeof expected.digest);
		assert_int_equal(told->receipt.length, expected.length);
		if (verdict == LB_VERDICT_COMMITTED)
			assert_false(fake_is_open(of->fake, &told->receipt.id));
	}
}

static const struct lb_client_options piped = {.pipeline = true, .decided = decided};
static const struct lb_client_options retried = {.pipeline = true, .decided = decided, .retry = true};

static void answer(struct many *of, unsigned i)
{
	assert_int_equal(lb_conn_committed(of->fake->server, of->handles[i], &of->has[i]), 0);
	of->fake->push = true;
}

static void as_many_as_the_server_allows_are_undecided_and_each_is_told_once_in_the_order_of_the_answers(
	void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	fake->silent_at = LB_EVENT_COMMIT;
	put_all(&of, ALL);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	assert_int_equal(of.n_has, ALL);
	assert_int_equal(of.n_told, 0);
	for (unsigned i = ALL; i-- > 0;)
		answer(&of, i);
	wait_for_all(&of);
	expect_each_once(&of, ALL, LB_VERDICT_COMMITTED);
	for (unsigned i = 0; i < ALL; i++)
		assert_ptr_equal(of.told[i].tag, of.texts[ALL - 1 - i]);
	fake_close(fake, of.client);
}

static void with_more_a_call_waits_for_a_verdict(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	fake->silent_at = LB_EVENT_COMMIT;
	put_all(&of, ALL);
	assert_int_equal(begin(&of, ALL), -ETIMEDOUT);
	fake_rollback(fake, of.client, LB_REASON_DEADLINE);
	answer(&of, 3);
	assert_int_equal(put(&of, ALL), 0);
	assert_int_equal(of.n_told, 1);
	assert_ptr_equal(of.told[0].tag, of.texts[3]);
	for (unsigned i = 0; i < ALL; i++)
		if (i != 3)
			answer(&of, i);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	answer(&of, ALL);
	wait_for_all(&of);
	expect_each_once(&of, ALL + 1, LB_VERDICT_COMMITTED);
	fake_close(fake, of.client);
}

static void verdicts_wait_to_be_fetched(void **state)
{
	struct fake *fake = *state;
	struct many of;
	struct lb_decision decision;

	start(&of, fake, (struct lb_client_options){.pipeline = true});
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), &decision), -ENOENT);
	put_all(&of, ALL);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), &decision), 0);
	decided(&of, &decision);
	assert_int_equal(put(&of, ALL), 0);
	assert_int_equal(begin(&of, ALL + 1), 0);
	assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 1)), -ENOBUFS);
	while (lb_client_decision(of.client, fake_in(fake, 1), &decision) == 0)
		decided(&of, &decision);
	expect_each_once(&of, ALL + 1, LB_VERDICT_COMMITTED);
	fake_close(fake, of.client);
}

static void one_that_is_refused_is_told_and_the_others_go_on(void **state)
{
	struct fake *fake = *state;
	struct many of;
	unsigned refused = 0;

	start(&of, fake, piped);
	for (unsigned i = 0; i < ALL; i++) {
		assert_int_equal(lb_client_decision(of.client, fake->now, NULL), i == 0 ? -ENOENT : 0);
		fake->refuse_begin = i == 3 ? LB_REASON_NAME_EXISTS : LB_REASON_NONE;
		fake->refuse_commit = i == 9 ? LB_REASON_DISK_FULL : LB_REASON_NONE;
		assert_int_equal(put(&of, i), 0);
	}
	wait_for_all(&of);
	assert_int_equal(of.n_told, ALL);
	for (unsigned i = 0; i < ALL; i++) {
		enum lb_reason reason = of.told[i].outcome.reason;

		assert_int_equal(reason, i == 3   ? LB_REASON_NAME_EXISTS
					 : i == 9 ? LB_REASON_DISK_FULL
						  : LB_REASON_NONE);
		refused += reason != LB_REASON_NONE;
	}
	assert_int_equal(refused, 2);
	fake_close(fake, of.client);
}

static void what_nobody_waits_for_is_written_together(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	fake->sends = 0;
	put_all(&of, 4);
	assert_int_equal(fake->sends, 0);
	wait_for_all(&of);
	assert_int_equal(fake->sends, 1);
	assert_string_equal(fake->order, "HSBDCBDCBDCBDC");
	fake_close(fake, of.client);
}

static void a_connection_that_breaks_at_any_frame_loses_and_repeats_nothing(void **state)
{
	struct fake *fake = *state;
	struct many of;

	for (unsigned frame = 1; frame <= 1 + 3 * SOME; frame++) {
		start(&of, fake, retried);
		of.cut_at = frame;
		of.mutes = frame % 2;
		put_all(&of, SOME);
		wait_for_all(&of);
		assert_int_equal(of.waits, 1);
		expect_each_once(&of, SOME, LB_VERDICT_COMMITTED);
		assert_int_equal(of.n_has, SOME);
		fake_close(fake, of.client);
	}
}

static void a_server_that_allows_fewer_gets_no_more_at_once_whenever_the_connection_breaks(void **state)
{
	static const uint32_t allowed[] = {1, 2, 3, 16};
	struct fake *fake = *state;
	struct many of;

	for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++) {
		fake->allows = allowed[i];
		for (unsigned frame = 1; frame <= 1 + 3 * 2 * SOME; frame += 5) {
			start(&of, fake, retried);
			of.cut_at = frame;
			of.mutes = frame % 2;
			put_all(&of, 2 * SOME);
			wait_for_all(&of);
			expect_each_once(&of, 2 * SOME, LB_VERDICT_COMMITTED);
			assert_int_equal(of.n_has, 2 * SOME);
			fake_close(fake, of.client);
		}
	}
}

static void an_empty_one_that_is_begun_again_costs_the_others_no_copy(void **state)
{
	struct fake *fake = *state;
	struct many of;

	for (unsigned frame = 1; frame <= 3 * 4; frame++) {
		start(&of, fake, retried);
		of.cut_at = frame;
		assert_int_equal(begin(&of, 0), 0);
		of.texts[0][0] = '\0';
		assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 100)), 0);
		for (unsigned i = 1; i < 4; i++)
			assert_int_equal(put(&of, i), 0);
		wait_for_all(&of);
		expect_each_once(&of, 4, LB_VERDICT_COMMITTED);
		fake_close(fake, of.client);
	}
}

static void without_retry_those_whose_commit_has_left_are_in_doubt_and_the_others_are_not_committed(
	void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	put_all(&of, 4);
	fake->drained = 0;
	fake->mute = true;
	fake->on = NULL;
	fake->room = 362; /* bytes: up to the third one's DATA */
	assert_int_equal(lb_client_decision(of.client, fake->now, NULL), -ETIMEDOUT);
	fake->broken = FAKE_RST;
	wait_for_all(&of);
	assert_int_equal(of.n_told, 4);
	for (unsigned i = 0; i < 4; i++) {
		bool left = i < 2;

		assert_ptr_equal(of.told[i].tag, of.texts[i]);
		assert_int_equal(
			of.told[i].outcome.verdict, left ? LB_VERDICT_IN_DOUBT : LB_VERDICT_NOT_COMMITTED);
		assert_int_equal(fake_is_open(fake, &of.told[i].receipt.id), left);
	}
	assert_int_equal(fake->seen[LB_EVENT_COMMIT], 2);
	fake->mute = false;
	fake_close(fake, of.client);
}

static void what_was_not_kept_is_asked_about(void **state)
{
	struct fake *fake = *state;
	struct lb_client_options little = retried;
	struct many of;

	little.replay = 10; /* one delivery, and not two */
	start(&of, fake, little);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(begin(&of, 0), 0);
	assert_int_equal(fake_write(fake, of.client, "more than is kept"), 0);
	assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 100)), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->broken = FAKE_RST;
	fake->silent_at = LB_EVENT_NONE;
	wait_for_all(&of);
	assert_int_equal(of.n_told, 1);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_COMMITTED);
	assert_string_equal(fake->order, "HS?");
	fake_close(fake, of.client);
}

static void copies_are_bounded_together_and_a_write_waits_for_room(void **state)
{
	struct fake *fake = *state;
	struct lb_client_options little = retried;
	struct many of;

	little.replay = 10;
	start(&of, fake, little);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(put(&of, 1), -ETIMEDOUT);
	fake_rollback(fake, of.client, LB_REASON_DEADLINE);
	answer(&of, 0);
	assert_int_equal(put(&of, 1), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	answer(&of, 1);
	wait_for_all(&of);
	expect_each_once(&of, 2, LB_VERDICT_COMMITTED);
	fake_close(fake, of.client);
}

static void one_to_which_the_server_is_busy_is_begun_again_when_the_others_have_their_verdicts(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), 0);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 1), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->refuse_begin = LB_REASON_BUSY;
	assert_int_equal(put(&of, 2), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	assert_int_equal(of.waits, 0); /* the other would be cut off */
	fake->refuse_begin = LB_REASON_NONE;
	fake->silent_at = LB_EVENT_NONE;
	answer(&of, 1);
	wait_for_all(&of);
	assert_int_equal(of.waits, 1);
	expect_each_once(&of, 3, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
	fake_close(fake, of.client);
}

/* The server has kept more of each than a journal that was restored knows of. */
static void serve_from_the_fourth_attempt_on(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_BEGIN)
		fake->refuse_begin = event->attempt < 4 ? LB_REASON_SUPERSEDED : LB_REASON_NONE;
	serve(fake, event);
}

static void those_that_are_superseded_though_all_was_said_are_begun_with_a_greater_count(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	fake->on = serve_from_the_fourth_attempt_on;
	put_all(&of, ALL);
	wait_for_all(&of);
	expect_each_once(&of, ALL, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 4);
	assert_int_equal(of.waits, 0);      /* over the same connection */
	assert_int_equal(put(&of, ALL), 0); /* also for who closes at once */
	assert_int_equal(fake_close(fake, of.client).r, 0);
	expect_each_once(&of, ALL + 1, LB_VERDICT_COMMITTED);
}

static void serve_the_first_from_the_fourth_attempt_on(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_BEGIN)
		fake->refuse_begin =
			event->id.number == 1 && event->attempt < 4 ? LB_REASON_SUPERSEDED : LB_REASON_NONE;
	serve(fake, event);
}

static void one_that_is_superseded_waits_until_what_is_being_written_is_committed(void **state)
{
	static const char much[4096];
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	fake->on = serve_the_first_from_the_fourth_attempt_on;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(begin(&of, 1), 0);
	assert_int_equal(lb_client_write(of.client, much, sizeof much, fake_in(fake, 10)), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 10)), 0);
	wait_for_all(&of);
	assert_int_equal(of.n_told, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(of.told[i].outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(of.waits, 0);
	assert_int_equal(fake_close(fake, of.client).r, 0);
}

static void one_that_is_superseded_and_was_not_kept_is_refused(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	fake->on = serve_from_the_fourth_attempt_on;
	assert_int_equal(put(&of, 0), 0);
	wait_for_all(&of);
	assert_int_equal(of.n_told, 1);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(of.told[0].outcome.reason, LB_REASON_SUPERSEDED);
	assert_int_equal(fake_close(fake, of.client).r, 0);
}

static void one_that_is_refused_when_it_is_begun_once_more_is_asked_about(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->silent_at = LB_EVENT_NONE;
	of.remembers = false;
	fake->refuse_begin = LB_REASON_DISK_FULL;
	fake->resolves_to = LB_VERDICT_ROLLED_BACK;
	fake->broken = FAKE_RST;
	wait_for_all(&of);
	assert_int_equal(of.n_told, 1);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 1);
	fake_close(fake, of.client);
}

static lb_time leap(struct lb_host *host)
{
	return ((struct fake *)host)->now += INT64_C(3600) * 1000000000;
}

/* However late it is: whoever only looks what has come does not try for ever to connect. */
static void a_call_whose_deadline_has_passed_tries_to_connect_once(void **state)
{
	lb_time (*now)(struct lb_host * host);
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->silent_at = LB_EVENT_NONE;
	fake->broken = FAKE_RST;
	fake->refuse_connects = 50;
	now = fake->clock.now;
	fake->clock.now = leap;
	assert_int_equal(lb_client_decision(of.client, 0, NULL), -ETIMEDOUT);
	assert_in_range(of.waits, 1, 2);
	fake->clock.now = now;
	fake->refuse_connects = 0;
	wait_for_all(&of);
	expect_each_once(&of, 1, LB_VERDICT_COMMITTED);
	fake_close(fake, of.client);
}

/* Over the next connection the question about the other one has the handle that it had. */
static void what_was_given_up_takes_no_answer_from_another(void **state)
{
	struct fake *fake = *state;
	struct lb_receipt receipt;
	struct lb_outcome outcome;
	struct many of;

	start(&of, fake, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	assert_int_equal(begin(&of, 1), 0);
	fake->silent_at = LB_EVENT_ROLLBACK;
	assert_int_equal(
		lb_client_rollback(of.client, LB_REASON_ROLLED_BACK, fake_in(fake, 1), &receipt, &outcome),
		0);
	fake->silent_at = LB_EVENT_NONE;
	of.remembers = false;
	fake->refuse_begin = LB_REASON_DISK_FULL;
	fake->resolves_to = LB_VERDICT_ROLLED_BACK;
	fake->broken = FAKE_RST;
	wait_for_all(&of);
	assert_int_equal(of.n_told, 1);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_ROLLED_BACK);
	fake_close(fake, of.client);
}

static void a_source_that_is_under_way_is_busy_until_its_verdict_was_handed_on(void **state)
{
	const struct lb_delivery delivery = {.name = "name", .source = "/source", .length = LB_UNKNOWN};
	struct fake *fake = *state;
	struct many of;
	uint64_t number;

	start(&of, fake, retried);
	assert_int_equal(lb_client_begin(of.client, &delivery, fake_in(fake, 10)), 0);
	number = lb_client_id(of.client)->number;
	assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 10)), 0);
	assert_int_equal(lb_client_begin(of.client, &delivery, fake_in(fake, 10)), -EBUSY);
	wait_for_all(&of);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(lb_client_begin(of.client, &delivery, fake_in(fake, 10)), 0);
	assert_int_equal(lb_client_id(of.client)->number, number + 1);
	fake_close(fake, of.client);
}

static void who_closes_gets_the_verdicts_first(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	put_all(&of, 5);
	assert_int_equal(fake_close(fake, of.client).r, 0);
	expect_each_once(&of, 5, LB_VERDICT_COMMITTED);
	start(&of, fake, piped);
	fake->silent_at = LB_EVENT_COMMIT;
	put_all(&of, 5);
	assert_int_equal(fake_close(fake, of.client).r, -ETIMEDOUT);
	expect_each_once(&of, 5, LB_VERDICT_IN_DOUBT);
}

static void who_closes_is_told_the_verdict_of_the_last_one_but_not_once_more(void **state)
{
	struct fake *fake = *state;
	struct told told;
	struct many of;

	start(&of, fake, piped);
	assert_int_equal(put(&of, 0), 0);
	told = fake_close(fake, of.client);
	assert_int_equal(told.r, 0);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_UNPROVEN);
	expect_each_once(&of, 1, LB_VERDICT_COMMITTED);
}

static void who_closes_by_a_deadline_is_told_which_may_be_committed(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, piped);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->room = 0;
	assert_int_equal(put(&of, 1), 0);
	assert_int_equal(fake_close(fake, of.client).r, -ETIMEDOUT);
	assert_int_equal(of.n_told, 2);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_IN_DOUBT);
	assert_int_equal(of.told[1].outcome.verdict, LB_VERDICT_NOT_COMMITTED);
}

static void who_closes_without_a_connection_does_not_wait_for_another_one(void **state)
{
	struct fake *fake = *state;
	struct many of;
	lb_time now;

	start(&of, fake, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->broken = FAKE_RST;
	assert_true(lb_client_step(of.client));
	assert_int_equal(of.waits, 1);
	now = fake->now;
	assert_int_equal(fake_close(fake, of.client).r, -ECONNABORTED);
	assert_int_equal(fake->now, now);
	assert_int_equal(fake->connects, 0);
	expect_each_once(&of, 1, LB_VERDICT_IN_DOUBT);
}

static void who_closes_without_having_asked_for_a_verdict_leaves_it_open_for_the_next_process(void **state)
{
	const struct lb_client_options asking = {.pipeline = true};
	struct fake *fake = *state;
	struct many of;
	struct lb_id id;

	start(&of, fake, asking);
	assert_int_equal(put(&of, 0), 0);
	id = *lb_client_id(of.client);
	assert_int_equal(fake_close(fake, of.client).r, 0);
	assert_int_equal(of.n_has, 1);
	assert_true(fake_is_open(fake, &id));
}

static void who_closes_while_the_server_is_busy_is_told_so(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->refuse_begin = LB_REASON_BUSY;
	assert_int_equal(put(&of, 1), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->refuse_begin = LB_REASON_NONE;
	answer(&of, 0);
	assert_int_equal(fake_close(fake, of.client).r, 0);
	assert_int_equal(of.n_told, 2);
	assert_int_equal(of.told[0].outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(of.told[0].outcome.reason, LB_REASON_BUSY);
	assert_int_equal(of.told[1].outcome.verdict, LB_VERDICT_COMMITTED);
}

static void who_aborts_is_told_that_they_are_in_doubt(void **state)
{
	struct fake *fake = *state;
	struct lb_outcome outcome;
	struct many of;

	start(&of, fake, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	put_all(&of, 5);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	lb_client_abort(of.client, &outcome);
	expect_each_once(&of, 5, LB_VERDICT_IN_DOUBT);
}

static void what_was_committed_before_is_compared_though_all_was_said_already(void **state)
{
	struct fake *fake = *state;
	const struct lb_id id = {.client = {7}, .number = 5};
	struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN, .id = id};
	struct many of;

	for (int differs = 0; differs < 2; differs++) {
		start(&of, fake, piped);
		of.has[of.n_has++] = fake_receipt(fake, &id, "name", differs ? "another" : "text");
		delivery.tag = of.texts[0];
		assert_int_equal(lb_client_begin(of.client, &delivery, fake_in(fake, 10)), 0);
		assert_int_equal(fake_write(fake, of.client, "text"), 0);
		assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 10)), 0);
		wait_for_all(&of);
		assert_int_equal(of.n_told, 1);
		assert_int_equal(
			of.told[0].outcome.verdict, differs ? LB_VERDICT_REFUSED : LB_VERDICT_COMMITTED);
		assert_int_equal(of.told[0].receipt.length, differs ? 7 : 4);
		fake_close(fake, of.client);
	}
}

static void reply(struct fake *fake, const struct lb_event *event)
{
	serve(fake, event);
	if (event->type == LB_EVENT_COMMIT)
		assert_int_equal(lb_conn_reply(fake->server, event->handle, "reply", 5), 0);
}

static void a_reply_comes_with_its_verdict(void **state)
{
	struct fake *fake = *state;
	struct many of;
	size_t len;

	start(&of, fake, piped);
	fake->on = reply;
	put_all(&of, 5);
	wait_for_all(&of);
	expect_each_once(&of, 5, LB_VERDICT_COMMITTED);
	for (int i = 0; i < 5; i++)
		assert_string_equal(of.replies[i], "reply");
	assert_int_equal(begin(&of, 5), 0);
	assert_int_equal(fake_commit(fake, of.client).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_memory_equal(lb_client_reply(of.client, &len), "reply", 5);
	assert_int_equal(len, 5);
	fake->on = serve;
	assert_int_equal(begin(&of, 6), 0);
	assert_int_equal(fake_commit(fake, of.client).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_null(lb_client_reply(of.client, &len));
	assert_int_equal(len, 0);
	fake_close(fake, of.client);
}

/* Pieces that can wait to be written, until the next one could not. */
static unsigned fill(struct many *of, unsigned most)
{
	unsigned n = 0;

	of->fake->room = 0;
	while (n < most && lb_client_write(of->client, of->texts, 64, fake_in(of->fake, 1)) == 0)
		n++;
	return n;
}

static void a_commit_that_was_cut_can_be_said_again_or_rolled_back(void **state)
{
	struct fake *fake = *state;
	struct many of;
	unsigned most;

	start(&of, fake, piped);
	assert_int_equal(begin(&of, 0), 0);
	most = fill(&of, UINT32_MAX);
	assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 1)), -EINVAL); /* a write was cut */
	fake->room = SIZE_MAX;
	fake_rollback(fake, of.client, LB_REASON_DEADLINE);
	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(begin(&of, 0), 0);
		assert_int_equal(fill(&of, most - 2), most - 2);
		assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 1)), -ETIMEDOUT);
		fake->room = SIZE_MAX;
		if (again)
			assert_int_equal(fake_write(fake, of.client, "more"), 0);
		if (again)
			assert_int_equal(lb_client_commit_async(of.client, fake_in(fake, 1)), 0);
		else
			assert_int_equal(
				fake_rollback(fake, of.client, LB_REASON_ROLLED_BACK).outcome.verdict,
				LB_VERDICT_ROLLED_BACK);
	}
	wait_for_all(&of);
	assert_int_equal(of.n_told, 1);
	assert_int_equal(of.told[0].receipt.length, (most - 2) * 64 + 4);
	fake_close(fake, of.client);
}

/* One whose COMMIT has no answer, and whose connection has broken: what the next one brings is not remembered. */
static void leave_in_doubt(struct many *of, struct lb_client_options options)
{
	struct fake *fake = of->fake;

	start(of, fake, options);
	fake->on = NULL;
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(of, 0), 0);
	assert_int_equal(lb_client_decision(of->client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->broken = FAKE_RST;
	fake->silent_at = LB_EVENT_NONE;
}

static void one_in_doubt_that_is_refused_when_it_is_begun_again_is_asked_about(void **state)
{
	struct fake *fake = *state;
	struct many of = {.fake = fake};

	leave_in_doubt(&of, retried);
	fake->refuse_commit = LB_REASON_DISK_FULL;
	wait_for_all(&of);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 1);
	expect_each_once(&of, 1, LB_VERDICT_ROLLED_BACK);
	fake_close(fake, of.client);
}

static void beside_one_that_is_asked_about_none_is_said_not_to_be_committed_whose_commit_has_left(
	void **state)
{
	struct fake *fake = *state;
	struct many of = {.fake = fake};

	leave_in_doubt(&of, retried);
	fake->refuse_commit = LB_REASON_DISK_FULL;
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 2), NULL), 0);
	fake->refuse_commit = LB_REASON_NONE;
	fake->silent_at = LB_EVENT_COMMIT;
	for (unsigned i = 1; i <= ALL; i++)
		assert_int_equal(put(&of, i), 0);
	assert_int_equal(put(&of, ALL + 1), -ETIMEDOUT);
	assert_int_equal(
		fake_rollback(fake, of.client, LB_REASON_DEADLINE).outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(fake->seen[LB_EVENT_COMMIT], 1 + ALL); /* with the one that was refused */
	fake_close(fake, of.client);
}

static void who_closes_is_told_of_one_in_doubt_that_is_refused_then(void **state)
{
	struct fake *fake = *state;
	struct many of = {.fake = fake};

	leave_in_doubt(&of, retried);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 2), NULL), -ETIMEDOUT);
	assert_string_equal(fake->order, "HSBDC");
	assert_int_equal(
		lb_conn_refused(fake->server, fake->last[LB_EVENT_COMMIT].handle, LB_REASON_DISK_FULL, NULL),
		0);
	fake->push = true;
	assert_int_equal(fake_close(fake, of.client).r, 0);
	assert_int_equal(of.n_told, 1);
	expect_each_once(&of, 1, LB_VERDICT_ROLLED_BACK);
}

static void busy(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_COMMIT)
		fake->refuse_commit = ++many->n_heard == 1 ? LB_REASON_BUSY : LB_REASON_NONE;
}

static void a_server_that_is_busy_for_one_hears_all_of_another_that_is_begun_again(void **state)
{
	struct fake *fake = *state;
	struct lb_client_options patient = {.decided = decided, .retry = true};
	struct many of = {.fake = fake};

	fake->resumes = true;
	start(&of, fake, patient);
	fake->on = NULL;
	fake->silent_at = LB_EVENT_COMMIT;
	put_all(&of, 2);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->broken = FAKE_RST;
	fake->silent_at = LB_EVENT_NONE;
	fake->on = busy;
	wait_for_all(&of);
	expect_each_once(&of, 2, LB_VERDICT_COMMITTED);
	fake_close(fake, of.client);
}

static void one_that_was_given_up_without_an_answer_holds_up_no_other(void **state)
{
	struct fake *fake = *state;
	struct many of;

	start(&of, fake, retried);
	assert_int_equal(put(&of, 0), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), 0);
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(&of, 1), 0);
	assert_int_equal(lb_client_decision(of.client, fake_in(fake, 1), NULL), -ETIMEDOUT);
	fake->silent_at = LB_EVENT_ROLLBACK;
	assert_int_equal(begin(&of, 2), 0);
	assert_int_equal(fake_write(fake, of.client, "text"), 0);
	fake_rollback(fake, of.client, LB_REASON_ROLLED_BACK);
	fake->silent_at = LB_EVENT_NONE;
	of.remembers = false;
	of.n_has = 0;
	assert_int_equal(lb_conn_refused(fake->server, of.handles[1], LB_REASON_BUSY, NULL), 0);
	fake->push = true;
	wait_for_all(&of);
	assert_int_equal(of.waits, 1);
	expect_each_once(&of, 2, LB_VERDICT_COMMITTED);
	fake_close(fake, of.client);
}

#define BY(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY(as_many_as_the_server_allows_are_undecided_and_each_is_told_once_in_the_order_of_the_answers),
		BY(with_more_a_call_waits_for_a_verdict),
		BY(verdicts_wait_to_be_fetched),
		BY(one_that_is_refused_is_told_and_the_others_go_on),
		BY(what_nobody_waits_for_is_written_together),
		BY(a_connection_that_breaks_at_any_frame_loses_and_repeats_nothing),
		BY(a_server_that_allows_fewer_gets_no_more_at_once_whenever_the_connection_breaks),
		BY(an_empty_one_that_is_begun_again_costs_the_others_no_copy),
		BY(without_retry_those_whose_commit_has_left_are_in_doubt_and_the_others_are_not_committed),
		BY(what_was_not_kept_is_asked_about),
		BY(copies_are_bounded_together_and_a_write_waits_for_room),
		BY(one_to_which_the_server_is_busy_is_begun_again_when_the_others_have_their_verdicts),
		BY(those_that_are_superseded_though_all_was_said_are_begun_with_a_greater_count),
		BY(one_that_is_superseded_waits_until_what_is_being_written_is_committed),
		BY(one_that_is_superseded_and_was_not_kept_is_refused),
		BY(one_that_is_refused_when_it_is_begun_once_more_is_asked_about),
		BY(a_call_whose_deadline_has_passed_tries_to_connect_once),
		BY(what_was_given_up_takes_no_answer_from_another),
		BY(a_source_that_is_under_way_is_busy_until_its_verdict_was_handed_on),
		BY(who_closes_gets_the_verdicts_first),
		BY(who_closes_is_told_the_verdict_of_the_last_one_but_not_once_more),
		BY(who_closes_by_a_deadline_is_told_which_may_be_committed),
		BY(who_closes_without_a_connection_does_not_wait_for_another_one),
		BY(who_closes_without_having_asked_for_a_verdict_leaves_it_open_for_the_next_process),
		BY(who_closes_while_the_server_is_busy_is_told_so),
		BY(who_aborts_is_told_that_they_are_in_doubt),
		BY(what_was_committed_before_is_compared_though_all_was_said_already),
		BY(a_reply_comes_with_its_verdict),
		BY(a_commit_that_was_cut_can_be_said_again_or_rolled_back),
		BY(one_in_doubt_that_is_refused_when_it_is_begun_again_is_asked_about),
		BY(beside_one_that_is_asked_about_none_is_said_not_to_be_committed_whose_commit_has_left),
		BY(who_closes_is_told_of_one_in_doubt_that_is_refused_then),
		BY(a_server_that_is_busy_for_one_hears_all_of_another_that_is_begun_again),
		BY(one_that_was_given_up_without_an_answer_holds_up_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
