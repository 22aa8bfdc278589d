/* SPDX-License-Identifier: MIT */
/*
 * sim [--schedules N] [--seed S] [--bug NAME] [--expect INVARIANT] [--replay] [--trace]: runs N schedules from seed S
 * on, until an invariant breaks. --bug plants a bug, --expect makes the program succeed only when one of the schedules
 * breaks that invariant first (others may break another one: a bug has more than one end), and --replay runs each seed
 * twice and compares.
 */
#include "sim/fiber.h"
#include "sim/schedule.h"
#include "base/test.h"
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Runs every schedule, and tells how many steps they had; false: some seed does not run the same way twice. */
static bool run_all(const struct options *options, uint64_t *stepsp)
{
	for (uint64_t seed = options->seed; seed < options->seed + options->schedules; seed++) {
		struct sim_result first = sim_schedule_run(seed, options->tracing, 0), second;

		*stepsp += first.steps;
		if (!options->replay)
			continue;
		second = sim_schedule_run(seed, false, 0);
		if (first.hash != second.hash || first.steps != second.steps) {
			printf("seed %" PRIu64 " does not run the same way twice\n", seed);
			return false;
		}
	}
	return true;
}

/* A violation ends its process: each schedule has one of its own. True: this one breaks what is expected. */
static bool breaks(const struct options *options, uint64_t seed)
{
	int status = -1;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		(void)sim_schedule_run(seed, options->tracing, options->expected);
		_exit(2);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static int look_for(const struct options *options)
{
	for (uint64_t seed = options->seed; seed < options->seed + options->schedules; seed++)
		if (breaks(options, seed))
			return 0;
	printf("no schedule has broken invariant %d\n", options->expected);
	return 1;
}

int main(int argc, char **argv)
{
	struct options options = {.schedules = 1000, .seed = 1};
	uint64_t steps = 0;
	int result = parse(argc, argv, &options);

	if (result != 0)
		return result;
	/* Every schedule needs the same memory anew: to give it back to the kernel would cost more than the schedule. */
	mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (options.expected != 0)
		result = look_for(&options);
	else if (!run_all(&options, &steps))
		result = 1;
	else
		printf("%" PRIu64 " schedules from seed %" PRIu64 ", %" PRIu64
		       " steps: every invariant held\n",
			options.schedules, options.seed, steps);
	sim_fiber_cleanup();
	sqlite3_shutdown();
	return result;
}
