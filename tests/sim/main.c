/* SPDX-License-Identifier: MIT */
/*
 * sim [--schedules N] [--seed S] [--bug NAME] [--expect INVARIANT] [--replay] [--trace]: runs N schedules from seed S
 * on. --bug plants a bug, --expect makes the program succeed only when that invariant breaks, and --replay runs each
 * seed twice and compares.
 */
#include "sim/fiber.h"
#include "sim/schedule.h"
#include "base/test.h"
#include <getopt.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

struct options {
	uint64_t schedules, seed;
	int expected;
	bool replay, tracing;
};

static int usage(void)
{
	fprintf(stderr, "usage: sim [--schedules N] [--seed S] [--bug NAME] [--expect INVARIANT] [--replay] "
			"[--trace]\n");
	return 2;
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {{"schedules", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'}, {"bug", required_argument, NULL, 'b'},
		{"expect", required_argument, NULL, 'e'}, {"replay", no_argument, NULL, 'r'},
		{"trace", no_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		if (option == 'n')
			options->schedules = strtoull(optarg, NULL, 10);
		else if (option == 's')
			options->seed = strtoull(optarg, NULL, 10);
		else if (option == 'b')
			lb_test_bug = optarg;
		else if (option == 'e')
			options->expected = atoi(optarg);
		else if (option == 'r')
			options->replay = true;
		else if (option == 't')
			options->tracing = true;
		else
			return usage();
	}
	return optind < argc ? usage() : 0;
}

int main(int argc, char **argv)
{
	struct options options = {.schedules = 1000, .seed = 1};
	uint64_t steps = 0;
	int result = parse(argc, argv, &options);

	if (result != 0)
		return result;
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	for (uint64_t i = 0; i < options.schedules; i++) {
		struct sim_result first =
			sim_schedule_run(options.seed + i, options.tracing, options.expected);

		steps += first.steps;
		if (options.replay) {
			struct sim_result second =
				sim_schedule_run(options.seed + i, false, options.expected);

			if (first.hash != second.hash || first.steps != second.steps) {
				printf("seed %" PRIu64 " does not run the same way twice\n",
					options.seed + i);
				return 1;
			}
		}
	}
	sim_fiber_cleanup();
	sqlite3_shutdown();
	printf("%" PRIu64 " schedules from seed %" PRIu64 ", %" PRIu64 " steps: every invariant held\n",
		options.schedules, options.seed, steps);
	if (options.expected != 0)
		printf("but invariant %d should not have\n", options.expected);
	return options.expected != 0;
}
