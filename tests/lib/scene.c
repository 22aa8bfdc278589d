/* SPDX-License-Identifier: MIT */
/* The helpers of scene.h. */
#include "lib/scene.h"
#include "lib/cmocka.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PIECE   20000
#define PATIENT 60000 /* ms: a test that waits for longer has failed */

struct link *scene_link(const struct link_options *options)
{
	char why[LINK_WHY];
	struct link *link;

	if (link_new(options, &link, why) < 0) {
		print_message("# SKIP a link of kind %d: %s\n", (int)options->kind, why);
		skip();
	}
	return link;
}

void scene_send(const int fds[2], size_t bytes)
{
	static char buf[PIECE];

	while (bytes > 0) {
		size_t len = bytes < PIECE ? bytes : PIECE;

		assert_int_equal(send(fds[0], buf, len, 0), len);
		assert_int_equal(recv(fds[1], buf, len, MSG_WAITALL), len);
		bytes -= len;
	}
}

/* No event tells of the acknowledgement of a FIN to who has seen the other's already. */
void scene_end(const int fds[2])
{
	lb_time limit = lb_in_ms(PATIENT);
	struct tcp_info info;
	socklen_t len = sizeof info;
	char byte;

	shutdown(fds[0], SHUT_WR);
	assert_int_equal(recv(fds[1], &byte, 1, 0), 0);
	shutdown(fds[1], SHUT_WR);
	assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
	do {
		assert_true(lb_now() < limit);
		poll(NULL, 0, 1);
		assert_return_code(getsockopt(fds[1], IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	} while (info.tcpi_state != TCP_CLOSE);
	close(fds[0]);
	close(fds[1]);
}
