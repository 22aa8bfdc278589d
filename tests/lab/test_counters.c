/* SPDX-License-Identifier: MIT */
/* The counters of lab/counters.h: what happens to a connection moves those that count it, and only its own. */
#include "lib/cmocka.h"
#include "lab/counters.h"
#include "lib/scene.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct lab_counters before, after;
static struct lab_play play;

/* What the counter of this name moved by; all are in order, none twice, and none that stands still. */
static int64_t moved(const char *name)
{
	int64_t by = 0;

	assert_in_range(play.counters, 0, LAB_COUNTERS);
	for (unsigned i = 0; i < play.counters; i++) {
		assert_int_not_equal(play.counter[i].by, 0);
		if (i > 0)
			assert_true(strcmp(play.counter[i - 1].name, play.counter[i].name) < 0);
		if (strcmp(play.counter[i].name, name) == 0)
			by = play.counter[i].by;
	}
	return by;
}

static void look(struct link *link)
{
	lab_counters_read(link, &after);
	lab_counters_moved(&before, &after, &play);
}

static void begin(struct link *link, int fds[2])
{
	memset(&play, 0xa5, sizeof play);
	lab_counters_read(link, &before);
	assert_in_range(before.count, 100, LAB_COUNTERS_KNOWN - 1);
	assert_int_equal(link_connect(link, LINK_LEFT, AF_INET, fds), 0);
}

/* Enough to lose some of it. */
static void send_much(const int fds[2])
{
	static char buf[200000];
	size_t got = 0;

	while (got < sizeof buf) {
		ssize_t n = send(fds[0], buf, 20000, 0);

		assert_int_equal(n, 20000);
		assert_int_equal(recv(fds[1], buf, (size_t)n, MSG_WAITALL), n);
		got += (size_t)n;
	}
}

static void a_connection_is_counted_and_how_many_there_are_is_not(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = MS};
	struct link *link = scene_link(&options);
	int fds[2];

	(void)state;
	begin(link, fds);
	look(link);
	assert_int_equal(moved("TcpActiveOpens"), 1);
	assert_int_equal(moved("TcpPassiveOpens"), 0); /* the peer's */
	assert_int_equal(moved("TcpOutSegs"), 2 + moved("TcpRetransSegs"));
	assert_in_range(moved("TcpInSegs"), 1, 10);
	assert_int_equal(moved("TcpCurrEstab"), 0);
	close(fds[0]);
	close(fds[1]);
	link_free(link);
}

static void what_is_sent_again_is_counted_where_it_is_sent(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = MS, .loss = 500, .seed = 1};
	struct link *link = scene_link(&options);
	struct segments count;
	int fds[2];

	(void)state;
	begin(link, fds);
	send_much(fds);
	look(link);
	assert_int_equal(link_count(link, LINK_LEFT, &count), 0);
	assert_in_range(count.bytes, 200001, 400000);
	assert_in_range(moved("TcpRetransSegs"), 1, (int64_t)count.data);
	close(fds[0]);
	close(fds[1]);
	link_free(link);
}

/* RFC 1122, 4.2.2.13: who closes without having read all resets. */
static void a_close_with_unread_data_is_counted_as_such(void **state)
{
	static const enum link_kind kinds[] = {LINK_LO, LINK_VETH, LINK_DELAY};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const struct link_options options = {.kind = kinds[i], .delay = MS};
		struct link *link = scene_link(&options);
		int fds[2];
		char byte;

		begin(link, fds);
		assert_int_equal(send(fds[1], "", 1, 0), 1);
		assert_int_equal(recv(fds[0], &byte, 1, MSG_PEEK), 1);
		look(link);
		assert_int_equal(moved("TcpExtTCPAbortOnClose") + moved("TcpOutRsts"), 0);
		close(fds[0]);
		assert_int_equal(recv(fds[1], &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		look(link);
		assert_int_equal(moved("TcpExtTCPAbortOnClose"), 1);
		assert_int_equal(moved("TcpOutRsts"), 1);
		close(fds[1]);
		link_free(link);
	}
}

static void a_link_in_the_machines_own_network_has_none(void **state)
{
	const struct link_options options = {.kind = LINK_LOOPBACK};
	struct link *link = scene_link(&options);
	int fds[2];

	(void)state;
	lab_counters_read(link, &before);
	assert_int_equal(before.count, 0);
	assert_int_equal(link_connect(link, LINK_LEFT, AF_INET, fds), 0);
	look(link);
	assert_int_equal(play.counters, 0);
	close(fds[0]);
	close(fds[1]);
	link_free(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_counted_and_how_many_there_are_is_not),
		cmocka_unit_test(what_is_sent_again_is_counted_where_it_is_sent),
		cmocka_unit_test(a_close_with_unread_data_is_counted_as_such),
		cmocka_unit_test(a_link_in_the_machines_own_network_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
