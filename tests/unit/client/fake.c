/* SPDX-License-Identifier: MIT */
/* The server of fake.h: its network, its clock, and its answers. */
#include "fake.h"
#include <netinet/in.h>
#include <sys/epoll.h>

static struct fake *fake_of(struct lb_host *host)
{
	return (struct fake *)host;
}

static lb_time clock_now(struct lb_host *host)
{
	return fake_of(host)->now;
}

static int resolve(
	struct lb_host *host, const char *address, struct lb_endpoint *endpoints, int max, const char **whyp)
{
	static const struct sockaddr_in addr = {.sin_family = AF_INET};

	(void)host, (void)max;
	if (strcmp(address, "nowhere:7117") == 0) {
		*whyp = "no such host";
		return -EHOSTUNREACH;
	}
	for (int i = 0; i < 3; i++) {
		endpoints[i].len = sizeof addr;
		memcpy(&endpoints[i].addr, &addr, sizeof addr);
		((struct sockaddr_in *)&endpoints[i].addr)->sin_port = htons((uint16_t)(i + 1));
	}
	return 3;
}

static int connect_to(struct lb_host *host, const struct lb_endpoint *endpoint)
{
	struct fake *fake = fake_of(host);
	struct lb_conn_options options = {.role = LB_ROLE_SERVER,
		.ledger = fake->ledger,
		.max_delivery = LB_UNKNOWN,
		.features = LB_FEATURE_REPLY | (fake->resumes ? LB_FEATURE_RESUME : 0),
		.max_undecided = fake->allows,
		.busy = fake->busy};

	assert_int_equal(lb_endpoint_port(endpoint), (fake->connects - fake->first_endpoint) % 3 + 1);
	if (++fake->connects <= fake->refuse_connects)
		return fake->connects % 2 ? -ENETUNREACH : FAKE_FD;
	lb_conn_free(fake->server);
	fake->server = lb_conn_new(&options, NULL, fake->now);
	assert_non_null(fake->server);
	return FAKE_FD;
}

static int connected(struct lb_host *host, int fd)
{
	const struct fake *fake = fake_of(host);

	assert_int_equal(fd, FAKE_FD);
	if (fake->black_hole)
		return -EINPROGRESS;
	return fake->connects <= fake->refuse_connects ? -ECONNREFUSED : 0;
}

/* What the server's machine has to say becomes bytes for the client. */
static void say(struct fake *fake)
{
	struct iovec iov[4];
	int n;

	while (!fake->mute && (n = lb_conn_send(fake->server, iov, 4)) > 0)
		for (int i = 0; i < n; i++) {
			assert_true(fake->to_client_len + iov[i].iov_len <= sizeof fake->to_client);
			memcpy(fake->to_client + fake->to_client_len, iov[i].iov_base, iov[i].iov_len);
			fake->to_client_len += iov[i].iov_len;
			lb_conn_sent(fake->server, iov[i].iov_len, fake->now);
			break;
		}
}

struct lb_receipt fake_received(struct fake *fake)
{
	struct lb_receipt receipt = {.id = fake->id,
		.ledger = fake->ledger,
		.length = fake->length,
		.committed_at = 1,
		.durability = LB_DURABILITY_FSYNC};

	lb_hasher_digest(&fake->hasher, &receipt.digest);
	strcpy(receipt.name, fake->name);
	strcpy(receipt.placed, fake->name);
	return receipt;
}

static void begin(struct fake *fake, const struct lb_event *event)
{
	fake->id = event->id;
	strcpy(fake->name, event->name);
	fake->length = fake->offset;
	lb_hasher_init(&fake->hasher);
	lb_hasher_update(&fake->hasher, fake->kept, fake->offset);
	if (fake->refuse_begin != LB_REASON_NONE)
		assert_int_equal(
			lb_conn_refused(fake->server, event->handle, fake->refuse_begin, fake->words), 0);
	else if (fake->has != NULL)
		assert_int_equal(lb_conn_committed(fake->server, event->handle, fake->has), 0);
	else
		assert_int_equal(
			lb_conn_begin_ok(fake->server, event->handle, fake->offset, fake->resumes), 0);
}

static void answer_resolve(struct fake *fake, const struct lb_event *event)
{
	enum lb_reason reason =
		fake->resolves_to == LB_VERDICT_FORGOTTEN ? LB_REASON_FORGOTTEN : LB_REASON_FENCED;

	if (fake->refuse_resolve != LB_REASON_NONE)
		assert_int_equal(
			lb_conn_refused(fake->server, event->handle, fake->refuse_resolve, fake->words), 0);
	else if (fake->has != NULL)
		assert_int_equal(lb_conn_resolved(fake->server, event->handle, LB_VERDICT_COMMITTED,
					 LB_REASON_NONE, fake->has),
			0);
	else
		assert_int_equal(
			lb_conn_resolved(fake->server, event->handle, fake->resolves_to, reason, NULL), 0);
}

static void answer(struct fake *fake, const struct lb_event *event)
{
	struct lb_receipt receipt;

	switch (event->type) {
	case LB_EVENT_BEGIN:
		begin(fake, event);
		break;
	case LB_EVENT_DATA:
		if (fake->refuse_data != LB_REASON_NONE)
			assert_int_equal(
				lb_conn_refused(fake->server, event->handle, fake->refuse_data, fake->words),
				0);
		break;
	case LB_EVENT_COMMIT:
		receipt = fake_received(fake);
		if (fake->refuse_commit != LB_REASON_NONE)
			assert_int_equal(lb_conn_refused(fake->server, event->handle, fake->refuse_commit,
						 fake->words),
				0);
		else
			assert_int_equal(lb_conn_committed(fake->server, event->handle, &receipt), 0);
		break;
	case LB_EVENT_SYNC:
		assert_int_equal(lb_conn_synced(fake->server, event->handle, fake->length), 0);
		break;
	case LB_EVENT_ROLLBACK:
		assert_int_equal(lb_conn_rolled_back(fake->server, event->handle), 0);
		break;
	case LB_EVENT_RESOLVE:
		answer_resolve(fake, event);
		break;
	default:
		break;
	}
}

static void take(struct fake *fake, const struct lb_event *event)
{
	static const char letters[] = {[LB_EVENT_HELLO] = 'H',
		[LB_EVENT_BEGIN] = 'B',
		[LB_EVENT_DATA] = 'D',
		[LB_EVENT_SYNC] = 'Y',
		[LB_EVENT_COMMIT] = 'C',
		[LB_EVENT_ROLLBACK] = 'R',
		[LB_EVENT_RESOLVE] = '?',
		[LB_EVENT_SETTLED] = 'S',
		[LB_EVENT_CLOSE] = 'X',
		[LB_EVENT_ERROR] = 'E'};
	size_t n = strlen(fake->order);

	fake->seen[event->type]++;
	fake->last[event->type] = *event;
	if (event->type == LB_EVENT_DATA) {
		lb_hasher_update(&fake->hasher, event->data, event->len);
		fake->length += event->len;
	}
	if (n + 1 < sizeof fake->order &&
		(event->type != LB_EVENT_DATA || n == 0 || fake->order[n - 1] != 'D'))
		fake->order[n] = letters[event->type];
	if (fake->on != NULL)
		fake->on(fake, event);
	if (fake->cut_at == event->type)
		fake->broken = fake->cut;
	else if (fake->fail_at == event->type)
		lb_conn_fail(fake->server, fake->fail_with, fake->words);
	else if (fake->silent_at != event->type)
		answer(fake, event);
}

/* How many of them the machine has taken. */
static size_t feed(struct fake *fake, const uint8_t *buf, size_t len)
{
	struct lb_event event;
	size_t used = 0;

	while (used < len && fake->broken == FAKE_NO_CUT) {
		size_t n = lb_conn_recv(fake->server, buf + used, len - used, fake->now, &event);

		used += n;
		if (event.type != LB_EVENT_NONE)
			take(fake, &event);
		else if (n == 0)
			return used;
	}
	return len;
}

static void forge(struct fake *fake)
{
	struct lb_digest digest;
	uint8_t *at;

	lb_hasher_digest(&fake->hasher, &digest);
	at = memmem(fake->to_client, fake->to_client_len, digest.bytes, sizeof digest.bytes);
	if (fake->forges && at != NULL)
		at[7] ^= 1;
}

static void hear(struct fake *fake, const uint8_t *buf, size_t len)
{
	size_t used = fake->held_len == 0 ? feed(fake, buf, len) : 0;

	assert_true(fake->held_len + len - used <= sizeof fake->held);
	memcpy(fake->held + fake->held_len, buf + used, len - used);
	fake->held_len += len - used;
	say(fake);
	forge(fake);
}

void fake_begin_ok(struct fake *fake)
{
	assert_int_equal(lb_conn_begin_ok(fake->server, fake->last[LB_EVENT_BEGIN].handle, 0, false), 0);
	fake->silent_at = LB_EVENT_NONE;
	assert_int_equal(feed(fake, fake->held, fake->held_len), fake->held_len);
	fake->held_len = 0;
	say(fake);
}

static ssize_t send_some(struct lb_host *host, int fd, const struct iovec *iov, int n)
{
	struct fake *fake = fake_of(host);
	size_t total = 0;

	assert_int_equal(fd, FAKE_FD);
	if (fake->answer_in_flight) {
		say(fake);
		fake->broken =
			FAKE_FIN; /* the send has taken the error: what follows looks like a good end */
	}
	if (fake->send_error != 0)
		return fake->send_error;
	for (int i = 0; i < n && fake->room > 0; i++) {
		size_t len = iov[i].iov_len < fake->room ? iov[i].iov_len : fake->room;

		fake->room -= len;
		total += len;
		if (!fake->raw_garbage)
			hear(fake, iov[i].iov_base, len);
	}
	if (fake->raw_garbage && fake->to_client_len == 0) {
		memcpy(fake->to_client, "220 mail.example ESMTP\r\n", 24);
		fake->to_client_len = 24;
	}
	fake->sent += total;
	fake->sends++;
	return total > 0 ? (ssize_t)total : -EAGAIN;
}

static ssize_t recv_some(struct lb_host *host, int fd, void *buf, size_t len)
{
	struct fake *fake = fake_of(host);

	assert_int_equal(fd, FAKE_FD);
	if (len > fake->to_client_len)
		len = fake->to_client_len;
	if (len == 0)
		return fake->broken == FAKE_FIN ? 0 : fake->broken == FAKE_RST ? -ECONNRESET : -EAGAIN;
	memcpy(buf, fake->to_client, len);
	memmove(fake->to_client, fake->to_client + len, fake->to_client_len - len);
	fake->to_client_len -= len;
	return (ssize_t)len;
}

static int ready(struct fake *fake, int fd, uint32_t events)
{
	if (fd == FAKE_INTERRUPT || fd == FAKE_INPUT)
		return fake->fds_ready[fd - FAKE_FD];
	if (fd < 0 || fake->black_hole)
		return false;
	if ((events & EPOLLOUT) && fake->room == 0)
		fake->room = fake->drained;
	return ((events & EPOLLIN) && (fake->to_client_len > 0 || fake->broken != FAKE_NO_CUT)) ||
	       ((events & EPOLLOUT) && fake->room > 0);
}

static int wait_for(struct lb_host *host, int fd, uint32_t events, int fd2, int fd3, lb_time deadline)
{
	struct fake *fake = fake_of(host);
	int mask = ready(fake, fd, events) | ready(fake, fd2, EPOLLIN) << 1 | ready(fake, fd3, EPOLLIN) << 2;
	struct lb_event event;

	if (fake->push) {
		fake->push = false;
		say(fake);
		return 0;
	}
	if (mask != 0 || deadline <= fake->now)
		return mask;
	assert_int_not_equal(deadline, LB_NEVER); /* it would wait for ever */
	fake->now = fake->waited_until = deadline;
	if (fake->server != NULL && lb_conn_deadline(fake->server) <= fake->now) {
		lb_conn_tick(fake->server, fake->now, &event);
		say(fake);
	}
	return 0;
}

static const struct lb_ending plain;

static void end_start(struct lb_host *host, struct lb_ending_run *run, int fd, lb_time deadline)
{
	assert_int_equal(fd, FAKE_FD);
	fake_of(host)->ended++;
	*run = (struct lb_ending_run){.fd = fd, .ending = &plain, .deadline = deadline, .acked_at = LB_NEVER};
}

static bool end_step(struct lb_host *host, struct lb_ending_run *run, struct lb_outcome *outcomep)
{
	run->fd = -1;
	*outcomep = (struct lb_outcome){.how = LB_END_FIN,
		.by = LB_PARTY_PEER,
		.phase = LB_PHASE_DONE,
		.rung = LB_RUNG_ENDED,
		.accepted = fake_of(host)->sent,
		.acked = fake_of(host)->sent};
	return true;
}

static void abort_connection(struct lb_host *host, int fd, struct lb_outcome *outcomep)
{
	assert_int_equal(fd, FAKE_FD);
	fake_of(host)->aborted++;
	*outcomep = (struct lb_outcome){.how = LB_END_LOCAL_ABORT,
		.by = LB_PARTY_SELF,
		.rung = LB_RUNG_ACCEPTED,
		.accepted = fake_of(host)->sent,
		.acked = LB_UNKNOWN,
		.lost = LB_UNKNOWN};
}

int fake_setup(void **state)
{
	struct fake *fake = aligned_alloc(_Alignof(struct fake), sizeof *fake);

	assert_non_null(fake);
	memset(fake, 0, sizeof *fake);
	lb_hasher_init(&fake->hasher);
	faulty_init(&fake->machine);
	fake->clock = (struct lb_clock_ops){.now = clock_now, .random = fake->machine.host.clock->random};
	fake->net = (struct lb_net_ops){.resolve = resolve,
		.connect = connect_to,
		.connected = connected,
		.recv = recv_some,
		.send = send_some,
		.wait = wait_for,
		.end_start = end_start,
		.end_step = end_step,
		.abort = abort_connection};
	fake->machine.host.clock = &fake->clock;
	fake->machine.host.net = &fake->net;
	fake->now = 1000000000;
	fake->room = SIZE_MAX;
	fake->ledger.bytes[0] = 0x11;
	fake->resolves_to = LB_VERDICT_ROLLED_BACK;
	scratch_make(&fake->scratch);
	fake->dir = strdup(scratch_path(&fake->scratch, "state"));
	*state = fake;
	return 0;
}

int fake_teardown(void **state)
{
	struct fake *fake = *state;

	lb_conn_free(fake->server);
	scratch_remove(&fake->scratch);
	free((char *)fake->dir);
	free(fake);
	return 0;
}

lb_time fake_in(const struct fake *fake, int seconds)
{
	return fake->now + seconds * INT64_C(1000000000);
}

struct lb_client *fake_client(struct fake *fake)
{
	const struct lb_client_options options = {.state_dir = fake->dir, .interrupt_fd = FAKE_INTERRUPT};
	struct lb_client *client = NULL;
	struct lb_outcome outcome;

	assert_int_equal(lb_client_open_on(
				 &fake->machine.host, "host", &options, fake_in(fake, 10), &client, &outcome),
		0);
	assert_non_null(client);
	return client;
}

void fake_restart(struct fake *fake)
{
	memset(fake->order, 0, sizeof fake->order);
	memset(fake->seen, 0, sizeof fake->seen);
	fake->connects = 0;
	fake->to_client_len = 0;
	fake->broken = FAKE_NO_CUT;
	fake->room = SIZE_MAX;
	fake->sent = 0;
	fake->send_error = 0;
	fake->held_len = 0;
}

void fake_begin(struct fake *fake, struct lb_client *client)
{
	const struct lb_delivery delivery = {.name = "name", .length = LB_UNKNOWN, .source = "/source"};

	assert_int_equal(lb_client_begin(client, &delivery, fake_in(fake, 10)), 0);
}

int fake_write(struct fake *fake, struct lb_client *client, const char *text)
{
	return lb_client_write(client, text, strlen(text), fake_in(fake, 10));
}

struct told fake_commit(struct fake *fake, struct lb_client *client)
{
	struct told told;

	told.r = lb_client_commit(client, fake_in(fake, 10), &told.receipt, &told.outcome);
	return told;
}

struct told fake_rollback(struct fake *fake, struct lb_client *client, enum lb_reason reason)
{
	struct told told;

	told.r = lb_client_rollback(client, reason, fake_in(fake, 10), &told.receipt, &told.outcome);
	return told;
}

struct told fake_resolve(struct fake *fake, struct lb_client *client, const struct lb_id *id)
{
	struct told told;

	told.r = lb_client_resolve(client, id, fake_in(fake, 10), &told.receipt, &told.outcome);
	return told;
}

struct told fake_close(struct fake *fake, struct lb_client *client)
{
	struct told told = {.r = 0};

	told.r = lb_client_close(client, fake_in(fake, 10), &told.outcome);
	return told;
}

struct lb_receipt fake_receipt(
	const struct fake *fake, const struct lb_id *id, const char *name, const char *text)
{
	struct lb_receipt receipt = {.id = *id,
		.ledger = fake->ledger,
		.length = strlen(text),
		.committed_at = 5,
		.durability = LB_DURABILITY_FSYNC};
	struct lb_hasher hasher;

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, text, strlen(text));
	lb_hasher_digest(&hasher, &receipt.digest);
	strcpy(receipt.name, name);
	strcpy(receipt.placed, name);
	return receipt;
}

static struct lb_journal *journal_of(struct fake *fake)
{
	struct lb_journal *journal = NULL;
	char why[256] = "";

	if (lb_journal_open(&fake->machine.host, fake->dir, &journal, why) < 0)
		fail_msg("%s", why);
	return journal;
}

bool fake_is_open(struct fake *fake, const struct lb_id *id)
{
	struct lb_journal *journal = journal_of(fake);
	struct lb_journal_entry entry;
	int r = lb_journal_find(journal, id, &entry);

	lb_journal_close(journal);
	assert_in_range(r, 0, 1); /* nobody claims it any more */
	return r == 1;
}

bool fake_is_held(struct fake *fake, const struct lb_id *id)
{
	struct lb_journal *journal = journal_of(fake);
	struct lb_journal_entry entry;
	int r = lb_journal_find(journal, id, &entry);

	lb_journal_close(journal);
	return r == -EBUSY;
}

struct lb_id fake_leave_open(struct fake *fake, const char *name, const char *source)
{
	return fake_leave_open_at(fake, "host:7117", name, source);
}

struct lb_id fake_leave_open_at(struct fake *fake, const char *address, const char *name, const char *source)
{
	struct lb_journal *journal = journal_of(fake);
	struct lb_journal_entry entry = {.ledger = fake->ledger, .attempt = 1};

	strcpy(entry.address, address);
	strcpy(entry.name, name);
	strcpy(entry.source, source);
	assert_int_equal(lb_journal_begin(journal, &entry), 0);
	lb_journal_close(journal);
	return entry.id;
}
