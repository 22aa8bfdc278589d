/* SPDX-License-Identifier: MIT */
/*
 * Fibers: stacks of their own, between which longjmp(3) jumps. Owns the stacks, and keeps those that are free for the
 * next one: a schedule starts some dozens. Knows nothing of time or order.
 */
#include "sim/fiber.h"
#include <setjmp.h>
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
	jmp_buf here, back;
	void (*run)(void *arg);
	void *arg;
	bool started, done;
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

/* makecontext(3) passes ints alone: a pointer comes in two halves. */
static void body(unsigned high, unsigned low)
{
	struct sim_fiber *fiber = (struct sim_fiber *)((uintptr_t)high << 32 | low);

	entered(fiber);
	fiber->run(fiber->arg);
	fiber->done = true;
	leave_start(fiber);
	_longjmp(fiber->back, 1);
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
	fiber->started = false;
	return fiber;
}

/* On its own stack for the first time. */
static void start(struct sim_fiber *fiber)
{
	ucontext_t context;

	fiber->started = true;
	getcontext(&context);
	context.uc_stack.ss_sp = fiber->stack;
	context.uc_stack.ss_size = STACK_BYTES;
	context.uc_link = NULL;
	makecontext(&context, (void (*)(void))body, 2, (unsigned)((uintptr_t)fiber >> 32),
		(unsigned)(uintptr_t)fiber);
	setcontext(&context);
}

/* All switches but the first are jumps: those of ucontext(3) are two system calls each. */
void sim_fiber_resume(struct sim_fiber *fiber)
{
	enter_start(fiber);
	if (_setjmp(fiber->back) == 0) {
		if (fiber->started)
			_longjmp(fiber->here, 1);
		start(fiber);
	}
	left(fiber);
}

void sim_fiber_yield(struct sim_fiber *fiber)
{
	leave_start(fiber);
	if (_setjmp(fiber->here) == 0)
		_longjmp(fiber->back, 1);
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
