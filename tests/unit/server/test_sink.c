/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "lib/scratch.h"
#include "loop/host.h"
#include "server/sink.h"
#include <errno.h>
#include <string.h>

static void no_room_and_a_lock_are_told_from_what_is_broken(void **state)
{
	(void)state;
	assert_int_equal(lb_sink_reason(-ENOSPC), LB_REASON_DISK_FULL);
	assert_int_equal(lb_sink_reason(-EDQUOT), LB_REASON_DISK_FULL);
	assert_int_equal(lb_sink_reason(-EBUSY), LB_REASON_BUSY);
	assert_int_equal(lb_sink_reason(-EIO), LB_REASON_IO_ERROR);
	assert_int_equal(lb_sink_reason(-ENOMEM), LB_REASON_IO_ERROR);
}

/* "Never seen", "fenced", and "forgotten" are different answers, to an attempt and to a question. */
static void each_state_of_the_ledger_has_an_answer_of_its_own(void **state)
{
	static const struct {
		enum lb_ledger_state state;
		enum lb_reason attempt, question;
		enum lb_verdict verdict; /* of the question */
	} cases[] = {
		{LB_LEDGER_UNSEEN, LB_REASON_NONE, LB_REASON_FENCED, LB_VERDICT_ROLLED_BACK},
		{LB_LEDGER_COMMITTED, LB_REASON_NONE, LB_REASON_NONE, LB_VERDICT_COMMITTED},
		{LB_LEDGER_FENCED, LB_REASON_FENCED, LB_REASON_FENCED, LB_VERDICT_ROLLED_BACK},
		{LB_LEDGER_SETTLED, LB_REASON_SETTLED, LB_REASON_SETTLED, LB_VERDICT_ROLLED_BACK},
		{LB_LEDGER_FORGOTTEN, LB_REASON_FORGOTTEN, LB_REASON_FORGOTTEN, LB_VERDICT_FORGOTTEN},
		{LB_LEDGER_BEYOND, LB_REASON_SETTLE_FIRST, LB_REASON_SETTLE_FIRST, LB_VERDICT_NOT_COMMITTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct lb_intake intake = {0};
		struct lb_resolution resolution = {0};

		lb_intake_decide_known(&intake, cases[i].state);
		assert_int_equal(intake.reason, cases[i].attempt);
		lb_resolution_decide(&resolution, 0, cases[i].state);
		assert_int_equal(resolution.reason, cases[i].question);
		assert_int_equal(resolution.verdict, cases[i].verdict);
		lb_resolution_decide(&resolution, -EIO, cases[i].state);
		assert_int_equal(resolution.reason, LB_REASON_IO_ERROR);
		assert_int_equal(resolution.verdict, LB_VERDICT_NOT_COMMITTED);
	}
}

static void another_name_length_or_digest_is_another_delivery(void **state)
{
	struct lb_intake intake = {.declared = LB_UNKNOWN, .received = 4, .digest = {{1}}, .name = "a"};
	struct lb_receipt receipt = {.length = 4, .digest = {{1}}, .name = "a"};

	(void)state;
	assert_false(lb_intake_differs(&intake, &receipt, true));
	assert_false(lb_intake_differs(&intake, &receipt, false));
	receipt.digest.bytes[15] = 1;
	assert_true(lb_intake_differs(&intake, &receipt, true));
	assert_false(lb_intake_differs(&intake, &receipt, false)); /* what will come is not known yet */
	receipt = (struct lb_receipt){.length = 5, .digest = {{1}}, .name = "a"};
	assert_true(lb_intake_differs(&intake, &receipt, true));
	assert_false(lb_intake_differs(&intake, &receipt, false));
	intake.declared = 4;
	assert_true(lb_intake_differs(&intake, &receipt, false));
	strcpy(receipt.name, "b");
	assert_true(lb_intake_differs(&intake, &receipt, false));
}

static void assert_lies_in(const char *path, const char *directory)
{
	struct lb_host *host = lb_host_real();
	struct lb_file_stat above, wanted;
	int fd = lb_sink_open_above(host, path);

	assert_true(fd >= 0);
	assert_int_equal(host->disk->stat(host, fd, ".", &above), 0);
	assert_int_equal(host->disk->stat(host, LB_HERE, directory, &wanted), 0);
	assert_int_equal(above.inode, wanted.inode);
	assert_int_equal(above.device, wanted.device);
	host->disk->close(host, fd);
}

static void the_directory_above_is_found_whatever_slashes_there_are(void **state)
{
	struct scratch scratch;
	char path[400];

	(void)state;
	scratch_make(&scratch);
	assert_lies_in(scratch_path(&scratch, "inbox"), scratch.path);
	snprintf(path, sizeof path, "%s//inbox///", scratch.path);
	assert_lies_in(path, scratch.path);
	assert_lies_in("inbox", ".");
	assert_lies_in("inbox//", ".");
	assert_lies_in("", ".");
	assert_lies_in("/inbox", "/");
	assert_lies_in("//inbox", "/");
	assert_lies_in("/", "/");
	assert_int_equal(lb_sink_open_above(lb_host_real(), scratch_path(&scratch, "no/where")), -ENOENT);
	scratch_remove(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_room_and_a_lock_are_told_from_what_is_broken),
		cmocka_unit_test(each_state_of_the_ledger_has_an_answer_of_its_own),
		cmocka_unit_test(another_name_length_or_digest_is_another_delivery),
		cmocka_unit_test(the_directory_above_is_found_whatever_slashes_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
