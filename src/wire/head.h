/* SPDX-License-Identifier: MIT */
/*
 * The few header fields that names and attributes are made of, from the raw bytes of a message or
 * of BODY[HEADER.FIELDS …]. Pure; any thread.
 *
 * Takes anything: CRLF or LF, folded lines, lines that are no fields, a "From " line in front, NUL,
 * no end of the header, nothing at all. Stops at the first empty line. The first occurrence of a
 * field counts. Linear in `len`, with memory bounded by what it returns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mailfs/types.h"

/* No field of struct head is longer, in bytes of UTF-8; cut at a character boundary. */
#define HEAD_FIELD_MAX 4096u

/* Owns what `fields` points to. A field that is there but empty is "". */
struct head {
	struct mailfs_head fields;
};

/* Sets all of *head, which needs no init; then head_done(), which leaves all fields NULL. */
void head_parse(const void *bytes, size_t len, struct head *head);
void head_done(struct head *head);

/*
 * Of the value of an address field: the display name of the first address (quotes and comments
 * undone, encoded words decoded), else the comment behind it, else its local part. NULL when
 * there is none of these; g_free() it.
 */
char *head_parse_name(const char *value, size_t len);

/*
 * The value of a Date field: RFC 5322 with its obsolete forms, and asctime(). Zones that are
 * unknown or absurd mean UTC, as the RFC has it. False when there is no such time.
 */
bool head_parse_date(const char *value, size_t len, int64_t *ret_epoch);
