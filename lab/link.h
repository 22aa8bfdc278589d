/* SPDX-License-Identifier: MIT */
/*
 * link.h - a network with two ends, made by the program that uses it and gone with it.
 *
 *	struct link_options options = {.kind = LINK_DELAY, .delay = 20000000};
 *	struct link *link;
 *	char why[LINK_WHY];
 *	int fds[2];
 *
 *	if (link_new(&options, &link, why) < 0)
 *		... skip, saying why
 *	link_connect(link, LINK_LEFT, AF_INET6, fds);
 *	...
 *	link_free(link);
 *
 * Each end is a network namespace. It has no name and no process of its own: what holds it is a descriptor and the
 * sockets in it, so that it is gone when the program is, however that dies. A program that makes children tells them
 * to die with it (PR_SET_PDEATHSIG), or they keep the network as long as they live.
 *
 * Without root (CAP_SYS_ADMIN), link_new moves the program into a user namespace of its own, for good, with an empty
 * network but for loopback: it has to be called before the program has threads, and LINK_DELAY needs a /dev/net/tun
 * that it may open. namespaces(7), user_namespaces(7), veth(4), packet(7), rtnetlink(7).
 *
 * All functions may be called from any thread, link_free only after all others. They return 0, or what is named,
 * or a negative errno.
 */
#ifndef LAB_LINK_H
#define LAB_LINK_H

#include "lab/segments.h"
#include <lastbyte/base.h>
#include <sys/socket.h>

enum link_kind {
	LINK_LOOPBACK, /* no namespaces: both ends are the program's own network; needs no privilege */
	LINK_LO, /* a network namespace with a loopback of its own, which is both ends, as the kernel has it */
	LINK_VETH, /* a pair of veth devices, MTU 1500, no offloads: as fast as the machine */
	LINK_DELAY, /* a pair of TUN devices, MTU 1500, and a thread between them that delays and loses packets */
};

/* The ends. Each reaches itself and the other. */
enum link_end { LINK_LEFT, LINK_RIGHT };

struct link_options {
	enum link_kind kind;
	/* LINK_DELAY alone: */
	lb_time  delay; /* one way */
	unsigned loss;  /* of 10,000 packets either way, so many are lost: 100 is 1 % */
	uint64_t seed;  /* which ones: of each direction, by their number */
	/* LINK_VETH alone: link_count is going to be called (LINK_DELAY always counts) */
	bool count;
};

struct link;

#define LINK_WHY 160 /* bytes of text */

/* Makes a link. On failure *linkp is NULL, and `why` says what could not be had, and the errno of that. */
LB_CHECKED int link_new(const struct link_options *options, struct link **linkp, char why[LINK_WHY]);

/* Takes it down; NULL is fine. Sockets in it live on, but for LINK_LOOPBACK nothing connects them any more. */
void link_free(struct link *link);

/* socket(2) in an end's namespace: it belongs there from then on, whoever uses it. Close-on-exec. */
LB_CHECKED int link_socket(struct link *link, enum link_end end, int family, int type);

/*
 * The device that carries the link, in either end's namespace: "link0", or "lo", which carries what both ends send.
 * NULL for LINK_LOOPBACK: what passes the device that it shares need not be the link's.
 */
const char *link_device(const struct link *link);

/* The address of an end, for connect(2) and bind(2); returns its length. Ends differ, but on IPv6 loopback. */
socklen_t link_address(const struct link *link, enum link_end end, int family, uint16_t port,
	struct sockaddr_storage *address);

/*
 * A TCP connection made by `from` to the other end: fds[0] has connected, fds[1] is accepted. Blocks for as long as
 * the link needs, a second and more if it loses the handshake. Reno on both, whatever the machine's default is.
 */
LB_CHECKED int link_connect(struct link *link, enum link_end from, int family, int fds[2]);

/*
 * Everything that `from` has put on the link since link_new, lost packets included; see segments.h. What a socket at
 * the other end has received is in it. LINK_LOOPBACK, LINK_LO, and LINK_VETH without `count`: -EOPNOTSUPP.
 */
LB_CHECKED int link_count(struct link *link, enum link_end from, struct segments *countp);

/*
 * Moves the calling thread into an end, and back: what it opens meanwhile, and the programs that it starts, are
 * there. Every thread stays where it was when it began. A thread that cannot come back must not go on: it aborts.
 */
LB_CHECKED int link_enter(struct link *link, enum link_end end);
void           link_leave(struct link *link);

#endif
