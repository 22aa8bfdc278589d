/* SPDX-License-Identifier: MIT */
/*
 * What a process can do with the network: the table lb_net_ops. An ending follows the rule of sock/ending.h: FIN,
 * drain, close once the FIN is acked and the peer has ended or had its grace.
 */
#include "sim/net.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/epoll.h>

static struct sim_socket *socket_of(struct sim_process *process, int fd, const char *what)
{
	struct sim_socket *socket = sim_socket_of(process, fd);

	if (socket == NULL)
		sim_violation(process->world, 11, "%s: %s of descriptor %d, which is not open", process->name,
			what, fd);
	return socket;
}

static void set_endpoint(struct lb_endpoint *endpoint, const struct sockaddr_in *address)
{
	memset(endpoint, 0, sizeof *endpoint);
	endpoint->len = sizeof *address;
	memcpy(&endpoint->addr, address, sizeof *address);
}

static const struct sockaddr_in *get_endpoint(const struct lb_endpoint *endpoint)
{
	return (const struct sockaddr_in *)&endpoint->addr;
}

/* A known name, with all its addresses, or an address in numbers. */
static int net_resolve(
	struct lb_host *host, const char *text, struct lb_endpoint *endpoints, int max, const char **whyp)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_net *net = process->machine->net;
	struct sockaddr_in address = {.sin_family = AF_INET};
	char name[256];
	unsigned port;
	int result = lb_address_split(text, name, &port, 7117, whyp), n = 0;

	if (result != 0)
		return result;
	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	address.sin_port = htons((uint16_t)port);
	if (inet_pton(AF_INET, name, &address.sin_addr) == 1) {
		set_endpoint(&endpoints[0], &address);
		return 1;
	}
	for (int i = 0; i < net->n_names; i++) {
		const struct sim_host_name *known = &net->names[i];

		int first = known->turns ? (int)sim_below(net->world, (uint64_t)known->n) : 0;

		for (int k = 0; k < known->n && n < max && strcmp(known->name, name) == 0; k++)
			set_endpoint(&endpoints[n++], &known->addresses[(first + k) % known->n]);
	}
	*whyp = "no such name";
	return n > 0 ? n : -EHOSTUNREACH;
}

static int net_listen(struct lb_host *host, const struct lb_endpoint *endpoint, struct lb_endpoint *boundp)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_net *net = process->machine->net;
	struct sim_listener *listener;

	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	if (sim_listener_find(net, get_endpoint(endpoint)) != NULL)
		return -EADDRINUSE;
	listener = calloc(1, sizeof *listener);
	if (listener == NULL)
		abort();
	listener->owner = process;
	listener->address = *get_endpoint(endpoint);
	listener->fd = sim_socket_open(process, NULL);
	listener->next = net->listeners;
	net->listeners = listener;
	process->listener = listener;
	*boundp = *endpoint;
	return listener->fd;
}

static struct sim_listener *listener_of(struct sim_process *process, int fd, const char *what)
{
	if (process->listener == NULL || process->listener->fd != fd)
		sim_violation(process->world, 11, "%s: %s of descriptor %d, which does not listen",
			process->name, what, fd);
	return process->listener;
}

static int net_accept(struct lb_host *host, int fd, struct lb_endpoint *peerp)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_listener *listener;
	struct sim_socket *socket;

	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	listener = listener_of(process, fd, "accept");
	if (listener->n == 0)
		return -EAGAIN;
	socket = listener->waiting[0];
	memmove(listener->waiting, listener->waiting + 1,
		(size_t)--listener->n * sizeof(struct sim_socket *));
	socket->queued = false;
	set_endpoint(peerp, &sim_socket_peer(socket)->address);
	return sim_socket_open(process, socket);
}

static void net_unlisten(struct lb_host *host, int fd)
{
	struct sim_process *process = sim_process_of(host);

	if (!process->dead)
		sim_listener_free(listener_of(process, fd, "unlisten"));
}

static int net_connect(struct lb_host *host, const struct lb_endpoint *endpoint)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_link *link;

	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	link = sim_link_new(process, get_endpoint(endpoint));
	return sim_socket_open(process, &link->end[0]);
}

static int net_connected(struct lb_host *host, int fd)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_socket *socket;
	int err;

	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	socket = socket_of(process, fd, "connected");
	err = socket->error;
	socket->error = 0;
	return err != 0 ? -err : socket->connecting ? -EINPROGRESS : 0;
}

static ssize_t net_recv(struct lb_host *host, int fd, void *buf, size_t len)
{
	struct sim_process *process = sim_process_of(host);

	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	return sim_socket_read(socket_of(process, fd, "recv"), buf, len);
}

static ssize_t net_send(struct lb_host *host, int fd, const struct iovec *iov, int n)
{
	struct sim_process *process = sim_process_of(host);
	ssize_t total = 0;

	if (!sim_process_step(process, SIM_OP_NET))
		return -EIO;
	for (int i = 0; i < n; i++) {
		ssize_t sent =
			sim_socket_write(socket_of(process, fd, "send"), iov[i].iov_base, iov[i].iov_len);

		if (sent < 0)
			return total > 0 ? total : sent;
		total += sent;
		if ((size_t)sent < iov[i].iov_len)
			break;
	}
	return total;
}

static int ready_among(struct sim_process *process, int fd, uint32_t events, int fd2, int fd3)
{
	int ready = 0;

	if (fd >= 0 && events != 0 && (sim_fd_events(process, fd) & (events | EPOLLERR | EPOLLHUP)) != 0)
		ready |= 1;
	if (fd2 >= 0 && (sim_fd_events(process, fd2) & EPOLLIN) != 0)
		ready |= 2;
	if (fd3 >= 0 && (sim_fd_events(process, fd3) & EPOLLIN) != 0)
		ready |= 4;
	return ready;
}

static int net_wait(struct lb_host *host, int fd, uint32_t events, int fd2, int fd3, lb_time deadline)
{
	struct sim_process *process = sim_process_of(host);
	int ready;

	for (;;) {
		if (!sim_process_step(process, SIM_OP_READ))
			return -EIO;
		ready = ready_among(process, fd, events, fd2, fd3);
		if (ready != 0 || sim_process_now(process) >= deadline)
			return ready;
		sim_process_wait(process, deadline);
	}
}

/* What was accepted, acked and lost, and the rung that this is evidence for. */
static void count(struct lb_outcome *outcome, const struct sim_socket *socket)
{
	outcome->accepted = socket->sent;
	outcome->acked = socket->acked;
	outcome->lost = socket->sent - socket->acked;
	outcome->rung = socket->sent == 0   ? LB_RUNG_NOTHING
			: outcome->lost > 0 ? LB_RUNG_ACCEPTED
					    : LB_RUNG_ACKED;
}

static void finish_run(struct lb_ending_run *run, struct sim_socket *socket, struct lb_outcome *outcomep)
{
	count(outcomep, socket);
	outcomep->err = run->err;
	outcomep->discarded = run->discarded;
	outcomep->took = sim_process_now(socket->owner) - run->started;
	run->fd = -1;
}

static void net_end_start(struct lb_host *host, struct lb_ending_run *run, int fd, lb_time deadline)
{
	static const struct lb_ending ending;
	struct sim_process *process = sim_process_of(host);
	bool alive = sim_process_step(process, SIM_OP_NET);

	*run = (struct lb_ending_run){.ending = &ending,
		.fd = fd,
		.started = sim_process_now(process),
		.deadline = deadline,
		.progress_at = sim_process_now(process),
		.acked_at = LB_NEVER};
	if (alive)
		sim_socket_finish(socket_of(process, fd, "end_start"));
}

static enum lb_end end_of(int err)
{
	return err == ETIMEDOUT                                ? LB_END_TIMEOUT
	       : err == ECONNRESET || err == EPIPE || err == 0 ? LB_END_RST
							       : LB_END_NET_ERROR;
}

static void discard(struct lb_ending_run *run, struct sim_socket *socket)
{
	char rest[4096];
	ssize_t n;

	while ((n = sim_socket_read(socket, rest, sizeof rest)) > 0)
		run->discarded += (uint64_t)n;
	if (n < 0 && n != -EAGAIN)
		run->err = (int16_t)-n;
	run->read_ended = socket->fin_arrived;
}

static bool net_end_step(struct lb_host *host, struct lb_ending_run *run, struct lb_outcome *outcomep)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_socket *socket;
	lb_time now;

	*outcomep = (struct lb_outcome){.how = LB_END_TIMEOUT, .by = LB_PARTY_SELF};
	if (!sim_process_step(process, SIM_OP_NET)) {
		run->fd = -1;
		return true;
	}
	now = sim_process_now(process);
	socket = socket_of(process, run->fd, "end_step");
	discard(run, socket);
	if (socket->acked != run->queued) {
		run->queued = (uint32_t)socket->acked;
		run->progress_at = now;
	}
	if (sim_socket_peer(socket)->fin_arrived && !lb_ending_acked(run))
		run->acked_at = now;
	if (socket->reset) {
		finish_run(run, socket, outcomep);
		outcomep->how = end_of(run->err);
		outcomep->by = LB_PARTY_PEER;
		outcomep->phase = LB_PHASE_FLUSH;
		sim_socket_abort(socket);
	} else if (lb_ending_acked(run) && socket->fin_arrived) {
		finish_run(run, socket, outcomep);
		outcomep->how = LB_END_FIN;
		outcomep->by = LB_PARTY_PEER;
		outcomep->phase = LB_PHASE_DONE;
		outcomep->rung = LB_RUNG_ENDED;
		sim_socket_close(socket);
	} else if (now >= lb_ending_limit(run)) {
		finish_run(run, socket, outcomep);
		outcomep->phase = lb_ending_acked(run) ? LB_PHASE_DRAIN : LB_PHASE_FLUSH;
		if (lb_ending_acked(run))
			sim_socket_close(socket);
		else
			sim_socket_abort(socket);
	}
	return run->fd == -1;
}

static void net_abort(struct lb_host *host, int fd, struct lb_outcome *outcomep)
{
	struct sim_process *process = sim_process_of(host);
	struct lb_ending_run run = {.started = sim_process_now(process)};

	*outcomep = (struct lb_outcome){.how = LB_END_LOCAL_ABORT, .by = LB_PARTY_SELF};
	if (sim_process_step(process, SIM_OP_NET)) {
		struct sim_socket *socket = socket_of(process, fd, "abort");

		finish_run(&run, socket, outcomep);
		outcomep->phase = LB_PHASE_DATA;
		sim_socket_abort(socket);
	}
}

static void net_close(struct lb_host *host, int fd)
{
	struct sim_process *process = sim_process_of(host);
	struct sim_socket *socket;

	if (!sim_process_step(process, SIM_OP_NET))
		return;
	socket = socket_of(process, fd, "close");
	if (!socket->fin_arrived || socket->arrived > 0)
		sim_violation(process->world, 10, "%s: closed before its peer's end was read", process->name);
	sim_socket_close(socket);
}

const struct lb_net_ops sim_net_ops = {
	.resolve = net_resolve,
	.listen = net_listen,
	.accept = net_accept,
	.unlisten = net_unlisten,
	.connect = net_connect,
	.connected = net_connected,
	.recv = net_recv,
	.send = net_send,
	.wait = net_wait,
	.end_start = net_end_start,
	.end_step = net_end_step,
	.abort = net_abort,
	.close = net_close,
};
