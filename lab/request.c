/* SPDX-License-Identifier: MIT */
/* The play of request.h. How each way sends, and what the other end does, is in ways.c. */
#include "lab/request.h"
#include "lab/ways.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static int find(const char *name)
{
	for (int way = 0; way < WAYS; way++)
		if (strcmp(ways_names[way], name) == 0)
			return way;
	return -EINVAL;
}

/*
 * Linux acks the first segments of a connection at once, and delays acks only on one that is in use, by 40 ms or more:
 * tcp_input.c, quick acks. To begin as a connection that is in use is one option, tcp(7), and no request before this one.
 */
static int delay_acks(int fd, struct lab_play *play)
{
	int off = 0;
	struct lab_call *call = lab_call_begin(play, true, "setsockopt(fd, TCP_QUICKACK, 0)");
	int result = setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off) < 0 ? -errno : 0;

	lab_call_end(play, call, result);
	return result;
}

static int ask(int fd, enum way way, struct lab_play *play)
{
	lb_time began = lb_now();
	int error = ways_send(fd, way, play);
	struct lab_call *call;
	ssize_t n;
	char byte;

	if (error < 0)
		return error;
	play->sent_bytes = WAYS_BYTES;
	call = lab_call_begin(play, false, "recv(fd, 1 byte)");
	n = recv(fd, &byte, 1, 0);
	error = n < 0 ? -errno : 0;
	lab_call_end(play, call, n < 0 ? error : n);
	play->blocked = lb_now() - began;
	play->back_bytes = n == 1;
	return n == 0 ? -EPIPE : error;
}

static void close_end(int fd, bool of_peer, struct lab_play *play)
{
	struct lab_call *call = lab_call_begin(play, of_peer, "close(fd)");

	lab_call_end(play, call, close(fd) < 0 ? -errno : 0);
}

int lab_request(const int fds[2], const char *way, struct lab_play *play)
{
	struct ways_peer peer = {.fd = fds[1], .play = play};
	int found = find(way), error = found < 0 ? found : delay_acks(fds[1], play);

	play->meant_bytes = WAYS_BYTES;
	if (error == 0)
		error = ways_peer_start(&peer);
	if (error < 0) {
		close(fds[0]);
		close(fds[1]);
		return error;
	}
	error = ask(fds[0], found, play);
	close_end(fds[0], false, play);
	pthread_join(peer.thread, NULL);
	close_end(fds[1], true, play);
	return error;
}
