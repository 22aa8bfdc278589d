/* SPDX-License-Identifier: MIT */
/* The application's work and its reply: into a directory, with the library's client; and many large ones at once. */
#include "server_fixture.h"
#include "lib/scratch.h"
#include <lastbyte/client.h>
#include <stdio.h>

#define MINUTE (INT64_C(60) * 1000000000)

/* A server into SCRATCH/inbox whose application counts the letters of each delivery. */
struct office {
	struct scratch scratch;
	struct lb_sink *sink;
	struct lb_server *server;
	struct lb_server_options options;
	pthread_t thread;
	atomic_uint works;
};

static enum lb_reason count_letters(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	((struct office *)arg)->works++;
	if (work->len >= 3 && memcmp(work->content, "bad", 3) == 0) {
		*lenp = (size_t)sprintf(reply, "%s is bad", work->name);
		return LB_REASON_REJECTED;
	}
	if (work->len >= 5 && memcmp(work->content, "later", 5) == 0)
		return LB_REASON_BUSY;
	if (work->len >= 6 && memcmp(work->content, "fenced", 6) == 0)
		return LB_REASON_FENCED; /* not its to say */
	if (work->len > 0)
		*lenp = (size_t)sprintf(reply, "%zu letters", work->len);
	return LB_REASON_NONE;
}

static void *office_run(void *arg)
{
	if (lb_server_run(((struct office *)arg)->server) != 0)
		abort();
	return NULL;
}

static void office_start(struct office *office)
{
	char why[256];

	office->options = (struct lb_server_options){
		.listen = "127.0.0.1:0", .work = count_letters, .work_arg = office, .work_max = 100};
	assert_int_equal(
		lb_sink_dir_open(scratch_path(&office->scratch, "inbox"), NULL, &office->sink, why), 0);
	assert_int_equal(lb_server_new(office->sink, &office->options, &office->server, why), 0);
	assert_int_equal(pthread_create(&office->thread, NULL, office_run, office), 0);
}

static void office_end(struct office *office)
{
	lb_server_stop(office->server);
	assert_int_equal(pthread_join(office->thread, NULL), 0);
	lb_server_free(office->server);
	lb_sink_close(office->sink);
}

static struct lb_client *visit(struct office *office)
{
	struct lb_client_options options = {.state_dir = scratch_path(&office->scratch, "state")};
	struct lb_client *client;
	struct lb_outcome outcome;

	assert_int_equal(lb_client_open(lb_server_address(office->server), &options, lb_now() + MINUTE,
				 &client, &outcome),
		0);
	return client;
}

static struct lb_outcome deliver(
	struct lb_client *client, const char *name, const char *content, struct lb_id *idp)
{
	struct lb_delivery delivery = {.name = name, .length = LB_UNKNOWN, .id = *idp};
	struct lb_outcome outcome;
	struct lb_receipt receipt;

	assert_int_equal(lb_client_begin(client, &delivery, lb_now() + MINUTE), 0);
	(void)!lb_client_write(client, content, strlen(content), lb_now() + MINUTE);
	assert_int_equal(lb_client_commit(client, lb_now() + MINUTE, &receipt, &outcome), 0);
	*idp = receipt.id;
	return outcome;
}

static void assert_reply(struct lb_client *client, const char *wanted)
{
	size_t len;
	const char *reply = lb_client_reply(client, &len);

	assert_int_equal(len, strlen(wanted));
	if (len > 0)
		assert_memory_equal(reply, wanted, len);
}

static void leave(struct lb_client *client)
{
	struct lb_outcome outcome;

	assert_int_equal(lb_client_close(client, lb_now() + MINUTE, &outcome), 0);
}

static int office_make(void **state)
{
	struct office *office = calloc(1, sizeof *office);

	assert_non_null(office);
	scratch_make(&office->scratch);
	office_start(office);
	*state = office;
	return 0;
}

static int office_remove(void **state)
{
	struct office *office = *state;

	office_end(office);
	scratch_remove(&office->scratch);
	free(office);
	return 0;
}

static void a_reply_comes_with_every_receipt_of_its_delivery(void **state)
{
	struct office *office = *state;
	struct lb_client *client = visit(office);
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	struct lb_id id = {0}, other = {0};

	assert_int_equal(deliver(client, "a", "hello", &id).verdict, LB_VERDICT_COMMITTED);
	assert_reply(client, "5 letters");
	assert_int_equal(deliver(client, "empty", "", &other).verdict, LB_VERDICT_COMMITTED);
	assert_reply(client, "");
	assert_int_equal(lb_client_resolve(client, &id, lb_now() + MINUTE, &receipt, &outcome), 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_COMMITTED);
	assert_reply(client, "5 letters");
	leave(client);
	office_end(office);
	office_start(office);
	client = visit(office);
	assert_int_equal(deliver(client, "a", "hello", &id).verdict, LB_VERDICT_COMMITTED);
	assert_reply(client, "5 letters");
	leave(client);
	assert_int_equal(office->works, 2);
}

static void what_the_application_does_not_take_is_refused_and_gone(void **state)
{
	struct office *office = *state;
	struct lb_client *client = visit(office);
	struct lb_id id = {0}, later = {0}, fenced = {0};
	struct lb_outcome outcome = deliver(client, "a", "bad", &id);

	assert_int_equal(outcome.verdict, LB_VERDICT_REFUSED);
	assert_int_equal(outcome.reason, LB_REASON_REJECTED);
	assert_reply(client, "");
	outcome = deliver(client, "b", "later", &later);
	assert_int_equal(outcome.verdict, LB_VERDICT_NOT_COMMITTED);
	assert_int_equal(outcome.reason, LB_REASON_BUSY);
	outcome = deliver(client, "c", "fenced", &fenced);
	assert_int_equal(outcome.reason, LB_REASON_REJECTED);
	leave(client);
	assert_int_equal(access(scratch_path(&office->scratch, "inbox/a"), F_OK), -1);
	assert_int_equal(access(scratch_path(&office->scratch, "inbox/b"), F_OK), -1);
	client = visit(office); /* its name is free */
	assert_int_equal(deliver(client, "a", "good", &(struct lb_id){0}).verdict, LB_VERDICT_COMMITTED);
	leave(client);
}

static void no_work_is_done_on_what_was_fenced_meanwhile(void **state)
{
	struct office *office = *state;
	struct lb_client_options options = {.state_dir = scratch_path(&office->scratch, "other state")};
	struct lb_client *client = visit(office), *other;
	struct lb_delivery delivery = {.name = "a", .length = LB_UNKNOWN};
	struct lb_outcome outcome;
	struct lb_receipt receipt;
	struct lb_id id;

	assert_int_equal(lb_client_begin(client, &delivery, lb_now() + MINUTE), 0);
	id = *lb_client_id(client);
	assert_int_equal(lb_client_open(lb_server_address(office->server), &options, lb_now() + MINUTE,
				 &other, &outcome),
		0);
	assert_int_equal(lb_client_resolve(other, &id, lb_now() + MINUTE, &receipt, &outcome), 0);
	assert_int_equal(outcome.verdict, LB_VERDICT_ROLLED_BACK);
	leave(other);
	assert_int_equal(lb_client_write(client, "bad", 3, lb_now() + MINUTE), 0);
	assert_int_equal(lb_client_commit(client, lb_now() + MINUTE, &receipt, &outcome), 0);
	assert_int_equal(outcome.reason, LB_REASON_FENCED);
	assert_int_equal(office->works, 0);
	leave(client);
}

static void more_than_the_application_takes_is_too_large(void **state)
{
	struct office *office = *state;
	struct lb_client *client = visit(office);
	char content[102] = "";
	struct lb_outcome outcome;

	memset(content, 'x', 101);
	outcome = deliver(client, "a", content, &(struct lb_id){0});
	assert_int_equal(outcome.reason, LB_REASON_TOO_LARGE);
	content[100] = '\0';
	assert_int_equal(deliver(client, "a", content, &(struct lb_id){0}).verdict, LB_VERDICT_COMMITTED);
	assert_reply(client, "100 letters");
	leave(client);
}

static enum lb_reason fill_reply(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	(void)arg;
	(void)work;
	memset(reply, 'r', LB_WORK_REPLY_MAX);
	*lenp = LB_WORK_REPLY_MAX;
	return LB_REASON_NONE;
}

/* One that is committing, and 15 more that will be decided together. */
static void ask_for_many(struct serving *serving, struct wire *wire, uint32_t features)
{
	serving->held = true;
	serving->sink.begins_at_once = true;
	serving->options.work = fill_reply;
	serving_start(serving);
	wire_open(wire, serving, 1, features);
	wire_deliver(wire, 1, "first");
	wire_send(wire);
	await_commit(serving);
	wire_hear(wire, LB_FRAME_BEGIN_OK);
	for (int i = 0; i < 15; i++)
		wire_deliver(wire, 1, "more");
	wire_say(wire, LB_FRAME_PING, "12345678", 8);
	wire_send(wire);
	for (int i = 0; i < 15; i++)
		wire_hear(wire, LB_FRAME_BEGIN_OK);
	wire_hear(wire, LB_FRAME_PONG);
}

static void many_large_replies_leave_one_after_another(void **state)
{
	struct serving serving = {0};
	struct wire wire;

	(void)state;
	ask_for_many(&serving, &wire, LB_FEATURE_REPLY);
	let_go(&serving);
	await_commit(&serving);
	let_go(&serving);
	for (int i = 0; i < 16; i++)
		assert_true(wire_hear(&wire, LB_FRAME_COMMITTED).length > LB_WORK_REPLY_MAX);
	wire_close(&wire);
	serving_end(&serving);
	assert_int_equal(serving.reports, 16);
}

static void a_client_that_asks_for_no_replies_gets_none(void **state)
{
	struct serving serving = {0};
	struct wire wire;

	(void)state;
	ask_for_many(&serving, &wire, 0);
	let_go(&serving);
	await_commit(&serving);
	let_go(&serving);
	for (int i = 0; i < 16; i++)
		assert_true(wire_hear(&wire, LB_FRAME_COMMITTED).length < 100);
	wire_close(&wire);
	serving_end(&serving);
}

static void replies_that_found_no_room_when_the_connection_ended_are_reported_all_the_same(void **state)
{
	struct serving serving = {0};
	struct wire wire;

	(void)state;
	ask_for_many(&serving, &wire, LB_FEATURE_REPLY);
	serving.clogged = true;
	let_go(&serving);
	await_commit(&serving);
	let_go(&serving);
	close(wire.fd);
	serving_end(&serving);
	assert_int_equal(serving.reports, 16);
}

static void a_sink_that_keeps_no_content_takes_no_work(void **state)
{
	const struct lb_sink_ops ops = {0};
	struct lb_sink sink = {.ops = &ops};
	struct lb_server_options options = {.listen = "127.0.0.1:0", .work = fill_reply};
	struct lb_server *server;
	char why[256];

	(void)state;
	assert_int_equal(lb_server_new(&sink, &options, &server, why), -ENOTSUP);
	assert_null(server);
	assert_non_null(strstr(why, "application"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_reply_comes_with_every_receipt_of_its_delivery, office_make, office_remove),
		cmocka_unit_test_setup_teardown(
			what_the_application_does_not_take_is_refused_and_gone, office_make, office_remove),
		cmocka_unit_test_setup_teardown(
			no_work_is_done_on_what_was_fenced_meanwhile, office_make, office_remove),
		cmocka_unit_test_setup_teardown(
			more_than_the_application_takes_is_too_large, office_make, office_remove),
		cmocka_unit_test(many_large_replies_leave_one_after_another),
		cmocka_unit_test(a_client_that_asks_for_no_replies_gets_none),
		cmocka_unit_test(
			replies_that_found_no_room_when_the_connection_ended_are_reported_all_the_same),
		cmocka_unit_test(a_sink_that_keeps_no_content_takes_no_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
