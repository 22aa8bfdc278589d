/* SPDX-License-Identifier: MIT */
/* The networks that other tests stand on: they carry, delay, lose and count what they say, and leave nothing behind. */
#include "lib/cmocka.h"
#include "lib/scene.h"
#include "lab/forward.h"
#include "lab/link.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY  65534
#define PATIENT 20000 /* ms: a test that waits for longer has failed */

static const int families[] = {AF_INET, AF_INET6};

static void read_exactly(int fd, void *buf, size_t len)
{
	assert_int_equal(recv(fd, buf, len, MSG_WAITALL), len);
}

/* Both ways, and the end of each. */
static void carries(struct link *link, enum link_end from, int family)
{
	static char sent[300000], got[sizeof sent];
	int fds[2];
	char end;

	assert_int_equal(link_connect(link, from, family, fds), 0);
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (char)(i * 7 + i / 251);
	for (int turn = 0; turn < 2; turn++) {
		memset(got, 0, sizeof got);
		assert_int_equal(send(fds[turn], sent, sizeof sent / 10, 0), sizeof sent / 10);
		read_exactly(fds[!turn], got, sizeof got / 10);
		assert_memory_equal(got, sent, sizeof got / 10);
	}
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(recv(fds[1], &end, 1, 0), 0);
	close(fds[0]);
	close(fds[1]);
}

static void every_kind_carries_bytes_both_ways(void **state)
{
	(void)state;
	for (int kind = LINK_LOOPBACK; kind <= LINK_DELAY; kind++) {
		const struct link_options options = {.kind = kind, .delay = MS};
		struct link *link = scene_link(&options);

		for (int i = 0; i < 4; i++)
			carries(link, i / 2, families[i % 2]);
		link_free(link);
	}
}

static void the_caller_stays_where_it_was(void **state)
{
	const struct link_options options = {.kind = LINK_VETH};
	struct link *link = scene_link(&options);

	(void)state;
	assert_int_equal(if_nametoindex("link0"), 0);
	assert_int_equal(link_enter(link, LINK_RIGHT), 0);
	assert_int_not_equal(if_nametoindex("link0"), 0);
	link_leave(link);
	assert_int_equal(if_nametoindex("link0"), 0);
	link_free(link);
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof info;

	assert_return_code(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	return info;
}

/* What is written at once, within the first window, leaves as full segments; a busy machine may repeat some. */
static void counts_segments(struct link *link, enum link_end from, int family)
{
	struct segments before[2], after[2];
	char buf[14600] = {1}, end;
	int fds[2];
	size_t bytes;
	uint32_t again[3]; /* before, when all has come, and when that is counted */

	assert_int_equal(link_connect(link, from, family, fds), 0);
	again[0] = info_of(fds[0]).tcpi_total_retrans; /* of the handshake, which is over */
	bytes = info_of(fds[0]).tcpi_snd_mss * 10;
	assert_in_range(bytes, 1, sizeof buf);
	assert_int_equal(link_count(link, from, &before[0]), 0);
	assert_int_equal(link_count(link, !from, &before[1]), 0);
	assert_int_equal(send(fds[0], buf, bytes, 0), bytes);
	read_exactly(fds[1], buf, bytes);
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(recv(fds[1], &end, 1, 0), 0);
	assert_int_equal(send(fds[1], buf, 1, 0), 1);
	close(fds[1]);
	assert_int_equal(recv(fds[0], buf, 2, MSG_WAITALL), 1);
	again[1] = info_of(fds[0]).tcpi_total_retrans;
	assert_int_equal(link_count(link, from, &after[0]), 0);
	assert_int_equal(link_count(link, !from, &after[1]), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(after[i].syn - before[i].syn, 0);
		assert_int_equal(after[i].rst - before[i].rst, 0);
		assert_int_equal(after[i].lost + after[i].missed, 0);
	}
	again[2] = info_of(fds[0]).tcpi_total_retrans;
	if (again[2] == again[0]) {
		assert_int_equal(after[0].data - before[0].data, 10);
		assert_int_equal(after[0].bytes - before[0].bytes, bytes);
		assert_int_equal(after[0].fin - before[0].fin, 1);
	}
	assert_in_range((after[0].all - after[0].acks) - (before[0].all - before[0].acks),
		11 + again[1] - again[0], 11 + again[2] - again[0]);
	assert_in_range(after[1].data - before[1].data, 1, 3);
	assert_int_equal(after[1].bytes - before[1].bytes, after[1].data - before[1].data);
	assert_in_range(after[1].fin - before[1].fin, 1, 3);
	assert_in_range(after[1].acks - before[1].acks, 1, 20);
	close(fds[0]);
}

static void segments_are_counted_as_they_are_on_the_wire(void **state)
{
	(void)state;
	for (int kind = LINK_VETH; kind <= LINK_DELAY; kind++) {
		const struct link_options options = {.kind = kind, .delay = MS, .count = true};
		struct link *link = scene_link(&options);

		for (int i = 0; i < 4; i++)
			counts_segments(link, i / 2, families[i % 2]);
		link_free(link);
	}
}

static void resets_are_counted(void **state)
{
	const struct link_options options = {.kind = LINK_VETH, .count = true};
	const struct linger reset = {.l_onoff = 1};
	struct link *link = scene_link(&options);
	struct segments count;
	int fds[2];
	char byte;

	(void)state;
	assert_int_equal(link_connect(link, LINK_LEFT, AF_INET6, fds), 0);
	assert_return_code(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset), errno);
	close(fds[1]);
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	assert_int_equal(link_count(link, LINK_RIGHT, &count), 0);
	assert_int_equal(count.rst, 1);
	close(fds[0]);
	link_free(link);
}

static void a_round_trip_takes_twice_the_delay(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = 20 * MS};
	struct link *link = scene_link(&options);
	lb_time started;
	int fds[2];
	char byte = 1;

	(void)state;
	started = lb_now();
	assert_int_equal(link_connect(link, LINK_LEFT, AF_INET, fds), 0);
	assert_true(lb_now() - started >= 40 * MS);
	started = lb_now();
	assert_int_equal(send(fds[0], &byte, 1, 0), 1);
	read_exactly(fds[1], &byte, 1);
	assert_true(lb_now() - started >= 20 * MS);
	assert_int_equal(send(fds[1], &byte, 1, 0), 1);
	read_exactly(fds[0], &byte, 1);
	assert_true(lb_now() - started >= 40 * MS);
	close(fds[0]);
	close(fds[1]);
	link_free(link);
}

static void what_is_lost_is_sent_again(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = MS, .loss = 500, .seed = 1};
	struct link *link = scene_link(&options);
	struct segments count;

	(void)state;
	for (int i = 0; i < 4; i++)
		carries(link, LINK_LEFT, AF_INET);
	assert_int_equal(link_count(link, LINK_LEFT, &count), 0);
	assert_in_range(count.lost, 1, count.all / 4);
	assert_true(count.bytes >= 4 * 30000);
	assert_int_equal(count.missed, 0);
	link_free(link);
}

#define PACKETS 400

/* The forwarder alone, between sockets instead of devices: sends numbered packets and says which of them came. */
static void forward_packets(uint64_t seed, unsigned loss, bool came[PACKETS])
{
	int left[2], right[2], tuns[2];
	struct forward *forward;
	struct segments count;
	lb_time started = lb_now();
	int number, last = -1;

	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, left), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, right), errno);
	for (int i = 0; i < 2; i++)
		assert_return_code(fcntl(i ? right[0] : left[0], F_SETFL, O_NONBLOCK), errno);
	tuns[0] = left[0];
	tuns[1] = right[0];
	assert_int_equal(forward_start(tuns, 5 * MS, loss, seed, &forward), 0);
	memset(came, 0, PACKETS * sizeof *came);
	for (int i = 0; i < PACKETS; i++) {
		assert_int_equal(send(left[1], &i, sizeof i, 0), sizeof i);
		/* now and then most of it is read: the sockets' queues are short */
		while (i % 100 == 99 && last < i - 20) {
			struct pollfd fd = {.fd = right[1], .events = POLLIN};

			assert_int_equal(poll(&fd, 1, PATIENT), 1);
			read_exactly(right[1], &number, sizeof number);
			assert_true(lb_now() - started >= 5 * MS);
			assert_true(number > last);
			came[number] = true;
			last = number;
		}
	}
	forward_count(forward, 0, &count);
	assert_int_equal(count.missed, 0);
	forward_stop(forward);
	close(left[1]);
	close(right[1]);
}

static void the_seed_says_which_packets_are_lost(void **state)
{
	bool one[PACKETS], same[PACKETS], other[PACKETS];
	int lost = 0;

	(void)state;
	forward_packets(1, 2000, one);
	forward_packets(1, 2000, same);
	forward_packets(2, 2000, other);
	for (int i = 0; i < PACKETS - 40; i++)
		lost += !one[i];
	assert_in_range(lost, (PACKETS - 40) / 10, (PACKETS - 40) / 3);
	assert_memory_equal(one, same, (PACKETS - 40) * sizeof *one);
	assert_memory_not_equal(one, other, (PACKETS - 40) * sizeof *one);
	forward_packets(1, 0, one);
	for (int i = 0; i < PACKETS - 40; i++)
		assert_true(one[i]);
}

static pid_t start_child(void (*play)(int out), int *inp)
{
	int ends[2];
	pid_t child;

	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		play(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	*inp = ends[0];
	return child;
}

static void holds_a_link(int out)
{
	const struct link_options options = {.kind = LINK_VETH};
	char why[LINK_WHY] = "";
	struct link *link;

	if (link_new(&options, &link, why) == 0 && link_enter(link, LINK_LEFT) == 0)
		(void)!write(out, "", 1);
	pause();
}

/* A veth device is gone when its other end's namespace is. */
static void nothing_is_left_of_a_process_that_was_killed(void **state)
{
	const struct link_options options = {.kind = LINK_VETH};
	lb_time limit = lb_in_ms(PATIENT);
	char path[64], byte;
	int in, home, left;
	pid_t child;

	(void)state;
	link_free(scene_link(&options));
	child = start_child(holds_a_link, &in);
	assert_int_equal(read(in, &byte, 1), 1);
	snprintf(path, sizeof path, "/proc/%d/ns/net", child);
	left = open(path, O_RDONLY | O_CLOEXEC);
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(left, errno);
	assert_return_code(setns(left, CLONE_NEWNET), errno);
	assert_int_not_equal(if_nametoindex("link0"), 0);
	assert_return_code(kill(child, SIGKILL), errno);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (if_nametoindex("link0") != 0) {
		assert_true(lb_now() < limit);
		sched_yield();
	}
	assert_return_code(setns(home, CLONE_NEWNET), errno);
	close(left);
	close(home);
	close(in);
}

static void makes_a_link_as_nobody(int out)
{
	const struct link_options options = {.kind = LINK_VETH, .count = true};
	struct segments count;
	char why[LINK_WHY] = "";
	struct link *link;
	int fds[2];

	if (getuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		_exit(1);
	if (link_new(&options, &link, why) < 0)
		(void)!write(out, why, strlen(why));
	else if (link_connect(link, LINK_LEFT, AF_INET6, fds) == 0 &&
		 link_count(link, LINK_LEFT, &count) == 0 && count.syn == 1)
		(void)!write(out, "works", 5);
	else
		(void)!write(out, "fails", 5);
}

static void without_root_it_works_or_says_why_not(void **state)
{
	char said[LINK_WHY + 1] = "";
	pid_t child;
	int in;

	(void)state;
	child = start_child(makes_a_link_as_nobody, &in);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(read(in, said, sizeof said - 1) > 0);
	close(in);
	assert_string_not_equal(said, "fails");
	if (strcmp(said, "works") != 0) {
		print_message("# SKIP a link without root: %s\n", said);
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_carries_bytes_both_ways),
		cmocka_unit_test(the_caller_stays_where_it_was),
		cmocka_unit_test(segments_are_counted_as_they_are_on_the_wire),
		cmocka_unit_test(resets_are_counted),
		cmocka_unit_test(a_round_trip_takes_twice_the_delay),
		cmocka_unit_test(what_is_lost_is_sent_again),
		cmocka_unit_test(the_seed_says_which_packets_are_lost),
		cmocka_unit_test(nothing_is_left_of_a_process_that_was_killed),
		cmocka_unit_test(without_root_it_works_or_says_why_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
