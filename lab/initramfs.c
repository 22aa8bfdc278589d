/* SPDX-License-Identifier: MIT */
/*
 * Owns what is in the guest's first file system. The format is cpio.c's, which modules there have to be modules.c's.
 */
#include "lab/initramfs.h"
#include "lab/cpio.h"
#include "lab/modules.h"
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FOLDER 4096 /* bytes of a path */

struct making {
	FILE *out;
	char *libraries; /* 1024 bytes */
	void (*line)(void *arg, const char *text);
	void *arg;
	char *why; /* LINK_WHY bytes */
};

__attribute__((format(printf, 2, 3))) static void say(const struct making *making, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	making->line(making->arg, text);
}

static int add_file(const struct making *making, const char *from, const char *to, mode_t permissions)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	int result = fd < 0 ? -errno : lab_cpio_file(making->out, to, permissions, fd);

	if (result < 0)
		snprintf(making->why, LINK_WHY, "%s: %s", from, strerror(-result));
	if (fd >= 0)
		close(fd);
	return result;
}

/* What this process has loaded, the loader (ld.so(8)) included, is what another one of our executable needs. */
static int add_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const struct making *making = arg;
	size_t had = strlen(making->libraries), folder;
	const char *path = info->dlpi_name;

	(void)size;
	if (path[0] != '/') /* ourselves, and what the kernel gives */
		return 0;
	folder = (size_t)(strrchr(path, '/') - path);
	snprintf(making->libraries + had, 1024 - had, "%s%.*s", had > 0 ? ":" : "", (int)folder, path);
	return add_file(making, path, path, 0755);
}

/* A list that lies in the modules' folder; NULL: there is none. */
static FILE *open_list(const char *folder, const char *name)
{
	char path[FOLDER + 32];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return fopen(path, "re");
}

/* Beside /boot, or where that lies in a package that is unpacked. */
static FILE *open_modules(const char *vmlinuz, const char *version, char folder[FOLDER])
{
	static const char *const places[] = {"../lib/modules", "../usr/lib/modules"};
	const char *slash = strrchr(vmlinuz, '/');
	FILE *list = NULL;

	for (size_t i = 0; list == NULL && i < sizeof places / sizeof places[0]; i++) {
		snprintf(folder, FOLDER, "%.*s%s/%s", slash != NULL ? (int)(slash + 1 - vmlinuz) : 0, vmlinuz,
			places[i], version);
		list = open_list(folder, "modules.dep");
	}
	return list;
}

static void choose_modules(
	const struct making *making, FILE *list, const char *folder, struct lab_modules *modules)
{
	static const char *const names[] = {"tun", "veth"};
	FILE *builtin = open_list(folder, "modules.builtin");

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct lab_modules unused = {.count = 0};

		if (lab_modules_add(list, names[i], modules) < 0 &&
			(builtin == NULL || lab_modules_add(builtin, names[i], &unused) < 0))
			say(making, "the module %s is not in %s", names[i], folder);
		lab_modules_free(&unused);
	}
	if (builtin != NULL)
		fclose(builtin);
}

static int add_modules(const struct making *making, const char *vmlinuz, const char *version)
{
	struct lab_modules modules = {.count = 0};
	char folder[FOLDER], from[2 * FOLDER], to[300];
	FILE *list = open_modules(vmlinuz, version, folder);
	int result = 0;

	if (list == NULL) {
		say(making, "no modules of %s beside %s: loopback alone (depmod(8) makes their modules.dep)",
			version, vmlinuz);
		return 0;
	}
	choose_modules(making, list, folder, &modules);
	fclose(list);
	for (unsigned i = 0; result == 0 && i < modules.count; i++) {
		const char *slash = strrchr(modules.path[i], '/');

		snprintf(from, sizeof from, "%s/%s", folder, modules.path[i]);
		snprintf(to, sizeof to, "modules/%02u-%s", i, slash != NULL ? slash + 1 : modules.path[i]);
		result = add_file(making, from, to, 0644);
	}
	lab_modules_free(&modules);
	return result;
}

int lab_initramfs_new(const char *vmlinuz, const char *version, char libraries[1024],
	void (*line)(void *arg, const char *text), void *arg, char why[LINK_WHY])
{
	int fd = memfd_create("initramfs", MFD_CLOEXEC), copy = fd < 0 ? -1 : dup(fd), result;
	struct making making = {copy < 0 ? NULL : fdopen(copy, "w"), libraries, line, arg, why};

	libraries[0] = '\0';
	if (making.out == NULL) {
		result = -errno;
		snprintf(why, LINK_WHY, "a file in memory: %s", strerror(-result));
		if (copy >= 0)
			close(copy);
		if (fd >= 0)
			close(fd);
		return result;
	}
	result = add_file(&making, "/proc/self/exe", "lastbyte", 0755);
	if (result == 0)
		result = dl_iterate_phdr(add_library, &making);
	if (result == 0)
		result = add_modules(&making, vmlinuz, version);
	lab_cpio_end(making.out);
	if (fclose(making.out) != 0 && result == 0) {
		result = -errno;
		snprintf(why, LINK_WHY, "a file in memory: %s", strerror(-result));
	}
	if (result < 0)
		close(fd);
	return result < 0 ? result : fd;
}
