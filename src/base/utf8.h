/* SPDX-License-Identifier: MIT */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the UTF-8 sequence at s (RFC 3629: no overlong form, no surrogate, at most U+10FFFF), or 0. */
size_t lb_utf8_sequence(const uint8_t *s, size_t len, uint32_t *codep);

/* C0, DEL or C1. */
static inline bool lb_utf8_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

#endif
