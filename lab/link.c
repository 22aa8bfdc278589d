/* SPDX-License-Identifier: MIT */
/*
 * The networks of link.h: owns the namespaces, by descriptor, and what carries packets between them. How devices are
 * made is in rtnl.c, how packets are delayed in forward.c, how they are counted in segments.c.
 */
#include "lab/link.h"
#include "lab/forward.h"
#include "lab/rtnl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEVICE "link0"
#define QUEUE  10000 /* packets that a TUN device keeps for the forwarder */

/* The nets of documentation: RFC 5737 and RFC 3849. Nobody routes to them. */
static const char *const ADDRESSES[2][2] = {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};
/* IPv4's loopback is a net, too, and its ends differ; IPv6 has one address. */
static const char *const LOOPBACKS[2][2] = {{"127.0.0.1", "127.0.0.2"}, {"::1", "::1"}};

struct link {
	enum link_kind kind;
	int home, ends[2]; /* namespaces; -1: none, and of the right end of a LINK_LO: the left one's */
	struct forward *forward;
	int tap;
	pthread_mutex_t mutex;
	struct segments counts[2]; /* under the mutex: what was read from the tap */
};

static int fail(char why[LINK_WHY], const char *what, int error)
{
	snprintf(why, LINK_WHY, "%s: %s", what, strerror(-error));
	return error;
}

static int here(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/*
 * What one connection teaches the kernel about the way there would slow down the next one. Where /proc is read-only,
 * it does: that costs time and nothing else.
 */
static void forget_metrics(void)
{
	int fd = open("/proc/sys/net/ipv4/tcp_no_metrics_save", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "1", 1);
	close(fd);
}

/* A user namespace gives no rights over the network that was there before: home is a new one, too. */
static int gain_rights(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? -errno : rtnl_up("lo", 0);
}

/* Leaves the calling thread in the new namespace. */
static int make_end(int *endp)
{
	int result;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	*endp = here();
	if (*endp < 0)
		return *endp;
	result = rtnl_up("lo", 0);
	forget_metrics();
	return result;
}

static int make_ends(struct link *link, char why[LINK_WHY])
{
	int result;

	link->home = here();
	/* whoever may not come back to it may have the right to make others all the same: user_namespaces(7) */
	if (link->home >= 0 && setns(link->home, CLONE_NEWNET) < 0) {
		close(link->home);
		link->home = -1;
		result = gain_rights();
		if (result < 0)
			return fail(
				why, "neither a network namespace nor, for that, a user namespace", result);
		link->home = here();
	}
	if (link->home < 0)
		return fail(why, "/proc/thread-self/ns/net", link->home);
	result = make_end(&link->ends[LINK_LEFT]);
	if (result == 0 && link->kind != LINK_LO)
		result = make_end(&link->ends[LINK_RIGHT]);
	return result < 0 ? fail(why, "a network namespace", result) : 0;
}

/* In an end: its device, which exists already, gets its addresses. */
static int bring_up(enum link_end end)
{
	struct in6_addr address;
	int result;

	inet_pton(AF_INET, ADDRESSES[0][end], &address);
	result = rtnl_address(DEVICE, AF_INET, &address, 24);
	inet_pton(AF_INET6, ADDRESSES[1][end], &address);
	if (result == 0)
		result = rtnl_address(DEVICE, AF_INET6, &address, 64);
	return result < 0 ? result : rtnl_up(DEVICE, QUEUE);
}

static int set_up_veth(struct link *link, char why[LINK_WHY], bool count)
{
	int result = link_enter(link, LINK_LEFT);

	if (result == 0)
		result = rtnl_veth(DEVICE, link->ends[LINK_RIGHT]);
	if (result < 0)
		return fail(why, "a pair of veth devices", result);
	for (int end = LINK_LEFT; result == 0 && end <= LINK_RIGHT; end++) {
		result = link_enter(link, end);
		if (result == 0)
			result = bring_up(end);
	}
	for (int end = LINK_LEFT; result == 0 && end <= LINK_RIGHT; end++) {
		result = link_enter(link, end);
		if (result == 0)
			result = rtnl_wait_running(DEVICE);
		if (result == 0)
			result = rtnl_offloads_off(DEVICE);
	}
	if (result < 0)
		return fail(why, "setting up a veth device", result);
	if (!count)
		return 0;
	result = link_enter(link, LINK_LEFT);
	if (result == 0)
		link->tap = result = segments_tap(DEVICE);
	return result < 0 ? fail(why, "a packet socket", result) : 0;
}

static int set_up_delay(struct link *link, char why[LINK_WHY], const struct link_options *options)
{
	int tuns[2] = {-1, -1}, result = 0;

	for (int end = LINK_LEFT; result == 0 && end <= LINK_RIGHT; end++) {
		result = link_enter(link, end);
		if (result == 0)
			result = tuns[end] = rtnl_tun(DEVICE);
		if (result >= 0)
			result = bring_up(end);
	}
	if (result == 0) {
		result = forward_start(tuns, options->delay, options->loss, options->seed, &link->forward);
		return result < 0 ? fail(why, "what carries the packets", result) : 0;
	}
	for (int end = LINK_LEFT; end <= LINK_RIGHT; end++)
		if (tuns[end] >= 0)
			close(tuns[end]);
	return fail(why, tuns[LINK_LEFT] < 0 ? "/dev/net/tun" : "setting up a TUN device", result);
}

int link_new(const struct link_options *options, struct link **linkp, char why[LINK_WHY])
{
	struct link *link = malloc(sizeof *link);
	int result = 0;

	*linkp = NULL;
	if (link == NULL)
		return fail(why, "memory", -ENOMEM);
	*link = (struct link){.kind = options->kind, .home = -1, .ends = {-1, -1}, .tap = -1};
	pthread_mutex_init(&link->mutex, NULL);
	if (link->kind != LINK_LOOPBACK)
		result = make_ends(link, why);
	if (result == 0 && link->kind == LINK_VETH)
		result = set_up_veth(link, why, options->count);
	if (result == 0 && link->kind == LINK_DELAY)
		result = set_up_delay(link, why, options);
	link_leave(link);
	if (result < 0)
		link_free(link);
	else
		*linkp = link;
	return result;
}

void link_free(struct link *link)
{
	if (link == NULL)
		return;
	if (link->forward != NULL)
		forward_stop(link->forward);
	if (link->tap >= 0)
		close(link->tap);
	for (int end = LINK_LEFT; end <= LINK_RIGHT; end++)
		if (link->ends[end] >= 0)
			close(link->ends[end]);
	if (link->home >= 0)
		close(link->home);
	pthread_mutex_destroy(&link->mutex);
	free(link);
}

int link_enter(struct link *link, enum link_end end)
{
	int ns = link->ends[link->kind == LINK_LO ? LINK_LEFT : end];

	return link->kind != LINK_LOOPBACK && setns(ns, CLONE_NEWNET) < 0 ? -errno : 0;
}

void link_leave(struct link *link)
{
	if (link->home >= 0 && setns(link->home, CLONE_NEWNET) < 0)
		abort();
}

int link_socket(struct link *link, enum link_end end, int family, int type)
{
	int result = link_enter(link, end), fd;

	if (result < 0)
		return result;
	fd = socket(family, type | SOCK_CLOEXEC, 0);
	result = fd < 0 ? -errno : fd;
	link_leave(link);
	return result;
}

const char *link_device(const struct link *link)
{
	if (link->kind == LINK_LOOPBACK)
		return NULL;
	return link->kind == LINK_LO ? "lo" : DEVICE;
}

socklen_t link_address(const struct link *link, enum link_end end, int family, uint16_t port,
	struct sockaddr_storage *address)
{
	bool loopback = link->kind == LINK_LOOPBACK || link->kind == LINK_LO;
	const char *text = (loopback ? LOOPBACKS : ADDRESSES)[family != AF_INET][end];

	memset(address, 0, sizeof *address);
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)address;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, text, &in->sin_addr);
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	inet_pton(AF_INET6, text, &in6->sin6_addr);
	return sizeof *in6;
}

static int reno_socket(struct link *link, enum link_end end, int family)
{
	int fd = link_socket(link, end, family, SOCK_STREAM), error;

	if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

int link_connect(struct link *link, enum link_end from, int family, int fds[2])
{
	enum link_end to = from == LINK_LEFT ? LINK_RIGHT : LINK_LEFT;
	int listener = reno_socket(link, to, family), fd = reno_socket(link, from, family), result = -1;
	struct sockaddr_storage address;
	socklen_t len = link_address(link, to, family, 0, &address);

	fds[0] = fds[1] = -1;
	if (listener < 0 || fd < 0) {
		errno = listener < 0 ? -listener : -fd;
	} else if (bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
		   getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
		   connect(fd, (struct sockaddr *)&address, len) == 0) {
		result = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	}
	if (result >= 0) {
		fds[0] = fd;
		fds[1] = result;
		result = 0;
	} else {
		result = -errno;
		if (fd >= 0)
			close(fd);
	}
	if (listener >= 0)
		close(listener);
	return result;
}

int link_count(struct link *link, enum link_end from, struct segments *countp)
{
	if (link->forward != NULL) {
		forward_count(link->forward, (int)from, countp);
		return 0;
	}
	if (link->tap < 0)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&link->mutex);
	segments_read(link->tap, &link->counts[LINK_LEFT], &link->counts[LINK_RIGHT]);
	*countp = link->counts[from];
	pthread_mutex_unlock(&link->mutex);
	return 0;
}
