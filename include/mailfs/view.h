/* SPDX-License-Identifier: MIT */
/*
 * How mail looks as file names: what the author of a view implements, and what its users call.
 *
 * A view turns what is known of one message into the name that is listed. Everything here is
 * pure: no I/O, no clock, no log, no locale; any thread. The same input gives the same name; only
 * a newer Unicode table of GLib may make a difference, for characters that were unassigned
 * before. That is harmless: a name, once given, is stored by whoever asked for it.
 *
 * What every name promises, whatever the input holds
 *   - 1 … MAILFS_NAME_MAX bytes, valid UTF-8, NFC, ends in ".eml";
 *   - unique in its folder: it holds the UID, and two UIDs never give one name;
 *   - the UID stands in it as a run of ASCII digits that no other digit touches, so that
 *     view_uid_candidates() finds it again;
 *   - needs no quoting in `ls` nor in the completion of bash: letters, marks and digits of any
 *     script, symbols such as emoji, and of ASCII also '+', '-', '.', '_'; no spaces;
 *   - no control, bidi or other invisible characters, no leading '.' or '-', and no name that
 *     Windows takes for a device.
 */
#pragma once

#include <glib.h>

#include "mailfs/types.h"

/* Bytes of a message name without the NUL. What eCryptfs can hold; 255 elsewhere. */
#define MAILFS_NAME_MAX 143

/* No name of a view holds more runs of digits than this. */
#define VIEW_UIDS_MAX ((MAILFS_NAME_MAX + 1) / 2)

/* What a name is made of. Borrowed for the call. */
struct mailfs_name_input {
	uint32_t uid;                   /* never 0 */
	int64_t date;                   /* INTERNALDATE, seconds since 1970 UTC; any value */
	const struct mailfs_head *head; /* NULL = not known; then words such as "no-subject" */
};

/* A view. To write one: fill these slots in a file of its own and add it to view.c. */
struct mailfs_view {
	const char *name; /* of the preset, as in -o name=human; "template" for templates */
	bool needs_head;  /* false: names are right even with head = NULL, no header is fetched */
	/* Writes a NUL-terminated name that keeps the promises above. */
	void (*write_name)(const struct mailfs_view *view, const struct mailfs_name_input *input,
		char ret_name[MAILFS_NAME_MAX + 1]);
};

/* The preset of that name ("human", "uid"), static; NULL = there is none. */
const struct mailfs_view *view_find(const char *preset);

/*
 * A view by a template such as "{date}_{from:30}_{subject:60}.{uid}.eml".
 *
 *   {date} {time}     INTERNALDATE in UTC: 2024-01-02, 1430
 *   {from}            display name of the sender, else the part before the '@'
 *   {from.addr}       address of the sender; the '@' becomes '-'
 *   {to}              display name of the first recipient, else the part before the '@'
 *   {subject}         decoded subject
 *   {uid}             UID; becomes ".{uid}" before ".eml" if missing; at most once
 *   {msgid8}          8 hex digits made of the Message-ID, or "no-msgid"
 *
 * {from} {from.addr} {to} {subject} take a width in bytes (8 … 120), {subject:60}; the longest
 * are cut further where the name would be too long. ".eml" is added if missing. Outside the
 * braces: what a name may hold (above). {uid} must be told from its neighbours: no digit and no
 * other brace beside it, and between two texts of varying length a '_' on one side (the only
 * character that never occurs inside a text).
 *
 * NULL: refused, *error says why, for a person to read. Free the view by view_free().
 */
struct mailfs_view *view_from_template(const char *text, GError **error);
void view_free(struct mailfs_view *view); /* of view_from_template(); NULL is fine */

/* The name of a message in a view. */
void view_name(const struct mailfs_view *view, const struct mailfs_name_input *input,
	char ret_name[MAILFS_NAME_MAX + 1]);

/*
 * Which UIDs may be meant by a file name: its runs of ASCII digits that are a UID (1 … 2^32-1, no
 * leading zero), likeliest (last) first, at most `max`. Returns how many. The caller tries each:
 * the message it names must have this name (compare hashes, then names).
 */
size_t view_uid_candidates(const char *name, uint32_t *ret_uids, size_t max);

/* A stable 32-bit hash of a name; never 0. Not for untrusted hash tables. */
uint32_t view_name_hash(const char *name);

/* Exactly "1234.eml", the alias that always resolves? */
bool view_is_uid_name(const char *name, uint32_t *ret_uid);
