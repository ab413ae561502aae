/* SPDX-License-Identifier: MIT */
/*
 * Folder names as directory names: an escaping that can be undone. Applied to each component,
 * after the decoded name was split at the server's delimiter. Pure; any thread. NM-1, NM-2.
 *
 * A byte becomes '%' and two upper-case hex digits when it is
 *   - '/', NUL, below 0x20, 0x7f, or not part of valid UTF-8;
 *   - part of a C1 control, bidi or other format character, or line separator (not U+200C and
 *     U+200D, which Persian, Indic names and emoji need);
 *   - a '%' before two hex digits, or a '%' that is the whole name ("100%" and "a%b" stay);
 *   - the first '.' of "." and "..", and of ".mailfs" with FOLDER_AT_ROOT;
 *   - the '.' of a final ".eml", so that no folder looks like a message of its parent;
 *   - the '~' before 16 hex digits at the end, which is the mark of a name that was cut.
 * The empty name becomes "%". What is longer than 255 bytes then is cut, and ends in '~' and 16
 * hex digits of a hash (the start of its SHA-256) of the whole name.
 *
 * Why it can be undone: an escape is a '%' before two hex digits, and no other '%' of the output
 * stands before two hex digits: one of the name that did was escaped, and an escape that follows
 * starts with '%', which is no hex digit. So no two names have one escaped form, unless both are
 * cut and have equal hashes. Bytes are kept as they are: no NFC, no case folding (NM-3, NM-4).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FOLDER_COMPONENT_MAX 255

enum folder_escape {
	FOLDER_AT_ROOT = 1u << 0, /* the component stands at the root of the mount */
	/* The escaped form is taken by another folder (wire names that do not decode may show as
	 * others do): escape the first plain character too. Changes nothing if there is none. */
	FOLDER_TAKEN   = 1u << 1,
};

/* A new string: 1 … 255 bytes, never "." or "..", no '/'. Any bytes, any length, linear. */
char *folder_component_escape(const char *bytes, size_t len, unsigned flags);

/*
 * The name whose escaped form `shown` is, with some set of flags: a new string with a NUL behind
 * its *ret_len bytes (there may be more NULs inside). NULL: `shown` is no output of
 * folder_component_escape(), or it was cut.
 */
char *folder_component_unescape(const char *shown, size_t *ret_len);
