/* SPDX-License-Identifier: MIT */
/* The pairing of lab/pair.h, of packets as no link here can be made to bring them: late, twice, alike, from nowhere. */
#include "lab/pair.h"
#include "lib/scene.h"
#include "lib/cmocka.h"
#include <stdlib.h>
#include <string.h>

#define ROOM     300
#define ETHERNET 14

static struct link *link_of_two;
static struct lab_packet packets[2][ROOM];
static struct lab_side sides[2];
static struct lab_segment *segments;
static size_t count;

static int begin(void **state)
{
	const struct link_options options = {.kind = LINK_LOOPBACK};

	(void)state;
	link_of_two = scene_link(&options);
	for (int i = 0; i < 2; i++)
		sides[i] = (struct lab_side){.packets = packets[i], .ip = i == 0 ? ETHERNET : 0};
	segments = NULL;
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(segments);
	link_free(link_of_two);
	return 0;
}

/* An IPv4 packet that one side's device sees at that time, of 40 bytes and a payload that is not there. */
static struct lab_packet *see(enum link_end side, lb_time at, enum link_end from, uint8_t id, uint32_t seq)
{
	struct lab_packet *packet = &packets[side][sides[side].count++];
	unsigned char *ip = packet->bytes + sides[side].ip, *tcp = ip + 20;

	assert_true(sides[side].count <= ROOM);
	memset(packet, 0, sizeof *packet);
	packet->at = at;
	packet->len = (uint32_t)sides[side].ip + 40;
	packet->wire = packet->len + 100;
	ip[0] = 0x45;
	ip[3] = 140;
	ip[5] = id;
	ip[9] = 6;
	ip[12] = ip[16] = 127;
	ip[15] = from == LINK_LEFT ? 1 : 2;
	ip[19] = from == LINK_LEFT ? 2 : 1;
	tcp[6] = (unsigned char)(seq >> 8);
	tcp[7] = (unsigned char)seq;
	tcp[12] = 0x50;
	tcp[13] = LAB_ACK;
	return packet;
}

static void pair(lb_time until)
{
	assert_int_equal(lab_pair(link_of_two, sides, false, until, &segments, &count), 0);
}

static void a_packet_is_known_by_its_headers_whatever_order_it_comes_in(void **state)
{
	static const uint8_t order[] = {2, 0, 1, 4, 3};

	(void)state;
	for (uint8_t i = 0; i < 5; i++)
		see(LINK_LEFT, i, LINK_LEFT, i, 1);
	for (uint8_t i = 0; i < 5; i++)
		see(LINK_RIGHT, 10 + i, LINK_LEFT, order[i], 1);
	pair(9);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(segments[order[i]].sent, order[i]);
		assert_int_equal(segments[order[i]].arrived, 10 + i);
		assert_int_equal(segments[i].bytes, 100);
		assert_true(packets[LINK_RIGHT][i].paired);
	}
}

static void of_packets_that_are_alike_the_first_one_arrives_first(void **state)
{
	(void)state;
	for (lb_time i = 0; i < 3; i++)
		see(LINK_RIGHT, i, LINK_RIGHT, 0, 1);
	see(LINK_LEFT, 10, LINK_RIGHT, 0, 1);
	see(LINK_LEFT, 11, LINK_RIGHT, 0, 1);
	pair(9);
	assert_int_equal(count, 3);
	assert_int_equal(segments[0].from, LINK_RIGHT);
	assert_int_equal(segments[0].arrived, 10);
	assert_int_equal(segments[1].arrived, 11);
	assert_int_equal(segments[2].arrived, LB_NEVER);
}

static void nothing_arrives_before_it_was_sent(void **state)
{
	(void)state;
	see(LINK_LEFT, 20, LINK_LEFT, 0, 1);
	see(LINK_RIGHT, 10, LINK_LEFT, 0, 1);
	pair(30);
	assert_int_equal(count, 1);
	assert_int_equal(segments[0].arrived, LB_NEVER);
}

/* Most are lost; each that comes is found, behind all that were. */
static void many_may_be_lost(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 250; i++)
		see(LINK_LEFT, i, LINK_LEFT, (uint8_t)i, i + 1);
	for (unsigned i = 99; i < 250; i += 100)
		see(LINK_RIGHT, 1000 + i, LINK_LEFT, (uint8_t)i, i + 1);
	pair(999);
	assert_int_equal(count, 250);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(segments[i].arrived, i % 100 == 99 ? 1000 + (lb_time)i : LB_NEVER);
}

static void both_directions_are_in_the_order_of_sending_and_end_with_it(void **state)
{
	(void)state;
	see(LINK_LEFT, 1, LINK_LEFT, 1, 501)->bytes[ETHERNET + 31] = 201; /* acknowledges all before that */
	see(LINK_RIGHT, 2, LINK_RIGHT, 1, 201);
	see(LINK_RIGHT, 3, LINK_LEFT, 1, 501)->bytes[31] = 201;
	see(LINK_LEFT, 4, LINK_RIGHT, 1, 201);
	see(LINK_LEFT, 5, LINK_LEFT, 2, 601);
	see(LINK_RIGHT, 7, LINK_RIGHT, 2, 301);
	see(LINK_RIGHT, 8, LINK_LEFT, 2, 601);
	see(LINK_LEFT, 9, LINK_RIGHT, 2, 301);
	pair(6);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(segments[i].from, i == 1 ? LINK_RIGHT : LINK_LEFT);
	assert_int_equal(segments[2].arrived, 8);
	/* nobody saw the handshake: what was first seen is 1 */
	assert_int_equal(segments[0].seq, 1);
	assert_int_equal(segments[1].seq, 1);
	assert_int_equal(segments[2].seq, 101);
}

/* Cut short, or another protocol's, or with options that lie about their length. */
static void what_is_no_whole_segment_does_no_harm(void **state)
{
	struct lab_packet *packet;

	(void)state;
	see(LINK_LEFT, 1, LINK_LEFT, 1, 1)->len = ETHERNET + 39;
	see(LINK_LEFT, 2, LINK_LEFT, 2, 1)->len = 5;
	see(LINK_LEFT, 3, LINK_LEFT, 3, 1)->bytes[ETHERNET + 9] = 17;
	packet = see(LINK_LEFT, 4, LINK_LEFT, 4, 1);
	packet->bytes[ETHERNET + 32] = 0xf0;
	packet->bytes[ETHERNET + 33] = LAB_SYN;
	packet->len = ETHERNET + 43;
	memcpy(packet->bytes + ETHERNET + 40, "\3\3\16", 3); /* cut off here */
	packet = see(LINK_LEFT, 5, LINK_LEFT, 5, 1);
	packet->bytes[ETHERNET + 32] = 0x60;
	packet->bytes[ETHERNET + 33] = LAB_SYN;
	packet->len = ETHERNET + 44;
	memcpy(packet->bytes + ETHERNET + 40, "\1\2\77\3", 4);
	pair(9);
	assert_int_equal(count, 2);
	assert_int_equal(segments[0].sent, 4);
	assert_int_equal(segments[1].sent, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_packet_is_known_by_its_headers_whatever_order_it_comes_in, begin, end),
		cmocka_unit_test_setup_teardown(
			of_packets_that_are_alike_the_first_one_arrives_first, begin, end),
		cmocka_unit_test_setup_teardown(nothing_arrives_before_it_was_sent, begin, end),
		cmocka_unit_test_setup_teardown(many_may_be_lost, begin, end),
		cmocka_unit_test_setup_teardown(
			both_directions_are_in_the_order_of_sending_and_end_with_it, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_whole_segment_does_no_harm, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
