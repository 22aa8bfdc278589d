/* SPDX-License-Identifier: MIT */
/*
 * stage.h - what all who take part in a play share: our end, which is a process of its own (subject.h), the peer, which
 * is a thread of the player (peer.h), and who directs both (play.h). It lies in memory that both processes have.
 */
#ifndef LAB_STAGE_H
#define LAB_STAGE_H

#include "lab/play.h"
#include <poll.h>
#include <stdatomic.h>

#define LAB_BYTES 1000000 /* that our end means to send */
#define LAB_MS    INT64_C(1000000)

#define LAB_CLOSE_WORD    "CLOSE"
#define LAB_CLOSE_OK_WORD "CLOSE_OK"

/* What some wait for and others give, once. */
enum lab_cue {
	LAB_CUE_BEGUN,  /* our end ends the connection now; one that is to be killed: has written half */
	LAB_CUE_STRUCK, /* the signal has struck, or had nobody to strike */
	LAB_CUE_OVER,   /* our end is over */
	LAB_CUE_SEEN,   /* the peer has all bytes, or reads no more */
	LAB_CUE_CLOSED, /* the peer has closed */
	LAB_CUES,
};

struct lab_stage {
	const struct lab_spec *spec;
	struct lab_play       *play;
	lb_time                patience;       /* of every wait that is part of the play */
	lb_time                limit;          /* nobody waits for longer, whatever happens */
	lb_time                began;          /* when our end began to end the connection */
	int                    cues[LAB_CUES]; /* eventfd(2), readable from then on */
	atomic_bool            failed;
};

/* 0 or a negative errno. NULL is fine to free. */
LB_CHECKED int lab_stage_new(const struct lab_spec *spec, struct lab_play *play, struct lab_stage **stagep);
void           lab_stage_free(struct lab_stage *stage);

/* Byte i of what our end sends, for i below LAB_BYTES. */
const unsigned char *lab_stage_bytes(void);

void lab_stage_cue(struct lab_stage *stage, enum lab_cue cue);

/* Waits until `until` at most; whether the cue was given, one of the descriptors, or the one, is ready. */
bool lab_stage_await(const struct lab_stage *stage, enum lab_cue cue, lb_time until);
bool lab_stage_poll(const struct lab_stage *stage, struct pollfd *fds, nfds_t count, lb_time until);
bool lab_stage_ready(const struct lab_stage *stage, int fd, short events, lb_time until);

/* The play cannot be played; the first reason counts. error is a negative errno, or 0. */
void lab_stage_fail(struct lab_stage *stage, const char *what, int error);

#endif
