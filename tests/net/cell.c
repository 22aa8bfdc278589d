/* SPDX-License-Identifier: MIT */
/*
 * How a cell is played: what our end does, and what the peer does in each scenario. What may come of it is in judge.c,
 * which cells there are in test_matrix.c.
 */
#include "net/cell.h"
#include "lib/holder.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)

#define FEW_BYTES   40000 /* fit into any window */
#define KB          1024
#define LATE_AFTER  100000   /* bytes that the peer has read when it sends its late 1 KB */
#define SLOW_BYTES  16384    /* a slow reader reads so many ... */
#define SLOW_PAUSE  (8 * MS) /* ... every so often: 2 MB/s */
#define UPLOAD      (8u << 20)
#define SLOW_UPLOAD (1u << 20)
#define SEND_BUFFER (4 << 20)
#define FLOOD_MAX   (1u << 20) /* our end discards so much of a flood */
#define LONG        30000
#define SHORT       1000

static struct cell *cell_of(struct tcp_peer *peer)
{
	return (struct cell *)((char *)peer - offsetof(struct cell, tcp.peer));
}

/* The peer's application knows after a failed send that the stream is broken: an end that it reads then is none. */
static bool peer_sends(struct tcp_peer *peer, uint64_t len)
{
	if (!tcp_peer_send(peer, len))
		cell_of(peer)->send_failed = true;
	return !cell_of(peer)->send_failed;
}

static void read_slowly(struct tcp_peer *peer)
{
	lb_time next = lb_now();
	bool more = true;

	while (more) {
		struct timespec at;

		more = tcp_peer_read(peer, SLOW_BYTES);
		next += SLOW_PAUSE;
		at = (struct timespec){.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
}

static void reads_all(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void reads_slowly(struct tcp_peer *peer)
{
	read_slowly(peer);
	tcp_peer_close(peer);
}

static void sends_late(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	if (tcp_peer_read(peer, LATE_AFTER)) {
		peer_sends(peer, KB);
		tcp_peer_read_all(peer);
	}
	tcp_peer_close(peer);
}

static void sends_late_and_reads_slowly(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	if (tcp_peer_read(peer, LATE_AFTER)) {
		peer_sends(peer, KB);
		read_slowly(peer);
	}
	tcp_peer_close(peer);
}

/* What its kernel has is read in the end, so that it is known. */
static void never_reads(struct tcp_peer *peer)
{
	tcp_peer_await(peer);
	tcp_peer_await(peer);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void never_closes(struct tcp_peer *peer)
{
	tcp_peer_read_all(peer);
	tcp_peer_await(peer);
	tcp_peer_await(peer);
	tcp_peer_close(peer);
}

/* Reads what is there without waiting for more; false once there can be no more. */
static bool read_some(struct tcp_peer *peer)
{
	int n = 0;

	return ioctl(peer->fd, FIONREAD, &n) == 0 && tcp_peer_read(peer, n > 0 ? (uint64_t)n : 1);
}

static void floods(struct tcp_peer *peer)
{
	static const char zeros[65536];
	struct pollfd fd = {.fd = peer->fd, .events = POLLIN | POLLOUT};

	while (poll(&fd, 1, LONG) == 1) {
		ssize_t n = send(peer->fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN) {
			cell_of(peer)->send_failed = true;
			break;
		}
		peer->sent += n > 0 ? (uint64_t)n : 0;
		if ((fd.revents & POLLIN) != 0 && !read_some(peer))
			fd.events = POLLOUT;
	}
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* What another process holds, it holds until everything has been read, or nothing more can be. */
static void reads_all_and_tells(struct tcp_peer *peer)
{
	tcp_peer_read(peer, CELL_BYTES);
	sem_post(&cell_of(peer)->read);
	if (!peer->ended && peer->error == 0)
		tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

static void ends_first(struct tcp_peer *peer)
{
	shutdown(peer->fd, SHUT_WR);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

/* Its kernel has acked everything, and resets because of what was not read. */
static void gives_up(struct tcp_peer *peer)
{
	struct pollfd fd = {.fd = peer->fd, .events = POLLRDHUP};

	tcp_peer_read(peer, FEW_BYTES / 4);
	if (poll(&fd, 1, LONG) != 1)
		cell_of(peer)->failed = "our end did not come";
	tcp_peer_close(peer);
}

static void uploads(struct tcp_peer *peer)
{
	peer_sends(peer, cell_of(peer)->lossy ? SLOW_UPLOAD : UPLOAD);
	tcp_peer_read_all(peer);
	tcp_peer_close(peer);
}

const struct scenario cell_scenarios[CELL_SCENARIOS] = {
	[CELL_READS_ALL] = {"reads all", reads_all, .at_once = true},
	[CELL_UNREAD] = {"reads all, 1 KB of its own lies unread", reads_all, .at_once = true, .unread = true,
		.sends = true},
	[CELL_UNREAD_SLOW] = {"reads slowly, 1 KB of its own lies unread", reads_slowly, .at_once = true,
		.unread = true, .sends = true},
	[CELL_LATE] = {"sends 1 KB late", sends_late, .sends = true},
	[CELL_LATE_SLOW] = {"sends 1 KB late and reads slowly", sends_late_and_reads_slowly, .sends = true},
	[CELL_SLOW] = {"reads slowly", reads_slowly, .at_once = true},
	[CELL_NEVER_READS] = {"never reads", never_reads, .never_reads = true, .never_closes = true},
	[CELL_NEVER_CLOSES] = {"never closes", never_closes, .at_once = true, .never_closes = true},
	[CELL_FLOODS] = {"floods", floods, .at_once = true, .never_closes = true, .floods = true,
		.sends = true},
	[CELL_UPLOADS] = {"uploads, then reads", uploads, .sends = true},
	[CELL_NONBLOCK] = {"reads all, our socket is O_NONBLOCK", reads_all, .at_once = true,
		.nonblock = true},
	[CELL_FORKED] = {"reads all, another process holds our socket", reads_all_and_tells, .at_once = true,
		.forked = true},
	[CELL_ENDS_FIRST] = {"has ended, and then reads all", ends_first, .at_once = true,
		.ends_first = true},
	[CELL_GIVES_UP] = {"reads a part, and closes when all has come", gives_up, .at_once = true,
		.gives_up = true, .sends = true},
};

/* Where nobody reads, or nobody closes, that takes as long as we wait. All other limits are far away. */
static void end_ours(struct cell *cell)
{
	bool never_reads = cell->scenario->never_reads;
	struct lb_ending ending = {.policy = cell->manner->policy,
		.on_expiry = cell->manner->detaches ? LB_EXPIRY_DETACH : LB_EXPIRY_ABORT,
		.limits = {.drain_bytes = cell->scenario->floods ? FLOOD_MAX : 0,
			.send_stall = never_reads ? SHORT / 2 * MS : LONG * MS,
			.idle = cell->scenario->never_closes ? SHORT / 10 * MS : LONG * MS}};

	cell->result = tcp_end(&cell->tcp, &ending, lb_in_ms(never_reads ? SHORT : LONG), &cell->end);
}

static void act(struct cell *cell)
{
	const struct scenario *scenario = cell->scenario;
	struct tcp *tcp = &cell->tcp;
	int held = -1;

	if (scenario->at_once)
		tcp_write(tcp, scenario->gives_up ? FEW_BYTES : CELL_BYTES);
	else
		tcp_offer(tcp, CELL_BYTES);
	if (scenario->nonblock)
		(void)fcntl(tcp->ours, F_SETFL, O_NONBLOCK);
	if (scenario->forked) {
		held = holder_hold(tcp->ours);
		if (held < 0)
			cell->failed = "no other process";
	}
	tcp_go(tcp);
	end_ours(cell);
	if (held >= 0) {
		sem_wait(&cell->read);
		close(held);
	}
}

static void exit_ours(struct cell *cell)
{
	int fd = cell->tcp.ours;

	cell->tcp.ours = -1;
	cell->tcp.written = CELL_BYTES;
	if (holder_write_and_exit(fd, CELL_BYTES) < 0)
		cell->failed = "no other process";
}

/* The kernel is to take everything at once, so that nearly all is in the queue when the ending begins. */
static void enlarge_send_buffer(int fd)
{
	int size = SEND_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void cell_play(struct cell *cell)
{
	enum link_end from = cell->side->accepting ? LINK_RIGHT : LINK_LEFT;
	struct tcp *tcp = &cell->tcp;
	struct pollfd arrived = {.events = POLLIN};
	int fds[2];

	if (link_connect(cell->link, from, cell->side->family, fds) < 0) {
		cell->failed = "no connection";
		return;
	}
	tcp_adopt(tcp, cell->side, fds[0], fds[1]);
	sem_init(&cell->read, 0, 0);
	enlarge_send_buffer(tcp->ours);
	if (cell->scenario->unread) {
		arrived.fd = tcp->ours;
		if (!tcp_peer_send(&tcp->peer, KB) || poll(&arrived, 1, LONG) != 1)
			cell->failed = "nothing arrived";
	}
	tcp_play(tcp, cell->scenario->play);
	if (cell->manner->exits)
		exit_ours(cell);
	else
		act(cell);
	tcp_release(tcp);
	sem_destroy(&cell->read);
}
