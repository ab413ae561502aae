/* SPDX-License-Identifier: MIT */
/* Every bound on what a server may make us hold. All sizes in bytes. */
#pragma once

#define WIRE_LINE_MAX           (1024 * 1024)      /* one response without its literals */
#define WIRE_RESPONSE_MAX       (4 * 1024 * 1024)  /* one response with its inline literals, parsed */
#define WIRE_DEPTH_MAX          32                 /* nested lists */
#define WIRE_LITERAL_INLINE_MAX (64 * 1024)        /* larger literals are streamed as data events */
#define WIRE_LITERAL_MAX        (4ull << 30)       /* an announced size not below this is refused */
#define WIRE_QUOTED_MAX         (64 * 1024)
#define WIRE_SEARCH_PIECE       (64 * 1024)        /* a longer "* SEARCH" line comes in pieces */
#define WIRE_TAG_MAX            64                 /* a tag in a response */
#define WIRE_OBJECT_ID_MAX      255                /* EMAILID, THREADID. RFC 8474 §3 */
#define WIRE_SET_MAX            900                /* a UID set inside a command that we send */
#define WIRE_KEYWORD_MAX        100                /* length of one keyword */
#define WIRE_KEYWORDS_MAX       256                /* keywords of one message or mailbox */
#define WIRE_KEYWORD_SENT_MAX   64                 /* length of a keyword that we send */
#define WIRE_KEYWORDS_SENT_MAX  100                /* keywords in a command that we send */
#define WIRE_LEADING_NUL_MAX    1024               /* NULs before a line (seen in the field) */
#define WIRE_POP3_LINE_MAX      (16 * 1024)        /* a status line, or a line of a listing */
#define WIRE_POP3_CODE_MAX      64                 /* a response code */
#define WIRE_POP3_UIDL_MAX      70                 /* RFC 1939 §7; a longer one is hashed */
#define WIRE_POP3_MESSAGES_MAX  (1000u * 1000)    /* in one maildrop */
