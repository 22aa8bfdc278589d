/* SPDX-License-Identifier: MIT */
/*
 * sink null|count|sqlite:PATH: a server of ours that writes no log. Prints its port. `null` drops what comes; `count`
 * takes it for records, each a length of 4 bytes (big-endian) and as many bytes, and when it is stopped prints how many
 * whole ones there were: what these two say is committed is nowhere, so that what a server costs is seen alone.
 */
#include "records.h"
#include "server/sink.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_sink {
	struct lb_sink sink;
	bool counts;
	struct records records;
};

static struct lb_server *server;

static void begin(struct lb_sink *sink, struct lb_intake *intake)
{
	(void)sink;
	intake->verdict = LB_VERDICT_UNPROVEN;
}

static enum lb_reason take(struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len)
{
	struct bench_sink *bench = (struct bench_sink *)sink;

	if (bench->counts)
		records_count(&bench->records, buf, len);
	intake->received += len;
	return LB_REASON_NONE;
}

static void commit(struct lb_sink *sink, struct lb_intake **intakes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lb_receipt *receipt = &intakes[i]->receipt;

		*receipt = (struct lb_receipt){.id = intakes[i]->id,
			.ledger = sink->ledger,
			.length = intakes[i]->received,
			.digest = intakes[i]->digest,
			.committed_at = sink->host->clock->wall(sink->host),
			.durability = sink->durability};
		strcpy(receipt->name, intakes[i]->name);
		strcpy(receipt->placed, intakes[i]->name);
		intakes[i]->verdict = LB_VERDICT_COMMITTED;
	}
}

static void drop(struct lb_sink *sink, struct lb_intake *intake)
{
	(void)sink;
	(void)intake;
}

static void resolve(struct lb_sink *sink, struct lb_resolution *resolution)
{
	(void)sink;
	resolution->verdict = LB_VERDICT_NOT_COMMITTED;
	resolution->reason = LB_REASON_IO_ERROR;
}

static void settle(struct lb_sink *sink, const struct lb_id *lowest)
{
	(void)sink;
	(void)lowest;
}

static void stop(int number)
{
	(void)number;
	lb_server_stop(server); /* NOLINT(bugprone-signal-handler): it may be called here, as server.h says */
}

static const struct lb_sink_ops ops = {
	.begin = begin,
	.write = take,
	.commit = commit,
	.rollback = drop,
	.leave = drop,
	.resolve = resolve,
	.settle = settle,
};

int main(int argc, char **argv)
{
	struct bench_sink bench = {.sink = {.ops = &ops,
					   .host = lb_host_real(),
					   .ledger = {{1}},
					   .begins_at_once = true,
					   .commits_at_once = true}};
	struct lb_server_options options = {.listen = "127.0.0.1:0", .max_sessions = 4096};
	struct lb_sink *sink = &bench.sink;
	char why[256] = "";

	if (argc != 2) {
		fprintf(stderr, "usage: sink null | count | sqlite:PATH\n");
		return 2;
	}
	bench.counts = strcmp(argv[1], "count") == 0;
	if ((strncmp(argv[1], "sqlite:", 7) == 0 && lb_sink_sqlite_open(argv[1] + 7, NULL, &sink, why) < 0) ||
		lb_server_new(sink, &options, &server, why) < 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	signal(SIGTERM, stop);
	printf("%u\n", lb_server_port(server));
	fflush(stdout);
	if (lb_server_run(server) < 0)
		return 1;
	if (bench.counts)
		printf("%llu\n", (unsigned long long)records_whole(&bench.records));
	lb_server_free(server);
	if (sink != &bench.sink)
		lb_sink_close(sink);
	return 0;
}
