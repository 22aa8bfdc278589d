/* SPDX-License-Identifier: MIT */
/* How a connection ends when the server stops. */
#include "server_fixture.h"

#define HOUR (INT64_C(3600) * 1000000000)

static void hear_end(struct wire *wire)
{
	struct pollfd waited = {.fd = wire->fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&waited, 1, 20000), 1);
	assert_int_equal(recv(wire->fd, &byte, 1, 0), 0);
	close(wire->fd);
}

static void whoever_has_nothing_open_any_more_is_ended_when_the_server_stops(void **state)
{
	struct serving serving = {
		.held = true, .sink = {.begins_at_once = true}, .options.drain_timeout = HOUR};
	struct wire idle, busy, mute;

	(void)state;
	serving_start(&serving);
	wire_connect(&mute, &serving);
	wire_open(&idle, &serving, 1, 0);
	wire_open(&busy, &serving, 2, 0);
	wire_deliver(&busy, 1, "busy");
	wire_send(&busy);
	wire_hear(&busy, LB_FRAME_BEGIN_OK);
	await_commit(&serving);
	lb_server_stop(serving.server);
	wire_hear(&idle, LB_FRAME_GOING_AWAY);
	wire_hear(&busy, LB_FRAME_GOING_AWAY);
	hear_end(&idle);
	hear_end(&mute);
	let_go(&serving);
	wire_hear(&busy, LB_FRAME_COMMITTED);
	hear_end(&busy);
	serving_end(&serving);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_has_nothing_open_any_more_is_ended_when_the_server_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
