/* SPDX-License-Identifier: MIT */
/*
 * Bytes from an IMAP server → responses. Sans-I/O: the caller appends what it received to a
 * bytebuf; imap_reader_next() consumes from it and yields events. The same bytes give the same
 * events for every way of chunking them. RFC 9051 §4, §7, §9.
 *
 * A response becomes a tree of nodes in the reader's arena; it lives until the next call.
 * Literals up to WIRE_LITERAL_INLINE_MAX are nodes. Larger ones, and those the caller asked for
 * with imap_reader_stream_bodies(), are streamed: one IMAP_EVENT_DATA_BEGIN that shows the nodes
 * parsed so far (the last node is the streamed literal: its type is IMAP_NODE_STREAMED and its
 * `len` is the announced size), DATA events, and in the end the complete IMAP_EVENT_RESPONSE in
 * which the literal is an IMAP_NODE_STREAMED node without bytes.
 *
 * After IMAP_EVENT_ERROR the reader stays in error: the stream is out of step, close it.
 * Tolerated as the field requires: LF for CRLF, leading NULs, trailing and double spaces, missing
 * text, unquoted odd atoms ("[" and "]" balanced inside an atom as in BODY[HEADER.FIELDS (A B)]).
 * One CRLF between a literal and what follows is tolerated and sets `has_stray_crlf`. Refused,
 * because the stream may be out of step: a list that is not closed where its line ends, anything
 * but SP, ")" or that CRLF behind a literal, a count that is no number, a line without tag and
 * status, and whatever is over a bound of wire/limits.h.
 *
 * A "* SEARCH" line of more than WIRE_SEARCH_PIECE bytes comes as several responses, cut between
 * numbers: to be merged like several SEARCH lines. "* [CODE] text" has the name "" and the code.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytebuf.h"

enum imap_node_type {
	IMAP_NODE_ATOM,     /* number, flag, BODY[…]<0> and everything else unquoted, as sent */
	IMAP_NODE_NIL,      /* the atom NIL; text is "NIL" for places where a name is due */
	IMAP_NODE_STRING,   /* quoted, unescaped; or literal, literal8 */
	IMAP_NODE_LIST,
	IMAP_NODE_STREAMED, /* a literal whose bytes went out as data events; len = its size */
};

struct imap_node {
	enum imap_node_type type;
	const char *text; /* not STREAMED, not LIST: `len` bytes and a NUL behind them */
	uint64_t len;
	struct imap_node *child; /* LIST: first element, NULL when empty */
	struct imap_node *next;
};

enum imap_kind {
	IMAP_CONTINUATION, /* "+ …": `text` is what follows */
	IMAP_UNTAGGED,
	IMAP_TAGGED,
};

enum imap_status { IMAP_STATUS_NONE, IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };

/* One complete response. */
struct imap_response {
	enum imap_kind kind;
	const char *tag;         /* TAGGED */
	enum imap_status status; /* OK NO BAD BYE PREAUTH, tagged or not; else NONE */
	bool has_number;         /* "* 12 FETCH": number = 12 */
	uint32_t number;
	const char *name;             /* "FETCH", "LIST", "OK", upper case; "" for a continuation */
	const struct imap_node *args; /* what follows the name, if status is NONE; may be NULL */

	/* status responses: "[CODE args] text" */
	const char *code;                  /* upper case, NULL = none */
	const struct imap_node *code_args; /* parsed list-aware: a ']' in a flag does not end it */
	const char *text;                  /* raw server text, never NULL; not printable as it is */

	bool has_stray_crlf; /* a literal was followed by a stray line end */
};

enum imap_event_type {
	IMAP_EVENT_NEED_MORE, /* append bytes and call again */
	IMAP_EVENT_RESPONSE,
	IMAP_EVENT_DATA_BEGIN, /* `response` is partial: number, name, args so far */
	IMAP_EVENT_DATA,       /* bytes/len: the next piece of the streamed literal */
	IMAP_EVENT_DATA_END,
	IMAP_EVENT_ERROR,      /* `error` says why */
};

struct imap_event {
	enum imap_event_type type;
	const struct imap_response *response; /* until the next call */
	const uint8_t *bytes;                 /* DATA: until the next call or change of the buffer */
	size_t len;
	const char *error; /* static text */
};

struct imap_reader;
struct imap_reader *imap_reader_new(void);
void imap_reader_free(struct imap_reader *reader);

/* True: literals of BODY[…] and BINARY[…] items in FETCH are streamed whatever their size. Sessions
 * leave it off; with it, tests cut short bodies at every byte. */
void imap_reader_stream_bodies(struct imap_reader *reader, bool is_on);

/* Consumes from `in`; never blocks; linear in the bytes for every chunking. */
void imap_reader_next(struct imap_reader *reader, struct bytebuf *in, struct imap_event *ret_event);

/* Nothing of a response has been read yet: the place where STARTTLS and COMPRESS may switch. */
bool imap_reader_is_idle(const struct imap_reader *reader);

/* ---- helpers on nodes (all NULL-safe) --------------------------------------------------------- */

bool imap_node_is(const struct imap_node *node, const char *atom); /* ATOM, case-insensitive */
bool imap_node_u32(const struct imap_node *node, uint32_t *ret_value);
bool imap_node_u64(const struct imap_node *node, uint64_t *ret_value);
/* ATOM, NIL (as a name) or STRING: the text; else NULL. May hold NUL bytes: see len. */
const char *imap_node_text(const struct imap_node *node);
/* STRING or ATOM: the text; NIL and everything else: NULL. */
const char *imap_node_nstring(const struct imap_node *node);
