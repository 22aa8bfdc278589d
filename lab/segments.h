/* SPDX-License-Identifier: MIT */
/* Counts TCP segments, as they are on the wire: RFC 9293, section 3.1. */
#ifndef LAB_SEGMENTS_H
#define LAB_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENTS_HEADERS                                                                                     \
	120 /* bytes of a packet that are enough to count it: IP and TCP, each at its longest */

struct segments {
	uint64_t all;
	uint64_t data; /* with payload; a FIN may be with it, and counts below too */
	uint64_t acks; /* neither payload nor SYN, FIN or RST */
	uint64_t syn;  /* with this flag; likewise: */
	uint64_t fin;
	uint64_t rst;
	uint64_t bytes; /* of payload, what was sent again counted again */
	uint64_t lost;  /* packets of these that the link was told to lose */
	uint64_t
		missed; /* packets that were too many: veth did not count them, delay lost them; a test wants 0 */
};

/* Adds one IPv4 or IPv6 packet, of which len bytes are there; anything but TCP is not counted. */
void segments_add(struct segments *segments, const unsigned char *packet, size_t len);

/*
 * The TCP header of an IPv4 or IPv6 packet of which len bytes are there, at least 20 of it, and how long it and its
 * payload are together; NULL: it is no TCP.
 */
const unsigned char *segments_tcp(const unsigned char *packet, size_t len, size_t *totalp);

/* A packet socket that sees what passes the device `name` of this network namespace; or a negative errno. */
int segments_tap(const char *name);

/* Adds all that the tap has seen since it was last asked, by direction: out of this namespace and into it. */
void segments_read(int tap, struct segments *out, struct segments *in);

#endif
