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
