/* SPDX-License-Identifier: MIT */
/*
 * C's escapes (C11, section 6.4.4.4), but that \x takes two hex digits at most: what follows them is text, as in "\x0dA".
 * Owns nothing.
 */
#include "escape.h"
#include <string.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* At most `max` digits. How many there are; 0 also when they are more than a byte holds. */
static size_t number(const char *text, size_t max, int base, char *bytep)
{
	int value = 0;
	size_t n = 0;

	for (; n < max && digit(text[n]) < base; n++)
		value = value * base + digit(text[n]);
	*bytep = (char)value;
	return value <= 0xff ? n : 0;
}

/* What follows a backslash: the byte that it stands for, and how long it is; 0: it stands for none. */
static size_t escape(const char *text, char *bytep)
{
	static const char names[] = "abfnrtv\\'\"?", bytes[] = "\a\b\f\n\r\t\v\\'\"?";
	const char *name = *text != '\0' ? strchr(names, *text) : NULL;
	size_t n;

	if (name != NULL) {
		*bytep = bytes[name - names];
		return 1;
	}
	if (*text != 'x')
		return number(text, 3, 8, bytep);
	n = number(text + 1, 2, 16, bytep);
	return n > 0 ? n + 1 : 0;
}

static const char *find_wrong(const char *text)
{
	char byte;

	for (; *text != '\0'; text++) {
		size_t n;

		if (*text != '\\')
			continue;
		n = escape(text + 1, &byte);
		if (n == 0)
			return text;
		text += n;
	}
	return NULL;
}

const char *lb_escape_read(char *text, struct lb_bytes *bytesp)
{
	const char *in = text, *wrong = find_wrong(text);
	char *out = text;

	if (wrong != NULL)
		return wrong;
	while (*in != '\0') {
		if (*in == '\\')
			in += 1 + escape(in + 1, out);
		else
			*out = *in++;
		out++;
	}
	*bytesp = (struct lb_bytes){.bytes = text, .len = (size_t)(out - text)};
	return NULL;
}
