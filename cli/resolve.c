/* SPDX-License-Identifier: MIT */
/* `lastbyte resolve`: asks what became of a delivery, which settles it for good. */
#include "args.h"
#include "command.h"
#include "peer.h"
#include "print.h"
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

static int parse(int argc, char **argv, struct lb_peer *peer, struct lb_id *idp, bool *jsonp)
{
	lb_time deadline = LB_NEVER;
	const struct lb_arg args[] = {
		{"state", LB_ARG_TEXT, &peer->state_dir},
		{"deadline", LB_ARG_DURATION, &deadline},
		{"json", LB_ARG_FLAG, jsonp},
		{NULL, LB_ARG_FLAG, NULL},
	};
	int r = lb_args_parse("resolve", argc, argv, args);

	if (r >= 0)
		return r;
	if (argc - optind != 2)
		return lb_args_wrong("resolve",
			"it takes the id of one delivery, CLIENT:N, and then the server's ADDR[:PORT]");
	peer->address = argv[optind + 1];
	peer->deadline = lb_args_deadline(deadline);
	return lb_args_id("resolve", argv[optind], idp) ? -1 : LB_EXIT_USAGE;
}

static int resolve(int argc, char **argv)
{
	struct lb_result result = {.verdict = LB_VERDICT_IN_DOUBT};
	struct lb_peer peer = {0};
	struct lb_id id;
	char ledger[LB_UUID_TEXT];
	bool json = false;
	int r = parse(argc, argv, &peer, &id, &json);

	if (r >= 0)
		return r;
	r = lb_peer_open(&peer, "resolve");
	if (r >= 0)
		return r;
	result.receipt.id = id;
	if (peer.client != NULL) {
		lb_peer_resolve(&peer, &id, &result);
	} else {
		result.reason = peer.reason;
		result.detail = peer.why[0] != '\0' ? peer.why : NULL;
	}
	if (!json) {
		r = lb_print_result(&result);
		if (peer.client != NULL)
			lb_print_line(STDERR_FILENO, "asked %s, which has ledger %s",
				lb_client_peer(peer.client),
				lb_uuid_text(lb_client_ledger(peer.client), ledger));
	}
	lb_peer_end(&peer);
	result.ended = peer.ended;
	if (json)
		r = lb_print_json(STDOUT_FILENO, lb_result_json(&result));
	if (r < 0 && peer.client != NULL) /* nobody knows: it can be asked again */
		lb_client_keep(peer.client);
	lb_peer_close(&peer);
	return lb_verdict_exit(result.verdict);
}

const struct lb_command lb_command_resolve = {
	.name = "resolve",
	.synopsis = "[--state DIR] [--deadline DUR] [--json] CLIENT:N ADDR[:PORT]",
	.summary = "Asks what became of a delivery, and settles it: it is committed, or it never will be",
	.details = "CLIENT:N is the delivery's id, as 'lastbyte send' prints it. A delivery that is not "
		   "committed is made\n"
		   "impossible to commit: send the file again as a new one. An id that the state directory "
		   "does not know is\n"
		   "asked of whichever ledger answers, and the answer names it.\n"
		   "\n"
		   "Options:\n"
		   "  --state DIR     where this client's journal is ($XDG_STATE_HOME/lastbyte, or "
		   "~/.local/state/lastbyte)\n"
		   "  --deadline DUR  give up after so long: ms, s, m or h (none, but 60s without a sign of "
		   "the server)\n"
		   "  --json          one object on standard output (off: a line)\n"
		   "\n"
		   "A port that is not given is 7117. Without an answer the delivery stays in doubt, and can "
		   "be asked about\n"
		   "again.\n",
	.more = lb_help_exits,
	.run = resolve,
};
