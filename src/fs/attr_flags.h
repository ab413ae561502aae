/* SPDX-License-Identifier: MIT */
/* Flags as the text of an attribute. Pure; any thread. */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* "$Forwarded \Answered \Seen work": keywords (sorted, space separated) and system flags, all
 * sorted by bytes. `flags`: enum mailfs_flag. */
void attr_flags_format(unsigned flags, const char *keywords, GString *ret_text);
/* The keywords that do not begin with '$', comma separated; those with a comma are left out. */
void attr_tags_format(const char *keywords, GString *ret_text);
/* Is `keyword` among the space separated ones? Case-insensitive, as IMAP keywords are. */
bool attr_has_keyword(const char *keywords, const char *keyword);

/* A change as text: "$Forwarded \Seen work" is the whole set, "+\Flagged -work" an edit. */
struct attr_edit {
	bool is_replacement;
	unsigned add, remove; /* enum mailfs_flag */
	GPtrArray *add_keywords, *remove_keywords; /* char *, NULL-terminated after parsing */
};
void attr_edit_init(struct attr_edit *edit);
void attr_edit_done(struct attr_edit *edit);

/* 0 or an errno: EINVAL (both forms mixed, an unknown \flag, not an atom, CR, LF, NUL), E2BIG. */
int attr_flags_parse(const char *text, size_t len, struct attr_edit *edit);
/* Tags, comma separated, in place of the present ones; those of `keywords` that begin with '$'
 * stay. */
int attr_tags_parse(const char *text, size_t len, const char *keywords, struct attr_edit *edit);
/* "0" or "1". */
int attr_bool_parse(const char *text, size_t len, bool *ret_value);
