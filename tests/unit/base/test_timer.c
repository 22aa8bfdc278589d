/* SPDX-License-Identifier: MIT */
#include "lib/cmocka.h"
#include "base/timer.h"
#include <stdbool.h>
#include <stdlib.h>

#define TICK INT64_C(1000000)

static void an_empty_wheel_never_expires(void **state)
{
	struct lb_wheel wheel;

	(void)state;
	lb_wheel_init(&wheel, 12345);
	assert_int_equal(lb_wheel_next(&wheel), LB_NEVER);
	assert_null(lb_wheel_expire(&wheel, LB_NEVER));
}

static void a_timer_can_be_moved_and_cancelled(void **state)
{
	struct lb_wheel wheel;
	struct lb_timer timer = {0};

	(void)state;
	lb_wheel_init(&wheel, 0);
	lb_timer_set(&wheel, &timer, 5 * TICK);
	lb_timer_set(&wheel, &timer, 100000 * TICK);
	assert_null(lb_wheel_expire(&wheel, 99999 * TICK));
	assert_ptr_equal(lb_wheel_expire(&wheel, 100000 * TICK), &timer);
	lb_timer_set(&wheel, &timer, 100001 * TICK);
	lb_timer_cancel(&wheel, &timer);
	assert_int_equal(lb_wheel_next(&wheel), LB_NEVER);
}

/* Random timers and jumps of the clock against the plain definition: none early, none late by a tick. */
static void no_timer_is_early_or_late(void **state)
{
	static struct lb_wheel wheel;
	static struct lb_timer timers[200];

	(void)state;
	for (unsigned seed = 0; seed < 60; seed++) {
		lb_time now;

		srand(seed);
		now = (lb_time)rand() * 1000003;
		lb_wheel_init(&wheel, now);
		for (size_t i = 0; i < 200; i++)
			timers[i] = (struct lb_timer){0};
		for (int step = 0; step < 2000; step++) {
			struct lb_timer *timer = &timers[rand() % 200];
			lb_time next = lb_wheel_next(&wheel), earliest = LB_NEVER;

			for (size_t i = 0; i < 200; i++)
				if (timers[i].prevp != NULL && timers[i].at < earliest)
					earliest = timers[i].at;
			if (earliest == LB_NEVER)
				assert_int_equal(next, LB_NEVER);
			else
				assert_true(next <= earliest + TICK);
			switch (rand() % 4) {
			case 0:
			case 1:
				lb_timer_set(&wheel, timer,
					now + (lb_time)(rand() % 1000) * (INT64_C(1) << rand() % 45));
				break;
			case 2:
				lb_timer_cancel(&wheel, timer);
				break;
			default:
				if (rand() % 2 && next != LB_NEVER && next > now)
					now = next;
				else
					now += (lb_time)(rand() % 1000) * (INT64_C(1) << rand() % 40);
				while ((timer = lb_wheel_expire(&wheel, now)) != NULL)
					assert_true(timer->at <= now);
				for (size_t i = 0; i < 200; i++)
					assert_true(timers[i].prevp == NULL || timers[i].at > now - TICK);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_wheel_never_expires),
		cmocka_unit_test(a_timer_can_be_moved_and_cancelled),
		cmocka_unit_test(no_timer_is_early_or_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
