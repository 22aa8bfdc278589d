/* SPDX-License-Identifier: MIT */
/* The closer in a thread of its own, for a program without a loop: what blocks here is accept, and nothing else. */
#include "example.h"
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static void *run(void *closer)
{
	lb_closer_run(closer);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = begin(argc, argv), connections = left;
	struct pollfd arrival = {.fd = listener, .events = POLLIN};
	struct lb_closer *closer;
	pthread_t thread;
	int result;

	if (lb_closer_new(NULL, &closer) < 0 || pthread_create(&thread, NULL, run, closer) != 0)
		return 1;
	for (; connections > 0; connections--) {
		poll(&arrival, 1, -1);
		serve(closer, listener);
	}
	close(listener);
	/* the thread ends first, for one at a time may step; then what is still being ended has ten seconds */
	lb_closer_stop(closer);
	pthread_join(thread, NULL);
	result = lb_closer_drain(closer, lb_in_ms(10000));
	lb_closer_free(closer);
	return result == 0 ? 0 : 1;
}
