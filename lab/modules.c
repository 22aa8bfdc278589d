/* SPDX-License-Identifier: MIT */
/* Owns the reading of a kernel's lists of modules. Loads none: that is done in the guest. */
#include "lab/modules.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* "kernel/drivers/net/tun.ko.xz" is "tun". */
static bool is_called(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
	size_t len = strlen(name);

	return strncmp(base, name, len) == 0 && strncmp(base + len, ".ko", 3) == 0;
}

static int add_path(struct lab_modules *modules, const char *path)
{
	for (unsigned i = 0; i < modules->count; i++)
		if (strcmp(modules->path[i], path) == 0)
			return 0;
	if (modules->count == LAB_MODULES)
		return -ENOSPC;
	modules->path[modules->count] = strdup(path);
	if (modules->path[modules->count] == NULL)
		return -ENOMEM;
	modules->count++;
	return 0;
}

/* A module, a colon, and all that it needs, directly or not: what comes last there has to be loaded first. */
static int add_line(struct lab_modules *modules, char *line)
{
	for (char *space; (space = strrchr(line, ' ')) != NULL; *space = '\0') {
		int result = space[1] != '\0' ? add_path(modules, space + 1) : 0;

		if (result < 0)
			return result;
	}
	line[strcspn(line, ":")] = '\0';
	return add_path(modules, line);
}

int lab_modules_add(FILE *list, const char *name, struct lab_modules *modules)
{
	int result = -ENOENT;
	char *line = NULL;
	size_t size = 0;

	if (fseek(list, 0, SEEK_SET) < 0)
		return -errno;
	while (result == -ENOENT && getline(&line, &size, list) > 0) {
		size_t path = strcspn(line, ": \n");
		char after = line[path];

		line[path] = '\0';
		if (is_called(line, name)) {
			line[path] = after;
			line[strcspn(line, "\n")] = '\0';
			result = add_line(modules, line);
		}
	}
	free(line);
	return result;
}

void lab_modules_free(struct lab_modules *modules)
{
	while (modules->count > 0)
		free(modules->path[--modules->count]);
}
