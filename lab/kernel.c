/* SPDX-License-Identifier: MIT */
/*
 * Owns the virtual machine as the host sees it: the process of QEMU, what comes from its two serial ports, and when
 * it has had time enough. What is in the guest is in initramfs.c, what runs there in guest.c.
 */
#include "lab/kernel.h"
#include "lab/initramfs.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define QEMU    "qemu-system-x86_64"
#define SILENCE 300000   /* ms that the guest may say nothing */
#define LIMIT   10800000 /* ms that it may take in all */
#define CONSOLE 0
#define REPORT  1
#define STOP    2
#define NO_QEMU 127 /* the exit status of a process that has not become QEMU */

/*
 * How QEMU runs a machine. An emulated one counts its time in instructions, 1 ns each, and skips what it would spend
 * waiting: however slow the host is, nothing in it is late. Its processor is one, and without cmpxchg16b: with more, QEMU
 * 7.2 lets some starts of Linux 6.12 crash where there is nothing wrong with it.
 */
struct engine {
	const char *options[8]; /* of QEMU; NULL is last */
	int begins;             /* ms until the guest must have begun */
};

static const struct engine kvm = {{"-accel", "kvm", "-cpu", "max", "-smp", "2"}, 20000};
static const struct engine tcg = {
	{"-accel", "tcg", "-cpu", "qemu64,-cx16", "-icount", "shift=0,sleep=off"}, SILENCE};

/* What there is to run. */
struct machine {
	const char *vmlinuz;
	char *const *args;    /* for the guest's lab */
	char libraries[1024]; /* LD_LIBRARY_PATH there */
	int files;            /* the first file system */
};

struct guest {
	pid_t pid;
	bool trial;             /* what is said before it has begun is nobody's business */
	struct pollfd ports[3]; /* what we read, where fd -1 is what has ended; and what tells us to stop */
	const struct lab_kernel *kernel;
	char text[512]; /* of the console's line that has not ended */
	size_t length;
	char last[100]; /* the console's last line with anything in it */
	FILE *document; /* begins with an empty line, which the guest sends before it does anything else */
};

/* Documentation/arch/x86/boot.rst: where an image says that it is one, and where the text of its version lies. */
int lab_kernel_version(const char *vmlinuz, char version[65], char why[LINK_WHY])
{
	int fd = open(vmlinuz, O_RDONLY | O_CLOEXEC);
	uint8_t header[0x210];

	if (fd < 0) {
		snprintf(why, LINK_WHY, "%s: %s", vmlinuz, strerror(errno));
		return -ENOENT;
	}
	memset(version, 0, 65);
	if (pread(fd, header, sizeof header, 0) == sizeof header && memcmp(header + 0x202, "HdrS", 4) == 0)
		(void)!pread(fd, version, 64, (header[0x20e] | header[0x20f] << 8) + 0x200);
	close(fd);
	version[strcspn(version, " ")] = '\0';
	if (version[0] >= '0' && version[0] <= '9' && strchr(version, '/') == NULL)
		return 0;
	snprintf(why, LINK_WHY, "%s is not a kernel for x86 (bzImage)", vmlinuz);
	return -ENOEXEC;
}

/*
 * One play at a time: an emulated machine bears no more, and some change limits of all of it. What is after -- is
 * the first process's own; a name with a value that the kernel does not know is its environment.
 */
static int make_command_line(const struct machine *machine, char line[2048], char why[LINK_WHY])
{
	int len = snprintf(line, 2048,
		"console=ttyS0 quiet panic=-1 rdinit=/lastbyte TERM=dumb LD_LIBRARY_PATH=%s -- lab --guest "
		"--players 1",
		machine->libraries);

	for (char *const *arg = machine->args; len < 2048 && *arg != NULL; arg++) {
		if (strpbrk(*arg, " \t\n\"'") != NULL) {
			snprintf(why, LINK_WHY, "'%s' cannot be passed to the guest", *arg);
			return -EINVAL;
		}
		len += snprintf(line + len, (size_t)(2048 - len), " %s", *arg);
	}
	if (len < 2048)
		return 0;
	snprintf(why, LINK_WHY, "too many arguments for the guest");
	return -E2BIG;
}

/* Both ports and the first file system are files to QEMU: descriptors that it inherits. */
static _Noreturn void become_qemu(
	const struct machine *machine, const struct engine *engine, const char *line, const int write_to[2])
{
	char initrd[32], report[32];
	const char *argv[32] = {QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-m", "1024", "-kernel", machine->vmlinuz, "-append", line, "-initrd", initrd, "-serial",
		"file:/dev/stdout", "-serial", report};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), argc = 0;

	while (argv[argc] != NULL)
		argc++;
	for (int i = 0; engine->options[i] != NULL; i++)
		argv[argc++] = engine->options[i];
	snprintf(initrd, sizeof initrd, "/proc/self/fd/%d", machine->files);
	snprintf(report, sizeof report, "file:/proc/self/fd/%d", write_to[REPORT]);
	if (dup2(null, STDIN_FILENO) == STDIN_FILENO &&
		dup2(write_to[CONSOLE], STDOUT_FILENO) == STDOUT_FILENO &&
		dup2(write_to[CONSOLE], STDERR_FILENO) == STDERR_FILENO &&
		fcntl(machine->files, F_SETFD, 0) == 0 && fcntl(write_to[REPORT], F_SETFD, 0) == 0)
		execvp(QEMU, (char *const *)argv);
	_exit(NO_QEMU);
}

static int start(
	struct guest *guest, const struct machine *machine, const struct engine *engine, const char *line)
{
	int console[2], report[2];
	pid_t parent = getpid();
	sigset_t none;

	guest->pid = 0;
	guest->length = 0;
	guest->last[0] = '\0';
	guest->ports[CONSOLE].fd = guest->ports[REPORT].fd = -1;
	if (pipe2(console, O_CLOEXEC) < 0)
		return -errno;
	guest->ports[CONSOLE] = (struct pollfd){.fd = console[0], .events = POLLIN};
	if (pipe2(report, O_CLOEXEC) < 0) {
		close(console[1]);
		return -errno;
	}
	guest->ports[REPORT] = (struct pollfd){.fd = report[0], .events = POLLIN};
	guest->pid = fork();
	if (guest->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (getppid() == parent)
			become_qemu(machine, engine, line, (int[2]){console[1], report[1]});
		_exit(NO_QEMU);
	}
	close(console[1]);
	close(report[1]);
	return guest->pid < 0 ? -errno : 0;
}

static bool has_begun(const struct guest *guest)
{
	return ftell(guest->document) > 0;
}

static void end_line(struct guest *guest)
{
	guest->text[guest->length] = '\0';
	if (guest->length > 0) {
		snprintf(guest->last, sizeof guest->last, "%.99s", guest->text);
		if (!guest->trial || has_begun(guest))
			guest->kernel->line(guest->kernel->arg, guest->text);
	}
	guest->length = 0;
}

static void take_console(struct guest *guest, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n')
			end_line(guest);
		else if (bytes[i] != '\r' && guest->length < sizeof guest->text - 1)
			guest->text[guest->length++] = bytes[i];
	}
}

static void take(struct guest *guest, int port)
{
	char bytes[65536];
	ssize_t n = read(guest->ports[port].fd, bytes, sizeof bytes);

	if (n <= 0) {
		close(guest->ports[port].fd);
		guest->ports[port].fd = -1;
	} else if (port == CONSOLE) {
		take_console(guest, bytes, (size_t)n);
	} else {
		fwrite(bytes, 1, (size_t)n, guest->document);
	}
}

/* Until QEMU has ended: both ports have. */
static int attend(struct guest *guest, const struct engine *engine)
{
	lb_time deadline = lb_in_ms(LIMIT);

	while (guest->ports[CONSOLE].fd >= 0 || guest->ports[REPORT].fd >= 0) {
		int ready = poll(guest->ports, 3, has_begun(guest) ? SILENCE : engine->begins);

		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready < 0)
			continue;
		if (guest->ports[STOP].revents != 0)
			return -EINTR;
		if (ready == 0 || lb_now() > deadline)
			return -ETIMEDOUT;
		/* what was printed after the guest had begun is not to be taken before that is known */
		for (int port = REPORT; port >= CONSOLE; port--)
			if (guest->ports[port].revents != 0)
				take(guest, port);
	}
	end_line(guest);
	return 0;
}

/* Says what has become of QEMU, when that has not already failed. */
static int stop(struct guest *guest, int result, char why[LINK_WHY])
{
	int status = 0;

	for (int port = CONSOLE; port <= REPORT; port++)
		if (guest->ports[port].fd >= 0)
			close(guest->ports[port].fd);
	if (guest->pid > 0) {
		if (result < 0)
			kill(guest->pid, SIGKILL);
		while (waitpid(guest->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (result == -ETIMEDOUT) {
		snprintf(why, LINK_WHY, "the guest was killed after its time; its last words: %s",
			guest->last);
	} else if (result < 0) {
		snprintf(why, LINK_WHY, "the guest was killed: %s", strerror(-result));
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == NO_QEMU) {
		snprintf(why, LINK_WHY, "there is no " QEMU ": install qemu-system-x86");
		result = -ENOENT;
	} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		snprintf(why, LINK_WHY, "QEMU failed: %s", guest->last);
		result = -EIO;
	}
	return result;
}

static int run(
	struct guest *guest, const struct machine *machine, const struct engine *engine, char why[LINK_WHY])
{
	char line[2048];
	int result = make_command_line(machine, line, why);

	if (result < 0)
		return result;
	result = start(guest, machine, engine, line);
	if (result == 0)
		result = attend(guest, engine);
	return stop(guest, result, why);
}

/* A KVM that is there may still fail, or never get to run anything: then, the same once more with emulation. */
static int run_somehow(struct guest *guest, const struct machine *machine, char why[LINK_WHY])
{
	int result = -ENODEV;

	guest->trial = true;
	if (access("/dev/kvm", R_OK | W_OK) == 0)
		result = run(guest, machine, &kvm, why);
	if (has_begun(guest) || result == -EINTR || result == -ENOENT)
		return result;
	guest->trial = false;
	guest->kernel->line(
		guest->kernel->arg, "KVM cannot be had: QEMU emulates the machine, which takes its time");
	return run(guest, machine, &tcg, why);
}

static int take_document(
	const struct guest *guest, const char *text, size_t size, json_t **documentp, char why[LINK_WHY])
{
	*documentp = json_loadb(text, size, 0, NULL);
	if (*documentp != NULL)
		return 0;
	snprintf(why, LINK_WHY, "no whole document came from the guest; its last words: %s", guest->last);
	return -EPROTO;
}

int lab_kernel_run(const struct lab_kernel *kernel, json_t **documentp, char why[LINK_WHY])
{
	struct guest guest = {.kernel = kernel, .ports[STOP] = {.fd = kernel->stop, .events = POLLIN}};
	struct machine machine = {.vmlinuz = kernel->vmlinuz, .args = kernel->args};
	char version[65], *text = NULL;
	size_t size = 0;
	int result;

	*documentp = NULL;
	result = lab_kernel_version(kernel->vmlinuz, version, why);
	if (result < 0)
		return result;
	machine.files = lab_initramfs_new(
		kernel->vmlinuz, version, machine.libraries, kernel->line, kernel->arg, why);
	if (machine.files < 0)
		return machine.files;
	guest.document = open_memstream(&text, &size);
	if (guest.document == NULL)
		abort();
	result = run_somehow(&guest, &machine, why);
	fclose(guest.document);
	if (result == 0)
		result = take_document(&guest, text, size, documentp, why);
	free(text);
	close(machine.files);
	return result;
}
