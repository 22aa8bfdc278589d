/* SPDX-License-Identifier: MIT */
/* What is shared in a play, stage.h: owns the memory, the cues, and the bytes that are sent. */
#include "lab/stage.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SHORTEST (3000 * LAB_MS)
#define LONGEST  (9000 * LAB_MS)
#define WAITS    6 /* no play has more of them, one after another */

/*
 * What takes longest and is no stall is an upload before the peer reads: 0.7 s over 20 ms, and twice that on a busy machine.
 * More delay makes all of it slower, and losses do so more; but a play is to be over within a minute.
 */
static lb_time patience_on(const struct link_options *link)
{
	lb_time patience = link->delay > 20 * LAB_MS ? SHORTEST / (20 * LAB_MS) * link->delay : SHORTEST;

	if (link->loss > 0)
		patience *= 2;
	return patience < LONGEST ? patience : LONGEST;
}

int lab_stage_new(const struct lab_spec *spec, struct lab_play *play, struct lab_stage **stagep)
{
	struct lab_stage *stage =
		mmap(NULL, sizeof *stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	*stagep = NULL;
	if (stage == MAP_FAILED)
		return -errno;
	stage->spec = spec;
	stage->play = play;
	stage->patience = patience_on(&spec->link);
	stage->limit = lb_now() + WAITS * stage->patience;
	for (int i = 0; i < LAB_CUES; i++) {
		stage->cues[i] = eventfd(0, EFD_CLOEXEC);
		if (stage->cues[i] < 0) {
			int error = -errno;

			lab_stage_free(stage);
			return error;
		}
	}
	*stagep = stage;
	return 0;
}

void lab_stage_free(struct lab_stage *stage)
{
	if (stage == NULL)
		return;
	for (int i = 0; i < LAB_CUES; i++)
		if (stage->cues[i] > 0)
			close(stage->cues[i]);
	munmap(stage, sizeof *stage);
}

const unsigned char *lab_stage_bytes(void)
{
	static unsigned char bytes[LAB_BYTES];

	if (bytes[1] == 0)
		for (uint32_t i = 0; i < LAB_BYTES; i++)
			bytes[i] = (unsigned char)((i * 2654435761u) >> 24);
	return bytes;
}

void lab_stage_cue(struct lab_stage *stage, enum lab_cue cue)
{
	const uint64_t one = 1;

	(void)!write(stage->cues[cue], &one, sizeof one);
}

bool lab_stage_poll(const struct lab_stage *stage, struct pollfd *fds, nfds_t count, lb_time until)
{
	int result;

	do {
		lb_time left = (until < stage->limit ? until : stage->limit) - lb_now();
		struct timespec at_most = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

		if (left < 0)
			at_most = (struct timespec){0};
		result = ppoll(fds, count, &at_most, NULL);
	} while (result < 0 && errno == EINTR);
	return result > 0;
}

bool lab_stage_ready(const struct lab_stage *stage, int fd, short events, lb_time until)
{
	struct pollfd one = {.fd = fd, .events = events};

	return lab_stage_poll(stage, &one, 1, until);
}

bool lab_stage_await(const struct lab_stage *stage, enum lab_cue cue, lb_time until)
{
	return lab_stage_ready(stage, stage->cues[cue], POLLIN, until);
}

void lab_stage_fail(struct lab_stage *stage, const char *what, int error)
{
	char *failed = stage->play->failed;

	if (atomic_exchange(&stage->failed, true))
		return;
	if (error < 0)
		snprintf(failed, sizeof stage->play->failed, "%s: %s", what, strerror(-error));
	else
		snprintf(failed, sizeof stage->play->failed, "%s", what);
}
