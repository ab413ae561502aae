/* SPDX-License-Identifier: MIT */
/*
 * For tests of the POP3 reader: events as text, and the same bytes in every chunking.
 *
 * `follows` has a letter for each answer: 'l' a listing, 'm' a message follows it if it is +OK, any
 * other: nothing. A dump: "+OK [CODE] {text} |", "-ERR …|", "+ {text} |", "L'line' |", "D'bytes' |"
 * for all data of a message, "END |"; in the end "idle", "more" or "ERROR text".
 */
#pragma once

#include <string.h>

#include <glib.h>

#include "base/bytebuf.h"
#include "wire/pop3_reader.h"

struct pop3_dump {
	struct pop3_reader *reader;
	struct bytebuf in;
	GString *out;
	const char *follows;
	bool is_in_data, is_dead;
};

static inline void pop3_dump_text(GString *out, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\r')
			g_string_append(out, "\\r");
		else if (bytes[i] == '\n')
			g_string_append(out, "\\n");
		else if (bytes[i] == '\0')
			g_string_append(out, "\\0");
		else
			g_string_append_c(out, bytes[i]);
	}
}

static inline void pop3_dump_status(struct pop3_dump *dump, const struct pop3_event *event)
{
	char kind = *dump->follows;

	if (kind)
		dump->follows++;
	g_string_append(dump->out, event->is_ok ? "+OK" : "-ERR");
	if (event->code)
		g_string_append_printf(dump->out, " [%s]", event->code);
	if (event->text[0]) {
		g_string_append(dump->out, " {");
		pop3_dump_text(dump->out, event->text, strlen(event->text));
		g_string_append_c(dump->out, '}');
	}
	g_string_append(dump->out, " | ");
	if (event->is_ok && (kind == 'l' || kind == 'm'))
		pop3_reader_expect(dump->reader, kind == 'm' ? POP3_MESSAGE : POP3_LISTING);
}

/* False: give more bytes, or there is no use in it. */
static inline bool pop3_dump_event(struct pop3_dump *dump)
{
	struct pop3_event event;

	pop3_reader_next(dump->reader, &dump->in, &event);
	if (dump->is_in_data && event.type != POP3_EVENT_DATA && event.type != POP3_EVENT_NEED_MORE) {
		g_string_append(dump->out, "' | ");
		dump->is_in_data = false;
	}
	switch (event.type) {
	case POP3_EVENT_NEED_MORE:
		return false;
	case POP3_EVENT_STATUS:
		pop3_dump_status(dump, &event);
		return true;
	case POP3_EVENT_CHALLENGE:
		g_string_append_printf(dump->out, "+ {%s} | ", event.text);
		return true;
	case POP3_EVENT_LINE:
		g_string_append_printf(dump->out, "L'%s' | ", event.text);
		return true;
	case POP3_EVENT_DATA:
		g_assert_cmpuint(event.len, >, 0);
		if (!dump->is_in_data)
			g_string_append(dump->out, "D'");
		dump->is_in_data = true;
		pop3_dump_text(dump->out, (const char *)event.bytes, event.len);
		return true;
	case POP3_EVENT_END:
		g_string_append(dump->out, "END | ");
		return true;
	case POP3_EVENT_ERROR:
		break;
	}
	if (!dump->is_dead)
		g_string_append_printf(dump->out, "ERROR %s", event.text);
	dump->is_dead = true;
	return false;
}

/* In pieces of `first`, then of `step` bytes; g_free() it. */
static inline char *pop3_dump_pieces(const char *follows, const void *bytes, size_t len, size_t first,
	size_t step)
{
	struct pop3_dump dump = {
		.reader = pop3_reader_new(), .out = g_string_new(NULL), .follows = follows,
	};

	bytebuf_init(&dump.in);
	for (size_t at = 0; at < len && !dump.is_dead;) {
		size_t piece = MIN(at == 0 ? first : step, len - at);

		bytebuf_append(&dump.in, (const char *)bytes + at, piece);
		while (pop3_dump_event(&dump))
			;
		at += piece;
	}
	if (dump.is_in_data)
		g_string_append(dump.out, "' | ");
	if (!dump.is_dead)
		g_string_append(dump.out, pop3_reader_is_idle(dump.reader, &dump.in) ? "idle" : "more");
	pop3_reader_free(dump.reader);
	bytebuf_done(&dump.in);
	return g_string_free(dump.out, FALSE);
}
