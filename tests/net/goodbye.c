/* SPDX-License-Identifier: MIT */
/*
 * goodbye FD MS WORDS ANSWER [REPLY]: lb_farewell on a connection that was opened by who runs this. WORDS and ANSWER are
 * hexadecimal; with REPLY, the answer is an SMTP reply of that code instead. What comes before the answer goes to standard
 * output, how it ended to standard error.
 */
#include <lastbyte/farewell.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t from_hex(const char *text, unsigned char *bytes)
{
	size_t len = strlen(text) / 2;

	for (size_t n = 0; n < len; n++) {
		char pair[3] = {text[2 * n], text[2 * n + 1], '\0'};

		bytes[n] = (unsigned char)strtoul(pair, NULL, 16);
	}
	return len;
}

static int print(void *file, const void *buf, size_t len)
{
	return fwrite(buf, 1, len, file) == len ? 0 : -EIO;
}

/* RFC 5321, section 4.2.1: every line of a reply begins with its code, the last one with the code and a space. */
struct smtp {
	const char *code;
	char line[4]; /* its beginning */
	size_t len;
};

static ssize_t smtp_reply(void *arg, const void *buf, size_t len)
{
	struct smtp *smtp = arg;
	const char *bytes = buf;

	for (size_t n = 0; n < len; n++) {
		if (smtp->len < sizeof smtp->line)
			smtp->line[smtp->len] = bytes[n];
		smtp->len++;
		if (bytes[n] != '\n')
			continue;
		if (smtp->len <= sizeof smtp->line || strncmp(smtp->line, smtp->code, 3) != 0)
			return -EPROTO;
		if (smtp->line[3] == ' ')
			return (ssize_t)n + 1;
		smtp->len = 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static unsigned char words[256], answer[256];
	struct smtp smtp = {0};
	struct lb_farewell farewell = {
		.words = words, .answer = {.bytes = answer, .before = print, .arg = stdout}};
	struct lb_outcome end;
	int result;

	if (argc < 5 || strlen(argv[3]) > 2 * sizeof words || strlen(argv[4]) > 2 * sizeof answer)
		return 2;
	farewell.words_len = from_hex(argv[3], words);
	farewell.answer.len = from_hex(argv[4], answer);
	if (argc > 5) {
		smtp.code = argv[5];
		farewell.answer = (struct lb_expect){.recognize = smtp_reply, .arg = &smtp};
	}
	result = lb_farewell(atoi(argv[1]), &farewell, lb_in_ms(atoi(argv[2])), &end);
	fprintf(stderr, "%s %s %s %s %s %" PRIu64 "\n", lb_rung_word(end.rung), lb_end_word(end.how),
		lb_party_word(end.by), lb_phase_word(end.phase), lb_verdict_word(end.verdict), end.discarded);
	return result == 0 ? 0 : 1;
}
