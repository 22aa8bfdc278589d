/* SPDX-License-Identifier: MIT */
/*
 * Cuts what is read into records. Owns the buffer: it grows to hold the longest record and no further. A record is handed
 * out as soon as it is there, whatever comes after it.
 */
#include "records.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX    4            /* bytes */
#define READ_SIZE (256 * 1024) /* bytes, at once */

int lb_records_open(struct lb_records *records, const char *path, bool prefixed, size_t most)
{
	*records = (struct lb_records){.prefixed = prefixed, .most = most};
	lb_hasher_init(&records->before);
	return lb_source_open(&records->source, path);
}

void lb_records_close(struct lb_records *records)
{
	lb_source_close(&records->source);
	free(records->buf);
	records->buf = NULL;
}

/* Hands out `len` bytes that lie behind `before`, and are followed by `after` that are none of it. */
static int cut(struct lb_records *records, size_t before, size_t len, size_t after, const uint8_t **recordp,
	size_t *lenp)
{
	*recordp = records->buf + records->at + before;
	*lenp = len;
	records->length = before + len + after;
	records->at += records->length;
	records->looked = 0;
	records->index++;
	return 1;
}

static size_t length_of(const uint8_t *in)
{
	return (size_t)in[0] << 24 | (size_t)in[1] << 16 | (size_t)in[2] << 8 | in[3];
}

static int cut_prefixed(struct lb_records *records, const uint8_t **recordp, size_t *lenp)
{
	const uint8_t *in = records->buf + records->at;
	size_t there = records->end - records->at, len;

	if (there < PREFIX)
		return records->ended && there > 0 ? -EBADMSG : 0;
	len = length_of(in);
	if (len > records->most)
		return -EMSGSIZE;
	if (there - PREFIX < len)
		return records->ended ? -EBADMSG : 0;
	return cut(records, PREFIX, len, 0, recordp, lenp);
}

static int cut_line(struct lb_records *records, const uint8_t **recordp, size_t *lenp)
{
	const uint8_t *in = records->buf + records->at, *newline;
	size_t there = records->end - records->at, len;

	if (there == 0)
		return 0;
	newline = memchr(in + records->looked, '\n', there - records->looked);
	len = newline != NULL ? (size_t)(newline - in) : there;
	records->looked = there;
	if (len > records->most)
		return -EMSGSIZE;
	if (newline == NULL && !records->ended)
		return 0;
	return cut(records, 0, len, newline != NULL, recordp, lenp);
}

int lb_records_cut(struct lb_records *records, const uint8_t **recordp, size_t *lenp)
{
	if (records->buf == NULL)
		return 0;
	lb_hasher_update(&records->before, records->buf + records->at - records->length, records->length);
	records->offset += records->length;
	records->length = 0;
	return records->prefixed ? cut_prefixed(records, recordp, lenp) : cut_line(records, recordp, lenp);
}

/* Makes room behind what is there. */
static int make_room(struct lb_records *records)
{
	uint8_t *grown;

	if (records->at > 0 && records->buf != NULL)
		memmove(records->buf, records->buf + records->at, records->end - records->at);
	records->end -= records->at;
	records->at = 0;
	if (records->size - records->end >= READ_SIZE)
		return 0;
	grown = realloc(records->buf, records->size * 2 + 2 * READ_SIZE);
	if (grown == NULL)
		return -ENOMEM;
	records->buf = grown;
	records->size = records->size * 2 + 2 * READ_SIZE;
	return 0;
}

/* The records that lie in the buffer, one that is not whole included. */
static uint64_t count(const struct lb_records *records)
{
	const uint8_t *in = records->buf, *newline;
	size_t left = records->end;
	uint64_t n = 0;

	while (left > 0) {
		size_t len = left;

		newline = records->prefixed ? NULL : memchr(in, '\n', left);
		if (newline != NULL)
			len = (size_t)(newline - in) + 1;
		else if (records->prefixed && left >= PREFIX)
			len = PREFIX + length_of(in);
		n++;
		in += len < left ? len : left;
		left -= len < left ? len : left;
	}
	return n;
}

int lb_records_fill(struct lb_records *records)
{
	int r = make_room(records);
	ssize_t n;

	if (r < 0)
		return r;
	n = lb_source_read(&records->source, records->buf + records->end, records->size - records->end);
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	records->ended =
		n == 0 || (records->source.length > 0 && records->source.got >= records->source.length);
	records->end += (size_t)n;
	if (records->ended)
		records->last = records->index + count(records);
	return 0;
}

int lb_records_back(
	struct lb_records *records, uint64_t index, uint64_t offset, const struct lb_hasher *before)
{
	if (lseek(records->source.fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	records->index = index;
	records->offset = offset;
	records->before = *before;
	records->at = records->end = records->looked = records->length = 0;
	records->ended = false;
	records->last = 0;
	records->source.got = offset;
	return 0;
}
