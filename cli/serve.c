/* SPDX-License-Identifier: MIT */
/* `lastbyte serve`: options in, one sink, one server, a line for each delivery that ends. */
#include "args.h"
#include "command.h"
#include "log.h"
#include "print.h"
#include "signals.h"
#include <getopt.h>
#include <inttypes.h>
#include <lastbyte/server.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define WAKE   SIGUSR1 /* ends the thread that waits for signals */

#define NO_TIME (-1) /* the option was not given */

struct serving {
	const char *into; /* "dir:PATH" or "sqlite:PATH" */
	bool json;
	struct lb_server_options options;
	struct lb_sink_dir_options kept; /* keep_receipts is for both */
	struct lb_server *server;
	struct lb_log *log;
	sigset_t signals;
	atomic_bool over;
};

static bool is_kind(const char *into, const char *kind)
{
	return strncmp(into, kind, strlen(kind)) == 0 && into[strlen(kind)] != '\0';
}

static int parse(int argc, char **argv, struct serving *serving)
{
	struct lb_server_options *wanted = &serving->options;
	const struct lb_arg args[] = {
		{"listen", LB_ARG_TEXT, &wanted->listen},
		{"into", LB_ARG_TEXT, &serving->into},
		{"insecure", LB_ARG_FLAG, &wanted->insecure},
		{"max-delivery", LB_ARG_SIZE, &wanted->max_delivery},
		{"max-sessions", LB_ARG_COUNT, &wanted->max_sessions},
		{"keep-parts", LB_ARG_DURATION, &serving->kept.keep_parts},
		{"parts-max", LB_ARG_SIZE, &serving->kept.parts_max},
		{"keep-receipts", LB_ARG_COUNT, &serving->kept.keep_receipts},
		{"idle-timeout", LB_ARG_TIMEOUT, &wanted->idle_timeout},
		{"drain-timeout", LB_ARG_DURATION, &wanted->drain_timeout},
		{"json", LB_ARG_FLAG, &serving->json},
		{NULL, LB_ARG_FLAG, NULL},
	};
	int r = lb_args_parse("serve", argc, argv, args);

	if (r >= 0)
		return r;
	if (optind < argc)
		return lb_args_wrong("serve",
			"%s is too much: the place goes into --into dir:PATH or sqlite:PATH", argv[optind]);
	if (!is_kind(serving->into, "dir:") && !is_kind(serving->into, "sqlite:"))
		return lb_args_wrong("serve",
			"--into %s: a place is dir:PATH, for files, or sqlite:PATH, for rows of a database",
			serving->into);
	if (is_kind(serving->into, "sqlite:") &&
		(serving->kept.keep_parts != NO_TIME || serving->kept.parts_max != 0))
		return lb_args_wrong("serve",
			"--keep-parts and --parts-max are for dir:PATH: sqlite:PATH keeps nothing of a "
			"delivery that is cut short");
	if (wanted->drain_timeout == 0)
		wanted->drain_timeout = 1; /* to the library, 0 stands for its default, */
	if (serving->kept.keep_parts == 0)
		serving->kept.keep_parts = -1; /* here too */
	else if (serving->kept.keep_parts == NO_TIME)
		serving->kept.keep_parts = 0;
	return -1;
}

static void print_report(void *arg, const struct lb_report *report)
{
	const struct serving *serving = arg;
	struct lb_result result = {.receipt = report->receipt,
		.verdict = report->verdict,
		.reason = report->reason,
		.ended = report->ended,
		.took = report->took};
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT], why[256] = "";
	bool committed = report->verdict == LB_VERDICT_COMMITTED;

	if (serving->json) {
		json_t *object = json_object(), *keys = lb_result_json(&result);

		json_object_set_new(object, "event", json_string("delivery"));
		json_object_update(object, keys);
		json_object_set_new(object, "peer", json_string(report->peer));
		json_decref(keys);
		lb_print_json(STDOUT_FILENO, object);
		return;
	}
	lb_print_line(STDERR_FILENO, "%s %s %s %" PRIu64 " %s %.3fs %s%s%s", lb_verdict_word(result.verdict),
		lb_result_id(&result, id), result.receipt.name, result.receipt.length,
		lb_result_digest(&result, digest), (double)result.took / SECOND, lb_end_word(result.ended),
		committed ? "" : ": ", committed ? "" : lb_result_why(&result, why, sizeof why));
}

static void print_lost(void *arg, uint64_t lines)
{
	const struct serving *serving = arg;

	if (serving->json)
		lb_print_json(
			STDOUT_FILENO, json_pack("{s:s, s:I}", "event", "lost", "lines", (json_int_t)lines));
	else
		lb_print_line(
			STDERR_FILENO, "%" PRIu64 " lines are lost that were to be here: nobody read", lines);
}

static void report(void *arg, const struct lb_report *report)
{
	lb_log_put(((struct serving *)arg)->log, report);
}

/* Nobody waits for whoever does not read this either. */
static void say_unread(uint64_t lines)
{
	struct pollfd error = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&error, 1, 0) == 1 && (error.revents & POLLOUT) != 0)
		lb_print_line(STDERR_FILENO,
			"lastbyte serve: %" PRIu64
			" lines are lost: whoever reads them was too slow at the end",
			lines);
}

static void announce(const struct serving *serving, const struct lb_sink *sink)
{
	const char *address = lb_server_address(serving->server);
	char into[LB_PRINT_LINE], ledger[LB_UUID_TEXT];

	snprintf(into, sizeof into, "%s", serving->into);
	if (!serving->json) {
		lb_print_line(STDERR_FILENO, "listening on %s, into %s", address, into);
		return;
	}
	lb_print_json(STDOUT_FILENO,
		json_pack("{s:s, s:s#, s:i, s:s, s:s}", "event", "listening", "address", address,
			(int)(strrchr(address, ':') - address), "port", (int)lb_server_port(serving->server),
			"into", lb_print_clean(into), "ledger", lb_uuid_text(lb_sink_ledger(sink), ledger)));
}

/* Waits for signals, on a thread of its own: the first one stops the server in order, the second one at once. */
static void *watch(void *arg)
{
	struct serving *serving = arg;
	bool stopping = false;
	int number;

	while (sigwait(&serving->signals, &number) == 0 && !atomic_load(&serving->over)) {
		if (number == WAKE)
			continue;
		if (stopping)
			_exit(128 + number);
		stopping = true;
		lb_server_stop(serving->server);
	}
	return NULL;
}

static int run(struct serving *serving, const struct lb_sink *sink)
{
	const struct lb_log_printer printer = {.print = print_report, .lost = print_lost, .arg = serving};
	pthread_t watcher;
	int r;

	lb_signals_block(
		&serving->signals); /* every thread inherits it, so that they reach the watcher alone */
	sigaddset(&serving->signals, WAKE);
	sigprocmask(SIG_BLOCK, &serving->signals, NULL);
	serving->log = lb_log_new(&printer);
	if (serving->log == NULL || pthread_create(&watcher, NULL, watch, serving) != 0) {
		lb_print_line(STDERR_FILENO, "lastbyte serve: no thread can be started");
		return lb_verdict_exit(LB_VERDICT_NOT_COMMITTED);
	}
	announce(serving, sink);
	r = lb_server_run(serving->server);
	atomic_store(&serving->over, true);
	pthread_kill(watcher, WAKE);
	pthread_join(watcher, NULL);
	if (r == 0)
		return 0;
	lb_print_line(
		STDERR_FILENO, "lastbyte serve: %s; what was not committed is rolled back", strerror(-r));
	return lb_verdict_exit(LB_VERDICT_NOT_COMMITTED);
}

static int open_sink(const struct serving *serving, struct lb_sink **sinkp, char why[256])
{
	const struct lb_sink_sqlite_options rows = {
		.max_delivery = serving->options.max_delivery, .keep_receipts = serving->kept.keep_receipts};
	const char *path = strchr(serving->into, ':') + 1;

	if (is_kind(serving->into, "sqlite:"))
		return lb_sink_sqlite_open(path, &rows, sinkp, why);
	return lb_sink_dir_open(path, &serving->kept, sinkp, why);
}

static int serve(int argc, char **argv)
{
	struct serving serving = {
		.into = "dir:./inbox", .options.drain_timeout = 10 * SECOND, .kept.keep_parts = NO_TIME};
	struct lb_sink *sink;
	char why[256] = "";
	uint64_t unread;
	int r = parse(argc, argv, &serving);

	if (r >= 0)
		return r;
	serving.options.report = report;
	serving.options.arg = &serving;
	if (open_sink(&serving, &sink, why) < 0) {
		lb_print_line(STDERR_FILENO, "lastbyte serve: %s", why);
		return LB_EXIT_USAGE;
	}
	if (lb_server_new(sink, &serving.options, &serving.server, why) < 0) {
		lb_print_line(STDERR_FILENO, "lastbyte serve: %s", why);
		r = LB_EXIT_USAGE;
	} else {
		r = run(&serving, sink);
	}
	lb_server_free(serving.server);
	unread = serving.log != NULL ? lb_log_end(serving.log) : 0;
	if (unread > 0)
		say_unread(unread);
	lb_sink_close(sink);
	return r;
}

const struct lb_command lb_command_serve = {
	.name = "serve",
	.synopsis = "[--listen ADDR[:PORT]] [--into PLACE] [--insecure] [--max-delivery SIZE]\n"
		    "                      [--max-sessions N] [--keep-parts DUR] [--parts-max SIZE] "
		    "[--keep-receipts N]\n"
		    "                      [--idle-timeout DUR] [--drain-timeout DUR] [--json]",
	.summary = "Receives deliveries into files or rows, each whole and once, or not at all",
	.details =
		"Options:\n"
		"  --listen ADDR[:PORT]  IPv4, [IPv6] or a name; port 0 picks a free one (127.0.0.1:7117; "
		"PORT 7117)\n"
		"  --into PLACE          dir:PATH: each delivery becomes a file in that directory; "
		"sqlite:PATH: a "
		"row of\n"
		"                        the table deliveries in that database; PATH is made if missing "
		"(dir:./inbox)\n"
		"  --insecure            allow an ADDR that is not loopback: nothing is encrypted, and "
		"anybody who\n"
		"                        reaches it may deliver (off)\n"
		"  --max-delivery SIZE   refuse larger ones; bytes, or with K, M, G, T, P in powers of 1024 "
		"(no\n"
		"                        limit; into sqlite:PATH 1M, and at most 64M)\n"
		"  --max-sessions N      connections at once; others are told to try again later (1024)\n"
		"  --keep-parts DUR      keep what was received of a delivery that was cut short, so that "
		"its client can\n"
		"                        go on with it; 0s: nothing is kept (24h; not with sqlite:PATH)\n"
		"  --parts-max SIZE      and no more than that of all together: the oldest go first (no "
		"limit; not with\n"
		"                        sqlite:PATH)\n"
		"  --keep-receipts N     settled deliveries of each client that the ledger remembers, from "
		"now on "
		"(1024)\n"
		"  --idle-timeout DUR    give a client up that is silent for so long: ms, s, m or h (60s)\n"
		"  --drain-timeout DUR   at SIGTERM or SIGINT, let open deliveries go on for so long (10s)\n"
		"  --json                JSON objects, one on a line, on standard output (off: lines on "
		"standard error)\n"
		"\n"
		"When it is ready it says: listening on ADDR:PORT, into PLACE. Then there is a line for "
		"each delivery\n"
		"that ends: verdict, id, name, bytes, digest, seconds, how its connection ended, and why if "
		"it is not\n"
		"committed. Deliveries wait for a reader of these lines who is slow, and for no second for "
		"one "
		"who does not\n"
		"read: then lines are lost, and it says how many. At its end it waits for 5 seconds in all, "
		"and says on\n"
		"standard error how many are lost.\n"
		"A second signal ends it at once; that is safe, the next start recovers.\n"
		"\n"
		"Exit codes: 0 after SIGTERM, SIGINT or SIGHUP; 2 when it could not start; 4 when it had to "
		"give up.\n",
	.run = serve,
};
