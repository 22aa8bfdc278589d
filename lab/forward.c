/* SPDX-License-Identifier: MIT */
/*
 * The forwarder of forward.h: one thread, and one ring of packets, which are in the order in which they are due
 * because all are delayed alike. Owns the devices' descriptors. Who is at their other side is not its business.
 */
#include "lab/forward.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PACKETS 16384 /* in flight; at 1,500 bytes and 20 ms that is 1.2 GB/s */
#define MTU     1500
#define BURST   64 /* packets taken from one side before the other one has its turn */

struct packet {
	lb_time due;
	int to;
	size_t len;
	unsigned char bytes[MTU];
};

struct forward {
	int tuns[2], timer, stop;
	lb_time delay;
	unsigned loss;
	uint64_t random[2];
	struct packet *ring;
	size_t first, count;
	lb_time armed; /* what the timer is set to */
	pthread_t thread;
	pthread_mutex_t mutex;
	struct segments counts[2]; /* under the mutex; all else is the thread's */
};

/* splitmix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Loss is decided for every packet, so that the n-th one's fate depends on the seed and n alone. */
static bool take(struct forward *forward, int from)
{
	struct packet *packet = &forward->ring[(forward->first + forward->count) % PACKETS];
	ssize_t n = read(forward->tuns[from], packet->bytes, sizeof packet->bytes);
	bool lost, missed = forward->count == PACKETS - 1;

	if (n <= 0)
		return false;
	lost = next_random(&forward->random[from]) % 10000 < forward->loss;
	pthread_mutex_lock(&forward->mutex);
	segments_add(&forward->counts[from], packet->bytes, (size_t)n);
	forward->counts[from].lost += lost;
	forward->counts[from].missed += missed && !lost;
	pthread_mutex_unlock(&forward->mutex);
	if (lost || missed)
		return true;
	packet->due = lb_now() + forward->delay;
	packet->to = !from;
	packet->len = (size_t)n;
	forward->count++;
	return true;
}

/* A device that is down or full refuses the packet: then it is lost, as on any network. */
static void deliver(struct forward *forward)
{
	while (forward->count > 0 && forward->ring[forward->first].due <= lb_now()) {
		const struct packet *packet = &forward->ring[forward->first];

		if (write(forward->tuns[packet->to], packet->bytes, packet->len) < 0 && errno == EINTR)
			continue;
		forward->first = (forward->first + 1) % PACKETS;
		forward->count--;
	}
}

static void arm(struct forward *forward)
{
	lb_time due = forward->count > 0 ? forward->ring[forward->first].due : 0;
	struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};

	if (due == forward->armed)
		return;
	forward->armed = due;
	timerfd_settime(forward->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void *run(void *arg)
{
	struct forward *forward = arg;
	struct pollfd fds[] = {{.fd = forward->stop, .events = POLLIN},
		{.fd = forward->timer, .events = POLLIN}, {.fd = forward->tuns[0], .events = POLLIN},
		{.fd = forward->tuns[1], .events = POLLIN}};

	for (;;) {
		uint64_t times;

		arm(forward);
		if (poll(fds, 4, -1) < 0)
			continue;
		if (fds[0].revents != 0)
			return NULL;
		if (fds[1].revents != 0 && read(forward->timer, &times, sizeof times) > 0)
			forward->armed = 0;
		for (int from = 0; from < 2; from++)
			for (int n = 0; n < BURST && fds[2 + from].revents != 0 && take(forward, from); n++)
				continue;
		deliver(forward);
	}
}

static void release(struct forward *forward)
{
	const int fds[] = {forward->tuns[0], forward->tuns[1], forward->timer, forward->stop};

	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(forward->ring);
	free(forward);
}

/* The thread has no signals: they are for those of its program. */
static int start_thread(struct forward *forward)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&forward->thread, NULL, run, forward);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

int forward_start(const int tuns[2], lb_time delay, unsigned loss, uint64_t seed, struct forward **forwardp)
{
	struct forward *forward = calloc(1, sizeof *forward);
	int result = -ENOMEM;

	*forwardp = NULL;
	if (forward == NULL) {
		close(tuns[0]);
		close(tuns[1]);
		return result;
	}
	memcpy(forward->tuns, tuns, sizeof forward->tuns);
	forward->delay = delay;
	forward->loss = loss;
	forward->random[0] = seed;
	forward->random[1] = ~seed;
	pthread_mutex_init(&forward->mutex, NULL);
	forward->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	forward->stop = eventfd(0, EFD_CLOEXEC);
	forward->ring = calloc(PACKETS, sizeof *forward->ring);
	if (forward->timer < 0 || forward->stop < 0)
		result = -errno;
	else if (forward->ring != NULL)
		result = start_thread(forward);
	if (result < 0)
		release(forward);
	else
		*forwardp = forward;
	return result;
}

void forward_stop(struct forward *forward)
{
	eventfd_write(forward->stop, 1);
	pthread_join(forward->thread, NULL);
	pthread_mutex_destroy(&forward->mutex);
	release(forward);
}

void forward_count(struct forward *forward, int from, struct segments *countp)
{
	pthread_mutex_lock(&forward->mutex);
	*countp = forward->counts[from];
	pthread_mutex_unlock(&forward->mutex);
}
