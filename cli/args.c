/* SPDX-License-Identifier: MIT */
/*
 * Reads the values of options and words every complaint about them. Owns no state and decides nothing about
 * what the values mean.
 */
#include "args.h"
#include "command.h"
#include "escape.h"
#include "print.h"
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHORTEST (100 * 1000000LL) /* ns; what the protocol takes as an idle time-out, at least */

int lb_args_wrong(const char *command, const char *format, ...)
{
	char text[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	lb_print_line(STDERR_FILENO, "lastbyte %s: %s", command, text);
	lb_print_line(STDERR_FILENO, "'lastbyte help %s' says more", command);
	return LB_EXIT_USAGE;
}

/* The whole number at the beginning of text, and what follows it; false when there is none, or too large a one. */
static bool number(const char *text, uint64_t *valuep, const char **restp)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*valuep = strtoull(text, &end, 10);
	*restp = end;
	return errno == 0;
}

static bool size(const char *command, const char *option, const char *text, uint64_t *bytesp)
{
	static const char units[] = "KMGTP";
	uint64_t value;
	const char *rest, *unit;
	unsigned shift = 0;

	if (!number(text, &value, &rest))
		goto wrong;
	if (*rest != '\0') {
		unit = strchr(units, *rest >= 'a' ? *rest - ('a' - 'A') : *rest);
		if (unit == NULL || rest[1] != '\0')
			goto wrong;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value == 0 || value > (uint64_t)INT64_MAX >> shift)
		goto wrong;
	*bytesp = value << shift;
	return true;
wrong:
	lb_args_wrong(command,
		"%s %s: a size is a number above 0, in bytes or with K, M, G, T or P, as in 64M", option,
		text);
	return false;
}

static bool duration(const char *command, const char *option, const char *text, lb_time *durationp)
{
	static const struct {
		const char *name;
		lb_time ns;
	} units[] = {
		{"ms", 1000000}, {"s", 1000000000}, {"m", 60 * 1000000000LL}, {"h", 3600 * 1000000000LL}};
	uint64_t value;
	const char *rest;

	if (number(text, &value, &rest)) {
		for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
			if (strcmp(rest, units[i].name) != 0 || value > (uint64_t)(INT64_MAX / units[i].ns))
				continue;
			*durationp = (lb_time)value * units[i].ns;
			return true;
		}
	}
	lb_args_wrong(command, "%s %s: a duration is a number with ms, s, m or h, as in 500ms, 10s or 2m",
		option, text);
	return false;
}

/*
 * A number that may have a fraction, in parts of which `scale`, a power of ten, make 1; smaller ones are not taken. It
 * may be followed by `unit`.
 */
static bool decimal(const char *text, uint64_t scale, const char *unit, uint64_t *valuep)
{
	const char *rest;

	if (!number(text, valuep, &rest) || *valuep > (uint64_t)INT64_MAX / scale)
		return false;
	*valuep *= scale;
	if (*rest == '.') {
		if (rest[1] < '0' || rest[1] > '9')
			return false;
		for (rest++; *rest >= '0' && *rest <= '9' && scale > 1; rest++) {
			scale /= 10;
			*valuep += (uint64_t)(*rest - '0') * scale;
		}
	}
	return *rest == '\0' || strcmp(rest, unit) == 0;
}

static bool milliseconds(const char *command, const char *option, const char *text, lb_time *durationp)
{
	uint64_t ns;

	if (!decimal(text, 1000000, "ms", &ns)) {
		lb_args_wrong(
			command, "%s %s: that is a number of milliseconds, as in 20 or 0.5", option, text);
		return false;
	}
	*durationp = (lb_time)ns;
	return true;
}

static bool percent(const char *command, const char *option, const char *text, unsigned *sharep)
{
	uint64_t share;

	if (!decimal(text, 100, "%", &share) || share > 10000) {
		lb_args_wrong(command, "%s %s: that is a number of per cent, as in 1 or 0.25", option, text);
		return false;
	}
	*sharep = (unsigned)share;
	return true;
}

static bool count(const char *command, const char *option, const char *text, unsigned *countp)
{
	uint64_t value;
	const char *rest;

	if (!number(text, &value, &rest) || *rest != '\0' || value == 0 || value > 1000000) {
		lb_args_wrong(command, "%s %s: that is a number from 1 to 1000000", option, text);
		return false;
	}
	*countp = (unsigned)value;
	return true;
}

bool lb_args_id(const char *command, const char *text, struct lb_id *idp)
{
	if (lb_id_parse(text, idp) == 0)
		return true;
	lb_args_wrong(command,
		"%s is not the id of a delivery: 32 hex digits, a colon and a number, as 'lastbyte send' "
		"prints it",
		text);
	return false;
}

static bool bytes(const char *command, const char *option, char *text, struct lb_bytes *bytesp)
{
	const char *wrong = lb_escape_read(text, bytesp);
	int shown = 2;

	if (wrong == NULL && bytesp->len > 0)
		return true;
	if (wrong == NULL) {
		lb_args_wrong(command, "%s needs at least one byte", option);
		return false;
	}
	if (wrong[1] >= '0' && wrong[1] <= '7')
		shown = 4;
	lb_args_wrong(command,
		"%s %s: '%.*s' is no escape; these are \\r \\n \\t \\\\ \\0 \\377 \\xFF and C's others",
		option, text, shown, wrong);
	return false;
}

/* What getopt_long(3) made of a mistake: `c` is '?' or ':'. */
static int mistake(const char *command, int c, char **argv)
{
	const char *given = argv[optind - 1];

	if (c == ':')
		return lb_args_wrong(command, "%s needs a value", given);
	if (strncmp(given, "--", 2) != 0 && optopt != 0)
		return lb_args_wrong(command, "there is no option -%c", optopt);
	if (optopt != 0)
		return lb_args_wrong(command, "%.*s takes no value", (int)strcspn(given, "="), given);
	return lb_args_wrong(command, "there is no option %s", given);
}

static bool set(const char *command, const struct lb_arg *arg, char *text)
{
	char option[32];
	lb_time *durationp = arg->value;

	snprintf(option, sizeof option, "--%s", arg->name);
	switch (arg->kind) {
	case LB_ARG_FLAG:
		*(bool *)arg->value = true;
		return true;
	case LB_ARG_TEXT:
		*(const char **)arg->value = text;
		return true;
	case LB_ARG_SIZE:
		return size(command, option, text, arg->value);
	case LB_ARG_DURATION:
		return duration(command, option, text, durationp);
	case LB_ARG_TIMEOUT:
		if (!duration(command, option, text, durationp))
			return false;
		if (*durationp < SHORTEST)
			lb_args_wrong(command, "%s %s: it has to be at least 100ms", option, text);
		return *durationp >= SHORTEST;
	case LB_ARG_MS:
		return milliseconds(command, option, text, durationp);
	case LB_ARG_PERCENT:
		return percent(command, option, text, arg->value);
	case LB_ARG_COUNT:
		return count(command, option, text, arg->value);
	case LB_ARG_ID:
		return lb_args_id(command, text, arg->value);
	case LB_ARG_BYTES:
		return bytes(command, option, text, arg->value);
	}
	return false;
}

int lb_args_parse(const char *command, int argc, char **argv, const struct lb_arg *args)
{
	struct option options[LB_ARGS_MAX + 2] = {{"help", no_argument, NULL, 'h'}};
	int c, index;

	for (int i = 0; i < LB_ARGS_MAX && args[i].name != NULL; i++)
		options[i + 1] = (struct option){
			args[i].name, args[i].kind == LB_ARG_FLAG ? no_argument : required_argument, NULL, 1};
	opterr = 0; /* its messages do not say where to read on */
	while ((c = getopt_long(argc, argv, ":h", options, &index)) != -1) {
		if (c == 'h') {
			lb_help_command(STDOUT_FILENO, lb_command_find(command));
			return 0;
		}
		if (c != 1)
			return mistake(command, c, argv);
		if (!set(command, &args[index - 1], optarg))
			return LB_EXIT_USAGE;
	}
	return -1;
}

lb_time lb_args_deadline(lb_time duration)
{
	lb_time now = lb_now();

	return duration > LB_NEVER - now ? LB_NEVER : now + duration;
}

unsigned lb_args_distance(const char *a, const char *b)
{
	unsigned row[64], n = (unsigned)strnlen(b, sizeof row / sizeof *row - 1);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (; *a != '\0'; a++) {
		unsigned diagonal = row[0]++;

		for (unsigned j = 1; j <= n; j++) {
			unsigned replaced = diagonal + (*a != b[j - 1]);

			diagonal = row[j];
			row[j] = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			if (replaced < row[j])
				row[j] = replaced;
		}
	}
	return row[n];
}
