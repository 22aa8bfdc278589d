/* SPDX-License-Identifier: MIT */
/* Draws the progress line. The width is asked for at each drawing, so a resized window needs no signal. */
#include "progress.h"
#include "print.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY (200 * 1000000LL) /* ns */
#define TELL_EVERY (30 * 1000000000LL)
#define DECISECOND 100000000LL
#define SMOOTH     0.3 /* share of the newest measurement in the rate */

bool lb_progress_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

void lb_progress_start(struct lb_progress *progress, uint64_t total)
{
	progress->total = total;
	progress->drawn_bytes = 0;
	progress->drawn_at = lb_now();
	progress->rate = -1;
}

static const char *amount(double bytes, char buf[16])
{
	static const char units[] = "KMGTP";
	int unit = -1;

	while (bytes >= 1000 && unit < 4) {
		bytes /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, 16, "%.0f B", bytes);
	else
		snprintf(buf, 16, "%.1f %ciB", bytes, units[unit]);
	return buf;
}

static const char *span(double seconds, char buf[16])
{
	unsigned s = seconds < 360000 ? (unsigned)(seconds + 0.5) : 360000;

	if (s >= 3600)
		snprintf(buf, 16, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(buf, 16, "%u:%02u", s / 60, s % 60);
	return buf;
}

static unsigned width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

/* "[=====>    ]  " in at most `room` columns, or nothing when that is too narrow. */
static void bar(double share, unsigned room, char *buf)
{
	unsigned cells = room > 42 ? 40 : room > 2 ? room - 2 : 0, full = (unsigned)(share * cells);

	buf[0] = '\0';
	if (cells < 8)
		return;
	*buf++ = '[';
	for (unsigned i = 0; i < cells; i++)
		*buf++ = i < full ? '=' : i == full ? '>' : ' ';
	memcpy(buf, "]  ", 4);
}

static void draw(const struct lb_progress *progress, uint64_t bytes)
{
	char numbers[128], line[256], drawing[64] = "", which[32] = "", done[16], rate[16], left[16];
	double share = progress->total != LB_UNKNOWN && progress->total > 0
			       ? (double)bytes / (double)progress->total
			       : 0;
	unsigned columns = width() - 1, used;
	int n;

	if (share > 1)
		share = 1;
	if (progress->count > 1)
		snprintf(which, sizeof which, "%u/%u  ", progress->index, progress->count);
	if (progress->unit != NULL)
		n = snprintf(numbers, sizeof numbers, "%" PRIu64 " of %" PRIu64 " %s", bytes, progress->total,
			progress->unit);
	else
		n = snprintf(numbers, sizeof numbers, "%s  %s/s", amount((double)bytes, done),
			amount(progress->rate, rate));
	if (progress->total != LB_UNKNOWN) {
		double rest = progress->total > bytes ? (double)(progress->total - bytes) : 0;

		snprintf(numbers + n, sizeof numbers - (size_t)n, "  %3.0f %%  %s left", share * 100,
			span(rest / (progress->rate > 1 ? progress->rate : 1), left));
		used = (unsigned)(strlen(which) + strlen(numbers)) + 2;
		bar(share, columns > used ? columns - used : 0, drawing);
	}
	n = snprintf(line, sizeof line, "%s%s%s", which, drawing, numbers);
	/* carriage return, the line cut to the window, erase what an earlier one left behind it */
	dprintf(STDERR_FILENO, "\r%.*s\033[K", n < (int)columns ? n : (int)columns, line);
}

void lb_progress_update(struct lb_progress *progress, uint64_t bytes)
{
	lb_time now, since;
	double measured;

	if (!progress->on)
		return;
	now = lb_now();
	since = now - progress->drawn_at;
	if (since < DRAW_EVERY)
		return;
	measured = (double)(bytes - progress->drawn_bytes) / ((double)since / 1e9);
	progress->rate =
		progress->rate < 0 ? measured : progress->rate + SMOOTH * (measured - progress->rate);
	progress->drawn_at = now;
	progress->drawn_bytes = bytes;
	progress->shown = true;
	draw(progress, bytes);
}

void lb_progress_wait(struct lb_progress *progress, lb_time wait, const char *why)
{
	lb_time tenths = (wait + DECISECOND - 1) / DECISECOND, now = lb_now();
	double seconds = (double)tenths / 10;
	char line[256];

	if (progress->on && why != NULL) {
		snprintf(line, sizeof line, "waiting %.1f s: %s", seconds, why);
		dprintf(STDERR_FILENO, "\r%.*s\033[K", (int)width() - 1, line);
		progress->shown = true;
	} else if (progress->on) {
		lb_progress_clear(progress);
	} else if (why != NULL && !progress->quiet &&
		   (progress->told_at == 0 || now - progress->told_at >= TELL_EVERY)) {
		lb_print_line(STDERR_FILENO, "waiting %.1f s: %s", seconds, why);
		progress->told_at = now;
	}
}

void lb_progress_clear(struct lb_progress *progress)
{
	if (progress->shown)
		dprintf(STDERR_FILENO, "\r\033[K");
	progress->shown = false;
}
