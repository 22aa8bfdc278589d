/* SPDX-License-Identifier: MIT */
/*
 * play.h - plays one cell once, in a network and processes of its own.
 *
 *	struct lab_spec spec = {.link_name = "delay", .link = {.kind = LINK_DELAY, .delay = 20000000},
 *		.policy = &lab_policies[0], .scenario = &lab_scenarios[0]};
 *	struct lab_play *play = mmap(...); // MAP_SHARED
 *	pid_t player = lab_fork();
 *
 *	if (player == 0) {
 *		lab_play(&spec, play);
 *		_exit(0);
 *	}
 */
#ifndef LAB_PLAY_H
#define LAB_PLAY_H

#include "lab/cell.h"
#include "lab/scenarios.h"
#include <sys/types.h>

struct lab_spec {
	const char                *link_name;
	struct link_options        link;
	const struct lab_policy   *policy;
	const struct lab_scenario *scenario; /* that applies to it */
	const char                *pcap;     /* file that gets the packets; or NULL */
};

/*
 * Plays it and fills all of *play, `failed` if it could not be played; takes 20 s at most, where the link is slow 60.
 * Call it in a process that was forked for this and has no threads: link_new may move that to another user namespace.
 * *play has to lie in memory that is shared with children, because one of them writes there.
 */
void lab_play(const struct lab_spec *spec, struct lab_play *play);

/* fork(2), but the child dies with the calling thread. */
pid_t lab_fork(void);

#endif
