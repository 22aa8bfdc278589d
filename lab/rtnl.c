/* SPDX-License-Identifier: MIT */
/* The requests of rtnl.h, over rtnetlink where it can do them and ioctl(2) where it cannot. Owns no state. */
#include "lab/rtnl.h"
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h> /* last: it leaves out what net/if.h has, and not the other way round */

#define PATIENCE 5 /* seconds */

/* A message from us or to us. Those to us are longest where they describe a device: some 2 KB. */
struct message {
	_Alignas(struct nlmsghdr) char bytes[8192];
};

static struct nlmsghdr *request(struct message *message, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *head = mnl_nlmsg_put_header(message->bytes);

	head->nlmsg_type = type;
	head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return head;
}

/* An ifinfomsg: the head of what is asked of a device, and of the other end of a pair. */
static struct ifinfomsg *put_device(struct nlmsghdr *head, unsigned index)
{
	struct ifinfomsg *device = mnl_nlmsg_put_extra_header(head, sizeof *device);

	device->ifi_family = AF_UNSPEC;
	device->ifi_index = (int)index;
	return device;
}

/* What comes to the socket goes to `see`, until that has seen enough (MNL_CB_STOP), or there is an error or an ack. */
static int hear(struct mnl_socket *socket, struct message *message, mnl_cb_t see, void *data)
{
	int result = MNL_CB_OK;

	while (result == MNL_CB_OK) {
		ssize_t n = mnl_socket_recvfrom(socket, message->bytes, sizeof message->bytes);

		if (n < 0)
			return -errno;
		result = mnl_cb_run(message->bytes, (size_t)n, 0, 0, see, data);
	}
	return result < 0 ? -errno : 0;
}

/* Opens a socket that hears of `groups`, asks there, and hears the answer. */
static int ask(struct message *message, unsigned groups, mnl_cb_t see, void *data)
{
	const struct timeval patience = {.tv_sec = PATIENCE};
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	const struct nlmsghdr *head = (const struct nlmsghdr *)message->bytes;
	int result;

	if (socket == NULL)
		return -errno;
	if (mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) < 0 ||
		setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) <
			0 ||
		mnl_socket_sendto(socket, head, head->nlmsg_len) < 0)
		result = -errno;
	else
		result = hear(socket, message, see, data);
	mnl_socket_close(socket);
	return result == -EAGAIN ? -ETIMEDOUT : result;
}

int rtnl_veth(const char *name, int other_ns)
{
	struct message message;
	struct nlmsghdr *make = request(&message, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *peer;

	put_device(make, 0);
	mnl_attr_put_strz(make, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(make, IFLA_LINKINFO);
	mnl_attr_put_strz(make, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(make, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(make, VETH_INFO_PEER);
	put_device(make, 0);
	mnl_attr_put_strz(make, IFLA_IFNAME, name);
	mnl_attr_put_u32(make, IFLA_NET_NS_FD, (uint32_t)other_ns);
	mnl_attr_nest_end(make, peer);
	mnl_attr_nest_end(make, data);
	mnl_attr_nest_end(make, info);
	return ask(&message, 0, NULL, NULL);
}

int rtnl_up(const char *name, unsigned queue)
{
	struct message message;
	struct nlmsghdr *set = request(&message, RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *device = put_device(set, if_nametoindex(name));

	if (device->ifi_index == 0)
		return -errno;
	device->ifi_flags = device->ifi_change = IFF_UP;
	if (queue > 0)
		mnl_attr_put_u32(set, IFLA_TXQLEN, queue);
	return ask(&message, 0, NULL, NULL);
}

int rtnl_address(const char *name, int family, const void *address, unsigned prefix)
{
	size_t len = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
	struct message message;
	struct nlmsghdr *add = request(&message, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *head = mnl_nlmsg_put_extra_header(add, sizeof *head);

	*head = (struct ifaddrmsg){.ifa_family = (uint8_t)family,
		.ifa_prefixlen = (uint8_t)prefix,
		.ifa_flags = IFA_F_NODAD,
		.ifa_index = if_nametoindex(name)};
	if (head->ifa_index == 0)
		return -errno;
	mnl_attr_put(add, IFA_LOCAL, len, address);
	mnl_attr_put(add, IFA_ADDRESS, len, address);
	return ask(&message, 0, NULL, NULL);
}

static int find_state(const struct nlattr *attribute, void *data)
{
	const struct nlattr **state = data;

	if (mnl_attr_get_type(attribute) == IFLA_OPERSTATE && mnl_attr_validate(attribute, MNL_TYPE_U8) == 0)
		*state = attribute;
	return MNL_CB_OK;
}

static int is_running(const struct nlmsghdr *head, void *data)
{
	const struct ifinfomsg *device = mnl_nlmsg_get_payload(head);
	const unsigned *index = data;
	const struct nlattr *state = NULL;

	if (head->nlmsg_type != RTM_NEWLINK || (unsigned)device->ifi_index != *index)
		return MNL_CB_OK;
	mnl_attr_parse(head, sizeof *device, find_state, &state);
	return state != NULL && mnl_attr_get_u8(state) == IF_OPER_UP ? MNL_CB_STOP : MNL_CB_OK;
}

/*
 * The kernel attaches the queue of a veth some time after both ends are up, and drops packets until then. It tells of
 * that: what is asked here is how things stand meanwhile. IFF_RUNNING would not do: a new device has it, too.
 */
int rtnl_wait_running(const char *name)
{
	unsigned index = if_nametoindex(name);
	struct message message;

	if (index == 0)
		return -errno;
	put_device(request(&message, RTM_GETLINK, 0), index);
	return ask(&message, RTMGRP_LINK, is_running, &index);
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
