/* SPDX-License-Identifier: MIT */
/*
 * The framer: lines and literals out of the byte queue, responses out of them. RFC 9051 §4.3.
 *
 * A line is looked at only when all of it is there, so that how the bytes were cut cannot matter;
 * `scanned` remembers how far the search for its end has come, so that it costs linear time.
 * A literal announces its size; nothing is allocated by that number before the bytes are there.
 */
#include "wire/imap_reader.h"

#include <string.h>

#include <glib.h>

#include "wire/imap_line.h"
#include "wire/imap_tree.h"
#include "wire/limits.h"

enum reader_state {
	READER_START,  /* before a response */
	READER_LINE,   /* behind a literal */
	READER_INLINE, /* in a literal that becomes a node */
	READER_STREAM, /* in a literal that goes out as data */
	READER_SEARCH, /* behind a piece of a long SEARCH line */
	READER_ERROR,
};

struct imap_reader {
	enum reader_state state;
	bool stream_bodies;
	const char *error;

	size_t scanned; /* this many bytes at the front of the queue hold no LF */
	unsigned nuls;  /* skipped before the line; reset by each line */

	/* reset by reader_begin() */
	struct arena arena;
	struct imap_tree tree;
	struct imap_response response;
	size_t line_bytes; /* of this response, without literals */

	/* reset by each literal */
	uint64_t literal; /* INLINE, STREAM: bytes to come */
	bool is_stray;    /* a stray line end stood behind it */
};

struct imap_reader *imap_reader_new(void)
{
	struct imap_reader *reader = g_new0(struct imap_reader, 1);

	arena_init(&reader->arena);
	return reader;
}

void imap_reader_free(struct imap_reader *reader)
{
	if (!reader)
		return;
	arena_done(&reader->arena);
	g_free(reader);
}

void imap_reader_stream_bodies(struct imap_reader *reader, bool is_on)
{
	reader->stream_bodies = is_on;
}

bool imap_reader_is_idle(const struct imap_reader *reader)
{
	return reader->state == READER_START && reader->scanned == 0 && reader->nuls == 0;
}

static void reader_begin(struct imap_reader *reader)
{
	arena_reset(&reader->arena);
	imap_tree_begin(&reader->tree, &reader->arena);
	reader->response = (struct imap_response){ 0 };
	reader->line_bytes = 0;
}

/* Each step below sets `event` and returns true, or has changed the state: go on with that. */
static bool reader_fail(struct imap_reader *reader, struct imap_event *event, const char *error)
{
	reader->state = READER_ERROR;
	reader->error = error;
	*event = (struct imap_event){ .type = IMAP_EVENT_ERROR, .error = error };
	return true;
}

static bool reader_wait(struct imap_event *event)
{
	*event = (struct imap_event){ .type = IMAP_EVENT_NEED_MORE };
	return true;
}

static bool reader_give(struct imap_reader *reader, struct imap_event *event,
	enum reader_state state, enum imap_event_type type)
{
	reader->state = state;
	reader->response.args = reader->tree.root;
	*event = (struct imap_event){ .type = type, .response = &reader->response };
	return true;
}

/* ---- lines ------------------------------------------------------------------------------------ */

/* Bytes up to the LF, at most `limit` of them looked at; SIZE_MAX = it is not among them. */
static size_t reader_find_lf(struct imap_reader *reader, const struct bytebuf *in, size_t limit)
{
	size_t stop = MIN(in->len, limit);
	const uint8_t *bytes, *lf;

	if (reader->scanned >= stop)
		return SIZE_MAX;
	bytes = bytebuf_bytes(in);
	lf = memchr(bytes + reader->scanned, '\n', stop - reader->scanned);
	if (!lf) {
		reader->scanned = stop;
		return SIZE_MAX;
	}
	return (size_t)(lf - bytes);
}

/* Moves `len` bytes of text and `skip` of delimiter from the queue to the arena. */
static char *reader_take(struct imap_reader *reader, struct bytebuf *in, size_t len, size_t skip)
{
	char *text = arena_memdup(&reader->arena, bytebuf_bytes(in), len);

	bytebuf_consume(in, len + skip);
	reader->scanned = 0;
	reader->nuls = 0;
	reader->line_bytes += len + skip;
	return text;
}

static size_t without_cr(const struct bytebuf *in, size_t len)
{
	return len > 0 && bytebuf_bytes(in)[len - 1] == '\r' ? len - 1 : len;
}

/* BODY[…] and BINARY[…] in the list of a FETCH. */
static bool reader_is_body(const struct imap_reader *reader)
{
	const struct imap_node *name = reader->tree.last;

	if (strcmp(reader->response.name, "FETCH") != 0 || reader->tree.depth != 1 || !name ||
		name->type != IMAP_NODE_ATOM)
		return false;
	return g_ascii_strncasecmp(name->text, "BODY[", 5) == 0 ||
		g_ascii_strncasecmp(name->text, "BINARY[", 7) == 0;
}

static bool reader_literal(struct imap_reader *reader, struct imap_event *event)
{
	reader->is_stray = false;
	if (reader->literal > WIRE_LITERAL_INLINE_MAX ||
		(reader->stream_bodies && reader_is_body(reader))) {
		imap_tree_add_literal(&reader->tree, NULL, reader->literal);
		return reader_give(reader, event, READER_STREAM, IMAP_EVENT_DATA_BEGIN);
	}
	if (reader->arena.used + reader->literal > WIRE_RESPONSE_MAX)
		return reader_fail(reader, event, "response too large");
	reader->state = READER_INLINE;
	return false;
}

static bool reader_feed(struct imap_reader *reader, struct imap_event *event, char *text,
	size_t len)
{
	switch (imap_tree_feed(&reader->tree, text, len, &reader->literal)) {
	case IMAP_TREE_LITERAL:
		return reader_literal(reader, event);
	case IMAP_TREE_END:
		return reader_give(reader, event, READER_START, IMAP_EVENT_RESPONSE);
	case IMAP_TREE_ERROR:
		break;
	}
	return reader_fail(reader, event, reader->tree.error);
}

/* ---- long SEARCH lines ------------------------------------------------------------------------ */

/* A folder of a million messages answers SEARCH with a line of 8 MB: it is cut between numbers.
 * The place depends on nothing but the bytes: the last space of the first WIRE_SEARCH_PIECE. Never
 * inside a list: what is in it are no message numbers. */
static bool reader_search_cut(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event, size_t skip)
{
	const uint8_t *bytes = bytebuf_bytes(in);
	const uint8_t *list = memchr(bytes + skip, '(', WIRE_SEARCH_PIECE - skip);
	const uint8_t *cut = memrchr(bytes + skip, ' ',
		list ? (size_t)(list - bytes) - skip : WIRE_SEARCH_PIECE - skip);
	char *text;

	if (!cut || cut == bytes)
		return reader_fail(reader, event, "line too long");
	reader_begin(reader);
	text = reader_take(reader, in, (size_t)(cut - bytes), 0);
	reader->response.kind = IMAP_UNTAGGED;
	reader->response.name = "SEARCH";
	reader->response.text = "";
	if (imap_tree_feed(&reader->tree, text + skip, (size_t)(cut - bytes) - skip,
		&reader->literal) != IMAP_TREE_END)
		return reader_fail(reader, event, "bad SEARCH");
	return reader_give(reader, event, READER_SEARCH, IMAP_EVENT_RESPONSE);
}

static bool reader_step_search(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event)
{
	size_t lf = reader_find_lf(reader, in, WIRE_SEARCH_PIECE), len;

	if (lf == SIZE_MAX && in->len < WIRE_SEARCH_PIECE)
		return reader_wait(event);
	if (lf == SIZE_MAX)
		return reader_search_cut(reader, in, event, 0);
	reader_begin(reader);
	reader->response.kind = IMAP_UNTAGGED;
	reader->response.name = "SEARCH";
	reader->response.text = "";
	len = without_cr(in, lf);
	return reader_feed(reader, event, reader_take(reader, in, len, lf + 1 - len), len);
}

static bool is_search(const struct bytebuf *in)
{
	return g_ascii_strncasecmp((const char *)bytebuf_bytes(in), "* SEARCH ", 9) == 0;
}

/* ---- states ----------------------------------------------------------------------------------- */

/* NULs before a line: seen behind login prompts (CN-5). */
static bool reader_skip_nuls(struct imap_reader *reader, struct bytebuf *in)
{
	while (in->len > 0 && reader->scanned == 0 && *bytebuf_bytes(in) == '\0') {
		if (++reader->nuls > WIRE_LEADING_NUL_MAX)
			return false;
		bytebuf_consume(in, 1);
	}
	return true;
}

static bool reader_first_line(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event, size_t lf)
{
	size_t len = without_cr(in, lf);
	char *line, *args;

	reader_begin(reader);
	line = reader_take(reader, in, len, lf + 1 - len);
	if (len == 0)
		return false; /* an empty line between responses says nothing */
	switch (imap_line_parse(line, len, &reader->tree, &reader->response, &args)) {
	case IMAP_LINE_WHOLE:
		return reader_give(reader, event, READER_START, IMAP_EVENT_RESPONSE);
	case IMAP_LINE_ARGS:
		return reader_feed(reader, event, args, (size_t)(line + len - args));
	case IMAP_LINE_ERROR:
		break;
	}
	return reader_fail(reader, event, reader->tree.error);
}

static bool reader_step_start(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event)
{
	size_t lf;

	if (!reader_skip_nuls(reader, in))
		return reader_fail(reader, event, "too many NULs");
	lf = reader_find_lf(reader, in, WIRE_LINE_MAX);
	if ((lf == SIZE_MAX ? in->len : lf) >= WIRE_SEARCH_PIECE && is_search(in))
		return reader_search_cut(reader, in, event, strlen("* SEARCH "));
	if (lf != SIZE_MAX)
		return reader_first_line(reader, in, event, lf);
	if (in->len >= WIRE_LINE_MAX)
		return reader_fail(reader, event, "line too long");
	return reader_wait(event);
}

/* What may stand behind a literal; all else shows that its size was wrong (SZ-5). */
static bool reader_may_follow(const struct imap_reader *reader, uint8_t c)
{
	if (c == ' ')
		return true;
	if (c == ')')
		return reader->tree.depth > 0;
	return (c == '\r' || c == '\n') && !reader->is_stray;
}

static bool reader_out_of_step(struct imap_reader *reader, struct imap_event *event)
{
	return reader_fail(reader, event, "literal has another size than announced");
}

static bool reader_step_line(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event)
{
	size_t lf, len;

	if (in->len == 0)
		return reader_wait(event);
	if (!reader_may_follow(reader, *bytebuf_bytes(in)))
		return reader_out_of_step(reader, event);
	lf = reader_find_lf(reader, in, WIRE_LINE_MAX - reader->line_bytes);
	if (lf == SIZE_MAX) {
		if (in->len >= WIRE_LINE_MAX - reader->line_bytes)
			return reader_fail(reader, event, "line too long");
		return reader_wait(event);
	}
	len = without_cr(in, lf);
	if (len > 0 && *bytebuf_bytes(in) == '\r')
		return reader_out_of_step(reader, event);
	if (len == 0 && reader->tree.depth > 0) {
		reader_take(reader, in, len, lf + 1 - len);
		reader->is_stray = reader->response.has_stray_crlf = true;
		return false;
	}
	return reader_feed(reader, event, reader_take(reader, in, len, lf + 1 - len), len);
}

static bool reader_step_inline(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event)
{
	size_t len = (size_t)reader->literal;
	const char *text;

	if (in->len < len)
		return reader_wait(event);
	text = arena_memdup(&reader->arena, bytebuf_bytes(in), len);
	bytebuf_consume(in, len);
	imap_tree_add_literal(&reader->tree, text, len);
	reader->state = READER_LINE;
	return false;
}

static bool reader_step_stream(struct imap_reader *reader, struct bytebuf *in,
	struct imap_event *event)
{
	size_t len = (size_t)MIN((uint64_t)in->len, reader->literal);

	if (reader->literal == 0) {
		reader->state = READER_LINE;
		*event = (struct imap_event){ .type = IMAP_EVENT_DATA_END };
		return true;
	}
	if (len == 0)
		return reader_wait(event);
	*event = (struct imap_event){ .type = IMAP_EVENT_DATA, .bytes = bytebuf_bytes(in), .len = len };
	reader->literal -= len;
	bytebuf_consume(in, len);
	return true;
}

static bool reader_step(struct imap_reader *reader, struct bytebuf *in, struct imap_event *event)
{
	switch (reader->state) {
	case READER_START:
		return reader_step_start(reader, in, event);
	case READER_LINE:
		return reader_step_line(reader, in, event);
	case READER_INLINE:
		return reader_step_inline(reader, in, event);
	case READER_STREAM:
		return reader_step_stream(reader, in, event);
	case READER_SEARCH:
		return reader_step_search(reader, in, event);
	case READER_ERROR:
		break;
	}
	return reader_fail(reader, event, reader->error);
}

void imap_reader_next(struct imap_reader *reader, struct bytebuf *in, struct imap_event *ret_event)
{
	while (!reader_step(reader, in, ret_event))
		;
}
