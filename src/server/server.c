/* SPDX-License-Identifier: MIT */
/*
 * The server: listens, hands connections to sessions, and stops in order. Owns the
 * sessions and, when it was made by lb_server_new, the loop; the sink is the caller's.
 */
#include "server/server.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SECOND       INT64_C(1000000000)
#define BUSY_MAX     64 /* connections beyond max_sessions that are told so; more wait in the backlog */
#define ACCEPT_RETRY (SECOND / 10) /* when there is no descriptor left */

static void pause_accepting(struct lb_server *server)
{
	if (server->accepting)
		server->loop->ops->unwatch(server->loop, &server->listener);
	server->accepting = false;
}

void lb_server_accept_again(struct lb_server *server)
{
	if (server->accepting || server->stopping || server->listener.fd < 0)
		return;
	server->accepting = server->loop->ops->watch(server->loop, &server->listener) == 0;
}

/* Takes what waits, at most `most` connections. False: there may be more. */
static bool accept_waiting(struct lb_server *server, unsigned most)
{
	struct lb_host *host = server->loop->host;
	struct lb_endpoint peer;

	for (unsigned i = 0; i < most; i++) {
		int fd = host->net->accept(host, server->listener.fd, &peer);

		if (fd == -EAGAIN)
			return true;
		if (fd < 0) {
			/* No descriptor or no memory is left, mostly. It stays readable: without a pause the loop
			 * would spin, and stopping, which accepts until nobody waits, would never end. */
			pause_accepting(server);
			lb_timer_set(&server->loop->wheel, &server->accept_timer,
				host->clock->now(host) + ACCEPT_RETRY);
			return true;
		}
		lb_session_new(server, fd, &peer);
		if (server->n_sessions >= server->options.max_sessions + BUSY_MAX) {
			pause_accepting(server);
			return true;
		}
	}
	return false;
}

static void listener_ready(struct lb_watch *watch, uint32_t events)
{
	struct lb_server *server = (struct lb_server *)((char *)watch - offsetof(struct lb_server, listener));

	(void)events;
	(void)accept_waiting(server, 64);
}

static void accept_expired(struct lb_timer *timer)
{
	lb_server_accept_again(
		(struct lb_server *)((char *)timer - offsetof(struct lb_server, accept_timer)));
}

void lb_server_check_stopped(struct lb_server *server)
{
	if (server->stopping && server->n_sessions == 0 && server->n_tasks == 0) {
		lb_timer_cancel(&server->loop->wheel, &server->stop_timer);
		server->stopped(server);
	}
}

void lb_session_answered_never(struct lb_session *session)
{
	if (session->answeredp == NULL)
		return;
	*session->answeredp = session->next_answered;
	if (session->next_answered != NULL)
		session->next_answered->answeredp = session->answeredp;
	session->answeredp = NULL;
}

void lb_session_answered_soon(struct lb_session *session)
{
	struct lb_server *server = session->server;

	if (session->answeredp != NULL)
		return;
	session->next_answered = server->answered;
	session->answeredp = &server->answered;
	if (session->next_answered != NULL)
		session->next_answered->answeredp = &session->next_answered;
	server->answered = session;
}

void lb_sessions_write(struct lb_server *server)
{
	struct lb_session *session;

	while ((session = server->answered) != NULL) {
		lb_session_answered_never(session);
		lb_session_answered(session);
	}
}

static void sweep_expired(struct lb_timer *timer)
{
	lb_task_sweep((struct lb_server *)((char *)timer - offsetof(struct lb_server, sweep_timer)));
}

static void stop_sessions(struct lb_server *server, bool at_once)
{
	struct lb_session *session, *next;

	for (session = server->sessions; session != NULL; session = next) {
		next = session->next;
		lb_session_stop(session, at_once);
	}
}

static void stop_expired(struct lb_timer *timer)
{
	struct lb_server *server =
		(struct lb_server *)((char *)timer - offsetof(struct lb_server, stop_timer));

	stop_sessions(server, true);
}

void lb_server_begin_stop(struct lb_server *server)
{
	struct lb_host *host = server->loop->host;

	if (server->stopping)
		return;
	/* Closing a listener resets the connections that wait in its backlog: take them first. */
	while (!accept_waiting(server, 1024))
		;
	pause_accepting(server);
	server->stopping = true;
	host->net->unlisten(host, server->listener.fd);
	server->listener.fd = -1;
	lb_timer_cancel(&server->loop->wheel, &server->accept_timer);
	lb_timer_cancel(&server->loop->wheel, &server->sweep_timer);
	lb_timer_set(&server->loop->wheel, &server->stop_timer,
		host->clock->now(host) + server->options.drain_timeout);
	stop_sessions(server, false);
	lb_server_check_stopped(server);
}

static int start_listening(struct lb_server *server, char why[256])
{
	const char *listen = server->options.listen != NULL ? server->options.listen : "127.0.0.1",
		   *reason = "";
	struct lb_host *host = server->loop->host;
	struct lb_endpoint endpoints[LB_ENDPOINTS_MAX];
	int n = host->net->resolve(host, listen, endpoints, LB_ENDPOINTS_MAX, &reason), fd;

	if (n <= 0) {
		snprintf(why, 256, "cannot listen on %.100s: %s", listen, reason);
		return n < 0 ? n : -EHOSTUNREACH;
	}
	if (!server->options.insecure && !lb_endpoint_is_loopback(&endpoints[0])) {
		snprintf(why, 256,
			"%.100s is not a loopback address, and nothing is encrypted or authenticated: "
			"whoever reaches it can "
			"deliver; --insecure allows it",
			listen);
		return -EACCES;
	}
	fd = host->net->listen(host, &endpoints[0], &server->bound);
	if (fd < 0) {
		snprintf(why, 256, "cannot listen on %.100s: %s",
			lb_endpoint_text(&endpoints[0], server->address), strerror(-fd));
		return fd;
	}
	lb_endpoint_text(&server->bound, server->address);
	server->listener = (struct lb_watch){.fd = fd, .events = EPOLLIN, .ready = listener_ready};
	lb_server_accept_again(server);
	if (!server->accepting) {
		host->net->unlisten(host, fd);
		snprintf(why, 256, "cannot wait for connections: out of memory or descriptors");
		return -ENOMEM;
	}
	return 0;
}

int lb_server_new_on(struct lb_loop *loop, struct lb_sink *sink, const struct lb_server_options *options,
	void (*stopped)(struct lb_server *server), struct lb_server **serverp, char why[256])
{
	struct lb_server *server = calloc(1, sizeof *server);
	int result = -ENOMEM;

	*serverp = NULL;
	snprintf(why, 256, "out of memory");
	if (server == NULL)
		return result;
	server->buf = malloc(LB_RECV_BYTES);
	server->loop = loop;
	server->sink = sink;
	server->options = *options;
	if (sink->max_delivery != 0 &&
		(options->max_delivery == 0 || options->max_delivery > sink->max_delivery))
		server->options.max_delivery = sink->max_delivery;
	if (server->options.max_sessions == 0)
		server->options.max_sessions = 1024;
	if (server->options.drain_timeout == 0)
		server->options.drain_timeout = 10 * SECOND;
	server->stopped = stopped;
	server->listener.fd = -1;
	server->accept_timer.expired = accept_expired;
	server->stop_timer.expired = stop_expired;
	server->sweep_timer.expired = sweep_expired;
	loop->work = lb_task_work;
	loop->work_arg = server;
	if (server->buf != NULL)
		result = lb_reply_init(server);
	if (result == -ENOTSUP)
		snprintf(why, 256, "this sink keeps nothing that an application could work on");
	if (result == 0)
		result = start_listening(server, why);
	if (result != 0) {
		lb_server_release(server);
		return result;
	}
	if (sink->resumable)
		lb_timer_set(&loop->wheel, &server->sweep_timer,
			loop->host->clock->now(loop->host) + sink->sweep_every);
	*serverp = server;
	return 0;
}

static void quit(struct lb_server *server)
{
	lb_loop_quit(server->loop);
}

static void woken(void *arg)
{
	lb_server_begin_stop(arg);
}

int lb_server_new(struct lb_sink *sink, const struct lb_server_options *options, struct lb_server **serverp,
	char why[256])
{
	struct lb_loop *loop;
	int result = lb_loop_new(lb_host_real(), &loop);

	*serverp = NULL;
	if (result != 0) {
		snprintf(why, 256, "cannot make an event loop: %s", strerror(-result));
		return result;
	}
	result = lb_server_new_on(loop, sink, options, quit, serverp, why);
	if (result != 0) {
		lb_loop_free(loop);
		return result;
	}
	loop->woken = woken;
	loop->woken_arg = *serverp;
	return 0;
}

const char *lb_server_address(const struct lb_server *server)
{
	return server->address;
}

unsigned lb_server_port(const struct lb_server *server)
{
	return lb_endpoint_port(&server->bound);
}

int lb_server_run(struct lb_server *server)
{
	return lb_loop_run(server->loop);
}

void lb_server_stop(struct lb_server *server)
{
	lb_loop_wake(server->loop);
}

void lb_server_drop(struct lb_server *server)
{
	server->stopping = true;
	while (server->sessions != NULL)
		lb_session_free(server->sessions);
	pause_accepting(server);
	if (server->listener.fd >= 0)
		server->loop->host->net->unlisten(server->loop->host, server->listener.fd);
	server->listener.fd = -1;
	lb_timer_cancel(&server->loop->wheel, &server->accept_timer);
	lb_timer_cancel(&server->loop->wheel, &server->sweep_timer);
	lb_timer_cancel(&server->loop->wheel, &server->stop_timer);
}

void lb_server_release(struct lb_server *server)
{
	lb_tasks_free_spare(server);
	lb_reply_deinit(server);
	free(server->buf);
	free(server);
}

void lb_server_free(struct lb_server *server)
{
	struct lb_loop *loop;

	if (server == NULL)
		return;
	loop = server->loop;
	lb_server_drop(server);
	lb_server_release(server);
	lb_loop_free(loop);
}
