/* SPDX-License-Identifier: MIT */
/* `lastbyte ledger`: what the ledger of a server says, for people or for programs. Changes nothing. */
#include "args.h"
#include "command.h"
#include "print.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <lastbyte/server.h>
#include <string.h>
#include <unistd.h>

struct listing {
	bool json;
	struct lb_ledger_info info;
	uint64_t committed, fenced;
};

static int print_row(const struct listing *listing, const struct lb_result *result)
{
	const struct lb_receipt *receipt = &result->receipt;
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT], time[LB_TIME_TEXT];
	bool elsewhere = receipt->placed[0] != '\0' && strcmp(receipt->placed, receipt->name) != 0;

	if (listing->json) {
		json_t *object = lb_result_json(result);

		/* these two belong to a connection, and the ledger knows none */
		json_object_del(object, "ended");
		json_object_del(object, "seconds");
		return lb_print_json(STDOUT_FILENO, object);
	}
	if (result->verdict != LB_VERDICT_COMMITTED)
		return lb_print_line(STDOUT_FILENO, "%-24s  %-11s  %14s  %-39s  %-36s", "-",
			lb_verdict_word(result->verdict), "-", "-", lb_result_id(result, id));
	return lb_print_line(STDOUT_FILENO, "%-24s  %-11s  %14" PRIu64 "  %-39s  %-36s  %s%s%s",
		lb_print_time(receipt->committed_at, time), lb_verdict_word(result->verdict), receipt->length,
		lb_result_digest(result, digest), lb_result_id(result, id), receipt->name,
		elsewhere ? " as " : "", elsewhere ? receipt->placed : "");
}

static int print_head(const struct listing *listing)
{
	char ledger[LB_UUID_TEXT];

	lb_uuid_text(&listing->info.ledger, ledger);
	if (listing->json)
		return lb_print_json(
			STDOUT_FILENO, json_pack("{s:s, s:s, s:I}", "event", "ledger", "ledger", ledger,
					       "keep_receipts", (json_int_t)listing->info.keep_receipts));
	lb_print_line(STDOUT_FILENO, "ledger %s, which remembers %u settled deliveries of each client",
		ledger, listing->info.keep_receipts);
	return lb_print_line(STDOUT_FILENO, "%-24s  %-11s  %14s  %-39s  %-36s  %s", "committed at", "verdict",
		"bytes", "digest", "id", "name");
}

static int row(void *arg, const struct lb_ledger_row *row)
{
	struct listing *listing = arg;
	struct lb_result result = {.receipt = row->receipt, .verdict = row->verdict};
	bool committed = row->verdict == LB_VERDICT_COMMITTED;
	int r = 0;

	result.receipt.ledger = listing->info.ledger;
	result.reason = committed ? LB_REASON_NONE : LB_REASON_FENCED;
	if (listing->committed + listing->fenced == 0)
		r = print_head(listing);
	listing->committed += committed;
	listing->fenced += !committed;
	return r == 0 ? print_row(listing, &result) : r;
}

static int ledger(int argc, char **argv)
{
	struct listing listing = {0};
	const struct lb_arg args[] = {{"json", LB_ARG_FLAG, &listing.json}, {NULL, LB_ARG_FLAG, NULL}};
	char why[256] = "";
	const char *path;
	int r = lb_args_parse("ledger", argc, argv, args);

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return lb_args_wrong(
			"ledger", "it takes one PATH, the one that 'lastbyte serve --into' names");
	path = argv[optind];
	if (strncmp(path, "dir:", 4) == 0 || strncmp(path, "sqlite:", 7) == 0)
		path = strchr(path, ':') + 1;
	r = lb_ledger_read(path, &listing.info, row, &listing, why);
	if (r == -EPIPE) /* whoever read it has seen enough, as with `| head` */
		return 0;
	if (r < 0) {
		if (why[0] != '\0')
			lb_print_line(STDERR_FILENO, "lastbyte ledger: %s", why);
		else
			lb_print_line(STDERR_FILENO, "lastbyte ledger: %s: %s", argv[optind], strerror(-r));
		return r == -EIO ? lb_verdict_exit(LB_VERDICT_NOT_COMMITTED) : LB_EXIT_USAGE;
	}
	if (listing.committed + listing.fenced == 0)
		print_head(&listing);
	if (listing.json)
		return 0;
	lb_print_line(STDOUT_FILENO, "%" PRIu64 " committed, %" PRIu64 " that never will be",
		listing.committed, listing.fenced);
	return 0;
}

const struct lb_command lb_command_ledger = {
	.name = "ledger",
	.synopsis = "[--json] PATH",
	.summary = "Lists what a server has committed, and what never will be",
	.details = "PATH is what 'lastbyte serve --into' names, with dir: or sqlite: or without. It may be "
		   "in use: the "
		   "rows\n"
		   "are those of one moment, in the order of their commit. What lies far below a client's "
		   "lowest open\n"
		   "delivery is not kept: see 'lastbyte serve --keep-receipts'.\n"
		   "\n"
		   "Options:\n"
		   "  --json  objects, one on a line: the ledger itself, then each row (off: a table)\n"
		   "\n"
		   "Exit codes: 0; 2 when PATH has no ledger, or none that can be read; 4 when its disk "
		   "reports an error.\n",
	.run = ledger,
};
