/* SPDX-License-Identifier: MIT */
/*
 * The encoder. The text is kept without its tag, with the places where it is cut: behind the
 * announcement of each literal. RFC 9051 §4.3: synchronising literals only, so that a server which
 * refuses one never sees its bytes as commands (WR-3).
 */
#include "wire/imap_cmd.h"

#include <stdarg.h>
#include <string.h>

#include <glib.h>

#include "mailfs/types.h"
#include "wire/limits.h"

#define QUOTED_MAX 1024 /* a longer string is a literal: old servers have small line buffers */

enum piece_type { PIECE_RAW, PIECE_STRING };

struct piece {
	enum piece_type type;
	size_t start, end; /* in text */
};

struct imap_cmd {
	struct bytebuf text; /* "NAME args" */
	GArray *pieces;      /* struct piece, the arguments in order */
	GArray *cuts;        /* size_t: ends of segments in text */
	size_t name_len;
	bool is_secret;

	struct bytebuf out; /* set by imap_cmd_finish(): tag, text, line end */
	size_t tag_len;     /* with its space */
};

/* Like bytebuf_append(), but no copy of a password stays in freed memory. */
static void append(struct bytebuf *buf, const void *bytes, size_t len)
{
	struct bytebuf grown;

	if (buf->cap - buf->start - buf->len >= len) {
		bytebuf_append(buf, bytes, len);
		return;
	}
	bytebuf_init(&grown);
	bytebuf_reserve(&grown, 2 * (buf->len + len));
	if (buf->len > 0)
		bytebuf_append(&grown, bytebuf_bytes(buf), buf->len);
	bytebuf_append(&grown, bytes, len);
	bytebuf_wipe(buf);
	*buf = grown;
}

static void append_text(struct bytebuf *buf, const char *text)
{
	append(buf, text, strlen(text));
}

/* A line end in trusted text would be a second command. */
static void assert_one_line(const char *text)
{
	g_assert(!strpbrk(text, "\r\n"));
}

struct imap_cmd *imap_cmd_new(const char *name)
{
	struct imap_cmd *cmd = g_new0(struct imap_cmd, 1);

	assert_one_line(name);
	bytebuf_init(&cmd->text);
	bytebuf_init(&cmd->out);
	cmd->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
	cmd->cuts = g_array_new(FALSE, FALSE, sizeof(size_t));
	append_text(&cmd->text, name);
	cmd->name_len = cmd->text.len;
	return cmd;
}

void imap_cmd_free(struct imap_cmd *cmd)
{
	if (!cmd)
		return;
	bytebuf_wipe(&cmd->text);
	bytebuf_wipe(&cmd->out);
	g_array_unref(cmd->pieces);
	g_array_unref(cmd->cuts);
	g_free(cmd);
}

static void add_piece(struct imap_cmd *cmd, enum piece_type type, size_t start)
{
	struct piece piece = { .type = type, .start = start, .end = cmd->text.len };

	g_array_append_val(cmd->pieces, piece);
}

void imap_cmd_raw(struct imap_cmd *cmd, const char *text)
{
	size_t start;

	assert_one_line(text);
	append_text(&cmd->text, " ");
	start = cmd->text.len;
	append_text(&cmd->text, text);
	add_piece(cmd, PIECE_RAW, start);
}

void imap_cmd_rawf(struct imap_cmd *cmd, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	imap_cmd_raw(cmd, text);
	explicit_bzero(text, strlen(text));
	g_free(text);
}

/* ---- strings ---------------------------------------------------------------------------------- */

/* RFC 9051 §9: a quoted string holds 7-bit characters but NUL, CR and LF. */
static bool may_be_quoted(const char *bytes, size_t len)
{
	if (len > QUOTED_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)bytes[i] >= 0x80 || g_ascii_iscntrl(bytes[i]))
			return false;
	return true;
}

static void add_quoted(struct imap_cmd *cmd, const char *bytes, size_t len)
{
	append_text(&cmd->text, "\"");
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			append_text(&cmd->text, "\\");
		append(&cmd->text, bytes + i, 1);
	}
	append_text(&cmd->text, "\"");
}

static void add_literal(struct imap_cmd *cmd, const char *bytes, size_t len)
{
	g_autofree char *head = g_strdup_printf("{%zu}\r\n", len);

	append_text(&cmd->text, head);
	g_array_append_val(cmd->cuts, cmd->text.len);
	append(&cmd->text, bytes, len);
}

static bool may_be_sent(const char *bytes, size_t len, bool may_hold_crlf)
{
	if (len > WIRE_LITERAL_INLINE_MAX || (len > 0 && memchr(bytes, '\0', len)))
		return false;
	return may_hold_crlf || len == 0 ||
		(!memchr(bytes, '\r', len) && !memchr(bytes, '\n', len));
}

bool imap_cmd_string(struct imap_cmd *cmd, const void *bytes, size_t len, bool may_hold_crlf)
{
	size_t start;

	if (!may_be_sent(bytes, len, may_hold_crlf))
		return false;
	append_text(&cmd->text, " ");
	start = cmd->text.len;
	if (may_be_quoted(bytes, len))
		add_quoted(cmd, bytes, len);
	else
		add_literal(cmd, bytes, len);
	add_piece(cmd, PIECE_STRING, start);
	return true;
}

/* A name that a server sent goes back byte for byte, whatever is in it: a literal holds it. */
bool imap_cmd_mailbox(struct imap_cmd *cmd, const char *wire_name)
{
	return imap_cmd_string(cmd, wire_name, strlen(wire_name), true);
}

void imap_cmd_literal(struct imap_cmd *cmd, uint64_t size)
{
	g_autofree char *head = g_strdup_printf("{%" G_GUINT64_FORMAT "}\r\n", size);
	size_t start;

	append_text(&cmd->text, " ");
	start = cmd->text.len;
	append_text(&cmd->text, head);
	g_array_append_val(cmd->cuts, cmd->text.len);
	add_piece(cmd, PIECE_STRING, start);
}

/* ---- flags ------------------------------------------------------------------------------------ */

bool imap_is_keyword(const char *text)
{
	size_t len = strnlen(text, WIRE_KEYWORD_SENT_MAX + 1);

	if (len == 0 || len > WIRE_KEYWORD_SENT_MAX)
		return false;
	/* RFC 9051 §9, ATOM-CHAR. */
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isgraph(text[i]) || strchr("(){%*\"\\]", text[i]))
			return false;
	return true;
}

static void add_flag(GString *list, const char *name)
{
	if (list->len > 1)
		g_string_append_c(list, ' ');
	g_string_append(list, name);
}

bool imap_cmd_flags(struct imap_cmd *cmd, unsigned flags, const char *const *keywords)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {
		{ MAILFS_FLAG_SEEN, "\\Seen" },       { MAILFS_FLAG_ANSWERED, "\\Answered" },
		{ MAILFS_FLAG_FLAGGED, "\\Flagged" }, { MAILFS_FLAG_DELETED, "\\Deleted" },
		{ MAILFS_FLAG_DRAFT, "\\Draft" },
	};
	g_autoptr(GString) list = g_string_new("(");

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		if ((flags & names[i].flag) != 0)
			add_flag(list, names[i].name);
	for (size_t i = 0; keywords && keywords[i]; i++) {
		if (i == WIRE_KEYWORDS_SENT_MAX || !imap_is_keyword(keywords[i]))
			return false;
		add_flag(list, keywords[i]);
	}
	g_string_append_c(list, ')');
	imap_cmd_raw(cmd, list->str);
	return true;
}

/* ---- out -------------------------------------------------------------------------------------- */

size_t imap_cmd_finish(struct imap_cmd *cmd, const char *tag)
{
	assert_one_line(tag);
	bytebuf_wipe(&cmd->out);
	append_text(&cmd->out, tag);
	append_text(&cmd->out, " ");
	cmd->tag_len = cmd->out.len;
	append(&cmd->out, bytebuf_bytes(&cmd->text), cmd->text.len);
	append_text(&cmd->out, "\r\n");
	return cmd->cuts->len + 1;
}

struct imap_segment imap_cmd_segment(const struct imap_cmd *cmd, size_t index)
{
	size_t start = 0, end = cmd->out.len;

	g_assert(cmd->out.len > 0 && index <= cmd->cuts->len);
	if (index > 0)
		start = cmd->tag_len + g_array_index(cmd->cuts, size_t, index - 1);
	if (index < cmd->cuts->len)
		end = cmd->tag_len + g_array_index(cmd->cuts, size_t, index);
	return (struct imap_segment){ bytebuf_bytes(&cmd->out) + start, end - start };
}

void imap_cmd_set_secret(struct imap_cmd *cmd)
{
	cmd->is_secret = true;
}

static bool is_authenticate(const struct imap_cmd *cmd)
{
	static const char name[] = "AUTHENTICATE";

	return cmd->name_len == strlen(name) &&
		memcmp(bytebuf_bytes(&cmd->text), name, strlen(name)) == 0;
}

/* Of a secret command only the mechanism of AUTHENTICATE is shown. */
static size_t shown_len(const struct imap_cmd *cmd, guint index, const struct piece *piece)
{
	const char *text = (const char *)bytebuf_bytes(&cmd->text) + piece->start;
	size_t len = piece->end - piece->start;
	const char *space;

	if (!cmd->is_secret)
		return len;
	if (index > 0 || piece->type == PIECE_STRING || !is_authenticate(cmd))
		return 0;
	space = memchr(text, ' ', len);
	return space ? (size_t)(space - text) : len;
}

static void describe_bytes(GString *line, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		g_string_append_c(line, g_ascii_isprint(text[i]) ? text[i] : '?');
}

char *imap_cmd_describe(const struct imap_cmd *cmd)
{
	const char *text = (const char *)bytebuf_bytes(&cmd->text);
	GString *line = g_string_new(NULL);

	describe_bytes(line, text, cmd->name_len);
	for (guint i = 0; i < cmd->pieces->len; i++) {
		const struct piece *piece = &g_array_index(cmd->pieces, struct piece, i);
		size_t len = shown_len(cmd, i, piece);

		g_string_append_c(line, ' ');
		describe_bytes(line, text + piece->start, len);
		if (len < piece->end - piece->start)
			g_string_append(line, len > 0 ? " ***" : "***");
	}
	return g_string_free(line, FALSE);
}
