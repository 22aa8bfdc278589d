/* SPDX-License-Identifier: MIT */
/* What two captures of one link say together: which packets left one end, and when each reached the other. */
#ifndef LAB_PAIR_H
#define LAB_PAIR_H

#include "lab/link.h"

#define LAB_SNAPLEN 128 /* bytes: the longest headers, and Ethernet's */

#define LAB_FIN 0x01 /* RFC 9293, section 3.1 */
#define LAB_SYN 0x02
#define LAB_RST 0x04
#define LAB_ACK 0x10

/* As one device saw it. */
struct lab_packet {
	lb_time       at;
	uint32_t      len, wire; /* what is there of it, and what there was */
	unsigned char bytes[LAB_SNAPLEN];
	/* lab_pair's: */
	const unsigned char *tcp;     /* in bytes; NULL: it is none */
	uint32_t             headers; /* where they end in bytes, or what is there of them */
	uint32_t             payload; /* bytes */
	enum link_end        from;
	bool                 paired;
};

/* What an end's device saw, in its order. */
struct lab_side {
	struct lab_packet *packets;
	size_t             count;
	size_t             ip; /* where that begins in a packet */
};

/* As both ends saw it. */
struct lab_segment {
	const struct lab_packet *packet;
	lb_time                  sent, arrived; /* arrived LB_NEVER: it never did */
	enum link_end            from;
	uint8_t                  flags;
	uint32_t                 seq, ack; /* relative to the first of either end */
	uint32_t                 bytes;    /* of payload */
	uint32_t                 window;   /* scaled */
};

/*
 * Pairs what was sent until then, in the order in which it was; `one`: sides[0] is the device of both ends.
 * *segmentsp is the caller's, to free, and points into the sides. 0 or -ENOMEM.
 */
LB_CHECKED int lab_pair(const struct link *link, struct lab_side sides[2], bool one, lb_time until,
	struct lab_segment **segmentsp, size_t *countp);

#endif
