/* SPDX-License-Identifier: MIT */
/* The peer of a play: a thread that does with its end of the connection what the scenario says. */
#ifndef LAB_PEER_H
#define LAB_PEER_H

#include "lab/stage.h"
#include <pthread.h>

struct lab_peer {
	struct lab_stage *stage;
	pthread_t         thread;
	int               fd;
	bool              ended; /* it reads no more */
	/* what it has read since its last other call */
	lb_time  run_at, run_until;
	uint64_t run_bytes;
};

/* Starts it with its end, which is consumed. 0 or a negative errno. */
LB_CHECKED int lab_peer_start(struct lab_stage *stage, int fd, struct lab_peer *peer);

/* Waits until it has closed. */
void lab_peer_join(struct lab_peer *peer);

#endif
