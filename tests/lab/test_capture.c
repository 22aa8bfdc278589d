/* SPDX-License-Identifier: MIT */
/* The captures of lab/capture.h: they see what the link counts, who sent it, and when it arrived if it did. */
#include "lab/capture.h"
#include "lib/scene.h"
#include "lib/cmocka.h"
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUCH 300000

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

static const int families[] = {AF_INET, AF_INET6};
static struct lab_play play;

/* Together, the arrows are what was captured, and each is drawn at a time when it can have been. */
static void check_arrows(lb_time delay)
{
	struct segments sums[2] = {0};

	assert_in_range(play.arrows, 1, LAB_ARROWS);
	for (unsigned i = 0; i < play.arrows; i++) {
		const struct lab_arrow *arrow = &play.arrow[i];
		struct segments *sum = &sums[arrow->peer];

		assert_true(arrow->count > 0);
		assert_true(i == 0 || play.arrow[i - 1].sent <= arrow->sent);
		sum->all += arrow->count;
		sum->bytes += arrow->bytes;
		sum->rst += (arrow->flags & RST) != 0 ? arrow->count : 0;
		if (arrow->arrived == LB_NEVER) {
			sum->lost += arrow->count;
			assert_int_equal(arrow->until, LB_NEVER);
		} else {
			assert_true(arrow->arrived - arrow->sent >= delay);
			assert_true(arrow->until >= arrow->arrived && arrow->until < LB_NEVER);
		}
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sums[i].all, play.segments[i].all);
		assert_int_equal(sums[i].bytes, play.segments[i].bytes);
		assert_int_equal(sums[i].lost, play.segments[i].lost);
		assert_int_equal(sums[i].rst, play.segments[i].rst);
	}
}

static struct lab_capture *start(struct link *link)
{
	struct lab_capture *capture;

	memset(&play, 0, sizeof play);
	assert_int_equal(lab_capture_start(link, &capture), 0);
	return capture;
}

static void stop(struct lab_capture *capture, lb_time delay)
{
	lab_capture_stop(capture, NULL, &play);
	assert_string_equal(play.failed, "");
	assert_true(play.captured);
	assert_int_equal(play.missed, 0);
	check_arrows(delay);
}

static void connect_ends(struct link *link, enum link_end from, int family, int fds[2])
{
	assert_int_equal(link_connect(link, from, family, fds), 0);
	play.zero = lb_now();
}

/* What the link had counted when the capture ended, no less, and no more than what it counted afterwards. */
static void check_counts(
	const struct segments *seen, const struct segments *before, const struct segments *after)
{
	assert_in_range(seen->all, before->all, after->all);
	assert_in_range(seen->data, before->data, after->data);
	assert_in_range(seen->acks, before->acks, after->acks);
	assert_in_range(seen->syn, before->syn, after->syn);
	assert_in_range(seen->fin, before->fin, after->fin);
	assert_in_range(seen->rst, before->rst, after->rst);
	assert_in_range(seen->bytes, before->bytes, after->bytes);
	assert_in_range(seen->lost, 0, after->lost); /* which may be others than TCP's */
}

static void counts_as_the_link_does(const struct link_options *options, int family, size_t bytes)
{
	struct link *link = scene_link(options);
	struct lab_capture *capture = start(link);
	struct segments before[2], after[2];
	int fds[2];

	connect_ends(link, LINK_LEFT, family, fds);
	scene_send(fds, bytes);
	scene_end(fds);
	for (int end = LINK_LEFT; end <= LINK_RIGHT; end++)
		assert_int_equal(link_count(link, end, &before[end]), 0);
	stop(capture, options->delay);
	for (int end = LINK_LEFT; end <= LINK_RIGHT; end++) {
		assert_int_equal(link_count(link, end, &after[end]), 0);
		assert_int_equal(after[end].missed, 0);
		check_counts(&play.segments[end], &before[end], &after[end]);
	}
	assert_true(play.segments[LINK_LEFT].bytes >= bytes);
	assert_int_equal(play.segments[LINK_RIGHT].bytes, 0);
	link_free(link);
}

static void it_counts_what_the_link_counts(void **state)
{
	const struct link_options delay = {.kind = LINK_DELAY, .delay = 5 * MS},
				  veth = {.kind = LINK_VETH, .count = true};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		counts_as_the_link_does(&delay, families[i], MUCH);
		assert_int_equal(play.segments[0].lost + play.segments[1].lost, 0);
		counts_as_the_link_does(&veth, families[i], MUCH);
		assert_int_equal(play.segments[0].lost + play.segments[1].lost, 0);
	}
}

static void what_the_link_loses_is_seen_to_be_lost(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = 2 * MS, .loss = 400, .seed = 7};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		counts_as_the_link_does(&options, families[i], MUCH);
		assert_true(play.segments[LINK_LEFT].lost > 0);
		/* all arrived in the end, and what arrived is what was not lost */
		assert_true(play.segments[LINK_LEFT].bytes > MUCH);
	}
}

static void nothing_of_a_fast_upload_is_missed(void **state)
{
	const struct link_options options = {.kind = LINK_VETH, .count = true};

	(void)state;
	counts_as_the_link_does(&options, AF_INET, 8 << 20);
}

/* The handshake lies before the connection, which begins at 0. */
static void arrows_slant_and_begin_with_the_handshake(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = 20 * MS};
	struct link *link = scene_link(&options);
	const struct lab_arrow *arrow = play.arrow;
	int fds[2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct lab_capture *capture = start(link);

		connect_ends(link, LINK_LEFT, families[i], fds);
		scene_send(fds, 1000);
		scene_end(fds);
		stop(capture, options.delay);
		assert_false(arrow[0].peer);
		assert_int_equal(arrow[0].flags & (SYN | ACK), SYN);
		assert_int_equal(arrow[0].seq | arrow[0].ack, 0);
		assert_true(arrow[0].sent <= -2 * options.delay);
		assert_true(arrow[1].peer);
		assert_int_equal(arrow[1].flags & (SYN | ACK), SYN | ACK);
		assert_int_equal(arrow[1].seq, 0);
		assert_int_equal(arrow[1].ack, 1);
		assert_true(arrow[1].sent >= arrow[0].arrived);
		assert_int_equal(arrow[2].seq, 1);
		assert_int_equal(arrow[2].ack, 1);
		assert_true(arrow[2].window > 65535 / 2); /* scaled */
		assert_int_equal(arrow[3].seq, 1);
		assert_int_equal(arrow[3].bytes, 1000);
		assert_true(arrow[3].sent >= 0);
		for (unsigned n = 4; n < play.arrows; n++)
			assert_in_range(arrow[n].ack, 1, 1002);
	}
	link_free(link);
}

/* But what is sent meanwhile, such as the acknowledgement, does not count: nobody would wait for that. */
static void what_is_on_its_way_is_waited_for(void **state)
{
	const struct link_options options = {.kind = LINK_DELAY, .delay = 200 * MS};
	struct link *link = scene_link(&options);
	struct lab_capture *capture = start(link);
	lb_time called;
	int fds[2];

	(void)state;
	connect_ends(link, LINK_LEFT, AF_INET, fds);
	assert_int_equal(send(fds[0], "", 1, 0), 1);
	called = lb_now() - play.zero;
	stop(capture, options.delay);
	if (called < options.delay / 2) /* a busy machine may be later than the acknowledgement */
		assert_int_equal(play.segments[LINK_RIGHT].all, 1);
	assert_true(lb_now() - play.zero >= options.delay);
	assert_true(play.segments[LINK_LEFT].bytes >= 1);
	assert_int_equal(play.segments[LINK_LEFT].lost, 0);
	close(fds[0]);
	close(fds[1]);
	link_free(link);
}

static void a_reset_is_seen(void **state)
{
	static const enum link_kind kinds[] = {LINK_LO, LINK_VETH, LINK_DELAY};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const struct link_options options = {.kind = kinds[i], .delay = MS};
		struct link *link = scene_link(&options);
		struct lab_capture *capture = start(link);
		char byte;
		int fds[2];

		connect_ends(link, LINK_LEFT, AF_INET, fds);
		assert_int_equal(send(fds[1], "", 1, 0), 1);
		assert_int_equal(recv(fds[0], &byte, 1, MSG_PEEK), 1);
		close(fds[0]);
		assert_int_equal(recv(fds[1], &byte, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		stop(capture, 0);
		assert_int_equal(play.segments[LINK_LEFT].rst, 1);
		assert_int_equal(play.segments[LINK_RIGHT].rst, 0);
		assert_int_equal(play.segments[LINK_LEFT].fin + play.segments[LINK_RIGHT].fin, 0);
		close(fds[1]);
		link_free(link);
	}
}

/* Also where one device carries both ends, and whoever connects. IPv6 has one loopback address: there it is our end. */
static void it_knows_who_sent_what(void **state)
{
	static const enum link_kind kinds[] = {LINK_LO, LINK_VETH, LINK_DELAY};

	(void)state;
	for (int i = 0; i < 3 * 4; i++) {
		const struct link_options options = {.kind = kinds[i / 4], .delay = MS};
		enum link_end from = i % 2 == 0 ? LINK_LEFT : LINK_RIGHT;
		int family = families[i / 2 % 2], fds[2];
		struct lab_capture *capture;
		struct link *link;

		if (options.kind == LINK_LO && family == AF_INET6 && from == LINK_RIGHT)
			continue;
		link = scene_link(&options);
		capture = start(link);
		connect_ends(link, from, family, fds);
		scene_send(fds, 3000);
		scene_send((int[]){fds[1], fds[0]}, 5);
		scene_end(fds);
		stop(capture, 0);
		assert_in_range(play.segments[from].bytes, 3000, 5999);
		assert_in_range(play.segments[!from].bytes, 5, 25);
		assert_int_equal(play.arrow[0].peer, from == LINK_RIGHT);
		link_free(link);
	}
}

static void what_cannot_be_captured_is_refused(void **state)
{
	const struct link_options loopback = {.kind = LINK_LOOPBACK}, veth = {.kind = LINK_VETH};
	struct link *link = scene_link(&loopback);
	struct lab_capture *capture;
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(lab_capture_start(link, &capture), -EOPNOTSUPP);
	assert_null(capture);
	link_free(link);
	link = scene_link(&veth);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
		struct __user_cap_data_struct caps[2];

		if (syscall(SYS_capget, &head, caps) < 0)
			_exit(2);
		caps[0].effective &= ~(UINT32_C(1) << CAP_NET_RAW);
		if (syscall(SYS_capset, &head, caps) < 0)
			_exit(3);
		_exit(lab_capture_start(link, &capture) != -EPERM || capture != NULL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	link_free(link);
}

static void a_file_that_cannot_be_written_is_said(void **state)
{
	static const char *const paths[][2] = {
		{"/dev/full", "No space left on device: /dev/full"},
		{"/nonexistent/file", "No such file or directory: /nonexistent/file"},
	};
	const struct link_options options = {.kind = LINK_VETH};
	struct link *link = scene_link(&options);

	(void)state;
	for (size_t i = 0; i < 4; i++) { /* also with less than stdio(3) keeps back */
		struct lab_capture *capture = start(link);
		int fds[2];

		connect_ends(link, LINK_LEFT, AF_INET, fds);
		scene_send(fds, i / 2 * MUCH);
		scene_end(fds);
		lab_capture_stop(capture, paths[i % 2][0], &play);
		assert_string_equal(play.failed, paths[i % 2][1]);
		assert_true(play.captured);
		check_arrows(0);
	}
	link_free(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_counts_what_the_link_counts),
		cmocka_unit_test(what_the_link_loses_is_seen_to_be_lost),
		cmocka_unit_test(nothing_of_a_fast_upload_is_missed),
		cmocka_unit_test(arrows_slant_and_begin_with_the_handshake),
		cmocka_unit_test(what_is_on_its_way_is_waited_for),
		cmocka_unit_test(a_reset_is_seen),
		cmocka_unit_test(it_knows_who_sent_what),
		cmocka_unit_test(what_cannot_be_captured_is_refused),
		cmocka_unit_test(a_file_that_cannot_be_written_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
