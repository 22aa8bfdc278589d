/* SPDX-License-Identifier: MIT */
/* Identifiers and names as text, and back. Owns no state. */
#include "base/utf8.h"
#include <lastbyte/base.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static char *hex(char *out, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
	return out;
}

static int unhex(const char *text, uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < 2 * n; i++) {
		char c = text[i];
		uint8_t value;

		if (c >= '0' && c <= '9')
			value = (uint8_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = (uint8_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = (uint8_t)(c - 'A' + 10);
		else
			return -EINVAL;
		bytes[i / 2] = (uint8_t)(i % 2 ? bytes[i / 2] | value : value << 4);
	}
	return 0;
}

const char *lb_uuid_text(const struct lb_uuid *uuid, char buf[LB_UUID_TEXT])
{
	static const uint8_t groups[] = {4, 2, 2, 2, 6};
	const uint8_t *bytes = uuid->bytes;
	char *out = buf;

	for (size_t i = 0; i < sizeof groups; i++) {
		if (i > 0)
			*out++ = '-';
		out = hex(out, bytes, groups[i]);
		bytes += groups[i];
	}
	return buf;
}

int lb_uuid_parse(const char *text, struct lb_uuid *uuidp)
{
	char digits[33];
	size_t n = 0;

	if (strlen(text) != LB_UUID_TEXT - 1)
		return -EINVAL;
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return -EINVAL;
		} else {
			digits[n++] = text[i];
		}
	}
	return unhex(digits, uuidp->bytes, sizeof uuidp->bytes);
}

const char *lb_id_text(const struct lb_id *id, char buf[LB_ID_TEXT])
{
	char *out = hex(buf, id->client, sizeof id->client);

	snprintf(out, LB_ID_TEXT - 32, ":%" PRIu64, id->number);
	return buf;
}

int lb_id_parse(const char *text, struct lb_id *idp)
{
	struct lb_id id = {0};
	size_t len = strlen(text);

	if (len < 34 || text[32] != ':' || unhex(text, id.client, sizeof id.client) != 0)
		return -EINVAL;
	for (const char *p = text + 33; *p != '\0'; p++) {
		uint8_t digit = (uint8_t)(*p - '0');

		if (digit > 9 || id.number > (UINT64_MAX / 2 - digit) / 10)
			return -EINVAL;
		id.number = id.number * 10 + digit;
	}
	if (id.number == 0 || text[33] == '0')
		return -EINVAL;
	*idp = id;
	return 0;
}

const char *lb_digest_text(const struct lb_digest *digest, char buf[LB_DIGEST_TEXT])
{
	memcpy(buf, "xxh128:", 7);
	hex(buf + 7, digest->bytes, sizeof digest->bytes);
	return buf;
}

size_t lb_utf8_sequence(const uint8_t *s, size_t len, uint32_t *codep)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;
	size_t n = 0;

	if (s[0] < 0x80)
		n = 1;
	else if (s[0] >= 0xC2 && s[0] < 0xF5)
		n = 2u + (s[0] >= 0xE0) + (s[0] >= 0xF0);
	if (n == 0 || n > len)
		return 0;
	code = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3F);
	}
	if (code < lowest[n] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		return 0;
	*codep = code;
	return n;
}

int lb_name_check(const char *name, size_t len, const char **whyp)
{
	const uint8_t *s = (const uint8_t *)name;
	uint32_t code = 0;

	*whyp = NULL;
	if (len == 0)
		*whyp = "a name must not be empty";
	else if (len > LB_NAME_MAX)
		*whyp = "a name has at most 255 bytes";
	else if ((len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.'))
		*whyp = "a name must not be . or ..";
	else if (len >= 9 && memcmp(s, ".lastbyte", 9) == 0)
		*whyp = "a name must not begin with .lastbyte";
	for (size_t i = 0, n; *whyp == NULL && i < len; i += n) {
		n = lb_utf8_sequence(s + i, len - i, &code);
		if (n == 0)
			*whyp = "a name must be valid UTF-8";
		else if (code == '/')
			*whyp = "a name must not contain /";
		else if (lb_utf8_is_control(code))
			*whyp = "a name must not contain control characters";
		else
			continue;
		break;
	}
	return *whyp ? -EINVAL : 0;
}
