/* SPDX-License-Identifier: MIT */
/* Which modules a kernel has to load for one of them, and in what order, by lists as depmod(8) makes them. */
#include "lib/cmocka.h"
#include "lab/modules.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char DEP[] =
	"kernel/net/ipv4/tunnel4.ko.xz:\n"
	"kernel/net/ipv4/fou.ko.xz: kernel/net/ipv4/ip_tun.ko.xz kernel/net/udp.ko.xz\n"
	"kernel/drivers/net/tun.ko.xz: kernel/net/b.ko.xz kernel/net/udp.ko.xz kernel/lib/a.ko.xz\n"
	"kernel/drivers/net/veth.ko: kernel/net/udp.ko.xz kernel/lib/c.ko.xz\n"
	"kernel/lib/a.ko.xz:\n";
static const char BUILTIN[] = "kernel/lib/zlib.ko\nkernel/drivers/net/tun.ko\n";

static int add(const char *text, const char *name, struct lab_modules *modules)
{
	FILE *list = fmemopen((char *)text, strlen(text), "r");
	int result;

	assert_non_null(list);
	result = lab_modules_add(list, name, modules);
	fclose(list);
	return result;
}

static void a_module_comes_after_all_that_it_needs(void **state)
{
	struct lab_modules modules = {.count = 0};

	(void)state;
	assert_int_equal(add(DEP, "tun", &modules), 0);
	assert_int_equal(modules.count, 4);
	assert_string_equal(modules.path[0], "kernel/lib/a.ko.xz");
	assert_string_equal(modules.path[1], "kernel/net/udp.ko.xz");
	assert_string_equal(modules.path[2], "kernel/net/b.ko.xz");
	assert_string_equal(modules.path[3], "kernel/drivers/net/tun.ko.xz");
	lab_modules_free(&modules);
}

static void what_two_modules_need_is_there_once(void **state)
{
	struct lab_modules modules = {.count = 0};

	(void)state;
	assert_int_equal(add(DEP, "tun", &modules), 0);
	assert_int_equal(add(DEP, "veth", &modules), 0);
	assert_int_equal(modules.count, 6);
	assert_string_equal(modules.path[4], "kernel/lib/c.ko.xz");
	assert_string_equal(modules.path[5], "kernel/drivers/net/veth.ko");
	assert_int_equal(add(DEP, "a", &modules), 0);
	assert_int_equal(modules.count, 6);
	lab_modules_free(&modules);
}

static void one_that_needs_none_is_found_by_its_whole_name(void **state)
{
	struct lab_modules modules = {.count = 0};

	(void)state;
	assert_int_equal(add(DEP, "tunnel", &modules), -ENOENT);
	assert_int_equal(add(DEP, "ip_tun", &modules), -ENOENT);
	assert_int_equal(modules.count, 0);
	assert_int_equal(add(DEP, "tunnel4", &modules), 0);
	assert_int_equal(modules.count, 1);
	assert_string_equal(modules.path[0], "kernel/net/ipv4/tunnel4.ko.xz");
	lab_modules_free(&modules);
}

static void what_is_in_the_kernel_itself_is_found_in_its_list(void **state)
{
	struct lab_modules modules = {.count = 0};

	(void)state;
	assert_int_equal(add(BUILTIN, "veth", &modules), -ENOENT);
	assert_int_equal(add(BUILTIN, "tun", &modules), 0);
	lab_modules_free(&modules);
}

static void more_than_there_is_room_for_is_an_error(void **state)
{
	struct lab_modules modules = {.count = 0};
	char text[1024];
	size_t len = (size_t)snprintf(text, sizeof text, "kernel/top.ko:");

	(void)state;
	for (int i = 0; i < LAB_MODULES; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, " kernel/%d.ko", i);
	assert_int_equal(add(text, "top", &modules), -ENOSPC);
	assert_int_equal(modules.count, LAB_MODULES);
	lab_modules_free(&modules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_module_comes_after_all_that_it_needs),
		cmocka_unit_test(what_two_modules_need_is_there_once),
		cmocka_unit_test(one_that_needs_none_is_found_by_its_whole_name),
		cmocka_unit_test(what_is_in_the_kernel_itself_is_found_in_its_list),
		cmocka_unit_test(more_than_there_is_room_for_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
