/* SPDX-License-Identifier: MIT */
/*
 * Every policy against every kind of peer, over loopback, veth, a link of 20 ms one way, and that link with 1 % loss;
 * IPv4 and IPv6, our end connecting and accepting. What the peer's application got is compared with what was reported.
 * All cells are played beside each other by a few threads; each test judges the four sides of one.
 */
#include "lib/holder.h"
#include "net/cell.h"
#include <stdio.h>
#include <string.h>

#define DELAY   INT64_C(20000000)
#define THREADS 96 /* cells at a time: most of them wait */
#define SIDES   4

static const struct {
	const char *name;
	struct link_options options;
} links[] = {
	{"20 ms and 1 % loss", {.kind = LINK_DELAY, .delay = DELAY, .loss = 100, .seed = 7}},
	{"20 ms", {.kind = LINK_DELAY, .delay = DELAY}},
	{"veth", {.kind = LINK_VETH}},
	{"loopback", {.kind = LINK_LOOPBACK}},
};
#define LINKS (sizeof links / sizeof links[0])

static const struct manner manners[] = {
	{"drain", LB_POLICY_DRAIN, .sure = true, .waits = true},
	{"acked", LB_POLICY_ACKED, .sure = true},
	{"finish", LB_POLICY_FINISH, .leaves = true},
	{"linger_finish", LB_POLICY_LINGER_FINISH, .leaves = true},
	{"linger", LB_POLICY_LINGER, .leaves = true},
	{"plain", LB_POLICY_PLAIN, .leaves = true},
	{"abort", LB_POLICY_ABORT},
};
#define MANNERS (sizeof manners / sizeof manners[0])

enum {
	POLICIES = 0
#define LB_POLICY(name, word, text) +1
#include <lastbyte/outcomes.def>
};
_Static_assert(MANNERS == POLICIES, "every policy is tried");

/* What differs in one scenario alone. */
static const struct {
	struct manner manner;
	enum cell_scenario scenario;
} singles[] = {
	{{"drain, then detach", LB_POLICY_DRAIN, .leaves = true, .detaches = true}, CELL_NEVER_READS},
	{{"exit without close(2)", .sure = true, .exits = true}, CELL_READS_ALL},
};
#define SINGLES (sizeof singles / sizeof singles[0])

#define ROWS (LINKS * (MANNERS * CELL_SCENARIOS + SINGLES))

static struct row {
	char name[120];
	struct cell cells[SIDES];
	int played; /* of its cells; under the mutex */
} rows[ROWS];

static struct link *made[LINKS];
static char why[LINKS][LINK_WHY];
static pthread_t threads[THREADS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;
static size_t next; /* cell, under the mutex */

static void fill(struct row *row, size_t link, const struct manner *manner, const struct scenario *scenario)
{
	snprintf(row->name, sizeof row->name, "%s, %s: the peer %s", links[link].name, manner->name,
		scenario->name);
	for (int i = 0; i < SIDES; i++)
		row->cells[i] = (struct cell){.manner = manner,
			.scenario = scenario,
			.side = &tcp_sides[i],
			.far = links[link].options.kind == LINK_DELAY,
			.lossy = links[link].options.loss > 0};
}

static void fill_all(void)
{
	struct row *row = rows;

	for (size_t link = 0; link < LINKS; link++) {
		for (size_t i = 0; i < MANNERS * CELL_SCENARIOS; i++)
			fill(row++, link, &manners[i / CELL_SCENARIOS], &cell_scenarios[i % CELL_SCENARIOS]);
		for (size_t i = 0; i < SINGLES; i++)
			fill(row++, link, &singles[i].manner, &cell_scenarios[singles[i].scenario]);
	}
}

static void *play(void *arg)
{
	(void)arg;
	for (;;) {
		size_t mine;

		pthread_mutex_lock(&mutex);
		mine = next++;
		pthread_mutex_unlock(&mutex);
		if (mine >= ROWS * SIDES)
			return NULL;
		struct row *row = &rows[mine / SIDES];
		struct cell *cell = &row->cells[mine % SIDES];

		if (cell->link != NULL)
			cell_play(cell);
		pthread_mutex_lock(&mutex);
		row->played++;
		pthread_cond_broadcast(&progress);
		pthread_mutex_unlock(&mutex);
	}
}

static int start(void **state)
{
	(void)state;
	for (size_t i = 0; i < LINKS; i++)
		if (link_new(&links[i].options, &made[i], why[i]) < 0)
			print_message("# SKIP all of %s: %s\n", links[i].name, why[i]);
	for (size_t i = 0; i < ROWS * SIDES; i++)
		rows[i / SIDES].cells[i % SIDES].link = made[i / SIDES / (ROWS / LINKS)];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, play, NULL), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t i = 0; i < LINKS; i++)
		link_free(made[i]);
	return 0;
}

static bool judge(const struct cell *cell)
{
	const char *wrong = cell_judge(cell);
	const struct tcp_peer *peer = &cell->tcp.peer;
	char line[256];

	if (wrong != NULL)
		print_message("# %s, %s: %s\n#   ours: %s\n#   the peer: %llu of %llu bytes, %s, error %d\n",
			cell->side->family == AF_INET ? "IPv4" : "IPv6",
			cell->side->accepting ? "accepting" : "connecting", wrong,
			lb_outcome_text(&cell->end, line, sizeof line), (unsigned long long)peer->got,
			(unsigned long long)cell->tcp.written, peer->ended ? "an end" : "no end",
			peer->error);
	return wrong == NULL;
}

static void the_outcome_is_true(void **state)
{
	struct row *row = *state;
	bool all_true = true;

	pthread_mutex_lock(&mutex);
	while (row->played < SIDES)
		pthread_cond_wait(&progress, &mutex);
	pthread_mutex_unlock(&mutex);
	if (row->cells[0].link == NULL)
		skip();
	for (int i = 0; i < SIDES; i++)
		all_true = judge(&row->cells[i]) && all_true;
	assert_true(all_true);
}

int main(void)
{
	static struct CMUnitTest tests[ROWS];

	if (holder_start() < 0)
		return 1;
	fill_all();
	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){
			.name = rows[i].name, .test_func = the_outcome_is_true, .initial_state = &rows[i]};
	return cmocka_run_group_tests(tests, start, stop);
}
