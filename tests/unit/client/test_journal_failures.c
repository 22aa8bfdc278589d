/* SPDX-License-Identifier: MIT */
/* A journal's life in which each call on the disk fails in turn, then each allocation: what it has said stays true. */
#include "client/journal.h"
#include "lib/failing.h"
#include "lib/flaky_disk.h"
#include "lib/scratch.h"
#include <string.h>

#define DELIVERIES 24 /* of which enough are ended for a compaction */

/* What the journal has said, by number. */
struct said {
	bool begun[DELIVERIES * 2], ending[DELIVERIES * 2], done[DELIVERIES * 2];
	int failures; /* of its calls */
};

static struct lb_journal_entry entry_of(int i)
{
	struct lb_journal_entry entry = {.ledger.bytes = {1}, .attempt = 1, .address = "host:7117"};

	snprintf(entry.name, sizeof entry.name, "name %d", i);
	memset(entry.source, 's', LB_SOURCE_MAX - 1);
	entry.source[0] = '/';
	entry.source[1] = (char)('a' + i);
	return entry;
}

static void deliver(struct lb_journal *journal, int i, struct said *said)
{
	struct lb_journal_entry entry = entry_of(i);
	int r = lb_journal_begin(journal, &entry);

	said->failures += r < 0;
	if (r < 0)
		return;
	assert_in_range(entry.id.number, 1, DELIVERIES * 2 - 1);
	assert_false(said->begun[entry.id.number]); /* no number twice */
	said->begun[entry.id.number] = true;
	if (i % 8 == 0) {
		lb_journal_release(journal, &entry.id);
		return;
	}
	said->ending[entry.id.number] = true;
	r = lb_journal_done(journal, &entry.id);
	said->failures += r < 0;
	said->done[entry.id.number] = r == 0;
}

static int count(void *arg, const struct lb_journal_entry *entry)
{
	(void)entry;
	++*(int *)arg;
	return 0;
}

/* What a process does with it, and goes on doing whatever fails. */
static void live(struct lb_host *host, const char *dir, struct said *said)
{
	struct lb_journal_entry wanted = entry_of(0), found;
	struct lb_journal *journal = NULL, *other = NULL;
	char why[256] = "";
	uint64_t lowest;
	int open = 0, r = lb_journal_open(host, dir, &journal, why);

	if (r < 0) {
		said->failures++;
		assert_null(journal);
		assert_string_not_equal(why, "");
		return;
	}
	for (int i = 0; i < DELIVERIES / 2; i++)
		deliver(journal, i, said);
	/* another process takes its turn, so that there is something to read */
	if (lb_journal_open(host, dir, &other, why) < 0)
		said->failures++;
	for (int i = DELIVERIES / 2; other != NULL && i < DELIVERIES; i++)
		deliver(other, i, said);
	lb_journal_close(other);
	r = lb_journal_lowest(journal, &lowest);
	said->failures += r < 0;
	if (r == 0 && said->failures == 0)
		assert_int_equal(lowest, 1);
	r = lb_journal_find_source(journal, NULL, wanted.address, wanted.name, wanted.source, &found);
	said->failures += r < 0;
	if (r == 1) {
		assert_true(said->begun[found.id.number]);
		lb_journal_release(journal, &found.id);
		said->failures += lb_journal_find(journal, &found.id, &found) < 0;
	}
	r = lb_journal_each(journal, count, &open);
	said->failures += r < 0;
	lb_journal_close(journal);
}

/* As a process sees it whose machine is well. */
static void check(const char *dir, const struct said *said)
{
	struct lb_journal_entry entry = entry_of(DELIVERIES), found;
	struct lb_journal *journal = NULL;
	struct flaky well;
	char why[256] = "";

	flaky_init(&well, 0, 0);
	if (lb_journal_open(&well.host, dir, &journal, why) < 0)
		fail_msg("%s", why);
	for (unsigned number = 1; number < DELIVERIES * 2; number++) {
		struct lb_id id = {.number = number};

		memcpy(id.client, lb_journal_client(journal), sizeof id.client);
		if (said->begun[number] && !said->ending[number])
			assert_int_equal(lb_journal_find(journal, &id, &found), 1);
		if (said->done[number])
			assert_int_equal(lb_journal_find(journal, &id, &found), 0);
	}
	assert_int_equal(lb_journal_begin(journal, &entry), 0);
	for (unsigned number = 1; number < DELIVERIES * 2; number++)
		assert_true(!said->begun[number] || entry.id.number > number);
	lb_journal_close(journal);
}

static void try(int at, struct failing_plan *plan, struct flaky *flaky, struct failing_seen *seen)
{
	struct said said = {0};
	struct scratch scratch;
	const char *dir;

	scratch_make(&scratch);
	dir = scratch_path(&scratch, "state");
	flaky_init(flaky, at, -EIO);
	failing_begin(plan);
	live(&flaky->host, dir, &said);
	failing_end(seen);
	if (flaky->failed == NULL && seen->name == NULL)
		assert_int_equal(said.failures, 0);
	check(dir, &said);
	scratch_remove(&scratch);
}

static void what_it_said_stays_true_whichever_call_on_the_disk_fails(void **state)
{
	struct failing_plan none = {.memory = true};
	struct failing_seen seen;
	struct flaky flaky;
	int at = 0;

	(void)state;
	do
		try(++at, &none, &flaky, &seen);
	while (flaky.failed != NULL);
	assert_true(at > 4 * DELIVERIES); /* lock, stat, append, sync, at least */
}

static void what_it_said_stays_true_whichever_allocation_fails(void **state)
{
	struct failing_plan plan = {.memory = true};
	struct failing_seen seen;
	struct flaky flaky;

	(void)state;
	do {
		plan.at++;
		try(0, &plan, &flaky, &seen);
	} while (seen.name != NULL);
	assert_true(plan.at > DELIVERIES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_said_stays_true_whichever_call_on_the_disk_fails),
		cmocka_unit_test(what_it_said_stays_true_whichever_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
