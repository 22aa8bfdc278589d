/* SPDX-License-Identifier: MIT */
#include "faulty_vfs.h"
#include "sink_fixture.h"
#include "server/sink_dir.h"

#define SECOND INT64_C(1000000000)

static lb_time time_now;
static int64_t time_wall;

static lb_time now(struct lb_host *host)
{
	(void)host;
	return time_now;
}

static int64_t wall(struct lb_host *host)
{
	(void)host;
	return time_wall;
}

static struct lb_clock_ops clock_ops = {.now = now, .wall = wall};

static int keep_make(void **state)
{
	struct fixture *fx;

	faulty_vfs_init();
	bare_make(state);
	fx = *state;
	fx->vfs = "faulty";
	time_now = 1000 * SECOND;
	time_wall = INT64_C(1700000000) * SECOND;
	clock_ops.random = fx->host.clock->random;
	fx->host.clock = &clock_ops;
	sink_open(fx);
	return 0;
}

static int keep_remove(void **state)
{
	sink_remove(state);
	faulty_vfs_deinit();
	return 0;
}

#define keep_test(f) cmocka_unit_test_setup_teardown(f, keep_make, keep_remove)

static enum lb_reason sync_all(struct fixture *fx, struct lb_intake *intake)
{
	return fx->sink->ops->sync(fx->sink, intake, intake->received);
}

static void leave(struct fixture *fx, struct lb_intake *intake)
{
	fx->sink->ops->leave(fx->sink, intake);
}

/* Begins attempt 2 of a delivery, by a client that can resume. */
static void begin_again(struct fixture *fx, struct lb_intake *intake, uint64_t number, const char *name)
{
	*intake = (struct lb_intake){.id = id_of(number),
		.attempt = 2,
		.declared = LB_UNKNOWN,
		.resume = true,
		.part = -1,
		.part_dir = -1};
	snprintf(intake->name, sizeof intake->name, "%s", name);
	fx->sink->ops->begin(fx->sink, intake);
}

/* Attempt 1 sends `content`, of which the first part is synced, and is gone. */
static void kept(struct fixture *fx, uint64_t number, const char *name, const char *first, const char *rest)
{
	struct lb_intake intake;

	begin_full(fx, &intake, number, name, first);
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	take_in(fx, &intake, rest);
	leave(fx, &intake);
}

/* Where attempt 2 goes on; it then leaves. */
static uint64_t offset_of(struct fixture *fx, uint64_t number, const char *name)
{
	struct lb_intake intake;

	begin_again(fx, &intake, number, name);
	assert_answer(intake, UNPROVEN, NONE);
	assert_int_equal(intake.received, intake.offset);
	leave(fx, &intake);
	return intake.offset;
}

static void a_sync_makes_the_part_durable_before_its_offset(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	fx->logging = true;
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	assert_string_equal(fx->log, "sync a;sync " CLIENT_HEX "-1;sync parts;");
	assert_int_equal(intake.durable, 5);
	fx->log[0] = '\0';
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE); /* nothing has come since */
	assert_string_equal(fx->log, "");
	take_in(fx, &intake, " world");
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	assert_string_equal(fx->log, "sync a;"); /* its directories are durable already */
	commit(fx, &intake);
	assert_file(inbox(fx, "a"), "hello world");
}

static void what_was_synced_stays_and_is_hashed_again(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake, whole;
	struct lb_hasher hasher;

	kept(fx, 1, "a", "hello", " that nobody has asked to keep");
	assert_file(part_path(fx, 1, "a"), "hello");
	assert_false(exists(inbox(fx, "a")));
	begin_again(fx, &intake, 1, "a");
	assert_int_equal(intake.offset, 5);
	assert_int_equal(intake.rehashed, 0);
	lb_hasher_init(&hasher);
	fx->sink->ops->rehash(fx->sink, &intake, &hasher);
	assert_int_equal(intake.rehashed, 5);
	assert_int_equal(fx->sink->ops->write(fx->sink, &intake, " world", 6), LB_REASON_NONE);
	lb_hasher_update(&hasher, " world", 6);
	lb_hasher_digest(&hasher, &intake.digest);
	commit(fx, &intake);
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "hello world");
	whole = deliver(fx, 2, "b", "hello world");
	assert_memory_equal(&whole.digest, &intake.digest, sizeof whole.digest);
	assert_false(exists(part_path(fx, 1, "")));
}

static void what_was_never_synced_goes(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	assert_int_equal(fx->sink->ops->sync(fx->sink, &intake, 0), LB_REASON_NONE);
	leave(fx, &intake);
	assert_false(exists(part_path(fx, 1, "")));
	assert_int_equal(offset_of(fx, 1, "a"), 0);
}

static void a_rollback_keeps_nothing_whatever_was_synced(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	fx->sink->ops->rollback(fx->sink, &intake);
	assert_false(exists(part_path(fx, 1, "")));
	assert_int_equal(offset_of(fx, 1, "b"), 0); /* no row is left to differ from */
}

static void the_next_server_finds_it_cut_to_its_offset(void **state)
{
	struct fixture *fx = *state;

	kept(fx, 1, "a", "hello", "");
	kept(fx, 2, "b", "hello", "");
	put_file(part_path(fx, 1, "a"), "hello and what a killed server has not cut off");
	sink_reopen(fx);
	assert_file(part_path(fx, 1, "a"), "hello");
	assert_int_equal(offset_of(fx, 1, "a"), 5);
	assert_int_equal(offset_of(fx, 2, "b"), 5);
}

static void a_part_without_a_row_and_a_row_without_its_part_go_at_the_next_start(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(mkdir(part_path(fx, 1, ""), 0777), 0);
	put_file(part_path(fx, 1, "a"), "left");
	kept(fx, 2, "b", "hello", "");
	assert_int_equal(unlink(part_path(fx, 2, "b")), 0);
	kept(fx, 3, "c", "hello", "");
	assert_int_equal(truncate(part_path(fx, 3, "c"), 4), 0);
	sink_reopen(fx);
	for (uint64_t number = 1; number <= 3; number++)
		assert_false(exists(part_path(fx, number, "")));
	assert_int_equal(offset_of(fx, 3, "c"), 0);
}

static void what_is_not_as_its_row_says_begins_at_0(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	kept(fx, 1, "a", "hello", "");
	assert_int_equal(truncate(part_path(fx, 1, "a"), 4), 0);
	assert_int_equal(offset_of(fx, 1, "a"), 0);
	kept(fx, 2, "b", "hello", "");
	assert_int_equal(unlink(part_path(fx, 2, "b")), 0);
	assert_int_equal(symlink("/dev/null", part_path(fx, 2, "b")), 0);
	begin_again(fx, &intake, 2, "b");
	assert_answer(intake, UNPROVEN, NONE);
	assert_int_equal(intake.offset, 0);
	take_in(fx, &intake, "anew");
	commit(fx, &intake);
	assert_file(inbox(fx, "b"), "anew");
}

static void what_cannot_be_read_begins_at_0_and_says_so_while_it_is_hashed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;
	struct lb_hasher hasher;

	kept(fx, 1, "a", "hello", "");
	begin_again(fx, &intake, 1, "a");
	fail_on(fx, "read", "a", -EIO, 1);
	lb_hasher_init(&hasher);
	fx->sink->ops->rehash(fx->sink, &intake, &hasher);
	assert_answer(intake, UNPROVEN, NONE);
	assert_int_equal(intake.offset, 0);
	assert_int_equal(intake.rehashed, 0);
	assert_int_equal(intake.received, 0);
	take_in(fx, &intake, "anew");
	commit(fx, &intake);
	assert_answer(intake, COMMITTED, NONE);
	assert_file(inbox(fx, "a"), "anew");
}

/* Others get their turn between two. */
static void a_long_part_is_hashed_in_pieces(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;
	struct lb_hasher whole, pieces;
	struct lb_digest first, second;
	char buf[4096];
	int calls = 0;

	lb_hasher_init(&whole);
	lb_hasher_init(&pieces);
	begin(fx, &intake, 1, "a");
	for (size_t i = 0; i < LB_DIR_REHASH / sizeof buf + 1; i++) {
		memset(buf, (int)i, sizeof buf);
		lb_hasher_update(&whole, buf, sizeof buf);
		assert_int_equal(fx->sink->ops->write(fx->sink, &intake, buf, sizeof buf), LB_REASON_NONE);
	}
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	leave(fx, &intake);
	begin_again(fx, &intake, 1, "a");
	assert_int_equal(intake.offset, LB_DIR_REHASH + sizeof buf);
	for (; intake.rehashed < intake.offset; calls++)
		fx->sink->ops->rehash(fx->sink, &intake, &pieces);
	assert_int_equal(calls, 2);
	lb_hasher_digest(&whole, &first);
	lb_hasher_digest(&pieces, &second);
	assert_memory_equal(&first, &second, sizeof first);
	leave(fx, &intake);
}

static void no_new_part_is_made_while_the_row_of_the_old_one_stays(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	kept(fx, 1, "a", "hello", "");
	assert_int_equal(truncate(part_path(fx, 1, "a"), 4), 0);
	faulty_vfs.fail_log_write = SQLITE_FULL;
	begin_again(fx, &intake, 1, "a");
	assert_answer(intake, NOT_COMMITTED, DISK_FULL);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(offset_of(fx, 1, "a"), 0);
}

static void after_a_failed_sync_nothing_is_provable_and_nothing_commits(void **state)
{
	static const char *const names[] = {"a", CLIENT_HEX "-1", "parts"};
	struct fixture *fx = *state;
	struct lb_intake intake;

	for (size_t i = 0; i < 3; i++) {
		begin_full(fx, &intake, 1, "a", "hello");
		fail_on(fx, "sync", names[i], i == 0 ? -ENOSPC : -EIO, 1);
		assert_int_equal(sync_all(fx, &intake), i == 0 ? LB_REASON_DISK_FULL : LB_REASON_IO_ERROR);
		assert_int_equal(sync_all(fx, &intake), LB_REASON_IO_ERROR);
		commit(fx, &intake); /* it was on its way already */
		assert_answer(intake, NOT_COMMITTED, IO_ERROR);
		assert_int_equal(offset_of(fx, 1, "a"), 0);
	}
}

static void a_failed_sync_after_a_good_one_takes_the_row_with_it(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	take_in(fx, &intake, " world");
	fail_on(fx, "sync", "a", -EIO, 1);
	assert_int_equal(sync_all(fx, &intake), LB_REASON_IO_ERROR);
	leave(fx, &intake); /* its connection has ended meanwhile */
	assert_false(exists(part_path(fx, 1, "")));
	assert_int_equal(offset_of(fx, 1, "a"), 0);
}

static void a_row_that_cannot_be_written_is_not_said(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	faulty_vfs.fail_log_write = SQLITE_FULL;
	assert_int_equal(sync_all(fx, &intake), LB_REASON_DISK_FULL);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(intake.durable, 0);
	fx->sink->ops->rollback(fx->sink, &intake);
	begin_full(fx, &intake, 1, "a", "hello");
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(sync_all(fx, &intake), LB_REASON_IO_ERROR);
	faulty_vfs.fail_log_sync = 0;
	fx->sink->ops->rollback(fx->sink, &intake);
	assert_int_equal(offset_of(fx, 1, "a"), 0);
}

static void while_the_ledger_cannot_tell_it_is_kept(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake, again;

	begin_full(fx, &intake, 1, "a", "hello");
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	begin_full(fx, &again, 2, "b", "hello");
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	assert_int_equal(sync_all(fx, &again), LB_REASON_IO_ERROR);
	leave(fx, &intake);
	assert_true(exists(part_path(fx, 1, "a")));
	faulty_vfs.fail_log_sync = 0;
	fx->sink->ops->rollback(fx->sink, &again);
	assert_int_equal(offset_of(fx, 1, "a"), 5);
}

static void what_is_decided_leaves_nothing(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake live;

	kept(fx, 1, "a", "hello", "");
	assert_answer(resolve(fx, 1), ROLLED_BACK, FENCED);
	assert_false(exists(part_path(fx, 1, "")));
	kept(fx, 2, "b", "hello", "");
	begin_full(fx, &live, 3, "c", "hello");
	assert_int_equal(sync_all(fx, &live), LB_REASON_NONE);
	settle(fx, 4);
	assert_false(exists(part_path(fx, 2, "")));
	assert_true(exists(part_path(fx, 3, "c"))); /* the live attempt's own */
	take_in(fx, &live, " world");
	assert_int_equal(sync_all(fx, &live), LB_REASON_SETTLED);
	leave(fx, &live);
	assert_false(exists(part_path(fx, 3, "")));
}

static void another_name_length_or_an_earlier_attempt_is_refused_and_takes_nothing(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	kept(fx, 1, "a", "hello", "");
	begin_again(fx, &intake, 1, "b");
	assert_answer(intake, REFUSED, DIFFERENT);
	intake = (struct lb_intake){.id = id_of(1), .attempt = 2, .declared = 4, .name = "a"};
	fx->sink->ops->begin(fx->sink, &intake);
	assert_answer(intake, REFUSED, DIFFERENT);
	assert_int_equal(offset_of(fx, 1, "a"), 5); /* attempt 2 */
	begin(fx, &intake, 1, "a");
	assert_answer(intake, NOT_COMMITTED, SUPERSEDED);
	assert_int_equal(offset_of(fx, 1, "a"), 5);
}

static void a_client_that_cannot_resume_begins_at_0(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	kept(fx, 1, "a", "hello", "");
	begin_full(fx, &intake, 1, "a", "anew");
	assert_int_equal(intake.offset, 0);
	commit(fx, &intake);
	assert_file(inbox(fx, "a"), "anew");
}

static void a_kept_part_reserves_no_name(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	kept(fx, 1, "a", "hello", "");
	intake = deliver(fx, 2, "a", "of another");
	assert_answer(intake, COMMITTED, NONE);
	begin_again(fx, &intake, 1, "a");
	assert_answer(intake, REFUSED, NAME_EXISTS);
}

static void sweep_after(struct fixture *fx, lb_time time)
{
	time_now += time;
	fx->sink->ops->sweep(fx->sink);
}

static void what_nobody_comes_back_for_is_removed_after_its_time(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake busy;

	begin_full(fx, &busy, 2, "b", "hello");
	assert_int_equal(sync_all(fx, &busy), LB_REASON_NONE);
	kept(fx, 1, "a", "hello", "");
	for (int hour = 0; hour < 23; hour++)
		sweep_after(fx, 3600 * SECOND);
	assert_true(exists(part_path(fx, 1, "")));
	sink_reopen(fx); /* it does not begin to count anew, and busy's has not begun */
	sweep_after(fx, 3600 * SECOND);
	assert_false(exists(part_path(fx, 1, "")));
	assert_int_equal(offset_of(fx, 1, "a"), 0);
	assert_int_equal(offset_of(fx, 2, "b"), 5);
}

static void the_time_without_a_server_and_the_clock_on_the_wall_do_not_count(void **state)
{
	struct fixture *fx = *state;

	kept(fx, 1, "a", "hello", "");
	time_wall += INT64_C(365) * 86400 * SECOND;
	sweep_after(fx, 3600 * SECOND);
	lb_sink_close(fx->sink);
	time_now = 5 * SECOND; /* the machine was started anew */
	time_wall = 0;
	sink_open(fx);
	sweep_after(fx, 22 * 3600 * SECOND);
	assert_int_equal(offset_of(fx, 1, "a"), 5);
}

static void an_attempt_in_between_begins_the_time_anew(void **state)
{
	struct fixture *fx = *state;

	kept(fx, 1, "a", "hello", "");
	sweep_after(fx, 23 * 3600 * SECOND);
	assert_int_equal(offset_of(fx, 1, "a"), 5);
	sweep_after(fx, 23 * 3600 * SECOND);
	assert_int_equal(offset_of(fx, 1, "a"), 5);
	sweep_after(fx, 25 * 3600 * SECOND);
	assert_false(exists(part_path(fx, 1, "")));
}

static void of_too_much_the_oldest_goes_first(void **state)
{
	struct fixture *fx = *state;

	fx->options.parts_max = 11;
	sink_reopen(fx);
	kept(fx, 1, "a", "hello", "");
	kept(fx, 2, "b", "world", "");
	assert_int_equal(offset_of(fx, 1, "a"), 5); /* 2 is the oldest now */
	kept(fx, 3, "c", "of 4", "");
	assert_true(exists(part_path(fx, 1, "")));
	assert_false(exists(part_path(fx, 2, "")));
	assert_true(exists(part_path(fx, 3, "")));
}

static void what_is_too_much_by_itself_goes_and_the_others_stay(void **state)
{
	struct fixture *fx = *state;

	fx->options.parts_max = 11;
	sink_reopen(fx);
	kept(fx, 1, "a", "hello", "");
	kept(fx, 2, "b", "of twelve ..", "");
	assert_false(exists(part_path(fx, 2, "")));
	assert_int_equal(offset_of(fx, 1, "a"), 5);
	kept(fx, 3, "c", "of 4", "");
	assert_true(exists(part_path(fx, 1, "")));
	assert_true(exists(part_path(fx, 3, "")));
}

static unsigned lists;

int __real_lb_ledger_parts(struct lb_ledger *ledger, struct lb_ledger_part **partsp, size_t *np);
int __wrap_lb_ledger_parts(struct lb_ledger *ledger, struct lb_ledger_part **partsp, size_t *np);

int __wrap_lb_ledger_parts(struct lb_ledger *ledger, struct lb_ledger_part **partsp, size_t *np)
{
	lists++;
	return __real_lb_ledger_parts(ledger, partsp, np);
}

static void one_more_is_kept_without_a_look_at_all_the_others_while_there_is_room(void **state)
{
	struct fixture *fx = *state;
	char name[2] = "a";

	fx->options.parts_max = 50;
	sink_reopen(fx);
	lists = 0;
	for (uint64_t i = 1; i <= 10; i++, name[0]++)
		kept(fx, i, name, "hello", "");
	assert_int_equal(lists, 0);
	kept(fx, 11, name, "hello", "");
	assert_int_equal(lists, 1);
	assert_false(exists(part_path(fx, 1, "")));
	assert_true(exists(part_path(fx, 2, "")));
}

static void what_is_settled_is_found_without_a_look_at_what_is_kept_of_others(void **state)
{
	struct fixture *fx = *state;

	kept(fx, 1, "a", "hello", "");
	kept(fx, 2, "b", "hello", "");
	lists = 0;
	settle(fx, 2);
	assert_int_equal(lists, 0);
	assert_false(exists(part_path(fx, 1, "")));
	assert_true(exists(part_path(fx, 2, "")));
}

static void to_keep_nothing_is_possible(void **state)
{
	struct fixture *fx = *state;

	kept(fx, 1, "a", "hello", "");
	assert_true(fx->sink->resumable);
	fx->options.keep_parts = -1;
	sink_reopen(fx);
	assert_false(fx->sink->resumable);
	assert_false(exists(part_path(fx, 1, "")));
	assert_int_equal(offset_of(fx, 1, "a"), 0);
}

static void a_planted_bug_writes_the_offset_without_a_sync(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	begin_full(fx, &intake, 1, "a", "hello");
	fx->logging = true;
	lb_test_bug = "offset_before_sync";
	assert_int_equal(sync_all(fx, &intake), LB_REASON_NONE);
	lb_test_bug = NULL;
	assert_string_equal(fx->log, "sync " CLIENT_HEX "-1;sync parts;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		keep_test(a_sync_makes_the_part_durable_before_its_offset),
		keep_test(what_was_synced_stays_and_is_hashed_again),
		keep_test(what_was_never_synced_goes),
		keep_test(a_rollback_keeps_nothing_whatever_was_synced),
		keep_test(the_next_server_finds_it_cut_to_its_offset),
		keep_test(a_part_without_a_row_and_a_row_without_its_part_go_at_the_next_start),
		keep_test(what_is_not_as_its_row_says_begins_at_0),
		keep_test(what_cannot_be_read_begins_at_0_and_says_so_while_it_is_hashed),
		keep_test(a_long_part_is_hashed_in_pieces),
		keep_test(no_new_part_is_made_while_the_row_of_the_old_one_stays),
		keep_test(after_a_failed_sync_nothing_is_provable_and_nothing_commits),
		keep_test(a_failed_sync_after_a_good_one_takes_the_row_with_it),
		keep_test(a_row_that_cannot_be_written_is_not_said),
		keep_test(while_the_ledger_cannot_tell_it_is_kept),
		keep_test(what_is_decided_leaves_nothing),
		keep_test(another_name_length_or_an_earlier_attempt_is_refused_and_takes_nothing),
		keep_test(a_client_that_cannot_resume_begins_at_0),
		keep_test(a_kept_part_reserves_no_name),
		keep_test(what_nobody_comes_back_for_is_removed_after_its_time),
		keep_test(the_time_without_a_server_and_the_clock_on_the_wall_do_not_count),
		keep_test(an_attempt_in_between_begins_the_time_anew),
		keep_test(of_too_much_the_oldest_goes_first),
		keep_test(what_is_too_much_by_itself_goes_and_the_others_stay),
		keep_test(one_more_is_kept_without_a_look_at_all_the_others_while_there_is_room),
		keep_test(what_is_settled_is_found_without_a_look_at_what_is_kept_of_others),
		keep_test(to_keep_nothing_is_possible),
		keep_test(a_planted_bug_writes_the_offset_without_a_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
