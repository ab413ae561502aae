/* SPDX-License-Identifier: MIT */
/*
 * INTERNALDATE as text: "17-Jul-1996 02:44:25 -0700". RFC 9051 §9 (date-time). Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The text between the quotes. A day of one digit may stand with or without a space in front of
 * it, the zone may be missing (UTC). False, *ret_epoch untouched, when there is no such time: a day
 * or month 0, an offset of 24 hours or more. Times before 1970 are valid and negative; the caller
 * clamps.
 */
bool imap_parse_internaldate(const char *text, size_t len, int64_t *ret_epoch);

/*
 * In UTC, 26 characters, the day padded with a space; g_free() it. NULL outside the years
 * 0 … 9999; servers are known to refuse much within them, so send only what is in 1980 … 2037.
 */
char *imap_format_internaldate(int64_t epoch);
