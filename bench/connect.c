/* SPDX-License-Identifier: MIT */
/*
 * What a short connection costs its server: the load, and the least that a server can do.
 *
 *	connect bare             prints its port; takes a request of 1 KiB, answers with 128 bytes and closes
 *	connect twice            the same, but it answers whenever something comes, and closes after its client
 *	connect KIND PORT N M    N connections, M at a time, to a server of one of these kinds:
 *	    bare, http           says 1 KiB at once and reads to the end
 *	    twice                says a little, hears an answer, says 1 KiB, hears another, and ends first: what any
 *	                         protocol with a greeting costs
 *	    lastbyte             HELLO; then BEGIN, 1 KiB of DATA, COMMIT and CLOSE in one write; reads up to CLOSE_OK, and
 *	                         ends first, as the protocol wants it
 *	    ahead                the same in one write, as a client may that knows the ledger: one that it met before
 *
 * The load exits with 0 only if every connection got what it was to get. Its addresses are many, so that ports in
 * TIME_WAIT do not run out.
 */
#include "base/digest.h"
#include "proto/frame.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONTENT 1024
#define ANSWER  128
#define EVENTS  64
#define SOURCES 32 /* addresses of the load's */

struct visit {
	int fd;
	int heard; /* answers */
	bool committed;
	size_t have;
	uint8_t in[1024];
};

static int epoll;
static bool twice, ahead;
static uint8_t request[5 * LB_PAYLOAD_MAX + CONTENT]; /* HELLO first, where there is one */
static size_t hello_len, request_len, id_at, ledger_at;
static uint64_t number;

static void must(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

static void watch(int fd, void *of)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = of};

	must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

static void answer(int fd, bool once)
{
	static const uint8_t bytes[ANSWER];
	uint8_t in[2 * CONTENT];
	ssize_t n = recv(fd, in, sizeof in, 0);

	must(n >= 0, "recv");
	if (n > 0)
		must(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes, "send");
	if (n == 0 || once)
		must(close(fd) == 0, "close");
}

static void stop(int signal_number)
{
	(void)signal_number;
	_exit(0);
}

static void serve(bool once)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd;
	struct epoll_event events[EVENTS];
	socklen_t len = sizeof address;

	signal(SIGTERM, stop);
	must(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, SOMAXCONN) == 0 &&
			getsockname(listener, (struct sockaddr *)&address, &len) == 0,
		"listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	watch(listener, (void *)(uintptr_t)listener);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			fd = (int)(uintptr_t)events[i].data.ptr;
			if (fd != listener)
				answer(fd, once);
			else
				while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
					watch(fd, (void *)(uintptr_t)fd);
		}
	}
}

static size_t put(uint8_t *to, unsigned type, uint32_t handle, const uint8_t *payload, size_t len)
{
	lb_header_put(to, type, handle, (uint32_t)len);
	if (len > 0)
		memcpy(to + LB_HEADER_BYTES, payload, len);
	return LB_HEADER_BYTES + len;
}

/* What a client of ours says. The ledger and the number are filled in later. */
static void write_request(void)
{
	struct lb_hello greeting = {
		.min_version = 1, .max_version = 1, .client = "the bench", .idle_ms = 60000};
	struct lb_begin begin = {.id = {.number = 1, .client = "the bench"},
		.attempt = 1,
		.length = CONTENT,
		.name = "content"};
	uint8_t payload[LB_PAYLOAD_MAX], content[CONTENT];
	struct lb_hasher *hasher = aligned_alloc(_Alignof(struct lb_hasher), sizeof *hasher);
	struct lb_digest digest;

	must(hasher != NULL, "memory");
	memset(content, 'x', sizeof content);
	lb_hasher_init(hasher);
	lb_hasher_update(hasher, content, sizeof content);
	lb_hasher_digest(hasher, &digest);
	free(hasher);
	hello_len = put(request, LB_FRAME_HELLO, 0, payload, lb_hello_put(payload, &greeting));
	id_at = hello_len + LB_HEADER_BYTES;
	ledger_at = id_at + 24;
	request_len = hello_len;
	request_len += put(request + request_len, LB_FRAME_BEGIN, 1, payload, lb_begin_put(payload, &begin));
	request_len += put(request + request_len, LB_FRAME_DATA, 1, content, sizeof content);
	request_len += put(
		request + request_len, LB_FRAME_COMMIT, 1, payload, lb_commit_put(payload, CONTENT, &digest));
	request_len += put(request + request_len, LB_FRAME_CLOSE, 0, NULL, 0);
}

static void write_http(void)
{
	static const char end[] = "\r\n\r\n";

	request_len = (size_t)sprintf((char *)request, "GET / HTTP/1.0\r\nX: ");
	memset(request + request_len, 'x', CONTENT - request_len);
	request_len = CONTENT;
	memcpy(request + request_len - strlen(end), end, strlen(end));
}

static void say(const struct visit *visit, size_t from, size_t to)
{
	must(send(visit->fd, request + from, to - from, MSG_NOSIGNAL) == (ssize_t)(to - from), "send");
}

static void say_delivery(const struct visit *visit, size_t from)
{
	number++;
	for (int i = 0; i < 8; i++)
		request[id_at + 16 + (size_t)i] = (uint8_t)(number >> (56 - 8 * i));
	say(visit, from, request_len);
}

static void arrive(struct visit *visit, unsigned long n, uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in from = {
		.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + 1 + n % SOURCES)}};
	int on = 1;

	*visit = (struct visit){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	must(visit->fd >= 0 &&
			setsockopt(visit->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
			setsockopt(visit->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
			bind(visit->fd, (struct sockaddr *)&from, sizeof from) == 0 &&
			connect(visit->fd, (struct sockaddr *)&to, sizeof to) == 0,
		"connect");
	if (ahead)
		say_delivery(visit, 0);
	else
		say(visit, 0, hello_len > 0 ? hello_len : twice ? ANSWER : request_len);
	watch(visit->fd, visit);
}

/* A frame of the server's. True: it was the last. */
static bool take(struct visit *visit, const struct lb_header *header, const uint8_t *payload)
{
	switch (header->type) {
	case LB_FRAME_HELLO_OK:
		memcpy(request + ledger_at, payload + 8, 16);
		if (!ahead)
			say_delivery(visit, hello_len);
		return false;
	case LB_FRAME_COMMITTED:
		visit->committed = true;
		return false;
	case LB_FRAME_BEGIN_OK:
		return false;
	default:
		must(header->type == LB_FRAME_CLOSE_OK && visit->committed, "the server's answer");
		return true;
	}
}

/* True: the visit is over. */
static bool go_on(struct visit *visit)
{
	ssize_t n = recv(visit->fd, visit->in + visit->have, sizeof visit->in - visit->have, 0);
	size_t at = 0;
	bool over = false;

	must(n >= 0, "recv");
	if (hello_len == 0) {
		must(n > 0 || visit->heard > 0, "an answer");
		if (n > 0 && ++visit->heard == 1 && twice)
			say(visit, 0, request_len);
		return n == 0 || (twice && visit->heard == 2);
	}
	must(n > 0, "more of the answer");
	visit->have += (size_t)n;
	while (!over && visit->have - at >= LB_HEADER_BYTES) {
		struct lb_header header;

		lb_header_get(visit->in + at, &header);
		if (visit->have - at < LB_HEADER_BYTES + header.length)
			break;
		over = take(visit, &header, visit->in + at + LB_HEADER_BYTES);
		at += LB_HEADER_BYTES + header.length;
	}
	memmove(visit->in, visit->in + at, visit->have -= at);
	return over;
}

/* A visit by itself, to learn the ledger. */
static void meet(struct visit *visit, uint16_t port)
{
	ahead = false;
	arrive(visit, 0, port);
	while (!go_on(visit))
		continue;
	close(visit->fd);
	ahead = true;
}

static void load(uint16_t port, unsigned long n, unsigned long at_once)
{
	struct visit *visits = calloc(at_once, sizeof *visits);
	struct epoll_event events[EVENTS];
	unsigned long begun = 0, over = 0;

	must(visits != NULL, "memory");
	if (ahead)
		meet(visits, port);
	while (begun < at_once && begun < n) {
		arrive(&visits[begun], begun, port);
		begun++;
	}
	while (over < n) {
		int ready = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			struct visit *visit = events[i].data.ptr;

			if (!go_on(visit))
				continue;
			close(visit->fd);
			over++;
			if (begun < n)
				arrive(visit, begun++, port);
		}
	}
	free(visits);
}

int main(int argc, char **argv)
{
	epoll = epoll_create1(0);
	must(epoll >= 0, "epoll_create1");
	if (argc == 2)
		serve(strcmp(argv[1], "bare") == 0);
	if (argc != 5) {
		fprintf(stderr, "usage: connect bare | twice | KIND PORT N M\n");
		return 2;
	}
	twice = strcmp(argv[1], "twice") == 0;
	ahead = strcmp(argv[1], "ahead") == 0;
	if (ahead || strcmp(argv[1], "lastbyte") == 0)
		write_request();
	else
		write_http();
	load((uint16_t)atoi(argv[2]), strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	return 0;
}
