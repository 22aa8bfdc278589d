/* SPDX-License-Identifier: MIT */
/* One device, as libpcap sees it: what passes there, into memory, and from there into a file. */
#ifndef LAB_TAP_H
#define LAB_TAP_H

#include "lab/pair.h"
#include <pcap/pcap.h>

struct lab_tap {
	pcap_t         *pcap;
	int             fd; /* readable when there are packets; -1: there is nothing to be read any more */
	lb_time         offset; /* of CLOCK_REALTIME, which pcap has, from CLOCK_MONOTONIC */
	struct lab_side side;
	size_t          room;   /* for packets, in side */
	uint32_t        missed; /* for which there was none */
};

/* The device of this name in the calling thread's network namespace. 0 or a negative errno. */
LB_CHECKED int lab_tap_open(struct lab_tap *tap, const char *device, lb_time offset);

/* Frees what it has, whether or not it could be opened. */
void lab_tap_close(struct lab_tap *tap);

/* What is there, but at most so many packets. */
void lab_tap_read(struct lab_tap *tap, int most);

/* How many packets it did not get. */
uint32_t lab_tap_missed(const struct lab_tap *tap);

/* Writes a pcap file, after lab_pair: what passed until then, and what was sent by then. 0 or a negative errno. */
LB_CHECKED int lab_tap_write(const struct lab_tap *tap, lb_time until, const char *path);

#endif
