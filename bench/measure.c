/* SPDX-License-Identifier: MIT */
/*
 * measure OUT COMMAND...: runs a command and writes to OUT, as a JSON object, its exit status, the CPU seconds
 * that it used and the most memory that it had resident. A program of its own because the kernel counts the
 * memory of whoever calls exec(2) as the command's, and this one has next to none.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t child;

static void pass_on(int number)
{
	if (child > 0)
		kill(child, number);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;
	FILE *out;

	if (argc < 3)
		return 2;
	signal(SIGTERM, pass_on);
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	child = pid;
	while (wait4(pid, &status, 0, &usage) != pid)
		continue;
	out = fopen(argv[1], "w");
	if (out == NULL)
		return 126;
	fprintf(out, "{\"status\": %d, \"cpu\": %.3f, \"resident_kib\": %ld}\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
		usage.ru_maxrss);
	return fclose(out) == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
