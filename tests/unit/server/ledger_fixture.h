/* SPDX-License-Identifier: MIT */
/* A ledger in a directory of its own, PATH/.lastbyte/ledger.db, as a sink has it. */
#ifndef SERVER_LEDGER_FIXTURE_H
#define SERVER_LEDGER_FIXTURE_H

#include "lib/scratch.h"
#include "server/ledger.h"
#include <sqlite3.h>
#include <string.h>

struct fixture {
	struct scratch           scratch;
	struct lb_ledger        *ledger;
	struct lb_ledger_options options;
	const char              *vfs;
	char                     why[256];
};

static inline struct lb_id id_of(uint64_t number)
{
	struct lb_id id = {.number = number};

	memset(id.client, 0xc1, sizeof id.client);
	return id;
}

static inline struct lb_receipt receipt_of(uint64_t number)
{
	struct lb_receipt receipt = {.id = id_of(number),
		.length                  = 1000 + number,
		.committed_at            = INT64_C(1700000000123456789) + (int64_t)number,
		.durability              = LB_DURABILITY_FSYNC};

	memset(receipt.digest.bytes, (int)number, sizeof receipt.digest.bytes);
	snprintf(receipt.name, sizeof receipt.name, "file %u", (unsigned)number);
	snprintf(receipt.placed, sizeof receipt.placed, "file %u", (unsigned)number);
	return receipt;
}

static inline void ledger_open(struct fixture *fx)
{
	assert_int_equal(
		lb_ledger_open(lb_host_real(), fx->vfs, scratch_path(&fx->scratch, ".lastbyte/ledger.db"),
			&fx->options, &fx->ledger, fx->why),
		0);
}

static inline void ledger_reopen(struct fixture *fx)
{
	lb_ledger_close(fx->ledger);
	ledger_open(fx);
}

/* Another connection to its database, as another process has it. */
static inline sqlite3 *connect_beside(struct fixture *fx)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(&fx->scratch, ".lastbyte/ledger.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT uuid FROM meta", NULL, NULL, NULL), SQLITE_OK);
	return db;
}

static inline int fixture_make(void **state)
{
	struct fixture *fx = calloc(1, sizeof *fx);

	assert_non_null(fx);
	scratch_make(&fx->scratch);
	assert_int_equal(mkdir(scratch_path(&fx->scratch, ".lastbyte"), 0777), 0);
	ledger_open(fx);
	*state = fx;
	return 0;
}

static inline int fixture_remove(void **state)
{
	struct fixture *fx = *state;

	lb_ledger_close(fx->ledger);
	scratch_remove(&fx->scratch);
	free(fx);
	return 0;
}

static inline enum lb_ledger_state looked(struct fixture *fx, uint64_t number)
{
	enum lb_ledger_state state;
	struct lb_receipt    receipt;
	struct lb_id         id = id_of(number);

	assert_int_equal(lb_ledger_look(fx->ledger, &id, &state, &receipt, NULL), 0);
	return state;
}

static inline enum lb_ledger_state committed(struct fixture *fx, uint64_t number)
{
	struct lb_ledger_entry entry = {.receipt = receipt_of(number)};

	assert_int_equal(lb_ledger_commit(fx->ledger, &entry, 1), 0);
	free(entry.reply.bytes);
	return entry.state;
}

static inline enum lb_ledger_state fenced(struct fixture *fx, uint64_t number)
{
	enum lb_ledger_state state;
	struct lb_receipt    receipt;
	struct lb_id         id = id_of(number);

	assert_int_equal(lb_ledger_fence(fx->ledger, &id, &state, &receipt, NULL), 0);
	return state;
}

static inline void settle(struct fixture *fx, uint64_t lowest)
{
	struct lb_id id = id_of(lowest);

	assert_int_equal(lb_ledger_settle(fx->ledger, &id), 0);
}

static inline void assert_receipt_equal(const struct lb_receipt *a, const struct lb_receipt *b)
{
	assert_memory_equal(&a->id, &b->id, sizeof a->id);
	assert_int_equal(a->length, b->length);
	assert_memory_equal(&a->digest, &b->digest, sizeof a->digest);
	assert_int_equal(a->committed_at, b->committed_at);
	assert_int_equal(a->durability, b->durability);
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->placed, b->placed);
}

#define ledger_test(f) cmocka_unit_test_setup_teardown(f, fixture_make, fixture_remove)

#endif
