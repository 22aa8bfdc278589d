/* SPDX-License-Identifier: MIT */
/* `lastbyte pipe`: options, the connection, and its end. */
#include "args.h"
#include "command.h"
#include "loop/real.h"
#include "print.h"
#include "pipe.h"
#include "signals.h"
#include "sock/farewell.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static int wrong_policy(const char *given)
{
	const char *nearest = NULL;
	char words[128] = "";
	unsigned least = 4;

	for (enum lb_policy policy = LB_POLICY_DRAIN; policy <= LB_POLICY_ABORT; policy++) {
		const char *word = lb_policy_word(policy);
		unsigned distance = lb_args_distance(given, word);
		size_t len = strlen(words);

		snprintf(words + len, sizeof words - len, "%s%s", len > 0 ? ", " : "", word);
		if (distance < least && distance < strlen(word)) {
			least = distance;
			nearest = word;
		}
	}
	return lb_args_wrong("pipe", "--policy %s: there is %s%s%s%s", given, words,
		nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
		nearest != NULL ? "'?" : "");
}

static int parse(int argc, char **argv, struct lb_pipe *pipe)
{
	const char *policy = "drain";
	lb_time deadline = LB_NEVER;
	const struct lb_arg args[] = {
		{"policy", LB_ARG_TEXT, &policy},
		{"deadline", LB_ARG_DURATION, &deadline},
		{"farewell", LB_ARG_BYTES, &pipe->farewell},
		{"expect", LB_ARG_BYTES, &pipe->expect},
		{"json", LB_ARG_FLAG, &pipe->json},
		{NULL, LB_ARG_FLAG, NULL},
	};
	const char *why = lb_pump_check();
	int r = lb_args_parse("pipe", argc, argv, args);

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return lb_args_wrong("pipe", "it takes one ADDR:PORT, as in 'lastbyte pipe localhost:7000'");
	if (why != NULL)
		return lb_args_wrong("pipe", "standard input cannot be read: %s; nothing was sent", why);
	if ((pipe->farewell.len > 0) != (pipe->expect.len > 0))
		return lb_args_wrong("pipe", "--farewell and --expect need each other, as in "
					     "--farewell 'QUIT\\r\\n' --expect '221'");
	if (lb_policy_parse(policy, &pipe->policy) < 0)
		return wrong_policy(policy);
	pipe->address = argv[optind];
	pipe->deadline = lb_args_deadline(deadline);
	return -1;
}

/* -1: go on, with none where `why` says why. */
static int resolve(struct lb_pipe *pipe, struct lb_endpoint *endpoints, int *np)
{
	const char *why;

	*np = lb_address_resolve(pipe->address, 0, endpoints, LB_ENDPOINTS_MAX, &why);
	if (*np == -EINVAL)
		return lb_args_wrong("pipe",
			"'%s' is not an address: %s; that is IPv4, IPv6 in brackets or a name, then :PORT",
			pipe->address, why);
	if (*np < 0)
		snprintf(pipe->why, sizeof pipe->why, "%s: %s", pipe->address, why);
	else if (lb_endpoint_port(&endpoints[0]) == 0)
		return lb_args_wrong("pipe", "'%s' needs a port, as in localhost:7000", pipe->address);
	return -1;
}

/* Each address gets its share of the time that is left, the last one all of it. An fd, or -1 with `why`. */
static int connect_to(struct lb_pipe *pipe, const struct lb_endpoint *endpoints, int n)
{
	struct lb_host *host = lb_host_real();
	char text[LB_ADDRESS_TEXT];

	for (int i = 0; i < n && !pipe->pump.interrupted; i++) {
		lb_time now = lb_now(), until = pipe->deadline;
		int fd = host->net->connect(host, &endpoints[i]), r = fd, ready = 0;

		if (until != LB_NEVER)
			until = now + (until - now) / (n - i);
		if (fd >= 0)
			ready = host->net->wait(host, fd, EPOLLOUT, pipe->pump.signals, -1, until);
		if (fd >= 0)
			r = host->net->connected(host, fd);
		if (r == 0)
			return fd;
		pipe->pump.interrupted = (ready & 2) != 0;
		snprintf(pipe->why, sizeof pipe->why, "%s: %s", lb_endpoint_text(&endpoints[i], text),
			(ready & 2) != 0    ? "interrupted"
			: r == -EINPROGRESS ? "no answer by the deadline"
					    : strerror(-r));
		pipe->end.err = -r;
		if (fd >= 0)
			host->net->abort(host, fd, &(struct lb_outcome){0});
	}
	return -1;
}

/* All of the input is on its way, and more could be sent. */
static bool is_complete(const struct lb_pump *pump)
{
	return pump->input_ended && lb_pump_unsent(pump) == 0 && pump->send_error == 0;
}

static lb_time deadline_of(const struct lb_pipe *pipe)
{
	return pipe->pump.interrupted ? lb_now() : pipe->deadline;
}

/*
 * A stream that is not complete must not look so: its end is RST. Where there is to be a farewell, it is complete with
 * that. After our FIN, an end that the user wants now is the deadline's: RST only if bytes are unacked.
 */
static void end(struct lb_pipe *pipe)
{
	const struct lb_pump *pump = &pipe->pump;
	const struct lb_told told = {.finished = pump->finished,
		.early = pump->early,
		.broken = pump->broken != 0 ? pump->broken : pump->send_error};
	bool complete = is_complete(pump) && pipe->farewell.len == 0;
	const struct lb_ending ending = {.policy = complete ? pipe->policy : LB_POLICY_ABORT};

	(void)lb_close_told(pump->fd, &ending, &told, deadline_of(pipe), &pipe->end);
}

static int put(void *pump, const void *buf, size_t len)
{
	return lb_pump_put(pump, buf, len);
}

/* lb_farewell, but that a signal ends the wait. */
static void bid_farewell(struct lb_pipe *pipe)
{
	struct lb_pump *pump = &pipe->pump;
	struct lb_host *host = lb_host_real();
	const struct lb_farewell farewell = {.words = pipe->farewell.bytes,
		.words_len = pipe->farewell.len,
		.answer = {.bytes = pipe->expect.bytes, .len = pipe->expect.len, .before = put, .arg = pump},
		.ending.policy = pipe->policy};
	struct lb_farewell_run run;

	lb_farewell_start(&run, pump->fd, &farewell, pipe->deadline);
	while (!pump->interrupted && !lb_farewell_step(&run, lb_now())) {
		int ready =
			host->net->wait(host, pump->fd, run.talk.events, pump->signals, -1, run.talk.next);

		pump->interrupted = ready > 0 && (ready & 2) != 0;
	}
	(void)lb_farewell_end(&run, deadline_of(pipe), &pipe->end);
	pipe->answered = run.talk.heard == LB_HEARD_WORDS;
	pump->reply_ended = run.talk.at_fin;
}

/* Where we gave up, the outcome says why: the user, or the deadline. */
static void explain(struct lb_pipe *pipe)
{
	struct lb_outcome *outcome = &pipe->end;

	if (outcome->by != LB_PARTY_SELF || pipe->answered ||
		(outcome->how != LB_END_TIMEOUT && outcome->how != LB_END_LOCAL_ABORT))
		return;
	if (pipe->pump.interrupted)
		outcome->how = LB_END_LOCAL_ABORT;
	else if (lb_now() >= pipe->deadline)
		outcome->how = LB_END_TIMEOUT;
}

static int pipe_through(int argc, char **argv)
{
	struct lb_endpoint endpoints[LB_ENDPOINTS_MAX];
	struct lb_pipe pipe = {.end.how = LB_END_NO_CONNECTION};
	lb_time started = lb_now();
	sigset_t signals;
	int n, r = parse(argc, argv, &pipe);

	if (r < 0)
		r = resolve(&pipe, endpoints, &n);
	if (r >= 0)
		return r;
	lb_signals_block(&signals);
	pipe.pump.signals = lb_signals_fd(&signals);
	pipe.pump.fd = connect_to(&pipe, endpoints, n);
	pipe.pump.waits = pipe.policy == LB_POLICY_DRAIN && pipe.farewell.len == 0;
	pipe.pump.deadline = pipe.deadline;
	if (pipe.pump.fd >= 0) {
		lb_pump(&pipe.pump);
		if (pipe.farewell.len > 0 && is_complete(&pipe.pump) && !pipe.pump.interrupted)
			bid_farewell(&pipe);
		else
			end(&pipe);
		explain(&pipe);
		lb_pump_close(&pipe.pump);
	}
	pipe.end.took = lb_now() - started;
	return lb_pipe_print(&pipe);
}

const struct lb_command lb_command_pipe = {
	.name = "pipe",
	.synopsis = "[--policy P] [--deadline DUR] [--farewell BYTES --expect BYTES] [--json] ADDR:PORT",
	.summary =
		"Standard input to a TCP port and the reply back: exit code 0 means that no byte is missing",
	.details = "Sends standard input, ends our side at its end (half-close), and writes the reply to "
		   "standard output until\n"
		   "the peer ends too. ADDR is IPv4, IPv6 in brackets or a name, all addresses of which are "
		   "tried in order.\n"
		   "Then standard error gets one line: RESULT: what our kernel accepted, what the peer's "
		   "kernel acked, what was\n"
		   "lost, the reply, and how the connection ended. That every byte is acked and the peer "
		   "ended after them, without\n"
		   "an error, is all that plain TCP can prove; that it was saved, 'lastbyte send' proves.\n"
		   "\n"
		   "Options:\n"
		   "  --policy P        how to end the connection: drain, acked, finish, linger_finish, "
		   "linger, plain or abort\n"
		   "                    (drain). Only drain waits for the reply: with the others the "
		   "connection is ended as soon as\n"
		   "                    standard input has, and what comes later is thrown away\n"
		   "  --deadline DUR    for everything together: ms, s, m or h (none)\n"
		   "  --farewell BYTES  say this at the end of standard input, and end our side only when "
		   "the answer has come\n"
		   "  --expect BYTES    the answer: what comes before it goes to standard output, and no "
		   "more is waited for. It is\n"
		   "                    looked for in all that comes after the farewell was sent, so it must "
		   "be nothing that the\n"
		   "                    peer may also say in reply to standard input\n"
		   "  --json            an object on standard error instead of the line\n"
		   "\n"
		   "BYTES are written with the escapes of C, as in 'QUIT\\r\\n': \\r \\n \\t \\0 \\377 \\xFF "
		   "\\\\ and the others.\n"
		   "\n"
		   "Exit codes:\n"
		   "  0  ended          every byte is acked, and the peer ended after them, or gave the "
		   "answer, without an error;\n"
		   "                    standard output took all of the reply\n"
		   "  1  lost           bytes were lost, or standard input was not sent to its end\n"
		   "  1  cut            all was acked, but the connection was reset or broke, or the answer "
		   "did not come, or standard\n"
		   "                    output did not take all of the reply\n"
		   "  2  usage          nothing was done: the message says what to change\n"
		   "  3  unproven       the deadline passed; or all was sent, and what became of it is not "
		   "known: the peer\n"
		   "                    ended before it had every byte, or the policy does not wait for it "
		   "to end\n"
		   "  4  no_connection  there was none, also by the deadline: nothing was sent\n"
		   "\n"
		   "Standard input that is not sent to its end (a signal, the deadline, an error of reading) "
		   "ends in a RST: the\n"
		   "peer shall not take it for complete. When standard output takes no more, sending goes "
		   "on, and the reply is read\n"
		   "and thrown away. The keys of the object: result (as above), accepted, acked, lost (null: "
		   "not known), unsent\n"
		   "(read, and not accepted), input_ended, reply (bytes that standard output took), "
		   "reply_lost, reply_ended,\n"
		   "answered (null: no farewell), ended, by, phase, error, seconds, and why if there is no "
		   "connection.\n",
	.run = pipe_through,
};
