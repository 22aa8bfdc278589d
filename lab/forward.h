/* SPDX-License-Identifier: MIT */
/*
 * A thread that carries IP packets between two TUN devices: each leaves `delay` after it came, in order, unless it is
 * lost. It counts what comes.
 */
#ifndef LAB_FORWARD_H
#define LAB_FORWARD_H

#include "lab/segments.h"
#include <lastbyte/base.h>

struct forward;

/* Takes both descriptors over, on failure too; delay, loss and seed as in link.h. 0 or a negative errno. */
int forward_start(const int tuns[2], lb_time delay, unsigned loss, uint64_t seed, struct forward **forwardp);

/* Stops the thread; packets on their way are gone, and the devices with them. */
void forward_stop(struct forward *forward);

/* What has come from tuns[from] so far. A packet is counted before it leaves. */
void forward_count(struct forward *forward, int from, struct segments *countp);

#endif
