/* SPDX-License-Identifier: MIT */
/* The arrows of lab/arrows.h: few enough, the telling ones by themselves, and together all that there was. */
#include "lab/arrows.h"
#include "lib/cmocka.h"
#include <stdlib.h>
#include <string.h>

#define MS   INT64_C(1000000)
#define MOST 5000

static struct lab_segment segments[MOST];
static size_t count;
static struct lab_play play;

static struct lab_segment *add(enum link_end from, uint8_t flags, uint32_t seq, uint32_t bytes)
{
	struct lab_segment *segment = &segments[count];

	assert_true(count < MOST);
	*segment = (struct lab_segment){.sent = (lb_time)count * MS,
		.arrived = ((lb_time)count + 20) * MS,
		.from = from,
		.flags = flags,
		.seq = seq,
		.bytes = bytes,
		.window = 1000};
	count++;
	return segment;
}

static void handshake(void)
{
	count = 0;
	add(LINK_LEFT, LAB_SYN, 0, 0);
	add(LINK_RIGHT, LAB_SYN | LAB_ACK, 0, 0)->ack = 1;
	add(LINK_LEFT, LAB_ACK, 1, 0)->ack = 1;
}

/* So many segments of 1000 bytes, two of them for each acknowledgement; returns what comes next. */
static uint32_t transfer(uint32_t seq, unsigned n)
{
	for (unsigned i = 1; i <= n; i++, seq += 1000) {
		add(LINK_LEFT, LAB_ACK, seq, 1000)->ack = 1;
		if (i % 2 == 0)
			add(LINK_RIGHT, LAB_ACK, 1, 0)->ack = seq + 1000;
	}
	return seq;
}

/* What a diagram says of an end: how many, how many of them with each flag, and what they carried and lost. */
struct total {
	uint64_t all, flags[3], bytes, lost, lost_bytes;
};

static void add_up(struct total totals[2], bool peer, uint8_t flags, uint32_t n, uint32_t bytes, bool lost)
{
	static const uint8_t each[] = {LAB_FIN, LAB_SYN, LAB_RST};
	struct total *total = &totals[peer];

	total->all += n;
	total->bytes += bytes;
	total->lost += lost ? n : 0;
	total->lost_bytes += lost ? bytes : 0;
	for (size_t i = 0; i < 3; i++)
		total->flags[i] += (flags & each[i]) != 0 ? n : 0;
}

static void draw(void)
{
	struct total want[2] = {0}, got[2] = {0};

	memset(&play, 0xa5, sizeof play);
	assert_int_equal(lab_arrows_draw(segments, count, &play), 0);
	assert_in_range(play.arrows, count < LAB_ARROWS ? count : 1, LAB_ARROWS);
	for (size_t i = 0; i < count; i++)
		add_up(want, segments[i].from == LINK_RIGHT, segments[i].flags, 1, segments[i].bytes,
			segments[i].arrived == LB_NEVER);
	for (unsigned i = 0; i < play.arrows; i++) {
		const struct lab_arrow *arrow = &play.arrow[i];

		assert_true(arrow->count > 0);
		assert_true(i == 0 || arrow[-1].sent <= arrow->sent);
		assert_true(arrow->until >= arrow->arrived);
		add_up(got, arrow->peer, arrow->flags, arrow->count, arrow->bytes,
			arrow->arrived == LB_NEVER);
	}
	assert_memory_equal(want, got, sizeof want);
}

/* Whether the nth segment is an arrow of its own. */
static bool stands_alone(size_t n)
{
	for (unsigned i = 0; i < play.arrows; i++)
		if (play.arrow[i].sent == segments[n].sent && play.arrow[i].count == 1 &&
			play.arrow[i].peer == (segments[n].from == LINK_RIGHT))
			return true;
	return false;
}

static void few_segments_are_not_merged(void **state)
{
	(void)state;
	handshake();
	transfer(1, 40);
	draw();
	assert_int_equal(play.arrows, count);
	for (size_t i = 0; i < count; i++) {
		const struct lab_arrow *arrow = &play.arrow[i];

		assert_int_equal(arrow->count, 1);
		assert_int_equal(arrow->sent, segments[i].sent);
		assert_int_equal(arrow->arrived, segments[i].arrived);
		assert_int_equal(arrow->until, segments[i].arrived);
		assert_int_equal(arrow->flags, segments[i].flags);
		assert_int_equal(arrow->seq, segments[i].seq);
		assert_int_equal(arrow->ack, segments[i].ack);
		assert_int_equal(arrow->window, 1000);
	}
	count = 0;
	assert_int_equal(lab_arrows_draw(segments, 0, &play), 0);
	assert_int_equal(play.arrows, 0);
}

static void the_middle_of_a_transfer_is_merged_and_its_ends_are_not(void **state)
{
	uint32_t next;
	size_t fin;

	(void)state;
	handshake();
	next = transfer(1, 1000);
	fin = count;
	add(LINK_LEFT, LAB_FIN | LAB_ACK, next, 0);
	add(LINK_RIGHT, LAB_FIN | LAB_ACK, 1, 0);
	add(LINK_LEFT, LAB_ACK, next + 1, 0);
	draw();
	for (size_t i = 0; i < 10; i++)
		assert_true(stands_alone(i));
	for (size_t i = fin - 3; i < count; i++)
		assert_true(stands_alone(i));
	for (unsigned i = 0; i < play.arrows; i++) {
		const struct lab_arrow *arrow = &play.arrow[i];

		if (arrow->count > 1 && !arrow->peer) {
			assert_int_equal(arrow->bytes, arrow->count * 1000);
			assert_int_equal(arrow->until - arrow->arrived > 0, true);
		}
		if (arrow->count > 1 && arrow->peer) /* the last one's */
			assert_true(arrow->ack > play.arrow[i - 1].seq + 2000);
	}
}

/* Lost and sent again: so many segments of 500 bytes, some way apart; the first of each go to *lostp and *againp. */
static void lose(unsigned n, size_t lost[], size_t again[])
{
	uint32_t next = 1;

	handshake();
	next = transfer(next, 20);
	for (unsigned i = 0; i < n; i++) {
		lost[i] = count;
		add(LINK_LEFT, LAB_ACK, next, 500)->arrived = LB_NEVER;
		transfer(next + 500, 20);
		again[i] = count;
		add(LINK_LEFT, LAB_ACK, next, 500);
		next = transfer(next + 20500, 20);
	}
	draw();
}

static void what_was_lost_and_sent_again_stands_out(void **state)
{
	size_t lost[3], again[3];

	(void)state;
	lose(3, lost, again);
	for (size_t i = 0; i < 3; i++) {
		assert_true(stands_alone(lost[i]));
		assert_true(stands_alone(again[i]));
	}
}

/* With more of it than there is room for, the beginning is still there, and what is merged is alike. */
static void what_is_sent_again_is_not_merged_with_what_is_new(void **state)
{
	size_t lost[40], again[40];

	(void)state;
	lose(40, lost, again);
	for (size_t i = 0; i < 10; i++)
		assert_true(stands_alone(i));
	for (unsigned i = 0; i < play.arrows; i++) {
		const struct lab_arrow *arrow = &play.arrow[i];
		uint32_t each = arrow->bytes / arrow->count;

		assert_true(arrow->bytes == 0 || each == 500 || each == 1000);
		assert_int_equal(arrow->bytes, arrow->count * each);
		if (arrow->arrived == LB_NEVER)
			assert_int_equal(each, 500);
	}
}

static void the_first_segment_after_a_pause_stands_out(void **state)
{
	uint32_t next;
	size_t after;

	(void)state;
	handshake();
	next = transfer(1, 301);
	after = count;
	transfer(next, 301);
	for (size_t i = after; i < count; i++) {
		segments[i].sent += 200 * MS;
		segments[i].arrived += 200 * MS;
	}
	draw();
	assert_true(stands_alone(after));
}

/* One for each segment of a flood: the first ones are shown, and what they answer, and then what else tells something. */
static void a_flood_of_resets_leaves_room(void **state)
{
	size_t lost[4];

	(void)state;
	handshake();
	for (uint32_t i = 0; i < 1000; i++) {
		if (i % 250 == 200)
			lost[i / 250] = count;
		add(LINK_RIGHT, LAB_ACK, 1 + i * 1000, 1000)->arrived =
			i % 250 == 200 ? LB_NEVER : (lb_time)count * MS;
		add(LINK_LEFT, LAB_RST, 1, 0);
	}
	draw();
	for (size_t i = 0; i < 3 + 4; i++)
		assert_true(stands_alone(i));
	for (size_t i = 0; i < 4; i++)
		assert_true(stands_alone(lost[i]));
}

/* splitmix64, as in lab/forward.c, so that a failure can be repeated. */
static uint32_t random_below(uint64_t *state, uint32_t limit)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ z >> 31) % limit);
}

static void whatever_happens_all_of_it_is_drawn(void **state)
{
	static const uint8_t flags[] = {
		LAB_ACK, LAB_ACK, LAB_ACK, LAB_ACK, LAB_SYN, LAB_FIN | LAB_ACK, LAB_RST};

	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		uint64_t random = seed;
		uint32_t n = 1 + random_below(&random, 1500), loss = 1 + random_below(&random, 20);

		count = 0;
		for (uint32_t i = 0; i < n; i++) {
			struct lab_segment *segment = add(random_below(&random, 2),
				flags[random_below(&random, sizeof flags)], random_below(&random, 100000),
				random_below(&random, 2) * random_below(&random, 1460));

			if (random_below(&random, loss) == 0)
				segment->arrived = LB_NEVER;
		}
		draw();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_segments_are_not_merged),
		cmocka_unit_test(the_middle_of_a_transfer_is_merged_and_its_ends_are_not),
		cmocka_unit_test(what_was_lost_and_sent_again_stands_out),
		cmocka_unit_test(what_is_sent_again_is_not_merged_with_what_is_new),
		cmocka_unit_test(the_first_segment_after_a_pause_stands_out),
		cmocka_unit_test(a_flood_of_resets_leaves_room),
		cmocka_unit_test(whatever_happens_all_of_it_is_drawn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
