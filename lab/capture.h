/* SPDX-License-Identifier: MIT */
/*
 * What passes the link's devices, with libpcap, at both ends: TCP alone, the headers of it. Needs CAP_NET_RAW in the
 * link's namespaces. pcap(3PCAP).
 *
 *	error = lab_capture_start(link, &capture);
 *	... connects, plays, ends ...
 *	lab_capture_stop(capture, NULL, play);
 */
#ifndef LAB_CAPTURE_H
#define LAB_CAPTURE_H

#include "lab/cell.h"

struct lab_capture;

/*
 * From now on, into memory, by a thread. 0 or a negative errno: -EPERM, -EOPNOTSUPP for LINK_LOOPBACK, whose device
 * carries what is others', too.
 */
LB_CHECKED int lab_capture_start(struct link *link, struct lab_capture **capturep);

/*
 * Until now: what has been sent counts, and what is on its way is waited for, as long as the link takes. Fills `captured`,
 * `segments`, `missed`, `arrow` and `arrows` of the play, whose `zero` is set: times before that are below 0. `lost` of
 * the segments are those that left one end and never reached the other; if any were missed, that may be why. A loopback
 * is one device: there they arrive as they are sent, and in the pieces in which the kernel hands them over.
 *
 * pcap_path, unless it is NULL: what passed our end's device (LINK_LEFT) goes there, for others to read. If it cannot,
 * play->failed says so.
 *
 * There are as many arrows as there is room for, and together they are all that was captured: segments that are alike
 * are merged, first plain data and plain acknowledgements in the middle of a transfer, then more. Of merged ones `sent`,
 * `arrived`, `seq` and `flags` are the first's, `ack` and `window` the last's. Lost ones merge with lost ones alone, and
 * what is sent again with such.
 */
void lab_capture_stop(struct lab_capture *capture, const char *pcap_path, struct lab_play *play);

#endif
