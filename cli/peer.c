/* SPDX-License-Identifier: MIT */
/* Opens and ends the one connection of a command, and remembers whether the user wants it to stop. */
#include "peer.h"
#include "args.h"
#include "print.h"
#include "signals.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLOSE_MS 10000 /* the verdicts are known: how long the end may take */

int lb_peer_mistake(const struct lb_peer *peer, const char *command, int r)
{
	if (r == -EINVAL && peer->why[0] == '\0')
		return lb_args_wrong(command,
			"'%s' is not an address: that is IPv4, IPv6 in brackets or a name, then :PORT "
			"if it is not 7117",
			peer->address);
	lb_print_line(STDERR_FILENO, "lastbyte %s: %s; --state DIR names another state directory", command,
		peer->why[0] != '\0' ? peer->why : strerror(-r));
	return LB_EXIT_USAGE;
}

const char *lb_peer_trouble(const struct lb_outcome *outcome)
{
	if (outcome->err == 0 || outcome->reason == LB_REASON_PROTOCOL) /* EPROTO says no more than that */
		return NULL;
	if (outcome->reason == LB_REASON_JOURNAL)
		return strerror(outcome->err);
	switch (outcome->err) { /* these three stand for what the server has said */
	case EBUSY:
		return lb_failure_text(LB_FAILURE_BUSY);
	case EIO:
		return lb_failure_text(LB_FAILURE_STORAGE);
	case ESHUTDOWN:
		return lb_failure_text(LB_FAILURE_STOPPED);
	default:
		return strerror(outcome->err);
	}
}

const char *lb_peer_detail(const struct lb_outcome *outcome, const char *text)
{
	const char *trouble = lb_peer_trouble(outcome);

	if (trouble != NULL || text[0] == '\0' || strcmp(text, lb_reason_text(outcome->reason)) == 0)
		return trouble;
	return text;
}

int lb_peer_open(struct lb_peer *peer, const char *command)
{
	struct lb_client_options options = {.state_dir = peer->state_dir, .why = peer->why};
	struct lb_outcome outcome;
	sigset_t signals;
	int r;

	lb_signals_block(&signals);
	peer->signals = lb_signals_fd(&signals);
	if (peer->signals < 0) {
		lb_print_line(STDERR_FILENO, "lastbyte %s: %s", command, strerror(-peer->signals));
		return lb_verdict_exit(LB_VERDICT_NOT_COMMITTED);
	}
	options.interrupt_fd = peer->signals;
	options.retry = peer->retry;
	options.replay = (size_t)peer->replay;
	options.waiting = peer->waiting;
	options.waiting_arg = peer->waiting_arg;
	options.pipeline = peer->decided != NULL;
	options.numbers = peer->decided != NULL ? LB_PEER_NUMBERS : 0;
	options.decided = peer->decided;
	options.decided_arg = peer->decided_arg;
	options.only_open = peer->only_open;
	r = lb_client_open(peer->address, &options, peer->deadline, &peer->client, &outcome);
	if (r == 0)
		return -1;
	if (outcome.reason == LB_REASON_JOURNAL || r == -EINVAL) {
		close(peer->signals);
		return lb_peer_mistake(peer, command, r);
	}
	peer->ended = outcome.how;
	peer->reason = outcome.reason != LB_REASON_NONE ? outcome.reason : LB_REASON_NO_CONNECTION;
	if (peer->why[0] == '\0' && lb_peer_trouble(&outcome) != NULL)
		snprintf(peer->why, sizeof peer->why, "%s", lb_peer_trouble(&outcome));
	return -1;
}

void lb_peer_resolve(struct lb_peer *peer, const struct lb_id *id, struct lb_result *result)
{
	static const struct lb_uuid none;
	struct lb_outcome outcome;
	int r = lb_client_resolve(peer->client, id, peer->deadline, &result->receipt, &outcome);

	result->verdict = r == 0 ? outcome.verdict : LB_VERDICT_IN_DOUBT;
	result->reason = r == -EBUSY ? LB_REASON_BUSY : outcome.reason;
	result->detail = r == -EBUSY ? "another process works on it"
				     : lb_peer_detail(&outcome, lb_client_text(peer->client));
	result->took = outcome.took;
	result->gone = r == -ENOENT;
	peer->ended = outcome.how;
	result->receipt.id = *id;
	if (memcmp(&result->receipt.ledger, &none, sizeof none) == 0)
		result->receipt.ledger = *lb_client_ledger(peer->client);
}

bool lb_peer_interrupted(struct lb_peer *peer)
{
	/* taken off, so that what is left to be said to the server can be said */
	if (lb_signals_taken(peer->signals) != 0)
		peer->interrupted = true;
	return peer->interrupted;
}

lb_time lb_peer_deadline(const struct lb_peer *peer, int64_t ms)
{
	lb_time soon = lb_in_ms(ms);

	return peer->interrupted && soon < peer->deadline ? soon : peer->deadline;
}

/* Waits between the steps of the end, which no signal interrupts. */
static void wait_for(const struct lb_client *client)
{
	struct pollfd pfd = {.fd = lb_client_fd(client), .events = (short)lb_client_events(client)};
	lb_time left = lb_client_deadline(client) - lb_now();
	struct timespec timeout = {.tv_nsec = 0};

	if (left > 0)
		timeout = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	(void)ppoll(&pfd, 1, &timeout, NULL);
}

void lb_peer_end(struct lb_peer *peer)
{
	lb_time soon = lb_in_ms(CLOSE_MS), deadline;
	struct lb_outcome outcome;

	lb_peer_interrupted(peer);
	deadline = lb_peer_deadline(peer, CLOSE_MS / 5);
	if (peer->client == NULL || peer->over)
		return;
	lb_client_start_close(peer->client, deadline < soon ? deadline : soon);
	while (!lb_client_step(peer->client))
		wait_for(peer->client);
	(void)lb_client_result(peer->client, NULL, &outcome);
	peer->over = true;
	if (peer->ended == LB_END_OPEN)
		peer->ended = outcome.how;
}

void lb_peer_close(struct lb_peer *peer)
{
	struct lb_outcome outcome;

	lb_peer_end(peer);
	if (peer->client != NULL)
		lb_client_abort(peer->client, &outcome);
	peer->client = NULL;
	peer->over = false;
	close(peer->signals);
}
