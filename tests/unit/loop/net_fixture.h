/* SPDX-License-Identifier: MIT */
/* Connections over loopback, made by the real machine. */
#ifndef LOOP_NET_FIXTURE_H
#define LOOP_NET_FIXTURE_H

#include "lib/cmocka.h"
#include "loop/host.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HOST     lb_host_real()
#define NET      HOST->net
#define MS       INT64_C(1000000)
#define PATIENCE lb_in_ms(60000) /* only a test that fails waits so long */

static inline struct lb_endpoint loopback(unsigned port)
{
	struct lb_endpoint  endpoint = {.len = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in       = (struct sockaddr_in *)&endpoint.addr;

	in->sin_family      = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in->sin_port        = htons((uint16_t)port);
	return endpoint;
}

static inline int new_listener(struct lb_endpoint *boundp)
{
	struct lb_endpoint any = loopback(0);
	int                fd  = NET->listen(HOST, &any, boundp);

	assert_true(fd >= 0);
	assert_int_not_equal(lb_endpoint_port(boundp), 0);
	return fd;
}

static inline int connect_to(const struct lb_endpoint *endpoint)
{
	int fd = NET->connect(HOST, endpoint);

	assert_true(fd >= 0);
	assert_int_equal(NET->wait(HOST, fd, EPOLLOUT, -1, -1, PATIENCE), 1);
	assert_int_equal(NET->connected(HOST, fd), 0);
	return fd;
}

static inline int accept_from(int listener)
{
	struct lb_endpoint peer;
	int                fd;

	assert_int_equal(NET->wait(HOST, listener, EPOLLIN, -1, -1, PATIENCE), 1);
	fd = NET->accept(HOST, listener, &peer);
	assert_true(fd >= 0);
	return fd;
}

/* A connection: [0] connected, [1] was accepted. */
static inline void new_pair(int pair[2])
{
	struct lb_endpoint bound;
	int                listener = new_listener(&bound);

	pair[0] = connect_to(&bound);
	pair[1] = accept_from(listener);
	NET->unlisten(HOST, listener);
}

static inline void close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static inline void reset(int fd)
{
	struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	close(fd);
}

#endif
