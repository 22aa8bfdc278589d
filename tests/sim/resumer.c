/* SPDX-License-Identifier: MIT */
/* One attempt after the other, frame by frame: begin, DATA, SYNC at times, COMMIT, or vanish. Owns its connections. */
#include "sim/resumer.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

struct talk {
	struct sim_resumer *resumer;
	struct sim_process *process;
	struct sim_world *world;
	struct lb_conn *conn;
	int fd;
	uint32_t handle;
	uint64_t at;   /* sent */
	lb_time until; /* then it vanishes */
	bool open;     /* BEGIN_OK has come, and COMMIT was not said */
	bool syncing;  /* SYNCED has not come, or never would */
	bool over;
};

static void committed(struct talk *talk, const struct lb_event *event)
{
	struct sim_resumer *resumer = talk->resumer;
	const struct lb_outcome outcome = {.verdict = LB_VERDICT_COMMITTED};

	sim_check_told(resumer->check, &resumer->id, resumer->source, &outcome, &event->receipt);
	resumer->done = resumer->asks_left == 0;
	resumer->asks_left -= resumer->asks_left > 0;
	talk->over = true;
}

static void refused(struct talk *talk, const struct lb_event *event)
{
	struct sim_resumer *resumer = talk->resumer;
	const struct lb_outcome outcome = {
		.verdict = lb_reason_verdict(event->reason), .reason = event->reason};

	sim_trace(talk->world, "the resumer is refused: %s", lb_reason_word(event->reason));
	resumer->settles_first = event->reason == LB_REASON_SETTLE_FIRST;
	if (event->reason == LB_REASON_FENCED || event->reason == LB_REASON_SETTLED ||
		event->reason == LB_REASON_FORGOTTEN) {
		sim_check_told(resumer->check, &resumer->id, resumer->source, &outcome, NULL);
		resumer->done = true;
	}
	/* Nobody can ask a ledger that is no more. And what is too large for this server stays so. */
	resumer->done = resumer->done || event->reason == LB_REASON_TOO_LARGE;
	talk->over = true;
}

/* Nobody may do this to a delivery whose end is not known: what is lost then is its receipt, and nothing else. */
static void settle(struct talk *talk)
{
	struct sim_resumer *resumer = talk->resumer;
	struct lb_id lowest = resumer->id;
	uint64_t most = resumer->settles_first ? lowest.number : lowest.number + 2 * LB_NUMBERS_OPEN_MAX;

	lowest.number = 1 + sim_below(talk->world, most);
	talk->over = lb_conn_settled(talk->conn, &lowest) != 0;
}

static void begin(struct talk *talk, const struct lb_event *event)
{
	static const struct lb_uuid unknown;
	struct sim_resumer *resumer = talk->resumer;
	struct lb_begin begin = {.id = resumer->id,
		.ledger = event->ledger,
		.length = sim_chance(talk->world, 50) ? resumer->source->len : LB_UNKNOWN,
		.name = resumer->source->name};

	if (memcmp(&resumer->ledger, &unknown, sizeof unknown) == 0)
		resumer->ledger = event->ledger;
	if (memcmp(&resumer->ledger, &event->ledger, sizeof event->ledger) != 0) {
		resumer->done = sim_check_is_wiped(resumer->check, &resumer->ledger);
		talk->over = true;
		return;
	}
	if (resumer->settles_first || (resumer->source->careless && sim_chance(talk->world, 40)))
		settle(talk);
	if (resumer->source->careless && sim_chance(talk->world, 15)) {
		talk->over = lb_conn_resolve(talk->conn, &resumer->id, &resumer->ledger, &talk->handle) != 0;
		return;
	}
	begin.attempt = ++resumer->count;
	talk->over = lb_conn_begin(talk->conn, &begin, &talk->handle) != 0;
}

static void handle(struct talk *talk, const struct lb_event *event)
{
	switch (event->type) {
	case LB_EVENT_HELLO_OK:
		begin(talk, event);
		break;
	case LB_EVENT_BEGIN_OK:
		talk->at = event->offset;
		talk->open = true;
		talk->syncing = !event->resumable;
		break;
	case LB_EVENT_SYNCED:
		talk->syncing = false;
		break;
	case LB_EVENT_COMMITTED:
		committed(talk, event);
		break;
	case LB_EVENT_RESOLVED:
		if (event->verdict == LB_VERDICT_COMMITTED)
			committed(talk, event);
		else
			refused(talk, event);
		break;
	case LB_EVENT_REFUSED:
		refused(talk, event);
		break;
	case LB_EVENT_ERROR:
	case LB_EVENT_TIMEOUT:
		talk->over = true;
		break;
	default:
		break;
	}
}

/* What may be said next, if anything. */
static void say(struct talk *talk)
{
	struct sim_source *source = talk->resumer->source;
	size_t left = source->len - (size_t)talk->at;
	int result = 0;

	if (!talk->open)
		return;
	if (!talk->syncing && sim_chance(talk->world, 30)) {
		result = lb_conn_sync(talk->conn, talk->handle);
		talk->syncing = result == 0;
	} else if (left > 0) {
		size_t n =
			1 + (size_t)sim_below(talk->world, sim_chance(talk->world, 60) ? left / 4 + 1 : left);

		result = lb_conn_data(talk->conn, talk->handle, source->bytes + talk->at, n);
		talk->at += result == 0 ? n : 0;
	} else {
		source->wanted = true;
		result = lb_conn_commit(talk->conn, talk->handle, source->len, &source->digest);
		talk->open = result != 0;
	}
	if (result != 0 && result != -EAGAIN)
		sim_violation(talk->world, 11, "what is legal cannot be said: %d", result);
}

/* Writes what there is; true: the socket takes no more for now. */
static bool flush(struct talk *talk)
{
	struct lb_host *host = &talk->process->host;
	struct iovec iov[4];
	int n;

	while (!talk->over && (n = lb_conn_send(talk->conn, iov, 4)) > 0) {
		ssize_t sent = host->net->send(host, talk->fd, iov, n);

		if (sent == -EAGAIN)
			return true;
		talk->over = sent < 0;
		if (sent >= 0)
			lb_conn_sent(talk->conn, (size_t)sent, host->clock->now(host));
	}
	return false;
}

static void hear(struct talk *talk)
{
	struct lb_host *host = &talk->process->host;
	struct lb_event event;
	uint8_t buf[600];
	ssize_t n = host->net->recv(host, talk->fd, buf, sizeof buf);

	if (n == -EAGAIN)
		return;
	talk->over = n <= 0;
	for (size_t at = 0; n > 0 && at < (size_t)n && !talk->over; handle(talk, &event))
		at += lb_conn_recv(talk->conn, buf + at, (size_t)n - at, host->clock->now(host), &event);
}

static void talk_on(struct talk *talk)
{
	struct lb_host *host = &talk->process->host;
	struct lb_event event;

	while (!talk->over && !talk->process->dead && host->clock->now(host) < talk->until) {
		lb_time now = host->clock->now(host), next = lb_conn_deadline(talk->conn);
		bool blocked = flush(talk);

		if (!blocked)
			say(talk);
		blocked = flush(talk);
		if (talk->over || sim_chance(talk->world, talk->resumer->healed ? 0 : 3))
			return; /* it vanishes */
		if (talk->open && !blocked)
			next = now;
		(void)host->net->wait(host, talk->fd, EPOLLIN | (blocked ? EPOLLOUT : 0), -1, -1,
			next < talk->until ? next : talk->until);
		hear(talk);
		if (!talk->over && host->clock->now(host) >= lb_conn_deadline(talk->conn)) {
			lb_conn_tick(talk->conn, host->clock->now(host), &event);
			handle(talk, &event);
		}
	}
}

static int connect_to(struct talk *talk)
{
	struct lb_host *host = &talk->process->host;
	struct lb_endpoint endpoints[4];
	const char *why;
	int n = host->net->resolve(host, "inbox", endpoints, 4, &why), fd, result;

	if (n <= 0)
		return -EHOSTUNREACH;
	fd = host->net->connect(host, &endpoints[sim_below(talk->world, (uint64_t)n)]);
	if (fd < 0)
		return fd;
	talk->fd = fd;
	(void)host->net->wait(host, fd, EPOLLOUT, -1, -1, talk->until);
	result = host->net->connected(host, fd);
	return result;
}

static void run(struct sim_task *task)
{
	struct sim_process *process = task->arg;
	struct sim_attempt *attempt = process->arg;
	struct sim_resumer *resumer = attempt->resumer;
	struct lb_host *host = &process->host;
	const struct lb_conn_options options = {.role = LB_ROLE_CLIENT,
		.features = LB_FEATURE_RESUME,
		.idle_timeout = sim_between(task->world, 1, 60) * SIM_SECOND};
	struct talk talk = {.resumer = resumer, .process = process, .world = task->world, .fd = -1};
	struct lb_outcome outcome;

	talk.until = host->clock->now(host) +
		     (resumer->healed ? 300 * SIM_SECOND : sim_between(task->world, 1, 20000) * SIM_MS);
	if (connect_to(&talk) == 0) {
		talk.conn = lb_conn_new(&options, resumer->id.client, host->clock->now(host));
		talk_on(&talk);
		lb_conn_free(talk.conn);
	}
	if (talk.fd >= 0)
		host->net->abort(host, talk.fd, &outcome);
	sim_process_exit(process);
	sim_event_set(task->world, &attempt->next, task->world->now);
}

static void next_run(struct sim_event *event)
{
	struct sim_attempt *attempt =
		(struct sim_attempt *)((char *)event - offsetof(struct sim_attempt, next));
	struct sim_resumer *resumer = attempt->resumer;
	struct sim_world *world = resumer->machine.world;

	if (attempt->process != NULL) {
		sim_process_free(attempt->process);
		attempt->process = NULL;
		sim_event_set(world, event, world->now + sim_between(world, SIM_MS, 2 * SIM_SECOND));
		return;
	}
	if (resumer->done)
		return;
	if (resumer->healed && ++resumer->tries > 200)
		sim_violation(world, 5, "the resumer cannot deliver, though nothing is wrong any more");
	resumer->machine.up = true;
	attempt->process = sim_process_new(&resumer->machine, "eve", attempt);
	sim_process_start(attempt->process, run);
}

bool sim_resumer_is_done(const struct sim_resumer *resumer)
{
	for (int i = 0; i < resumer->n_attempts; i++)
		if (resumer->attempts[i].process != NULL)
			return false;
	return resumer->source == NULL || resumer->done;
}

void sim_resumer_init(
	struct sim_resumer *resumer, struct sim_net *net, struct sim_check *check, uint32_t address)
{
	struct sim_world *world = net->world;

	memset(resumer, 0, sizeof *resumer);
	resumer->check = check;
	resumer->machine = (struct sim_machine){.world = world,
		.net = net,
		.next = net->machines,
		.name = "eve",
		.address = address,
		.up = true,
		.disk = sim_disk_new(world)};
	net->machines = &resumer->machine;
	resumer->id.number = 1;
	memset(resumer->id.client, 0xe7, sizeof resumer->id.client);
	resumer->source = sim_check_source(check, "eve.dat", (size_t)sim_below(world, 80000));
	resumer->source->careless = sim_chance(world, 40);
	if (resumer->source->careless) {
		resumer->id.number = sim_chance(world, 50) ? 1 : (uint64_t)sim_between(world, 1000, 3000);
		resumer->asks_left = (unsigned)sim_below(world, 4);
	}
	resumer->n_attempts = sim_chance(world, check->database ? 80 : 30) ? 2 : 1;
	for (int i = 0; i < resumer->n_attempts; i++) {
		resumer->attempts[i].resumer = resumer;
		resumer->attempts[i].next.fire = next_run;
		sim_event_set(
			world, &resumer->attempts[i].next, world->now + sim_between(world, 0, SIM_SECOND));
	}
}

void sim_resumer_deinit(struct sim_resumer *resumer)
{
	for (int i = 0; i < resumer->n_attempts; i++)
		sim_event_cancel(resumer->machine.world, &resumer->attempts[i].next);
	if (resumer->source != NULL)
		sim_disk_free(resumer->machine.disk);
}
