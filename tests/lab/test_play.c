/* SPDX-License-Identifier: MIT */
/*
 * Cells of the lab, played over a link of 20 ms one way, and what is known of them: how much the peer's application gets
 * and how that ends, by policy and by scenario. All are played before the tests judge them, several at once.
 */
#include "lib/cmocka.h"
#include "lab/play.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL     1000000
#define AT_ONCE 12 /* plays: most of them wait */

struct wanted {
	const char *policy, *scenario;
	uint64_t least, most; /* bytes that the peer's application gets */
	enum lab_end end;
};

static const struct wanted wanted[] = {
	{"raw_close", "reads_all", ALL, ALL, LAB_EOF},
	{"plain", "reads_all", ALL, ALL, LAB_EOF},
	{"drain", "reads_all", ALL, ALL, LAB_EOF},
	{"raw_drain", "reads_all", ALL, ALL, LAB_EOF},
};
#define CELLS (sizeof wanted / sizeof wanted[0])

static struct lab_play *plays; /* one for each cell */

static const struct lab_policy *policy_of(const char *name)
{
	const struct lab_policy *policy = lab_policies;

	while (strcmp(policy->name, name) != 0)
		policy++;
	return policy;
}

static const struct lab_scenario *scenario_of(const char *name)
{
	const struct lab_scenario *scenario = lab_scenarios;

	while (strcmp(scenario->name, name) != 0)
		scenario++;
	return scenario;
}

static void start_player(const struct wanted *cell, struct lab_play *play)
{
	const struct lab_spec spec = {.link_name = "delay",
		.link = {.kind = LINK_DELAY, .delay = 20000000},
		.policy = policy_of(cell->policy),
		.scenario = scenario_of(cell->scenario)};
	pid_t pid = lab_fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		lab_play(&spec, play);
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
	plays = mmap(NULL, CELLS * sizeof *plays, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(plays, MAP_FAILED);
	for (size_t i = 0; i < CELLS; i++) {
		if (i >= AT_ONCE)
			await_player();
		start_player(&wanted[i], &plays[i]);
	}
	for (size_t i = 0; i < CELLS && i < AT_ONCE; i++)
		await_player();
	return 0;
}

static void every_cell_ends_as_is_known_of_it(void **state)
{
	bool all_so = true;

	(void)state;
	for (size_t i = 0; i < CELLS; i++) {
		const struct wanted *cell = &wanted[i];
		const struct lab_play *play = &plays[i];

		if (play->failed[0] == '\0' && play->peer_bytes >= cell->least &&
			play->peer_bytes <= cell->most && play->peer_end == cell->end)
			continue;
		print_message("# %s, %s: %ju bytes, end %d; %s\n", cell->policy, cell->scenario,
			(uintmax_t)play->peer_bytes, (int)play->peer_end, play->failed);
		all_so = false;
	}
	assert_true(all_so);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_ends_as_is_known_of_it),
	};

	return cmocka_run_group_tests(tests, play_all, NULL);
}
