/* SPDX-License-Identifier: MIT */
/* Addresses as people write them: "127.0.0.1:7117", "[::1]:7117", "host", "host:0". */
#ifndef SOCK_ADDRESS_H
#define SOCK_ADDRESS_H

#include <lastbyte/base.h>
#include <stdbool.h>
#include <sys/socket.h>

#define LB_ENDPOINTS_MAX 16
#define LB_ADDRESS_TEXT  300

struct lb_endpoint {
	socklen_t               len;
	struct sockaddr_storage addr;
};

/* Splits "ADDR[:PORT]"; -EINVAL with why (static text). A bare IPv6 address needs its brackets. */
int lb_address_split(
	const char *text, char host[256], unsigned *portp, unsigned default_port, const char **whyp);

/* All its endpoints, in the resolver's order. Number of them, or -EINVAL, or -EHOSTUNREACH; why is static text.
 * Blocks in getaddrinfo(3) when the host is a name. */
int lb_address_resolve(
	const char *text, unsigned default_port, struct lb_endpoint *endpoints, int max, const char **whyp);

bool        lb_endpoint_is_loopback(const struct lb_endpoint *endpoint);
unsigned    lb_endpoint_port(const struct lb_endpoint *endpoint);
const char *lb_endpoint_text(
	const struct lb_endpoint *endpoint, char buf[LB_ADDRESS_TEXT]); /* "1.2.3.4:5" "[::1]:5" */

#endif
