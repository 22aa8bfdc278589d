/* SPDX-License-Identifier: MIT */
/* Walks the tables: a real machine is brought to each stage and is given each frame type. */
#include "pair.h"
#include <stdio.h>
#include <stdlib.h>

#define HANDLE 1 /* of the first delivery or question; the next frame that needs a new one has 2 */

static struct lb_begin begin_1(void)
{
	return pair_begin(1, "name");
}

static void begin(struct pair *pair)
{
	struct lb_begin what = begin_1();
	uint32_t handle;

	assert_int_equal(lb_conn_begin(pair->client.conn, &what, &handle), 0);
	pair_run(pair);
}

static void say_begin_ok(struct pair *pair)
{
	assert_int_equal(lb_conn_begin_ok(pair->server.conn, HANDLE, 0, false), 0);
	pair_run(pair);
}

/* A server whose client's delivery, or a client whose own, is at this stage. */
static void bring_server_to(struct pair *pair, enum lb_stage stage)
{
	struct lb_digest digest = pair_digest(1);

	if (stage == LB_STAGE_IDLE)
		return;
	begin(pair);
	if (stage == LB_STAGE_BEGUN)
		return;
	say_begin_ok(pair);
	if (stage == LB_STAGE_DOOMED) {
		/* more bytes than max_delivery, of which the client does not know that they are too many */
		assert_int_equal(lb_conn_data(pair->client.conn, HANDLE, digest.bytes, 16), 0);
		pair_run(pair);
	} else if (stage == LB_STAGE_DECIDED) {
		assert_int_equal(lb_conn_refused(pair->server.conn, HANDLE, LB_REASON_DISK_FULL, NULL), 0);
	} else if (stage == LB_STAGE_CLOSING) {
		/* the delivery has no verdict yet, so that CLOSE_OK has to wait */
		assert_int_equal(lb_conn_close(pair->client.conn), 0);
		pair_run(pair);
	}
}

static void bring_client_to(struct pair *pair, enum lb_stage stage)
{
	struct lb_digest digest = pair_digest(1);
	struct lb_id id = begin_1().id;
	uint32_t handle;

	if (stage == LB_STAGE_ASKED) {
		assert_int_equal(lb_conn_resolve(pair->client.conn, &id, &pair_ledger, &handle), 0);
	} else if (stage == LB_STAGE_CLOSING) {
		assert_int_equal(lb_conn_close(pair->client.conn), 0);
	} else if (stage != LB_STAGE_READY) {
		begin(pair);
		if (stage != LB_STAGE_BEGUN && stage != LB_STAGE_WITHDRAWN) {
			say_begin_ok(pair);
			if ((pair->client.conn->features & LB_FEATURE_RESUME) != 0)
				assert_int_equal(lb_conn_sync(pair->client.conn, HANDLE), 0);
		}
		if (stage == LB_STAGE_COMMITTING)
			assert_int_equal(lb_conn_commit(pair->client.conn, HANDLE, 0, &digest), 0);
		if (stage == LB_STAGE_ROLLING || stage == LB_STAGE_WITHDRAWN)
			assert_int_equal(lb_conn_rollback(pair->client.conn, HANDLE), 0);
	}
}

static struct pair *pair_at(enum lb_role role, enum lb_stage stage, uint32_t features)
{
	struct pair *pair = pair_new((struct lb_conn_options){.features = features},
		(struct lb_conn_options){
			.features = features, .max_delivery = stage == LB_STAGE_DOOMED ? 15 : LB_UNKNOWN});
	uint8_t scrap[1 << 16];

	if (stage == LB_STAGE_HELLO)
		return pair;
	pair_run(pair);
	if (role == LB_ROLE_SERVER)
		bring_server_to(pair, stage);
	else
		bring_client_to(pair, stage);
	side_written(role == LB_ROLE_SERVER ? &pair->server : &pair->client, scrap, sizeof scrap, pair->now);
	return pair;
}

static size_t payload_of(unsigned type, uint8_t *payload)
{
	struct lb_hello hello = {.min_version = 1, .max_version = 1, .idle_ms = 1000};
	struct lb_hello_ok ok = {.version = 1, .ledger = pair_ledger, .max_undecided = 1, .idle_ms = 1000};
	struct lb_receipt receipt = pair_receipt(1, "name", 0, pair_digest(1));
	struct lb_digest digest = pair_digest(1);
	struct lb_begin what = begin_1();

	switch (type) {
	case LB_FRAME_HELLO:
		return lb_hello_put(payload, &hello);
	case LB_FRAME_HELLO_OK:
		return lb_hello_ok_put(payload, &ok);
	case LB_FRAME_BEGIN:
		return lb_begin_put(payload, &what);
	case LB_FRAME_BEGIN_OK:
		return lb_begin_ok_put(payload, 0, false);
	case LB_FRAME_DATA:
		payload[0] = 'x';
		return 1;
	case LB_FRAME_SYNCED:
		return lb_synced_put(payload, 0);
	case LB_FRAME_COMMIT:
		return lb_commit_put(payload, 0, &digest);
	case LB_FRAME_COMMITTED:
		return lb_committed_put(payload, &receipt, 0);
	case LB_FRAME_REFUSED:
		return lb_refused_put(payload, LB_REASON_BUSY, "busy");
	case LB_FRAME_RESOLVE:
		return lb_resolve_put(payload, &what.id, &pair_ledger);
	case LB_FRAME_RESOLVED:
		return lb_resolved_put(payload, LB_VERDICT_COMMITTED, LB_REASON_NONE, &receipt, 0);
	case LB_FRAME_SETTLED:
		return lb_settled_put(payload, &what.id);
	case LB_FRAME_PING:
	case LB_FRAME_PONG:
		memset(payload, 0, 8);
		return 8;
	case LB_FRAME_ERROR:
		return lb_error_put(payload, LB_FAILURE_STORAGE, "storage");
	default:
		return 0;
	}
}

/* What a machine that stands there makes of such a frame, as a letter of the table. */
static char outcome_of(enum lb_role role, enum lb_stage stage, unsigned type, uint32_t features)
{
	struct pair *pair = pair_at(role, stage, features);
	struct side *side = role == LB_ROLE_SERVER ? &pair->server : &pair->client;
	uint32_t handle = type == LB_FRAME_BEGIN || type == LB_FRAME_RESOLVE ? HANDLE + 1 : HANDLE;
	size_t counted = side->conn->current != NULL ? side->conn->current->counted : 0;
	enum lb_stage flow = side->conn->flow;
	uint8_t payload[LB_PAYLOAD_MAX];
	const struct lb_event *event;
	size_t len = payload_of(type, payload);
	char letter = 't';

	side->next = side->n_events;
	side->data_len = 0;
	side_frame(side, type, lb_frame_has_handle(type) ? handle : 0, payload, len, pair->now);
	event = side->next < side->n_events ? &side->events[side->next] : NULL;
	if (side->stash_len > 0) {
		letter = 'h';
		assert_null(event);
	} else if (event != NULL && event->type == LB_EVENT_ERROR && !event->from_peer) {
		letter = '-';
		assert_true(event->failure == LB_FAILURE_STATE || event->failure == LB_FAILURE_HANDLE);
		assert_int_equal(lb_conn_state(side->conn), LB_CONN_FAILED);
	} else if (event == NULL && side->data_len == 0 &&
		   lb_conn_send(side->conn, (struct iovec[4]){0}, 4) == 0) {
		letter = 'i';
		assert_true(flow == side->conn->flow || side->conn->flow == LB_STAGE_IDLE);
		assert_true(side->conn->current == NULL || side->conn->current->counted == counted);
	}
	pair_free(pair);
	return letter;
}

/* The same from the table; PONG and BEGIN_OK of what was withdrawn are taken without anything to be seen. */
static char expected(enum lb_role role, enum lb_stage stage, unsigned type, uint32_t features)
{
	switch (lb_rule_of(role, type, stage, features)) {
	case LB_RULE_TAKE:
		if (type == LB_FRAME_PONG || (type == LB_FRAME_BEGIN_OK && stage == LB_STAGE_WITHDRAWN))
			return 'i';
		return 't';
	case LB_RULE_HOLD:
		return 'h';
	case LB_RULE_IGNORE:
		return 'i';
	default:
		return '-';
	}
}

static void walk(enum lb_role role, uint32_t features)
{
	for (int stage = 0; stage < LB_STAGES; stage++) {
		if (lb_stage_name(role, (enum lb_stage)stage) == NULL)
			continue;
		for (unsigned type = 1; type < LB_FRAME_TYPES; type++) {
			char is, should;

			if (lb_rule_letter(role, type, (enum lb_stage)stage) == ' ')
				continue;
			is = outcome_of(role, (enum lb_stage)stage, type, features);
			should = expected(role, (enum lb_stage)stage, type, features);
			if (is != should)
				fail_msg("%s at %s: %c, and the table says %c", lb_frame_name(type),
					lb_stage_name(role, (enum lb_stage)stage), is, should);
		}
	}
}

static void a_server_does_at_each_stage_what_the_table_says(void **state)
{
	(void)state;
	walk(LB_ROLE_SERVER, 0);
	walk(LB_ROLE_SERVER, LB_FEATURE_RESUME);
}

static void a_client_does_at_each_stage_what_the_table_says(void **state)
{
	(void)state;
	walk(LB_ROLE_CLIENT, 0);
	walk(LB_ROLE_CLIENT, LB_FEATURE_RESUME);
}

/* Draws a role's table as the document has it. */
static size_t draw(enum lb_role role, char *out, size_t size)
{
	size_t len = (size_t)snprintf(out, size, "| |");

	for (int stage = 0; stage < LB_STAGES; stage++)
		if (lb_stage_name(role, (enum lb_stage)stage) != NULL)
			len += (size_t)snprintf(
				out + len, size - len, " %s |", lb_stage_name(role, (enum lb_stage)stage));
	len += (size_t)snprintf(out + len, size - len, "\n| --- |");
	for (int stage = 0; stage < LB_STAGES; stage++)
		if (lb_stage_name(role, (enum lb_stage)stage) != NULL)
			len += (size_t)snprintf(out + len, size - len, " --- |");
	len += (size_t)snprintf(out + len, size - len, "\n");
	for (unsigned type = 1; type < LB_FRAME_TYPES; type++) {
		if (!lb_frame_is_from(type, role == LB_ROLE_SERVER ? LB_ROLE_CLIENT : LB_ROLE_SERVER))
			continue;
		len += (size_t)snprintf(out + len, size - len, "| %s |", lb_frame_name(type));
		for (int stage = 0; stage < LB_STAGES; stage++)
			if (lb_stage_name(role, (enum lb_stage)stage) != NULL)
				len += (size_t)snprintf(out + len, size - len, " %c |",
					lb_rule_letter(role, type, (enum lb_stage)stage));
		len += (size_t)snprintf(out + len, size - len, "\n");
	}
	return len;
}

static const char *document(void)
{
	static char text[1 << 20];
	FILE *file = fopen(SOURCE_ROOT "/docs/protocol.md", "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void the_document_has_the_same_tables(void **state)
{
	static char table[1 << 13];

	(void)state;
	for (int role = 0; role < 2; role++) {
		draw((enum lb_role)role, table, sizeof table);
		if (strstr(document(), table) == NULL)
			fail_msg("docs/protocol.md should have this table:\n%s", table);
	}
}

static void the_document_has_every_reason_and_failure(void **state)
{
	static const struct {
		int code;
		const char *name, *verdict, *text;
	} rows[] = {
#define LB_REASON(name, code, verdict, word, text) {code, #name, #verdict, text},
#define LB_FAILURE(name, code, word, text)         {code, #name, NULL, text},
#include <lastbyte/outcomes.def>
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char line[512];

		if (rows[i].code == 0 || rows[i].code >= 1000)
			continue;
		snprintf(line, sizeof line, "\n| %d | %s | %s%s%s |\n", rows[i].code, rows[i].name,
			rows[i].verdict != NULL ? rows[i].verdict : "", rows[i].verdict != NULL ? " | " : "",
			rows[i].text);
		if (strstr(document(), line) == NULL)
			fail_msg("docs/protocol.md should have this line:%s", line);
	}
}

static void what_only_its_own_side_says_is_never_legal(void **state)
{
	(void)state;
	for (int role = 0; role < 2; role++)
		for (unsigned type = 1; type < LB_FRAME_TYPES; type++)
			for (int stage = 0; stage < LB_STAGES; stage++)
				if (!lb_frame_is_from(
					    type, role == LB_ROLE_SERVER ? LB_ROLE_CLIENT : LB_ROLE_SERVER))
					assert_int_equal(lb_rule_letter((enum lb_role)role, type,
								 (enum lb_stage)stage),
						'-');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_does_at_each_stage_what_the_table_says),
		cmocka_unit_test(a_client_does_at_each_stage_what_the_table_says),
		cmocka_unit_test(the_document_has_the_same_tables),
		cmocka_unit_test(the_document_has_every_reason_and_failure),
		cmocka_unit_test(what_only_its_own_side_says_is_never_legal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
