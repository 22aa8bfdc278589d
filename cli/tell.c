/* SPDX-License-Identifier: MIT */
/* What `lastbyte send` says of each delivery, and the one exit code that comes of all. Owns no state. */
#include "tell.h"
#include "base/test.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The code to leave with, after a file of this verdict: the most serious one so far. */
static int worse(int code, enum lb_verdict verdict)
{
	static const int order[] = {3, 5, 1, 4}; /* 0 is the least */
	int other = lb_verdict_exit(verdict);

	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		if (code == order[i] || other == order[i])
			return order[i];
	}
	return 0;
}

/* A word as a shell takes it. */
static const char *quoted(const char *word, char *buf, size_t len)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-";
	size_t n = 1;

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0')
		return word;
	buf[0] = '\'';
	for (; *word != '\0' && n + 6 < len; word++)
		n += (size_t)snprintf(buf + n, len - n, *word == '\'' ? "'\\''" : "%c", *word);
	snprintf(buf + n, len - n, "'");
	return buf;
}

/* In doubt: how to ask again. But where older ones are in the way, asking changes nothing: how to settle those, once. */
static void advise(struct lb_telling *telling, const struct lb_peer *peer, const struct lb_result *result)
{
	bool older = result->reason == LB_REASON_SETTLE_FIRST;
	char id[LB_ID_TEXT], state[4200], quoted_state[4300] = "", address[600];

	if (peer->state_dir != NULL)
		snprintf(quoted_state, sizeof quoted_state, "--state %s ",
			quoted(peer->state_dir, state, sizeof state));
	if (older && !telling->older)
		lb_print_line(
			STDERR_FILENO, "what is open settles: lastbyte send %s--continue", quoted_state);
	else if (!older && result->verdict == LB_VERDICT_IN_DOUBT && result->receipt.id.number != 0)
		lb_print_line(STDERR_FILENO, "what became of it, tells: lastbyte resolve %s%s %s",
			quoted_state, lb_result_id(result, id),
			quoted(peer->address, address, sizeof address));
	telling->older |= older;
}

void lb_tell(struct lb_telling *telling, struct lb_peer *peer, struct lb_result *result, bool last)
{
	int r = 0;

	telling->exit = worse(telling->exit, result->verdict);
	if (!telling->json)
		r = lb_print_result(result);
	if (!telling->json)
		advise(telling, peer, result);
	if (last)
		lb_peer_end(peer);
	LB_FAULT("send_told");
	if (telling->json) {
		result->ended = peer->ended;
		r = lb_print_json(STDOUT_FILENO, lb_result_json(result));
	}
	if (r < 0 && r != telling->unwritten)
		lb_print_line(
			STDERR_FILENO, "lastbyte send: the result could not be written: %s", strerror(-r));
	telling->unwritten = r < 0 ? r : 0;
	/* Nobody knows: the same again tells it. Of records the notes in the journal have what it takes. */
	if (r < 0 && peer->client != NULL && peer->decided == NULL)
		lb_client_keep(peer->client);
	if (last)
		lb_peer_close(peer);
}
