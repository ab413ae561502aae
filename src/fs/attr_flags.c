/* SPDX-License-Identifier: MIT */
/* Flags as the text of an attribute. Pure. */
#include "fs/attr_flags.h"

#include <string.h>

#include "mailfs/types.h"

static const struct {
	unsigned flag;
	const char *name;
} flag_names[] = {
	{ MAILFS_FLAG_ANSWERED, "\\Answered" },
	{ MAILFS_FLAG_DELETED, "\\Deleted" },
	{ MAILFS_FLAG_DRAFT, "\\Draft" },
	{ MAILFS_FLAG_FLAGGED, "\\Flagged" },
	{ MAILFS_FLAG_SEEN, "\\Seen" },
};

static int by_bytes(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void attr_flags_format(unsigned flags, const char *keywords, GString *ret_text)
{
	g_auto(GStrv) words = g_strsplit(keywords, " ", -1);
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	for (size_t i = 0; i < G_N_ELEMENTS(flag_names); i++) {
		if ((flags & flag_names[i].flag) != 0)
			g_ptr_array_add(all, (gpointer)flag_names[i].name);
	}
	for (char **word = words; *word; word++) {
		if (**word != '\0')
			g_ptr_array_add(all, *word);
	}
	g_ptr_array_sort(all, by_bytes);
	for (guint i = 0; i < all->len; i++) {
		if (i > 0)
			g_string_append_c(ret_text, ' ');
		g_string_append(ret_text, g_ptr_array_index(all, i));
	}
}

void attr_tags_format(const char *keywords, GString *ret_text)
{
	g_auto(GStrv) words = g_strsplit(keywords, " ", -1);

	for (char **word = words; *word; word++) {
		if (**word == '\0' || **word == '$' || strchr(*word, ','))
			continue;
		if (ret_text->len > 0)
			g_string_append_c(ret_text, ',');
		g_string_append(ret_text, *word);
	}
}

bool attr_has_keyword(const char *keywords, const char *keyword)
{
	g_auto(GStrv) words = g_strsplit(keywords, " ", -1);

	for (char **word = words; *word; word++) {
		if (g_ascii_strcasecmp(*word, keyword) == 0)
			return true;
	}
	return false;
}
