/* SPDX-License-Identifier: MIT */
/*
 * Durable commits of 100 bytes: how many in a second.
 *
 *	commits fdatasync FILE SECONDS         one append and one fdatasync(2) after the other
 *	commits lastbyte ADDR STATE CLIENTS N  N deliveries by as many clients, a thread and a journal below STATE each; every
 *	                                       one has its receipt
 *
 * Prints commits and seconds. Clients begin together, once all are connected.
 */
#include <fcntl.h>
#include <lastbyte/client.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTENT 100

static char content[CONTENT];
static const char *address, *state;
static unsigned long share;
static pthread_barrier_t start;

static void must(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		exit(1);
	}
}

static void print(unsigned long commits, lb_time began)
{
	printf("%lu %.6f\n", commits, (double)(lb_now() - began) / 1e9);
}

static void sync_one_by_one(const char *path, int64_t seconds)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
	lb_time began = lb_now(), end = began + seconds * 1000000000;
	unsigned long commits = 0;

	must(fd >= 0, path);
	for (; lb_now() < end; commits++)
		must(write(fd, content, sizeof content) == sizeof content && fdatasync(fd) == 0, "fdatasync");
	print(commits, began);
}

static void decided(void *arg, const struct lb_decision *decision)
{
	unsigned long *committed = arg;
	char line[256];

	if (decision->outcome.verdict != LB_VERDICT_COMMITTED) {
		fprintf(stderr, "%s\n", lb_outcome_text(&decision->outcome, line, sizeof line));
		exit(1);
	}
	++*committed;
}

static void *deliver(void *arg)
{
	const struct lb_delivery delivery = {.name = "row", .length = CONTENT};
	unsigned long committed = 0;
	struct lb_client_options options = {
		.pipeline = true, .numbers = 256, .decided = decided, .decided_arg = &committed};
	struct lb_outcome outcome;
	struct lb_client *client;
	char folder[4096];

	snprintf(folder, sizeof folder, "%s/%zu", state, (size_t)(uintptr_t)arg);
	options.state_dir = folder;
	must(lb_client_open(address, &options, LB_NEVER, &client, &outcome) == 0, "lb_client_open");
	pthread_barrier_wait(&start);
	for (unsigned long i = 0; i < share; i++)
		must(lb_client_begin(client, &delivery, LB_NEVER) == 0 &&
				lb_client_write(client, content, sizeof content, LB_NEVER) == 0 &&
				lb_client_commit_async(client, LB_NEVER) == 0,
			"a delivery");
	must(lb_client_close(client, LB_NEVER, &outcome) == 0 && committed == share, "the end");
	return NULL;
}

static void run_clients(unsigned clients, unsigned long n)
{
	pthread_t *threads = calloc(clients, sizeof *threads);
	lb_time began;

	must(threads != NULL && mkdir(state, 0777) == 0, "STATE");
	share = n / clients;
	must(pthread_barrier_init(&start, NULL, clients + 1) == 0, "pthread_barrier_init");
	for (unsigned i = 0; i < clients; i++)
		must(pthread_create(&threads[i], NULL, deliver, (void *)(uintptr_t)i) == 0, "pthread_create");
	pthread_barrier_wait(&start);
	began = lb_now();
	for (unsigned i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	print(share * clients, began);
	free(threads);
}

int main(int argc, char **argv)
{
	memset(content, 'c', sizeof content);
	if (argc == 4 && strcmp(argv[1], "fdatasync") == 0) {
		sync_one_by_one(argv[2], atoi(argv[3]));
	} else if (argc == 6 && strcmp(argv[1], "lastbyte") == 0) {
		address = argv[2];
		state = argv[3];
		run_clients((unsigned)atoi(argv[4]), strtoul(argv[5], NULL, 10));
	} else {
		fprintf(stderr, "usage: commits fdatasync FILE SECONDS | lastbyte ADDR STATE CLIENTS N\n");
		return 2;
	}
	return 0;
}
