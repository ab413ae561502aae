/* SPDX-License-Identifier: MIT */
/*
 * Header text for people: encoded words (RFC 2047, language suffix of RFC 2231 §5), raw 8-bit
 * text, folding. Pure; any thread.
 *
 * Nothing here fails. The result is always valid UTF-8 on one line: unfolded, control characters
 * and line ends as spaces, white space trimmed at both ends. Words that are broken stay as they
 * are. Bidi and other format characters stay too; who makes file names of it removes them.
 * Linear in `len`, and only the first RFC2047_INPUT_MAX bytes are looked at.
 */
#pragma once

#include <stddef.h>

#define RFC2047_INPUT_MAX 65536u

/*
 * The value of a field, folded or not, decoded and cut at a character boundary so that it has at
 * most `max_bytes` bytes. Never NULL; g_free() it.
 */
char *rfc2047_decode(const char *raw, size_t len, size_t max_bytes);

/* The same without looking for encoded words: for identifiers and addresses. */
char *rfc2047_clean(const char *raw, size_t len, size_t max_bytes);

/* Length of the encoded word that `text` starts with; 0 = it starts with none. */
size_t rfc2047_word_len(const char *text, size_t len);
