/* SPDX-License-Identifier: MIT */
/* Addresses as people write them, to and from what bind(2) and connect(2) take. Owns no state and no socket. */
#include "sock/address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define HOST_SIZE 256

static int fail(const char **whyp, const char *why)
{
	*whyp = why;
	return -EINVAL;
}

static int split_port(const char *text, unsigned *portp, const char **whyp)
{
	unsigned port = 0;

	if (*text == '\0')
		return fail(whyp, "the port is missing after ':'");
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return fail(whyp, "the port is not a number");
		port = port * 10 + (unsigned)(*text - '0');
		if (port > 65535)
			return fail(whyp, "the port is larger than 65535");
	}
	*portp = port;
	return 0;
}

/* With or without a zone: RFC 4007, section 11, "fe80::1%eth0". */
static bool is_ipv6(const char *text)
{
	char bare[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");

	if (len >= sizeof bare)
		return false;
	memcpy(bare, text, len);
	bare[len] = '\0';
	return inet_pton(AF_INET6, bare, &(struct in6_addr){0}) == 1;
}

/* Only what no resolver could find: a typo shall not cost a look-up, and its time-out. */
static int check_host(const char *host, bool brackets, const char **whyp)
{
	if (brackets)
		return is_ipv6(host) ? 0 : fail(whyp, "what stands in brackets is not an IPv6 address");
	if (host[0] == '\0')
		return fail(whyp, "the host is missing");
	for (const char *c = host; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr("/\\@[]<>\"'?#", *c) != NULL)
			return fail(whyp, "the host has a character that no host name has");
	if (strspn(host, "0123456789.") == strlen(host) && inet_aton(host, &(struct in_addr){0}) == 0)
		return fail(whyp, "this is not an IPv4 address");
	return 0;
}

int lb_address_split(
	const char *text, char host[HOST_SIZE], unsigned *portp, unsigned default_port, const char **whyp)
{
	bool brackets = text[0] == '[';
	const char *first = text + brackets, *end;

	*portp = default_port;
	if (brackets) {
		end = strchr(first, ']');
		if (end == NULL)
			return fail(whyp, "the closing bracket is missing");
		if (end[1] != '\0' && end[1] != ':')
			return fail(whyp, "only a port can follow the closing bracket");
	} else {
		end = first + strcspn(first, ":");
		if (is_ipv6(text))
			return fail(whyp, "an IPv6 address needs brackets around it");
	}
	if (end - first >= HOST_SIZE)
		return fail(whyp, "the host is longer than 255 bytes");
	memcpy(host, first, (size_t)(end - first));
	host[end - first] = '\0';
	end += brackets;
	if (*end == ':' && split_port(end + 1, portp, whyp) < 0)
		return -EINVAL;
	return check_host(host, brackets, whyp);
}

int lb_address_resolve(
	const char *text, unsigned default_port, struct lb_endpoint *endpoints, int max, const char **whyp)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list, *item;
	char host[HOST_SIZE], service[16];
	unsigned port;
	int error = lb_address_split(text, host, &port, default_port, whyp), count = 0;

	if (error < 0)
		return error;
	if (strchr(host, ':') != NULL)
		hints.ai_flags |= AI_NUMERICHOST;
	snprintf(service, sizeof service, "%u", port);
	error = getaddrinfo(host, service, &hints, &list);
	if (error != 0) {
		*whyp = error == EAI_SYSTEM ? "the resolver failed" : gai_strerror(error);
		return -EHOSTUNREACH;
	}
	for (item = list; item != NULL && count < max; item = item->ai_next) {
		if (item->ai_family != AF_INET && item->ai_family != AF_INET6)
			continue;
		endpoints[count] = (struct lb_endpoint){.len = item->ai_addrlen};
		memcpy(&endpoints[count].addr, item->ai_addr, item->ai_addrlen);
		count++;
	}
	freeaddrinfo(list);
	if (count > 0)
		return count;
	*whyp = "the name has neither an IPv4 nor an IPv6 address";
	return -EHOSTUNREACH;
}

bool lb_endpoint_is_loopback(const struct lb_endpoint *endpoint)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&endpoint->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&endpoint->addr;

	if (endpoint->addr.ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (endpoint->addr.ss_family != AF_INET6)
		return false;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return in6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

unsigned lb_endpoint_port(const struct lb_endpoint *endpoint)
{
	/* at the same place in both families */
	return ntohs(((const struct sockaddr_in *)&endpoint->addr)->sin_port);
}

const char *lb_endpoint_text(const struct lb_endpoint *endpoint, char buf[LB_ADDRESS_TEXT])
{
	bool in6 = endpoint->addr.ss_family == AF_INET6;
	char host[HOST_SIZE];

	if (getnameinfo((const struct sockaddr *)&endpoint->addr, endpoint->len, host, sizeof host, NULL, 0,
		    NI_NUMERICHOST) != 0)
		snprintf(host, sizeof host, "unknown");
	snprintf(buf, LB_ADDRESS_TEXT, in6 ? "[%s]:%u" : "%s:%u", host, lb_endpoint_port(endpoint));
	return buf;
}
