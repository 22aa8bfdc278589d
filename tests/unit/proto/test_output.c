/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "proto/output.h"
#include <string.h>

#define RING 16

static uint8_t ring[RING];

static struct lb_output empty(size_t head)
{
	return (struct lb_output){.ring = ring, .size = RING, .head = head};
}

/* All that there is to write, as one string. */
static const char *all_of(const struct lb_output *output)
{
	static char text[256];
	struct iovec iov[4];
	size_t len = 0;
	int n = lb_output_vectors(output, iov, 4);

	for (int i = 0; i < n; i++) {
		assert_true(iov[i].iov_len > 0);
		memcpy(text + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	text[len] = '\0';
	assert_int_equal(len, lb_output_end(output) - output->written);
	return text;
}

static void bytes_come_out_in_order_wherever_the_ring_begins(void **state)
{
	(void)state;
	for (size_t head = 0; head < RING; head++) {
		struct lb_output output = empty(head);

		lb_output_put(&output, "0123456", 7);
		lb_output_put(&output, "789abcdef", 9);
		assert_int_equal(lb_output_room(&output), 0);
		assert_string_equal(all_of(&output), "0123456789abcdef");
	}
}

static void a_payload_keeps_its_place_and_is_not_copied(void **state)
{
	static const char payload[] = "PAYLOAD";

	(void)state;
	for (size_t head = 0; head < RING; head++) {
		struct lb_output output = empty(head);
		struct iovec iov[4];
		bool found = false;

		lb_output_put(&output, "before", 6);
		lb_output_refer(&output, payload, 7);
		lb_output_put(&output, "after", 5);
		assert_string_equal(all_of(&output), "beforePAYLOADafter");
		for (int i = 0, n = lb_output_vectors(&output, iov, 4); i < n; i++)
			found = found || iov[i].iov_base == payload;
		assert_true(found);
	}
}

static void what_was_written_in_pieces_of_any_size_is_gone(void **state)
{
	static const char expected[] = "beforePAYLOADafter";

	(void)state;
	for (size_t head = 0; head < RING; head++) {
		for (size_t piece = 1; piece <= sizeof expected; piece++) {
			struct lb_output output = empty(head);
			size_t done = 0;

			lb_output_put(&output, "before", 6);
			lb_output_refer(&output, "PAYLOAD", 7);
			lb_output_put(&output, "after", 5);
			while (done < sizeof expected - 1) {
				size_t n = sizeof expected - 1 - done;

				n = n < piece ? n : piece;
				lb_output_wrote(&output, n);
				done += n;
				assert_string_equal(all_of(&output), expected + done);
			}
			assert_int_equal(lb_output_room(&output), RING);
			assert_int_equal(output.written, sizeof expected - 1);
			assert_null(output.payload);
		}
	}
}

static void the_room_of_what_was_written_is_used_again(void **state)
{
	struct lb_output output = empty(0);

	(void)state;
	for (int i = 0; i < 100; i++) {
		lb_output_put(&output, "0123456789", 10);
		assert_string_equal(all_of(&output), "0123456789");
		lb_output_wrote(&output, 10);
	}
	assert_int_equal(output.written, 1000);
}

static void a_queue_that_was_written_to_its_end_is_one_piece_again(void **state)
{
	struct lb_output output = empty(12);
	struct iovec iov[4];

	(void)state;
	lb_output_put(&output, "01234567", 8);
	assert_int_equal(lb_output_vectors(&output, iov, 4), 2);
	lb_output_wrote(&output, 8);
	lb_output_put(&output, "01234567", 8);
	assert_int_equal(lb_output_vectors(&output, iov, 4), 1);
}

static void what_waits_can_be_replaced(void **state)
{
	(void)state;
	for (size_t head = 0; head < RING; head++) {
		struct lb_output output = empty(head);

		lb_output_put(&output, "before", 6);
		lb_output_refer(&output, "PAYLOAD", 7);
		lb_output_put(&output, "after", 5);
		lb_output_wrote(&output, 2);
		lb_output_patch(&output, 2, 0x57585950);
		lb_output_patch(&output, 14, 0x31323334);
		assert_string_equal(all_of(&output), "WXYPPAYLOADa1234");
	}
}

static void fewer_vectors_than_needed_give_the_beginning(void **state)
{
	struct lb_output output = empty(12);
	struct iovec iov[4];

	(void)state;
	lb_output_put(&output, "01234567", 8);
	lb_output_refer(&output, "P", 1);
	assert_int_equal(lb_output_vectors(&output, iov, 1), 1);
	assert_int_equal(iov[0].iov_len, 4);
	assert_memory_equal(iov[0].iov_base, "0123", 4);
	assert_int_equal(lb_output_vectors(&output, iov, 2), 2);
	assert_int_equal(lb_output_vectors(&output, iov, 4), 3);
}

static void a_cut_drops_what_lies_behind_it(void **state)
{
	(void)state;
	for (size_t head = 0; head < RING; head++) {
		struct lb_output output = empty(head);

		lb_output_put(&output, "abc", 3);
		lb_output_refer(&output, "PAYLOAD", 7);
		lb_output_put(&output, "def", 3);
		lb_output_put(&output, "ghi", 3);
		lb_output_wrote(&output, 5);
		lb_output_cut(&output, 13);
		assert_string_equal(all_of(&output), "YLOADdef");
		lb_output_cut(&output, 10);
		assert_string_equal(all_of(&output), "YLOAD");
	}
}

static void a_cut_before_the_payload_drops_it_too(void **state)
{
	struct lb_output output = empty(0);

	(void)state;
	lb_output_put(&output, "abc", 3);
	lb_output_put(&output, "def", 3);
	lb_output_refer(&output, "PAYLOAD", 7);
	lb_output_put(&output, "ghi", 3);
	lb_output_wrote(&output, 1);
	lb_output_cut(&output, 3);
	assert_string_equal(all_of(&output), "bc");
	lb_output_put(&output, "X", 1);
	assert_string_equal(all_of(&output), "bcX");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_in_order_wherever_the_ring_begins),
		cmocka_unit_test(a_payload_keeps_its_place_and_is_not_copied),
		cmocka_unit_test(what_was_written_in_pieces_of_any_size_is_gone),
		cmocka_unit_test(the_room_of_what_was_written_is_used_again),
		cmocka_unit_test(a_queue_that_was_written_to_its_end_is_one_piece_again),
		cmocka_unit_test(what_waits_can_be_replaced),
		cmocka_unit_test(fewer_vectors_than_needed_give_the_beginning),
		cmocka_unit_test(a_cut_drops_what_lies_behind_it),
		cmocka_unit_test(a_cut_before_the_payload_drops_it_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
