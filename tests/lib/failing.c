/* SPDX-License-Identifier: MIT */
/*
 * What failing.h says. Each function in the table below is wrapped by the linker: a call of NAME arrives at __wrap_NAME,
 * and __real_NAME is the C library's, or a sanitizer's, own.
 */
#include "lib/failing.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define NAMES_MAX 32

static _Thread_local bool on, paused_now, skipped;
static _Thread_local struct failing_plan planned;
static _Thread_local struct failing_seen seen_so_far;
static _Thread_local const char *names[NAMES_MAX]; /* what was called */

void failing_begin(const struct failing_plan *plan)
{
	planned = *plan;
	seen_so_far = (struct failing_seen){0};
	memset(names, 0, sizeof names);
	skipped = false;
	on = true;
	paused_now = false;
}

void failing_pause(bool paused)
{
	paused_now = paused;
}

bool failing_end(struct failing_seen *seenp)
{
	on = false;
	*seenp = seen_so_far;
	return seen_so_far.name != NULL;
}

void failing_next(struct failing_plan *plan, const struct failing_seen *seen)
{
	plan->which++;
	if (plan->which >= seen->errors) {
		plan->which = 0;
		plan->at++;
	}
}

static bool called_before(const char *name)
{
	int i = 0;

	while (i < NAMES_MAX - 1 && names[i] != NULL && strcmp(names[i], name) != 0)
		i++;
	if (names[i] != NULL)
		return true;
	names[i] = name;
	return false;
}

/*
 * Whether this call is to fail: then errno says why. `errors` ends with 0. EPERM is what a filter of system calls
 * says (seccomp(2)), and that to all of them, or to none.
 */
static bool fails(const char *name, const int *errors)
{
	bool before, filter = errors[0] == EPERM;

	if (!on || paused_now || (planned.memory && errors[0] != ENOMEM))
		return false;
	before = called_before(name);
	seen_so_far.calls++;
	if (seen_so_far.name == NULL && seen_so_far.calls == planned.at) {
		while (errors[seen_so_far.errors] != 0)
			seen_so_far.errors++;
		seen_so_far.name = name;
		seen_so_far.error = errors[planned.which % seen_so_far.errors];
		skipped = (filter && before && !planned.late) ||
			  (planned.for_good && seen_so_far.error == EINTR);
	} else if (seen_so_far.name == NULL || strcmp(name, seen_so_far.name) != 0 ||
		   !(planned.for_good || filter)) {
		return false;
	}
	if (!skipped)
		errno = seen_so_far.error;
	return !skipped;
}

/* clang-format off */
#define ERRORS(...) ((const int[]){__VA_ARGS__, 0})

#define WRAP(type, name, params, args, failed, errors)                                                       \
	type real_##name params __asm__("__real_" #name);                                                    \
	type wrap_##name params __asm__("__wrap_" #name);                                                    \
	type wrap_##name params                                                                              \
	{                                                                                                    \
		return fails(#name, errors) ? (failed) : real_##name args;                                   \
	}

#define SENDING  ERRORS(EINTR, EAGAIN, ENOBUFS, ENOMEM)
#define READING  ERRORS(EINTR, EAGAIN, ENOMEM, EIO)
#define WAITING  ERRORS(EINTR, ENOMEM)
#define ASKING   ERRORS(EPERM)
#define OPENING  ERRORS(EMFILE, ENFILE, ENOMEM)
#define MEMORY   ERRORS(ENOMEM)

WRAP(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1, ERRORS(EINTR, ENOMEM))
WRAP(int, shutdown, (int fd, int how), (fd, how), -1, ERRORS(ENOTCONN, ENOMEM))
WRAP(ssize_t, recv, (int fd, void *b, size_t n, int f), (fd, b, n, f), -1, READING)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f), -1, READING)
WRAP(ssize_t, read, (int fd, void *b, size_t n), (fd, b, n), -1, READING)
WRAP(ssize_t, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f), -1, SENDING)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), -1, SENDING)
WRAP(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n), -1, SENDING)
WRAP(int, getsockopt, (int fd, int l, int o, void *v, socklen_t *n), (fd, l, o, v, n), -1, ASKING)
WRAP(int, setsockopt, (int fd, int l, int o, const void *v, socklen_t n), (fd, l, o, v, n), -1, ASKING)
WRAP(int, getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), -1, ERRORS(ENOTCONN, ENOBUFS))
WRAP(int, poll, (struct pollfd *p, nfds_t n, int t), (p, n, t), -1, WAITING)
WRAP(int, ppoll, (struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s), (p, n, t, s), -1, WAITING)
WRAP(int, epoll_wait, (int fd, struct epoll_event *e, int n, int t), (fd, e, n, t), -1, ERRORS(EINTR))
WRAP(int, epoll_create1, (int f), (f), -1, OPENING)
WRAP(int, epoll_ctl, (int fd, int o, int of, struct epoll_event *e), (fd, o, of, e), -1, ERRORS(ENOMEM, ENOSPC))
WRAP(int, timerfd_create, (int c, int f), (c, f), -1, OPENING)
WRAP(int, timerfd_settime, (int fd, int f, const struct itimerspec *a, struct itimerspec *b), (fd, f, a, b), -1, ASKING)
WRAP(void *, malloc, (size_t n), (n), NULL, MEMORY)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, MEMORY)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL, MEMORY)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), NULL, MEMORY)
WRAP(void *, aligned_alloc, (size_t alignment, size_t n), (alignment, n), NULL, MEMORY)
WRAP(char *, strdup, (const char *text), (text), NULL, MEMORY)
/* clang-format on */

/* Linux takes the descriptor away first, whatever it says then: close(2). */
int real_close(int fd) __asm__("__real_close");
int wrap_close(int fd) __asm__("__wrap_close");
int wrap_close(int fd)
{
	int result = real_close(fd);

	if (on && result < 0 && errno == EBADF)
		seen_so_far.bad_closes++;
	return fails("close", ERRORS(EINTR, EIO)) ? -1 : result;
}

int real_ioctl(int fd, unsigned long request, ...) __asm__("__real_ioctl");
int wrap_ioctl(int fd, unsigned long request, ...) __asm__("__wrap_ioctl");
int wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	return fails("ioctl", ASKING) ? -1 : real_ioctl(fd, request, arg);
}

/* The name that fcntl(2) has where files are large. */
int real_fcntl64(int fd, int command, ...) __asm__("__real_fcntl64");
int wrap_fcntl64(int fd, int command, ...) __asm__("__wrap_fcntl64");
int wrap_fcntl64(int fd, int command, ...)
{
	va_list list;
	intptr_t arg;

	va_start(list, command);
	arg = va_arg(list, intptr_t);
	va_end(list);
	return fails("fcntl", ERRORS(EPERM)) ? -1 : real_fcntl64(fd, command, arg);
}

/* What -D_FORTIFY_SOURCE makes of some of them. */
ssize_t wrap_recv_chk(int fd, void *b, size_t n, size_t room, int f) __asm__("__wrap___recv_chk");
ssize_t wrap_recv_chk(int fd, void *b, size_t n, size_t room, int f)
{
	return n <= room ? wrap_recv(fd, b, n, f) : -1;
}

ssize_t wrap_read_chk(int fd, void *b, size_t n, size_t room) __asm__("__wrap___read_chk");
ssize_t wrap_read_chk(int fd, void *b, size_t n, size_t room)
{
	return n <= room ? wrap_read(fd, b, n) : -1;
}

int wrap_poll_chk(struct pollfd *p, nfds_t n, int t, size_t room) __asm__("__wrap___poll_chk");
int wrap_poll_chk(struct pollfd *p, nfds_t n, int t, size_t room)
{
	return n * sizeof *p <= room ? wrap_poll(p, n, t) : -1;
}

int wrap_ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s,
	size_t room) __asm__("__wrap___ppoll_chk");
int wrap_ppoll_chk(struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s, size_t room)
{
	return n * sizeof *p <= room ? wrap_ppoll(p, n, t, s) : -1;
}
