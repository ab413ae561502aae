/* SPDX-License-Identifier: MIT */
/*
 * Modified UTF-7, the form of mailbox names on servers that do not speak UTF-8. RFC 3501 §5.1.3.
 * Pure; any thread.
 *
 * Decoding is strict: it succeeds only if encoding the result gives back the very bytes of the
 * server. So one shown name belongs to exactly one wire name, and no `/`, `..` or NUL can hide in
 * base64. When it fails, show the wire bytes escaped; commands always carry the wire name.
 * The result may still hold control characters other than NUL, and `/` or `..` as written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* *ret_utf8 is valid UTF-8 without NUL inside; g_free() it. Linear in `len`. */
bool utf7_decode(const char *wire, size_t len, char **ret_utf8);

/* The one canonical wire form; g_free() it. NULL when `utf8` is not valid UTF-8. */
char *utf7_encode(const char *utf8);
