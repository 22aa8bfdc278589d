/* SPDX-License-Identifier: MIT */
/*
 * Request and reply over the delivery protocol: a server that adds up the numbers that it is sent, and its client. A
 * request is in the ledger together with its reply, or not at all, so whoever lost the answer asks for it again.
 *
 *	reply DIR                    serves into DIR, and prints where
 *	reply DIR ADDRESS NAME TEXT  asks, with DIR for its journal, and prints the sum
 */
#include <lastbyte/client.h>
#include <lastbyte/server.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lb_server *server;

static void stop(int number)
{
	(void)number;
	lb_server_stop(server); /* NOLINT(bugprone-signal-handler): it may be called here, as server.h says */
}

/* Has no effects of its own: done twice, it says the same. */
static enum lb_reason add_up(void *arg, const struct lb_work *work, void *reply, size_t *lenp)
{
	char text[1001] = "", *at = text, *end;
	long long sum = 0;

	(void)arg;
	memcpy(text, work->content, work->len);
	for (; *at != '\0'; at = end) {
		sum += strtoll(at, &end, 10);
		if (end == at) {
			*lenp = (size_t)sprintf(reply, "no number, from byte %d on", (int)(at - text));
			return LB_REASON_REJECTED;
		}
	}
	*lenp = (size_t)sprintf(reply, "%lld", sum);
	return LB_REASON_NONE;
}

static int serve(const char *dir)
{
	const struct lb_server_options options = {.listen = "127.0.0.1:0", .work = add_up, .work_max = 1000};
	struct lb_sink *sink;
	char why[256];
	int result = 1;

	if (lb_sink_dir_open(dir, NULL, &sink, why) < 0 || lb_server_new(sink, &options, &server, why) < 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	signal(SIGTERM, stop);
	puts(lb_server_address(server));
	fflush(stdout);
	if (lb_server_run(server) == 0)
		result = 0;
	lb_server_free(server);
	lb_sink_close(sink);
	return result;
}

static int ask(const char *dir, const char *address, const char *name, const char *text)
{
	const struct lb_client_options options = {.state_dir = dir};
	const struct lb_delivery request = {.name = name, .length = strlen(text)};
	lb_time deadline = lb_in_ms(60000);
	struct lb_client *client;
	struct lb_receipt receipt;
	struct lb_outcome outcome, closed;
	char line[256];
	size_t len = 0;
	const void *reply = NULL;

	if (lb_client_open(address, &options, deadline, &client, &outcome) == 0) {
		if (lb_client_begin(client, &request, deadline) == 0 &&
			lb_client_write(client, text, strlen(text), deadline) < 0)
			fprintf(stderr, "it has ended early\n");
		lb_client_commit(client, deadline, &receipt, &outcome);
		reply = lb_client_reply(client, &len);
	}
	if (outcome.verdict == LB_VERDICT_COMMITTED)
		printf("%.*s\n", (int)len, (const char *)reply);
	else
		printf("%s\n", lb_outcome_text(&outcome, line, sizeof line));
	if (client != NULL && lb_client_close(client, deadline, &closed) < 0)
		fprintf(stderr, "the connection did not end as agreed\n");
	return outcome.verdict == LB_VERDICT_COMMITTED ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return serve(argv[1]);
	if (argc == 5)
		return ask(argv[1], argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: reply DIR [ADDRESS NAME TEXT]\n");
	return 2;
}
