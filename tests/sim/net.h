/* SPDX-License-Identifier: MIT */
/*
 * A simulated network with connections that behave as TCP on Linux does: bytes arrive in order, late, in pieces of
 * any size, or not at all; a process that dies leaves a FIN or a RST behind, a machine that loses its power leaves
 * nothing; after a RST recv(2) fails once and then shows the end of the stream.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim/machine.h"
#include <netinet/in.h>

#define SIM_SOCKET_FD 1000 /* the lowest */
#define SIM_BACKLOG   16
#define SIM_ADDRESSES 3 /* of a name */

struct sim_link;

/* One end of a connection, with the bytes on their way to it. */
struct sim_socket {
	struct sim_link    *link;
	struct sim_machine *machine;
	struct sim_process *owner; /* NULL: waits to be accepted, or is the kernel's alone */
	int                 fd;
	struct sockaddr_in  address;
	bool                connecting, queued; /* at a listener */
	bool                gone;               /* the kernel knows it no more */
	bool                reset;              /* by either end, or given up */
	int                 error;              /* of it, until a call has returned it */
	unsigned char      *bytes;              /* towards it, not read yet */
	size_t              len, arrived, room; /* `arrived` of them can be read */
	bool                fin, fin_arrived;   /* the peer has ended */
	bool                mute;               /* nothing can come any more */
	lb_time             stuck_until;        /* until then nothing gets through to it */
	lb_time             waiting_since;      /* for the first byte that has not arrived; 0: none */
	struct sim_event    arrival, rst;
	uint64_t            sent, acked; /* bytes of its own */
};

struct sim_link {
	struct sim_link  *next;
	struct sim_net   *net;
	struct sim_socket end[2]; /* the one that connected, the one that accepted */
	lb_time           latency;
	struct sim_event  handshake;
	lb_time           connecting_since;
	bool              answered;
	void             *tap; /* the observer's */
};

struct sim_listener {
	struct sim_listener *next;
	struct sim_process  *owner;
	int                  fd;
	struct sockaddr_in   address;
	struct sim_socket   *waiting[SIM_BACKLOG];
	int                  n;
};

/* What a name leads to. */
struct sim_host_name {
	const char        *name;
	struct sockaddr_in addresses[SIM_ADDRESSES];
	int                n;
	bool               turns; /* each answer begins with any of them */
};

struct sim_net {
	struct sim_world    *world;
	struct sim_machine  *machines;
	struct sim_link     *links;
	struct sim_listener *listeners;
	struct sim_host_name names[4];
	int                  n_names;
	uint16_t             next_port;
	unsigned             trouble; /* percent of connections that have some */
	/* told of the bytes that a kernel takes from one end (0: the client), of those that a process takes from its kernel,
	 * and of the end of a link; NULL: nobody is */
	void (*tap)(struct sim_link *link, int side, const void *buf, size_t len);
	void (*tap_read)(struct sim_link *link, int side, const void *buf, size_t len);
	void (*untap)(struct sim_link *link);
	void *arg;
};

void sim_net_init(struct sim_net *net, struct sim_world *world);
void sim_net_deinit(struct sim_net *net);
void sim_net_heal(struct sim_net *net);

static inline struct sim_socket *sim_socket_peer(struct sim_socket *socket)
{
	struct sim_link *link = socket->link;

	return socket == &link->end[0] ? &link->end[1] : &link->end[0];
}

/* NULL when it is not one that the process has open. */
struct sim_socket *sim_socket_of(struct sim_process *process, int fd);
int                sim_socket_open(struct sim_process *process, struct sim_socket *socket); /* its fd */
uint32_t           sim_socket_events(const struct sim_socket *socket);                      /* as epoll(7) */
uint32_t           sim_fd_events(struct sim_process *process, int fd);

struct sim_link *sim_link_new(struct sim_process *process, const struct sockaddr_in *to);
/* -EAGAIN, or what recv(2) and send(2) return. */
ssize_t sim_socket_read(struct sim_socket *socket, void *buf, size_t len);
ssize_t sim_socket_write(struct sim_socket *socket, const void *buf, size_t len);
void    sim_socket_finish(struct sim_socket *socket);
void    sim_socket_abort(struct sim_socket *socket);
void    sim_socket_close(struct sim_socket *socket); /* by its owner: its kernel goes on alone */

/* Between net.c and socket.c: bytes or a FIN are on their way to it; a RST is; it is over for it. */
void sim_socket_expect(struct sim_socket *socket);
void sim_socket_send_rst(struct sim_socket *to);
void sim_socket_break(struct sim_socket *socket, int err);

/* The process or the machine is gone. */
void                 sim_net_drop_process(struct sim_process *process);
void                 sim_net_drop_machine(struct sim_machine *machine);
void                 sim_listener_free(struct sim_listener *listener);
struct sim_listener *sim_listener_find(struct sim_net *net, const struct sockaddr_in *address);

#endif
