/* SPDX-License-Identifier: MIT */
/* The requests of rtnl.h, over rtnetlink where it can do them and ioctl(2) where it cannot. Owns no state. */
#include "lab/rtnl.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	char body[512]; /* more than any request here has */
};

static struct request request(uint16_t type, uint16_t flags)
{
	return (struct request){.head = {.nlmsg_len = NLMSG_HDRLEN,
					.nlmsg_type = type,
					.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)}};
}

static void put(struct request *request, const void *data, size_t len)
{
	memcpy((char *)request + request->head.nlmsg_len, data, len);
	request->head.nlmsg_len += (uint32_t)NLMSG_ALIGN(len);
}

static void attribute(struct request *request, uint16_t type, const void *data, size_t len)
{
	struct rtattr head = {.rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = type};

	put(request, &head, sizeof head);
	put(request, data, len);
}

static uint32_t open_nest(struct request *request, uint16_t type)
{
	uint32_t at = request->head.nlmsg_len;

	attribute(request, type, "", 0);
	return at;
}

static void close_nest(struct request *request, uint32_t at)
{
	((struct rtattr *)((char *)request + at))->rta_len = (uint16_t)(request->head.nlmsg_len - at);
}

static int ask(const struct request *request)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[1024];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), result = -EIO;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (send(fd, request, request->head.nlmsg_len, 0) < 0) {
		result = -errno;
	} else {
		n = recv(fd, &answer, sizeof answer, 0);
		if (n < 0)
			result = -errno;
		else if ((size_t)n >= NLMSG_LENGTH(sizeof answer.error) &&
			 answer.head.nlmsg_type == NLMSG_ERROR)
			result = answer.error.error;
	}
	close(fd);
	return result;
}

int rtnl_veth(const char *name, int other_ns)
{
	struct request make = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg device = {.ifi_family = AF_UNSPEC};
	uint32_t info, data, peer;

	put(&make, &device, sizeof device);
	attribute(&make, IFLA_IFNAME, name, strlen(name) + 1);
	info = open_nest(&make, IFLA_LINKINFO);
	attribute(&make, IFLA_INFO_KIND, "veth", 5);
	data = open_nest(&make, IFLA_INFO_DATA);
	peer = open_nest(&make, VETH_INFO_PEER);
	put(&make, &device, sizeof device);
	attribute(&make, IFLA_IFNAME, name, strlen(name) + 1);
	attribute(&make, IFLA_NET_NS_FD, &other_ns, sizeof other_ns);
	close_nest(&make, peer);
	close_nest(&make, data);
	close_nest(&make, info);
	return ask(&make);
}

int rtnl_up(const char *name, unsigned queue)
{
	struct request set = request(RTM_NEWLINK, 0);
	struct ifinfomsg device = {.ifi_family = AF_UNSPEC,
		.ifi_index = (int)if_nametoindex(name),
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP};

	if (device.ifi_index == 0)
		return -errno;
	put(&set, &device, sizeof device);
	if (queue > 0)
		attribute(&set, IFLA_TXQLEN, &queue, sizeof queue);
	return ask(&set);
}

int rtnl_address(const char *name, int family, const void *address, unsigned prefix)
{
	size_t len = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	struct request add = request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg head = {.ifa_family = (uint8_t)family,
		.ifa_prefixlen = (uint8_t)prefix,
		.ifa_flags = IFA_F_NODAD,
		.ifa_index = if_nametoindex(name)};

	if (head.ifa_index == 0)
		return -errno;
	put(&add, &head, sizeof head);
	attribute(&add, IFA_LOCAL, address, len);
	attribute(&add, IFA_ADDRESS, address, len);
	return ask(&add);
}

static struct ifreq named(const char *name)
{
	struct ifreq ifreq = {0};

	snprintf(ifreq.ifr_name, sizeof ifreq.ifr_name, "%s", name);
	return ifreq;
}

int rtnl_tun(const char *name)
{
	struct ifreq ifreq = named(name);
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	ifreq.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFF, &ifreq) < 0) {
		error = errno;
		close(fd);
		return -error;
	}
	return fd;
}

/* The kernel attaches the queue of a veth some time after both ends are up, and drops packets until then. */
int rtnl_wait_running(const char *name)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = -ETIMEDOUT;

	if (fd < 0)
		return -errno;
	for (int tries = 5000; result == -ETIMEDOUT && tries > 0; tries--) {
		struct ifreq ifreq = named(name);

		if (ioctl(fd, SIOCGIFFLAGS, &ifreq) < 0)
			result = -errno;
		else if ((ifreq.ifr_flags & IFF_RUNNING) != 0)
			result = 0;
		else
			nanosleep(&pause, NULL);
	}
	close(fd);
	return result;
}

int rtnl_offloads_off(const char *name)
{
	static const uint32_t commands[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = 0;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		struct ethtool_value off = {.cmd = commands[i]};
		struct ifreq ifreq = named(name);

		ifreq.ifr_data = (char *)&off;
		if (ioctl(fd, SIOCETHTOOL, &ifreq) < 0)
			result = -errno;
	}
	close(fd);
	return result;
}
