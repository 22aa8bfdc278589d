/* SPDX-License-Identifier: MIT */
/*
 * records_relp N: N records of 100 bytes from a client to a server of librelp over TCP, each acknowledged, with its
 * default window. Prints the seconds until the last one was acknowledged, and fails if the server saw another number.
 */
#include <arpa/inet.h>
#include <librelp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORD 100

static _Atomic unsigned long long came;

static void must(int fine, const char *what)
{
	if (!fine) {
		fprintf(stderr, "%s failed\n", what);
		exit(1);
	}
}

/* Their types, by which the library calls them, are without const. */
/* NOLINTBEGIN(readability-non-const-parameter) */
static relpRetVal take(unsigned char *host, unsigned char *ip, unsigned char *record, size_t len)
{
	(void)host;
	(void)ip;
	(void)record;
	came += len == RECORD;
	return RELP_RET_OK;
}

static void say(char *fmt, ...)
{
	(void)fmt;
}
/* NOLINTEND(readability-non-const-parameter) */

static relpEngine_t *new_engine(void)
{
	static unsigned char syslog[] = "syslog";
	relpEngine_t *engine;

	must(relpEngineConstruct(&engine) == RELP_RET_OK &&
			relpEngineSetDbgprint(engine, say) == RELP_RET_OK &&
			relpEngineSetEnableCmd(engine, syslog, eRelpCmdState_Required) == RELP_RET_OK &&
			relpEngineSetFamily(engine, AF_INET) == RELP_RET_OK,
		"an engine");
	return engine;
}

static void *serve(void *engine)
{
	must(relpEngineRun(engine) == RELP_RET_OK, "relpEngineRun");
	return NULL;
}

/* One that is free now. */
static void find_port(unsigned char text[16])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof address;

	must(bind(fd, (struct sockaddr *)&address, len) == 0 &&
			getsockname(fd, (struct sockaddr *)&address, &len) == 0,
		"a port");
	close(fd);
	snprintf((char *)text, 16, "%d", ntohs(address.sin_port));
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static unsigned char loopback[] = "127.0.0.1";
	unsigned long long number = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
	relpEngine_t *server, *engine;
	unsigned char port[16], record[RECORD];
	relpSrv_t *listener;
	relpClt_t *client;
	pthread_t thread;
	double began;

	if (number == 0) {
		fprintf(stderr, "usage: records_relp N\n");
		return 2;
	}
	server = new_engine();
	engine = new_engine();
	find_port(port);
	memset(record, 'r', sizeof record);
	must(relpEngineSetSyslogRcv(server, take) == RELP_RET_OK &&
			relpEngineListnerConstruct(server, &listener) == RELP_RET_OK &&
			relpSrvSetLstnPort(listener, port) == RELP_RET_OK &&
			relpSrvSetLstnAddr(listener, loopback) == RELP_RET_OK &&
			relpEngineListnerConstructFinalize(server, listener) == RELP_RET_OK,
		"listen");
	must(pthread_create(&thread, NULL, serve, server) == 0, "pthread_create");
	must(relpEngineCltConstruct(engine, &client) == RELP_RET_OK &&
			relpCltConnect(client, AF_INET, port, loopback) == RELP_RET_OK,
		"connect");
	began = seconds();
	for (unsigned long long i = 0; i < number; i++)
		must(relpCltSendSyslog(client, record, sizeof record) == RELP_RET_OK, "relpCltSendSyslog");
	must(relpEngineCltDestruct(engine, &client) == RELP_RET_OK, "the end of the session");
	printf("%.6f\n", seconds() - began);
	must(came == number, "the count of records");
	return 0; /* the server's thread ends with the process: relpEngineSetStop does not wake one that waits */
}
