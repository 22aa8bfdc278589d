/* SPDX-License-Identifier: MIT */
/*
 * The capture of capture.h: owns the taps of both devices and the thread that reads them. What a tap is is in tap.c;
 * which packets of both are one is found in pair.c, what is drawn of them in arrows.c.
 */
#include "lab/capture.h"
#include "lab/arrows.h"
#include "lab/pair.h"
#include "lab/tap.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LEFT_OVER   (1 << 16) /* more packets than the kernel keeps of one device */
#define TURN        256       /* packets read from one device before the other one has its turn */
#define SECOND      INT64_C(1000000000)
#define PATIENCE_MS 5000
#define RETRY_MS    10

struct lab_capture {
	struct link *link;
	bool one;               /* device, which is both ends' */
	struct lab_tap taps[2]; /* the thread's, while there is one */
	int stop;
	pthread_t thread;
};

/* When it is stopped it reads what the kernel's buffers can hold: others may still be sending. */
static void *run(void *arg)
{
	struct lab_capture *capture = arg;
	bool stop = false;

	while (!stop) {
		struct pollfd fds[] = {{.fd = capture->stop, .events = POLLIN},
			{.fd = capture->taps[0].fd, .events = POLLIN},
			{.fd = capture->taps[1].fd, .events = POLLIN}};

		if (poll(fds, 3, -1) < 0)
			continue;
		stop = fds[0].revents != 0;
		for (int i = 0; i < 2; i++)
			if (stop || fds[1 + i].revents != 0)
				lab_tap_read(&capture->taps[i], stop ? LEFT_OVER : TURN);
	}
	return NULL;
}

/* The thread has no signals: they are for those of its program. */
static int start_thread(struct lab_capture *capture)
{
	pthread_attr_t attributes;
	sigset_t all;
	int error;

	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setsigmask_np(&attributes, &all);
	error = pthread_create(&capture->thread, &attributes, run, capture);
	pthread_attr_destroy(&attributes);
	return -error;
}

static void release(struct lab_capture *capture)
{
	for (int i = 0; i < 2; i++)
		lab_tap_close(&capture->taps[i]);
	if (capture->stop >= 0)
		close(capture->stop);
	free(capture);
}

static lb_time clock_offset(void)
{
	lb_time before = lb_now();
	struct timespec real;

	clock_gettime(CLOCK_REALTIME, &real);
	return real.tv_sec * SECOND + real.tv_nsec - (before + lb_now()) / 2;
}

/* One offset for both: what arrives must not seem to do so before it was sent. */
static int open_taps(struct lab_capture *capture, const char *device)
{
	lb_time offset = clock_offset();
	int result = 0;

	for (int end = LINK_LEFT; result == 0 && end <= (capture->one ? LINK_LEFT : LINK_RIGHT); end++) {
		result = link_enter(capture->link, end);
		if (result < 0)
			break;
		result = lab_tap_open(&capture->taps[end], device, offset);
		link_leave(capture->link);
	}
	return result;
}

int lab_capture_start(struct link *link, struct lab_capture **capturep)
{
	const char *device = link_device(link);
	struct lab_capture *capture;
	int result;

	*capturep = NULL;
	if (device == NULL)
		return -EOPNOTSUPP;
	capture = calloc(1, sizeof *capture);
	if (capture == NULL)
		return -ENOMEM;
	*capture = (struct lab_capture){
		.link = link, .one = strcmp(device, "lo") == 0, .taps[0].fd = -1, .taps[1].fd = -1};
	capture->stop = eventfd(0, EFD_CLOEXEC);
	result = capture->stop < 0 ? -errno : open_taps(capture, device);
	if (result == 0)
		result = start_thread(capture);
	if (result < 0)
		release(capture);
	else
		*capturep = capture;
	return result;
}

/* A socket for marks, or a negative errno; its address, for others to send them to. */
static int mark_socket(struct link *link, enum link_end end, struct sockaddr_storage *address)
{
	socklen_t len = link_address(link, end, AF_INET, 0, address);
	int fd = link_socket(link, end, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK);

	if (fd >= 0 && (bind(fd, (struct sockaddr *)address, len) < 0 ||
			       getsockname(fd, (struct sockaddr *)address, &len) < 0)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static int exchange_marks(const int sockets[2], const struct sockaddr_storage addresses[2])
{
	struct pollfd fds[] = {
		{.fd = sockets[LINK_LEFT], .events = POLLIN}, {.fd = sockets[LINK_RIGHT], .events = POLLIN}};
	lb_time limit = lb_in_ms(PATIENCE_MS);
	bool came[2] = {false};

	while (!(came[LINK_LEFT] && came[LINK_RIGHT]) && lb_now() < limit) {
		for (int end = LINK_LEFT; end <= LINK_RIGHT; end++)
			if (!came[end])
				sendto(sockets[!end], "", 1, MSG_NOSIGNAL,
					(const struct sockaddr *)&addresses[end], sizeof(struct sockaddr_in));
		poll(fds, 2, RETRY_MS);
		for (int end = LINK_LEFT; end <= LINK_RIGHT; end++)
			if ((fds[end].revents & POLLIN) != 0) {
				came[end] = true;
				fds[end].fd = -1;
			}
	}
	return came[LINK_LEFT] && came[LINK_RIGHT] ? 0 : -ETIMEDOUT;
}

/*
 * Waits for what is on its way, either way. Links keep the order of packets: when a mark has arrived that was sent now,
 * all that was sent before has arrived, too, or is lost. -ETIMEDOUT, or why marks cannot be sent: nobody knows.
 */
static int settle(struct link *link)
{
	struct sockaddr_storage addresses[2];
	int left = mark_socket(link, LINK_LEFT, &addresses[LINK_LEFT]), right, result;

	if (left < 0)
		return left;
	right = mark_socket(link, LINK_RIGHT, &addresses[LINK_RIGHT]);
	result = right < 0 ? right : exchange_marks((int[]){left, right}, addresses);
	if (right >= 0)
		close(right);
	close(left);
	return result;
}

static void count(
	const struct lab_capture *capture, struct lab_segment *segments, size_t n, struct lab_play *play)
{
	memset(play->segments, 0, sizeof play->segments);
	for (size_t i = 0; i < n; i++) {
		struct lab_segment *segment = &segments[i];
		size_t ip = capture->taps[capture->one ? LINK_LEFT : segment->from].side.ip;

		segments_add(&play->segments[segment->from], segment->packet->bytes + ip,
			segment->packet->len - ip);
		play->segments[segment->from].lost += segment->arrived == LB_NEVER;
		segment->sent -= play->zero;
		if (segment->arrived != LB_NEVER)
			segment->arrived -= play->zero;
	}
}

static int conclude(struct lab_capture *capture, lb_time until, struct lab_play *play)
{
	struct lab_side sides[2] = {capture->taps[0].side, capture->taps[1].side};
	struct lab_segment *segments;
	size_t n;
	int error = lab_pair(capture->link, sides, capture->one, until, &segments, &n);

	if (error == 0) {
		count(capture, segments, n, play);
		error = lab_arrows_draw(segments, n, play);
	}
	free(segments);
	play->missed = lab_tap_missed(&capture->taps[0]) + lab_tap_missed(&capture->taps[1]);
	play->captured = error == 0;
	return error;
}

/* What failed before is why this play is none. */
static void fail(struct lab_play *play, const char *what, int error)
{
	if (play->failed[0] == '\0')
		snprintf(play->failed, sizeof play->failed, "%s: %s", strerror(-error), what);
}

void lab_capture_stop(struct lab_capture *capture, const char *pcap_path, struct lab_play *play)
{
	lb_time until = lb_now();
	int error = settle(capture->link);

	if (error < 0)
		fail(play, "what is on its way", error);
	eventfd_write(capture->stop, 1);
	pthread_join(capture->thread, NULL);
	error = conclude(capture, until, play);
	if (error < 0)
		fail(play, "the capture", error);
	if (error == 0 && pcap_path != NULL) {
		error = lab_tap_write(&capture->taps[LINK_LEFT], until, pcap_path);
		if (error < 0)
			fail(play, pcap_path, error);
	}
	release(capture);
}
