/* SPDX-License-Identifier: MIT */
/*
 * The command encoder: whatever the strings hold, the output is one command. It is read back here
 * as a server would: quoted strings without line ends, literals of just the announced length at the
 * start of a segment, one line end, at the end. The strings come back byte for byte.
 * Input: strings, each led by a byte whose bit 7 allows line ends and whose rest is the length.
 */
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "base/parse.h"
#include "wire/imap_cmd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	const char *p, *end;
};

static bool read_quoted(struct text *text, GByteArray *out)
{
	g_assert_true(text->p < text->end && *text->p == '"');
	for (text->p++; text->p < text->end && *text->p != '"'; text->p++) {
		if (*text->p == '\\')
			text->p++;
		g_assert_true(text->p < text->end);
		g_assert_true(*text->p != '\r' && *text->p != '\n' && *text->p != '\0');
		g_byte_array_append(out, (const guint8 *)text->p, 1);
	}
	g_assert_true(text->p < text->end);
	text->p++;
	return true;
}

/* The announcement ends its segment; the bytes start the next. */
static void read_literal(struct text *text, const struct imap_cmd *cmd, size_t *index,
	GByteArray *out)
{
	const char *close = memchr(text->p, '}', (size_t)(text->end - text->p));
	struct imap_segment next;
	uint32_t len;

	g_assert_true(close && close + 3 == text->end && memcmp(close, "}\r\n", 3) == 0);
	g_assert_true(parse_u32(text->p + 1, (size_t)(close - text->p - 1), &len));
	next = imap_cmd_segment(cmd, ++*index);
	*text = (struct text){ (const char *)next.bytes, (const char *)next.bytes + next.len };
	g_assert_cmpuint(len, <=, next.len);
	g_byte_array_append(out, next.bytes, len);
	text->p += len;
}

static void check_output(struct imap_cmd *cmd, const GByteArray *expected)
{
	size_t count = imap_cmd_finish(cmd, "T1"), index = 0;
	struct imap_segment first = imap_cmd_segment(cmd, 0);
	struct text text = { (const char *)first.bytes, (const char *)first.bytes + first.len };
	GByteArray *out = g_byte_array_new();

	g_assert_true(first.len > 4 && memcmp(text.p, "T1 X", 4) == 0);
	text.p += 4;
	while (text.p < text.end && *text.p == ' ') {
		text.p++;
		g_assert_true(text.p < text.end);
		if (*text.p == '{')
			read_literal(&text, cmd, &index, out);
		else
			read_quoted(&text, out);
	}
	g_assert_cmpuint(index + 1, ==, count);
	g_assert_true(text.end - text.p == 2 && memcmp(text.p, "\r\n", 2) == 0);
	g_assert_cmpmem(out->data, out->len, expected->data, expected->len);
	g_byte_array_unref(out);
}

static void check_description(struct imap_cmd *cmd)
{
	g_autofree char *open = imap_cmd_describe(cmd), *masked = NULL;

	for (const char *p = open; *p; p++)
		g_assert_true(g_ascii_isprint(*p));
	imap_cmd_set_secret(cmd);
	masked = imap_cmd_describe(cmd);
	g_assert_cmpuint(strspn(masked, "X *"), ==, strlen(masked));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_cmd *cmd = imap_cmd_new("X");
	GByteArray *expected = g_byte_array_new();

	while (size > 0) {
		bool may_hold_crlf = data[0] & 0x80;
		size_t len = MIN((size_t)(data[0] & 0x7f), size - 1);

		if (imap_cmd_string(cmd, data + 1, len, may_hold_crlf))
			g_byte_array_append(expected, data + 1, (guint)len);
		data += 1 + len;
		size -= 1 + len;
	}
	check_output(cmd, expected);
	check_description(cmd);
	g_byte_array_unref(expected);
	imap_cmd_free(cmd);
	return 0;
}
