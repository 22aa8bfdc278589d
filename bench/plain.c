/* SPDX-License-Identifier: MIT */
/*
 * What speed is compared with: the plainest loops that move a file through TCP into another file, without a
 * digest, an acknowledgement or a sync.
 *
 *	plain receive FILE          prints the port that it listens on, then serves one connection
 *	plain send FILE PORT        reads and sends
 *	plain sendfile FILE PORT    leaves both to the kernel
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)256 * 1024)

static char buf[PIECE];

static void must(int fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

static void write_all(int fd, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, buf + at, len - at);

		must(n > 0, "write");
		at += (size_t)n;
	}
}

static void receive(const char *path)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t addr_len = sizeof addr;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, out;
	ssize_t n;

	must(listener >= 0 && bind(listener, (struct sockaddr *)&addr, sizeof addr) == 0 &&
			listen(listener, 1) == 0,
		"listen");
	must(getsockname(listener, (struct sockaddr *)&addr, &addr_len) == 0, "getsockname");
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	must(fd >= 0, "accept");
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	must(out >= 0, path);
	while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
		write_all(out, (size_t)n);
	must(n == 0, "recv");
	must(close(out) == 0 && close(fd) == 0, "close");
}

static int dial(const char *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	must(fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0, "connect");
	return fd;
}

static void send_read(int file, int fd)
{
	ssize_t n;

	while ((n = read(file, buf, sizeof buf)) > 0)
		write_all(fd, (size_t)n);
	must(n == 0, "read");
}

static void send_file(int file, int fd)
{
	struct stat st;

	must(fstat(file, &st) == 0, "fstat");
	for (off_t at = 0; at < st.st_size;)
		must(sendfile(fd, file, &at, (size_t)(st.st_size - at)) > 0, "sendfile");
}

int main(int argc, char **argv)
{
	int file, fd;

	if (argc == 3 && strcmp(argv[1], "receive") == 0) {
		receive(argv[2]);
		return 0;
	}
	must(argc == 4, "usage: plain receive FILE | send FILE PORT | sendfile FILE PORT");
	file = open(argv[2], O_RDONLY);
	must(file >= 0, argv[2]);
	fd = dial(argv[3]);
	(strcmp(argv[1], "sendfile") == 0 ? send_file : send_read)(file, fd);
	must(close(fd) == 0, "close");
	return 0;
}
