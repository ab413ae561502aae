/* SPDX-License-Identifier: MIT */
/*
 * Commands → bytes. A command is built from pieces; strings that cannot be quoted become
 * synchronising literals, so that the bytes come in segments: after each but the last, the sender
 * waits for "+". User bytes never become an atom. RFC 9051 §4.3, §6, §9. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytebuf.h"

struct imap_cmd; /* without its tag */

struct imap_cmd *imap_cmd_new(const char *name); /* "UID FETCH", "LIST"; trusted text */
void imap_cmd_free(struct imap_cmd *cmd);        /* wipes: may hold a password */

/* Each adds a space, then: */
void imap_cmd_raw(struct imap_cmd *cmd, const char *text); /* trusted text as it is */
void imap_cmd_rawf(struct imap_cmd *cmd, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Quoted if it may be, else a literal. False (and nothing added) when it holds a NUL, or a CR or
 * LF while `may_hold_crlf` is false, or is over 64 KiB. Never an atom. */
bool imap_cmd_string(struct imap_cmd *cmd, const void *bytes, size_t len, bool may_hold_crlf);
/* A mailbox by its wire name, always quoted or literal (NM-11). */
bool imap_cmd_mailbox(struct imap_cmd *cmd, const char *wire_name);
/* "(\\Seen todo)": enum mailfs_flag and keywords (NULL-terminated or NULL). False (and nothing added)
 * when a keyword is none or there are too many: they come from users (FL-2, SEC-47). */
bool imap_cmd_flags(struct imap_cmd *cmd, unsigned flags, const char *const *keywords);
/* Characters of an atom only, not empty, bounded: what may be sent as a keyword. */
bool imap_is_keyword(const char *text);
/* "{SIZE}", last of all: the bytes are the caller's. The last segment is the line end behind them. */
void imap_cmd_literal(struct imap_cmd *cmd, uint64_t size);

/* The bytes to send: "TAG NAME args CRLF" in `count` segments. Borrowed from the command. */
struct imap_segment {
	const uint8_t *bytes;
	size_t len;
};
size_t imap_cmd_finish(struct imap_cmd *cmd, const char *tag);
struct imap_segment imap_cmd_segment(const struct imap_cmd *cmd, size_t index);
/* The text for a log: the arguments of a command marked secret are masked, but for the mechanism of
 * AUTHENTICATE. */
void imap_cmd_set_secret(struct imap_cmd *cmd);
char *imap_cmd_describe(const struct imap_cmd *cmd); /* g_free() it; printable, one line */
