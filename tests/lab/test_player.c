/* SPDX-License-Identifier: MIT */
/* Who plays a cell: dies with all that it has made, says why a cell could not be played, and plays it without root. */
#include "lib/cmocka.h"
#include "lab/play.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY    65534
#define PATIENCE  20000 /* ms: a test that waits for longer has failed */
#define FILES     1024
#define FEW_FILES 48 /* that are more than enough */

static struct lab_play *play; /* shared with the players */

static struct lab_spec spec_of(enum link_kind kind, const char *policy_name, const char *scenario_name)
{
	const struct lab_policy *policy = lab_policies;
	const struct lab_scenario *scenario = lab_scenarios;

	while (strcmp(policy->name, policy_name) != 0)
		policy++;
	while (strcmp(scenario->name, scenario_name) != 0)
		scenario++;
	return (struct lab_spec){
		.link_name = "link", .link = {.kind = kind}, .policy = policy, .scenario = scenario};
}

static pid_t start_player(const struct lab_spec *spec, uid_t user, rlim_t files)
{
	const struct rlimit limit = {files, files};
	pid_t pid = lab_fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			_exit(1);
		if (user != getuid() && (setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0))
			_exit(1);
		lab_play(spec, play);
		_exit(0);
	}
	return pid;
}

static void play_to_the_end(const struct lab_spec *spec, uid_t user, rlim_t files)
{
	int status;

	assert_true(waitpid(start_player(spec, user, files), &status, 0) > 0);
	assert_int_equal(status, 0);
}

static int share(void **state)
{
	(void)state;
	play = mmap(NULL, sizeof *play, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(play, MAP_FAILED);
	/* who is left by a player that died becomes ours */
	assert_return_code(prctl(PR_SET_CHILD_SUBREAPER, 1), errno);
	return 0;
}

static void skip_where_no_network_can_be_had(void)
{
	const struct lab_spec spec = spec_of(LINK_LO, "raw_close", "reads_all");

	play_to_the_end(&spec, getuid(), FILES);
	if (play->failed[0] != '\0') {
		print_message("# SKIP a network of our own: %s\n", play->failed);
		skip();
	}
}

/* Our end waits for a peer that does not read, and another process has its socket. */
static void a_player_that_is_killed_leaves_no_process(void **state)
{
	const struct lab_scenario held = {"held", "", .never_reads = true, .forks = true};
	struct lab_spec spec = spec_of(LINK_LO, "raw_outq", "fork");
	lb_time limit = lb_in_ms(PATIENCE);
	int status, died = 0;
	pid_t player;

	(void)state;
	skip_where_no_network_can_be_had();
	spec.scenario = &held;
	memset(play, 0, sizeof *play);
	player = start_player(&spec, getuid(), FILES);
	while (atomic_load(&play->calls) < 3) {
		assert_true(lb_now() < limit);
		sched_yield();
	}
	assert_return_code(kill(player, SIGKILL), errno);
	while (wait(&status) > 0) {
		/* killed; or it has seen that it comes too late to be told: lab_fork */
		assert_int_not_equal(status, 0);
		died++;
	}
	assert_int_equal(errno, ECHILD);
	assert_int_equal(died, 3);
}

static void a_process_of_ours_that_dies_is_no_result(void **state)
{
	const struct lab_spec spec = spec_of(LINK_LO, "raw_linger", "never_reads");
	lb_time limit = lb_in_ms(PATIENCE);
	char path[64], children[64] = "";
	int status, file;
	pid_t player;

	(void)state;
	skip_where_no_network_can_be_had();
	memset(play, 0, sizeof *play);
	player = start_player(&spec, getuid(), FILES);
	while (atomic_load(&play->calls) < 3) {
		assert_true(lb_now() < limit);
		sched_yield();
	}
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)player, (int)player);
	file = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(file, children, sizeof children - 1) > 0);
	close(file);
	assert_return_code(kill((pid_t)strtol(children, NULL, 10), SIGKILL), errno);
	assert_int_equal(waitpid(player, &status, 0), player);
	assert_int_equal(status, 0);
	assert_string_equal(play->failed, "our end's process died");
}

/* One descriptor more each time, until there are enough: there is a reason, or there is all that is to be had. */
static void play_with_few_files(enum link_kind kind)
{
	const struct lab_spec spec = spec_of(kind, "raw_drain", "unread");
	int failed = 0;

	for (rlim_t files = 0; files < FEW_FILES; files++) {
		play_to_the_end(&spec, getuid(), files);
		failed += play->failed[0] != '\0';
		assert_true(play->failed[0] != '\0' || play->peer_bytes == 1000000);
	}
	assert_true(failed >= 5);
}

static void what_cannot_be_played_says_why(void **state)
{
	(void)state;
	skip_where_no_network_can_be_had();
	play_with_few_files(LINK_LO);
	assert_string_equal(play->failed, "");
	play_with_few_files(LINK_DELAY); /* which needs /dev/net/tun */
}

static void without_root_it_plays_or_says_why_not(void **state)
{
	static const char *const scenarios[] = {"reads_all", "fork", "killed", "interrupted", "listener"};

	(void)state;
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
		const struct lab_spec spec = spec_of(LINK_VETH, "raw_close", scenarios[i]);

		play_to_the_end(&spec, getuid() == 0 ? NOBODY : getuid(), FILES);
		if (play->failed[0] != '\0') {
			print_message("# SKIP a play without root: %s\n", play->failed);
			skip();
		}
		assert_int_equal(play->peer_bytes, play->sent_bytes);
		assert_int_equal(play->peer_end, strcmp(scenarios[i], "listener") == 0 ? LAB_RESET : LAB_EOF);
	}
}

/* Also with a send queue that is too short for all, where nobody reads: what is meant is what fits. */
static void on_a_loopback_that_is_shared_it_plays_as_well(void **state)
{
	static const char *const scenarios[] = {"unread", "never_reads", "uploads", "agreed", "killed"};

	(void)state;
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
		const struct lab_spec spec = spec_of(LINK_LOOPBACK, "raw_drain", scenarios[i]);

		play_to_the_end(&spec, getuid() == 0 ? NOBODY : getuid(), FILES);
		assert_string_equal(play->failed, "");
		assert_int_equal(play->peer_bytes, play->sent_bytes);
		assert_in_range(play->sent_bytes, 100000, play->meant_bytes);
		assert_int_equal(play->peer_end, LAB_EOF);
		assert_int_equal(play->counters, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_player_that_is_killed_leaves_no_process),
		cmocka_unit_test(a_process_of_ours_that_dies_is_no_result),
		cmocka_unit_test(what_cannot_be_played_says_why),
		cmocka_unit_test(without_root_it_plays_or_says_why_not),
		cmocka_unit_test(on_a_loopback_that_is_shared_it_plays_as_well),
	};

	return cmocka_run_group_tests(tests, share, NULL);
}
