/* SPDX-License-Identifier: MIT */
/* The loop, the network, the clock and the sink of fake.h, and what its clients say and hear. */
#include "fake.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define LISTENER 100 /* the descriptor; those of the peers follow */

static struct fake *fake_of(struct lb_host *host)
{
	return (struct fake *)((char *)host - offsetof(struct fake, host));
}

static struct peer *peer_of(struct lb_host *host, int fd)
{
	assert_in_range(fd, LISTENER + 1, LISTENER + FAKE_PEERS);
	return &fake_of(host)->peers[fd - LISTENER - 1];
}

/* The loop. */

static int watch(struct lb_loop *loop, struct lb_watch *watch)
{
	struct fake *fake = (struct fake *)loop;

	assert_null(fake->watches[watch->fd - LISTENER]);
	if (fake->watch_error != 0)
		return fake->watch_error;
	fake->watches[watch->fd - LISTENER] = watch;
	return 0;
}

static int rewatch(struct lb_loop *loop, struct lb_watch *watch)
{
	assert_ptr_equal(((struct fake *)loop)->watches[watch->fd - LISTENER], watch);
	return 0;
}

static void unwatch(struct lb_loop *loop, struct lb_watch *watch)
{
	assert_ptr_equal(((struct fake *)loop)->watches[watch->fd - LISTENER], watch);
	((struct fake *)loop)->watches[watch->fd - LISTENER] = NULL;
}

static void submit(struct lb_loop *loop, struct lb_job *job)
{
	struct fake *fake = (struct fake *)loop;

	job->next = NULL;
	*fake->last_job = job;
	fake->last_job = &job->next;
}

static const struct lb_loop_ops loop_ops = {
	.watch = watch, .rewatch = rewatch, .unwatch = unwatch, .submit = submit};

/* The clock and the network. */

static lb_time now(struct lb_host *host)
{
	return fake_of(host)->now;
}

static int resolve(
	struct lb_host *host, const char *address, struct lb_endpoint *endpoints, int max, const char **whyp)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(7117), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	(void)address;
	assert_true(max > 0);
	*whyp = "no such host";
	if (fake_of(host)->is_public)
		addr.sin_addr.s_addr = htonl(INADDR_ANY);
	endpoints[0].len = sizeof addr;
	memcpy(&endpoints[0].addr, &addr, sizeof addr);
	return fake_of(host)->resolve_error != 0 ? fake_of(host)->resolve_error : 1;
}

static int start_to_listen(
	struct lb_host *host, const struct lb_endpoint *endpoint, struct lb_endpoint *boundp)
{
	*boundp = *endpoint;
	return fake_of(host)->listen_error != 0 ? fake_of(host)->listen_error : LISTENER;
}

static void unlisten(struct lb_host *host, int fd)
{
	assert_int_equal(fd, LISTENER);
	assert_null(fake_of(host)->watches[0]);
}

static int accept_one(struct lb_host *host, int fd, struct lb_endpoint *peerp)
{
	struct fake *fake = fake_of(host);
	struct sockaddr_in addr = {.sin_family = AF_INET};

	assert_int_equal(fd, LISTENER);
	if (fake->accept_error != 0)
		return fake->accept_error;
	if (fake->accepted == fake->n_peers)
		return -EAGAIN;
	peerp->len = sizeof addr;
	memcpy(&peerp->addr, &addr, sizeof addr);
	return LISTENER + (int)++fake->accepted;
}

static ssize_t recv_some(struct lb_host *host, int fd, void *buf, size_t len)
{
	struct peer *peer = peer_of(host, fd);

	if (len > peer->to_server_len)
		len = peer->to_server_len;
	if (len == 0)
		return peer->recv_error != 0 ? peer->recv_error : peer->fin ? 0 : -EAGAIN;
	memcpy(buf, peer->to_server, len);
	memmove(peer->to_server, peer->to_server + len, peer->to_server_len - len);
	peer->to_server_len -= len;
	return (ssize_t)len;
}

static ssize_t send_some(struct lb_host *host, int fd, const struct iovec *iov, int n)
{
	struct peer *peer = peer_of(host, fd);
	size_t total = 0;

	if (peer->send_error != 0)
		return peer->send_error;
	for (int i = 0; i < n && peer->room > 0; i++) {
		size_t len = iov[i].iov_len < peer->room ? iov[i].iov_len : peer->room;

		assert_true(peer->to_client_len + len <= sizeof peer->to_client);
		memcpy(peer->to_client + peer->to_client_len, iov[i].iov_base, len);
		peer->to_client_len += len;
		peer->room -= len;
		total += len;
	}
	return total > 0 ? (ssize_t)total : -EAGAIN;
}

static void go_away(struct lb_host *host, int fd)
{
	assert_false(peer_of(host, fd)->gone);
	assert_null(fake_of(host)->watches[fd - LISTENER]); /* no watch outlives its descriptor */
	peer_of(host, fd)->gone = true;
}

static void abort_connection(struct lb_host *host, int fd, struct lb_outcome *outcomep)
{
	*outcomep = (struct lb_outcome){.how = LB_END_LOCAL_ABORT};
	go_away(host, fd);
}

static void end_start(struct lb_host *host, struct lb_ending_run *run, int fd, lb_time deadline)
{
	static const struct lb_ending plain;

	peer_of(host, fd)->ending = true;
	*run = (struct lb_ending_run){.fd = fd,
		.ending = &plain,
		.deadline = deadline,
		.started = fake_of(host)->now,
		.progress_at = fake_of(host)->now,
		.acked_at = LB_NEVER};
}

static bool end_step(struct lb_host *host, struct lb_ending_run *run, struct lb_outcome *outcomep)
{
	const struct fake *fake = fake_of(host);

	*outcomep = (struct lb_outcome){.how = LB_END_FIN};
	if (fake->lingers && fake->now < run->deadline)
		return false;
	go_away(host, run->fd);
	run->fd = -1;
	return true;
}

/* The sink. */

static struct fake *fake_of_sink(struct lb_sink *sink)
{
	return (struct fake *)((char *)sink - offsetof(struct fake, sink));
}

static void sink_begin(struct lb_sink *sink, struct lb_intake *intake)
{
	struct fake *fake = fake_of_sink(sink);

	fake->begun++;
	intake->verdict = fake->begin_verdict;
	intake->reason = fake->begin_reason;
	intake->offset = intake->received = fake->kept;
}

static void sink_rehash(struct lb_sink *sink, struct lb_intake *intake, struct lb_hasher *hasher)
{
	(void)hasher;
	fake_of_sink(sink)->rehashed++;
	intake->rehashed++;
}

static enum lb_reason sink_write(struct lb_sink *sink, struct lb_intake *intake, const void *buf, size_t len)
{
	(void)buf;
	intake->received += len;
	return fake_of_sink(sink)->write_reason;
}

static enum lb_reason sink_sync(struct lb_sink *sink, struct lb_intake *intake, uint64_t offset)
{
	assert_true(offset <= intake->received);
	return fake_of_sink(sink)->sync_reason;
}

static enum lb_reason sink_read(struct lb_sink *sink, struct lb_intake *intake, void *buf)
{
	memset(buf, 'x', (size_t)intake->received);
	return fake_of_sink(sink)->read_reason;
}

static int sink_is_decided(struct lb_sink *sink, const struct lb_id *id, bool *decidedp)
{
	(void)id;
	*decidedp = false;
	return fake_of_sink(sink)->look_error;
}

static void sink_commit(struct lb_sink *sink, struct lb_intake **intakes, size_t n)
{
	struct fake *fake = fake_of_sink(sink);

	for (size_t i = 0; i < n; i++) {
		struct lb_receipt *receipt = &intakes[i]->receipt;

		fake->committed++;
		*receipt = (struct lb_receipt){.id = intakes[i]->id,
			.ledger = sink->ledger,
			.length = intakes[i]->received + fake->forges,
			.digest = intakes[i]->digest};
		strcpy(receipt->name, intakes[i]->name);
		strcpy(receipt->placed, intakes[i]->name);
		intakes[i]->verdict = fake->commit_verdict;
		intakes[i]->reason = fake->commit_reason;
	}
}

static void sink_rollback(struct lb_sink *sink, struct lb_intake *intake)
{
	(void)intake;
	fake_of_sink(sink)->rolled_back++;
}

static void sink_leave(struct lb_sink *sink, struct lb_intake *intake)
{
	(void)intake;
	fake_of_sink(sink)->left++;
}

static void sink_resolve(struct lb_sink *sink, struct lb_resolution *resolution)
{
	resolution->verdict = fake_of_sink(sink)->resolve_verdict;
	resolution->reason = fake_of_sink(sink)->resolve_reason;
	resolution->receipt = (struct lb_receipt){
		.id = resolution->id, .ledger = sink->ledger, .name = "name", .placed = "name"};
	resolution->reply_len = fake_of_sink(sink)->resolve_reply;
	resolution->reply = resolution->reply_len > 0 ? calloc(1, resolution->reply_len) : NULL;
}

static void sink_settle(struct lb_sink *sink, const struct lb_id *lowest)
{
	fake_of_sink(sink)->settled++;
	fake_of_sink(sink)->lowest = *lowest;
}

static void sink_sweep(struct lb_sink *sink)
{
	fake_of_sink(sink)->swept++;
}

static const struct lb_sink_ops sink_ops = {.begin = sink_begin,
	.rehash = sink_rehash,
	.write = sink_write,
	.sync = sink_sync,
	.read = sink_read,
	.is_decided = sink_is_decided,
	.commit = sink_commit,
	.rollback = sink_rollback,
	.leave = sink_leave,
	.resolve = sink_resolve,
	.settle = sink_settle,
	.sweep = sink_sweep};

static void report(void *arg, const struct lb_report *line)
{
	struct fake *fake = arg;

	assert_non_null(line->peer);
	assert_true(fake->n_reports < 16);
	fake->reports[fake->n_reports++] = *line;
}

static void stopped(struct lb_server *server)
{
	((struct fake *)server->loop)->stopped = true;
}

int fake_setup(void **state)
{
	static const struct lb_clock_ops clock = {.now = now};
	static const struct lb_net_ops net = {.resolve = resolve,
		.listen = start_to_listen,
		.unlisten = unlisten,
		.accept = accept_one,
		.recv = recv_some,
		.send = send_some,
		.end_start = end_start,
		.end_step = end_step,
		.abort = abort_connection,
		.close = go_away};
	struct fake *fake = calloc(1, sizeof *fake);

	assert_non_null(fake);
	fake->now = FAKE_SECOND;
	fake->host = (struct lb_host){.clock = &clock, .net = &net};
	fake->loop = (struct lb_loop){.ops = &loop_ops, .host = &fake->host};
	lb_wheel_init(&fake->loop.wheel, fake->now);
	fake->last_job = &fake->jobs;
	fake->sink = (struct lb_sink){.ops = &sink_ops,
		.host = &fake->host,
		.ledger.bytes = {0x11},
		.resumable = true,
		.sweep_every = 1000 * FAKE_SECOND};
	fake->options = (struct lb_server_options){.report = report, .arg = fake};
	fake->begin_verdict = LB_VERDICT_UNPROVEN;
	fake->commit_verdict = fake->resolve_verdict = LB_VERDICT_COMMITTED;
	*state = fake;
	return 0;
}

int fake_start(struct fake *fake)
{
	return lb_server_new_on(&fake->loop, &fake->sink, &fake->options, stopped, &fake->server, fake->why);
}

int fake_setup_running(void **state)
{
	fake_setup(state);
	return fake_start(*state);
}

int fake_teardown(void **state)
{
	struct fake *fake = *state;

	if (fake->server != NULL) {
		lb_server_drop(fake->server);
		fake_run(fake);
		assert_int_equal(fake->server->n_tasks, 0);
		lb_server_release(fake->server);
	}
	for (unsigned i = 0; i < fake->n_peers; i++) {
		assert_true(fake->peers[i].gone || i >= fake->accepted);
		lb_conn_free(fake->peers[i].conn);
	}
	assert_int_equal(lb_wheel_next(&fake->loop.wheel), LB_NEVER);
	free(fake);
	return 0;
}

/* What it says goes to the server, and what came from there to it. */
static bool move_peer(struct fake *fake, struct peer *peer)
{
	struct iovec iov[4];
	bool moved = peer->to_client_len > 0;
	size_t used = 0;

	while (used < peer->to_client_len && peer->n_events < FAKE_EVENTS) {
		struct lb_event *event = &peer->events[peer->n_events];
		size_t n = lb_conn_recv(
			peer->conn, peer->to_client + used, peer->to_client_len - used, fake->now, event);

		used += n;
		peer->n_events += event->type != LB_EVENT_NONE;
	}
	peer->to_client_len = 0;
	while (!peer->fin && lb_conn_send(peer->conn, iov, 4) > 0 &&
		peer->to_server_len + iov[0].iov_len <= sizeof peer->to_server) {
		memcpy(peer->to_server + peer->to_server_len, iov[0].iov_base, iov[0].iov_len);
		peer->to_server_len += iov[0].iov_len;
		lb_conn_sent(peer->conn, iov[0].iov_len, fake->now);
		moved = true;
	}
	return moved;
}

static uint32_t events_of(const struct fake *fake, int i)
{
	const struct peer *peer = i > 0 ? &fake->peers[i - 1] : NULL;

	if (peer == NULL)
		return fake->accept_error != 0 || fake->accepted < fake->n_peers ? EPOLLIN : 0;
	if (peer->ending) /* it is its time that ends it */
		return 0;
	if (peer->recv_error != 0)
		return EPOLLIN | EPOLLERR | EPOLLHUP;
	return (peer->to_server_len > 0 || peer->fin ? EPOLLIN : 0) | (peer->room > 0 ? EPOLLOUT : 0);
}

static bool step(struct fake *fake)
{
	struct lb_timer *timer = lb_wheel_expire(&fake->loop.wheel, fake->now);
	bool moved = timer != NULL;

	if (timer != NULL)
		timer->expired(timer);
	for (unsigned i = 0; i < fake->n_peers; i++)
		moved = move_peer(fake, &fake->peers[i]) || moved;
	for (int i = 0; i <= FAKE_PEERS; i++) {
		struct lb_watch *watched = fake->watches[i];
		uint32_t asked = watched != NULL ? watched->events : 0;
		uint32_t events = asked != 0 ? events_of(fake, i) & (asked | EPOLLERR | EPOLLHUP) : 0;

		if (events != 0)
			watched->ready(watched, events);
		moved = moved || events != 0;
	}
	return moved;
}

void fake_run_without_jobs(struct fake *fake)
{
	for (int i = 0; step(fake); i++)
		assert_true(i < 1000);
}

void fake_run(struct fake *fake)
{
	for (;;) {
		struct lb_job *job, *next;

		fake_run_without_jobs(fake);
		job = fake->jobs;
		if (job == NULL)
			return;
		fake->jobs = NULL;
		fake->last_job = &fake->jobs;
		fake->loop.work(fake->loop.work_arg, job);
		for (; job != NULL; job = next) {
			next = job->next;
			job->done(job);
		}
	}
}

void fake_pass(struct fake *fake, lb_time time)
{
	fake->now += time;
	fake_run(fake);
}

/* The clients. */

struct lb_id fake_id(uint64_t number)
{
	return (struct lb_id){.client = {0xc1}, .number = number};
}

struct peer *fake_connect(struct fake *fake, uint32_t features)
{
	const struct lb_conn_options options = {.role = LB_ROLE_CLIENT, .features = features};
	const struct lb_id id = fake_id(0);
	struct peer *peer = &fake->peers[fake->n_peers++];

	assert_true(fake->n_peers <= FAKE_PEERS);
	peer->room = SIZE_MAX;
	peer->conn = lb_conn_new(&options, id.client, fake->now);
	assert_non_null(peer->conn);
	return peer;
}

struct peer *fake_greet(struct fake *fake, uint32_t features)
{
	struct peer *peer = fake_connect(fake, features);

	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_HELLO_OK));
	return peer;
}

uint32_t peer_begin(struct peer *peer, uint64_t number, uint32_t attempt)
{
	const struct lb_begin begin = {.id = fake_id(number),
		.ledger.bytes = {0x11},
		.attempt = attempt,
		.length = LB_UNKNOWN,
		.name = "name"};
	uint32_t handle;

	assert_int_equal(lb_conn_begin(peer->conn, &begin, &handle), 0);
	return handle;
}

void peer_data(struct peer *peer, uint32_t handle, const char *text)
{
	assert_int_equal(lb_conn_data(peer->conn, handle, text, strlen(text)), 0);
}

void peer_commit(struct peer *peer, uint32_t handle, const char *text)
{
	struct lb_hasher hasher;
	struct lb_digest digest;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, text, strlen(text));
	lb_hasher_digest(&hasher, &digest);
	assert_int_equal(lb_conn_commit(peer->conn, handle, strlen(text), &digest), 0);
}

uint32_t peer_open(struct fake *fake, struct peer *peer, uint64_t number)
{
	uint32_t handle = peer_begin(peer, number, 1);

	fake_run(fake);
	assert_non_null(peer_heard(peer, LB_EVENT_BEGIN_OK));
	return handle;
}

uint32_t peer_deliver(struct fake *fake, struct peer *peer, uint64_t number, const char *text)
{
	uint32_t handle = peer_open(fake, peer, number);

	peer_data(peer, handle, text);
	fake_run(fake);
	peer_commit(peer, handle, text);
	return handle;
}

const struct lb_event *peer_heard(const struct peer *peer, enum lb_event_type type)
{
	for (unsigned i = peer->n_events; i > 0; i--)
		if (peer->events[i - 1].type == type)
			return &peer->events[i - 1];
	return NULL;
}
