/* SPDX-License-Identifier: MIT */
/*
 * Other processes that hold a test's sockets, as a fork leaves them. They come from a process that is forked before
 * the test has threads and connections, so that each holds what it is given and nothing else. All die with the test.
 */
#ifndef LIB_HOLDER_H
#define LIB_HOLDER_H

#include <stdint.h>

/* Call once, first. 0 or a negative errno. */
int holder_start(void);

/* A process that holds a copy of fd until the descriptor that is returned is closed; or a negative errno. */
int holder_hold(int fd);

/* A process that has fd alone (it is consumed), writes len bytes of tcp.h's pattern and exits without close(2). 0, or
 * a negative errno. */
int holder_write_and_exit(int fd, uint64_t len);

#endif
