/* SPDX-License-Identifier: MIT */
/* The closer in a libuv loop: a uv_poll_t for its descriptor, and no timer. */
#include "example.h"
#include <unistd.h>
#include <uv.h>

static struct lb_closer *closer;

static void step(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	lb_closer_step(closer);
	if (left <= 0)
		uv_stop(handle->loop);
}

static void incoming(uv_poll_t *handle, int status, int events)
{
	uv_os_fd_t listener;

	(void)events;
	if (status == 0 && uv_fileno((uv_handle_t *)handle, &listener) == 0)
		serve(closer, listener);
}

int main(int argc, char **argv)
{
	int listener = begin(argc, argv);
	uv_poll_t endings, arrivals;
	uv_loop_t loop;

	if (lb_closer_new(NULL, &closer) < 0 || uv_loop_init(&loop) < 0)
		return 1;
	uv_poll_init(&loop, &arrivals, listener);
	uv_poll_start(&arrivals, UV_READABLE, incoming);
	uv_poll_init(&loop, &endings, lb_closer_fd(closer));
	uv_poll_start(&endings, UV_READABLE, step);
	uv_run(&loop, UV_RUN_DEFAULT);
	/* the handles go before the descriptors do */
	uv_close((uv_handle_t *)&arrivals, NULL);
	uv_close((uv_handle_t *)&endings, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	lb_closer_free(closer);
	close(listener);
	return 0;
}
