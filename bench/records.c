/* SPDX-License-Identifier: MIT */
/*
 * Many small records over one connection: by a plain loop, and inside one delivery.
 *
 *	records receive            prints its port; serves one connection, then prints how many records came
 *	records plain PORT N       N records of 100 bytes, each behind its length, gathered into writes of 64 KiB
 *	records lastbyte PORT N    the same, as the content of one delivery, each given to lb_client_write
 */
#include "records.h"
#include <arpa/inet.h>
#include <lastbyte/client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD 100
#define PIECE  65536

static uint8_t buf[PIECE];

static void must(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

/* A record and its length before it. */
static void put_record(uint8_t *to)
{
	static const uint8_t length[RECORD_LENGTH] = {0, 0, 0, RECORD};

	memcpy(to, length, sizeof length);
	memset(to + sizeof length, 'r', RECORD);
}

static void receive(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	socklen_t len = sizeof address;
	struct records records = {0};
	ssize_t n;

	must(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
			getsockname(listener, (struct sockaddr *)&address, &len) == 0,
		"listen");
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	must(fd >= 0, "accept");
	while ((n = recv(fd, buf, sizeof buf, 0)) > 0)
		records_count(&records, buf, (size_t)n);
	must(n == 0, "recv");
	printf("%llu\n", (unsigned long long)records_whole(&records));
}

static void write_all(int fd, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, buf + at, len - at);

		must(n > 0, "write");
		at += (size_t)n;
	}
}

static void send_plain(uint16_t port, uint64_t n)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t have = 0;

	must(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
	while (n-- > 0) {
		if (sizeof buf - have < RECORD_LENGTH + RECORD) {
			write_all(fd, have);
			have = 0;
		}
		put_record(buf + have);
		have += RECORD_LENGTH + RECORD;
	}
	write_all(fd, have);
	must(close(fd) == 0, "close");
}

static int send_lastbyte(const char *port, uint64_t n)
{
	struct lb_client_options options = {.pipeline = true};
	const struct lb_delivery delivery = {.name = "records", .length = n * (RECORD_LENGTH + RECORD)};
	char address[64], line[256];
	struct lb_receipt receipt;
	struct lb_outcome outcome;
	struct lb_client *client;

	snprintf(address, sizeof address, "127.0.0.1:%s", port);
	must(lb_client_open(address, &options, LB_NEVER, &client, &outcome) == 0 &&
			lb_client_begin(client, &delivery, LB_NEVER) == 0,
		"begin");
	while (n-- > 0) {
		put_record(buf);
		must(lb_client_write(client, buf, RECORD_LENGTH + RECORD, LB_NEVER) == 0, "lb_client_write");
	}
	if (lb_client_commit(client, LB_NEVER, &receipt, &outcome) != 0 ||
		outcome.verdict != LB_VERDICT_COMMITTED) {
		fprintf(stderr, "%s\n", lb_outcome_text(&outcome, line, sizeof line));
		return 1;
	}
	return lb_client_close(client, LB_NEVER, &outcome) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "receive") == 0) {
		receive();
		return 0;
	}
	if (argc != 4) {
		fprintf(stderr, "usage: records receive | plain PORT N | lastbyte PORT N\n");
		return 2;
	}
	if (strcmp(argv[1], "lastbyte") == 0)
		return send_lastbyte(argv[2], strtoull(argv[3], NULL, 10));
	send_plain((uint16_t)atoi(argv[2]), strtoull(argv[3], NULL, 10));
	return 0;
}
