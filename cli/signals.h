/* SPDX-License-Identifier: MIT */
/* SIGINT, SIGTERM and SIGHUP as something to wait for, instead of something that strikes. */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <signal.h>

/* Blocks those of them that are not ignored (nohup(1), a shell's background jobs), and says which. */
void lb_signals_block(sigset_t *setp);

/* A descriptor that is readable while one of the set is pending, or a negative errno. */
int lb_signals_fd(const sigset_t *set);

/* Takes what is pending off it; the number of one of them, or 0: there was none. */
int lb_signals_taken(int fd);

#endif
