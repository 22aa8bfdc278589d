/* SPDX-License-Identifier: MIT */
/*
 * One end of a simulated connection, as its process and its kernel treat it: reading, writing, ending, dying. And
 * listeners. net.c moves what is on the way.
 */
#include "sim/net.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct sim_socket *sim_socket_of(struct sim_process *process, int fd)
{
	int i = fd - SIM_SOCKET_FD;

	return i < 0 || i >= process->sockets_room ? NULL : process->sockets[i];
}

int sim_socket_open(struct sim_process *process, struct sim_socket *socket)
{
	int i = 0;

	while (i < process->sockets_room &&
		(process->sockets[i] != NULL ||
			(process->listener != NULL && process->listener->fd == SIM_SOCKET_FD + i)))
		i++;
	if (i == process->sockets_room) {
		process->sockets_room = process->sockets_room == 0 ? 8 : process->sockets_room * 2;
		process->sockets = sim_realloc(
			process->sockets, (size_t)process->sockets_room * sizeof(struct sim_socket *));
		memset(process->sockets + i, 0,
			(size_t)(process->sockets_room - i) * sizeof(struct sim_socket *));
	}
	process->sockets[i] = socket;
	if (socket != NULL) {
		socket->fd = SIM_SOCKET_FD + i;
		socket->owner = process;
	}
	return SIM_SOCKET_FD + i;
}

uint32_t sim_socket_events(const struct sim_socket *socket)
{
	const struct sim_socket *peer = sim_socket_peer((struct sim_socket *)socket);
	uint32_t events = 0;

	if (socket->connecting)
		return 0;
	if (socket->arrived > 0 || socket->fin_arrived || socket->reset)
		events |= EPOLLIN;
	if (peer->room - peer->len >= peer->room / 3 || socket->reset)
		events |= EPOLLOUT;
	if (socket->fin_arrived || socket->reset)
		events |= EPOLLRDHUP;
	if (socket->reset || (socket->fin_arrived && peer->fin))
		events |= EPOLLHUP;
	if (socket->error != 0)
		events |= EPOLLERR;
	return events;
}

uint32_t sim_fd_events(struct sim_process *process, int fd)
{
	const struct sim_socket *socket;

	if (process->listener != NULL && process->listener->fd == fd)
		return process->listener->n > 0 ? EPOLLIN : 0;
	socket = sim_socket_of(process, fd);
	if (socket == NULL)
		sim_violation(process->world, 11, "%s waits for descriptor %d, which is not open",
			process->name, fd);
	return sim_socket_events(socket);
}

static int take_error(struct sim_socket *socket)
{
	int err = socket->error;

	socket->error = 0;
	return err;
}

ssize_t sim_socket_read(struct sim_socket *socket, void *buf, size_t len)
{
	struct sim_world *world = socket->link->net->world;
	struct sim_socket *peer = sim_socket_peer(socket);
	size_t n = len < socket->arrived ? len : socket->arrived;

	if (n > 0) {
		if (sim_chance(world, 10))
			n = 1 + (size_t)sim_below(world, n);
		memcpy(buf, socket->bytes, n);
		if (socket->link->net->tap_read != NULL)
			socket->link->net->tap_read(socket->link, (int)(socket - socket->link->end), buf, n);
		memmove(socket->bytes, socket->bytes + n, socket->len - n);
		socket->len -= n;
		socket->arrived -= n;
		if (peer->owner != NULL)
			sim_process_notify(peer->owner);
		return (ssize_t)n;
	}
	if (socket->error != 0)
		return -take_error(socket);
	if (socket->reset || socket->fin_arrived)
		return 0; /* after an error, too: a false end, as on Linux */
	return -EAGAIN;
}

ssize_t sim_socket_write(struct sim_socket *socket, const void *buf, size_t len)
{
	struct sim_world *world = socket->link->net->world;
	struct sim_net *net = socket->link->net;
	struct sim_socket *peer = sim_socket_peer(socket);
	size_t n = peer->room - peer->len;

	if (socket->error != 0)
		return -take_error(socket);
	if (socket->reset || peer->fin)
		return -EPIPE;
	if (socket->connecting || n == 0)
		return -EAGAIN;
	if (n > len)
		n = len;
	if (n > 1 && sim_chance(world, 10))
		n = 1 + (size_t)sim_below(world, n);
	if (net->tap != NULL)
		net->tap(socket->link, (int)(socket - socket->link->end), buf, n);
	socket->sent += n;
	if (peer->mute)
		return (ssize_t)n; /* nobody will ever have it */
	if (peer->bytes == NULL)
		peer->bytes = malloc(peer->room);
	if (peer->bytes == NULL)
		abort();
	memcpy(peer->bytes + peer->len, buf, n);
	peer->len += n;
	sim_socket_expect(peer);
	return (ssize_t)n;
}

void sim_socket_finish(struct sim_socket *socket)
{
	struct sim_socket *peer = sim_socket_peer(socket);

	if (peer->fin || socket->reset)
		return;
	peer->fin = true;
	sim_socket_expect(peer);
}

static void give_back_fd(struct sim_socket *socket)
{
	if (socket->owner != NULL)
		socket->owner->sockets[socket->fd - SIM_SOCKET_FD] = NULL;
	socket->owner = NULL;
	socket->fd = -1;
	socket->queued = false;
}

/* Of what was on its way, some still arrives: the rest was in the send queue. */
static void cut_short(struct sim_socket *peer)
{
	if (peer->len > peer->arrived)
		peer->len = peer->arrived +
			    (size_t)sim_below(peer->link->net->world, peer->len - peer->arrived + 1);
	peer->fin = false;
}

void sim_socket_abort(struct sim_socket *socket)
{
	struct sim_socket *peer = sim_socket_peer(socket);

	give_back_fd(socket);
	if (socket->gone)
		return;
	socket->gone = true;
	if (socket->reset || (socket->connecting && !socket->link->answered))
		return;
	cut_short(peer);
	sim_event_cancel(socket->link->net->world, &peer->arrival);
	sim_socket_send_rst(peer);
}

/* close(2): unread bytes make it a RST, else the kernel sends what there is, and FIN. */
void sim_socket_close(struct sim_socket *socket)
{
	if (socket->gone || socket->arrived > 0 || socket->connecting || socket->reset) {
		sim_socket_abort(socket);
		return;
	}
	sim_socket_finish(socket);
	give_back_fd(socket);
	if (sim_socket_peer(socket)->fin_arrived)
		socket->gone = true;
}

void sim_net_drop_process(struct sim_process *process)
{
	if (process->listener != NULL)
		sim_listener_free(process->listener);
	for (int i = 0; i < process->sockets_room; i++)
		if (process->sockets[i] != NULL)
			sim_socket_close(process->sockets[i]);
}

/* Nothing is said to anybody. Of its bytes those arrive that have left it. */
void sim_net_drop_machine(struct sim_machine *machine)
{
	for (struct sim_link *link = machine->net->links; link != NULL; link = link->next) {
		for (int i = 0; i < 2; i++) {
			if (link->end[i].machine != machine || link->end[i].gone)
				continue;
			cut_short(&link->end[1 - i]);
			link->end[i].gone = true;
			sim_event_cancel(machine->world, &link->end[1 - i].rst);
		}
	}
}

struct sim_listener *sim_listener_find(struct sim_net *net, const struct sockaddr_in *address)
{
	struct sim_listener *listener = net->listeners;

	while (listener != NULL && (listener->address.sin_addr.s_addr != address->sin_addr.s_addr ||
					   listener->address.sin_port != address->sin_port))
		listener = listener->next;
	return listener;
}

/* Closing a listener resets the connections that wait in its backlog. */
void sim_listener_free(struct sim_listener *listener)
{
	struct sim_net *net = listener->owner->machine->net;
	struct sim_listener **linkp = &net->listeners;

	while (*linkp != listener)
		linkp = &(*linkp)->next;
	*linkp = listener->next;
	listener->owner->listener = NULL;
	for (int i = 0; i < listener->n; i++)
		sim_socket_abort(listener->waiting[i]);
	free(listener);
}
