/* SPDX-License-Identifier: MIT */
/*
 * The closer in an io_uring loop: a poll for its descriptor, submitted again after each step. The endings themselves
 * do not go through the ring: an io_uring close blocks its submission, or cuts a linger time short.
 */
#include "example.h"
#include <liburing.h>
#include <poll.h>
#include <unistd.h>

static void watch(struct io_uring *ring, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_poll_add(sqe, fd, POLLIN);
	io_uring_sqe_set_data64(sqe, (uint64_t)fd);
}

int main(int argc, char **argv)
{
	int listener = begin(argc, argv), error;
	struct lb_closer *closer;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	error = io_uring_queue_init(8, &ring, 0);
	if (error < 0) {
		fprintf(stderr, "io_uring: error %d\n", -error);
		return 77; /* the kernel has none, or may not use it */
	}
	if (lb_closer_new(NULL, &closer) < 0)
		return 1;
	watch(&ring, listener);
	watch(&ring, lb_closer_fd(closer));
	while (left > 0) {
		int fd;

		io_uring_submit_and_wait(&ring, 1);
		if (io_uring_peek_cqe(&ring, &cqe) < 0)
			continue;
		fd = (int)io_uring_cqe_get_data64(cqe);
		io_uring_cqe_seen(&ring, cqe);
		if (fd == listener)
			serve(closer, listener);
		else
			lb_closer_step(closer);
		watch(&ring, fd);
	}
	io_uring_queue_exit(&ring);
	lb_closer_free(closer);
	close(listener);
	return 0;
}
