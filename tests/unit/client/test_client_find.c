/* SPDX-License-Identifier: MIT */
/* What is open in a journal, asked without a connection. */
#include "fake.h"

static int find(struct fake *fake, const char *address, const struct lb_delivery *delivery, struct lb_id *idp)
{
	const struct lb_client_options options = {.state_dir = fake->dir};

	return lb_client_find(address, &options, delivery, idp);
}

static void an_open_delivery_is_found_by_its_id_or_its_source(void **state)
{
	struct fake *fake = *state;
	struct lb_id open = fake_leave_open(fake, "name", "/source"), id = {.number = 0};
	const struct lb_delivery by_source = {.name = "name", .source = "/source"};
	const struct lb_delivery by_id = {.name = "any", .id = open};
	const struct lb_delivery other = {.name = "other", .source = "/source"}, no_source = {.name = "name"};

	assert_int_equal(find(fake, "host", &by_source, &id), 1);
	assert_memory_equal(&id, &open, sizeof id);
	memset(&id, 0, sizeof id);
	assert_int_equal(find(fake, "host", &by_id, &id), 1);
	assert_memory_equal(&id, &open, sizeof id);
	assert_int_equal(find(fake, "host:1", &by_source, &id), 0);
	memset(&id, 0, sizeof id);
	assert_int_equal(find(fake, NULL, &by_source, &id), 1);
	assert_memory_equal(&id, &open, sizeof id);
	assert_int_equal(find(fake, NULL, &other, &id), 0);
	assert_int_equal(find(fake, "host", &other, &id), 0);
	assert_int_equal(find(fake, "host", &no_source, &id), 0);
	assert_int_equal(fake->connects, 0);
}

static void what_another_process_works_on_is_busy(void **state)
{
	struct fake *fake = *state;
	struct lb_client *client = fake_client(fake);
	struct lb_delivery by_id = {.name = "name"};
	struct lb_id id;

	fake_begin(fake, client);
	by_id.id = *lb_client_id(client);
	assert_int_equal(find(fake, "host", &by_id, &id), -EBUSY);
	fake_close(fake, client);
}

static void what_cannot_be_asked_is_told(void **state)
{
	struct fake *fake = *state;
	const struct lb_delivery delivery = {.name = "name"};
	const struct lb_client_options options = {.state_dir = scratch_path(&fake->scratch, "a/b")};
	struct lb_id id;

	assert_int_equal(find(fake, "host:99999", &delivery, &id), -EINVAL);
	assert_int_equal(lb_client_find("host", &options, &delivery, &id), -ENOENT);
}

struct seen {
	const struct lb_uuid *ledger;
	int n, stop_after;
	char names[4][8];
};

static int take(void *arg, const struct lb_open_delivery *open)
{
	struct seen *seen = arg;

	assert_string_equal(open->address, "host:7117");
	assert_memory_equal(&open->ledger, seen->ledger, sizeof open->ledger);
	snprintf(seen->names[seen->n], sizeof seen->names[0], "%s%s", open->name, open->source);
	return ++seen->n == seen->stop_after ? 42 : 0;
}

static void all_that_is_open_is_listed_in_order(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir};
	struct seen all = {.ledger = &fake->ledger}, of_host = all, of_other = all,
		    first = {.ledger = &fake->ledger, .stop_after = 1};

	fake_leave_open(fake, "a", "/1");
	fake_leave_open(fake, "b", "");
	assert_int_equal(lb_client_each_open(&options, NULL, take, &all), 0);
	assert_int_equal(all.n, 2);
	assert_string_equal(all.names[0], "a/1");
	assert_string_equal(all.names[1], "b");
	assert_int_equal(lb_client_each_open(&options, "host", take, &of_host), 0);
	assert_int_equal(of_host.n, 2);
	assert_int_equal(lb_client_each_open(&options, "other", take, &of_other), 0);
	assert_int_equal(of_other.n, 0);
	assert_int_equal(lb_client_each_open(&options, NULL, take, &first), 42);
	assert_int_equal(first.n, 1);
}

/* Another process may have settled what was listed, at a ledger that this one is not connected to. */
static void what_is_not_open_any_more_is_neither_begun_nor_asked_about(void **state)
{
	struct fake *fake = *state;
	const struct lb_client_options options = {.state_dir = fake->dir, .only_open = true};
	struct lb_delivery listed = {
		.name = "a", .length = LB_UNKNOWN, .id = fake_leave_open(fake, "a", "/1")};
	struct lb_client *other = fake_client(fake), *client;
	struct lb_outcome outcome;

	assert_int_equal(fake_resolve(fake, other, &listed.id).r, 0);
	fake_close(fake, other);
	fake_restart(fake);
	fake->ledger.bytes[0] ^= 1;
	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	assert_int_equal(lb_client_begin(client, &listed, fake_in(fake, 10)), -ENOENT);
	assert_int_equal(fake_resolve(fake, client, &listed.id).r, -ENOENT);
	assert_false(fake_is_open(fake, &listed.id));
	memset(&listed.id, 0, sizeof listed.id);
	assert_int_equal(lb_client_begin(client, &listed, fake_in(fake, 10)), 0);
	assert_int_equal(fake->seen[LB_EVENT_BEGIN], 1);
	assert_int_equal(fake->seen[LB_EVENT_RESOLVE], 0);
	fake_close(fake, client);
}

static void a_list_that_cannot_be_made_says_why(void **state)
{
	struct fake *fake = *state;
	char why[256] = "";
	const struct lb_client_options options = {
		.state_dir = scratch_path(&fake->scratch, "a/b"), .why = why};
	struct seen seen = {0};

	assert_int_equal(lb_client_each_open(&options, NULL, take, &seen), -ENOENT);
	assert_non_null(strstr(why, "a/b"));
	assert_int_equal(lb_client_each_open(&options, "host:99999", take, &seen), -EINVAL);
	assert_int_equal(lb_client_each_open(NULL, "host:99999", take, &seen), -EINVAL);
	assert_int_equal(seen.n, 0);
}

/* As for a program that gives no options. */
static void without_options_the_journal_is_where_the_environment_says(void **state)
{
	struct fake *fake = *state;
	struct lb_id open = fake_leave_open(fake, "a", "/1"), id;
	const struct lb_delivery delivery = {.name = "a", .source = "/1"};
	struct seen seen = {.ledger = &fake->ledger};
	char *xdg = strdup(scratch_path(&fake->scratch, "."));

	assert_int_equal(setenv("XDG_STATE_HOME", xdg, 1), 0);
	assert_int_equal(rename(fake->dir, scratch_path(&fake->scratch, "lastbyte")), 0);
	assert_int_equal(lb_client_each_open(NULL, NULL, take, &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(lb_client_find("host", NULL, &delivery, &id), 1);
	assert_memory_equal(&id, &open, sizeof id);
	free(xdg);
}

#define find_test(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		find_test(an_open_delivery_is_found_by_its_id_or_its_source),
		find_test(what_another_process_works_on_is_busy),
		find_test(what_cannot_be_asked_is_told),
		find_test(all_that_is_open_is_listed_in_order),
		find_test(what_is_not_open_any_more_is_neither_begun_nor_asked_about),
		find_test(a_list_that_cannot_be_made_says_why),
		find_test(without_options_the_journal_is_where_the_environment_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
