/* SPDX-License-Identifier: MIT */
/*
 * capture_file KIND LOSS FILE: captures a connection over a link, in which data goes both ways and which our end resets,
 * into a file, and prints what lab_capture_stop said of it: our port, the ns from our SYN to the answer, and a line
 * of data, FIN, RST, all and lost segments for either end. Exits with 77, saying why, where there is no such link.
 */
#include "lab/capture.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS INT64_C(1000000)

static struct lab_play play;

static int fail(const char *what, int code)
{
	fprintf(stderr, "%s\n", what);
	return code;
}

/* The peer's last byte is there when our end closes, and not read: that resets. */
static bool converse(const int fds[2])
{
	static char buf[20000];
	char byte;

	for (int i = 0; i < 20; i++)
		if (send(fds[0], buf, sizeof buf, 0) != sizeof buf ||
			recv(fds[1], buf, sizeof buf, MSG_WAITALL) != sizeof buf)
			return false;
	if (send(fds[1], buf, 5000, 0) != 5000 || shutdown(fds[1], SHUT_WR) < 0 ||
		recv(fds[0], buf, 4999, MSG_WAITALL) != 4999)
		return false;
	if (recv(fds[0], &byte, 1, MSG_PEEK) != 1)
		return false;
	return close(fds[0]) == 0;
}

int main(int argc, char **argv)
{
	struct link_options options = {.delay = 5 * MS, .seed = 3};
	struct lab_capture *capture;
	struct sockaddr_in ours = {0};
	socklen_t len = sizeof ours;
	char why[LINK_WHY];
	struct link *link;
	int fds[2];

	if (argc != 4)
		return fail("usage: capture_file lo|veth|delay LOSS FILE", 2);
	options.kind = strcmp(argv[1], "lo") == 0     ? LINK_LO
		       : strcmp(argv[1], "veth") == 0 ? LINK_VETH
						      : LINK_DELAY;
	options.loss = (unsigned)atoi(argv[2]);
	if (link_new(&options, &link, why) < 0)
		return fail(why, 77);
	if (lab_capture_start(link, &capture) < 0)
		return fail("capturing", 1);
	if (link_connect(link, LINK_LEFT, AF_INET, fds) < 0)
		return fail("connecting", 1);
	play.zero = lb_now();
	if (getsockname(fds[0], (struct sockaddr *)&ours, &len) < 0 || !converse(fds))
		return fail("conversing", 1);
	lab_capture_stop(capture, argv[3], &play);
	if (play.failed[0] != '\0' || play.missed > 0)
		return fail(play.failed, 1);
	printf("%u %jd\n", ntohs(ours.sin_port), (intmax_t)(play.arrow[1].arrived - play.arrow[0].sent));
	for (int end = 0; end < 2; end++) {
		const struct segments *seen = &play.segments[end];

		printf("%ju %ju %ju %ju %ju\n", (uintmax_t)seen->data, (uintmax_t)seen->fin,
			(uintmax_t)seen->rst, (uintmax_t)seen->all, (uintmax_t)seen->lost);
	}
	close(fds[1]);
	link_free(link);
	return 0;
}
