/* SPDX-License-Identifier: MIT */
/*
 * web POLICY FOLDER: an HTTP server that answers each connection with one file and ends it, for what the servers of
 * others are compared with. Prints its port. The policies are those of two system calls, close(2) at once
 * (`plain`) or after shutdown(2) (`finish`), and ours: lb_close (`drain`), or the closer in a thread (`closer`).
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <lastbyte/closer.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define STACK   (256 * 1024) /* of each connection's thread */
#define SECONDS 120          /* for an ending */
#define SOCKETS 4096         /* of the closer's */

static void end_plain(int fd)
{
	close(fd);
}

static void end_finish(int fd)
{
	shutdown(fd, SHUT_WR);
	close(fd);
}

static void report(void *arg, const struct lb_outcome *outcome)
{
	char line[256];

	(void)arg;
	if (outcome->rung < LB_RUNG_ACKED)
		fprintf(stderr, "%s\n", lb_outcome_text(outcome, line, sizeof line));
}

static void end_drain(int fd)
{
	struct lb_outcome outcome;

	(void)lb_close(fd, NULL, lb_in_ms(SECONDS * 1000), &outcome);
	report(NULL, &outcome);
}

static struct lb_closer *closer;

static void end_closer(int fd)
{
	if (lb_closer_add(closer, fd, NULL, lb_in_ms(SECONDS * 1000), report, NULL) < 0)
		fprintf(stderr, "a connection could not be handed to the closer\n");
}

static void *run_closer(void *arg)
{
	(void)arg;
	lb_closer_run(closer);
	return NULL;
}

static const struct policy {
	const char *name;
	void (*end)(int fd);
} policies[] = {{"plain", end_plain}, {"finish", end_finish}, {"drain", end_drain}, {"closer", end_closer}};

static void (*end)(int fd);

static void must(int fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

/* The path of "GET /path HTTP/1.1", with the rest of the request read; NULL: there is none. */
static char *read_request(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(fd, buf + len, size - 1 - len, 0);
		if (n <= 0)
			return NULL;
		len += (size_t)n;
		buf[len] = '\0';
	} while (strstr(buf, "\r\n\r\n") == NULL);
	if (strncmp(buf, "GET /", 5) != 0)
		return NULL;
	buf[5 + strcspn(buf + 5, " /")] = '\0';
	return buf + 5;
}

static void answer(int fd, const char *path)
{
	int file = open(path, O_RDONLY);
	char head[128];
	struct stat st;
	int len;

	if (file < 0 || fstat(file, &st) != 0)
		return;
	len = snprintf(head, sizeof head,
		"HTTP/1.1 200 OK\r\nContent-Length: %lld\r\nConnection: close\r\n\r\n",
		(long long)st.st_size);
	if (send(fd, head, (size_t)len, MSG_MORE) == len)
		for (off_t at = 0; at < st.st_size;)
			if (sendfile(fd, file, &at, (size_t)(st.st_size - at)) <= 0)
				break;
	close(file);
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[2048], *path;

	path = read_request(fd, buf, sizeof buf);
	if (path != NULL)
		answer(fd, path);
	end(fd);
	return NULL;
}

static int listen_anywhere(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, SOMAXCONN) == 0,
		"listen");
	must(getsockname(fd, (struct sockaddr *)&addr, &len) == 0, "getsockname");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	static const struct lb_closer_options options = {.sockets = SOCKETS};
	pthread_attr_t attr;
	pthread_t thread;
	int listener;

	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
		if (argc == 3 && strcmp(argv[1], policies[i].name) == 0)
			end = policies[i].end;
	must(end != NULL, "usage: web plain | finish | drain | closer FOLDER");
	must(chdir(argv[2]) == 0, argv[2]);
	signal(SIGPIPE, SIG_IGN);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	must(lb_closer_new(&options, &closer) == 0, "lb_closer_new");
	must(end != end_closer || pthread_create(&thread, &attr, run_closer, NULL) == 0, "pthread_create");
	listener = listen_anywhere();
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		must(fd >= 0, "accept");
		must(pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd) == 0, "pthread_create");
	}
}
