/* SPDX-License-Identifier: MIT */
/*
 * The host's side of a lab on another kernel, with scripts in the place of QEMU: what is a kernel, what is heard of a
 * guest, which document is taken, and what is said when there is none.
 */
#include "lib/cmocka.h"
#include "lab/hearing.h"
#include "lib/scratch.h"
#include "lab/kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scratch scratch;
static char why[LINK_WHY], vmlinuz[300];
static char *const no_args[] = {NULL};
static int stop = -1;

static void put(const char *name, const void *content, size_t len)
{
	FILE *file = fopen(scratch_path(&scratch, name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, len, file), len);
	assert_int_equal(fchmod(fileno(file), 0755), 0);
	fclose(file);
}

/* The header of an image, and the text of its version. */
static void put_kernel(const char *version)
{
	char image[0x300] = "";

	memcpy(image + 0x202, "HdrS", 4);
	image[0x20e] = (char)0x90;
	snprintf(image + 0x290, 100, "%s", version);
	put("vmlinuz", image, sizeof image);
}

static int set_up(void **state)
{
	(void)state;
	said[0] = why[0] = '\0';
	scratch_make(&scratch);
	snprintf(vmlinuz, sizeof vmlinuz, "%s/vmlinuz", scratch.path);
	put_kernel("6.1.0-7-cloud (somebody@somewhere) #1 SMP");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

static int run(const char *image, char *const args[], json_t **documentp)
{
	const struct lab_kernel kernel = {.vmlinuz = image, .args = args, .stop = stop, .line = hear};

	return lab_kernel_run(&kernel, documentp, why);
}

/* Runs with a QEMU that has no KVM and else is the script: its $1 is the kernel's command line, $2 the file that is the second port. */
static int run_script(const char *script, char *const args[], json_t **documentp)
{
	char *path = strdup(getenv("PATH")), text[2048], mine[512];
	int result;

	snprintf(text, sizeof text,
		"#!/bin/bash\n"
		"while [ $# -gt 0 ]; do case $1 in kvm) echo no KVM; exit 1;; -append) line=$2;; -serial) "
		"port=${2#file:};; esac; "
		"shift; done\n"
		"set -- \"$line\" $port\n%s\n",
		script);
	put("qemu-system-x86_64", text, strlen(text));
	snprintf(mine, sizeof mine, "%s:%s", scratch.path, path);
	setenv("PATH", mine, 1);
	result = run(vmlinuz, args, documentp);
	setenv("PATH", path, 1);
	free(path);
	return result;
}

static void a_kernel_says_which_one_it_is(void **state)
{
	char version[65];

	(void)state;
	assert_int_equal(lab_kernel_version(vmlinuz, version, why), 0);
	assert_string_equal(version, "6.1.0-7-cloud");
}

static void what_is_no_kernel_is_refused(void **state)
{
	static const char *const bad[] = {"", "Linux", "../../etc", "6/7"};
	json_t *document;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		put_kernel(bad[i]);
		assert_int_equal(run(vmlinuz, no_args, &document), -ENOEXEC);
		assert_null(document);
	}
	put("vmlinuz", "#!/bin/sh\n", 10);
	assert_int_equal(run(vmlinuz, no_args, &document), -ENOEXEC);
	assert_non_null(strstr(why, "vmlinuz is not a kernel for x86"));
	assert_int_equal(run("/nowhere/vmlinuz", no_args, &document), -ENOENT);
	assert_string_equal(why, "/nowhere/vmlinuz: No such file or directory");
}

static void without_qemu_it_says_what_to_install(void **state)
{
	char *path = strdup(getenv("PATH"));
	json_t *document;

	(void)state;
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(run(vmlinuz, no_args, &document), -ENOENT);
	setenv("PATH", path, 1);
	free(path);
	assert_string_equal(why, "there is no qemu-system-x86_64: install qemu-system-x86");
	assert_null(document);
}

static void a_guest_is_told_and_heard_and_its_document_taken(void **state)
{
	char *const args[] = {"--quick", "--only=late,unread", NULL};
	json_t *document;

	(void)state;
	assert_int_equal(
		run_script("echo >$2; printf '%s\\r\\n\\r\\nhalf' \"${1#*-- }\"; printf '{\"a\":1}' >$2",
			args, &document),
		0);
	assert_non_null(
		strstr(said, "takes its time\nlab --guest --players 1 --quick --only=late,unread\nhalf\n"));
	assert_null(strstr(said, "no KVM"));
	assert_int_equal(json_integer_value(json_object_get(document, "a")), 1);
	json_decref(document);
}

static void a_document_that_is_not_whole_is_none(void **state)
{
	json_t *document;

	(void)state;
	assert_int_equal(
		run_script("echo >$2; echo no room; printf '{\"a\":1' >$2", no_args, &document), -EPROTO);
	assert_null(document);
	assert_string_equal(why, "no whole document came from the guest; its last words: no room");
	assert_int_equal(run_script("echo >$2; echo panic", no_args, &document), -EPROTO);
	assert_null(document);
}

static void a_qemu_that_fails_is_no_guest(void **state)
{
	json_t *document;

	(void)state;
	assert_int_equal(run_script("echo no such machine >&2; exit 1", no_args, &document), -EIO);
	assert_null(document);
	assert_string_equal(why, "QEMU failed: no such machine");
}

static void a_guest_that_is_to_stop_is_killed(void **state)
{
	char script[500];
	json_t *document;

	(void)state;
	assert_int_equal(mkfifo(scratch_path(&scratch, "word"), 0600), 0);
	stop = open(scratch_path(&scratch, "word"), O_RDWR | O_CLOEXEC);
	snprintf(script, sizeof script, "echo >$2; echo going on; echo stop >%s/word; exec sleep 1000",
		scratch.path);
	assert_int_equal(run_script(script, no_args, &document), -EINTR);
	close(stop);
	stop = -1;
	assert_null(document);
	assert_int_equal(waitpid(-1, NULL, 0), -1); /* it is gone */
	assert_int_equal(errno, ECHILD);
}

static void what_cannot_be_passed_on_is_refused(void **state)
{
	char *const args[] = {"--only=a b", NULL};
	json_t *document;

	(void)state;
	assert_int_equal(run_script("echo started", args, &document), -EINVAL);
	assert_string_equal(why, "'--only=a b' cannot be passed to the guest");
	assert_null(strstr(said, "started"));
}

static void only_the_first_process_of_a_machine_is_a_guest(void **state)
{
	(void)state;
	assert_int_equal(lab_kernel_guest(no_args), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_kernel_says_which_one_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_kernel_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_qemu_it_says_what_to_install, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_guest_is_told_and_heard_and_its_document_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_document_that_is_not_whole_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_qemu_that_fails_is_no_guest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_that_is_to_stop_is_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_passed_on_is_refused, set_up, tear_down),
		cmocka_unit_test(only_the_first_process_of_a_machine_is_a_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
