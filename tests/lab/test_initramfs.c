/* SPDX-License-Identifier: MIT */
/*
 * A guest's first file system, as cpio(1) unpacks it: whole files in their folders, our own executable with all that it
 * needs to run, and those modules that lie beside a kernel.
 */
#include "lib/cmocka.h"
#include "lab/hearing.h"
#include "lib/scratch.h"
#include "lab/cpio.h"
#include "lab/initramfs.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_HERE 42 /* what this program returns where it is told to do nothing else */

static struct scratch scratch;

static int set_up(void **state)
{
	(void)state;
	said[0] = '\0';
	scratch_make(&scratch);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

static void put(const char *name, const char *content)
{
	FILE *file = fopen(scratch_path(&scratch, name), "w");

	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static void check(const char *name, const char *content, mode_t permissions)
{
	char got[200] = "";
	FILE *file = fopen(scratch_path(&scratch, name), "r");
	struct stat status;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &status), 0);
	assert_int_equal(status.st_mode, S_IFREG | permissions);
	assert_int_equal(fread(got, 1, sizeof got - 1, file), strlen(content));
	assert_string_equal(got, content);
	fclose(file);
}

/* cpio(1) takes an archive of this kind and no other, and fails on a bad one. */
static void unpack(int archive)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (lseek(archive, 0, SEEK_SET) == 0 && dup2(archive, STDIN_FILENO) == STDIN_FILENO &&
			chdir(scratch.path) == 0)
			execlp("cpio", "cpio", "--quiet", "-iu", "-H", "newc", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void make_and_unpack(const char *vmlinuz)
{
	char libraries[1024], why[LINK_WHY];
	int fd = lab_initramfs_new(vmlinuz, "6.1.0-7-cloud", libraries, hear, NULL, why);

	assert_return_code(fd, -fd);
	unpack(fd);
	close(fd);
}

static void files_and_folders_come_out_as_they_went_in(void **state)
{
	static const char *const contents[] = {"", "1", "12", "123", "1234", "12345"};
	static const char *const names[] = {
		"a", "/bin/bc", "/bin/bcd", "deep/er/bcde", "deep/bcdef", "abcdef"};
	int archive = memfd_create("archive", MFD_CLOEXEC);
	FILE *out = fdopen(dup(archive), "w");
	struct stat status;

	(void)state;
	for (int i = 0; i < 6; i++) {
		int fd = memfd_create("content", MFD_CLOEXEC);

		assert_int_equal(write(fd, contents[i], strlen(contents[i])), strlen(contents[i]));
		assert_int_equal(lab_cpio_file(out, names[i], i % 2 != 0 ? 0755 : 0640, fd), 0);
		close(fd);
	}
	lab_cpio_folder(out, "/empty/folder");
	lab_cpio_end(out);
	assert_int_equal(fclose(out), 0);
	unpack(archive);
	close(archive);
	for (int i = 0; i < 6; i++)
		check(names[i], contents[i], i % 2 != 0 ? 0755 : 0640);
	assert_int_equal(stat(scratch_path(&scratch, "empty/folder"), &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0755);
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
	FILE *out = fopen("/dev/null", "w");
	int fd;

	(void)state;
	put("file", "content");
	fd = open(scratch_path(&scratch, "file"), O_WRONLY);
	assert_int_equal(lab_cpio_file(out, "file", 0644, fd), -EBADF);
	close(fd);
	assert_int_equal(lab_cpio_file(out, "file", 0644, -1), -EBADF);
	fclose(out);
}

/* The libraries' folders are those of the loader's own or of LD_LIBRARY_PATH: nothing else is there to be found. */
static void our_executable_runs_with_nothing_but_what_is_in_there(void **state)
{
	char libraries[1024], why[LINK_WHY];
	int fd = lab_initramfs_new("/nowhere", "6.1", libraries, hear, NULL, why), status;
	pid_t pid;

	(void)state;
	assert_return_code(fd, -fd);
	unpack(fd);
	close(fd);
	pid = fork();
	if (pid == 0) {
		if (chroot(scratch.path) < 0 && (unshare(CLONE_NEWUSER) < 0 || chroot(scratch.path) < 0))
			_exit(77);
		setenv("LD_LIBRARY_PATH", libraries, 1);
		if (chdir("/") == 0)
			execl("/lastbyte", "lastbyte", "here", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), RUNS_HERE);
}

static void make_folders(const char *usr)
{
	const char *const folders[] = {"boot", usr, "lib", "lib/modules", "lib/modules/6.1.0-7-cloud"};
	char path[200];

	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		snprintf(path, sizeof path, "%s%s%s", i > 1 ? usr : "", i > 1 ? "/" : "", folders[i]);
		assert_true(mkdir(scratch_path(&scratch, path), 0755) == 0 || errno == EEXIST);
	}
}

static void modules_beside_a_kernel_are_in_there_in_the_order_of_loading(void **state)
{
	char vmlinuz[300];

	(void)state;
	make_folders("usr");
	snprintf(vmlinuz, sizeof vmlinuz, "%s/boot/vmlinuz", scratch.path);
	put("usr/lib/modules/6.1.0-7-cloud/modules.dep",
		"tun.ko.xz: other.ko\nother.ko:\nmore.ko:\nveth.ko:\n");
	put("usr/lib/modules/6.1.0-7-cloud/tun.ko.xz", "a tun");
	put("usr/lib/modules/6.1.0-7-cloud/other.ko", "another");
	put("usr/lib/modules/6.1.0-7-cloud/more.ko", "one more");
	put("usr/lib/modules/6.1.0-7-cloud/veth.ko", "a veth");
	make_and_unpack(vmlinuz);
	assert_string_equal(said, "");
	check("modules/00-other.ko", "another", 0644);
	check("modules/01-tun.ko.xz", "a tun", 0644);
	check("modules/02-veth.ko", "a veth", 0644);
	assert_int_equal(access(scratch_path(&scratch, "modules/03-more.ko"), F_OK), -1);
}

static void what_modules_are_not_to_be_had_is_said(void **state)
{
	char vmlinuz[300], expected[512];

	(void)state;
	make_folders(".");
	snprintf(vmlinuz, sizeof vmlinuz, "%s/boot/vmlinuz", scratch.path);
	make_and_unpack(vmlinuz);
	snprintf(expected, sizeof expected,
		"no modules of 6.1.0-7-cloud beside %s: loopback alone (depmod(8) makes their modules.dep)\n",
		vmlinuz);
	assert_string_equal(said, expected);
	said[0] = '\0';
	put("lib/modules/6.1.0-7-cloud/modules.dep", "");
	put("lib/modules/6.1.0-7-cloud/modules.builtin", "kernel/tun.ko\n");
	make_and_unpack(vmlinuz);
	snprintf(expected, sizeof expected,
		"the module veth is not in %s/boot/../lib/modules/6.1.0-7-cloud\n", scratch.path);
	assert_string_equal(said, expected);
}

static void a_module_that_cannot_be_read_is_an_error(void **state)
{
	char vmlinuz[300], libraries[1024], why[LINK_WHY];

	(void)state;
	make_folders(".");
	snprintf(vmlinuz, sizeof vmlinuz, "%s/boot/vmlinuz", scratch.path);
	put("lib/modules/6.1.0-7-cloud/modules.dep", "tun.ko:\n");
	assert_int_equal(lab_initramfs_new(vmlinuz, "6.1.0-7-cloud", libraries, hear, NULL, why), -ENOENT);
	assert_non_null(strstr(why, "tun.ko: No such file or directory"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			files_and_folders_come_out_as_they_went_in, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			our_executable_runs_with_nothing_but_what_is_in_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			modules_beside_a_kernel_are_in_there_in_the_order_of_loading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_modules_are_not_to_be_had_is_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_module_that_cannot_be_read_is_an_error, set_up, tear_down),
	};

	if (argc == 2 && strcmp(argv[1], "here") == 0)
		_exit(RUNS_HERE); /* a sanitizer would look for leaks, by a /proc that is not there */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
