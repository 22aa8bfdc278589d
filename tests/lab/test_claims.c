/* SPDX-License-Identifier: MIT */
/*
 * The verdicts, by cells that are made up: each claim holds, partly holds and fails by what cells say, and is not
 * judged where no cell that bears on it was played. Here those that go by how runs ended.
 */
#include "lab/judging.h"
#include "lib/cmocka.h"
#include <string.h>

static void nothing_is_judged_without_cells_that_bear_on_it(void **state)
{
	struct lab_claim claims[LAB_CLAIMS];

	(void)state;
	judging_add("delay", "drain", "unread", 3, 3, 3, 0);
	judging_add("delay", "raw_linger", "never_reads", 0, 0, 0, 0)->blocked = 2000 * MS;
	lab_claims_judge(judging_cells, 2, claims);
	for (int i = 0; i < LAB_CLAIMS; i++) {
		assert_false(claims[i].judged);
		assert_true(strlen(claims[i].text) > 0);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(claims[i].id, claims[j].id);
	}
}

static void unread_data_resets(void **state)
{
	(void)state;
	judging_add("lo", "raw_close", "unread", 20, 12, 0, 20);
	judging_add("delay", "raw_close", "unread", 3, 0, 0, 3);
	judging_check("unread-resets", LAB_HOLDS, 2,
		"reset, and cut short: 8 of 8 on lo, 3 of 3 on delay; reset when everything had arrived: 12");
	judging_add("veth", "plain", "unread", 3, 3, 3, 0);
	judging_check("unread-resets", LAB_PARTLY, 3,
		"not in veth/plain/unread: reset, and cut short: 8 of 8 on lo, 3 of 3 on delay, 0 of 3 on "
		"veth; reset when "
		"everything had arrived: 12");
	judging_begin(NULL);
	judging_add("lo", "plain", "unread_slow", 3, 3, 0, 3);
	judging_check("unread-resets", LAB_FAILS, 1, "reset, and cut short: 0 of 3 on lo");
	judging_begin(NULL);
	judging_add("lo", "plain", "unread", 3, 3, 0, 3);
	judging_check_none("unread-resets");
}

/* The link has lost our RST, or the play was over before the peer had ended: that is no contradiction. */
static void a_peer_that_still_waits_contradicts_nothing(void **state)
{
	struct lab_play *play;

	(void)state;
	play = judging_add("delay", "raw_close", "unread", 3, 0, 0, 2);
	play->captured = true;
	play->segments[LINK_LEFT].rst = 1;
	judging_check("unread-resets", LAB_HOLDS, 1, "reset, and cut short: 3 of 3 on delay");
	play->captured = false;
	judging_check("unread-resets", LAB_HOLDS, 1, "reset, and cut short: 2 of 2 on delay");
	play->captured = true;
	play->segments[LINK_LEFT].rst = 0;
	assert_int_equal(judging_claim("unread-resets")->verdict, LAB_PARTLY);
	judging_begin(NULL);
	judging_add("delay", "raw_drain", "half_close", 3, 0, 0, 0);
	judging_check_none("half-close");
	judging_add_call(judging_add("delay", "raw_drain", "half_close", 3, 3, 3, 0), OURS,
		"read(fd) until 0 = ETIME", 0, 9000 * MS);
	judging_check_none("half-close");
	judging_cells[1].shown.calls = 0;
	assert_int_equal(judging_claim("half-close")->verdict, LAB_FAILS);
}

static void what_the_peer_sees_is_an_error(void **state)
{
	(void)state;
	judging_add("delay", "raw_close", "unread", 3, 0, 0, 3);
	judging_check("error-not-eof", LAB_HOLDS, 1,
		"of the runs that were cut short, the peer's last read failed in 3 of 3 on delay");
	judging_add("delay", "plain", "false_eof", 3, 0, 3, 0);
	judging_check("error-not-eof", LAB_PARTLY, 2,
		"holds only if nobody has taken the error before (SO_ERROR): of the runs that were cut "
		"short, the "
		"peer's last read failed in 3 of 6 on delay; in the others it returned 0, as at a true end");
	judging_add("delay", "plain", "unread", 3, 0, 3, 0);
	assert_memory_equal(
		judging_claim("error-not-eof")->because, "not in delay/plain/false_eof and others: ", 41);
	judging_begin(NULL);
	judging_add("lo", "raw_close", "unread", 3, 0, 3, 0);
	judging_check("error-not-eof", LAB_FAILS, 1,
		"of the runs that were cut short, the peer's last read failed in 0 of 3 on lo; in the others "
		"it "
		"returned 0, as at a true end");
	judging_begin(NULL);
	judging_add("lo", "raw_close", "unread", 3, 3, 0, 3);
	judging_check_none("error-not-eof");
}

static struct lab_play *late(
	const char *link, const char *scenario, unsigned runs, unsigned whole, unsigned eofs, unsigned resets)
{
	struct lab_play *play = judging_add(link, "raw_shutdown", scenario, runs, whole, eofs, resets);

	judging_add_call(play, OURS, "close(fd) = 0", 0, MS);
	judging_add_call(play, PEER, "write(fd, 1024) = 1024", MS, 0);
	judging_add_segment(play, PEER, 1, 1024, MS, 0);
	play->captured = false;
	return play;
}

static void late_data_is_answered_by_a_reset(void **state)
{
	struct lab_play *play;

	(void)state;
	late("delay", "late", 3, 0, 0, 3);
	play = late("lo", "late", 20, 7, 7, 13);
	play->captured = true;
	play->segments[0].rst = 1;
	judging_check("shutdown-late-resets", LAB_HOLDS, 2,
		"data that came after close(2) was answered by RST in 3 of 3 on delay, 20 of 20 on lo; by "
		"that, 16 of 23 were cut short");
	play->segments[0].rst = 0;
	play->segments[1].rst = 1;
	judging_check("shutdown-late-resets", LAB_PARTLY, 2,
		"not in lo/raw_shutdown/late: data that came after close(2) was answered by RST in 3 of 3 on "
		"delay, 13 of 20 on lo; by that, 16 of 23 were cut short");
	play->missed = 1; /* nobody knows of the 7 others */
	judging_check("shutdown-late-resets", LAB_HOLDS, 2,
		"data that came after close(2) was answered by RST in 3 of 3 on delay, 13 of 13 on lo; by "
		"that, 16 of 16 were cut short");
	judging_begin(NULL);
	late("lo", "late_slow", 3, 3, 3, 0)->captured = true;
	judging_check("shutdown-late-resets", LAB_FAILS, 1,
		"data that came after close(2) was answered by RST in 0 of 3 on lo; by that, 0 of 3 were cut "
		"short");
}

static void what_came_before_the_close_was_not_late(void **state)
{
	struct lab_play *play;

	(void)state;
	late("lo", "late", 3, 0, 0, 3)->call[1].at = MS - 1;
	late("lo", "late", 3, 0, 0, 3)->call[0].took = LB_NEVER;
	late("lo", "late", 3, 0, 0, 3)->calls = 1;
	play = late("lo", "late", 3, 0, 0, 3);
	play->captured = true;
	play->arrow[0].arrived = MS - 1;
	play = late("lo", "late", 3, 0, 0, 0);
	play->captured = true;
	play->arrow[0].arrived = LB_NEVER; /* it was lost: nobody could answer it */
	judging_check_none("shutdown-late-resets");
}

/* How runs ended, whether they were whole, and what was sent, belongs together: no run may stand for another one. */
static void each_run_counts_for_itself(void **state)
{
	struct lab_claim claims[LAB_CLAIMS];

	(void)state;
	judging_add("lo", "raw_close", "reads_all", 3, 3, 3, 0);
	judging_add("lo", "plain", "false_eof", 4, 2, 2, 2); /* those that were cut were reset */
	judging_check("eof-ambiguous", LAB_FAILS, 1,
		"the last read returned 0 at 3 clean ends, and as well when the stream was cut: 0 of 2 on "
		"lo");
	judging_begin(NULL);
	judging_add("lo", "raw_linger_shutdown", "unread", 3, 3, 3, 0)->captured = true;
	assert_int_equal(judging_claim("linger-finish-fin")->verdict, LAB_HOLDS);
	judging_cells[0].seen[1].rst[LINK_LEFT] = true;
	lab_claims_judge(judging_cells, 1, claims);
	assert_string_equal(claims[LAB_CLAIM_linger_finish_fin].because,
		"not in lo/raw_linger_shutdown/unread: everything arrived with FIN, and no RST was sent, in "
		"2 "
		"of 3 on lo; it did in spite of an RST in 1 of 3");
}

/* Without all packets nobody knows that no RST was among them. */
static void no_reset_is_denied_where_packets_were_not_seen(void **state)
{
	(void)state;
	judging_add("lo", "raw_linger_shutdown", "unread", 3, 3, 3, 0);
	judging_add("lo", "raw_close", "agreed", 3, 3, 3, 0);
	judging_check_none("linger-finish-fin");
	judging_check_none("agreed-plain-close");
	judging_cells[0].shown.captured = judging_cells[1].shown.captured = true;
	assert_true(judging_claim("linger-finish-fin")->judged);
	assert_true(judging_claim("agreed-plain-close")->judged);
	judging_cells[0].shown.missed = judging_cells[1].shown.missed = 1;
	judging_check_none("linger-finish-fin");
	judging_check_none("agreed-plain-close");
}

static void linger_and_shutdown_send_a_fin(void **state)
{
	struct lab_play *play;

	(void)state;
	judging_add("lo", "raw_linger_shutdown", "unread", 3, 3, 3, 0)->captured = true;
	judging_check("linger-finish-fin", LAB_HOLDS, 1,
		"everything arrived with FIN, and no RST was sent, in 3 of 3 on lo; it did in spite of an "
		"RST in 0 of 3");
	judging_add("delay", "raw_linger_shutdown", "unread", 20, 1, 1, 19)->captured = true;
	judging_check("linger-finish-fin", LAB_PARTLY, 2,
		"not in delay/raw_linger_shutdown/unread: everything arrived with FIN, and no RST was "
		"sent, in 3 of 3 on lo, 1 of 20 on delay; it did in spite of an RST in 0 of 23");
	judging_begin(NULL);
	play = judging_add("lo", "raw_linger_shutdown", "unread", 3, 3, 3, 0); /* RST behind the FIN */
	play->captured = true;
	play->segments[LINK_LEFT].rst = 1;
	judging_check("linger-finish-fin", LAB_FAILS, 1,
		"everything arrived with FIN, and no RST was sent, in 0 of 3 on lo; it did in spite of an "
		"RST in 3 of 3");
	play->segments[LINK_LEFT].rst = 0;
	play->segments[LINK_RIGHT].rst = 1;
	assert_int_equal(judging_claim("linger-finish-fin")->verdict, LAB_HOLDS);
	judging_begin(NULL);
	judging_add("lo", "raw_linger_shutdown", "unread", 3, 3, 0, 3);
	assert_int_equal(judging_claim("linger-finish-fin")->verdict, LAB_FAILS);
}

static void agreed_ends_need_no_more_than_a_close(void **state)
{
	struct lab_play *play;

	(void)state;
	judging_add("lo", "raw_close", "agreed", 3, 3, 3, 0)->captured = true;
	play = judging_add("lo", "plain", "agreed_peer_first", 3, 3, 0, 0);
	play->captured = true;
	judging_check("agreed-plain-close", LAB_HOLDS, 2,
		"everything arrived, and nothing was reset, in 6 of 6 on lo");
	play->segments[1].rst = 1;
	judging_check("agreed-plain-close", LAB_PARTLY, 2,
		"not in lo/plain/agreed_peer_first: everything arrived, and nothing was reset, in 3 of 6 on "
		"lo");
	judging_begin(NULL);
	judging_add("lo", "raw_close", "agreed", 3, 3, 0, 3);
	judging_add("veth", "raw_close", "agreed", 3, 0, 3, 0);
	judging_check("agreed-plain-close", LAB_FAILS, 2,
		"everything arrived, and nothing was reset, in 0 of 3 on lo, 0 of 3 on veth");
}

static void a_half_close_keeps_the_other_direction(void **state)
{
	static const char said[] = "the peer read everything and the end, and then all 100000 bytes of its "
				   "own arrived, in 3 of 3 on lo";

	(void)state;
	judging_add("lo", "raw_drain", "half_close", 3, 3, 3, 0)->back_bytes = 100000;
	judging_check("half-close", LAB_HOLDS, 1, said);
	judging_add("veth", "raw_drain", "half_close", 3, 3, 3, 0)->back_bytes = 14480;
	assert_int_equal(judging_claim("half-close")->verdict, LAB_PARTLY);
	judging_begin(NULL);
	judging_add("lo", "raw_drain", "half_close", 3, 3, 0, 3)->back_bytes = 100000;
	assert_int_equal(judging_claim("half-close")->verdict, LAB_FAILS);
}

static void an_eof_may_be_a_rupture(void **state)
{
	(void)state;
	judging_add("lo", "raw_close", "reads_all", 3, 3, 3, 0);
	judging_check_none("eof-ambiguous");
	judging_add("lo", "raw_close", "killed", 3, 0, 3, 0);
	judging_check("eof-ambiguous", LAB_HOLDS, 1,
		"the last read returned 0 at 3 clean ends, and as well when the stream was cut: 3 of 3 on "
		"lo");
	judging_add("veth", "plain", "false_eof", 3, 0, 0, 3);
	judging_check("eof-ambiguous", LAB_PARTLY, 2,
		"not in veth/plain/false_eof: the last read returned 0 at 3 clean ends, and as well when the "
		"stream was "
		"cut: 3 of 3 on lo, 0 of 3 on veth");
	judging_cells[1].eofs = 0;
	judging_cells[1].resets = 3;
	assert_int_equal(judging_claim("eof-ambiguous")->verdict, LAB_FAILS);
	judging_begin(NULL);
	judging_add("lo", "raw_close", "killed", 3, 0, 3, 0); /* and no clean end to mistake it for */
	judging_check_none("eof-ambiguous");
}

static void both_sides_are_named_where_there_is_no_room_for_all(void **state)
{
	unsigned resets = 0;
	const struct lab_claim *claim;

	(void)state;
	for (int i = 0; i < 13; i++)
		judging_add("lo", "raw_close", "unread", 3, 0, i < 3 ? 0 : 3, i < 3 ? 3 : 0);
	claim = judging_claim("error-not-eof");
	assert_int_equal(claim->count, LAB_EVIDENCE);
	for (unsigned i = 0; i < claim->count; i++)
		resets += claim->cells[i]->resets > 0;
	assert_int_equal(resets, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_judged_without_cells_that_bear_on_it, judging_begin),
		cmocka_unit_test_setup(unread_data_resets, judging_begin),
		cmocka_unit_test_setup(a_peer_that_still_waits_contradicts_nothing, judging_begin),
		cmocka_unit_test_setup(what_the_peer_sees_is_an_error, judging_begin),
		cmocka_unit_test_setup(late_data_is_answered_by_a_reset, judging_begin),
		cmocka_unit_test_setup(what_came_before_the_close_was_not_late, judging_begin),
		cmocka_unit_test_setup(each_run_counts_for_itself, judging_begin),
		cmocka_unit_test_setup(no_reset_is_denied_where_packets_were_not_seen, judging_begin),
		cmocka_unit_test_setup(linger_and_shutdown_send_a_fin, judging_begin),
		cmocka_unit_test_setup(agreed_ends_need_no_more_than_a_close, judging_begin),
		cmocka_unit_test_setup(a_half_close_keeps_the_other_direction, judging_begin),
		cmocka_unit_test_setup(an_eof_may_be_a_rupture, judging_begin),
		cmocka_unit_test_setup(both_sides_are_named_where_there_is_no_room_for_all, judging_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
