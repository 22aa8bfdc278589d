/* SPDX-License-Identifier: MIT */
/*
 * records_zmq N: N records of 100 bytes from a PUSH to a PULL socket of ZeroMQ over TCP, each a message, counted there.
 * Prints the seconds that it took, of both threads together.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

#define RECORD 100

static void *context;
static char endpoint[256];
static unsigned long long number;

static void must(int fine, const char *what)
{
	if (!fine) {
		fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
		exit(1);
	}
}

static void *push(void *arg)
{
	void *socket = zmq_socket(context, ZMQ_PUSH);
	char record[RECORD];

	memset(record, 'r', sizeof record);
	must(socket != NULL && zmq_connect(socket, endpoint) == 0, "zmq_connect");
	for (unsigned long long i = 0; i < number; i++)
		must(zmq_send(socket, record, sizeof record, 0) == sizeof record, "zmq_send");
	must(zmq_close(socket) == 0, "zmq_close");
	return arg;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	size_t len = sizeof endpoint;
	char record[2 * RECORD];
	pthread_t thread;
	void *socket;
	double began;

	if (argc != 2) {
		fprintf(stderr, "usage: records_zmq N\n");
		return 2;
	}
	number = strtoull(argv[1], NULL, 10);
	context = zmq_ctx_new();
	socket = zmq_socket(context, ZMQ_PULL);
	must(socket != NULL && zmq_bind(socket, "tcp://127.0.0.1:*") == 0 &&
			zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len) == 0,
		"zmq_bind");
	began = seconds();
	if (pthread_create(&thread, NULL, push, NULL) != 0)
		return 1;
	for (unsigned long long i = 0; i < number; i++)
		must(zmq_recv(socket, record, sizeof record, 0) == RECORD, "zmq_recv");
	printf("%.6f\n", seconds() - began);
	pthread_join(thread, NULL);
	zmq_close(socket);
	zmq_ctx_term(context);
	return 0;
}
