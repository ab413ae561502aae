/* SPDX-License-Identifier: MIT */
/* Flags and keywords: system flags become bits, the rest stays text. RFC 9051 §2.3.2. */
#include "wire/imap_resp.h"

#include <string.h>

#include <glib.h>

#include "mailfs/types.h"
#include "wire/limits.h"

static const struct {
	const char *name;
	unsigned flag;
} system_flags[] = {
	{ "\\Seen", MAILFS_FLAG_SEEN },       { "\\Answered", MAILFS_FLAG_ANSWERED },
	{ "\\Flagged", MAILFS_FLAG_FLAGGED }, { "\\Deleted", MAILFS_FLAG_DELETED },
	{ "\\Draft", MAILFS_FLAG_DRAFT },     { "\\Recent", 0 },
};

/* The text of a flag: an atom, or a string from servers that quote them. */
static const char *flag_text(const struct imap_node *node)
{
	return node->len > 0 ? imap_node_nstring(node) : NULL;
}

static bool is_text(const struct imap_node *node, const char *text, const char *name)
{
	return node->len == strlen(name) && g_ascii_strncasecmp(text, name, strlen(name)) == 0;
}

static bool system_flag(const struct imap_node *node, const char *text, unsigned *flags)
{
	if (*text != '\\')
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(system_flags); i++) {
		if (!is_text(node, text, system_flags[i].name))
			continue;
		*flags |= system_flags[i].flag;
		return true;
	}
	return false;
}

/* Keywords are shown and kept: UTF-8, without control characters, bounded. Else left out (FL-2). */
static bool keyword_is_fine(const struct imap_node *node, const char *text)
{
	if (node->len > WIRE_KEYWORD_MAX || !g_utf8_validate(text, (gssize)node->len, NULL))
		return false;
	for (uint64_t i = 0; i < node->len; i++)
		if (g_ascii_iscntrl(text[i]))
			return false;
	return true;
}

static const char **keywords_new(const struct imap_node *list, struct arena *arena)
{
	size_t room = 0;

	for (const struct imap_node *node = list->child; node && room < WIRE_KEYWORDS_MAX;
		node = node->next)
		room++;
	return arena_alloc(arena, (room + 1) * sizeof(const char *));
}

unsigned imap_flags_parse(const struct imap_node *list, struct arena *arena,
	const char *const **ret_keywords, bool *ret_has_star)
{
	static const char *const none[] = { NULL };
	const char **keywords = NULL;
	size_t count = 0;
	unsigned flags = 0;
	bool has_star = false;

	if (list && list->type != IMAP_NODE_LIST)
		list = NULL;
	for (const struct imap_node *node = list ? list->child : NULL; node; node = node->next) {
		const char *text = flag_text(node);

		if (!text || system_flag(node, text, &flags))
			continue;
		if (is_text(node, text, "\\*")) {
			has_star = true;
		} else if (count < WIRE_KEYWORDS_MAX && keyword_is_fine(node, text)) {
			if (!keywords)
				keywords = keywords_new(list, arena);
			keywords[count++] = text;
		}
	}
	*ret_keywords = keywords ? keywords : none;
	*ret_has_star = has_star;
	return flags;
}
