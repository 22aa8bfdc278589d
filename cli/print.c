/* SPDX-License-Identifier: MIT */
/*
 * Words and objects for what became of a delivery. Everything that the command writes goes through here, so
 * that a name or a peer's text can neither steer a terminal nor break a line in two. Owns no state.
 */
#include "print.h"
#include "base/utf8.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

char *lb_print_clean(char *text)
{
	const uint8_t *in = (const uint8_t *)text, *end = in + strlen(text);
	char *out = text;
	uint32_t code;

	while (in < end) {
		size_t n = lb_utf8_sequence(in, (size_t)(end - in), &code);

		if (n > 0 && !lb_utf8_is_control(code)) {
			memmove(out, in, n);
			out += n;
		} else {
			*out++ = '?';
		}
		in += n > 0 ? n : 1;
	}
	*out = '\0';
	return text;
}

static int write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int lb_print_line(int fd, const char *format, ...)
{
	char line[LB_PRINT_LINE];
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	len = strlen(lb_print_clean(line));
	line[len] = '\n';
	return write_all(fd, line, len + 1);
}

int lb_print_json(int fd, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(15));
	size_t len = text != NULL ? strlen(text) : 0;
	int r = -ENOMEM;

	json_decref(object);
	if (text != NULL) {
		text[len] = '\n'; /* in place of its NUL, for the one write */
		r = write_all(fd, text, len + 1);
	}
	free(text);
	return r;
}

const char *lb_print_time(int64_t wall_ns, char buf[LB_TIME_TEXT])
{
	int64_t ms = wall_ns / 1000000;
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	if (gmtime_r(&seconds, &tm) == NULL)
		return "-";
	n = strftime(buf, LB_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, LB_TIME_TEXT - n, ".%03dZ", (int)(ms % 1000));
	return buf;
}

const char *lb_result_id(const struct lb_result *result, char buf[LB_ID_TEXT])
{
	return result->receipt.id.number != 0 ? lb_id_text(&result->receipt.id, buf) : "-";
}

const char *lb_result_digest(const struct lb_result *result, char buf[LB_DIGEST_TEXT])
{
	static const struct lb_digest none;

	if (memcmp(&result->receipt.digest, &none, sizeof none) == 0)
		return "-";
	return lb_digest_text(&result->receipt.digest, buf);
}

const char *lb_result_why(const struct lb_result *result, char *buf, size_t len)
{
	const char *text = result->reason != LB_REASON_NONE ? lb_reason_text(result->reason)
							    : lb_verdict_word(result->verdict);

	snprintf(buf, len, "%s%s%s", text, result->detail != NULL ? ": " : "",
		result->detail != NULL ? result->detail : "");
	return buf;
}

int lb_print_result(const struct lb_result *result)
{
	const struct lb_receipt *receipt = &result->receipt;
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT], time[LB_TIME_TEXT], why[512];
	int r;

	if (result->verdict != LB_VERDICT_COMMITTED)
		return lb_print_line(STDERR_FILENO, "%s %s%s%s: %s", lb_verdict_word(result->verdict),
			lb_result_id(result, id), receipt->name[0] != '\0' ? " " : "", receipt->name,
			lb_result_why(result, why, sizeof why));
	r = lb_print_line(STDOUT_FILENO, "committed %s %s %" PRIu64 " %s %s", lb_result_id(result, id),
		receipt->name, receipt->length, lb_result_digest(result, digest),
		lb_print_time(receipt->committed_at, time));
	if (r == 0 && receipt->placed[0] != '\0' && strcmp(receipt->placed, receipt->name) != 0)
		r = lb_print_line(STDERR_FILENO,
			"%s lies there as %s, because another program took the name %s", id, receipt->placed,
			receipt->name);
	return r;
}

static json_t *name_or_null(const char *name)
{
	char buf[LB_NAME_MAX + 1];

	if (name[0] == '\0')
		return json_null();
	snprintf(buf, sizeof buf, "%s", name);
	return json_string(lb_print_clean(buf));
}

/* "-" stands for nothing in a line. */
static json_t *word_or_null(const char *word)
{
	return strcmp(word, "-") == 0 ? json_null() : json_string(word);
}

json_t *lb_result_json(const struct lb_result *result)
{
	static const struct lb_uuid none;
	const struct lb_receipt *receipt = &result->receipt;
	bool unknown = memcmp(&receipt->ledger, &none, sizeof none) == 0;
	bool committed = result->verdict == LB_VERDICT_COMMITTED;
	char id[LB_ID_TEXT], digest[LB_DIGEST_TEXT], time[LB_TIME_TEXT], ledger[LB_UUID_TEXT];
	int64_t microseconds = result->took / 1000;
	json_t *object = json_object();

	json_object_set_new(object, "verdict", json_string(lb_verdict_word(result->verdict)));
	json_object_set_new(object, "id", word_or_null(lb_result_id(result, id)));
	json_object_set_new(object, "name", name_or_null(receipt->name));
	json_object_set_new(object, "bytes",
		receipt->length == LB_UNKNOWN ? json_null() : json_integer((json_int_t)receipt->length));
	json_object_set_new(object, "digest", word_or_null(lb_result_digest(result, digest)));
	json_object_set_new(object, "committed_at",
		committed ? json_string(lb_print_time(receipt->committed_at, time)) : json_null());
	json_object_set_new(object, "durability",
		committed ? json_string(lb_durability_word(receipt->durability)) : json_null());
	json_object_set_new(object, "ledger",
		unknown ? json_null() : json_string(lb_uuid_text(&receipt->ledger, ledger)));
	json_object_set_new(object, "ended", json_string(lb_end_word(result->ended)));
	json_object_set_new(object, "seconds", json_real((double)microseconds / 1e6));
	if (committed && receipt->placed[0] != '\0' && strcmp(receipt->placed, receipt->name) != 0)
		json_object_set_new(object, "placed", name_or_null(receipt->placed));
	if (!committed)
		json_object_set_new(object, "reason", json_string(lb_reason_word(result->reason)));
	return object;
}
