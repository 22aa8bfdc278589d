/* SPDX-License-Identifier: MIT */
/*
 * The kernel's counters of TCP in our end's namespace: those of /proc/net/snmp and /proc/net/netstat, by the names
 * that nstat(8) gives them. LINK_LOOPBACK has none: there they are the whole machine's.
 */
#ifndef LAB_COUNTERS_H
#define LAB_COUNTERS_H

#include "lab/cell.h"

#define LAB_COUNTERS_KNOWN 256 /* Linux 6.18 has 150 */

struct lab_counters {
	unsigned           count;
	struct lab_counter known[LAB_COUNTERS_KNOWN]; /* `by`: what it stands at */
};

/* As they stand. Those that cannot be read are not there. */
void lab_counters_read(struct link *link, struct lab_counters *counters);

/* Fills play->counter and play->counters with those that are in both and differ, as far as there is room. */
void lab_counters_moved(
	const struct lab_counters *before, const struct lab_counters *after, struct lab_play *play);

#endif
