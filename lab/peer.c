/* SPDX-License-Identifier: MIT */
/*
 * The peer, peer.h: owns its end of the connection. Reads, checks what it reads, sends and closes as the scenario says,
 * and fills what the play says of it. Reads and sends that follow each other are recorded as one call.
 */
#include "lab/peer.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KB          1024
#define LATE_AFTER  100000       /* bytes that it has read when it sends its late 1 KB */
#define CHUNK       65536        /* bytes of one read, ... */
#define SLOW_CHUNK  16384        /* ... or, of a slow reader, so many every ... */
#define SLOW_PAUSE  (8 * LAB_MS) /* ... so often: 2 MB/s */
#define FLOOD_PAUSE (LAB_MS)     /* CHUNK / 4 every so often: 16 MB/s */
#define ANSWER      100000
#define UPLOAD      (8u << 20)
#define FEW_UPLOAD  (1u << 20)

static const struct lab_scenario *scenario_of(const struct lab_peer *peer)
{
	return peer->stage->spec->scenario;
}

/* What comes after an end is for nobody: also where nobody has seen one. */
static void end_reading(struct lab_peer *peer, enum lab_end end)
{
	peer->ended = true;
	peer->stage->play->peer_end = end;
	lab_stage_cue(peer->stage, LAB_CUE_SEEN);
}

static void record_run(struct lab_peer *peer)
{
	struct lab_play *play = peer->stage->play;
	struct lab_call *call;

	if (peer->run_bytes == 0)
		return;
	call = lab_call_begin(play, true, "read(fd) of %ju bytes in all", (uintmax_t)peer->run_bytes);
	if (call != NULL) {
		call->at = peer->run_at - play->zero;
		call->took = peer->run_until - peer->run_at;
	}
	peer->run_bytes = 0;
}

static struct lab_call *begin(struct lab_peer *peer, const char *what)
{
	record_run(peer);
	return lab_call_begin(peer->stage->play, true, "%s", what);
}

/* Waits for the event; for as long as patience once our end is over. */
static bool comes(struct lab_peer *peer, short events)
{
	struct lab_stage *stage = peer->stage;
	struct pollfd fds[] = {
		{.fd = peer->fd, .events = events}, {.fd = stage->cues[LAB_CUE_OVER], .events = POLLIN}};

	return lab_stage_poll(stage, fds, 2, LB_NEVER) &&
	       (fds[0].revents != 0 || lab_stage_ready(stage, peer->fd, events, lb_now() + stage->patience));
}

/* A program that looks for errors before it reads, and reads on all the same, takes the one that recv(2) would give. */
static void ask_error(struct lab_peer *peer)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0)
		lab_call_end(peer->stage->play, begin(peer, "getsockopt(fd, SO_ERROR)"), -error);
}

static void take(struct lab_peer *peer, lb_time started, const unsigned char *bytes, size_t n)
{
	struct lab_play *play = peer->stage->play;

	if (play->peer_bytes + n > LAB_BYTES || memcmp(bytes, lab_stage_bytes() + play->peer_bytes, n) != 0) {
		lab_stage_fail(peer->stage, "the peer got other bytes than were sent", 0);
		end_reading(peer, LAB_WAITING);
		return;
	}
	if (peer->run_bytes == 0)
		peer->run_at = started;
	peer->run_until = lb_now();
	peer->run_bytes += n;
	play->peer_bytes += n;
	if (play->peer_bytes == play->meant_bytes)
		lab_stage_cue(peer->stage, LAB_CUE_SEEN);
}

static void read_last(struct lab_peer *peer, lb_time started, int error)
{
	struct lab_play *play = peer->stage->play;
	struct lab_call *call = begin(peer, "read(fd)");

	if (call != NULL)
		call->at = started - play->zero;
	if (error != EAGAIN)
		lab_call_end(play, call, -error);
	if (error != 0 && error != ECONNRESET && error != EPIPE && error != EAGAIN)
		lab_stage_fail(peer->stage, "the peer could not read", -error);
	end_reading(peer, error == 0 ? LAB_EOF : error == EAGAIN ? LAB_WAITING : LAB_RESET);
}

/* Reads once, up to len bytes; does not wait. */
static void read_once(struct lab_peer *peer, lb_time started, size_t len)
{
	unsigned char buf[CHUNK];
	ssize_t n;

	if (scenario_of(peer)->asks_error)
		ask_error(peer);
	n = recv(peer->fd, buf, len < sizeof buf ? len : sizeof buf, MSG_DONTWAIT);
	if (n > 0)
		take(peer, started, buf, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		read_last(peer, started, n == 0 ? 0 : errno);
}

static void pause_until(lb_time at)
{
	const struct timespec spec = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &spec, NULL);
}

/* Until it has so many bytes in all, or the end. */
static void read_up_to(struct lab_peer *peer, uint64_t total)
{
	bool slow = scenario_of(peer)->slow;
	const struct lab_play *play = peer->stage->play;
	lb_time next = lb_now();

	while (!peer->ended && play->peer_bytes < total) {
		lb_time started = lb_now();
		uint64_t left = total - play->peer_bytes;

		if (!comes(peer, POLLIN)) {
			read_last(peer, started, EAGAIN);
			break;
		}
		read_once(peer, started, slow && left > SLOW_CHUNK ? SLOW_CHUNK : left);
		next += SLOW_PAUSE;
		if (slow && !peer->ended)
			pause_until(next);
	}
}

/* All of it, or until that fails. */
static void send_bytes(struct lab_peer *peer, size_t len)
{
	static const char zeros[CHUNK];
	struct lab_play *play = peer->stage->play;
	struct lab_call *call;
	size_t done = 0;
	int error = 0;

	record_run(peer);
	call = lab_call_begin(play, true, "write(fd, %zu)", len);
	while (done < len && error == 0 && comes(peer, POLLOUT)) {
		size_t part = len - done < sizeof zeros ? len - done : sizeof zeros;
		ssize_t n = send(peer->fd, zeros, part, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EAGAIN)
			error = -errno;
	}
	lab_call_end(play, call, error < 0 ? error : (int64_t)done);
}

/* Sends for ever, that is until it is reset, or our end has been over for a while; reads meanwhile. */
static void flood(struct lab_peer *peer)
{
	static const char zeros[CHUNK / 4];
	struct lab_stage *stage = peer->stage;
	struct lab_call *call = begin(peer, "write(fd), 16 MB/s for ever");
	lb_time next = lb_now(), until = stage->limit;
	int error = 0;

	while (error == 0 && lb_now() < until) {
		lb_time started = lb_now();
		bool readable = lab_stage_ready(stage, peer->ended ? -1 : peer->fd, POLLIN, next);

		if (readable)
			read_once(peer, started, CHUNK);
		if (lb_now() < next)
			continue;
		next += FLOOD_PAUSE;
		if (send(peer->fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			error = -errno;
		if (until == stage->limit && lab_stage_await(stage, LAB_CUE_OVER, 0))
			until = lb_now() + stage->patience;
	}
	lab_call_end(stage->play, call, error);
}

static void agree(struct lab_peer *peer)
{
	struct lab_play *play = peer->stage->play;
	char word[sizeof LAB_CLOSE_WORD - 1];
	struct lab_call *call;
	ssize_t n;

	read_up_to(peer, play->meant_bytes);
	call = begin(peer, "read(fd) of \"" LAB_CLOSE_WORD "\"");
	n = recv(peer->fd, word, sizeof word, MSG_WAITALL);
	lab_call_end(play, call, n < 0 ? -errno : n);
	if (n != sizeof word || memcmp(word, LAB_CLOSE_WORD, sizeof word) != 0) {
		lab_stage_fail(peer->stage, "our end did not say CLOSE", 0);
		return;
	}
	call = begin(peer, "write(fd, \"" LAB_CLOSE_OK_WORD "\")");
	n = send(peer->fd, LAB_CLOSE_OK_WORD, sizeof LAB_CLOSE_OK_WORD - 1, MSG_NOSIGNAL);
	lab_call_end(play, call, n < 0 ? -errno : n);
}

static void end_first(struct lab_peer *peer)
{
	struct lab_call *call = begin(peer, "shutdown(fd, SHUT_WR)");

	lab_call_end(peer->stage->play, call, shutdown(peer->fd, SHUT_WR) < 0 ? -errno : 0);
}

static void begin_to_read(struct lab_peer *peer)
{
	const struct lab_scenario *scenario = scenario_of(peer);
	struct lab_stage *stage = peer->stage;

	if (scenario->ends_first)
		end_first(peer);
	if (scenario->unread)
		send_bytes(peer, KB);
	if (scenario->uploads)
		send_bytes(peer, stage->spec->link.loss > 0 ? FEW_UPLOAD : UPLOAD);
	if (scenario->never_reads)
		lab_stage_await(stage, LAB_CUE_OVER, LB_NEVER);
	if (scenario->struck)
		lab_stage_await(stage, LAB_CUE_STRUCK, LB_NEVER);
	if (scenario->agrees)
		agree(peer);
	if (scenario->late) {
		read_up_to(peer, LATE_AFTER);
		lab_stage_await(stage, LAB_CUE_BEGUN, LB_NEVER);
		send_bytes(peer, KB);
	}
}

static void *live(void *arg)
{
	struct lab_peer *peer = arg;
	const struct lab_scenario *scenario = scenario_of(peer);
	struct lab_play *play = peer->stage->play;
	struct lab_call *call;

	begin_to_read(peer);
	if (scenario->floods)
		flood(peer);
	if (!scenario->peer_first)
		read_up_to(peer, UINT64_MAX);
	if (scenario->answers)
		send_bytes(peer, ANSWER);
	if (scenario->never_closes)
		lab_stage_await(peer->stage, LAB_CUE_OVER, LB_NEVER);
	call = begin(peer, "close(fd)");
	lab_call_end(play, call, close(peer->fd) < 0 ? -errno : 0);
	lab_stage_cue(peer->stage, LAB_CUE_CLOSED);
	return NULL;
}

int lab_peer_start(struct lab_stage *stage, int fd, struct lab_peer *peer)
{
	int result;

	*peer = (struct lab_peer){.stage = stage, .fd = fd};
	result = -pthread_create(&peer->thread, NULL, live, peer);
	if (result < 0)
		close(fd);
	return result;
}

void lab_peer_join(struct lab_peer *peer)
{
	pthread_join(peer->thread, NULL);
}
