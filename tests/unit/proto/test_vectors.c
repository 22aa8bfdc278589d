/* SPDX-License-Identifier: MIT */
/*
 * Plays the conversations of docs/protocol-vectors.txt against a machine of either role: the peer's bytes are
 * fed, the lines of that role's program are carried out, and what the machine writes has to be what is there.
 */
#include "pair.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct player {
	enum lb_role role;
	size_t piece;
	struct lb_conn_options options;
	struct side side;
	lb_time now;
	uint8_t written[1 << 14]; /* by the machine, and not compared yet */
	size_t written_len;
	const char *line; /* being played, for messages */
	char text[256], reply[256];
};

static const struct lb_uuid ledger = {{0x1e, 0xd9, 0xe2, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			fail_msg("%s, pieces of %zu: %s does not hold at: %.*s",                             \
				player->role == LB_ROLE_CLIENT ? "client" : "server", player->piece,         \
				#condition, (int)strcspn(player->line, "\n"), player->line);                 \
	} while (0)

/* The value of `key` in the line, up to a blank; "" without one. */
static const char *argument(const struct player *player, const char *key, char *value, size_t size)
{
	const char *at = player->line, *end = at + strcspn(at, "\n");
	size_t len = strlen(key);

	*value = '\0';
	for (; at < end; at += strcspn(at, " \n"), at += *at == ' ')
		if (strncmp(at, key, len) == 0 && at[len] == '=')
			snprintf(value, size, "%.*s", (int)strcspn(at + len + 1, " \n"), at + len + 1);
	return value;
}

static bool has(const struct player *player, const char *key)
{
	char value[128];

	return *argument(player, key, value, sizeof value) != '\0';
}

static uint64_t number(const struct player *player, const char *key)
{
	char value[128];

	return strtoull(argument(player, key, value, sizeof value), NULL, 10);
}

static struct lb_digest digest(const struct player *player)
{
	struct lb_digest result;
	char value[128];

	CHECK(strlen(argument(player, "digest", value, sizeof value)) == 32);
	for (size_t i = 0; i < 16; i++)
		sscanf(value + 2 * i, "%2hhx", &result.bytes[i]);
	return result;
}

static struct lb_id id(const struct player *player)
{
	struct lb_id result = {.number = number(player, "number")};

	for (size_t i = 0; i < 16; i++)
		result.client[i] = i % 2 ? 0xa0 : 0xc1;
	return result;
}

static struct lb_uuid expected_ledger(const struct player *player)
{
	struct lb_uuid result = ledger;
	char value[128];

	argument(player, "ledger", value, sizeof value);
	if (strcmp(value, "other") == 0)
		result.bytes[15] = 2;
	else if (strcmp(value, "any") == 0)
		memset(&result, 0, sizeof result);
	return result;
}

static struct lb_receipt receipt(const struct player *player)
{
	struct lb_receipt result = {.id = id(player),
		.length = number(player, "length"),
		.digest = digest(player),
		.committed_at = (int64_t)number(player, "at"),
		.durability = LB_DURABILITY_FSYNC};

	argument(player, "name", result.name, sizeof result.name);
	argument(player, "placed", result.placed, sizeof result.placed);
	return result;
}

/* What `reason` or `failure` names; 0 without one. */
static int code(const struct player *player, const char *key)
{
	static const struct {
		const char *key, *name;
		int code;
	} codes[] = {
#define LB_REASON(name, code, verdict, word, text) {"reason", #name, code},
#define LB_FAILURE(name, code, word, text)         {"failure", #name, code},
#include <lastbyte/outcomes.def>
	};
	char value[128];

	argument(player, key, value, sizeof value);
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].key, key) == 0 && strcmp(codes[i].name, value) == 0)
			return codes[i].code;
	CHECK(*value == '\0');
	return 0;
}

static void begin_playing(struct player *player)
{
	struct lb_id who = id(player);

	if (player->side.conn != NULL)
		return;
	player->options.role = player->role;
	player->options.ledger = ledger;
	player->now = 1000 * SECOND;
	player->side.conn = lb_conn_new(&player->options, who.client, player->now);
	CHECK(player->side.conn != NULL);
}

static bool verb_is(const char *verb, const char *name)
{
	size_t len = strlen(name);

	return strncmp(verb, name, len) == 0 && strchr(" \n", verb[len]) != NULL;
}

static int client_says(struct player *player, const char *verb)
{
	struct lb_conn *conn = player->side.conn;
	struct lb_uuid expected = expected_ledger(player);
	struct lb_id about = id(player);
	uint32_t handle = (uint32_t)number(player, "handle");
	char name[LB_NAME_MAX + 1];

	if (verb_is(verb, "begin")) {
		struct lb_begin begin = {.id = about,
			.ledger = expected,
			.attempt = has(player, "attempt") ? (uint32_t)number(player, "attempt") : 1,
			.length = has(player, "length") ? number(player, "length") : LB_UNKNOWN,
			.name = argument(player, "name", name, sizeof name)};

		return lb_conn_begin(conn, &begin, &handle);
	}
	if (verb_is(verb, "data")) {
		argument(player, "text", player->text, sizeof player->text);
		return lb_conn_data(conn, handle, player->text, strlen(player->text));
	}
	if (verb_is(verb, "commit")) {
		struct lb_digest whole = digest(player);

		return lb_conn_commit(conn, handle, number(player, "total"), &whole);
	}
	if (verb_is(verb, "sync"))
		return lb_conn_sync(conn, handle);
	if (verb_is(verb, "rollback"))
		return lb_conn_rollback(conn, handle);
	if (verb_is(verb, "resolve"))
		return lb_conn_resolve(conn, &about, &expected, &handle);
	if (verb_is(verb, "settled"))
		return lb_conn_settled(conn, &about);
	return verb_is(verb, "close") ? lb_conn_close(conn) : -ENOSYS;
}

static int server_says(struct player *player, const char *verb)
{
	uint32_t handle = (uint32_t)number(player, "handle");
	struct lb_conn *conn = player->side.conn;
	bool committed = verb_is(verb, "committed");
	struct lb_receipt receipt_of;
	char verdict[32];

	argument(player, "reply", player->reply, sizeof player->reply);
	if (*player->reply != '\0')
		CHECK(lb_conn_reply(conn, handle, player->reply, strlen(player->reply)) == 0);
	argument(player, "verdict", verdict, sizeof verdict);
	if (committed || strcmp(verdict, "committed") == 0)
		receipt_of = receipt(player);
	if (committed)
		return lb_conn_committed(conn, handle, &receipt_of);
	if (verb_is(verb, "begin_ok"))
		return lb_conn_begin_ok(conn, handle, number(player, "offset"), has(player, "resumable"));
	if (verb_is(verb, "synced"))
		return lb_conn_synced(conn, handle, number(player, "offset"));
	if (verb_is(verb, "refused"))
		return lb_conn_refused(conn, handle, (enum lb_reason)code(player, "reason"), NULL);
	if (verb_is(verb, "rolled_back"))
		return lb_conn_rolled_back(conn, handle);
	if (verb_is(verb, "going_away"))
		return lb_conn_going_away(conn);
	if (verb_is(verb, "resolved"))
		return lb_conn_resolved(conn, handle,
			strcmp(verdict, "committed") == 0     ? LB_VERDICT_COMMITTED
			: strcmp(verdict, "rolled_back") == 0 ? LB_VERDICT_ROLLED_BACK
							      : LB_VERDICT_FORGOTTEN,
			(enum lb_reason)code(player, "reason"), &receipt_of);
	if (!verb_is(verb, "fail"))
		return -ENOSYS;
	lb_conn_fail(conn, (enum lb_failure)code(player, "failure"), NULL);
	return 0;
}

static void sees(struct player *player, const char *what)
{
	static const char *const names[] = {"NONE", "ERROR", "TIMEOUT", "HELLO_OK", "BEGIN_OK", "SYNCED",
		"COMMITTED", "REFUSED", "ROLLED_BACK", "RESOLVED", "GOING_AWAY", "CLOSE_OK", "HELLO", "BEGIN",
		"DATA", "SYNC", "COMMIT", "ROLLBACK", "RESOLVE", "SETTLED", "CLOSE"};
	struct side *side = &player->side;
	const struct lb_event *event;
	char value[128];

	CHECK(side->next < side->n_events);
	event = &side->events[side->next++];
	CHECK(verb_is(what, names[event->type]));
	if (has(player, "handle"))
		CHECK(event->handle == number(player, "handle"));
	if (has(player, "offset"))
		CHECK(event->offset == number(player, "offset"));
	if (has(player, "number"))
		CHECK(event->id.number == number(player, "number"));
	CHECK((int)event->reason == code(player, "reason"));
	CHECK((int)event->failure == code(player, "failure"));
	if (*argument(player, "verdict", value, sizeof value) != '\0')
		CHECK(strcmp(lb_verdict_word(event->verdict), value) == 0);
	argument(player, "reply", value, sizeof value);
	CHECK(event->reply_len == strlen(value) &&
		memcmp(event->reply ? event->reply : "", value, strlen(value)) == 0);
}

static void set_options(struct player *player)
{
	player->options.features = (uint32_t)number(player, "features");
	player->options.idle_timeout = (lb_time)number(player, "idle") * SECOND;
	player->options.max_delivery =
		has(player, "max_delivery") ? number(player, "max_delivery") : LB_UNKNOWN;
	player->options.busy = has(player, "busy");
	player->options.ahead = has(player, "ahead");
}

static void wait_for(struct player *player, const char *seconds)
{
	struct lb_event event;

	player->now += strtoll(seconds, NULL, 10) * SECOND;
	CHECK(lb_conn_deadline(player->side.conn) == player->now);
	lb_conn_tick(player->side.conn, player->now, &event);
	if (event.type != LB_EVENT_NONE)
		player->side.events[player->side.n_events++] = event;
}

/* A line of the role's program. */
static void act(struct player *player, const char *rest)
{
	int result;

	if (strncmp(rest, "options ", 8) == 0) {
		set_options(player);
		return;
	}
	begin_playing(player);
	if (strncmp(rest, "sees ", 5) == 0) {
		sees(player, rest + 5);
	} else if (strncmp(rest, "waits ", 6) == 0) {
		wait_for(player, rest + 6);
	} else {
		CHECK(strncmp(rest, "says ", 5) == 0);
		result = (player->role == LB_ROLE_CLIENT ? client_says : server_says)(player, rest + 5);
		CHECK(result == 0);
		side_feed(&player->side, "", 0, player->piece, player->now);
	}
	player->written_len += side_written(&player->side, player->written + player->written_len,
		sizeof player->written - player->written_len, player->now);
}

/* Hexadecimal up to the end of the line or a comment. */
static size_t bytes_of(const char *line, uint8_t *bytes)
{
	size_t n = 0;

	while (*line != '\n' && *line != '#') {
		if (*line == ' ') {
			line++;
			continue;
		}
		assert_int_equal(sscanf(line, "%2hhx", &bytes[n++]), 1);
		line += 2;
	}
	return n;
}

static void exchange(struct player *player, bool ours, const char *hex)
{
	uint8_t bytes[256];
	size_t len = bytes_of(hex, bytes);

	begin_playing(player);
	if (!ours)
		side_feed(&player->side, bytes, len, player->piece, player->now);
	player->written_len += side_written(&player->side, player->written + player->written_len,
		sizeof player->written - player->written_len, player->now);
	if (!ours)
		return;
	CHECK(player->written_len >= len);
	CHECK(memcmp(player->written, bytes, len) == 0);
	player->written_len -= len;
	memmove(player->written, player->written + len, player->written_len);
}

/* From the line after "== ..." on. False: it is not for this role. */
static bool play(const char *from, enum lb_role role, size_t piece)
{
	const char *name = role == LB_ROLE_CLIENT ? "client " : "server ";
	struct player *player = calloc(1, sizeof *player);
	bool ours = false, for_us = true;

	assert_non_null(player);
	player->role = role;
	player->piece = piece;
	player->options.max_delivery = LB_UNKNOWN;
	for (const char *line = from; *line != '\0' && line[0] != '=' && for_us;
		line = strchr(line, '\n') + 1) {
		player->line = line;
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (strncmp(line, "server only\n", 12) == 0) {
			for_us = role == LB_ROLE_SERVER;
		} else if (strncmp(line, name, 7) == 0) {
			act(player, line + 7);
		} else if (line[0] == ' ' || line[1] == ':') {
			ours = line[0] == ' ' ? ours : (line[0] == 'C') == (role == LB_ROLE_CLIENT);
			exchange(player, ours, line + 2);
		} else {
			CHECK(strncmp(line, "client ", 7) == 0 || strncmp(line, "server ", 7) == 0);
		}
	}
	if (for_us) {
		CHECK(player->written_len == 0);
		CHECK(player->side.next == player->side.n_events);
	}
	lb_conn_free(player->side.conn);
	free(player);
	return for_us;
}

static void play_all(enum lb_role role, int at_least)
{
	static char text[1 << 20];
	FILE *file = fopen(SOURCE_ROOT "/docs/protocol-vectors.txt", "r");
	int played = 0;

	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	for (const char *at = strstr(text, "\n== "); at != NULL; at = strstr(at + 1, "\n== ")) {
		const char *from = strchr(at + 1, '\n') + 1;

		for (size_t piece = 0; piece < 4; piece++)
			played += play(from, role, piece);
	}
	assert_true(played >= 4 * at_least);
}

static void a_client_says_what_the_vectors_say(void **state)
{
	(void)state;
	play_all(LB_ROLE_CLIENT, 15);
}

static void a_server_says_what_the_vectors_say(void **state)
{
	(void)state;
	play_all(LB_ROLE_SERVER, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_says_what_the_vectors_say),
		cmocka_unit_test(a_server_says_what_the_vectors_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
