/* SPDX-License-Identifier: MIT */
/* The signals that ask a command to stop. Owns nothing: the caller keeps set and descriptor. */
#include "signals.h"
#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

void lb_signals_block(sigset_t *setp)
{
	static const int stops[] = {SIGINT, SIGTERM, SIGHUP};

	sigemptyset(setp);
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
		struct sigaction action;

		/* Linux queues a blocked signal even while it is ignored, so an ignored one must stay unblocked. */
		if (sigaction(stops[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(setp, stops[i]);
	}
	sigprocmask(SIG_BLOCK, setp, NULL);
}

int lb_signals_fd(const sigset_t *set)
{
	int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);

	return fd >= 0 ? fd : -errno;
}

int lb_signals_taken(int fd)
{
	struct signalfd_siginfo info;
	int number = 0;

	while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
		number = (int)info.ssi_signo;
	return number;
}
