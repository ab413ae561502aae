/* SPDX-License-Identifier: MIT */
/* The framer of POP3: first lines, listings, messages. Pure. RFC 1939 §3. */
#include "wire/pop3_reader.h"

#include <string.h>

#include <glib.h>

#include "wire/limits.h"

enum state {
	STATE_STATUS,
	STATE_LISTING,
	STATE_MESSAGE,
	STATE_ERROR,
};

struct pop3_reader {
	enum state state;
	const char *error;   /* static */
	size_t scanned;      /* octets of the buffer that hold no line end */
	char line[WIRE_POP3_LINE_MAX + 1];
	char code[WIRE_POP3_CODE_MAX + 1];
	bool is_lf;          /* the last line ended with LF alone */

	/* A message; reset by pop3_reader_expect(). */
	bool is_line_start;
	bool was_cr;         /* the last octet was a CR */
};

struct pop3_reader *pop3_reader_new(void)
{
	return g_new0(struct pop3_reader, 1);
}

void pop3_reader_free(struct pop3_reader *reader)
{
	g_free(reader);
}

void pop3_reader_expect(struct pop3_reader *reader, enum pop3_body body)
{
	if (reader->state == STATE_ERROR)
		return;
	reader->state = body == POP3_MESSAGE ? STATE_MESSAGE : STATE_LISTING;
	reader->is_line_start = true;
	reader->was_cr = false;
}

bool pop3_reader_is_idle(const struct pop3_reader *reader, const struct bytebuf *in)
{
	return reader->state == STATE_STATUS && in->len == 0;
}

static void fail(struct pop3_reader *reader, const char *why, struct pop3_event *event)
{
	reader->state = STATE_ERROR;
	reader->error = why;
	event->type = POP3_EVENT_ERROR;
	event->text = why;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* The next line into reader->line, without its end. False: it is not all there, or an error. */
static bool take_line(struct pop3_reader *reader, struct bytebuf *in, struct pop3_event *event)
{
	const uint8_t *bytes = bytebuf_bytes(in);
	const uint8_t *end = in->len > reader->scanned
		? memchr(bytes + reader->scanned, '\n', in->len - reader->scanned)
		: NULL;
	size_t len = end ? (size_t)(end - bytes) : in->len;

	/* Without the CR, and counted alike however it is cut. */
	if (len > WIRE_POP3_LINE_MAX) {
		fail(reader, "a line that does not end", event);
		return false;
	}
	if (!end) {
		reader->scanned = in->len;
		return false;
	}
	memcpy(reader->line, bytes, len);
	reader->is_lf = len == 0 || reader->line[len - 1] != '\r';
	if (!reader->is_lf)
		len--;
	reader->line[len] = '\0';
	reader->scanned = 0;
	bytebuf_consume(in, (size_t)(end - bytes) + 1);
	return true;
}

static char *skip_spaces(char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return text;
}

/* "[CODE] text": sets the code. Returns the text. */
static char *take_code(struct pop3_reader *reader, char *text, struct pop3_event *event)
{
	char *end = *text == '[' ? strchr(text, ']') : NULL;
	size_t len = end ? (size_t)(end - text - 1) : 0;

	if (len == 0 || len > WIRE_POP3_CODE_MAX)
		return text;
	for (size_t i = 0; i < len; i++)
		reader->code[i] = g_ascii_toupper(text[i + 1]);
	reader->code[len] = '\0';
	event->code = reader->code;
	return skip_spaces(end + 1);
}

static bool is_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	return g_ascii_strncasecmp(line, word, len) == 0 &&
		(line[len] == '\0' || line[len] == ' ' || line[len] == '\t');
}

static void next_status(struct pop3_reader *reader, struct bytebuf *in, struct pop3_event *event)
{
	char *line = reader->line;

	if (!take_line(reader, in, event))
		return;
	event->is_ok = is_word(line, "+OK");
	if (event->is_ok || is_word(line, "-ERR")) {
		event->type = POP3_EVENT_STATUS;
		event->text = take_code(reader, skip_spaces(line + strcspn(line, " \t")), event);
	} else if (line[0] == '+' && (line[1] == '\0' || line[1] == ' ')) {
		event->type = POP3_EVENT_CHALLENGE;
		event->text = skip_spaces(line + 1);
	} else {
		fail(reader, "a line that is no answer of POP3", event);
	}
}

static void next_line(struct pop3_reader *reader, struct bytebuf *in, struct pop3_event *event)
{
	if (!take_line(reader, in, event))
		return;
	if (strcmp(reader->line, ".") == 0) {
		reader->state = STATE_STATUS;
		event->type = POP3_EVENT_END;
		return;
	}
	event->type = POP3_EVENT_LINE;
	event->text = reader->line[0] == '.' ? reader->line + 1 : reader->line;
}

/* ---- messages -------------------------------------------------------------------------------- */

enum dot {
	DOT_NONE,  /* the line is like any other */
	DOT_STUFF, /* one dot too many */
	DOT_END,
	DOT_MAYBE, /* what follows must be seen */
};

static enum dot look_at_dot(const uint8_t *bytes, size_t len, size_t *ret_len)
{
	if (len == 0)
		return DOT_MAYBE;
	if (bytes[0] != '.')
		return DOT_NONE;
	if (len == 1 || (len == 2 && bytes[1] == '\r'))
		return DOT_MAYBE;
	*ret_len = bytes[1] == '\n' ? 2 : 3;
	if (bytes[1] == '\n' || (bytes[1] == '\r' && bytes[2] == '\n'))
		return DOT_END;
	return DOT_STUFF;
}

/* How many octets may be passed on at once: up to a line that begins with a dot, or to the end. */
static size_t run_of_lines(struct pop3_reader *reader, const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const uint8_t *lf = memchr(bytes + at, '\n', len - at);
		bool is_crlf;

		if (!lf)
			break;
		is_crlf = lf > bytes ? lf[-1] == '\r' : reader->was_cr;
		at = (size_t)(lf - bytes) + 1;
		if (!is_crlf && !reader->is_lf)
			continue;
		if (at == len || bytes[at] == '.') {
			reader->is_line_start = true;
			return at;
		}
	}
	reader->was_cr = bytes[len - 1] == '\r';
	return len;
}

static void next_data(struct pop3_reader *reader, struct bytebuf *in, struct pop3_event *event)
{
	const uint8_t *bytes = bytebuf_bytes(in);
	size_t end_len = 0;
	enum dot dot = reader->is_line_start ? look_at_dot(bytes, in->len, &end_len) : DOT_NONE;

	if (dot == DOT_END) {
		bytebuf_consume(in, end_len);
		reader->state = STATE_STATUS;
		event->type = POP3_EVENT_END;
		return;
	}
	if (dot == DOT_MAYBE)
		return;
	if (reader->is_line_start)
		reader->was_cr = false;
	if (dot == DOT_STUFF)
		bytebuf_consume(in, 1);
	reader->is_line_start = false;
	if (in->len == 0)
		return;
	event->type = POP3_EVENT_DATA;
	event->bytes = bytebuf_bytes(in);
	event->len = run_of_lines(reader, event->bytes, in->len);
	/* The octets stay where they are until the buffer changes. */
	bytebuf_consume(in, event->len);
}

void pop3_reader_next(struct pop3_reader *reader, struct bytebuf *in, struct pop3_event *ret_event)
{
	*ret_event = (struct pop3_event){ .type = POP3_EVENT_NEED_MORE };
	switch (reader->state) {
	case STATE_STATUS:
		next_status(reader, in, ret_event);
		break;
	case STATE_LISTING:
		next_line(reader, in, ret_event);
		break;
	case STATE_MESSAGE:
		next_data(reader, in, ret_event);
		break;
	case STATE_ERROR:
		fail(reader, reader->error, ret_event);
		break;
	}
}
