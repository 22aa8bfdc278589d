/* SPDX-License-Identifier: MIT */
/*
 * Plays a cell, play.h: owns the network, and who takes part. Makes the connection, gives each its end, lets happen from
 * outside what the scenario wants, and looks at it all when both are done.
 */
#include "lab/play.h"
#include "lab/capture.h"
#include "lab/counters.h"
#include "lab/peer.h"
#include "lab/request.h"
#include "lab/subject.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEND_BUFFER (4 << 20)

pid_t lab_fork(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent))
		_exit(1);
	return child;
}

/* The kernel is to take all bytes at once, so that nearly all are in the queue when the ending begins. */
static void enlarge_queues(struct link *link)
{
	static const char sizes[] = "4096 4194304 8388608";
	int fd;

	if (link_device(link) == NULL || link_enter(link, LINK_LEFT) < 0)
		return;
	fd = open("/proc/sys/net/ipv4/tcp_wmem", O_WRONLY | O_CLOEXEC);
	link_leave(link);
	if (fd < 0)
		return;
	(void)!write(fd, sizes, sizeof sizes - 1);
	close(fd);
}

/* Where that could not be: on a loopback that is shared, or with a /proc that is read-only. */
static void enlarge_queue(int fd)
{
	int size = 0;
	socklen_t len = sizeof size;

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size >= SEND_BUFFER)
		return;
	size = SEND_BUFFER;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* fds[0] is a listening socket of ours, with a connection of fds[1] in its queue. */
static int connect_unaccepted(struct link *link, int fds[2])
{
	struct sockaddr_storage address;
	socklen_t len = link_address(link, LINK_LEFT, AF_INET, 0, &address);

	fds[0] = link_socket(link, LINK_LEFT, AF_INET, SOCK_STREAM);
	fds[1] = fds[0] < 0 ? -1 : link_socket(link, LINK_RIGHT, AF_INET, SOCK_STREAM);
	if (fds[1] < 0)
		return fds[0] < 0 ? fds[0] : -EMFILE;
	if (bind(fds[0], (struct sockaddr *)&address, len) < 0 || listen(fds[0], 1) < 0 ||
		getsockname(fds[0], (struct sockaddr *)&address, &len) < 0 ||
		connect(fds[1], (struct sockaddr *)&address, len) < 0)
		return -errno;
	return 0;
}

static int connect_ends(struct lab_stage *stage, struct link *link, int fds[2])
{
	int result = stage->spec->scenario->listens ? connect_unaccepted(link, fds)
						    : link_connect(link, LINK_LEFT, AF_INET, fds);

	if (result == 0)
		enlarge_queue(fds[0]);
	stage->play->zero = lb_now();
	return result;
}

/* proc_pid_stat(5): the state is behind the name, which is in parentheses. */
static bool sleeps(pid_t pid)
{
	char path[64], text[512] = "";
	FILE *file;
	const char *name_end;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	(void)!fread(text, 1, sizeof text - 1, file);
	fclose(file);
	name_end = strrchr(text, ')');
	return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

/* What happens to our end, and is no call of it: takes no time, and returns nothing. */
static void mark(struct lab_stage *stage, const char *what)
{
	struct lab_call *call = lab_call_begin(stage->play, false, "%s", what);

	if (call != NULL)
		call->took = 0;
}

/* Once it waits in a call; an ending that does not wait is over first. */
static void strike(struct lab_stage *stage, pid_t pid)
{
	bool over = !lab_stage_await(stage, LAB_CUE_BEGUN, LB_NEVER);

	while (!over && !sleeps(pid))
		over = lab_stage_await(stage, LAB_CUE_OVER, lb_now() + LAB_MS) || lb_now() >= stage->limit;
	if (!over) {
		mark(stage, "SIGUSR1");
		kill(pid, SIGUSR1);
	}
	lab_stage_cue(stage, LAB_CUE_STRUCK);
}

/* Until our end's process is over, which is the end of it where it exits or is killed. */
static void direct(struct lab_stage *stage, struct lab_subject *subject)
{
	const struct lab_scenario *scenario = stage->spec->scenario;
	int status;

	if (scenario->struck)
		strike(stage, subject->pid);
	if (scenario->killed && lab_stage_await(stage, LAB_CUE_BEGUN, LB_NEVER)) {
		mark(stage, "SIGKILL");
		stage->began = lb_now();
		kill(subject->pid, SIGKILL);
	}
	if (!lab_stage_ready(stage, subject->pidfd, POLLIN, LB_NEVER))
		lab_stage_fail(stage, "our end did not come to its end", 0);
	if (scenario->exits || scenario->killed)
		stage->play->blocked = lb_now() - stage->began;
	status = lab_subject_stop(subject);
	if (status != 0 && !scenario->killed)
		lab_stage_fail(stage, "our end's process died", 0);
	lab_stage_cue(stage, LAB_CUE_OVER);
}

/* What is on its way comes, and what answers it: an orphan's RST, the last ack. */
static void settle(const struct lab_stage *stage)
{
	lb_time wait = 2 * stage->spec->link.delay + 10 * LAB_MS;
	const struct timespec spec = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};

	nanosleep(&spec, NULL);
}

static int play_ends(struct lab_stage *stage, struct lab_subject *subject, const int fds[2])
{
	struct lab_peer peer;
	int result = lab_peer_start(stage, fds[1], &peer);

	if (result < 0) {
		close(fds[0]);
		return result;
	}
	result = lab_subject_give(subject, fds[0]);
	direct(stage, subject);
	lab_peer_join(&peer);
	return result;
}

/*
 * Of the whole machine, which is ours. With -1 every orphan is one too many, and is reset: tcp_too_many_orphans() in the
 * kernel. With 0 the first are not, as they are counted every 100 ms only.
 */
static int exchange_max_orphans(struct lab_stage *stage, int most)
{
	FILE *file = fopen("/proc/sys/net/ipv4/tcp_max_orphans", "r+e");
	int before = 0;

	if (file == NULL || fscanf(file, "%d", &before) != 1 || fseek(file, 0, SEEK_SET) < 0 ||
		fprintf(file, "%d", most) < 0 || fflush(file) != 0)
		lab_stage_fail(stage, "tcp_max_orphans cannot be changed", -errno);
	if (file != NULL)
		fclose(file);
	return before;
}

static int play_between(struct lab_stage *stage, struct lab_subject *subject, struct link *link)
{
	static struct lab_counters before, after;
	const struct lab_spec *spec = stage->spec;
	int fds[2], result = connect_ends(stage, link, fds), orphans = 0;

	if (result < 0)
		return result;
	if (spec->scenario->orphans_full)
		orphans = exchange_max_orphans(stage, -1);
	lab_counters_read(link, &before);
	result = spec->scenario->request ? lab_request(fds, spec->policy->name, stage->play)
					 : play_ends(stage, subject, fds);
	settle(stage);
	if (spec->scenario->orphans_full)
		exchange_max_orphans(stage, orphans);
	lab_counters_read(link, &after);
	lab_counters_moved(&before, &after, stage->play);
	return result;
}

/* What cannot be captured is played all the same: play->captured says so. */
static void play_on(struct lab_stage *stage, struct lab_subject *subject, struct link *link)
{
	struct lab_capture *capture;
	bool captures = lab_capture_start(link, &capture) == 0;
	int result;

	enlarge_queues(link);
	result = play_between(stage, subject, link);
	if (result < 0)
		lab_stage_fail(stage, "no connection, or nobody to use it", result);
	if (captures)
		lab_capture_stop(capture, stage->spec->pcap, stage->play);
}

static int by_time(const void *a, const void *b)
{
	const struct lab_call *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static void put_in_order(struct lab_play *play)
{
	if (play->calls > LAB_CALLS)
		play->calls = LAB_CALLS;
	qsort(play->call, play->calls, sizeof play->call[0], by_time);
}

void lab_play(const struct lab_spec *spec, struct lab_play *play)
{
	struct lab_stage *stage;
	struct lab_subject subject = {0};
	struct link *link;
	int result;

	memset(play, 0, sizeof *play);
	play->meant_bytes = spec->scenario->listens ? 0 : LAB_BYTES;
	result = lab_stage_new(spec, play, &stage);
	if (result < 0) {
		snprintf(play->failed, sizeof play->failed, "memory or descriptors: %s", strerror(-result));
		return;
	}
	if (!spec->scenario->request)
		result = lab_subject_start(stage, &subject);
	if (result < 0) {
		lab_stage_fail(stage, "no process for our end", result);
	} else if (link_new(&spec->link, &link, play->failed) == 0) {
		play_on(stage, &subject, link);
		link_free(link);
	}
	lab_subject_stop(&subject);
	put_in_order(play);
	lab_stage_free(stage);
}
