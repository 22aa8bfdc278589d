/* SPDX-License-Identifier: MIT */
/*
 * Cells of the lab, played over a link of 20 ms one way, and what is known of them: how much the peer's application gets
 * and how that ends, by policy and by scenario. All are played before the tests judge them, many at once.
 */
#include "lib/cmocka.h"
#include "lab/play.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL 1000000
#define SOME                                                                                                 \
	(ALL / 2) /* what a link of 20 ms does not carry in 200 ms, and nobody here is kept from running so long */
#define DELAY   INT64_C(20000000)
#define AT_ONCE 16 /* plays: most of them wait */
#define MAX     200

#define LEAVE                                                                                                \
	"plain finish linger linger_finish raw_close raw_linger raw_shutdown raw_linger_shutdown "           \
	"raw_shut_rdwr"
#define STAY "drain acked raw_acked raw_drain"

/* By scenario: whose bytes all arrive, and then a FIN, and whose do not, with an end that is one of these. */
static const struct row {
	const char *scenario, *whole, *cut;
	uint64_t least, most; /* of what is cut */
	bool eof, reset;
} rows[] = {
	{"reads_all", LEAVE " " STAY " raw_drain_once raw_outq", "abort", 0, SOME, .reset = true},
	{"unread", STAY " raw_drain_once raw_outq", LEAVE, 0, SOME, .reset = true},
	{"unread_slow", STAY " raw_drain_once raw_outq", "plain raw_shutdown", 0, SOME, .reset = true},
	{"late", STAY " raw_outq", LEAVE " raw_drain_once", 100000, ALL - 1, .reset = true},
	{"late_slow", STAY " raw_outq", "plain raw_shutdown raw_drain_once", 100000, ALL - 1, .reset = true},
	{"slow", STAY " linger raw_close", "abort", 0, SOME, .reset = true},
	{"never_reads", "plain raw_linger raw_outq raw_drain", "drain acked", 1, SOME, .reset = true},
	{"never_closes", STAY " plain linger raw_outq", "abort", 0, SOME, .reset = true},
	{"floods", STAY " raw_outq", "plain linger raw_shutdown raw_drain_once", 0, SOME, .eof = true,
		.reset = true},
	{"uploads", STAY, "plain linger raw_shutdown raw_drain_once raw_outq", 0, SOME, .eof = true,
		.reset = true},
	{"nonblock", "drain linger raw_linger raw_drain", ""},
	{"exit", "drain plain linger linger_finish raw_linger raw_linger_shutdown raw_drain", ""},
	{"fork", "drain plain linger linger_finish raw_close raw_linger raw_linger_shutdown raw_drain",
		"abort", 0, SOME, .reset = true},
	{"killed", "", "drain linger plain raw_drain raw_linger", 1, ALL / 2, .eof = true},
	{"interrupted", "drain acked linger raw_linger raw_drain raw_outq plain", ""},
	{"ends_first", STAY " plain raw_close raw_linger", ""},
	{"false_eof", "drain raw_drain", "plain raw_shutdown raw_linger_shutdown", 0, SOME, .eof = true},
	{"agreed", STAY " plain raw_close linger", ""},
	{"half_close", "drain finish raw_shutdown raw_drain", ""},
};
#define ROWS (sizeof rows / sizeof rows[0])

static struct played {
	const struct row *row;
	struct lab_spec spec;
	bool whole;
	struct lab_play *play;
} cells[MAX];
static size_t count;

static const struct lab_scenario *scenario_of(const char *name)
{
	const struct lab_scenario *scenario = lab_scenarios;

	while (strcmp(scenario->name, name) != 0)
		scenario++;
	return scenario;
}

static bool is_word(const char *word, const char *text)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += len)
		if ((at == text || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

static void add(const struct row *row, const char *scenario, const struct lab_policy *policy, bool whole)
{
	struct played *cell = &cells[count++];

	assert_true(count <= MAX);
	*cell = (struct played){.row = row,
		.spec = {.link_name = "delay",
			.link = {.kind = LINK_DELAY, .delay = DELAY},
			.policy = policy,
			.scenario = scenario_of(scenario)},
		.whole = whole};
	cell->play =
		mmap(NULL, sizeof *cell->play, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(cell->play, MAP_FAILED);
}

static void add_all(void)
{
	for (const struct lab_policy *policy = lab_policies; policy->name != NULL; policy++) {
		for (const struct row *row = rows; row < rows + ROWS; row++)
			if (is_word(policy->name, row->whole) || is_word(policy->name, row->cut))
				add(row, row->scenario, policy, is_word(policy->name, row->whole));
		if (is_word(policy->name, "plain raw_close drain"))
			add(NULL, "agreed_peer_first", policy, true);
		if (strcmp(policy->name, "raw_close") == 0)
			add(NULL, "listener", policy, false);
		if (is_word(policy->name, "nagle writev"))
			add(NULL, "request", policy, true);
	}
}

static const struct lab_play *play_of(const char *policy, const char *scenario)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(cells[i].spec.policy->name, policy) == 0 &&
			strcmp(cells[i].spec.scenario->name, scenario) == 0)
			return cells[i].play;
	fail_msg("%s, %s was not played", policy, scenario);
	return NULL;
}

static void start_player(const struct played *cell)
{
	pid_t pid = lab_fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		lab_play(&cell->spec, cell->play);
		_exit(0);
	}
}

static void await_player(void)
{
	int status;

	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static int play_all(void **state)
{
	(void)state;
	add_all();
	for (size_t i = 0; i < count; i++) {
		if (i >= AT_ONCE)
			await_player();
		start_player(&cells[i]);
	}
	for (size_t i = 0; i < AT_ONCE; i++)
		await_player();
	return 0;
}

static bool as_known(const struct played *cell)
{
	const struct lab_play *play = cell->play;

	if (play->failed[0] != '\0')
		return false;
	if (cell->row == NULL)
		return true;
	if (cell->whole)
		return play->peer_bytes == ALL && play->peer_end == LAB_EOF;
	return play->peer_bytes >= cell->row->least && play->peer_bytes <= cell->row->most &&
	       ((play->peer_end == LAB_EOF && cell->row->eof) ||
		       (play->peer_end == LAB_RESET && cell->row->reset));
}

static bool outcome_is_true(const struct played *cell)
{
	const struct lab_play *play = cell->play;
	const struct lb_outcome *outcome = &play->outcome;
	uint64_t words = play->outcome.accepted - play->sent_bytes; /* CLOSE */

	return !play->has_outcome ||
	       ((outcome->rung < LB_RUNG_ACKED || play->peer_bytes == play->meant_bytes) &&
		       (outcome->acked == LB_UNKNOWN || outcome->acked <= play->peer_bytes + words) &&
		       (outcome->lost == LB_UNKNOWN || outcome->lost == 0 ||
			       play->peer_bytes < play->meant_bytes));
}

static void all_cells(bool (*is_so)(const struct played *cell))
{
	bool all_so = true;

	for (size_t i = 0; i < count; i++) {
		const struct lab_play *play = cells[i].play;
		char line[256] = "";

		if (is_so(&cells[i]))
			continue;
		if (play->has_outcome)
			lb_outcome_text(&play->outcome, line, sizeof line);
		print_message("# %s, %s: %s%ju bytes, end %d; %s\n", cells[i].spec.policy->name,
			cells[i].spec.scenario->name, play->failed, (uintmax_t)play->peer_bytes,
			(int)play->peer_end, line);
		all_so = false;
	}
	assert_true(all_so);
}

static void every_cell_ends_as_is_known_of_it(void **state)
{
	(void)state;
	all_cells(as_known);
}

static void what_lb_close_says_is_true(void **state)
{
	(void)state;
	all_cells(outcome_is_true);
}

static const struct lab_call *find_call(const struct lab_play *play, bool peer, const char *start)
{
	for (unsigned i = 0; i < play->calls; i++)
		if (play->call[i].peer == peer && strncmp(play->call[i].text, start, strlen(start)) == 0)
			return &play->call[i];
	return NULL;
}

static bool calls_are_told(const struct played *cell)
{
	const struct lab_play *play = cell->play;

	for (unsigned i = 1; i < play->calls; i++)
		if (play->call[i].at < play->call[i - 1].at)
			return false;
	return play->calls >= 3 && play->calls <= LAB_CALLS && play->call[0].at >= 0 &&
	       find_call(play, true, "close(fd) = 0") != NULL;
}

static void all_calls_are_told_in_their_order(void **state)
{
	const struct lab_play *play = play_of("raw_linger_shutdown", "unread");

	(void)state;
	all_cells(calls_are_told);
	assert_non_null(find_call(play, false, "write(fd, 1000000) = 1000000"));
	assert_non_null(find_call(play, false, "setsockopt(fd, SO_LINGER, 3 s) = 0"));
	assert_non_null(find_call(play, false, "shutdown(fd, SHUT_WR) = 0"));
	assert_non_null(find_call(play, false, "close(fd) = 0"));
	assert_non_null(find_call(play, true, "write(fd, 1024) = 1024"));
	assert_non_null(find_call(play, true, "read(fd) = ECONNRESET"));
	assert_non_null(
		find_call(play_of("plain", "false_eof"), true, "getsockopt(fd, SO_ERROR) = ECONNRESET"));
	assert_non_null(find_call(play_of("plain", "false_eof"), true, "read(fd) = 0"));
	assert_non_null(
		find_call(play_of("raw_drain", "nonblock"), false, "fcntl(fd, F_SETFL, O_NONBLOCK) = 0"));
	assert_non_null(find_call(play_of("drain", "floods"), false, "lb_close(fd, drain) = 0"));
}

/* The peer reads for as long as the link takes; what blocks for less has not waited for it. */
static bool waited(const struct lab_play *play)
{
	const struct lab_call *reads = find_call(play, true, "read(fd) of 1000000 bytes in all");

	assert_non_null(reads);
	return play->blocked >= reads->took;
}

static void lingering_blocks_where_that_is_the_last_close(void **state)
{
	static const char *const policies[] = {"linger", "raw_linger"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_true(play_of(policies[i], "reads_all")->blocked >= 4 * DELAY);
		assert_true(play_of(policies[i], "nonblock")->blocked >= 4 * DELAY);
		assert_false(waited(play_of(policies[i], "exit")));
		assert_false(waited(play_of(policies[i], "fork")));
		assert_false(waited(play_of(policies[i], "interrupted")));
	}
	assert_true(play_of("raw_linger", "never_reads")->blocked >= 100 * DELAY);
	assert_false(waited(play_of("linger_finish", "fork")));
	assert_false(waited(play_of("raw_linger_shutdown", "fork")));
	assert_false(waited(play_of("raw_shutdown", "reads_all")));
}

static void an_ending_that_reads_is_not_ended_by_a_signal(void **state)
{
	static const char *const policies[] = {"drain", "acked", "raw_drain", "raw_outq"};

	(void)state;
	for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
		const struct lab_call *signal =
			find_call(play_of(policies[i], "interrupted"), false, "SIGUSR1");

		assert_non_null(signal);
		assert_string_equal(signal->text, "SIGUSR1"); /* which is no call, and returns nothing */
		assert_int_equal(signal->took, 0);
		assert_true(play_of(policies[i], "interrupted")->blocked >= 4 * DELAY);
	}
}

static void waits_are_bounded_where_the_peer_keeps_us_waiting(void **state)
{
	(void)state;
	assert_true(play_of("raw_drain", "never_closes")->blocked >= 100 * DELAY);
	assert_true(play_of("raw_drain", "floods")->blocked >= 100 * DELAY);
	assert_true(play_of("raw_outq", "uploads")->blocked >= 100 * DELAY);
	assert_non_null(find_call(play_of("raw_drain", "never_closes"), false, "read(fd) until 0 = ETIME"));
	assert_true(
		play_of("drain", "never_closes")->blocked < play_of("raw_drain", "never_closes")->blocked);
}

static void a_half_close_leaves_the_way_back_open(void **state)
{
	(void)state;
	assert_int_equal(play_of("raw_drain", "half_close")->back_bytes, 100000);
	assert_int_equal(play_of("drain", "half_close")->outcome.discarded, 100000);
	assert_int_equal(play_of("raw_shutdown", "half_close")->back_bytes, 0);
}

static void who_closes_first_after_an_agreement_makes_no_difference(void **state)
{
	static const char *const policies[] = {"plain", "raw_close", "drain"};

	(void)state;
	for (int i = 0; i < 3; i++) {
		const struct lab_play *play = play_of(policies[i], "agreed_peer_first");

		assert_int_equal(play->peer_bytes, ALL);
		assert_int_equal(play->peer_end, LAB_WAITING);
		assert_true(find_call(play, true, "close(fd)") <
			    find_call(play, false, i == 1 ? "close(fd)" : "lb_close(fd"));
	}
}

static void a_listener_resets_whom_it_has_not_accepted(void **state)
{
	const struct lab_play *play = play_of("raw_close", "listener");

	(void)state;
	assert_int_equal(play->peer_end, LAB_RESET);
	assert_int_equal(play->meant_bytes + play->peer_bytes, 0);
}

static void a_request_is_played_like_everything_else(void **state)
{
	(void)state;
	assert_int_equal(play_of("nagle", "request")->peer_bytes, 3120);
	assert_true(play_of("nagle", "request")->blocked >= 4 * DELAY);
	assert_true(play_of("writev", "request")->blocked >= 2 * DELAY);
	assert_int_equal(play_of("writev", "request")->back_bytes, 1);
}

static bool is_captured(const struct played *cell)
{
	const struct lab_play *play = cell->play;

	return play->captured && play->missed == 0 && play->arrows >= 3 && play->arrow[0].sent < 0 &&
	       play->segments[0].lost + play->segments[1].lost == 0;
}

static void the_packets_show_what_the_peer_saw(void **state)
{
	const struct lab_play *cut = play_of("raw_close", "unread"), *whole = play_of("raw_drain", "unread");

	(void)state;
	all_cells(is_captured);
	assert_true(cut->segments[0].rst > 0);
	assert_int_equal(cut->segments[0].fin, 0);
	assert_true(whole->segments[0].bytes >= ALL);
	assert_true(whole->segments[0].fin > 0);
	assert_true(whole->segments[1].fin > 0);
	assert_int_equal(whole->segments[0].rst + whole->segments[1].rst, 0);
}

static void the_kernel_counts_what_it_aborts(void **state)
{
	const struct lab_play *play = play_of("raw_close", "unread");
	bool found = false;

	(void)state;
	for (unsigned i = 0; i < play->counters; i++)
		found = found || (strcmp(play->counter[i].name, "TcpExtTCPAbortOnClose") == 0 &&
					 play->counter[i].by == 1);
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_ends_as_is_known_of_it),
		cmocka_unit_test(what_lb_close_says_is_true),
		cmocka_unit_test(all_calls_are_told_in_their_order),
		cmocka_unit_test(lingering_blocks_where_that_is_the_last_close),
		cmocka_unit_test(an_ending_that_reads_is_not_ended_by_a_signal),
		cmocka_unit_test(waits_are_bounded_where_the_peer_keeps_us_waiting),
		cmocka_unit_test(a_half_close_leaves_the_way_back_open),
		cmocka_unit_test(who_closes_first_after_an_agreement_makes_no_difference),
		cmocka_unit_test(a_listener_resets_whom_it_has_not_accepted),
		cmocka_unit_test(a_request_is_played_like_everything_else),
		cmocka_unit_test(the_packets_show_what_the_peer_saw),
		cmocka_unit_test(the_kernel_counts_what_it_aborts),
	};

	return cmocka_run_group_tests(tests, play_all, NULL);
}
