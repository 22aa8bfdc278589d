/* SPDX-License-Identifier: MIT */
/*
 * What the closer costs. Peers are other processes on loopback. Each command prints one JSON object.
 *
 *	closer cpu N         ends N connections with close(2), then N with the closer: CPU microseconds for each
 *	closer linger N      N lingering at once, or as many as RLIMIT_NOFILE and memory allow: bytes for each, and what
 *	                     they cost in two idle seconds
 *	closer flood BYTES   endings beside a peer that sends so much: milliseconds for each, 99th percentile
 *	closer simulate N    N endings at once without sockets: CPU nanoseconds for each, for tables and timers alone
 */
#include "sock/closer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUND 500 /* connections that are made before the other end has to accept them */

static void must(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

static double cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

/* Peers, in a process of their own. */
struct peers {
	pid_t pid;
	int listener, orders, port;
};

static int dial(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	must(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
	return fd;
}

/* Connects as many as it is told to, again and again, and closes each that ends. */
static void be_peers(int orders, int port)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), fd;
	struct epoll_event events[256], event = {.events = EPOLLIN, .data.fd = orders};
	char buf[4096];

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, orders, &event) == 0, "epoll_ctl");
	for (;;) {
		int count = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < count; i++) {
			ssize_t n;
			int more;

			fd = events[i].data.fd;
			if (fd != orders) {
				n = recv(fd, buf, sizeof buf, 0);
				if (n <= 0)
					close(fd);
				continue;
			}
			n = read(orders, &more, sizeof more);
			if (n != sizeof more)
				exit(0);
			while (more-- > 0) {
				event.data.fd = dial(port);
				must(epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) == 0,
					"epoll_ctl");
			}
		}
	}
}

static void start_peers(struct peers *peers)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	int orders[2];

	peers->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(peers->listener >= 0 && bind(peers->listener, (struct sockaddr *)&addr, len) == 0 &&
			listen(peers->listener, 4096) == 0 &&
			getsockname(peers->listener, (struct sockaddr *)&addr, &len) == 0,
		"listen");
	must(pipe(orders) == 0, "pipe");
	peers->port = ntohs(addr.sin_port);
	peers->pid = fork();
	must(peers->pid >= 0, "fork");
	if (peers->pid == 0) {
		close(orders[1]);
		be_peers(orders[0], peers->port);
	}
	close(orders[0]);
	peers->orders = orders[1];
}

static void stop_peers(struct peers *peers)
{
	close(peers->orders);
	close(peers->listener);
	kill(peers->pid,
		SIGKILL); /* a later group may hold a copy of `orders`, so its end need not be seen */
	waitpid(peers->pid, NULL, 0);
}

/* Connections that have sent a little. */
static void connect_peers(struct peers *peers, int *fds, int count)
{
	for (int at = 0; at < count;) {
		int round = count - at < ROUND ? count - at : ROUND;

		must(write(peers->orders, &round, sizeof round) == sizeof round, "write");
		for (; round > 0; round--, at++) {
			fds[at] = accept(peers->listener, NULL, NULL);
			must(fds[at] >= 0, "accept");
			must(send(fds[at], "a few last words\n", 17, 0) == 17, "send");
		}
	}
}

/* As many descriptors as there may be. */
static int raise_nofile(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	must(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
	return limit.rlim_cur < 1 << 20 ? (int)limit.rlim_cur : 1 << 20;
}

static void *room_for(int n, size_t size)
{
	void *room = calloc((size_t)n, size);

	must(room != NULL, "calloc");
	return room;
}

static size_t ended, by_fin;

static void count(void *arg, const struct lb_outcome *outcome)
{
	(void)arg;
	ended++;
	by_fin += outcome->how == LB_END_FIN && outcome->lost == 0;
}

static struct lb_closer *new_closer(size_t sockets)
{
	const struct lb_closer_options options = {.sockets = sockets};
	struct lb_closer *closer;

	must(lb_closer_new(&options, &closer) == 0, "lb_closer_new");
	return closer;
}

static bool readable(struct lb_closer *closer, int timeout)
{
	struct pollfd fd = {.fd = lb_closer_fd(closer), .events = POLLIN};

	return poll(&fd, 1, timeout) == 1;
}

static void measure_cpu(int n)
{
	int *fds = room_for(n, sizeof *fds);
	double began, bare, ours;
	struct lb_closer *closer;
	struct peers peers;

	must(n + 100 < raise_nofile(), "too many");
	start_peers(&peers);
	connect_peers(&peers, fds, n);
	began = cpu_ns();
	for (int i = 0; i < n; i++)
		close(fds[i]);
	bare = cpu_ns() - began;
	stop_peers(&peers);

	start_peers(&peers);
	connect_peers(&peers, fds, n);
	closer = new_closer((size_t)n);
	began = cpu_ns();
	for (int i = 0; i < n; i++) {
		must(lb_closer_add(closer, fds[i], NULL, LB_NEVER, count, NULL) == 0, "lb_closer_add");
		if (i % 64 == 0 && readable(closer, 0))
			lb_closer_step(closer);
	}
	while (ended < (size_t)n && readable(closer, 10000))
		lb_closer_step(closer);
	ours = cpu_ns() - began;
	stop_peers(&peers);
	must(by_fin == (size_t)n, "not all have ended by FIN");
	printf("{\"close_us\": %.3f, \"closer_us\": %.3f}\n", bare / 1e3 / n, ours / 1e3 / n);
	lb_closer_free(closer);
	free(fds);
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Two sockets for each need some 16 KiB of the kernel's memory, and as much again is left to others. */
static int as_many_as_possible(int n)
{
	long pages = sysconf(_SC_AVPHYS_PAGES), by_memory = pages / (32768 / sysconf(_SC_PAGESIZE));
	int limit = raise_nofile() - 1000;

	if (n > limit)
		n = limit;
	return n < by_memory ? n : (int)by_memory;
}

/* Every socket is registered, and only its time-out is left. */
static size_t steps_until_idle(struct lb_closer *closer)
{
	size_t steps = 0;

	while (readable(closer, 500)) {
		lb_closer_step(closer);
		steps++;
	}
	return steps;
}

#define OF_ONE 15000 /* connections of one process of peers: there are only so many ports */

static void measure_linger(int wanted)
{
	static const struct lb_ending patient = {
		.limits = {.idle = INT64_C(3600000000000), .total = INT64_C(3600000000000)}};
	int n = as_many_as_possible(wanted), groups = (n + OF_ONE - 1) / OF_ONE;
	int *fds = room_for(n, sizeof *fds);
	const struct lb_closer_options options = {.ending = &patient, .sockets = (size_t)n};
	struct peers *peers = room_for(groups, sizeof *peers);
	struct lb_closer *closer;
	size_t before, bytes, steps = 0;
	double began, used;
	lb_time end;

	/* all of them before there are descriptors to inherit */
	for (int i = 0; i < groups; i++)
		start_peers(&peers[i]);
	for (int i = 0; i < groups; i++)
		connect_peers(&peers[i], fds + i * OF_ONE, i < groups - 1 ? OF_ONE : n - i * OF_ONE);
	for (int i = 0; i < groups; i++)
		must(kill(peers[i].pid, SIGSTOP) == 0, "kill");
	before = allocated();
	must(lb_closer_new(&options, &closer) == 0, "lb_closer_new");
	for (int i = 0; i < n; i++)
		must(lb_closer_add(closer, fds[i], NULL, LB_NEVER, count, NULL) == 0, "lb_closer_add");
	steps_until_idle(closer);
	bytes = allocated() - before;
	must(ended == 0 && lb_closer_first(&closer->table, LB_CLOSER_UNACKED) == LB_CLOSER_NONE, "not acked");
	began = cpu_ns();
	for (end = lb_in_ms(2000); lb_now() < end; steps++) {
		readable(closer, 2000);
		lb_closer_step(closer);
	}
	used = cpu_ns() - began;
	for (int i = 0; i < groups; i++)
		must(kill(peers[i].pid, SIGCONT) == 0, "kill");
	must(lb_closer_drain(closer, lb_in_ms(60000)) == 0, "lb_closer_drain");
	must(by_fin == (size_t)n, "not all have ended by FIN");
	for (int i = 0; i < groups; i++)
		stop_peers(&peers[i]);
	printf("{\"sockets\": %d, \"bytes\": %.1f, \"idle_steps\": %zu, \"idle_cpu_ms\": %.3f}\n", n,
		(double)bytes / n, steps, used / 1e6);
	lb_closer_free(closer);
	free(peers);
	free(fds);
}

/* A peer that sends, whether anybody reads or not. */
static pid_t start_flood(int *fdp, uint64_t bytes)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static char zeros[262144];
	socklen_t len = sizeof addr;
	pid_t pid;

	must(listener >= 0 && bind(listener, (struct sockaddr *)&addr, len) == 0 &&
			listen(listener, 1) == 0 &&
			getsockname(listener, (struct sockaddr *)&addr, &len) == 0,
		"listen");
	pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		int fd = dial(ntohs(addr.sin_port));

		while (bytes > 0) {
			ssize_t n =
				send(fd, zeros, bytes < sizeof zeros ? bytes : sizeof zeros, MSG_NOSIGNAL);

			if (n < 0)
				_exit(1);
			bytes -= (uint64_t)n;
		}
		_exit(0);
	}
	*fdp = accept(listener, NULL, NULL);
	must(*fdp >= 0, "accept");
	close(listener);
	return pid;
}

static double took[100000];
static size_t taken;
static uint64_t swallowed;
static bool flooding;

static void note_time(void *arg, const struct lb_outcome *outcome)
{
	(void)arg;
	if (taken < sizeof took / sizeof *took)
		took[taken++] = (double)outcome->took / 1e6;
}

static void note_flood(void *arg, const struct lb_outcome *outcome)
{
	(void)arg;
	swallowed = outcome->discarded;
	flooding = false;
}

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

/* Ends `n` connections, two each millisecond, and more as long as it is flooded. Returns their 99th percentile. */
static double end_at_leisure(struct lb_closer *closer, struct peers *peers, int n)
{
	int *fds = room_for(n, sizeof *fds);
	lb_time next;

	taken = 0;
	do {
		size_t goal = taken + (size_t)n;

		connect_peers(peers, fds, n);
		next = lb_now();
		for (int i = 0; taken < goal && taken < sizeof took / sizeof *took;) {
			for (; i < n && lb_now() >= next; i++, next += 500000)
				must(lb_closer_add(closer, fds[i], NULL, LB_NEVER, note_time, NULL) == 0,
					"lb_closer_add");
			if (readable(closer, i < n ? 0 : 100))
				lb_closer_step(closer);
		}
	} while (flooding && taken < sizeof took / sizeof *took);
	free(fds);
	qsort(took, taken, sizeof *took, by_size);
	return took[taken * 99 / 100];
}

static void measure_flood(uint64_t bytes)
{
	static const struct lb_ending endless = {
		.limits = {.drain_bytes = UINT64_MAX / 2, .total = INT64_MAX / 2}};
	struct lb_closer *closer = new_closer(10000);
	double alone, beside;
	struct peers peers;
	uint64_t capped;
	pid_t pid;
	int fd;

	raise_nofile();
	start_peers(&peers);
	pid = start_flood(&fd, bytes);
	flooding = true;
	must(lb_closer_add(closer, fd, NULL, LB_NEVER, note_flood, NULL) == 0, "lb_closer_add");
	while (flooding && readable(closer, 30000))
		lb_closer_step(closer);
	waitpid(pid, NULL, 0);
	capped = swallowed;
	alone = end_at_leisure(closer, &peers, 2000);
	pid = start_flood(&fd, bytes);
	flooding = true;
	must(lb_closer_add(closer, fd, &endless, LB_NEVER, note_flood, NULL) == 0, "lb_closer_add");
	beside = end_at_leisure(closer, &peers, 2000);
	while (flooding && readable(closer, 30000))
		lb_closer_step(closer);
	waitpid(pid, NULL, 0);
	stop_peers(&peers);
	printf("{\"alone_ms\": %.3f, \"beside_ms\": %.3f, \"endings\": %zu, \"bytes\": %llu, \"capped\": "
	       "%llu}\n",
		alone, beside, taken, (unsigned long long)swallowed, (unsigned long long)capped);
	lb_closer_free(closer);
}

/* Sockets that are not: each is acked at its second event and ends at its third, in an order without pattern. */
struct sim_socket {
	uint64_t token;
	int events;
};
static struct {
	lb_time now;
	int sockets;
	struct sim_socket *socket;
	uint64_t at, mask, left;
} sim;

static lb_time sim_now(void)
{
	return sim.now;
}

static void sim_start(
	struct lb_ending_run *run, int fd, const struct lb_ending *ending, lb_time now, lb_time deadline)
{
	static const struct lb_ending defaults;

	*run = (struct lb_ending_run){.ending = ending != NULL ? ending : &defaults,
		.fd = fd,
		.started = now,
		.deadline = deadline,
		.progress_at = now,
		.acked_at = LB_NEVER,
		.begun = true,
		.finished = true};
}

static bool sim_step(struct lb_ending_run *run, lb_time now, struct lb_outcome *outcomep)
{
	if (sim.socket[run->fd].events == 2 && !lb_ending_acked(run))
		run->acked_at = run->progress_at = now;
	if (sim.socket[run->fd].events < 3)
		return false;
	*outcomep = (struct lb_outcome){.how = LB_END_FIN, .took = now - run->started};
	return true;
}

static int sim_watch(int epoll, int fd, uint64_t token)
{
	(void)epoll;
	sim.socket[fd].token = token;
	return 0;
}

static int sim_events(int epoll, struct epoll_event *events, int max)
{
	int count = 0;

	(void)epoll;
	for (; count < max && sim.left > 0; count++, sim.left--) {
		/* every number below the power of two once */
		do
			sim.at = (sim.at * 5 + 12345) & sim.mask;
		while (sim.at >= (uint64_t)sim.sockets);
		sim.socket[sim.at].events++;
		events[count] = (struct epoll_event){.events = EPOLLIN, .data.u64 = sim.socket[sim.at].token};
	}
	return count;
}

static void sim_stop(struct lb_ending_run *run, lb_time now, enum lb_end how, struct lb_outcome *outcomep)
{
	(void)run;
	(void)now;
	*outcomep = (struct lb_outcome){.how = how};
}

static void simulate(int n)
{
	static const struct lb_closer_port port = {
		sim_now, sim_start, sim_step, sim_stop, sim_watch, sim_events};
	const struct lb_closer_options options = {.sockets = (size_t)n};
	struct lb_closer *closer;
	size_t before, bytes;
	double began, used;

	must(n <= 1 << 20, "too many");
	sim.now = lb_now();
	sim.sockets = n;
	while (sim.mask < (uint64_t)n)
		sim.mask = sim.mask * 2 + 1;
	sim.socket = room_for(n, sizeof *sim.socket);
	before = allocated();
	must(lb_closer_open(&options, &port, &closer) == 0, "lb_closer_open");
	began = cpu_ns();
	for (int i = 0; i < n; i++) {
		must(lb_closer_add(closer, i, NULL, LB_NEVER, count, NULL) == 0, "lb_closer_add");
		sim.now += 100;
	}
	bytes = allocated() - before;
	/* 40 ms, in which each has its first turns and is registered; then the events */
	for (lb_time end = sim.now + 40000000; lb_closer_deadline(closer) < end; lb_closer_step(closer))
		if (lb_closer_deadline(closer) > sim.now)
			sim.now = lb_closer_deadline(closer);
	for (int round = 0; round < 3; round++)
		for (sim.left = (uint64_t)n; sim.left > 0; sim.now += 1000)
			lb_closer_step(closer);
	lb_closer_step(closer);
	used = cpu_ns() - began;
	must(by_fin == (size_t)n && closer->open == 0, "not all have ended");
	printf("{\"sockets\": %d, \"bytes\": %.1f, \"cpu_ns\": %.1f}\n", n, (double)bytes / n, used / n);
	lb_closer_free(closer);
	free(sim.socket);
}

int main(int argc, char **argv)
{
	unsigned long long n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;

	if (n > 0 && strcmp(argv[1], "cpu") == 0)
		measure_cpu((int)n);
	else if (n > 0 && strcmp(argv[1], "linger") == 0)
		measure_linger((int)n);
	else if (n > 0 && strcmp(argv[1], "flood") == 0)
		measure_flood(n);
	else if (n > 0 && strcmp(argv[1], "simulate") == 0)
		simulate((int)n);
	else
		return 2;
	return 0;
}
