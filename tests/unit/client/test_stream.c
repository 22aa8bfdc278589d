/* SPDX-License-Identifier: MIT */
#include "fake.h"

#define TEXT "some text of which a part is durable"
#define KEPT 10 /* bytes: what is kept of a stream */

static ssize_t read_again(void *arg, uint64_t offset, void *buf, size_t len)
{
	const char *text = arg;
	size_t left = strlen(text) - (size_t)offset;

	if (len > left)
		len = left;
	memcpy(buf, text + offset, len);
	return (ssize_t)len;
}

static const struct lb_delivery a_file = {.name = "name",
	.length = LB_UNKNOWN,
	.source = "/source",
	.read_again = read_again,
	.read_again_arg = TEXT};
static const struct lb_delivery a_pipe = {.name = "name", .length = LB_UNKNOWN, .source = "-"};

static struct lb_client *open_client(struct fake *fake, lb_client_waiting *waiting)
{
	const struct lb_client_options options = {.state_dir = fake->dir,
		.retry = waiting != NULL,
		.replay = KEPT,
		.waiting = waiting,
		.waiting_arg = fake};
	struct lb_client *client;
	struct lb_outcome outcome;

	fake->resumes = true;
	fake->kept = TEXT;
	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	return client;
}

/* The server is there again, with what was durable. */
static void come_back(void *arg, const struct lb_outcome *why, lb_time wait)
{
	struct fake *fake = arg;

	(void)wait;
	if (why == NULL)
		return;
	fake_restart(fake);
	fake->cut_at = LB_EVENT_NONE;
}

static void come_back_empty(void *arg, const struct lb_outcome *why, lb_time wait)
{
	come_back(arg, why, wait);
	((struct fake *)arg)->offset = 0;
}

/* What SYNC has made durable is what BEGIN_OK will say. After so many of them the link is cut at the next DATA. */
static unsigned syncs_left;

static void make_durable(struct fake *fake, const struct lb_event *event)
{
	if (event->type != LB_EVENT_SYNC)
		return;
	fake->offset = fake->length;
	if (--syncs_left == 0) {
		fake->cut_at = LB_EVENT_DATA;
		fake->cut = FAKE_RST;
	}
}

static struct told deliver(struct fake *fake, struct lb_client *client, const struct lb_delivery *delivery)
{
	assert_int_equal(lb_client_begin(client, delivery, fake_in(fake, 1000)), 0);
	for (size_t i = 0; i < strlen(TEXT); i += 5) {
		char piece[6] = "";

		snprintf(piece, sizeof piece, "%.5s", &TEXT[i]);
		if (fake_write(fake, client, piece) != 0)
			break;
	}
	return fake_commit(fake, client);
}

static void what_an_earlier_process_made_durable_is_hashed_and_not_sent(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;
	struct lb_id id = fake_leave_open(fake, "name", "/source");
	struct told told;

	fake_restart(fake);
	fake->offset = 13;
	client = open_client(fake, NULL);
	told = deliver(fake, client, &a_file);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(told.receipt.length, strlen(TEXT));
	assert_memory_equal(&told.receipt.id, &id, sizeof id);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
	assert_int_equal(fake->length, strlen(TEXT));
	fake_close(fake, client);
}

static void if_that_was_something_else_it_is_rolled_back_for_good(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;
	struct told told;

	(void)fake_leave_open(fake, "name", "/source");
	fake_restart(fake);
	fake->offset = 13;
	client = open_client(fake, NULL);
	fake->kept = "another text";
	fake->refuse_commit = LB_REASON_WRONG_DIGEST;
	told = deliver(fake, client, &a_file);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_ROLLED_BACK);
	assert_int_equal(told.outcome.reason, LB_REASON_WRONG_DIGEST);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 1);
	fake_close(fake, client);
}

static void forget_at_rollback(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_ROLLBACK)
		fake->offset = 0;
}

static void a_stream_of_an_earlier_process_is_sent_from_its_beginning(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;
	struct told told;

	(void)fake_leave_open(fake, "name", "-");
	fake_restart(fake);
	fake->offset = 13;
	client = open_client(fake, NULL);
	fake->on = forget_at_rollback;
	assert_int_equal(lb_client_begin(client, &a_pipe, fake_in(fake, 10)), 0);
	assert_int_equal(fake_write(fake, client, TEXT), 0);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 3);
	fake_close(fake, client);
	assert_string_equal(fake->order, "HSBRBDCX");
}

static void forget_unless_cut(struct fake *fake, const struct lb_event *event)
{
	if (fake->cut_at != LB_EVENT_ROLLBACK)
		forget_at_rollback(fake, event);
}

/* The server has never heard of it: what it has kept is offered once more. */
static void a_rollback_that_is_lost_is_said_again(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;
	struct told told;

	(void)fake_leave_open(fake, "name", "-");
	fake_restart(fake);
	fake->offset = 13;
	client = open_client(fake, come_back);
	fake->on = forget_unless_cut;
	fake->cut_at = LB_EVENT_ROLLBACK;
	fake->cut = FAKE_RST;
	assert_int_equal(lb_client_begin(client, &a_pipe, fake_in(fake, 10)), 0);
	assert_int_equal(fake_write(fake, client, TEXT), 0);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	fake_close(fake, client);
	assert_memory_equal(fake->order, "HSBRBD", 6);
}

static void a_server_that_goes_on_offering_it_is_given_up(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client;
	struct told told;

	(void)fake_leave_open(fake, "name", "-");
	fake_restart(fake);
	fake->offset = 13;
	client = open_client(fake, NULL);
	assert_int_equal(lb_client_begin(client, &a_pipe, fake_in(fake, 10)), -ECONNABORTED);
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_LOST);
	fake_close(fake, client);
}

static void a_stream_goes_on_where_it_is_durable(void **state)
{
	for (unsigned syncs = 1; syncs < 12; syncs++) {
		struct fake *fake = *state;
		struct lb_client *client;
		struct told told;

		fake_restart(fake);
		fake->offset = 0;
		fake->on = make_durable;
		syncs_left = syncs;
		client = open_client(fake, come_back);
		told = deliver(fake, client, &a_pipe);
		assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
		assert_int_equal(told.receipt.length, strlen(TEXT));
		assert_int_equal(fake->length, strlen(TEXT));
		assert_int_equal(fake->last[LB_EVENT_BEGIN].attempt, 2);
		fake_close(fake, client);
	}
}

static void what_the_server_has_forgotten_and_nobody_has_is_said(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake, come_back_empty);
	struct told told;

	fake->on = make_durable;
	syncs_left = 3;
	told = deliver(fake, client, &a_pipe);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_LOST);
	assert_false(fake_is_open(fake, &told.receipt.id));
	fake_close(fake, client);
}

static void no_more_is_taken_than_can_be_sent_again(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake, come_back);

	fake->silent_at = LB_EVENT_SYNC;
	assert_int_equal(lb_client_begin(client, &a_pipe, fake_in(fake, 10)), 0);
	assert_int_equal(fake_write(fake, client, TEXT), -ETIMEDOUT);
	assert_int_equal(fake->length, KEPT);
	assert_int_equal(fake->seen[LB_EVENT_SYNC], 1);
	assert_int_equal(
		fake_rollback(fake, client, LB_REASON_DEADLINE).outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	fake_close(fake, client);
}

static void a_file_asks_for_sync_and_is_not_held_up(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake, NULL);

	fake->silent_at = LB_EVENT_SYNC;
	assert_int_equal(deliver(fake, client, &a_file).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->seen[LB_EVENT_SYNC], 1); /* one at a time */
	fake_close(fake, client);
}

static void nobody_asks_for_sync_who_cannot_go_on(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = open_client(fake, NULL);

	assert_int_equal(deliver(fake, client, &a_pipe).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(fake->seen[LB_EVENT_SYNC], 0);
	assert_null(client->replay.bytes);
	fake_close(fake, client);
}

static void where_the_sink_cannot_nothing_is_kept(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {
		.state_dir = fake->dir, .retry = true, .waiting = come_back, .waiting_arg = fake};
	struct lb_client *client;
	struct lb_outcome outcome;
	struct told told;

	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	fake->cut_at = LB_EVENT_DATA;
	fake->cut = FAKE_RST;
	told = deliver(fake, client, &a_pipe);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(told.outcome.reason, LB_REASON_BROKEN);
	assert_null(client->replay.bytes);
	assert_int_equal(fake->connects, 1);
	fake_close(fake, client);
}

static struct lb_client *watched;
static unsigned most_failures;
static uint64_t durable;

/* More is durable with each connection, and it breaks a little later. */
static void cut_after_sync(struct fake *fake, const struct lb_event *event)
{
	if (event->type == LB_EVENT_SYNC)
		durable = fake->length;
	fake->cut_at =
		event->type == LB_EVENT_DATA && fake->seen[LB_EVENT_SYNC] > 0 ? LB_EVENT_DATA : LB_EVENT_NONE;
}

static void come_back_further(void *arg, const struct lb_outcome *why, lb_time wait)
{
	struct fake *fake = arg;

	if (why != NULL && watched->failures > most_failures)
		most_failures = watched->failures;
	if (why != NULL)
		fake->offset = durable;
	come_back(arg, why, wait);
}

static void what_goes_forward_is_not_waited_for_longer_each_time(void **state)
{
	struct fake *fake = *state;

	most_failures = 0;
	durable = 0;
	watched = open_client(fake, come_back_further);
	fake->cut = FAKE_RST;
	fake->on = cut_after_sync;
	assert_int_equal(lb_client_begin(watched, &a_file, fake_in(fake, 100)), 0);
	for (size_t at = 0; at < strlen(TEXT); at += 5)
		assert_int_equal(lb_client_write(watched, TEXT + at,
					 strlen(TEXT) - at < 5 ? strlen(TEXT) - at : 5, fake_in(fake, 100)),
			0);
	assert_int_equal(fake_commit(fake, watched).outcome.verdict, LB_VERDICT_COMMITTED);
	assert_in_range(fake->offset, 20, strlen(TEXT));
	assert_int_equal(most_failures, 1);
	fake_close(fake, watched);
}

#define BY(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

/* Small pieces go the short way, a large one and what comes behind it another. */
static void pieces_of_any_size_arrive_together_as_they_were_written(void **state)
{
	const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN};
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir, .pipeline = true};
	static const char large[LB_DATA_COPIED + 1];
	struct lb_client *client;
	struct lb_outcome outcome;
	struct told told;

	fake_restart(fake);
	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	fake->sends = 0;
	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), 0);
	for (unsigned i = 0; i < 3000; i++) {
		assert_int_equal(fake_write(fake, client, "a small piece of many"), 0);
		if (i % 1000 == 500)
			assert_int_equal(lb_client_write(client, large, sizeof large, fake_in(fake, 10)), 0);
	}
	told = fake_commit(fake, client);
	assert_int_equal(told.outcome.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(told.receipt.length, 3000 * strlen("a small piece of many") + 3 * sizeof large);
	assert_in_range(fake->sends, 1, 9);
	fake_close(fake, client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY(what_an_earlier_process_made_durable_is_hashed_and_not_sent),
		BY(if_that_was_something_else_it_is_rolled_back_for_good),
		BY(a_stream_of_an_earlier_process_is_sent_from_its_beginning),
		BY(a_rollback_that_is_lost_is_said_again),
		BY(a_server_that_goes_on_offering_it_is_given_up),
		BY(a_stream_goes_on_where_it_is_durable),
		BY(what_the_server_has_forgotten_and_nobody_has_is_said),
		BY(no_more_is_taken_than_can_be_sent_again),
		BY(a_file_asks_for_sync_and_is_not_held_up),
		BY(nobody_asks_for_sync_who_cannot_go_on),
		BY(where_the_sink_cannot_nothing_is_kept),
		BY(what_goes_forward_is_not_waited_for_longer_each_time),
		BY(pieces_of_any_size_arrive_together_as_they_were_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
