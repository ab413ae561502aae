/* SPDX-License-Identifier: MIT */
/*
 * Text of mail headers, in whatever charset, to valid UTF-8. Never fails: what cannot be read
 * becomes U+FFFD, ASCII stays. Only charsets from a fixed table reach iconv, since a sender
 * chooses the name; a set of converters opens at most CHARSETS_MAX of them.
 * Pure but for the converter tables that iconv loads; a `struct charsets` belongs to one caller.
 */
#pragma once

#include <stddef.h>

#include <glib.h>

#define CHARSETS_MAX 8u

struct charsets {
	struct {
		const char *name; /* iconv's; static */
		GIConv cd;        /* (GIConv)-1 = this system has no such converter */
	} open[CHARSETS_MAX];
	unsigned count;
};

void charsets_init(struct charsets *charsets);
void charsets_done(struct charsets *charsets);

/* Append `bytes`, in the charset called `name` by the sender, to `out` as UTF-8. */
void charsets_append(struct charsets *charsets, const char *name, size_t name_len,
	const char *bytes, size_t len, GString *out);

/* The same for bytes without a label: UTF-8 if all of it is valid, else windows-1252. */
void charset_append_unlabelled(const char *bytes, size_t len, GString *out);
