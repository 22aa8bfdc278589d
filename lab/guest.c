/* SPDX-License-Identifier: MIT */
/*
 * Owns the guest's first process: it makes of a kernel that has just started a system that the lab can run on, runs
 * it, hands the document over, and turns the machine off. What goes wrong is a line on the console.
 */
#include "lab/kernel.h"
#include "lab/rtnl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define DOCUMENT "/document.json"
#define MODULES  "/modules"
#define FIRST    "/lastbyte" /* what the kernel runs: rdinit= */

static void complain(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
}

static void mount_on(const char *folder, const char *type)
{
	if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || mount(type, folder, type, 0, NULL) < 0)
		complain(folder);
}

/* Their names begin with numbers: that is the order. */
static void load_modules(void)
{
	struct dirent **entries;
	int count = scandir(MODULES, &entries, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		char path[300];
		struct stat status;
		size_t len = strlen(entries[i]->d_name);
		bool plain = len > 3 && strcmp(entries[i]->d_name + len - 3, ".ko") == 0;
		int fd;

		snprintf(path, sizeof path, MODULES "/%s", entries[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
			syscall(SYS_finit_module, fd, "", plain ? 0 : MODULE_INIT_COMPRESSED_FILE) < 0)
			complain(path);
		if (fd >= 0)
			close(fd);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static _Noreturn void become_lab(char *const args[])
{
	const char *argv[32] = {"lastbyte", "lab", "--json", DOCUMENT};

	for (int i = 4; i < 31 && *args != NULL; i++)
		argv[i] = *args++;
	execv("/proc/self/exe", (char *const *)argv);
	complain("starting the lab");
	_exit(1);
}

/* Orphans become the first process's children. */
static void run_lab(char *const args[])
{
	pid_t lab = fork(), ended;

	if (lab == 0)
		become_lab(args);
	if (lab < 0)
		complain("a process");
	do
		ended = wait(NULL);
	while (ended > 0 && ended != lab);
}

/* What is written there arrives as it is. */
static int open_port(const char *port)
{
	struct termios raw;
	int fd = open(port, O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &raw) < 0) {
		complain(port);
		return fd;
	}
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
	return fd;
}

static void hand_over(int port)
{
	char piece[4096];
	int from = open(DOCUMENT, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (from < 0)
		complain("the lab's document");
	while (from >= 0 && (n = read(from, piece, sizeof piece)) > 0) {
		ssize_t written = 0, some = 1;

		for (; written < n && some > 0; written += some)
			some = write(port, piece + written, (size_t)(n - written));
	}
	tcdrain(port);
}

/* The kernel's own last words are not to hide what was wrong. */
static void no_console(void)
{
	int fd = open("/sys/class/tty/ttyS0/console", O_WRONLY | O_CLOEXEC);

	(void)!write(fd, "N", 1);
	close(fd);
}

bool lab_kernel_is_guest(void)
{
	char path[sizeof FIRST + 1];

	return readlink("/proc/1/exe", path, sizeof path) == sizeof FIRST - 1 &&
	       memcmp(path, FIRST, sizeof FIRST - 1) == 0;
}

int lab_kernel_guest(char *const args[])
{
	int port;

	if (getpid() != 1)
		return -EPERM;
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_on("/proc", "proc");
	mount_on("/sys", "sysfs");
	mount_on("/dev", "devtmpfs");
	port = open_port("/dev/ttyS1");
	(void)!write(port, "\n", 1); /* we have begun */
	load_modules();
	if (rtnl_up("lo", 0) < 0)
		printf("no loopback\n");
	run_lab(args);
	hand_over(port);
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	no_console();
	reboot(RB_POWER_OFF);
	pause();
	return -EPERM;
}
