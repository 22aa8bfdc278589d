/* SPDX-License-Identifier: MIT */
/*
 * The simulated network: handshakes, bytes on their way, RSTs, and what happens to all of them when a path is cut
 * or an end is gone. Owns the links; socket.c has what a process does with its end.
 */
#include "sim/net.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#define PATIENCE_LOW  (20 * SIM_SECOND) /* how long a kernel repeats what is not acked */
#define PATIENCE_HIGH (120 * SIM_SECOND)

void sim_net_init(struct sim_net *net, struct sim_world *world)
{
	memset(net, 0, sizeof *net);
	net->world = world;
	net->next_port = 40000;
}

static void free_link(struct sim_net *net, struct sim_link *link)
{
	if (net->untap != NULL)
		net->untap(link);
	sim_event_cancel(net->world, &link->handshake);
	for (int i = 0; i < 2; i++) {
		sim_event_cancel(net->world, &link->end[i].arrival);
		sim_event_cancel(net->world, &link->end[i].rst);
		free(link->end[i].bytes);
	}
	free(link);
}

void sim_net_deinit(struct sim_net *net)
{
	while (net->links != NULL) {
		struct sim_link *link = net->links;

		net->links = link->next;
		free_link(net, link);
	}
	while (net->listeners != NULL)
		sim_listener_free(net->listeners);
}

void sim_net_heal(struct sim_net *net)
{
	net->trouble = 0;
	for (struct sim_machine *machine = net->machines; machine != NULL; machine = machine->next)
		machine->cut_until = 0;
	for (struct sim_link *link = net->links; link != NULL; link = link->next)
		link->end[0].stuck_until = link->end[1].stuck_until = 0;
}

static void notify(struct sim_socket *socket)
{
	if (socket->owner != NULL)
		sim_process_notify(socket->owner);
}

/* Until when nothing gets from its peer to this socket; 0: the way is free. */
static lb_time blocked_until(struct sim_socket *socket)
{
	struct sim_world *world = socket->link->net->world;
	struct sim_socket *peer = sim_socket_peer(socket);
	lb_time until = socket->stuck_until;

	if (socket->machine->cut_until > until)
		until = socket->machine->cut_until;
	if (peer->machine->cut_until > until)
		until = peer->machine->cut_until;
	if (!socket->machine->up && until < world->now + SIM_SECOND)
		until = world->now + SIM_SECOND;
	return until > world->now ? until : 0;
}

/* A little more than the latency, at times much more. */
static lb_time delay(struct sim_link *link)
{
	struct sim_world *world = link->net->world;

	if (sim_below(world, 200) == 0)
		return link->latency + sim_between(world, 10 * SIM_MS, 2 * SIM_SECOND);
	return link->latency + sim_between(world, 0, link->latency / 4);
}

/* The connection is over for this end: what has not arrived is lost, and the next call says why. */
void sim_socket_break(struct sim_socket *socket, int err)
{
	if (socket->gone || socket->reset)
		return;
	socket->reset = true;
	socket->error = err;
	socket->connecting = false;
	socket->mute = true;
	socket->len = socket->arrived;
	sim_event_cancel(socket->link->net->world, &socket->arrival);
	if (socket->owner == NULL && !socket->queued)
		socket->gone = true;
	notify(socket);
}

static void rst_arrives(struct sim_event *event)
{
	struct sim_socket *socket = (struct sim_socket *)((char *)event - offsetof(struct sim_socket, rst));
	struct sim_world *world = socket->link->net->world;
	lb_time until = blocked_until(socket);

	if (until != 0 && sim_chance(world, 50)) {
		sim_event_set(world, event, until + SIM_MS);
		return;
	}
	if (until != 0) { /* lost, and a RST is not repeated */
		socket->mute = true;
		socket->len = socket->arrived;
		return;
	}
	socket->arrived = socket->len; /* it comes after what was sent before it */
	sim_trace(world, "RST for %s", socket->owner != NULL ? socket->owner->name : "nobody");
	sim_socket_break(socket, ECONNRESET);
}

void sim_socket_send_rst(struct sim_socket *to)
{
	struct sim_link *link = to->link;
	struct sim_world *world = link->net->world;

	if (!to->gone && to->rst.place == 0)
		sim_event_set(world, &to->rst, world->now + delay(link));
}

/* The kernel of the peer has repeated it for long enough. */
static bool give_up(struct sim_socket *socket)
{
	struct sim_world *world = socket->link->net->world;
	lb_time patience = sim_between(world, PATIENCE_LOW, PATIENCE_HIGH);

	if (world->now - socket->waiting_since < patience)
		return false;
	sim_socket_break(sim_socket_peer(socket), ETIMEDOUT);
	socket->mute = true;
	socket->len = socket->arrived;
	return true;
}

static void deliver(struct sim_socket *socket)
{
	struct sim_world *world = socket->link->net->world;
	struct sim_socket *peer = sim_socket_peer(socket);
	size_t left = socket->len - socket->arrived, n = left;

	if (left > 1 && sim_chance(world, 40))
		n = 1 + (size_t)sim_below(world, sim_chance(world, 50) && left > 40 ? 40 : left);
	socket->arrived += n;
	peer->acked += n;
	socket->waiting_since = world->now;
	sim_mix(world, n);
	if (socket->arrived < socket->len) {
		sim_event_set(world, &socket->arrival,
			world->now + sim_between(world, 0, socket->link->latency / 2));
	} else if (socket->fin) {
		socket->fin_arrived = true;
		if (peer->owner == NULL && !peer->queued)
			peer->gone = true;
		notify(peer);
	}
	notify(socket);
}

static void arrive(struct sim_event *event)
{
	struct sim_socket *socket =
		(struct sim_socket *)((char *)event - offsetof(struct sim_socket, arrival));
	struct sim_world *world = socket->link->net->world;
	struct sim_socket *peer = sim_socket_peer(socket);
	lb_time until = blocked_until(socket);

	if (socket->mute)
		return;
	if (until != 0) {
		if (!give_up(socket))
			sim_event_set(world, event, until + sim_between(world, 0, SIM_SECOND));
		return;
	}
	if (socket->gone || socket->reset ||
		(socket->owner == NULL && !socket->queued && socket->len > socket->arrived)) {
		/* RFC 9293 section 3.10.7.1: a segment for a connection that does not exist is answered with RST. */
		sim_socket_send_rst(peer);
		socket->mute = true;
		socket->gone = socket->gone || socket->owner == NULL;
		return;
	}
	deliver(socket);
}

/* Something has been put on its way to this socket. */
void sim_socket_expect(struct sim_socket *socket)
{
	struct sim_world *world = socket->link->net->world;

	if (socket->mute || socket->arrival.place != 0)
		return;
	socket->waiting_since = world->now;
	sim_event_set(world, &socket->arrival, world->now + delay(socket->link));
}

static void refuse(struct sim_link *link)
{
	sim_socket_break(&link->end[0], ECONNREFUSED);
	link->end[1].gone = true;
}

static void shake_hands(struct sim_event *event)
{
	struct sim_link *link = (struct sim_link *)((char *)event - offsetof(struct sim_link, handshake));
	struct sim_world *world = link->net->world;
	struct sim_socket *client = &link->end[0], *server = &link->end[1];
	struct sim_listener *listener;

	if (client->gone || client->reset)
		return;
	if (link->answered) {
		client->connecting = false;
		notify(client);
		return;
	}
	if (blocked_until(server) != 0 || blocked_until(client) != 0) {
		if (world->now - link->connecting_since > 60 * SIM_SECOND)
			sim_socket_break(client, ETIMEDOUT);
		else
			sim_event_set(world, event,
				world->now + (world->now - link->connecting_since) + SIM_SECOND);
		return;
	}
	listener = sim_listener_find(link->net, &server->address);
	if (listener == NULL) {
		refuse(link);
		return;
	}
	if (listener->n == SIM_BACKLOG) {
		sim_event_set(world, event, world->now + SIM_SECOND);
		return;
	}
	link->answered = true;
	server->gone = false;
	server->queued = true;
	listener->waiting[listener->n++] = server;
	sim_process_notify(listener->owner);
	sim_event_set(world, event, world->now + delay(link));
}

static void init_end(struct sim_link *link, int side)
{
	struct sim_socket *socket = &link->end[side];
	struct sim_world *world = link->net->world;

	socket->link = link;
	socket->fd = -1;
	socket->arrival.fire = arrive;
	socket->rst.fire = rst_arrives;
	socket->room = (size_t)sim_between(world, 600, 40000);
	if (sim_chance(world, link->net->trouble))
		socket->stuck_until =
			world->now +
			sim_between(world, SIM_MS, sim_chance(world, 50) ? SIM_SECOND : 40 * SIM_SECOND);
}

struct sim_link *sim_link_new(struct sim_process *process, const struct sockaddr_in *to)
{
	struct sim_net *net = process->machine->net;
	struct sim_link *link = calloc(1, sizeof *link);
	struct sim_machine *machine = net->machines;

	if (link == NULL)
		abort();
	while (machine != NULL && machine->address != ntohl(to->sin_addr.s_addr))
		machine = machine->next;
	link->net = net;
	link->next = net->links;
	net->links = link;
	link->latency =
		sim_between(net->world, SIM_MS / 10, sim_chance(net->world, 80) ? 5 * SIM_MS : 200 * SIM_MS);
	link->handshake.fire = shake_hands;
	link->connecting_since = net->world->now;
	init_end(link, 0);
	init_end(link, 1);
	link->end[0].machine = process->machine;
	link->end[0].owner = process;
	link->end[0].connecting = true;
	link->end[0].address = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(net->next_port++),
		.sin_addr.s_addr = htonl(process->machine->address)};
	link->end[1].machine = machine != NULL ? machine : process->machine;
	link->end[1].address = *to;
	link->end[1].gone = true;
	sim_event_set(net->world, &link->handshake, net->world->now + delay(link));
	return link;
}
