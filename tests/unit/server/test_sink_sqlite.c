/* SPDX-License-Identifier: MIT */
#include "base/digest.h"
#include "faulty_vfs.h"
#include "lib/scratch.h"
#include "query.h"
#include "server/sink.h"
#include <errno.h>
#include <lastbyte/conn.h>
#include <unistd.h>

struct fixture {
	struct scratch scratch;
	struct lb_sink *sink;
	struct lb_sink_sqlite_options options;
	char why[256];
};

static int open_with(struct fixture *fx, const char *vfs, struct lb_sink **sinkp)
{
	return lb_sink_sqlite_open_on(
		lb_host_real(), vfs, scratch_path(&fx->scratch, "rows.db"), &fx->options, sinkp, fx->why);
}

static void reopen(struct fixture *fx)
{
	lb_sink_close(fx->sink);
	assert_int_equal(open_with(fx, "faulty", &fx->sink), 0);
}

static int fixture_make(void **state)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	assert_non_null(fx);
	faulty_vfs_init();
	scratch_make(&fx->scratch);
	assert_int_equal(open_with(fx, "faulty", &fx->sink), 0);
	*state = fx;
	return 0;
}

static int fixture_remove(void **state)
{
	struct fixture *fx = *state;

	lb_sink_close(fx->sink);
	faulty_vfs_deinit();
	scratch_remove(&fx->scratch);
	free(fx);
	return 0;
}

static void execute(struct fixture *fx, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, "rows.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int read_number(struct fixture *fx, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, "rows.db"), &db), SQLITE_OK);
	return query_number(db, sql);
}

static int rows_there(struct fixture *fx)
{
	return read_number(fx, "SELECT count(*) FROM deliveries");
}

static struct lb_intake intake_of(uint64_t number, uint32_t attempt)
{
	struct lb_intake intake = {
		.id = {.client = {7}, .number = number}, .attempt = attempt, .declared = LB_UNKNOWN};

	snprintf(intake.name, sizeof intake.name, "row %u", (unsigned)number);
	return intake;
}

static void begin(struct lb_sink *sink, struct lb_intake *intake)
{
	sink->ops->begin(sink, intake);
	assert_int_equal(intake->verdict, LB_VERDICT_UNPROVEN);
}

static void fill(struct lb_sink *sink, struct lb_intake *intake, const char *text)
{
	struct lb_hasher hasher;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, text, strlen(text));
	lb_hasher_digest(&hasher, &intake->digest);
	if (text[0] != '\0')
		assert_int_equal(sink->ops->write(sink, intake, text, strlen(text)), LB_REASON_NONE);
}

static struct lb_intake deliver(struct lb_sink *sink, uint64_t number, const char *text)
{
	struct lb_intake intake = intake_of(number, 1), *one = &intake;

	begin(sink, &intake);
	fill(sink, &intake, text);
	sink->ops->commit(sink, &one, 1);
	return intake;
}

static struct lb_resolution resolve(struct lb_sink *sink, uint64_t number)
{
	struct lb_resolution resolution = {.id = intake_of(number, 1).id};

	sink->ops->resolve(sink, &resolution);
	return resolution;
}

static void assert_reason(const struct lb_intake *intake, enum lb_reason reason)
{
	assert_string_equal(lb_reason_word(intake->reason), lb_reason_word(reason));
	assert_int_equal(intake->verdict, lb_reason_verdict(reason));
}

static void what_commits_is_a_row_and_has_its_receipt(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake = deliver(fx->sink, 3, "some text");

	assert_int_equal(intake.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(intake.receipt.length, 9);
	assert_string_equal(intake.receipt.placed, "row 3");
	assert_int_equal(
		read_number(fx, "SELECT count(*) FROM deliveries WHERE sequence = 1 AND name = 'row 3' AND "
				"content = CAST('some text' AS BLOB) AND id LIKE '07%:3'"),
		1);
	assert_int_equal(deliver(fx->sink, 4, "").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(read_number(fx, "SELECT length(content) FROM deliveries WHERE name = 'row 4'"), 0);
}

static void a_second_commit_of_an_id_makes_no_second_row(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake first = deliver(fx->sink, 1, "text"), again = deliver(fx->sink, 1, "text");

	assert_int_equal(again.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(again.receipt.committed_at, first.receipt.committed_at);
	again = deliver(fx->sink, 1, "another text");
	assert_reason(&again, LB_REASON_DIFFERENT);
	again = deliver(fx->sink, 1, "tixt");
	assert_reason(&again, LB_REASON_DIFFERENT);
	assert_int_equal(rows_there(fx), 1);
}

static void a_later_attempt_is_told_at_once_what_is_known(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake again = intake_of(1, 2), never = intake_of(2, 2), open = intake_of(3, 2);

	deliver(fx->sink, 1, "text");
	assert_int_equal(resolve(fx->sink, 2).verdict, LB_VERDICT_ROLLED_BACK);
	fx->sink->ops->begin(fx->sink, &again);
	assert_int_equal(again.verdict, LB_VERDICT_COMMITTED);
	fx->sink->ops->begin(fx->sink, &never);
	assert_reason(&never, LB_REASON_FENCED);
	begin(fx->sink, &open);
}

static void what_was_fenced_is_refused_at_its_commit(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake late;

	assert_int_equal(resolve(fx->sink, 1).verdict, LB_VERDICT_ROLLED_BACK);
	late = deliver(fx->sink, 1, "text");
	assert_reason(&late, LB_REASON_FENCED);
	assert_int_equal(rows_there(fx), 0);
}

static void a_row_that_was_taken_does_not_come_back(void **state)
{
	struct fixture *fx = *state;

	deliver(fx->sink, 1, "text");
	execute(fx, "DELETE FROM deliveries");
	assert_int_equal(deliver(fx->sink, 1, "text").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(resolve(fx->sink, 1).verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(rows_there(fx), 0);
	deliver(fx->sink, 2, "text");
	assert_int_equal(read_number(fx, "SELECT sequence FROM deliveries"), 2);
}

static void a_row_never_takes_the_place_of_another_whatever_an_outsider_has_made_unique(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	deliver(fx->sink, 1, "text");
	execute(fx, "CREATE UNIQUE INDEX one_length ON deliveries(length)");
	intake = deliver(fx->sink, 2, "more");
	assert_reason(&intake, LB_REASON_REJECTED);
	assert_string_equal(intake.text, "UNIQUE constraint failed: deliveries.length");
	free(intake.text);
	execute(fx, "UPDATE deliveries SET sequence = 3");
	intake = deliver(fx->sink, 3, "longer");
	assert_reason(&intake, LB_REASON_REJECTED);
	free(intake.text);
	assert_int_equal(read_number(fx, "SELECT count(*) FROM deliveries WHERE name = 'row 1'"), 1);
	assert_int_equal(deliver(fx->sink, 3, "longer").verdict, LB_VERDICT_COMMITTED);
}

static void a_reply_is_in_the_same_transaction_and_stays_the_first(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake one = intake_of(1, 1), again = intake_of(1, 1), *list[] = {&one, &again};
	struct lb_resolution asked;

	for (int i = 0; i < 2; i++) {
		begin(fx->sink, list[i]);
		fill(fx->sink, list[i], "ask");
		list[i]->reply = strdup(i == 0 ? "first" : "second");
		list[i]->reply_len = strlen(list[i]->reply);
	}
	fx->sink->ops->commit(fx->sink, list, 2);
	assert_int_equal(one.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(again.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(again.reply_len, 5);
	assert_memory_equal(again.reply, "first", 5);
	asked = resolve(fx->sink, 1);
	assert_memory_equal(asked.reply, "first", 5);
	free(one.reply);
	free(again.reply);
	free(asked.reply);
}

static void what_is_larger_than_allowed_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake said = intake_of(1, 1), grown = intake_of(2, 1), *one = &grown;

	fx->options.max_delivery = 10;
	reopen(fx);
	said.declared = 11;
	fx->sink->ops->begin(fx->sink, &said);
	assert_reason(&said, LB_REASON_TOO_LARGE);
	begin(fx->sink, &grown);
	fill(fx->sink, &grown, "0123456789");
	assert_int_equal(fx->sink->ops->write(fx->sink, &grown, "x", 1), LB_REASON_TOO_LARGE);
	fx->sink->ops->commit(fx->sink, &one, 1); /* as if nothing more had come */
	assert_int_equal(grown.verdict, LB_VERDICT_COMMITTED);
	fx->options.max_delivery = LB_SINK_SQLITE_MAX + 1;
	assert_int_equal(open_with(fx, NULL, &(struct lb_sink *){NULL}), -EINVAL);
	assert_non_null(strstr(fx->why, "64 MiB"));
}

static void a_content_that_comes_in_pieces_is_whole_and_can_be_read_before_its_commit(void **state)
{
	static const char text[] = "a text of thirty characters...";
	struct fixture *fx = *state;
	struct lb_intake pieces = intake_of(1, 1), empty = intake_of(2, 1), *one = &pieces;
	struct lb_hasher hasher;
	char read[sizeof text] = "";

	pieces.declared = 30;
	begin(fx->sink, &pieces);
	for (size_t i = 0; i < 30; i += 3)
		assert_int_equal(fx->sink->ops->write(fx->sink, &pieces, text + i, 3), LB_REASON_NONE);
	assert_int_equal(fx->sink->ops->read(fx->sink, &pieces, read), LB_REASON_NONE);
	assert_string_equal(read, text);
	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, text, 30);
	lb_hasher_digest(&hasher, &pieces.digest);
	fx->sink->ops->commit(fx->sink, &one, 1);
	assert_int_equal(
		read_number(fx,
			"SELECT content = CAST('a text of thirty characters...' AS BLOB) FROM deliveries"),
		1);
	begin(fx->sink, &empty);
	assert_int_equal(fx->sink->ops->read(fx->sink, &empty, read), LB_REASON_NONE);
	assert_string_equal(read, text);
	fx->sink->ops->rollback(fx->sink, &empty);
}

static void a_later_attempt_with_another_name_or_length_is_refused(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake named = intake_of(1, 2), longer = intake_of(1, 2);

	deliver(fx->sink, 1, "text");
	strcpy(named.name, "another");
	fx->sink->ops->begin(fx->sink, &named);
	assert_reason(&named, LB_REASON_DIFFERENT);
	longer.declared = 5;
	fx->sink->ops->begin(fx->sink, &longer);
	assert_reason(&longer, LB_REASON_DIFFERENT);
}

static bool is_never_durable(struct lb_host *host, int fd)
{
	(void)host, (void)fd;
	return false;
}

static void receipts_say_where_there_is_no_disk_behind(void **state)
{
	struct fixture *fx = *state;
	struct lb_disk_ops disk = *lb_host_real()->disk;
	struct lb_host host = *lb_host_real();

	disk.durable = is_never_durable;
	host.disk = &disk;
	lb_sink_close(fx->sink);
	assert_int_equal(lb_sink_sqlite_open_on(&host, NULL, scratch_path(&fx->scratch, "rows.db"), NULL,
				 &fx->sink, fx->why),
		0);
	assert_int_equal(deliver(fx->sink, 1, "text").receipt.durability, LB_DURABILITY_NONE);
	lb_sink_close(fx->sink);
	assert_int_equal(
		lb_sink_sqlite_open(scratch_path(&fx->scratch, "rows.db"), NULL, &fx->sink, fx->why), 0);
	assert_int_equal(deliver(fx->sink, 1, "text").receipt.durability, LB_DURABILITY_NONE); /* as it was */
}

static void contents_take_no_more_memory_than_allowed(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake one = intake_of(1, 1), two = intake_of(2, 1), *list = &two;

	fx->options.memory_max = 16;
	reopen(fx);
	begin(fx->sink, &one);
	begin(fx->sink, &two);
	fill(fx->sink, &one, "0123456789");
	assert_int_equal(fx->sink->ops->write(fx->sink, &two, "0123456789", 10), LB_REASON_BUSY);
	fx->sink->ops->rollback(fx->sink, &one);
	fill(fx->sink, &two, "0123456789");
	fx->sink->ops->commit(fx->sink, &list, 1);
	assert_int_equal(two.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(deliver(fx->sink, 3, "0123456789").verdict, LB_VERDICT_COMMITTED);
}

static void on_a_full_disk_nothing_of_a_batch_is_there_and_all_may_come_again(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intakes[3], *list[3];

	deliver(fx->sink, 1, "text");
	for (unsigned i = 0; i < 3; i++) {
		list[i] = &intakes[i];
		intakes[i] = intake_of(2 + i, 1);
		begin(fx->sink, &intakes[i]);
		fill(fx->sink, &intakes[i], "more");
	}
	faulty_vfs.fail_log_write = SQLITE_FULL;
	fx->sink->ops->commit(fx->sink, list, 3);
	faulty_vfs.fail_log_write = 0;
	for (unsigned i = 0; i < 3; i++)
		assert_reason(&intakes[i], LB_REASON_DISK_FULL);
	assert_int_equal(rows_there(fx), 1);
	assert_int_equal(deliver(fx->sink, 2, "more").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(rows_there(fx), 2);
}

/* What could be read of it may not be durable: nothing is said of any before there is room. */
static void on_a_full_disk_it_is_opened_and_all_may_come_again(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	deliver(fx->sink, 1, "text");
	fx->options.keep_receipts = 5;
	faulty_vfs.fail_log_write = SQLITE_FULL;
	reopen(fx);
	intake = deliver(fx->sink, 2, "more");
	assert_reason(&intake, LB_REASON_DISK_FULL);
	assert_int_equal(resolve(fx->sink, 1).reason, LB_REASON_DISK_FULL);
	intake = intake_of(1, 2);
	fx->sink->ops->begin(fx->sink, &intake);
	assert_int_equal(intake.verdict, LB_VERDICT_IN_DOUBT);
	faulty_vfs.fail_log_write = 0;
	assert_int_equal(deliver(fx->sink, 2, "more").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(resolve(fx->sink, 1).verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(read_number(fx, "SELECT keep FROM meta"), 5);
	assert_int_equal(rows_there(fx), 2);
}

static void while_another_server_does_not_let_go_all_may_come_again(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake busy;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, "rows.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	busy = deliver(fx->sink, 1, "text");
	assert_reason(&busy, LB_REASON_BUSY);
	assert_int_equal(resolve(fx->sink, 1).reason, LB_REASON_BUSY);
	sqlite3_close(db);
	assert_int_equal(rows_there(fx), 0);
	assert_int_equal(deliver(fx->sink, 1, "text").verdict, LB_VERDICT_COMMITTED);
}

static void a_commit_whose_sync_failed_is_what_is_read_then(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake intake;

	deliver(fx->sink, 1, "text");
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	faulty_vfs.syncs_that_fail = 1;
	intake = deliver(fx->sink, 2, "more");
	if (intake.verdict == LB_VERDICT_COMMITTED) {
		assert_int_equal(rows_there(fx), 2);
	} else {
		assert_reason(&intake, LB_REASON_IO_ERROR);
		assert_int_equal(rows_there(fx), 1);
	}
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	faulty_vfs.syncs_that_fail = 0;
	intake = deliver(fx->sink, 3, "more");
	assert_int_equal(intake.verdict, LB_VERDICT_IN_DOUBT);
	faulty_vfs.fail_log_sync = 0;
	assert_int_equal(resolve(fx->sink, 3).verdict == LB_VERDICT_COMMITTED,
		read_number(fx, "SELECT count(*) FROM deliveries WHERE name = 'row 3'"));
}

/* The one who failed opens the ledger anew while the other one goes on with it. */
static void a_failed_commit_beside_another_server_takes_nothing_of_its(void **state)
{
	struct fixture *fx = *state;
	struct lb_sink *other;
	struct lb_intake failed;

	assert_int_equal(open_with(fx, NULL, &other), 0);
	assert_memory_equal(lb_sink_ledger(other), lb_sink_ledger(fx->sink), sizeof(struct lb_uuid));
	assert_int_equal(deliver(other, 1, "theirs").verdict, LB_VERDICT_COMMITTED);
	faulty_vfs.fail_log_sync = SQLITE_IOERR_FSYNC;
	faulty_vfs.syncs_that_fail = 1;
	failed = deliver(fx->sink, 2, "ours");
	faulty_vfs.fail_log_sync = 0;
	assert_reason(&failed, LB_REASON_IO_ERROR);
	assert_int_equal(deliver(other, 3, "theirs").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(resolve(fx->sink, 1).verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(resolve(fx->sink, 3).verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(deliver(other, 2, "ours").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(deliver(fx->sink, 2, "ours").verdict, LB_VERDICT_COMMITTED);
	lb_sink_close(other);
	assert_int_equal(rows_there(fx), 3);
}

static void two_attempts_at_two_servers_commit_once_with_one_receipt(void **state)
{
	struct fixture *fx = *state;
	struct lb_intake here = intake_of(1, 1), there = intake_of(1, 2), *list;
	struct lb_sink *other;

	assert_int_equal(open_with(fx, NULL, &other), 0);
	begin(fx->sink, &here);
	begin(other, &there);
	fill(fx->sink, &here, "text");
	fill(other, &there, "text");
	list = &there;
	other->ops->commit(other, &list, 1);
	list = &here;
	fx->sink->ops->commit(fx->sink, &list, 1);
	assert_int_equal(there.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(here.verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(here.receipt.committed_at, there.receipt.committed_at);
	assert_int_equal(rows_there(fx), 1);
	assert_int_equal(resolve(other, 2).verdict, LB_VERDICT_ROLLED_BACK);
	here = deliver(fx->sink, 2, "text");
	assert_reason(&here, LB_REASON_FENCED);
	lb_sink_close(other);
}

static void what_a_client_settles_is_done_with_the_next_commit(void **state)
{
	struct fixture *fx = *state;
	struct lb_id lowest = intake_of(LB_LEDGER_KEEP + LB_LEDGER_STEP, 1).id;
	struct lb_intake later = intake_of(LB_LEDGER_KEEP + LB_LEDGER_STEP + LB_NUMBERS_OPEN_MAX - 1, 2);

	deliver(fx->sink, 1, "text");
	fx->sink->ops->settle(fx->sink, &lowest);
	assert_int_equal(read_number(fx, "SELECT count(*) FROM clients"), 0);
	assert_int_equal(deliver(fx->sink, lowest.number + 1, "text").verdict, LB_VERDICT_COMMITTED);
	assert_int_equal(read_number(fx, "SELECT count(*) FROM verdicts"), 1);
	assert_int_equal(resolve(fx->sink, 1).verdict, LB_VERDICT_FORGOTTEN);
	assert_int_equal(rows_there(fx), 2); /* which are not the ledger's to forget */
	lowest.number++;
	fx->sink->ops->settle(fx->sink, &lowest);
	later.id.number++;
	begin(fx->sink, &later); /* its question is answered as if it were done */
}

static void what_many_clients_settle_is_done_without_a_commit(void **state)
{
	struct fixture *fx = *state;
	struct lb_id id = {.number = 5};

	for (unsigned i = 0; i < 70; i++) {
		id.client[1] = (uint8_t)i;
		fx->sink->ops->settle(fx->sink, &id);
		fx->sink->ops->settle(fx->sink, &(struct lb_id){.number = 1});
	}
	assert_int_equal(read_number(fx, "SELECT count(*) FROM clients WHERE settled = 5"), 64);
	reopen(fx);
	assert_int_equal(read_number(fx, "SELECT count(*) FROM clients WHERE settled = 5"), 70);
}

/* Receipts speak of the file system that has the bytes, not of the one that has a link to them. */
static void a_link_to_a_database_proves_no_more_than_its_own_path(void **state)
{
	struct fixture *fx = *state;
	const char *link = scratch_path(&fx->scratch, "link.db");
	enum lb_durability durability[2];
	struct scratch memory = {"/dev/shm/lastbyte-test-XXXXXX"};
	struct lb_sink *sink;

	if (mkdtemp(memory.path) == NULL)
		skip(); /* there is none */
	assert_int_equal(symlink(scratch_path(&memory, "rows.db"), link), 0);
	for (int i = 0; i < 2; i++) {
		const char *path = i == 0 ? scratch_path(&memory, "rows.db") : link;

		assert_int_equal(lb_sink_sqlite_open_on(lb_host_real(), NULL, path, NULL, &sink, fx->why), 0);
		durability[i] = deliver(sink, 1 + (unsigned)i, "text").receipt.durability;
		lb_sink_close(sink);
	}
	scratch_remove(&memory);
	assert_int_equal(durability[1], durability[0]);
}

#define sink_test(f) cmocka_unit_test_setup_teardown(f, fixture_make, fixture_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		sink_test(what_commits_is_a_row_and_has_its_receipt),
		sink_test(a_second_commit_of_an_id_makes_no_second_row),
		sink_test(a_later_attempt_is_told_at_once_what_is_known),
		sink_test(what_was_fenced_is_refused_at_its_commit),
		sink_test(a_row_that_was_taken_does_not_come_back),
		sink_test(a_row_never_takes_the_place_of_another_whatever_an_outsider_has_made_unique),
		sink_test(a_reply_is_in_the_same_transaction_and_stays_the_first),
		sink_test(what_is_larger_than_allowed_is_refused),
		sink_test(a_content_that_comes_in_pieces_is_whole_and_can_be_read_before_its_commit),
		sink_test(a_later_attempt_with_another_name_or_length_is_refused),
		sink_test(receipts_say_where_there_is_no_disk_behind),
		sink_test(contents_take_no_more_memory_than_allowed),
		sink_test(on_a_full_disk_nothing_of_a_batch_is_there_and_all_may_come_again),
		sink_test(on_a_full_disk_it_is_opened_and_all_may_come_again),
		sink_test(while_another_server_does_not_let_go_all_may_come_again),
		sink_test(a_commit_whose_sync_failed_is_what_is_read_then),
		sink_test(a_failed_commit_beside_another_server_takes_nothing_of_its),
		sink_test(two_attempts_at_two_servers_commit_once_with_one_receipt),
		sink_test(what_a_client_settles_is_done_with_the_next_commit),
		sink_test(what_many_clients_settle_is_done_without_a_commit),
		sink_test(a_link_to_a_database_proves_no_more_than_its_own_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
