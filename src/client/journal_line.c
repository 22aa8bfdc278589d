/* SPDX-License-Identifier: MIT */
/* The text of the journal's lines. Owns no state and does no I/O. */
#include "client/journal_line.h"
#include "base/digest.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC        "lastbyte-journal"
#define CHECKSUM_LEN 16
#define FIELDS_MAX   9

_Static_assert(3 * (LB_SOURCE_MAX + LB_NAME_MAX + LB_ADDRESS_TEXT + LB_NOTE_MAX) + 200 < LB_LINE_MAX,
	"a line must fit");

static void checksum(const char *text, size_t len, char out[CHECKSUM_LEN])
{
	struct lb_hasher hasher;
	struct lb_digest digest;
	char hex[LB_DIGEST_TEXT];

	lb_hasher_init(&hasher);
	lb_hasher_update(&hasher, text, len);
	lb_hasher_digest(&hasher, &digest);
	memcpy(out, lb_digest_text(&digest, hex) + strlen("xxh128:"), CHECKSUM_LEN);
}

/* Percent escapes for what would end a field or a line; "-" stands for nothing. */
static char *escape(char *out, const char *text)
{
	if (*text == '\0') {
		*out++ = '-';
	} else if (strcmp(text, "-") == 0) {
		out += sprintf(out, "%%%02X", '-');
	} else {
		for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
			if (*s <= ' ' || *s == '%' || *s == 0x7F)
				out += sprintf(out, "%%%02X", *s);
			else
				*out++ = (char)*s;
		}
	}
	*out++ = ' ';
	return out;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int unescape(const char *field, char *out, size_t size)
{
	size_t n = 0;

	if (strcmp(field, "-") == 0)
		field = "";
	for (; *field != '\0'; field++) {
		int c = (unsigned char)*field;

		if (c == '%') {
			int high = hex_digit(field[1]), low = high < 0 ? -1 : hex_digit(field[2]);

			if (low < 0 || (c = high * 16 + low) == 0)
				return -EBADMSG;
			field += 2;
		}
		if (n + 1 >= size)
			return -EBADMSG;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

static char *write_id(char *out, const struct lb_id *id, const uint8_t own[16])
{
	char text[LB_ID_TEXT];

	if (memcmp(id->client, own, 16) == 0)
		return out + sprintf(out, "%" PRIu64, id->number);
	return out + sprintf(out, "%s", lb_id_text(id, text));
}

static int parse_id(const char *field, const uint8_t own[16], struct lb_id *idp)
{
	struct lb_id id;
	char text[LB_ID_TEXT + 33];

	if (strchr(field, ':') != NULL)
		return lb_id_parse(field, idp) == 0 ? 0 : -EBADMSG;
	if (strlen(field) > 20)
		return -EBADMSG;
	memcpy(id.client, own, 16);
	id.number = 1;
	strcpy(strchr(lb_id_text(&id, text), ':') + 1, field);
	return lb_id_parse(text, idp) == 0 ? 0 : -EBADMSG;
}

size_t lb_line_write(const struct lb_line *line, const uint8_t own[16], char text[LB_LINE_MAX])
{
	const struct lb_journal_entry *entry = &line->entry;
	char buf[LB_ID_TEXT];
	char *out = text;

	switch (line->type) {
	case LB_LINE_HEADER:
		out += sprintf(out, MAGIC " 1 %.32s ", lb_id_text(&entry->id, buf));
		break;
	case LB_LINE_OPEN:
		out = write_id(out + sprintf(out, "open "), &entry->id, own);
		out += sprintf(out, " %" PRIu32 " %s ", entry->attempt, lb_uuid_text(&entry->ledger, buf));
		out = escape(escape(escape(out, entry->address), entry->name), entry->source);
		break;
	case LB_LINE_RANGE:
		out += sprintf(out, "range %" PRIu64 " %" PRIu32 " %" PRIu64 " %s ", entry->id.number,
			entry->count, line->ended, lb_uuid_text(&entry->ledger, buf));
		out = escape(
			escape(escape(escape(out, entry->address), entry->name), entry->source), entry->note);
		break;
	case LB_LINE_DONE:
		out = write_id(out + sprintf(out, "done "), &entry->id, own);
		*out++ = ' ';
		break;
	case LB_LINE_NEXT:
		out += sprintf(out, "next %" PRIu64 " ", entry->id.number);
		break;
	}
	checksum(text, (size_t)(out - text), out);
	out[CHECKSUM_LEN] = '\n';
	return (size_t)(out - text) + CHECKSUM_LEN + 1;
}

static int parse_number(const char *field, uint64_t least, uint64_t most, uint64_t *numberp)
{
	char *end;

	errno = 0;
	*numberp = strtoull(field, &end, 10);
	return *field >= '0' && *field <= '9' && *end == '\0' && errno == 0 && *numberp >= least &&
			       *numberp <= most
		       ? 0
		       : -EBADMSG;
}

/* LEDGER ADDRESS NAME SOURCE */
static int parse_what(char *const fields[], struct lb_journal_entry *entry)
{
	if (lb_uuid_parse(fields[0], &entry->ledger) != 0 ||
		unescape(fields[1], entry->address, sizeof entry->address) != 0 ||
		unescape(fields[2], entry->name, sizeof entry->name) != 0 ||
		unescape(fields[3], entry->source, sizeof entry->source) != 0)
		return -EBADMSG;
	return 0;
}

static int parse_open(char *const fields[], const uint8_t own[16], struct lb_journal_entry *entry)
{
	uint64_t attempt;

	if (parse_id(fields[1], own, &entry->id) != 0 ||
		parse_number(fields[2], 1, UINT32_MAX, &attempt) != 0)
		return -EBADMSG;
	entry->attempt = (uint32_t)attempt;
	entry->first = entry->id.number;
	entry->count = 1;
	return parse_what(fields + 3, entry);
}

static int parse_range(char *const fields[], const uint8_t own[16], struct lb_line *line)
{
	struct lb_journal_entry *entry = &line->entry;
	uint64_t count;

	if (parse_number(fields[1], 1, INT64_MAX, &entry->first) != 0 ||
		parse_number(fields[2], 2, LB_NUMBERS_MAX, &count) != 0 ||
		parse_number(fields[3], 0, INT64_MAX, &line->ended) != 0 ||
		unescape(fields[8], entry->note, sizeof entry->note) != 0)
		return -EBADMSG;
	memcpy(entry->id.client, own, 16);
	entry->id.number = entry->first;
	entry->count = (uint32_t)count;
	return parse_what(fields + 4, entry);
}

static int parse_header(char *const fields[], struct lb_id *idp)
{
	char text[LB_ID_TEXT];

	if (strcmp(fields[1], "1") != 0)
		return -EPROTONOSUPPORT;
	if (strlen(fields[2]) != 32)
		return -EBADMSG;
	sprintf(text, "%s:1", fields[2]);
	return lb_id_parse(text, idp) == 0 ? 0 : -EBADMSG;
}

int lb_line_parse(const char *text, size_t len, const uint8_t own[16], struct lb_line *linep)
{
	char copy[LB_LINE_MAX], expected[CHECKSUM_LEN], *fields[FIELDS_MAX], *next = copy;
	int n = 0;

	if (len <= CHECKSUM_LEN || len >= LB_LINE_MAX || memchr(text, '\0', len) != NULL)
		return -EBADMSG;
	len -= CHECKSUM_LEN;
	checksum(text, len, expected);
	if (text[len - 1] != ' ' || memcmp(text + len, expected, CHECKSUM_LEN) != 0)
		return -EBADMSG;
	memcpy(copy, text, len - 1);
	copy[len - 1] = '\0';
	while (n < FIELDS_MAX && next != NULL)
		fields[n++] = strsep(&next, " ");
	if (next != NULL)
		return -EPROTONOSUPPORT;
	memset(linep, 0, sizeof *linep);
	if (n == 3 && strcmp(fields[0], MAGIC) == 0) {
		linep->type = LB_LINE_HEADER;
		return parse_header(fields, &linep->entry.id);
	}
	if (n == 7 && strcmp(fields[0], "open") == 0) {
		linep->type = LB_LINE_OPEN;
		return parse_open(fields, own, &linep->entry);
	}
	if (n == 9 && strcmp(fields[0], "range") == 0) {
		linep->type = LB_LINE_RANGE;
		return parse_range(fields, own, linep);
	}
	if (n == 2 && strcmp(fields[0], "done") == 0) {
		linep->type = LB_LINE_DONE;
		return parse_id(fields[1], own, &linep->entry.id);
	}
	if (n == 2 && strcmp(fields[0], "next") == 0) {
		linep->type = LB_LINE_NEXT;
		return parse_id(fields[1], own, &linep->entry.id);
	}
	return -EPROTONOSUPPORT;
}
