/* SPDX-License-Identifier: MIT */
/* A ledger that loses a table while it is open: what cannot be read is an error, and never an answer. */
#include "ledger_fixture.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct lb_ledger *ledger;
	enum lb_ledger_state state; /* what was answered */
};

static int look(struct asked *asked)
{
	struct lb_id id = id_of(1);
	struct lb_receipt receipt;
	int r = lb_ledger_look(asked->ledger, &id, &asked->state, &receipt, NULL);

	assert_true(r < 0 || asked->state == LB_LEDGER_COMMITTED);
	return r;
}

static int commit(struct asked *asked)
{
	struct lb_ledger_entry entries[2] = {{.receipt = receipt_of(2)}, {.receipt = receipt_of(3)}};

	return lb_ledger_commit(asked->ledger, entries, 2);
}

static int fence(struct asked *asked)
{
	struct lb_id id = id_of(4);
	struct lb_receipt receipt;
	int r = lb_ledger_fence(asked->ledger, &id, &asked->state, &receipt, NULL);

	assert_true(r < 0 || asked->state == LB_LEDGER_FENCED);
	return r;
}

static int placed(struct asked *asked)
{
	struct lb_id id = id_of(1);

	return lb_ledger_placed(asked->ledger, &id, "other");
}

static int settle_some(struct asked *asked)
{
	struct lb_id id = id_of(2);

	return lb_ledger_settle(asked->ledger, &id);
}

static struct lb_ledger_part part_of(uint64_t number)
{
	return (struct lb_ledger_part){
		.id = id_of(number), .attempt = 1, .declared = LB_UNKNOWN, .offset = 1, .name = "part"};
}

static int part_look(struct asked *asked)
{
	struct lb_ledger_part part;
	struct lb_id id = id_of(5);
	bool found;

	return lb_ledger_part_look(asked->ledger, &id, &part, &found);
}

static int part_put(struct asked *asked)
{
	const struct lb_ledger_part part = part_of(6);

	return lb_ledger_part_put(asked->ledger, &part, &asked->state);
}

static int parts(struct asked *asked)
{
	struct lb_ledger_part *all;
	size_t n;
	int r = lb_ledger_parts(asked->ledger, &all, &n);

	assert_true(r == 0 || (all == NULL && n == 0));
	free(all);
	return r;
}

static int parts_below(struct asked *asked)
{
	struct lb_ledger_part *some;
	struct lb_id id = id_of(6);
	size_t n;
	int r = lb_ledger_parts_below(asked->ledger, &id, &some, &n);

	assert_true(r == 0 || (some == NULL && n == 0));
	free(some);
	return r;
}

static int parts_age(struct asked *asked)
{
	const struct lb_ledger_part part = part_of(5);

	return lb_ledger_parts_age(asked->ledger, &part, 1);
}

static int parts_forget(struct asked *asked)
{
	const struct lb_ledger_part part = part_of(5);

	return lb_ledger_parts_forget(asked->ledger, &part, 1);
}

static const struct call {
	int (*call)(struct asked *asked);
	const char *needs; /* the tables without which there is no answer */
} calls[] = {
	{look, "verdicts clients"},
	{commit, "verdicts clients"},
	{fence, "verdicts clients"},
	{placed, "verdicts"},
	{settle_some, "verdicts clients"},
	{part_look, "parts"},
	{part_put, "parts verdicts clients"},
	{parts, "parts"},
	{parts_below, "parts"},
	{parts_age, "parts"},
	{parts_forget, "parts"},
};

static void try(const char *table, const struct call *call)
{
	struct lb_ledger_part part = part_of(5);
	struct asked asked;
	struct fixture *fx;
	char sql[64];
	sqlite3 *db;
	void *state;
	int r;

	fixture_make(&state);
	fx = state;
	committed(fx, 1);
	assert_int_equal(lb_ledger_part_put(fx->ledger, &part, &asked.state), 0);
	snprintf(sql, sizeof sql, "DROP TABLE %s", table);
	db = connect_beside(fx);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	asked.ledger = fx->ledger;
	r = call->call(&asked);
	assert_true(r == 0 || r == -EIO);
	if (strstr(call->needs, table) != NULL)
		assert_int_equal(r, -EIO);
	fixture_remove(&state);
}

static void without_a_table_that_it_needs_no_call_gives_an_answer(void **state)
{
	static const char *const tables[] = {"verdicts", "clients", "parts", "meta"};

	(void)state;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (size_t j = 0; j < sizeof calls / sizeof *calls; j++)
			try(tables[i], &calls[j]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_table_that_it_needs_no_call_gives_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
