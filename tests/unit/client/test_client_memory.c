/* SPDX-License-Identifier: MIT */
/* Deliveries in which each allocation fails in turn: an error is told, and what is told of a delivery stays true. */
#include "fake.h"
#include "lib/failing.h"

#define TEXT "some text that does not go out at once"

static int (*connect_really)(struct lb_host *host, const struct lb_endpoint *endpoint);

/* The memory of the server is another one. */
static int connect_to(struct lb_host *host, const struct lb_endpoint *endpoint)
{
	int fd;

	failing_pause(true);
	fd = connect_really(host, endpoint);
	failing_pause(false);
	return fd;
}

static ssize_t read_again(void *arg, uint64_t offset, void *buf, size_t len)
{
	size_t left = strlen(TEXT) - (size_t)offset;

	(void)arg;
	if (len > left)
		len = left;
	memcpy(buf, TEXT + offset, len);
	return (ssize_t)len;
}

static const struct lb_delivery a_file = {
	.name = "name", .length = LB_UNKNOWN, .source = "/source", .read_again = read_again};
static const struct lb_delivery a_pipe = {.name = "name", .length = LB_UNKNOWN};

static void come_back(void *arg, const struct lb_outcome *why, lb_time wait)
{
	struct fake *fake = arg;

	(void)wait;
	if (why == NULL)
		return;
	fake_restart(fake);
	fake->cut_at = LB_EVENT_NONE;
}

/* The link is cut when the first DATA has come, and the server has kept nothing. */
static struct told deliver(struct fake *fake, const struct lb_delivery *delivery, struct lb_client **clientp)
{
	const struct lb_client_options options = {.state_dir = fake->dir,
		.retry = true,
		.replay = 100,
		.waiting = come_back,
		.waiting_arg = fake};
	struct told told = {.r = -ENOMEM};

	fake->resumes = true;
	fake->cut_at = LB_EVENT_DATA;
	fake->cut = FAKE_RST;
	told.r = lb_client_open_on(
		&fake->machine.host, "host", &options, fake_in(fake, 10), clientp, &told.outcome);
	if (told.r < 0)
		return told;
	(void)!lb_client_begin(*clientp, delivery, fake_in(fake, 100)); /* what fails, the commit tells */
	for (size_t i = 0; i < strlen(TEXT); i += 10) {
		fake->room = 12; /* a part of it stays behind, in a copy */
		fake->drained = 7;
		if (lb_client_write(*clientp, TEXT + i, strlen(TEXT + i) < 10 ? strlen(TEXT + i) : 10,
			    fake_in(fake, 10)) < 0)
			break;
	}
	fake->room = SIZE_MAX;
	return fake_commit(fake, *clientp);
}

static void check(const struct fake *fake, const struct told *told, bool failed)
{
	if (told->outcome.verdict == LB_VERDICT_COMMITTED) {
		assert_int_equal(fake->seen[LB_EVENT_COMMIT], 1);
		assert_int_equal(fake->length, strlen(TEXT));
		return;
	}
	assert_true(failed);
	assert_int_equal(told->outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(fake->seen[LB_EVENT_COMMIT], 0);
}

static void is_told_truthfully(const struct lb_delivery *delivery)
{
	struct failing_plan plan = {.memory = true};
	struct failing_seen seen;

	do {
		struct lb_client *client = NULL;
		struct fake *fake;
		struct told told;
		void *state;

		fake_setup(&state);
		fake = state;
		connect_really = fake->net.connect;
		fake->net.connect = connect_to;
		plan.at++;
		failing_begin(&plan);
		told = deliver(fake, delivery, &client);
		failing_end(&seen);
		check(fake, &told, seen.name != NULL);
		if (client != NULL)
			lb_client_abort(client, &told.outcome);
		fake_teardown(&state);
	} while (seen.name != NULL);
	assert_true(plan.at > 5); /* of that many allocations each has failed */
}

static void a_file_is_told_of_truthfully_whichever_allocation_fails(void **state)
{
	(void)state;
	is_told_truthfully(&a_file);
}

static void a_pipe_is_told_of_truthfully_whichever_allocation_fails(void **state)
{
	(void)state;
	is_told_truthfully(&a_pipe);
}

static struct lb_receipt committed;

static void reply(struct fake *fake, const struct lb_event *event)
{
	if (event->type != LB_EVENT_COMMIT && event->type != LB_EVENT_RESOLVE)
		return;
	failing_pause(true);
	if (event->type == LB_EVENT_COMMIT)
		committed = fake_received(fake);
	else
		fake->has = &committed;
	assert_int_equal(lb_conn_reply(fake->server, event->handle, "reply", 5), 0);
	failing_pause(false);
}

/* The allocations of a commit alone fail. */
static void a_reply_without_memory_for_it_is_told_to_be_missing_and_can_be_asked_for(void **state)
{
	struct failing_plan plan = {.at = 1, .memory = true};
	struct failing_seen seen;
	unsigned missing = 0;

	(void)state;
	do {
		struct lb_client *client;
		struct fake *fake;
		struct told told;
		const void *words;
		void *made;
		size_t len;

		fake_setup(&made);
		fake = made;
		client = fake_client(fake);
		fake->on = reply;
		fake_begin(fake, client);
		assert_int_equal(fake_write(fake, client, "text"), 0);
		failing_begin(&plan);
		told = fake_commit(fake, client);
		failing_end(&seen);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
		words = lb_client_reply(client, &len);
		assert_int_equal(len, 5);
		if (words == NULL) {
			missing++;
			assert_int_equal(told.outcome.err, ENOMEM);
			told = fake_resolve(fake, client, &told.receipt.id);
			assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
			words = lb_client_reply(client, &len);
			assert_int_equal(len, 5);
		}
		assert_int_equal(told.outcome.err, 0);
		assert_memory_equal(words, "reply", 5);
		fake_close(fake, client);
		fake_teardown(&made);
		plan.at++;
	} while (seen.name != NULL);
	assert_true(missing > 0);
}

static uint32_t first_commit; /* its handle */

static void hold(struct fake *fake, const struct lb_event *event)
{
	if (event->type != LB_EVENT_COMMIT || fake->seen[LB_EVENT_COMMIT] > 1)
		return;
	first_commit = event->handle;
	committed = fake_received(fake);
}

static int put(struct fake *fake, struct lb_client *client)
{
	int r = lb_client_begin(client, &a_pipe, fake_in(fake, 10));

	if (r == 0)
		r = fake_write(fake, client, TEXT);
	return r == 0 || r == -ECONNABORTED ? lb_client_commit_async(client, fake_in(fake, 10)) : r;
}

/* One is committed and has no answer; then memory is out. Says how the second one went, which ends with it. */
static struct told put_beside(struct fake *fake, struct lb_client *client, int at, struct failing_seen *seen)
{
	const struct failing_plan plan = {.at = at, .memory = true, .for_good = true};
	struct told told = {.r = 0};
	struct lb_decision decision;

	fake->on = hold;
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(fake, client), 0);
	assert_int_equal(lb_client_decision(client, fake_in(fake, 1), &decision), -ETIMEDOUT);
	failing_begin(&plan);
	told.r = put(fake, client);
	if (told.r < 0)
		told.outcome = fake_rollback(fake, client, LB_REASON_DEADLINE).outcome;
	failing_end(seen);
	return told;
}

static struct lb_client *piped(struct fake *fake)
{
	const struct lb_client_options options = {.state_dir = fake->dir, .pipeline = true};
	struct lb_outcome outcome;
	struct lb_client *client;

	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	return client;
}

static void what_is_said_not_to_be_committed_was_not_whichever_allocation_fails_beside_another(void **state)
{
	struct failing_seen seen = {.name = ""};
	unsigned failed = 0;

	(void)state;
	for (int at = 1; seen.name != NULL; at++) {
		struct lb_client *client;
		struct lb_outcome outcome;
		struct told told;
		struct fake *fake;
		void *made;

		fake_setup(&made);
		fake = made;
		client = piped(fake);
		told = put_beside(fake, client, at, &seen);
		if (told.r < 0) {
			failed++;
			assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
			assert_int_equal(fake->seen[LB_EVENT_COMMIT], 1);
		}
		lb_client_abort(client, &outcome);
		fake_teardown(&made);
	}
	assert_true(failed > 0);
}

/* Its answer comes while the second one waits for memory, and waits to be fetched itself. */
static ssize_t (*send_really)(struct lb_host *host, int fd, const struct iovec *iov, int n);

static ssize_t answer_the_first(struct lb_host *host, int fd, const struct iovec *iov, int n)
{
	struct fake *fake = (struct fake *)host;

	failing_pause(true);
	fake->net.send = send_really;
	assert_int_equal(lb_conn_committed(fake->server, first_commit, &committed), 0);
	fake->push = true;
	failing_pause(false);
	return send_really(host, fd, iov, n);
}

static void who_waits_for_memory_is_told_that_a_verdict_waits_to_be_fetched(void **state)
{
	const struct failing_plan plan = {.at = 1, .memory = true, .for_good = true};
	struct lb_client *client;
	struct lb_decision decision;
	struct failing_seen seen;
	struct fake *fake = *state;

	client = piped(fake);
	fake->on = hold;
	fake->silent_at = LB_EVENT_COMMIT;
	assert_int_equal(put(fake, client), 0);
	assert_int_equal(lb_client_decision(client, fake_in(fake, 1), &decision), -ETIMEDOUT);
	assert_int_equal(lb_client_begin(client, &a_pipe, fake_in(fake, 10)), 0);
	assert_int_equal(fake_write(fake, client, TEXT), 0);
	send_really = fake->net.send;
	fake->net.send = answer_the_first;
	failing_begin(&plan);
	assert_int_equal(lb_client_commit_async(client, fake_in(fake, 10)), -ENOBUFS);
	failing_end(&seen);
	assert_int_equal(fake->seen[LB_EVENT_COMMIT], 1);
	assert_int_equal(lb_client_decision(client, fake_in(fake, 1), &decision), 0);
	assert_int_equal(decision.outcome.verdict, LB_VERDICT_COMMITTED);
	fake->silent_at = LB_EVENT_NONE;
	assert_int_equal(lb_client_commit_async(client, fake_in(fake, 10)), 0);
	assert_int_equal(lb_client_decision(client, fake_in(fake, 1), &decision), 0);
	assert_int_equal(decision.outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_told_of_truthfully_whichever_allocation_fails),
		cmocka_unit_test(a_pipe_is_told_of_truthfully_whichever_allocation_fails),
		cmocka_unit_test(a_reply_without_memory_for_it_is_told_to_be_missing_and_can_be_asked_for),
		cmocka_unit_test(
			what_is_said_not_to_be_committed_was_not_whichever_allocation_fails_beside_another),
		cmocka_unit_test_setup_teardown(
			who_waits_for_memory_is_told_that_a_verdict_waits_to_be_fetched, fake_setup,
			fake_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
