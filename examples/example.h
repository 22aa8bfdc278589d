/* SPDX-License-Identifier: MIT */
/*
 * What the examples share: a server that answers each connection with a megabyte, whatever it is asked, and hands it
 * over to the closer, which writes the answer, ends the connection and says how that went. Each example has a loop of
 * another kind around it:
 *
 *	epoll.c  libuv.c  libevent.c  io_uring.c  thread.c
 *
 * Each prints the port that it listens on, then a line for each ending, and exits after as many as it was told (1).
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <arpa/inet.h>
#include <lastbyte/closer.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static int left = 1; /* connections that have not ended yet */

static char                    answer[1 << 20];
static const struct lb_ending *with_answer =
	&(const struct lb_ending){.last = answer, .last_len = sizeof answer};

/* A listening socket, which does not block. */
static int begin(int argc, char **argv)
{
	struct sockaddr_in addr     = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int                listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t          len      = sizeof addr;

	if (argc > 1)
		left = atoi(argv[1]);
	for (size_t i = 0; i < sizeof answer; i++)
		answer[i] = i % 16 == 15 ? '\n' : (char)('a' + i / 16 % 26);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, len) < 0 || listen(listener, 64) < 0 ||
		getsockname(listener, (struct sockaddr *)&addr, &len) < 0) {
		perror("listen");
		exit(1);
	}
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return listener;
}

/* The callback. */
static void ended(void *arg, const struct lb_outcome *end)
{
	char line[256];

	(void)arg;
	left--;
	puts(lb_outcome_text(end, line, sizeof line));
	fflush(stdout);
}

/* Takes one connection, if there is one, and hands it over. */
static void serve(struct lb_closer *closer, int listener)
{
	int fd    = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int error = fd >= 0 ? lb_closer_add(closer, fd, with_answer, lb_in_ms(60000), ended, NULL) : 0;

	if (error < 0) {
		fprintf(stderr, "a connection was not taken: error %d\n", -error);
		left--;
	}
}

#endif
