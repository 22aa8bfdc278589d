/* SPDX-License-Identifier: MIT */
/*
 * Every public function of the sock layer, with each of its system calls failing in turn, once and for good: no
 * descriptor is leaked or closed twice, nothing hangs, and nothing is claimed that the peer does not bear out. What the
 * peer saw is the truth: it reads all that comes and never resets, and a stream that ends for it has to be whole.
 */
#include "attempt.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS       1024
#define CALLS_MAX 5000 /* of one run in which one call fails: more is a loop that does not wait */

static int wrong; /* what was not as it should be, in all attempts of a scenario */

static void complain(const struct attempt *attempt, const char *what)
{
	const struct failing_seen *seen = &attempt->seen;
	char line[256];

	wrong++;
	print_error("call %d of %d, %s, fails %s with %s: not so: %s\n", attempt->plan.at, seen->calls,
		seen->name != NULL ? seen->name : "none", attempt->plan.for_good ? "for good" : "once",
		seen->name != NULL ? strerrorname_np(seen->error) : "nothing", what);
	print_error("  it returned %d; the peer got %ju of %ju, then %s\n", attempt->result,
		(uintmax_t)attempt->tcp.peer.got, (uintmax_t)attempt->total,
		attempt->tcp.peer.ended ? "the end" : strerrorname_np(attempt->tcp.peer.error));
	if (attempt->has_outcome)
		print_error("  %s\n", lb_outcome_text(&attempt->end, line, sizeof line));
}

#define holds(attempt, condition) ((condition) ? (void)0 : complain(attempt, #condition))

/* These claim nothing that is not so. They may claim less: what the kernel does not tell is not known. */
static void check_outcome(const struct attempt *attempt)
{
	const struct lb_outcome *end = &attempt->end;
	const struct tcp_peer *peer = &attempt->tcp.peer;
	bool known = end->accepted != LB_UNKNOWN && end->acked != LB_UNKNOWN;

	holds(attempt, end->rung < LB_RUNG_ACKED || peer->got == attempt->total);
	holds(attempt, end->rung != LB_RUNG_ENDED || peer->ended);
	holds(attempt, end->rung < LB_RUNG_COMMITTED || peer->sent == ATTEMPT_THEIRS);
	holds(attempt, end->verdict != LB_VERDICT_NOT_COMMITTED || peer->got == 0);
	holds(attempt, end->lost != 0 || !known || peer->got >= end->accepted);
	holds(attempt, end->lost == LB_UNKNOWN || end->lost <= ATTEMPT_OURS);
	holds(attempt, end->acked == LB_UNKNOWN || end->acked <= peer->got);
	holds(attempt, end->accepted == LB_UNKNOWN || end->accepted <= ATTEMPT_OURS);
	holds(attempt, !known || end->lost == LB_UNKNOWN || end->accepted == end->acked + end->lost);
	holds(attempt, end->how != LB_END_RST);
	holds(attempt, end->by != LB_PARTY_NETWORK || end->how != LB_END_TIMEOUT);
}

static bool cannot_wait(const struct attempt *attempt)
{
	const char *name = attempt->seen.name;

	return attempt->plan.for_good && name != NULL && strcmp(name, "ppoll") == 0;
}

static void check(const struct scenario *scenario, const struct attempt *attempt)
{
	const struct tcp_peer *peer = &attempt->tcp.peer;

	holds(attempt, attempt->seen.bad_closes == 0);
	holds(attempt, attempt->seen.calls < CALLS_MAX || cannot_wait(attempt));
	holds(attempt, peer->intact);
	holds(attempt, !peer->ended || peer->got == attempt->total);
	holds(attempt, !attempt->lies);
	holds(attempt, !attempt->idled);
	/* for good, it is left out, and the deadline is short */
	holds(attempt, attempt->plan.for_good || attempt->seen.error != EINTR || attempt->result == 0);
	if (attempt->has_outcome)
		check_outcome(attempt);
	if (attempt->plan.at > 0)
		return;
	holds(attempt, attempt->result == 0);
	holds(attempt, attempt->end.rung >= scenario->rung);
}

static void look_at_descriptors(bool open[FDS])
{
	for (int fd = 0; fd < FDS; fd++)
		open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void try(const struct scenario *scenario, const struct failing_plan *plan, struct failing_seen *seenp)
{
	int patience = plan->at == 0 ? 20000 : plan->for_good ? 30 : 1000; /* ms */
	struct attempt attempt = {.plan = *plan, .deadline = lb_in_ms(patience)};
	bool before[FDS], after[FDS];

	look_at_descriptors(before);
	tcp_connect(&attempt.tcp, &tcp_sides[plan->at % 2], 0, 0);
	tcp_play(&attempt.tcp, scenario->play);
	scenario->run(&attempt, scenario->variant);
	if (!attempt.consumed && close(attempt.tcp.ours) < 0)
		complain(&attempt, "the descriptor is still the caller's");
	tcp_join(&attempt.tcp);
	tcp_peer_close(&attempt.tcp.peer);
	close(attempt.tcp.peer.go);
	check(scenario, &attempt);
	look_at_descriptors(after);
	holds(&attempt, memcmp(before, after, sizeof before) == 0);
	*seenp = attempt.seen;
}

static void whatever_call_fails(void **state)
{
	const struct scenario *scenario = *state;
	struct failing_plan plan = {0};
	struct failing_seen seen;

	wrong = 0;
	try(scenario, &plan, &seen);
	assert_true(seen.calls > 0);
	for (int for_good = 0; for_good <= 1; for_good++) {
		plan = (struct failing_plan){.at = 1, .for_good = for_good};
		do {
			try(scenario, &plan, &seen);
			failing_next(&plan, &seen);
		} while (seen.name != NULL && wrong < 1000);
	}
	assert_int_equal(wrong, 0);
}

/* fd is the caller's, whatever it can still be asked. */
static void a_filter_that_comes_late_takes_no_descriptor(void **state)
{
	const struct scenario *scenario = attempt_scenarios;
	struct failing_plan plan = {.at = 1, .late = true};
	struct failing_seen seen;

	(void)state;
	while (scenario->run != attempt_reads_all)
		scenario++;
	wrong = 0;
	do {
		try(scenario, &plan, &seen);
		failing_next(&plan, &seen);
	} while (seen.name != NULL && wrong < 1000);
	assert_int_equal(wrong, 0);
}

static void waits_and_reads(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* POLLERR, which cannot be masked, stands for it: socket(7), SO_TIMESTAMPING. It is the caller's to read. */
static void fill_error_queue(struct tcp *tcp)
{
	int stamps = SOF_TIMESTAMPING_TX_ACK | SOF_TIMESTAMPING_SOFTWARE;
	struct pollfd poll_fd = {.fd = tcp->ours};

	assert_return_code(setsockopt(tcp->ours, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof stamps), errno);
	tcp_write(tcp, 1);
	assert_int_equal(poll(&poll_fd, 1, 20000), 1);
	assert_int_equal(poll_fd.revents, POLLERR);
}

static void what_lies_in_the_error_queue_is_waited_beside(void **state)
{
	(void)state;
	wrong = 0;
	for (size_t i = 0; i < ATTEMPT_SCENARIOS; i++) {
		struct attempt attempt = {.deadline = 0};

		tcp_connect(&attempt.tcp, &tcp_sides[i % 2], 0, 0);
		fill_error_queue(&attempt.tcp);
		tcp_play(&attempt.tcp, waits_and_reads);
		attempt.deadline = lb_in_ms(200);
		attempt_scenarios[i].run(&attempt, attempt_scenarios[i].variant);
		if (!attempt.consumed)
			close(attempt.tcp.ours);
		tcp_join(&attempt.tcp);
		tcp_peer_close(&attempt.tcp.peer);
		close(attempt.tcp.peer.go);
		if (attempt.seen.calls >= CALLS_MAX)
			complain(&attempt, attempt_scenarios[i].name);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	struct CMUnitTest tests[ATTEMPT_SCENARIOS + 2] = {
		[ATTEMPT_SCENARIOS + 1] = cmocka_unit_test(a_filter_that_comes_late_takes_no_descriptor),
		[ATTEMPT_SCENARIOS] = cmocka_unit_test(what_lies_in_the_error_queue_is_waited_beside)};

	tcp_pattern(attempt_ours, 0, sizeof attempt_ours);
	for (size_t i = 0; i < ATTEMPT_SCENARIOS; i++)
		tests[i] = (struct CMUnitTest){.name = attempt_scenarios[i].name,
			.test_func = whatever_call_fails,
			.initial_state = (void *)&attempt_scenarios[i]};
	return cmocka_run_group_tests_name("whatever call fails", tests, NULL, NULL);
}
