/* SPDX-License-Identifier: MIT */
/* The directory in which a client keeps its journal. */
#ifndef CLIENT_STATEDIR_H
#define CLIENT_STATEDIR_H

#include "loop/host.h"

#define LB_PATH_MAX 4096

/*
 * Where it is: `path`, or for NULL $XDG_STATE_HOME/lastbyte if that is absolute, else
 * $HOME/.local/state/lastbyte. Returns 0, or -errno with a sentence in why.
 */
int lb_state_path(const char *path, char out[LB_PATH_MAX], char why[256]);

/* A descriptor of it. Makes it, with mode 0700; parents: also the directories above it. */
int lb_state_open(struct lb_host *host, const char *path, bool parents, char why[256]);

/* Makes the entries of the directory and of those above it durable: after a power failure it is still there. */
int lb_state_sync(struct lb_host *host, const char *path, char why[256]);

/* Writes "cannot WHAT PATH: the text of -error" and returns error. */
int lb_state_explain(char why[256], const char *what, const char *path, int error);

#endif
