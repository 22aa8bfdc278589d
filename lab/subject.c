/* SPDX-License-Identifier: MIT */
/*
 * Our end of a play, subject.h: owns the process, and in it the socket. Writes what is meant, ends the connection by the
 * policy, and tells how long that took. What happens to it from outside is its director's (play.c).
 */
#include "lab/subject.h"
#include <errno.h>
#include <fcntl.h>
#include <lastbyte/sock.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOD_MAX (1u << 20) /* lb_close discards so much of a flood */

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

/* What our end has, in its own process. */
struct ours {
	struct lab_stage *stage;
	struct lab_play *play;
	const struct lab_policy *policy;
	const struct lab_scenario *scenario;
	int fd;
};

/* Not before its giver has closed his own: only the last close(2) of a socket lingers, or sends FIN. */
static int take_socket(int channel)
{
	union control control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int fd;

	if (recvmsg(channel, &msg, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&msg) == NULL)
		return -EPIPE;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	return recv(channel, &byte, 1, 0) == 1 ? fd : -EPIPE;
}

static void quit_on(struct ours *ours, const char *what, int error)
{
	lab_stage_fail(ours->stage, what, error);
	_exit(0);
}

/*
 * In a network of our own the send queue takes all at once. Where it is too short, and nobody reads, what it has taken
 * is all that can be meant.
 */
static void write_bytes(struct ours *ours, size_t len)
{
	lb_time until = lb_now() + ours->stage->patience / 4;
	struct lab_call *call = lab_call_begin(ours->play, false, "write(fd, %zu)", len);
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(ours->fd, lab_stage_bytes() + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EAGAIN)
			quit_on(ours, "our end could not write", -errno);
		else if (!lab_stage_ready(ours->stage, ours->fd, POLLOUT, until))
			break;
	}
	lab_call_end(ours->play, call, (int64_t)done);
	ours->play->sent_bytes = done;
	if (done < len)
		ours->play->meant_bytes = done;
}

static int result_of(int result)
{
	return result < 0 ? -errno : result;
}

/* Seconds, rounded up. */
static void set_linger(struct ours *ours)
{
	struct linger linger = {
		.l_onoff = 1, .l_linger = (int)((ours->stage->patience + 999 * LAB_MS) / (1000 * LAB_MS))};
	struct lab_call *call =
		lab_call_begin(ours->play, false, "setsockopt(fd, SO_LINGER, %d s)", linger.l_linger);
	int result = result_of(setsockopt(ours->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));

	lab_call_end(ours->play, call, result);
}

static ssize_t read_some(struct ours *ours)
{
	char buf[65536];
	ssize_t n = recv(ours->fd, buf, sizeof buf, MSG_DONTWAIT);

	if (n > 0)
		ours->play->back_bytes += (uint64_t)n;
	return n < 0 ? -errno : n;
}

static int unacked(const struct ours *ours)
{
	int n = 0;

	return ioctl(ours->fd, SIOCOUTQ, &n) < 0 ? -errno : n;
}

/* Looks every millisecond, as programs do that have no epoll(7) edge for it. What SIOCOUTQ says in the end. */
static int wait_acked(struct ours *ours, bool reads)
{
	lb_time until = lb_now() + ours->stage->patience;

	while (unacked(ours) > 0 && lb_now() < until) {
		int fd = reads ? ours->fd : -1; /* which poll(2) passes over */

		if (lab_stage_ready(ours->stage, fd, POLLIN, lb_now() + LAB_MS)) {
			ssize_t n = read_some(ours);

			if (n < 0 && n != -EAGAIN)
				break;
			reads = n != 0;
		}
	}
	return unacked(ours);
}

/* 0 at the end of the stream; -ETIME: the patience was over before. */
static int64_t drain(struct ours *ours)
{
	lb_time until = lb_now() + ours->stage->patience;
	ssize_t n = -EAGAIN;

	while ((n > 0 || n == -EAGAIN) && lb_now() < until)
		n = lab_stage_ready(ours->stage, ours->fd, POLLIN, until) ? read_some(ours) : -ETIME;
	return n > 0 ? -ETIME : n;
}

static void take_step(struct ours *ours, enum lab_step step)
{
	static const char *const names[] = {[LAB_STEP_SHUTDOWN] = "shutdown(fd, SHUT_WR)",
		[LAB_STEP_SHUT_RDWR] = "shutdown(fd, SHUT_RDWR)",
		[LAB_STEP_READ_ONCE] = "read(fd)",
		[LAB_STEP_OUTQ] = "ioctl(fd, SIOCOUTQ) until 0",
		[LAB_STEP_ACKED] = "read(fd) until SIOCOUTQ is 0: SIOCOUTQ",
		[LAB_STEP_DRAIN] = "read(fd) until 0",
		[LAB_STEP_CLOSE] = "close(fd)"};
	struct lab_call *call;
	int64_t result = 0;

	if (step == LAB_STEP_LINGER) {
		set_linger(ours);
		return;
	}
	call = lab_call_begin(ours->play, false, "%s", names[step]);
	if (step == LAB_STEP_SHUTDOWN || step == LAB_STEP_SHUT_RDWR)
		result = result_of(shutdown(ours->fd, step == LAB_STEP_SHUTDOWN ? SHUT_WR : SHUT_RDWR));
	else if (step == LAB_STEP_READ_ONCE)
		result = read_some(ours);
	else if (step == LAB_STEP_OUTQ || step == LAB_STEP_ACKED)
		result = wait_acked(ours, step == LAB_STEP_ACKED);
	else if (step == LAB_STEP_DRAIN)
		result = drain(ours);
	else
		result = result_of(close(ours->fd));
	lab_call_end(ours->play, call, result);
}

/* Waits for as long as the steps do; but once all is acked, for a peer that is silent, less. */
static void end_by_library(struct ours *ours)
{
	const lb_time patience = ours->stage->patience;
	const struct lb_ending ending = {.policy = ours->policy->policy,
		.limits = {.idle = patience / 6, .drain_bytes = ours->scenario->floods ? FLOOD_MAX : 0}};
	struct lab_call *call =
		lab_call_begin(ours->play, false, "lb_close(fd, %s)", lb_policy_word(ending.policy));

	lab_call_end(ours->play, call,
		lb_close(ours->fd, &ending, lb_in_ms(patience / LAB_MS), &ours->play->outcome));
	ours->play->has_outcome = true;
}

static void end_by_policy(struct ours *ours)
{
	bool exits = ours->scenario->exits, steps = ours->policy->steps[0] != LAB_STEP_NONE;

	if (ours->policy->kind == LAB_CLOSE && !(exits && steps)) {
		end_by_library(ours);
		return;
	}
	for (const enum lab_step *step = ours->policy->steps; *step != LAB_STEP_NONE; step++)
		if (!exits || *step != LAB_STEP_CLOSE)
			take_step(ours, *step);
}

/* When that of the peer has come, too, if the peer is to end first. */
static void agree(struct ours *ours)
{
	struct lab_stage *stage = ours->stage;
	struct lab_call *call = lab_call_begin(ours->play, false, "write(fd, \"" LAB_CLOSE_WORD "\")");
	char answer[sizeof LAB_CLOSE_OK_WORD - 1];
	ssize_t n = send(ours->fd, LAB_CLOSE_WORD, sizeof LAB_CLOSE_WORD - 1, MSG_NOSIGNAL);

	lab_call_end(ours->play, call, n < 0 ? -errno : n);
	call = lab_call_begin(ours->play, false, "read(fd) of \"" LAB_CLOSE_OK_WORD "\"");
	n = recv(ours->fd, answer, sizeof answer, MSG_WAITALL);
	lab_call_end(ours->play, call, n < 0 ? -errno : n);
	if (n != sizeof answer || memcmp(answer, LAB_CLOSE_OK_WORD, sizeof answer) != 0)
		quit_on(ours, "the peer did not answer CLOSE", 0);
	ours->play->back_bytes += sizeof answer;
	if (ours->scenario->peer_first && !(lab_stage_await(stage, LAB_CUE_CLOSED, LB_NEVER) &&
						  lab_stage_ready(stage, ours->fd, POLLRDHUP, LB_NEVER)))
		quit_on(ours, "the peer did not end first", 0);
}

static void set_nonblock(struct ours *ours)
{
	struct lab_call *call = lab_call_begin(ours->play, false, "fcntl(fd, F_SETFL, O_NONBLOCK)");
	int result = result_of(fcntl(ours->fd, F_SETFL, O_NONBLOCK));

	lab_call_end(ours->play, call, result);
	if (result < 0)
		quit_on(ours, "O_NONBLOCK", result);
}

static void prepare(struct ours *ours)
{
	if (ours->scenario->nonblock)
		set_nonblock(ours);
	if ((ours->scenario->unread || ours->scenario->listens) &&
		!lab_stage_ready(ours->stage, ours->fd, POLLIN, LB_NEVER))
		quit_on(ours, "what was to lie there did not come", 0);
	if (ours->scenario->killed && lab_policy_has(ours->policy, LAB_STEP_LINGER))
		set_linger(ours);
	if (ours->scenario->killed)
		write_bytes(ours, LAB_BYTES / 2);
	else if (!ours->scenario->listens)
		write_bytes(ours, LAB_BYTES);
	if (ours->scenario->agrees)
		agree(ours);
}

/* A copy of the process has a copy of its socket. */
static pid_t hold_copy(struct ours *ours)
{
	struct lab_call *call = lab_call_begin(ours->play, false, "fork()");
	pid_t pid = lab_fork();

	if (pid < 0)
		quit_on(ours, "no other process", -errno);
	if (pid == 0)
		for (;;)
			pause();
	lab_call_end(ours->play, call, pid);
	return pid;
}

static void act(struct ours *ours)
{
	struct lab_stage *stage = ours->stage;
	pid_t holder = -1;

	prepare(ours);
	if (ours->scenario->forks)
		holder = hold_copy(ours);
	stage->began = lb_now();
	lab_stage_cue(stage, LAB_CUE_BEGUN);
	if (ours->scenario->killed)
		for (;;)
			pause();
	end_by_policy(ours);
	if (ours->scenario->exits) {
		lab_call_begin(ours->play, false, "_exit(0)");
		_exit(0);
	}
	ours->play->blocked = lb_now() - stage->began;
	lab_stage_cue(stage, LAB_CUE_OVER);
	if (holder > 0) {
		lab_stage_await(stage, LAB_CUE_SEEN, LB_NEVER);
		kill(holder, SIGKILL);
		waitpid(holder, NULL, 0);
	}
}

static void strike(int signal)
{
	(void)signal;
}

static void live(struct lab_stage *stage, int channel)
{
	const struct sigaction interrupt = {.sa_handler = strike}; /* no SA_RESTART */
	struct ours ours = {.stage = stage,
		.play = stage->play,
		.policy = stage->spec->policy,
		.scenario = stage->spec->scenario};

	sigaction(SIGUSR1, &interrupt, NULL);
	lab_stage_bytes();
	ours.fd = take_socket(channel);
	if (ours.fd < 0)
		quit_on(&ours, "our end did not get its socket", ours.fd);
	act(&ours);
	_exit(0);
}

int lab_subject_start(struct lab_stage *stage, struct lab_subject *subject)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	subject->pid = lab_fork();
	if (subject->pid == 0) {
		close(ends[0]);
		live(stage, ends[1]);
	}
	subject->channel = ends[0];
	close(ends[1]);
	subject->pidfd = subject->pid < 0 ? -1 : pidfd_open(subject->pid, 0);
	return subject->pidfd < 0 ? -errno : 0;
}

int lab_subject_give(struct lab_subject *subject, int fd)
{
	union control control = {
		.header = {
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)}};
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int result;

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	result = sendmsg(subject->channel, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
	close(fd);
	if (result == 0 && send(subject->channel, &byte, 1, MSG_NOSIGNAL) < 0)
		result = -errno;
	return result;
}

int lab_subject_stop(struct lab_subject *subject)
{
	int status = 0;

	if (subject->pid <= 0)
		return 0;
	kill(subject->pid, SIGKILL);
	while (waitpid(subject->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	close(subject->pidfd);
	close(subject->channel);
	subject->pid = 0;
	return status;
}
