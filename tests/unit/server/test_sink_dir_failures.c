/* SPDX-License-Identifier: MIT */
/*
 * A sink's life in which each call on the disk fails in turn, each of the database's, and each allocation: what it has
 * said of a delivery is what the next one finds in ledger and inbox.
 */
#include "base/digest.h"
#include "flaky_vfs.h"
#include "lib/failing.h"
#include "lib/flaky_disk.h"
#include "lib/scratch.h"
#include "server/sink.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DELIVERIES 8
#define FIRST      "some text"
#define SECOND     ", and the rest of it"

struct life {
	struct lb_sink *sink;
	const char *dir;
	enum lb_verdict told[DELIVERIES + 1]; /* of each number; OPEN where nothing was */
	bool asked[DELIVERIES + 1];           /* there is something that it was told of */
};

static struct lb_id id_of(unsigned number)
{
	struct lb_id id = {.number = number};

	memset(id.client, 0xc1, sizeof id.client);
	return id;
}

static const char *in_inbox(const struct life *life, const char *name)
{
	static char path[600];

	snprintf(path, sizeof path, "%s/%s", life->dir, name);
	return path;
}

static bool begin(struct life *life, struct lb_intake *intake, unsigned number, uint32_t attempt)
{
	*intake = (struct lb_intake){.id = id_of(number),
		.attempt = attempt,
		.declared = strlen(FIRST SECOND),
		.resume = true,
		.part = -1,
		.part_dir = -1};
	snprintf(intake->name, sizeof intake->name, "name %u", number);
	life->sink->ops->begin(life->sink, intake);
	life->asked[number] = true;
	life->told[number] = intake->verdict;
	return intake->verdict == LB_VERDICT_UNPROVEN;
}

/* As the loop does: what cannot be written, or made durable, is rolled back. */
static bool goes_on(struct life *life, struct lb_intake *intake, enum lb_reason reason)
{
	if (reason == LB_REASON_NONE)
		return true;
	life->told[intake->id.number] = lb_reason_verdict(reason);
	life->sink->ops->rollback(life->sink, intake);
	return false;
}

static bool put(struct life *life, struct lb_intake *intake, const char *text)
{
	return goes_on(life, intake, life->sink->ops->write(life->sink, intake, text, strlen(text)));
}

static bool make_durable(struct life *life, struct lb_intake *intake)
{
	return goes_on(life, intake, life->sink->ops->sync(life->sink, intake, intake->received));
}

static void commit(struct life *life, struct lb_intake *intake)
{
	struct lb_hasher hasher;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, FIRST SECOND, strlen(FIRST SECOND));
	lb_hasher_digest(&hasher, &intake->digest);
	life->sink->ops->commit(life->sink, &intake, 1);
	life->told[intake->id.number] = intake->verdict;
}

static void deliver(struct life *life, unsigned number)
{
	struct lb_intake intake;

	if (begin(life, &intake, number, 1) && put(life, &intake, FIRST) && put(life, &intake, SECOND))
		commit(life, &intake);
}

/* An outsider's file has the name meanwhile. */
static void deliver_beside(struct life *life, unsigned number)
{
	struct lb_intake intake;

	if (!begin(life, &intake, number, 1) || !put(life, &intake, FIRST SECOND))
		return;
	close(open(in_inbox(life, intake.name), O_CREAT | O_WRONLY, 0666));
	commit(life, &intake);
}

static void give_up(struct life *life, unsigned number)
{
	struct lb_intake intake;

	if (!begin(life, &intake, number, 1) || !put(life, &intake, FIRST) || !make_durable(life, &intake))
		return;
	life->told[number] = LB_VERDICT_ROLLED_BACK;
	life->sink->ops->rollback(life->sink, &intake);
}

static bool leave(struct life *life, unsigned number)
{
	struct lb_intake intake;

	if (!begin(life, &intake, number, 1) || !put(life, &intake, FIRST) || !make_durable(life, &intake))
		return false;
	life->told[number] = LB_VERDICT_ROLLED_BACK;
	if (!put(life, &intake, "what is not made durable"))
		return false;
	life->sink->ops->leave(life->sink, &intake);
	return true;
}

/* A second attempt goes on where the first was left, or sends all of it. */
static void go_on(struct life *life, unsigned number)
{
	struct lb_hasher hasher, whole;
	struct lb_digest digest, expected;
	struct lb_intake intake;

	if (!leave(life, number) || !begin(life, &intake, number, 2))
		return;
	lb_hasher_init(&hasher);
	while (intake.verdict == LB_VERDICT_UNPROVEN && intake.rehashed < intake.offset)
		life->sink->ops->rehash(life->sink, &intake, &hasher);
	life->told[number] = intake.verdict;
	if (intake.verdict != LB_VERDICT_UNPROVEN)
		return;
	lb_hasher_init(&whole);
	lb_hasher_update(&whole, FIRST, intake.offset);
	lb_hasher_digest(&whole, &expected);
	lb_hasher_digest(&hasher, &digest);
	assert_memory_equal(&digest, &expected, sizeof digest);
	if (put(life, &intake, &FIRST SECOND[intake.offset]))
		commit(life, &intake);
}

static void ask(struct life *life, unsigned number)
{
	struct lb_resolution resolution = {.id = id_of(number)};
	enum lb_verdict before = life->told[number];

	life->sink->ops->resolve(life->sink, &resolution);
	if (resolution.verdict == LB_VERDICT_NOT_COMMITTED) /* it cannot tell now */
		return;
	if (before == LB_VERDICT_COMMITTED)
		assert_int_equal(resolution.verdict, LB_VERDICT_COMMITTED);
	life->told[number] = resolution.verdict;
	life->asked[number] = true;
}

static int live(struct life *life, struct lb_host *host)
{
	static const struct lb_sink_dir_options options = {.parts_max = strlen(FIRST)};
	struct lb_id lowest = id_of(2);
	char why[256] = "";
	int r = lb_sink_dir_open_on(host, "flaky", life->dir, &options, &life->sink, why);

	if (r < 0) {
		assert_null(life->sink);
		assert_string_not_equal(why, "");
		return r;
	}
	deliver(life, 1);
	deliver(life, 2);
	give_up(life, 3);
	go_on(life, 4);
	(void)leave(life, 5);
	ask(life, 6);
	deliver_beside(life, 7);
	(void)leave(life, 8);
	ask(life, 8);
	ask(life, 2);
	life->sink->ops->settle(life->sink, &lowest);
	life->sink->ops->sweep(life->sink);
	lb_sink_close(life->sink);
	return 0;
}

static bool has_content(const struct life *life, const char *name)
{
	char buf[100] = "";
	FILE *file = fopen(in_inbox(life, name), "r");

	if (file == NULL)
		return false;
	buf[fread(buf, 1, sizeof buf - 1, file)] = '\0';
	fclose(file);
	return strcmp(buf, FIRST SECOND) == 0;
}

/* As the next server finds it. */
static void check(struct life *life)
{
	struct lb_sink *sink = NULL;
	struct flaky well;
	char why[256] = "";

	flaky_init(&well, 0, 0);
	flaky_vfs.at = 0;
	if (lb_sink_dir_open_on(&well.host, "flaky", life->dir, NULL, &sink, why) < 0)
		fail_msg("%s", why);
	for (unsigned number = 1; number <= DELIVERIES; number++) {
		struct lb_resolution found = {.id = id_of(number)};
		char name[20];

		snprintf(name, sizeof name, "name %u", number);
		sink->ops->resolve(sink, &found);
		if (found.verdict == LB_VERDICT_COMMITTED) {
			assert_true(life->told[number] == LB_VERDICT_COMMITTED ||
				    life->told[number] == LB_VERDICT_IN_DOUBT);
			assert_true(has_content(life, found.receipt.placed));
		} else {
			assert_int_equal(found.verdict, LB_VERDICT_ROLLED_BACK);
			assert_int_not_equal(life->told[number], LB_VERDICT_COMMITTED);
			assert_false(has_content(life, name));
		}
	}
	lb_sink_close(sink);
}

struct failure {
	int disk, vfs;
	bool full;
	struct failing_plan memory;
	bool struck;
};

static void try(struct failure *failure)
{
	struct life life = {0};
	struct failing_seen seen;
	struct scratch scratch;
	struct flaky flaky;
	int r;

	scratch_make(&scratch);
	life.dir = scratch_path(&scratch, "inbox");
	flaky_init(&flaky, failure->disk, failure->full ? -ENOSPC : -EIO);
	flaky_vfs_init(false);
	flaky_vfs.at = failure->vfs;
	flaky_vfs.full = failure->full;
	failing_begin(&failure->memory);
	r = live(&life, &flaky.host);
	failing_end(&seen);
	failure->struck = flaky.failed != NULL || flaky_vfs.failed != NULL || seen.name != NULL;
	if (!failure->struck)
		assert_int_equal(r, 0);
	for (unsigned number = 1; number <= DELIVERIES && !failure->struck; number++)
		assert_int_equal(life.told[number], strchr("1247", '0' + (int)number) != NULL
							    ? LB_VERDICT_COMMITTED
							    : LB_VERDICT_ROLLED_BACK);
	check(&life);
	flaky_vfs_deinit();
	scratch_remove(&scratch);
}

static void what_it_said_is_found_whichever_call_on_the_disk_fails(void **state)
{
	struct failure failure = {.memory.memory = true};

	(void)state;
	do {
		failure.disk++;
		try(&failure);
	} while (failure.struck);
	assert_true(failure.disk > 100);
}

static void what_it_said_is_found_whichever_call_of_the_database_fails(void **state)
{
	struct failure failure = {.memory.memory = true};

	(void)state;
	do {
		failure.vfs++;
		try(&failure);
	} while (failure.struck);
	assert_true(failure.vfs > 100);
}

static void what_it_said_is_found_whichever_write_of_the_database_finds_the_disk_full(void **state)
{
	struct failure failure = {.memory.memory = true, .full = true};

	(void)state;
	do {
		failure.vfs++;
		try(&failure);
	} while (failure.struck);
	assert_true(failure.vfs > 20);
}

static void what_it_said_is_found_whichever_allocation_fails(void **state)
{
	struct failure failure = {.memory.memory = true};

	(void)state;
	do {
		failure.memory.at++;
		try(&failure);
	} while (failure.struck);
	assert_true(failure.memory.at > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_said_is_found_whichever_call_on_the_disk_fails),
		cmocka_unit_test(what_it_said_is_found_whichever_call_of_the_database_fails),
		cmocka_unit_test(what_it_said_is_found_whichever_write_of_the_database_finds_the_disk_full),
		cmocka_unit_test(what_it_said_is_found_whichever_allocation_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
