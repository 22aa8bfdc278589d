/* SPDX-License-Identifier: MIT */
/* `lastbyte send`: options, the files in order over one connection, a line for each, one exit code for all. */
#include "args.h"
#include "command.h"
#include "continue.h"
#include "lines.h"
#include "source.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct send {
	struct lb_sending sending;
	struct lb_telling telling;
	const char *name; /* of --name, or NULL */
	char **files;
	unsigned n;
	bool quiet, continues; /* --continue: there are no files */
	bool lines, records;
};

static int parse_continue(int argc, char **argv, struct send *send)
{
	if (send->name != NULL || send->sending.id.number != 0)
		return lb_args_wrong(
			"send", "--continue goes through what is open; --name and --id are for a FILE");
	if (send->lines || send->records)
		return lb_args_wrong("send",
			"--continue has no FILE of --lines or --records: that goes on with the "
			"command that began it");
	if (argc - optind > 1)
		return lb_args_wrong("send", "--continue takes no FILE, and one ADDR[:PORT] at most");
	send->sending.peer.address = argv[optind]; /* NULL: all */
	return -1;
}

/* --lines and --records. -1: they are well. */
static int check_records(const struct send *send)
{
	char name[LB_NAME_MAX + 1];
	const char *why;

	if (send->lines && send->records)
		return lb_args_wrong("send", "the FILE has --lines or --records, not both");
	if (send->n > 1)
		return lb_args_wrong(
			"send", "--lines and --records take one FILE, and there are %u", send->n);
	if (send->name == NULL)
		return lb_args_wrong("send",
			"--lines and --records need --name NAME: the records are NAME.%0*d and so on",
			LB_LINES_DIGITS, 1);
	if (send->sending.id.number != 0)
		return lb_args_wrong("send", "--id is one delivery's, and each record is one");
	if (strlen(send->name) + 1 + LB_LINES_DIGITS > LB_NAME_MAX)
		return lb_args_wrong("send", "--name leaves no room for the number of a record");
	lb_lines_name(send->name, 1, name);
	if (lb_name_check(name, strlen(name), &why) != 0)
		return lb_args_wrong("send", "--name: %s", why);
	return -1;
}

static int parse(int argc, char **argv, struct send *send)
{
	struct lb_peer *peer = &send->sending.peer;
	lb_time deadline = LB_NEVER;
	uint64_t replay = LB_UNKNOWN;
	const struct lb_arg args[] = {
		{"name", LB_ARG_TEXT, &send->name},
		{"id", LB_ARG_ID, &send->sending.id},
		{"continue", LB_ARG_FLAG, &send->continues},
		{"lines", LB_ARG_FLAG, &send->lines},
		{"records", LB_ARG_FLAG, &send->records},
		{"retry", LB_ARG_FLAG, &peer->retry},
		{"replay", LB_ARG_SIZE, &replay},
		{"deadline", LB_ARG_DURATION, &deadline},
		{"state", LB_ARG_TEXT, &peer->state_dir},
		{"quiet", LB_ARG_FLAG, &send->quiet},
		{"json", LB_ARG_FLAG, &send->telling.json},
		{NULL, LB_ARG_FLAG, NULL},
	};
	int r = lb_args_parse("send", argc, argv, args);

	if (r >= 0)
		return r;
	if (replay == 0)
		return lb_args_wrong("send", "--replay takes 1 byte or more");
	peer->replay = replay != LB_UNKNOWN ? replay : 0;
	peer->deadline = lb_args_deadline(deadline);
	if (send->continues)
		return parse_continue(argc, argv, send);
	if (argc - optind < 2)
		return lb_args_wrong("send",
			"it takes one FILE or more and then the server's ADDR[:PORT], as in "
			"'lastbyte send dump.sql backup.example:7117'");
	send->files = argv + optind;
	send->n = (unsigned)(argc - optind - 1);
	peer->address = argv[argc - 1];
	if (send->lines || send->records)
		return check_records(send);
	if (send->n > 1 && send->name != NULL)
		return lb_args_wrong("send", "--name can name one FILE, and there are %u", send->n);
	if (send->n > 1 && send->sending.id.number != 0)
		return lb_args_wrong("send", "--id is one delivery's, and there are %u", send->n);
	return -1;
}

/* What a file is called at the server: --name, or the last part of its path. */
static const char *name_of(const struct send *send, unsigned i)
{
	const char *slash = strrchr(send->files[i], '/');

	if (send->name != NULL)
		return send->name;
	return slash != NULL ? slash + 1 : send->files[i];
}

static int compare(const void *a, const void *b, void *send)
{
	return strcmp(name_of(send, *(const unsigned *)a), name_of(send, *(const unsigned *)b));
}

/* Two files of one name: the second one could only be refused. */
static int check_names(struct send *send)
{
	unsigned *order;
	int r = -1;

	if (send->n < 2)
		return -1;
	order = calloc(send->n, sizeof *order);
	if (order == NULL)
		return lb_args_wrong("send", "out of memory");
	for (unsigned i = 0; i < send->n; i++)
		order[i] = i;
	qsort_r(order, send->n, sizeof *order, compare, send);
	for (unsigned i = 1; i < send->n && r < 0; i++) {
		if (compare(&order[i - 1], &order[i], send) == 0)
			r = lb_args_wrong("send",
				"%s and %s would have the same name there; send them one by one, with --name",
				send->files[order[i - 1]], send->files[order[i]]);
	}
	free(order);
	return r;
}

/* Whoever named the server first, or not at all. A server may have the name of a file. */
static void hint_at_address(const struct send *send)
{
	const char *address = send->sending.peer.address;

	if (access(address, F_OK) == 0)
		lb_print_line(STDERR_FILENO,
			"%s is a file; the last argument has to be the server's ADDR[:PORT]", address);
}

/* What can be known to be wrong before anything is connected. */
static int check(struct send *send)
{
	for (unsigned i = 0; i < send->n; i++) {
		const char *why = lb_source_check(send->files[i]);

		if (strcmp(send->files[i], "-") == 0 && send->name == NULL)
			return lb_args_wrong("send",
				"- is standard input, which needs --name NAME (a file called - is ./-)");
		if (why != NULL) {
			hint_at_address(send);
			return lb_args_wrong("send", "%s: %s; nothing was sent", send->files[i], why);
		}
	}
	return check_names(send);
}

static void deliver_all(struct send *send)
{
	struct lb_sending *sending = &send->sending;
	struct lb_peer *peer = &sending->peer;

	for (unsigned i = 0; i < send->n; i++) {
		const char *path = send->files[i], *name = name_of(send, i), *why;
		struct lb_result result;

		sending->progress.index = i + 1;
		if (lb_name_check(name, strlen(name), &why) != 0)
			lb_deliver_not(sending, path, name, LB_REASON_BAD_NAME, why, &result);
		else if (lb_peer_interrupted(peer))
			lb_deliver_not(sending, path, name, LB_REASON_INTERRUPTED, NULL, &result);
		else if (peer->client == NULL)
			lb_deliver_not(sending, path, name, peer->reason,
				peer->why[0] != '\0' ? peer->why : NULL, &result);
		else
			lb_deliver(sending, path, name, &result);
		lb_tell(&send->telling, peer, &result, i + 1 == send->n);
	}
}

/* Over one connection. */
static int send_all(struct send *send)
{
	struct lb_peer *peer = &send->sending.peer;
	int r = lb_peer_open(peer, "send");

	lb_progress_clear(&send->sending.progress);
	if (r >= 0)
		return r;
	send->sending.progress.count = send->n;
	deliver_all(send);
	return send->telling.exit;
}

static int send_files(int argc, char **argv)
{
	struct send send = {0};
	struct lb_sending *sending = &send.sending;
	int r = parse(argc, argv, &send);

	if (r < 0 && !send.continues)
		r = check(&send);
	if (r >= 0)
		return r;
	sending->buf = aligned_alloc(4096, LB_SENDING_BUFFER);
	if (sending->buf == NULL)
		return lb_args_wrong("send", "out of memory");
	sending->progress.on = !send.quiet && !send.lines && !send.records && lb_progress_possible();
	sending->progress.quiet = send.quiet;
	sending->peer.waiting = lb_deliver_waits;
	sending->peer.waiting_arg = sending;
	if (send.continues)
		r = lb_continue(sending, &send.telling);
	else if (send.lines || send.records)
		r = lb_lines(sending, &send.telling, send.files[0], send.name, send.records);
	else
		r = send_all(&send);
	if (!send.continues && sending->peer.reason != LB_REASON_NONE)
		hint_at_address(&send);
	free(sending->buf);
	return r;
}

const struct lb_command lb_command_send = {
	.name = "send",
	.synopsis =
		"[--name NAME] [--id CLIENT:N] [--retry] [--replay SIZE] [--deadline DUR]\n"
		"                     [--state DIR] [--quiet] [--json] FILE... ADDR[:PORT]\n"
		"       lastbyte send --lines|--records --name NAME [--retry] [--replay SIZE] [--deadline "
		"DUR]\n"
		"                     [--state DIR] [--quiet] [--json] FILE ADDR[:PORT]\n"
		"       lastbyte send --continue [--retry] [--replay SIZE] [--deadline DUR] [--state DIR]\n"
		"                     [--quiet] [--json] [ADDR[:PORT]]",
	.summary = "Delivers files: exit code 0 means that the other end has them on disk, once",
	.details =
		"FILE - is standard input, and needs --name. ADDR is IPv4, IPv6 in brackets or a name, "
		"all addresses of\n"
		"which are tried in order; a PORT that is not given is 7117. A file that an earlier run "
		"left undecided at\n"
		"this ADDR, or another one of the same ledger, is settled first, and never delivered "
		"twice.\n"
		"\n"
		"Options:\n"
		"  --name NAME     what the FILE is called there (the last part of its path)\n"
		"  --id CLIENT:N   the id of an earlier delivery: the same content is committed once, and "
		"the receipt\n"
		"                  is printed again; any other content is refused (a new id)\n"
		"  --continue      no FILE: finishes what earlier runs have left open at ADDR, or "
		"anywhere, if "
		"its file is still\n"
		"                  there, and asks what became of the rest, which settles it (off)\n"
		"  --lines         each line of the FILE is a delivery of its own, without its newline: "
		"NAME.000000000001 and so\n"
		"                  on, sent when it is there, many at a time (off)\n"
		"  --records       the same for records that each follow their length: 4 bytes, big-endian "
		"(off)\n"
		"  --retry         when the connection cannot be made or breaks, or the server restarts "
		"or is "
		"busy: try again,\n"
		"                  until the deadline (off: once)\n"
		"  --replay SIZE   what may have to be sent again then, and of a pipe is kept in memory "
		"(16M)\n"
		"  --deadline DUR  for everything together: ms, s, m or h (none, but a server without a "
		"sign of life is\n"
		"                  given up after 60s)\n"
		"  --state DIR     where this client's journal is ($XDG_STATE_HOME/lastbyte, or "
		"~/.local/state/lastbyte)\n"
		"  --quiet         no progress bar (there is one if standard error is a terminal)\n"
		"  --json          an object for each FILE on standard output (off: lines)\n"
		"\n"
		"Standard output gets a line for each committed FILE: committed CLIENT:N NAME BYTES "
		"xxh128:HEX TIME.\n"
		"Standard error gets one for each other: VERDICT CLIENT:N NAME: why. With several files, "
		"which share one\n"
		"connection, the exit code is the most serious one in the order 0, 4, 1, 5, 3. A FILE "
		"that cannot be opened\n"
		"or that is a directory is a usage error, and nothing is sent. A file that changes while "
		"it is read is\n"
		"rolled back. SIGINT rolls back what is not being committed, and ends it.\n"
		"With --retry it goes on at the last byte that the server has made durable, and standard "
		"error says why it\n"
		"waits. Of a pipe, what it has not made durable yet is kept; if a server cannot say so, "
		"nothing is kept, and\n"
		"a pipe of which something was sent is not committed when its connection breaks.\n",
	.more = lb_help_exits,
	.run = send_files,
};
