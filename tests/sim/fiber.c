/* SPDX-License-Identifier: MIT */
/*
 * Fibers on ucontext(3). Owns the stacks, and keeps those that are free for the next one: a schedule starts some
 * dozens. Knows nothing of time or order.
 */
#include "sim/fiber.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#define STACK_BYTES (1024 * 1024)
#else
#define STACK_BYTES (256 * 1024)
#endif

struct sim_fiber {
	struct sim_fiber *next; /* in the list of free ones */
	ucontext_t context, back;
	void (*run)(void *arg);
	void *arg;
	bool done;
	void *fake_stack, *back_fake_stack; /* the sanitizer's */
	const void *back_stack;
	size_t back_stack_bytes;
	_Alignas(16) unsigned char stack[STACK_BYTES];
};

static struct sim_fiber *spare;

#ifdef FIBER_ASAN
static void enter_start(struct sim_fiber *fiber)
{
	__sanitizer_start_switch_fiber(&fiber->back_fake_stack, fiber->stack, STACK_BYTES);
}

static void entered(struct sim_fiber *fiber)
{
	__sanitizer_finish_switch_fiber(fiber->fake_stack, &fiber->back_stack, &fiber->back_stack_bytes);
}

static void leave_start(struct sim_fiber *fiber)
{
	__sanitizer_start_switch_fiber(
		fiber->done ? NULL : &fiber->fake_stack, fiber->back_stack, fiber->back_stack_bytes);
}

static void left(struct sim_fiber *fiber)
{
	__sanitizer_finish_switch_fiber(fiber->back_fake_stack, NULL, NULL);
}
#else
static void enter_start(struct sim_fiber *fiber)
{
	(void)fiber;
}

static void entered(struct sim_fiber *fiber)
{
	(void)fiber;
}

static void leave_start(struct sim_fiber *fiber)
{
	(void)fiber;
}

static void left(struct sim_fiber *fiber)
{
	(void)fiber;
}
#endif

/* As swapcontext(3), at which AddressSanitizer warns although it has been told of the switch. */
static void swap(ucontext_t *from, const ucontext_t *to)
{
	volatile bool resumed = false;

	getcontext(from);
	if (!resumed) {
		resumed = true;
		setcontext(to);
	}
}

/* makecontext(3) passes ints alone: a pointer comes in two halves. */
static void body(unsigned high, unsigned low)
{
	struct sim_fiber *fiber = (struct sim_fiber *)((uintptr_t)high << 32 | low);

	entered(fiber);
	fiber->run(fiber->arg);
	fiber->done = true;
	leave_start(fiber);
	swap(&fiber->context, &fiber->back);
}

static void prepare(struct sim_fiber *fiber)
{
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = STACK_BYTES;
	fiber->context.uc_link = NULL;
	makecontext(&fiber->context, (void (*)(void))body, 2, (unsigned)((uintptr_t)fiber >> 32),
		(unsigned)(uintptr_t)fiber);
}

struct sim_fiber *sim_fiber_start(void (*run)(void *arg), void *arg)
{
	struct sim_fiber *fiber = spare;

	if (fiber != NULL)
		spare = fiber->next;
	else
		fiber = malloc(sizeof *fiber);
	if (fiber == NULL)
		abort();
	fiber->run = run;
	fiber->arg = arg;
	fiber->done = false;
	fiber->fake_stack = NULL;
	prepare(fiber);
	return fiber;
}

void sim_fiber_resume(struct sim_fiber *fiber)
{
	enter_start(fiber);
	swap(&fiber->back, &fiber->context);
	left(fiber);
}

void sim_fiber_yield(struct sim_fiber *fiber)
{
	leave_start(fiber);
	swap(&fiber->context, &fiber->back);
	entered(fiber);
}

void sim_fiber_free(struct sim_fiber *fiber)
{
	fiber->next = spare;
	spare = fiber;
}

void sim_fiber_cleanup(void)
{
	while (spare != NULL) {
		struct sim_fiber *fiber = spare;

		spare = fiber->next;
		free(fiber);
	}
}
