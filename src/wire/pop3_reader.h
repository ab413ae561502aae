/* SPDX-License-Identifier: MIT */
/*
 * Bytes from a POP3 server → answers. Sans-I/O: the caller appends what it received to a bytebuf;
 * pop3_reader_next() consumes from it and yields events. The same bytes give the same events for
 * every way of chunking them, but for where DATA is cut. RFC 1939 §3, RFC 2449 §8.
 *
 * Whether an answer has more than its first line depends on the command, which the reader does not
 * know: after a STATUS event that is ok, and before the next call, the caller says by
 * pop3_reader_expect() what follows. A listing comes as LINE events, a message as DATA events, both
 * without dot-stuffing, then END.
 *
 * The octets of a message are passed on as they came, line ends included; counts that a server
 * announces mean nothing here (P3-1, P3-5). Its lines end with CRLF; with LF, too, only if the
 * first line of the answer did: else a mail with bare LFs could hold what looks like its own end,
 * and answers of the server behind it. ".LF" where a line begins ends it as well: an honest server
 * would have stuffed that dot.
 *
 * After POP3_EVENT_ERROR the reader stays in error: the stream is out of step, close it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytebuf.h"

enum pop3_body {
	POP3_LISTING, /* CAPA, LIST, UIDL */
	POP3_MESSAGE, /* RETR, TOP */
};

enum pop3_event_type {
	POP3_EVENT_NEED_MORE, /* append bytes and call again */
	POP3_EVENT_STATUS,    /* "+OK" or "-ERR": is_ok, code, text */
	POP3_EVENT_CHALLENGE, /* "+ base64": text */
	POP3_EVENT_LINE,      /* text: a line of a listing */
	POP3_EVENT_DATA,      /* bytes, len: the next octets of a message */
	POP3_EVENT_END,       /* of a listing or message */
	POP3_EVENT_ERROR,     /* text says why; static */
};

struct pop3_event {
	enum pop3_event_type type;
	bool is_ok;
	const char *code;     /* "IN-USE", "SYS/TEMP", upper case; NULL = none. RFC 2449 §8 */
	const char *text;     /* until the next call; as the server sent it, up to a NUL */
	const uint8_t *bytes; /* DATA: until the next call or change of the buffer */
	size_t len;
};

struct pop3_reader;
struct pop3_reader *pop3_reader_new(void);
void pop3_reader_free(struct pop3_reader *reader);

void pop3_reader_expect(struct pop3_reader *reader, enum pop3_body body);

/* Consumes from `in`; never blocks; linear in the bytes for every chunking. */
void pop3_reader_next(struct pop3_reader *reader, struct bytebuf *in, struct pop3_event *ret_event);

/* Nothing of an answer has been read yet: the place where STLS may switch. */
bool pop3_reader_is_idle(const struct pop3_reader *reader, const struct bytebuf *in);
