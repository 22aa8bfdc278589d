/* SPDX-License-Identifier: MIT */
/* The verdicts of test_claims.c that go by when calls were made, and when segments left. */
#include "lab/judging.h"
#include "lib/cmocka.h"
#include <stdio.h>

/* The last of it arrives at 320 ms: 310 ms after our end began to close. */
static struct lab_play *close_over_delay(const char *scenario, lb_time blocked)
{
	struct lab_play *play = judging_add("delay", "raw_linger", scenario, 3, 3, 3, 0);

	play->blocked = blocked;
	judging_add_call(play, OURS, "setsockopt(fd, SO_LINGER, 3 s) = 0", 10 * MS, 0);
	judging_add_segment(play, OURS, 1, 1448, 0, 20 * MS);
	judging_add_segment(play, OURS, 1449, 1448, 300 * MS, 20 * MS);
	judging_add_segment(play, OURS, 1449, 1448, 600 * MS, 20 * MS); /* once more: nobody waited for it */
	return play;
}

static void a_close_with_linger_blocks(void **state)
{
	struct lab_play *play;

	(void)state;
	judging_add("lo", "raw_linger", "never_reads", 3, 0, 0, 0)->blocked = 2000 * MS;
	close_over_delay("reads_all", 330 * MS);
	play = judging_add("lo", "raw_linger", "reads_all", 3, 3, 3, 0);
	play->blocked = MS / 10;
	judging_add_segment(play, OURS, 1, 1448, 0, MS / 100);
	judging_check("linger-close-blocks", LAB_HOLDS, 2, "our end was blocked for 330 to 2000 ms");
	play = close_over_delay("fork", MS / 10);
	judging_check("linger-close-blocks", LAB_PARTLY, 3,
		"holds only if the process calls close(2) itself, on the last copy of the socket: our end "
		"was blocked for "
		"330 to 2000 ms, and else for 0.100 ms");
	play->blocked = 309 * MS; /* a machine that is busy takes its time, and not so long */
	assert_int_equal(judging_claim("linger-close-blocks")->verdict, LAB_PARTLY);
	play->blocked = 310 * MS;
	assert_int_equal(judging_claim("linger-close-blocks")->verdict, LAB_HOLDS);
	close_over_delay("exit", MS / 10);
	assert_memory_equal(
		judging_claim("linger-close-blocks")->because, "not in delay/raw_linger/exit: ", 30);
	judging_begin(NULL);
	judging_add("veth", "raw_linger", "slow", 3, 3, 3, 0)->blocked = 1 * MS;
	judging_check("linger-close-blocks", LAB_FAILS, 1, "our end was blocked for 1.00 ms");
}

static void a_close_with_linger_blocks_no_longer_than_that(void **state)
{
	struct lab_play *play;

	(void)state;
	play = close_over_delay("never_reads", 3000 * MS);
	play->arrow[1].arrived = play->arrow[1].until = 3020 * MS;
	assert_int_equal(judging_claim("linger-close-blocks")->verdict, LAB_HOLDS);
	play->blocked = 2999 * MS;
	assert_int_equal(judging_claim("linger-close-blocks")->verdict, LAB_FAILS);
	play->arrow[1].arrived = LB_NEVER; /* it was lost, and came the second time */
	play->arrow[2].arrived = play->arrow[2].until = 620 * MS;
	play->blocked = 610 * MS;
	assert_int_equal(judging_claim("linger-close-blocks")->verdict, LAB_HOLDS);
	play->blocked = 609 * MS;
	assert_int_equal(judging_claim("linger-close-blocks")->verdict, LAB_FAILS);
}

static void linger(const char *link, const char *scenario, lb_time shutdown, lb_time close)
{
	struct lab_play *play = judging_add(link, "raw_linger_shutdown", scenario, 3, 3, 3, 0);

	judging_add_call(play, OURS, "shutdown(fd, SHUT_WR) = 0", 0, shutdown);
	judging_add_call(play, OURS, "close(fd) = 0", shutdown, close);
	judging_add_call(play, PEER, "close(fd) = 0", shutdown, 0);
}

static void a_shutdown_with_linger_blocks(void **state)
{
	(void)state;
	linger("lo", "slow", 500 * MS, 0);
	judging_check("linger-shutdown-blocks", LAB_HOLDS, 1,
		"shutdown(2) took 500 ms, and the close(2) after it 0 ms");
	linger("delay", "never_reads", MS / 50, 2000 * MS);
	judging_check("linger-shutdown-blocks", LAB_PARTLY, 2,
		"not in delay/raw_linger_shutdown/never_reads: shutdown(2) took 0.020 to 500 ms, and the "
		"close(2) after "
		"it 0 to 2000 ms");
	judging_begin(NULL);
	linger("delay", "reads_all", 25 * MS, 300 * MS);
	judging_check("linger-shutdown-blocks", LAB_FAILS, 1,
		"shutdown(2) took 25 ms, and the close(2) after it 300 ms");
	judging_begin(NULL);
	linger("lo", "reads_all", 0, MS);
	judging_check_none("linger-shutdown-blocks");
}

static struct lab_play *drain(const char *scenario, lb_time peer_done, const char *result)
{
	struct lab_play *play = judging_add("delay", "raw_drain", scenario, 3, 3, 3, 0);
	char text[80];

	snprintf(text, sizeof text, "read(fd) until 0 = %s", result);
	judging_add_call(play, PEER, "read(fd) until 0 = 0", 0, peer_done);
	judging_add_call(play, OURS, text, 0, 340 * MS);
	judging_add_call(play, OURS, "close(fd) = 0", 340 * MS, 0);
	return play;
}

static void a_read_of_0_after_shutdown_proves(void **state)
{
	(void)state;
	drain("reads_all", 320 * MS, "0");
	drain("never_closes", 320 * MS, "ETIME");
	judging_check("drain-proves", LAB_HOLDS, 1,
		"our read returned 0 when the peer had read everything, and our end, in 3 of 3 on delay");
	drain("ends_first", 380 * MS, "0");
	judging_check("drain-proves", LAB_PARTLY, 2,
		"holds only if the peer ends because it has seen our end: our read returned 0 when the peer "
		"had read everything, and our end, in 3 of 6 on delay; else the peer read on for 40 ms");
	drain("ends_first", 320 * MS, "0"); /* by chance: but there it always did */
	assert_memory_equal(
		judging_claim("drain-proves")->because, "not in delay/raw_drain/ends_first: ", 34);
	judging_begin(NULL);
	drain("late", 320 * MS, "0");
	drain("agreed_peer_first", 320 * MS, "0");
	judging_cells[1].eofs = 0; /* it has read nothing after CLOSE */
	judging_check("drain-proves", LAB_PARTLY, 2,
		"holds only if the peer ends because it has seen our end: our read returned 0 when the peer "
		"had read everything, and our end, in 3 of 6 on delay; in 3 it never did");
	judging_begin(NULL);
	drain("late", 320 * MS, "0");
	judging_cells[0].whole = 1;
	judging_check("drain-proves", LAB_PARTLY, 1,
		"not in delay/raw_drain/late: our read returned 0 when the peer had read everything, and our "
		"end, in 1 of 3 on delay; in 2 it never did");
	judging_cells[0].whole = 0;
	judging_check("drain-proves", LAB_FAILS, 1,
		"our read returned 0 when the peer had read everything, and our end, in 0 of 3 on delay; in "
		"3 "
		"it never did");
	judging_begin(NULL);
	drain("floods", 320 * MS, "ETIME");
	drain("uploads", 320 * MS, "ECONNRESET");
	judging_check_none("drain-proves");
}

static struct lab_play *cork(const char *link, uint32_t first, lb_time rest)
{
	struct lab_play *play = judging_add(link, "cork_held", "request", 3, 3, 3, 0);

	judging_add_call(play, OURS, "setsockopt(fd, TCP_CORK, 1) = 0", 0, 0);
	judging_add_call(play, OURS, "send(fd, 500 bytes) = 500", 0, 0);
	judging_add_call(play, OURS, "setsockopt(fd, TCP_CORK, 0) = 0", 100 * MS, MS / 50);
	judging_add_segment(play, OURS, 1, 1448, MS, 20 * MS);
	judging_add_segment(play, OURS, 1449, first, MS, 20 * MS);
	judging_add_segment(play, PEER, 1, 1, 41 * MS, 20 * MS);
	judging_add_segment(play, OURS, 1449 + first, 3120 - 1448 - first, rest, 20 * MS);
	return play;
}

static void a_cork_holds_what_is_not_full(void **state)
{
	static const char said[] =
		"until it was taken off, 100 ms later, only full segments left, and then the rest "
		"at once: 1 of 1 on delay; never taken off, it was sent by the kernel after 204 ms";
	struct lab_play *play;

	(void)state;
	cork("delay", 1448, 100 * MS);
	play = judging_add("delay", "cork_kept", "request", 3, 3, 3, 0);
	judging_add_call(play, OURS, "send(fd, 500 bytes) = 500", MS, 0);
	judging_add_segment(play, OURS, 1, 1448, MS, 20 * MS);
	judging_add_segment(play, OURS, 1449, 224, 205 * MS, 20 * MS);
	judging_check("cork-holds", LAB_HOLDS, 1, said);
	cork("delay", 500, 100 * MS);
	assert_int_equal(judging_claim("cork-holds")->verdict, LAB_PARTLY);
	assert_int_equal(judging_claim("cork-holds")->count, 2);
	judging_begin(NULL);
	cork("delay", 1448, 200 * MS); /* not by taking it off */
	cork("delay", 1448, 2 * MS);   /* not held at all */
	play = judging_add("lo", "cork_held", "request", 3, 3, 3, 0);
	judging_add_call(play, OURS, "setsockopt(fd, TCP_CORK, 0) = 0", 100 * MS, MS / 50);
	judging_add_segment(play, OURS, 1, 3120, MS, 0); /* nor this, which is no full segment there */
	assert_int_equal(judging_claim("cork-holds")->verdict, LAB_FAILS);
	assert_int_equal(judging_claim("cork-holds")->count, 3);
	judging_begin(NULL);
	cork("delay", 1448, 100 * MS)->missed = 1;
	cork("delay", 1448, 100 * MS)->captured = false;
	cork("delay", 1448, 100 * MS)->segments[LINK_LEFT].lost = 1;
	cork("delay", 1448, 100 * MS)->segments[LINK_RIGHT].lost = 1;
	judging_check_none("cork-holds");
}

static void request(const char *link, const char *way, const char *call, lb_time last)
{
	struct lab_play *play = judging_add(link, way, "request", 3, 3, 3, 0);

	judging_add_call(play, OURS, call, MS, MS / 50);
	judging_add_call(play, OURS, "recv(fd, 1 byte) = 1", 2 * MS, last);
	judging_add_segment(play, OURS, 1, 120, MS, 20 * MS);
	judging_add_segment(play, OURS, 121, 3000, last, 20 * MS);
	judging_add_segment(play, OURS, 121, 3000, last + 200 * MS, 20 * MS); /* once more: it was lost */
}

static void without_nagle_everything_leaves_at_once(void **state)
{
	(void)state;
	request("delay", "nodelay", "send(fd, 500 bytes) = 500", MS + MS / 100);
	request("delay", "nagle", "writev(fd, 3000 bytes in 6) = 3000", 41 * MS);
	judging_check("nodelay-at-once", LAB_HOLDS, 1,
		"the last segment left at most 0 ms after it was written; with Nagle's algorithm, 40 ms");
	request("lo", "nodelay", "send(fd, 500 bytes) = 500", 41 * MS);
	judging_check("nodelay-at-once", LAB_PARTLY, 2,
		"not in lo/nodelay/request: the last segment left at most 40 ms after it was written; with "
		"Nagle's "
		"algorithm, 40 ms");
	judging_begin(NULL);
	request("lo", "nodelay", "send(fd, 500 bytes) = 500", 41 * MS);
	judging_check(
		"nodelay-at-once", LAB_FAILS, 1, "the last segment left at most 40 ms after it was written");
	judging_begin(NULL);
	request("lo", "nodelay", "send(fd, 500 bytes) = 500", MS);
	judging_cells[0].shown.arrow[1].count = 2; /* drawn as one: the second of them left later */
	judging_cells[0].shown.arrow[1].until += 40 * MS;
	assert_int_equal(judging_claim("nodelay-at-once")->verdict, LAB_FAILS);
	judging_begin(NULL);
	request("lo", "nagle", "writev(fd, 3000 bytes in 6) = 3000", 41 * MS);
	judging_check_none("nodelay-at-once");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_close_with_linger_blocks, judging_begin),
		cmocka_unit_test_setup(a_close_with_linger_blocks_no_longer_than_that, judging_begin),
		cmocka_unit_test_setup(a_shutdown_with_linger_blocks, judging_begin),
		cmocka_unit_test_setup(a_read_of_0_after_shutdown_proves, judging_begin),
		cmocka_unit_test_setup(a_cork_holds_what_is_not_full, judging_begin),
		cmocka_unit_test_setup(without_nagle_everything_leaves_at_once, judging_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
