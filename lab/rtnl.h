/* SPDX-License-Identifier: MIT */
/*
 * Network devices of the calling thread's network namespace: what iproute2 does, without it. Each function returns 0
 * or a negative errno, and needs CAP_NET_ADMIN there. rtnetlink(7), netdevice(7).
 */
#ifndef LAB_RTNL_H
#define LAB_RTNL_H

/* A pair of veth devices of one name: one here, the other in the namespace that the descriptor names. */
int rtnl_veth(const char *name, int other_ns);

/* A TUN device (IP packets, no header), as a descriptor that is its other side, O_NONBLOCK; it is gone with that. */
int rtnl_tun(const char *name);

/* ip link set NAME up; a queue of so many packets, unless that is 0. */
int rtnl_up(const char *name, unsigned queue);

/* ip address add ADDRESS/PREFIX dev NAME; usable at once (no duplicate address detection). */
int rtnl_address(const char *name, int family, const void *address, unsigned prefix);

/* Waits until the device carries packets (its other end has to be up): -ETIMEDOUT when 5 s bring no news. */
int rtnl_wait_running(const char *name);

/* No segmentation by the device and no merging of what it receives: packets are what is on the wire. */
int rtnl_offloads_off(const char *name);

#endif
