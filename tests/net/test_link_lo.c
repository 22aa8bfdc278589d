/* SPDX-License-Identifier: MIT */
/* The link that is a loopback of its own, and what the kinds do not have in common: devices, and who counts. */
#include "lib/cmocka.h"
#include "lib/scene.h"
#include "lab/link.h"
#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

static void each_kind_names_its_device(void **state)
{
	static const char *const names[] = {[LINK_LO] = "lo", [LINK_VETH] = "link0", [LINK_DELAY] = "link0"};

	(void)state;
	for (int kind = LINK_LOOPBACK; kind <= LINK_DELAY; kind++) {
		const struct link_options options = {.kind = kind};
		struct link *link = scene_link(&options);
		const char *name = link_device(link);

		if (names[kind] == NULL) {
			assert_null(name);
		} else {
			assert_string_equal(name, names[kind]);
			for (int end = LINK_LEFT; end <= LINK_RIGHT; end++) {
				assert_int_equal(link_enter(link, end), 0);
				assert_int_not_equal(if_nametoindex(name), 0);
				link_leave(link);
			}
		}
		link_free(link);
	}
}

/* What listens on this machine's loopback is not to be reached there. */
static void a_loopback_of_its_own_is_not_the_one_that_is_shared(void **state)
{
	const struct link_options shared = {.kind = LINK_LOOPBACK}, own = {.kind = LINK_LO};
	struct link *links[] = {scene_link(&shared), scene_link(&own)};
	struct sockaddr_storage address;
	socklen_t len = link_address(links[0], LINK_LEFT, AF_INET, 0, &address);
	int listener = link_socket(links[0], LINK_LEFT, AF_INET, SOCK_STREAM), fds[2];

	(void)state;
	assert_return_code(bind(listener, (struct sockaddr *)&address, len), errno);
	assert_return_code(listen(listener, 1), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&address, &len), errno);
	for (int i = 0; i < 2; i++)
		fds[i] = link_socket(links[i], LINK_RIGHT, AF_INET, SOCK_STREAM);
	assert_return_code(connect(fds[0], (struct sockaddr *)&address, len), errno);
	assert_int_equal(connect(fds[1], (struct sockaddr *)&address, len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		link_free(links[i]);
	}
	close(listener);
}

static void what_cannot_be_counted_is_said(void **state)
{
	const struct link_options options[] = {{.kind = LINK_LOOPBACK, .count = true},
		{.kind = LINK_LO, .count = true}, {.kind = LINK_VETH}};
	struct segments count;

	(void)state;
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		struct link *link = scene_link(&options[i]);

		assert_int_equal(link_count(link, LINK_LEFT, &count), -EOPNOTSUPP);
		link_free(link);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_names_its_device),
		cmocka_unit_test(a_loopback_of_its_own_is_not_the_one_that_is_shared),
		cmocka_unit_test(what_cannot_be_counted_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
