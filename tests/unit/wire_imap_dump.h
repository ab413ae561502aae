/* SPDX-License-Identifier: MIT */
/*
 * For tests of the IMAP reader: events as text, and the same bytes in every chunking.
 *
 * A dump is the events in order, each with a " |" behind it. Responses:
 *   "* 12 FETCH (UID 5 'text') |"      strings in ' ', streamed literals as <size>, no bytes
 *   "a1 OK [CODE (args)] {text} |"     status responses
 *   "+ {text} |"
 * "BEGIN …|" is the partial response, "DATA 'bytes' |" all data of one literal, "!stray" a stray
 * line end; a space inside an atom is "_". The end is "idle", "more" or "ERROR text". NUL is shown as
 * \0, CR as \r, LF as \n, ' as \'.
 */
#pragma once

#include <string.h>

#include <glib.h>

#include "base/bytebuf.h"
#include "wire/imap_reader.h"

static inline void dump_bytes(GString *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\0')
			g_string_append(out, "\\0");
		else if (c == '\r')
			g_string_append(out, "\\r");
		else if (c == '\n')
			g_string_append(out, "\\n");
		else if (c == '\'')
			g_string_append(out, "\\'");
		else
			g_string_append_c(out, (char)c);
	}
}

/* A space inside an atom is shown as "_", so that one atom does not look like two. */
static inline void dump_atom(GString *out, const struct imap_node *node)
{
	gsize at = out->len;

	dump_bytes(out, node->text, (size_t)node->len);
	for (; at < out->len; at++)
		if (out->str[at] == ' ')
			out->str[at] = '_';
}

static inline void dump_nodes(GString *out, const struct imap_node *node)
{
	for (; node; node = node->next) {
		switch (node->type) {
		case IMAP_NODE_ATOM:
			dump_atom(out, node);
			break;
		case IMAP_NODE_NIL:
			g_string_append(out, "NIL");
			break;
		case IMAP_NODE_STRING:
			g_string_append_c(out, '\'');
			dump_bytes(out, node->text, (size_t)node->len);
			g_string_append_c(out, '\'');
			break;
		case IMAP_NODE_LIST:
			g_string_append_c(out, '(');
			dump_nodes(out, node->child); /* WIRE_DEPTH_MAX deep at most */
			g_string_append_c(out, ')');
			break;
		case IMAP_NODE_STREAMED:
			g_string_append_printf(out, "<%" G_GUINT64_FORMAT ">", node->len);
			break;
		}
		/* Every text has a NUL behind it. */
		if (node->text)
			g_assert_cmpint(node->text[node->len], ==, '\0');
		if (node->next)
			g_string_append_c(out, ' ');
	}
}

static inline void dump_response(GString *out, const struct imap_response *response)
{
	static const char *const status[] = { "", "OK", "NO", "BAD", "BYE", "PREAUTH" };

	g_assert_nonnull(response->text);
	g_assert_nonnull(response->name);
	if (response->kind == IMAP_CONTINUATION)
		g_string_append_c(out, '+');
	else if (response->kind == IMAP_TAGGED)
		g_string_append(out, response->tag);
	else
		g_string_append_c(out, '*');
	if (response->has_number)
		g_string_append_printf(out, " %u", response->number);
	if (response->name[0])
		g_string_append_printf(out, " %s", response->name);
	if (response->status != IMAP_STATUS_NONE)
		g_assert_cmpstr(status[response->status], ==, response->name);
	if (response->args)
		g_string_append_c(out, ' ');
	dump_nodes(out, response->args);
	if (response->code) {
		g_string_append_printf(out, " [%s", response->code);
		if (response->code_args)
			g_string_append_c(out, ' ');
		dump_nodes(out, response->code_args);
		g_string_append_c(out, ']');
	}
	if (response->text[0]) {
		g_string_append(out, " {");
		dump_bytes(out, response->text, strlen(response->text));
		g_string_append_c(out, '}');
	}
	if (response->has_stray_crlf)
		g_string_append(out, " !stray");
	g_string_append(out, " |");
}

struct dump {
	struct imap_reader *reader;
	struct bytebuf in;
	GString *out;
	bool is_in_data;
	bool is_dead;
};

static inline void dump_init(struct dump *dump)
{
	*dump = (struct dump){ .reader = imap_reader_new(), .out = g_string_new(NULL) };
	bytebuf_init(&dump->in);
}

static inline void dump_gap(struct dump *dump)
{
	if (dump->out->len > 0)
		g_string_append_c(dump->out, ' ');
}

/* False: give more bytes, or there is no use in it. */
static inline bool dump_event(struct dump *dump)
{
	struct imap_event event;

	imap_reader_next(dump->reader, &dump->in, &event);
	switch (event.type) {
	case IMAP_EVENT_NEED_MORE:
		return false;
	case IMAP_EVENT_RESPONSE:
		dump_gap(dump);
		dump_response(dump->out, event.response);
		return true;
	case IMAP_EVENT_DATA_BEGIN:
		dump_gap(dump);
		g_string_append(dump->out, "BEGIN ");
		dump_response(dump->out, event.response);
		g_string_append(dump->out, " DATA '");
		return true;
	case IMAP_EVENT_DATA:
		g_assert_cmpuint(event.len, >, 0);
		dump_bytes(dump->out, (const char *)event.bytes, event.len);
		return true;
	case IMAP_EVENT_DATA_END:
		g_string_append(dump->out, "' |");
		return true;
	case IMAP_EVENT_ERROR:
		break;
	}
	g_assert_nonnull(event.error);
	if (!dump->is_dead) {
		dump_gap(dump);
		g_string_append_printf(dump->out, "ERROR %s", event.error);
	}
	dump->is_dead = true;
	return false;
}

static inline void dump_feed(struct dump *dump, const void *bytes, size_t len)
{
	if (dump->is_dead)
		return;
	bytebuf_append(&dump->in, bytes, len);
	while (dump_event(dump))
		;
}

/* The dump; g_free() it. */
static inline char *dump_done(struct dump *dump)
{
	if (!dump->is_dead) {
		bool is_idle = imap_reader_is_idle(dump->reader) && dump->in.len == 0;

		dump_gap(dump);
		g_string_append(dump->out, is_idle ? "idle" : "more");
	}
	imap_reader_free(dump->reader);
	bytebuf_done(&dump->in);
	return g_string_free(dump->out, FALSE);
}

/* In pieces of `first`, then of `step` bytes. */
static inline char *dump_pieces(const void *bytes, size_t len, size_t first, size_t step,
	bool stream_bodies)
{
	struct dump dump;

	dump_init(&dump);
	imap_reader_stream_bodies(dump.reader, stream_bodies);
	for (size_t at = 0; at < len;) {
		size_t piece = MIN(at == 0 ? first : step, len - at);

		dump_feed(&dump, (const char *)bytes + at, piece);
		at += piece;
	}
	return dump_done(&dump);
}

static inline void each_split_len(const char *bytes, size_t len, const char *expected,
	bool stream_bodies)
{
	g_autofree char *whole = dump_pieces(bytes, len, len, len, stream_bodies);
	g_autofree char *single = dump_pieces(bytes, len, 1, 1, stream_bodies);

	g_assert_cmpstr(whole, ==, expected);
	g_assert_cmpstr(single, ==, expected);
	for (size_t at = 1; at < len && len <= 4096; at++) {
		g_autofree char *split = dump_pieces(bytes, len, at, len, stream_bodies);

		g_assert_cmpstr(split, ==, expected);
	}
}

/* Whole, byte by byte, and in two pieces for every place to cut. `bytes` is a string literal. */
#define EACH_SPLIT(bytes, expected) each_split_len(bytes, sizeof(bytes) - 1, expected, false)
#define EACH_SPLIT_STREAMED(bytes, expected)                                                       \
	each_split_len(bytes, sizeof(bytes) - 1, expected, true)
