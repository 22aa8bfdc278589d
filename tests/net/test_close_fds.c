/* SPDX-License-Identifier: MIT */
/*
 * Whatever way a connection ends, its fd is closed once, and no other: close(2) is counted here. A second close would hit
 * what another thread has opened meanwhile.
 */
#include "lib/tcp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

int __real_close(int fd);
int __wrap_close(int fd);

static struct {
	int fd, closes, strays; /* the fd that is watched; closes of it; closes of anything else */
	int error;              /* what close(2) says, though it has closed, as Linux always has */
} watched = {.fd = -1};

int __wrap_close(int fd)
{
	int result = __real_close(fd);

	if (watched.fd < 0)
		return result;
	if (fd == watched.fd)
		watched.closes++;
	else
		watched.strays++;
	if (watched.error == 0)
		return result;
	errno = watched.error;
	return -1;
}

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* A peer in each state that leads to another way out. */
static void idle(struct tcp *tcp)
{
	tcp_write(tcp, 1000);
}

static void stuffed(struct tcp *tcp)
{
	tcp_stuff(tcp);
}

static void unread(struct tcp *tcp)
{
	struct pollfd arrived = {.fd = tcp->ours, .events = POLLIN};

	tcp_peer_send(&tcp->peer, 1000);
	assert_int_equal(poll(&arrived, 1, 20000), 1);
	tcp_stuff(tcp);
}

static void ended(struct tcp *tcp)
{
	struct pollfd over = {.fd = tcp->ours, .events = POLLRDHUP};

	shutdown(tcp->peer.fd, SHUT_WR);
	assert_int_equal(poll(&over, 1, 20000), 1);
}

static void was_reset(struct tcp *tcp)
{
	struct pollfd over = {.fd = tcp->ours};

	tcp_stuff(tcp);
	tcp_peer_reset(&tcp->peer);
	assert_int_equal(poll(&over, 1, 20000), 1);
}

static void (*const peers[])(struct tcp *tcp) = {idle, stuffed, unread, ended, was_reset};

static void end_and_count(const struct tcp_side *side, void (*peer)(struct tcp *), struct lb_ending *ending)
{
	struct lb_outcome end;
	struct tcp tcp;
	int fd, result, kept;

	tcp_connect(&tcp, side, 0, 0);
	peer(&tcp);
	fd = tcp.ours;
	watched.closes = watched.strays = 0;
	watched.fd = fd;
	result = tcp_end(&tcp, ending, lb_now(), &end);
	watched.fd = -1;
	kept = result == -EAGAIN;
	assert_true(result == 0 || kept);
	assert_int_equal(kept, end.how == LB_END_OPEN);
	assert_int_equal(watched.closes, !kept);
	assert_int_equal(watched.strays, 0);
	assert_int_equal(fcntl(fd, F_GETFD) >= 0, kept);
	if (kept)
		close(fd);
	tcp_peer_close(&tcp.peer);
	close(tcp.peer.go);
}

static void every_way(const struct tcp_side *side)
{
	int before = open_fds();

	for (int policy = 0; policy <= LB_POLICY_ABORT; policy++) {
		for (int choice = 0; choice <= LB_EXPIRY_KEEP; choice++) {
			for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
				struct lb_ending ending = {.policy = (enum lb_policy)policy,
					.on_expiry = (enum lb_on_expiry)choice,
					.limits = {.drain_bytes = choice == 0 ? 1 : 0}};

				end_and_count(side, peers[i], &ending);
			}
		}
	}
	assert_int_equal(open_fds(), before);
}

static void every_way_closes_it_once_and_nothing_else(void **state)
{
	const struct tcp *tcp = *state;

	every_way(tcp->side);
}

/* close(2): "Retrying the close() after a failure return is the wrong thing to do". */
static void a_close_that_fails_is_not_repeated(void **state)
{
	const struct tcp *tcp = *state;

	watched.error = EINTR;
	every_way(tcp->side);
	watched.error = EIO;
	every_way(tcp->side);
	watched.error = 0;
}

static void none_is_needed_besides(void **state)
{
	struct tcp *tcp = *state;
	struct rlimit before, none = {0};
	struct lb_outcome end;

	tcp_write(tcp, 1000);
	tcp_peer_read(&tcp->peer, 1000);
	shutdown(tcp->peer.fd, SHUT_WR);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &before), errno);
	none.rlim_max = before.rlim_max;
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	assert_int_equal(dup(0), -1);
	assert_int_equal(tcp_end(tcp, NULL, lb_in_ms(20000), &end), 0);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &before), errno);
	assert_ending(&end, "ended: fin by peer in done");
	assert_counts(&end, 1000, 1000, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_EVERY_SIDE(every_way_closes_it_once_and_nothing_else),
		ON_EVERY_SIDE(a_close_that_fails_is_not_repeated),
		ON_EVERY_SIDE(none_is_needed_besides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
