/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "sock/address.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static void splits(const char *text, const char *host, unsigned port)
{
	char got[256];
	unsigned got_port = 1;
	const char *why = NULL;

	assert_int_equal(lb_address_split(text, got, &got_port, 7117, &why), 0);
	assert_string_equal(got, host);
	assert_int_equal(got_port, port);
}

static void rejects(const char *text, const char *part_of_why)
{
	struct lb_endpoint endpoint;
	char host[256];
	unsigned port;
	const char *why = NULL;

	assert_int_equal(lb_address_split(text, host, &port, 7117, &why), -EINVAL);
	assert_non_null(why);
	assert_non_null(strstr(why, part_of_why));
	why = NULL;
	assert_int_equal(lb_address_resolve(text, 7117, &endpoint, 1, &why), -EINVAL);
	assert_non_null(why);
}

static void a_port_is_taken_from_the_text_or_from_the_default(void **state)
{
	(void)state;
	splits("127.0.0.1:80", "127.0.0.1", 80);
	splits("127.0.0.1", "127.0.0.1", 7117);
	splits("example.org:0", "example.org", 0);
	splits("example.org:65535", "example.org", 65535);
	splits("a_b-c.d.", "a_b-c.d.", 7117);
	splits("127.1", "127.1", 7117);
}

static void ipv6_stands_in_brackets(void **state)
{
	(void)state;
	splits("[::1]", "::1", 7117);
	splits("[::1]:9", "::1", 9);
	splits("[fe80::1%eth0]:9", "fe80::1%eth0", 9);
	rejects("::1", "needs brackets");
	rejects("2001:db8::1:7117", "needs brackets");
	rejects("fe80::1%eth0", "needs brackets");
	rejects("[::1", "closing bracket");
	rejects("[::1]9", "follow the closing bracket");
	rejects("[]:9", "not an IPv6 address");
	rejects("[::g]:9", "not an IPv6 address");
	rejects("[127.0.0.1]:9", "not an IPv6 address");
	rejects("[localhost]", "not an IPv6 address");
}

static void a_port_is_a_number_up_to_65535(void **state)
{
	(void)state;
	rejects("host:", "port is missing");
	rejects("[::1]:", "port is missing");
	rejects("host:65536", "larger than 65535");
	rejects("host:99999999999999999999999", "larger than 65535");
	rejects("host:http", "not a number");
	rejects("host:-1", "not a number");
	rejects("host:+1", "not a number");
	rejects("host: 1", "not a number");
	rejects("host:1 ", "not a number");
	rejects("host:1:2", "not a number");
}

static void typos_in_the_host_are_not_looked_up(void **state)
{
	char text[400];

	(void)state;
	rejects("", "host is missing");
	rejects(":7117", "host is missing");
	rejects("1.2.3.256", "not an IPv4 address");
	rejects("1.2.3.4.5:7", "not an IPv4 address");
	rejects("127.0.0.1.", "not an IPv4 address");
	rejects("a host", "character");
	rejects(" host", "character");
	rejects("host\n", "character");
	rejects("user@host:22", "character");
	rejects("host/path", "character");
	rejects("http://host:80", "not a number");
	memset(text, 'a', sizeof text);
	text[256] = '\0';
	rejects(text, "longer than 255");
	text[255] = '\0';
	splits(text, text, 7117);
}

static void resolves(const char *text, const char *canonical, bool loopback, unsigned port)
{
	struct lb_endpoint endpoints[LB_ENDPOINTS_MAX];
	char buf[LB_ADDRESS_TEXT];
	const char *why = NULL;

	assert_int_equal(lb_address_resolve(text, 7117, endpoints, LB_ENDPOINTS_MAX, &why), 1);
	assert_string_equal(lb_endpoint_text(&endpoints[0], buf), canonical);
	assert_int_equal(lb_endpoint_is_loopback(&endpoints[0]), loopback);
	assert_int_equal(lb_endpoint_port(&endpoints[0]), port);
}

static void numbers_resolve_to_themselves(void **state)
{
	(void)state;
	resolves("127.0.0.1:80", "127.0.0.1:80", true, 80);
	resolves("127.1", "127.0.0.1:7117", true, 7117);
	resolves("127.255.0.9:0", "127.255.0.9:0", true, 0);
	resolves("192.0.2.1", "192.0.2.1:7117", false, 7117);
	resolves("0.0.0.0", "0.0.0.0:7117", false, 7117);
	resolves("[::1]:80", "[::1]:80", true, 80);
	resolves("[0:0::1]", "[::1]:7117", true, 7117);
	resolves("[::]", "[::]:7117", false, 7117);
	resolves("[2001:db8::1]:1", "[2001:db8::1]:1", false, 1);
	resolves("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1", true, 1);
	resolves("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", false, 1);
}

static void localhost_is_loopback_on_every_endpoint(void **state)
{
	struct lb_endpoint endpoints[LB_ENDPOINTS_MAX];
	const char *why = NULL;
	int count = lb_address_resolve("localhost:5", 7117, endpoints, LB_ENDPOINTS_MAX, &why);

	(void)state;
	assert_true(count >= 1);
	for (int i = 0; i < count; i++) {
		assert_true(lb_endpoint_is_loopback(&endpoints[i]));
		assert_int_equal(lb_endpoint_port(&endpoints[i]), 5);
	}
	assert_int_equal(lb_address_resolve("localhost:5", 7117, endpoints, 1, &why), 1);
}

static void a_name_that_does_not_exist_is_unreachable(void **state)
{
	struct lb_endpoint endpoint;
	const char *why = NULL;

	(void)state;
	/* RFC 1035: a label has at most 63 octets, so that nobody has to be asked */
	assert_int_equal(
		lb_address_resolve("a123456789b123456789c123456789d123456789e123456789f123456789g123456789",
			7117, &endpoint, 1, &why),
		-EHOSTUNREACH);
	assert_non_null(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_port_is_taken_from_the_text_or_from_the_default),
		cmocka_unit_test(ipv6_stands_in_brackets),
		cmocka_unit_test(a_port_is_a_number_up_to_65535),
		cmocka_unit_test(typos_in_the_host_are_not_looked_up),
		cmocka_unit_test(numbers_resolve_to_themselves),
		cmocka_unit_test(localhost_is_loopback_on_every_endpoint),
		cmocka_unit_test(a_name_that_does_not_exist_is_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
