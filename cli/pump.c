/* SPDX-License-Identifier: MIT */
/*
 * Moves bytes between standard input and output and a connection. Owns two buffers of a fixed size, one for each
 * direction, neither of which ever waits for the other: a peer that answers before it has read everything would wait
 * for us for ever. How the connection is ended, and what that proves, is not decided here.
 */
#include "pump.h"
#include "loop/real.h"
#include "sock/tcp.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool empty(const struct lb_pump_buffer *buffer)
{
	return buffer->from == buffer->to;
}

uint64_t lb_pump_unsent(const struct lb_pump *pump)
{
	return pump->up.to - pump->up.from;
}

const char *lb_pump_check(void)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(STDIN_FILENO, &st) < 0)
		return strerror(errno);
	if (S_ISDIR(st.st_mode))
		return "it is a directory";
	return (flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0 ? "it is closed" : NULL;
}

/*
 * A write that blocks would hold up the other direction, and O_NONBLOCK on the descriptor that we were given would be
 * there for everybody who shares it. A pipe or a terminal can be opened anew: proc(5), /proc/pid/fd. Where that does
 * not work, so little is written at once that it cannot block after poll(2): pipe(7), PIPE_BUF.
 */
static void open_output(struct lb_pump *pump)
{
	struct stat st;

	pump->output = STDOUT_FILENO;
	pump->output_max = PIPE_BUF;
	if (fstat(STDOUT_FILENO, &st) < 0)
		return;
	if (S_ISREG(st.st_mode))
		pump->output_max = SIZE_MAX;
	if (S_ISFIFO(st.st_mode) || isatty(STDOUT_FILENO)) {
		int fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

		if (fd >= 0) {
			pump->output = fd;
			pump->output_max = SIZE_MAX;
		}
	}
}

/* What the file system has to say goes to whoever closes last: close(2), "I/O error". */
void lb_pump_close(struct lb_pump *pump)
{
	if (pump->output != STDOUT_FILENO)
		close(pump->output);
	if (close(STDOUT_FILENO) < 0 && pump->output_error == 0)
		pump->output_error = errno;
}

static bool wants_input(const struct lb_pump *pump)
{
	return empty(&pump->up) && !pump->input_ended && pump->send_error == 0;
}

static bool wants_reply(const struct lb_pump *pump)
{
	return empty(&pump->down) && !pump->reply_ended && pump->broken == 0;
}

static bool has_to_send(const struct lb_pump *pump)
{
	return !empty(&pump->up) && pump->send_error == 0;
}

static void take_input(struct lb_pump *pump)
{
	ssize_t n = read(STDIN_FILENO, pump->up.bytes, sizeof pump->up.bytes);

	if (n > 0) {
		pump->up.from = 0;
		pump->up.to = (size_t)n;
		pump->read += (uint64_t)n;
	} else if (n == 0) {
		pump->input_ended = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		pump->input_error = errno;
	}
}

static void send_on(struct lb_pump *pump)
{
	struct lb_pump_buffer *up = &pump->up;
	ssize_t n;

	if (has_to_send(pump)) {
		n = send(pump->fd, up->bytes + up->from, up->to - up->from, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			up->from += (size_t)n;
			pump->early = pump->early || pump->hung_up;
		} else if (errno != EAGAIN && errno != EINTR) {
			pump->send_error = errno;
		}
	}
	if (pump->waits && pump->input_ended && empty(up) && !pump->finished)
		pump->finished = shutdown(pump->fd, SHUT_WR) == 0;
}

/* What has come before the connection broke is read also when a send has told that already. */
static void take_reply(struct lb_pump *pump)
{
	ssize_t n = lb_tcp_recv(pump->fd, pump->down.bytes, sizeof pump->down.bytes, 0);

	if (n > 0) {
		pump->down.from = 0;
		pump->down.to = (size_t)n;
	} else if (n == 0) {
		pump->reply_ended = true;
	} else if (pump->send_error != 0 && (n == -ENODATA || n == -EAGAIN)) {
		pump->broken = pump->send_error;
	} else if (n != -EAGAIN) {
		pump->broken = pump->send_error = (int)-n;
	}
}

static bool would_block(const struct lb_pump *pump)
{
	struct pollfd output = {.fd = pump->output, .events = POLLOUT};

	return pump->output == STDOUT_FILENO && poll(&output, 1, 0) == 0;
}

/* How many bytes it is rid of. Once it does not take any more, the reply is read on and thrown away: a peer that waits
 * until it has been read would not read what we still send. */
static size_t write_some(struct lb_pump *pump, const char *bytes, size_t len)
{
	ssize_t n = 0;

	if (pump->output_error == 0 && len > 0 && !would_block(pump)) {
		n = write(pump->output, bytes, len < pump->output_max ? len : pump->output_max);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			pump->output_error = errno;
		n = n > 0 ? n : 0;
		pump->reply += (uint64_t)n;
	}
	if (pump->output_error == 0)
		return (size_t)n;
	pump->refused += len;
	return len;
}

/* The peer's FIN is looked for before it is read up to, as standard output may be slow: what of ours is acked by
 * then, it may have ended because of; what is not, it cannot. */
static void hang_up(struct lb_pump *pump)
{
	struct lb_tcp tcp;

	pump->hung_up = true;
	lb_tcp_read(pump->fd, &tcp);
	if (tcp.unacked > pump->finished || !empty(&pump->up))
		pump->early = true;
}

/* While nothing is read from the socket, a hang-up tells that it is gone; what has come stays there. */
static void notice_death(struct lb_pump *pump)
{
	struct lb_tcp tcp;

	lb_tcp_look(pump->fd, &tcp);
	if (tcp.state != LB_TCP_CLOSED || pump->send_error != 0)
		return;
	pump->send_error = lb_tcp_take_error(pump->fd);
	if (pump->send_error == 0)
		pump->send_error = ENODATA;
}

enum { INPUT, SOCKET, OUTPUT, SIGNALS, N };

/* A descriptor of which nothing is wanted is left out: poll(2) reports a hang-up for as long as it lasts, wanted or
 * not. While there may be more to send, the socket's is wanted. */
static void choose(const struct lb_pump *pump, struct pollfd fds[N])
{
	bool alive = pump->send_error == 0;
	short events = (short)((wants_reply(pump) ? POLLIN : 0) | (has_to_send(pump) ? POLLOUT : 0) |
			       (alive && !pump->hung_up ? POLLRDHUP : 0));

	fds[INPUT] = (struct pollfd){.fd = wants_input(pump) ? STDIN_FILENO : -1, .events = POLLIN};
	fds[SOCKET] = (struct pollfd){
		.fd = events != 0 || (alive && !pump->finished) ? pump->fd : -1, .events = events};
	fds[OUTPUT] = (struct pollfd){.fd = !empty(&pump->down) ? pump->output : -1, .events = POLLOUT};
	fds[SIGNALS] = (struct pollfd){.fd = pump->signals, .events = POLLIN};
}

/* One turn for each direction. */
static void turn(struct lb_pump *pump, const struct pollfd fds[N])
{
	short socket = fds[SOCKET].revents;

	if ((socket & POLLRDHUP) != 0)
		hang_up(pump);
	if (fds[INPUT].revents != 0)
		take_input(pump);
	send_on(pump);
	if (wants_reply(pump) && (socket != 0 || pump->send_error != 0))
		take_reply(pump);
	else if ((socket & (POLLERR | POLLHUP)) != 0)
		notice_death(pump);
	pump->down.from +=
		write_some(pump, pump->down.bytes + pump->down.from, pump->down.to - pump->down.from);
}

/* A reply that standard output does not take is not waited for. */
static bool over(const struct lb_pump *pump)
{
	bool sent = pump->send_error != 0 || (pump->input_ended && empty(&pump->up));
	bool replied = pump->reply_ended || pump->output_error != 0 || !pump->waits;

	if (pump->input_error != 0 || pump->interrupted)
		return true;
	return empty(&pump->down) && (pump->broken != 0 || (sent && replied));
}

void lb_pump(struct lb_pump *pump)
{
	struct pollfd fds[N];

	open_output(pump);
	while (!over(pump)) {
		lb_time now = lb_now(), left = pump->deadline - now;
		struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

		if (left <= 0)
			break;
		choose(pump, fds);
		if (ppoll(fds, N, pump->deadline != LB_NEVER ? &timeout : NULL, NULL) < 0)
			continue;
		turn(pump, fds);
		pump->interrupted = fds[SIGNALS].revents != 0;
	}
}

int lb_pump_put(struct lb_pump *pump, const void *buf, size_t len)
{
	struct lb_host *host = lb_host_real();
	const char *bytes = buf, *end = bytes + len;

	while (bytes < end) {
		size_t part = write_some(pump, bytes, (size_t)(end - bytes));
		int ready = 1;

		bytes += part;
		if (part == 0)
			ready = host->net->wait(
				host, pump->output, EPOLLOUT, pump->signals, -1, pump->deadline);
		if (ready == 1)
			continue;
		pump->interrupted = ready > 0;
		pump->refused += (uint64_t)(end - bytes);
		return -ECANCELED;
	}
	return 0;
}
