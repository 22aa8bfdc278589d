/* SPDX-License-Identifier: MIT */
/* Our end's process: it has nothing but our end of the connection, so that its exit or its death ends that. */
#ifndef LAB_SUBJECT_H
#define LAB_SUBJECT_H

#include "lab/stage.h"

struct lab_subject {
	pid_t pid;     /* 0: there is none */
	int   pidfd;   /* readable when it has ended */
	int   channel; /* by which it gets the socket */
};

/* Forks it: before there is anything that it must not have a copy of. 0 or a negative errno. */
LB_CHECKED int lab_subject_start(struct lab_stage *stage, struct lab_subject *subject);

/* Gives it our end, which is consumed; it writes and ends that at once. 0 or a negative errno. */
LB_CHECKED int lab_subject_give(struct lab_subject *subject, int fd);

/* Kills it, if there is one, and if need be; waits for it. Returns its status: wait(2). */
int lab_subject_stop(struct lab_subject *subject);

#endif
