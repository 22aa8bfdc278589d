/* SPDX-License-Identifier: MIT */
/*
 * A server on a thread of its own, into a sink without storage that counts and can be held up, and a client that says
 * its frames by hand: many in one write.
 */
#ifndef SERVER_SERVER_FIXTURE_H
#define SERVER_SERVER_FIXTURE_H

#include "lib/cmocka.h"
#include "loop/real.h"
#include "proto/frame.h"
#include "server/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCHES_MAX 64

struct serving {
	struct lb_sink           sink; /* first */
	struct lb_sink_ops       ops;
	struct lb_host           host;
	struct lb_net_ops        net;
	struct lb_server        *server;
	struct lb_server_options options;
	pthread_t                thread;
	int         entered[2], go[2]; /* each commit says a byte there, and waits for one here if `held` */
	bool        held;
	atomic_bool clogged; /* nothing can be sent to anybody */
	/* what was seen */
	atomic_uint begins_on_loop, begins, commits_on_loop, rollbacks, sends, reports;
	atomic_uint n_batches, batches[BATCHES_MAX]; /* deliveries of each call of commit */
};

static inline bool on_loop(struct serving *serving)
{
	return pthread_equal(pthread_self(), serving->thread) != 0;
}

static inline void memory_begin(struct lb_sink *sink, struct lb_intake *intake)
{
	struct serving *serving = (struct serving *)sink;

	serving->begins++;
	serving->begins_on_loop += on_loop(serving);
	intake->verdict = LB_VERDICT_UNPROVEN;
}

static inline enum lb_reason memory_write(
	struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len)
{
	(void)sink;
	(void)buf;
	intake->received += len;
	return LB_REASON_NONE;
}

/* What was received is not kept. */
static inline enum lb_reason memory_read(struct lb_sink *sink, struct lb_intake *intake, void *buf)
{
	(void)sink;
	memset(buf, 'x', intake->received);
	return LB_REASON_NONE;
}

static inline int memory_is_decided(struct lb_sink *sink, const struct lb_id *id, bool *decidedp)
{
	(void)sink;
	(void)id;
	*decidedp = false;
	return 0;
}

static inline void memory_commit(struct lb_sink *sink, struct lb_intake **intakes, size_t n)
{
	struct serving *serving = (struct serving *)sink;
	char            byte    = 0;

	serving->commits_on_loop += on_loop(serving);
	serving->batches[serving->n_batches++ % BATCHES_MAX] = (unsigned)n;
	if (serving->held) {
		if (write(serving->entered[1], &byte, 1) != 1 || read(serving->go[0], &byte, 1) != 1)
			abort();
	}
	for (size_t i = 0; i < n; i++) {
		struct lb_receipt *receipt = &intakes[i]->receipt;

		*receipt = (struct lb_receipt){.id = intakes[i]->id,
			.ledger                    = sink->ledger,
			.length                    = intakes[i]->received,
			.digest                    = intakes[i]->digest};
		memcpy(receipt->name, intakes[i]->name, sizeof receipt->name);
		memcpy(receipt->placed, intakes[i]->name, sizeof receipt->placed);
		intakes[i]->verdict = LB_VERDICT_COMMITTED;
	}
}

static inline void memory_rollback(struct lb_sink *sink, struct lb_intake *intake)
{
	(void)intake;
	((struct serving *)sink)->rollbacks++;
}

static inline void memory_settle(struct lb_sink *sink, const struct lb_id *lowest)
{
	(void)sink;
	(void)lowest;
}

static inline ssize_t counted_send(struct lb_host *host, int fd, const struct iovec *iov, int n)
{
	struct serving *serving = (struct serving *)((char *)host - offsetof(struct serving, host));

	if (serving->clogged)
		return -EAGAIN;
	serving->sends++;
	return lb_host_real()->net->send(host, fd, iov, n);
}

static inline void count_report(void *arg, const struct lb_report *report)
{
	(void)report;
	((struct serving *)arg)->reports++;
}

static inline void serving_quit(struct lb_server *server)
{
	lb_loop_quit(server->loop);
}

static inline void serving_woken(void *arg)
{
	lb_server_begin_stop(arg);
}

static inline void *serving_run(void *arg)
{
	if (lb_server_run(((struct serving *)arg)->server) != 0)
		abort();
	return NULL;
}

/* The caller has zeroed it, and set what the sink does at once. */
static inline void serving_start(struct serving *serving)
{
	struct lb_loop *loop;
	char            why[256];

	serving->ops            = (struct lb_sink_ops){.begin = memory_begin,
			   .write                             = memory_write,
			   .is_decided                        = memory_is_decided,
			   .read                              = memory_read,
			   .commit                            = memory_commit,
			   .rollback                          = memory_rollback,
			   .leave                             = memory_rollback,
			   .settle                            = memory_settle};
	serving->host           = *lb_host_real();
	serving->net            = *serving->host.net;
	serving->net.send       = counted_send;
	serving->host.net       = &serving->net;
	serving->sink.ops       = &serving->ops;
	serving->sink.host      = &serving->host;
	serving->sink.ledger    = (struct lb_uuid){{1}};
	serving->options.listen = "127.0.0.1:0";
	serving->options.report = count_report;
	serving->options.arg    = serving;
	assert_int_equal(pipe(serving->entered), 0);
	assert_int_equal(pipe(serving->go), 0);
	assert_int_equal(lb_loop_new(&serving->host, &loop), 0);
	assert_int_equal(lb_server_new_on(loop, &serving->sink, &serving->options, serving_quit,
				 &serving->server, why),
		0);
	loop->woken     = serving_woken;
	loop->woken_arg = serving->server;
	assert_int_equal(pthread_create(&serving->thread, NULL, serving_run, serving), 0);
}

static inline void serving_end(struct serving *serving)
{
	lb_server_stop(serving->server);
	assert_int_equal(pthread_join(serving->thread, NULL), 0);
	lb_server_free(serving->server);
	for (int i = 0; i < 2; i++) {
		close(serving->entered[i]);
		close(serving->go[i]);
	}
}

/* Waits until a commit has begun; lets one go on. */
static inline void await_commit(struct serving *serving)
{
	char byte;

	assert_int_equal(read(serving->entered[0], &byte, 1), 1);
}

static inline void let_go(struct serving *serving)
{
	assert_int_equal(write(serving->go[1], "", 1), 1);
}

/* A client. What it says is gathered until it is sent. */
struct wire {
	int      fd;
	uint32_t handle;
	uint64_t number;
	uint8_t  client;
	uint8_t  said[1 << 16];
	size_t   said_len;
	uint8_t  payload[1 << 17];
};

static inline void wire_say(struct wire *wire, unsigned type, const void *payload, size_t len)
{
	assert_true(wire->said_len + LB_HEADER_BYTES + len <= sizeof wire->said);
	lb_header_put(wire->said + wire->said_len, type, lb_frame_has_handle(type) ? wire->handle : 0,
		(uint32_t)len);
	if (len > 0)
		memcpy(wire->said + wire->said_len + LB_HEADER_BYTES, payload, len);
	wire->said_len += LB_HEADER_BYTES + len;
}

static inline void wire_send(struct wire *wire)
{
	assert_int_equal(send(wire->fd, wire->said, wire->said_len, MSG_NOSIGNAL), wire->said_len);
	wire->said_len = 0;
}

static inline void wire_read(struct wire *wire, void *buf, size_t len)
{
	struct pollfd waited = {.fd = wire->fd, .events = POLLIN};

	while (len > 0) {
		ssize_t n;

		assert_int_equal(poll(&waited, 1, 20000), 1);
		n = recv(wire->fd, buf, len, 0);
		assert_true(n > 0);
		buf = (uint8_t *)buf + n;
		len -= (size_t)n;
	}
}

/* The next frame, which must be of this type; its payload lies in wire->payload. */
static inline struct lb_header wire_hear(struct wire *wire, unsigned type)
{
	uint8_t          bytes[LB_HEADER_BYTES];
	struct lb_header header;

	wire_read(wire, bytes, sizeof bytes);
	lb_header_get(bytes, &header);
	assert_string_equal(lb_frame_name(header.type), lb_frame_name(type));
	wire_read(wire, wire->payload, header.length);
	return header;
}

static inline void wire_connect(struct wire *wire, struct serving *serving)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr                  = htonl(INADDR_LOOPBACK),
		.sin_port                         = htons((uint16_t)lb_server_port(serving->server))};

	memset(wire, 0, sizeof *wire);
	wire->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(wire->fd, (struct sockaddr *)&address, sizeof address), 0);
}

static inline void wire_open(struct wire *wire, struct serving *serving, uint8_t client, uint32_t features)
{
	struct lb_hello hello = {.min_version = 1,
		.max_version                  = 1,
		.features                     = features,
		.client                       = {client},
		.idle_ms                      = 60000};
	uint8_t         payload[LB_PAYLOAD_MAX];

	wire_connect(wire, serving);
	wire->client = client;
	wire_say(wire, LB_FRAME_HELLO, payload, lb_hello_put(payload, &hello));
	wire_send(wire);
	wire_hear(wire, LB_FRAME_HELLO_OK);
}

static inline void wire_begin(struct wire *wire, uint32_t attempt)
{
	struct lb_begin begin = {.id = {.client = {wire->client}, .number = ++wire->number},
		.ledger              = {{1}},
		.attempt             = attempt,
		.length              = LB_UNKNOWN,
		.name                = "n"};
	uint8_t         payload[LB_PAYLOAD_MAX];

	wire->handle++;
	wire_say(wire, LB_FRAME_BEGIN, payload, lb_begin_put(payload, &begin));
}

static inline void wire_commit(struct wire *wire, const char *content)
{
	uint8_t          payload[LB_PAYLOAD_MAX];
	struct lb_hasher hasher;
	struct lb_digest digest;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, content, strlen(content));
	lb_hasher_digest(&hasher, &digest);
	wire_say(wire, LB_FRAME_COMMIT, payload, lb_commit_put(payload, strlen(content), &digest));
}

/* BEGIN, DATA and COMMIT of the next delivery. */
static inline void wire_deliver(struct wire *wire, uint32_t attempt, const char *content)
{
	wire_begin(wire, attempt);
	wire_say(wire, LB_FRAME_DATA, content, strlen(content));
	wire_commit(wire, content);
}

/* CLOSE, and the end of the connection on both sides. */
static inline void wire_close(struct wire *wire)
{
	char byte;

	wire_say(wire, LB_FRAME_CLOSE, NULL, 0);
	wire_send(wire);
	wire_hear(wire, LB_FRAME_CLOSE_OK);
	assert_int_equal(shutdown(wire->fd, SHUT_WR), 0);
	assert_int_equal(recv(wire->fd, &byte, 1, 0), 0);
	close(wire->fd);
}

#endif
