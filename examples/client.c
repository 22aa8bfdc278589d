/* SPDX-License-Identifier: MIT */
/*
 * The client in an epoll(7) loop, beside something else that the loop waits for: each line of standard input, at most
 * 4 KiB, becomes a delivery of its own while the verdicts of those before it are under way.
 *
 *	example-client ADDR STATE NAME <lines
 *
 * Prints each verdict with the name, NAME.1 and so on. Exits with 0 if each was committed.
 */
#include <errno.h>
#include <lastbyte/client.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static struct lb_client *client;
static int epoll, watched = -1, worst;

static void decided(void *arg, const struct lb_decision *decision)
{
	(void)arg;
	printf("%s %s\n", lb_verdict_word(decision->outcome.verdict), decision->receipt.name);
	if (decision->outcome.verdict != LB_VERDICT_COMMITTED)
		worst = 1;
}

/* Asks the client what it waits for, anew each time; the descriptor may be another one by now. */
static void watch(void)
{
	struct epoll_event event = {.events = lb_client_events(client), .data.fd = lb_client_fd(client)};

	if (watched >= 0 && watched != event.data.fd)
		epoll_ctl(epoll, EPOLL_CTL_DEL, watched, NULL);
	watched = event.data.fd;
	if (watched >= 0 && epoll_ctl(epoll, EPOLL_CTL_MOD, watched, &event) < 0)
		epoll_ctl(epoll, EPOLL_CTL_ADD, watched, &event);
}

/* One turn of the loop. True: standard input can be read, or is at its end. */
static bool turn(void)
{
	struct epoll_event event;
	lb_time deadline = lb_client_deadline(client), left = deadline - lb_now();
	int timeout = deadline == LB_NEVER ? -1 : left > 0 ? (int)(left / 1000000 % 1000000) + 1 : 0;

	watch();
	return epoll_wait(epoll, &event, 1, timeout) == 1 && event.data.fd == STDIN_FILENO;
}

/* Until what was started is over; whatever else the loop has to do would be done in between. */
static int finish(int started)
{
	if (started < 0)
		return started;
	while (!lb_client_step(client))
		turn();
	return lb_client_result(client, NULL, NULL);
}

static void deliver(const char *name, unsigned number, const char *line, size_t len)
{
	char numbered[LB_NAME_MAX + 1];
	const struct lb_delivery delivery = {.name = numbered, .length = len};

	snprintf(numbered, sizeof numbered, "%.200s.%u", name, number);
	if (finish(lb_client_start_begin(client, &delivery, lb_in_ms(60000))) == 0 && len > 0)
		(void)finish(lb_client_start_write(client, line, len, lb_in_ms(60000)));
	if (finish(lb_client_start_commit_async(client, lb_in_ms(60000))) < 0)
		worst = 1;
}

int main(int argc, char **argv)
{
	struct lb_client_options options = {.state_dir = argv[argc > 2 ? 2 : 0],
		.pipeline = true,
		.numbers = 64,
		.retry = true,
		.decided = decided};
	struct epoll_event event = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
	struct lb_outcome outcome;
	char line[4096];
	size_t got = 0;
	ssize_t n = 1;
	unsigned number = 0;

	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (argc != 4 || epoll < 0 ||
		lb_client_start_open(argv[1], &options, lb_in_ms(60000), &client, &outcome) < 0)
		return 2;
	if (finish(0) < 0)
		return 2;
	epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
	while (n > 0) {
		char *end;

		while (!turn())
			lb_client_step(client);
		n = read(STDIN_FILENO, line + got, sizeof line - got);
		got += n > 0 ? (size_t)n : 0;
		while (got > 0 && ((end = memchr(line, '\n', got)) != NULL || n <= 0 || got == sizeof line)) {
			size_t len = end != NULL ? (size_t)(end - line) : got, used = len + (end != NULL);

			deliver(argv[3], ++number, line, len);
			got -= used;
			memmove(line, line + used, got);
		}
	}
	epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
	lb_client_start_close(client, lb_in_ms(60000));
	if (finish(0) < 0)
		worst = 1;
	lb_client_abort(client, &outcome);
	close(epoll);
	return worst;
}
