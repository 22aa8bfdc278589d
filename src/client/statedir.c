/* SPDX-License-Identifier: MIT */
/* Finds, makes and syncs the state directory. Owns no state, and nothing of what lies in the directory. */
#include "client/statedir.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int lb_state_explain(char why[256], const char *what, const char *path, int error)
{
	const char *text = strerrordesc_np(-error);

	snprintf(why, 256, "cannot %s %.160s: %s", what, path, text != NULL ? text : "unknown error");
	return error;
}

int lb_state_path(const char *path, char out[LB_PATH_MAX], char why[256])
{
	const char *rest = "";
	int n;

	if (path == NULL) {
		/* XDG Base Directory Specification: "All paths must be absolute", others are to be ignored. */
		path = getenv("XDG_STATE_HOME");
		rest = "/lastbyte";
		if (path == NULL || path[0] != '/') {
			path = getenv("HOME");
			rest = "/.local/state/lastbyte";
		}
		if (path == NULL || path[0] != '/') {
			snprintf(why, 256,
				"no state directory: neither XDG_STATE_HOME nor HOME is an absolute path");
			return -ENOENT;
		}
	}
	n = snprintf(out, LB_PATH_MAX, "%s%s", path, rest);
	if (n == 0 || n >= LB_PATH_MAX)
		return lb_state_explain(
			why, "use the state directory", path, n == 0 ? -ENOENT : -ENAMETOOLONG);
	while (n > 1 && out[n - 1] == '/')
		out[--n] = '\0';
	return 0;
}

/* Cuts the last component off: "/a/b" to "/a" to "/", "a" to ".". False when there is none above it. */
static bool cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
		return false;
	if (slash == NULL) {
		strcpy(path, ".");
		return true;
	}
	while (slash > path && slash[-1] == '/')
		slash--;
	slash[slash == path] = '\0';
	return true;
}

static int make_parents(struct lb_host *host, const char *path)
{
	char above[LB_PATH_MAX];
	int r;

	for (size_t i = 1; path[i] != '\0'; i++) {
		if (path[i] != '/')
			continue;
		memcpy(above, path, i);
		above[i] = '\0';
		r = host->disk->mkdir(host, LB_HERE, above, 0700);
		if (r < 0 && r != -EEXIST) {
			/* A directory that exists may answer with another error, where nothing may be made. */
			struct lb_file_stat st;

			if (host->disk->stat(host, LB_HERE, above, &st) < 0)
				return r;
		}
	}
	return 0;
}

int lb_state_open(struct lb_host *host, const char *path, bool parents, char why[256])
{
	int fd = host->disk->open(host, LB_HERE, path, LB_OPEN_READ | LB_OPEN_DIR), r = 0;

	if (fd == -ENOENT) {
		if (parents)
			r = make_parents(host, path);
		if (r == 0)
			r = host->disk->mkdir(host, LB_HERE, path, 0700);
		if (r < 0 && r != -EEXIST)
			return lb_state_explain(why, "make the state directory", path, r);
		fd = host->disk->open(host, LB_HERE, path, LB_OPEN_READ | LB_OPEN_DIR);
	}
	if (fd < 0)
		return lb_state_explain(why, "open the state directory", path, fd);
	return fd;
}

int lb_state_sync(struct lb_host *host, const char *path, char why[256])
{
	char at[LB_PATH_MAX];
	int fd, r;

	strcpy(at, path);
	for (int level = 0;; level++) {
		fd = host->disk->open(host, LB_HERE, at, LB_OPEN_READ | LB_OPEN_DIR);
		r = fd < 0 ? fd : host->disk->sync(host, fd);
		if (fd >= 0)
			host->disk->close(host, fd);
		/* Where this user may not read, or nobody may write, nothing was made. */
		if (level > 0 && (r == -EACCES || r == -EPERM || r == -EROFS || r == -EINVAL))
			return 0;
		if (r < 0)
			return lb_state_explain(why, "sync the directory", at, r);
		if (!cut_last(at))
			return 0;
	}
}
