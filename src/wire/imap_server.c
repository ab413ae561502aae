/* SPDX-License-Identifier: MIT */
/* What a server says about itself: NAMESPACE and ID. RFC 2342, RFC 2971. */
#include "wire/imap_resp.h"

#include <string.h>

#include <glib.h>

#define SERVER_ID_MAX 1024 /* RFC 2971 §3.3 */

static bool is_untagged(const struct imap_response *response, const char *name)
{
	return response->kind == IMAP_UNTAGGED && strcmp(response->name, name) == 0;
}

/* (("INBOX." ".") …) NIL NIL: of the personal ones the first. */
bool imap_namespace_parse(const struct imap_response *response, const char **ret_prefix,
	char *ret_delimiter)
{
	const struct imap_node *first, *prefix;
	const char *text, *delimiter;

	if (!is_untagged(response, "NAMESPACE") || !response->args)
		return false;
	first = response->args->type == IMAP_NODE_LIST ? response->args->child : NULL;
	prefix = first && first->type == IMAP_NODE_LIST ? first->child : NULL;
	text = imap_node_nstring(prefix);
	if (!text || memchr(text, '\0', (size_t)prefix->len))
		return false;
	delimiter = imap_node_nstring(prefix->next);
	*ret_prefix = text;
	*ret_delimiter =
		delimiter && prefix->next->len == 1 && g_ascii_isgraph(*delimiter) ? *delimiter : '\0';
	return true;
}

static const struct imap_node *id_field(const struct imap_node *list, const char *name)
{
	const struct imap_node *node;

	for (node = list->child; node && node->next; node = node->next->next) {
		const char *text = imap_node_nstring(node);

		if (text && g_ascii_strcasecmp(text, name) == 0)
			return imap_node_nstring(node->next) ? node->next : NULL;
	}
	return NULL;
}

const char *imap_id_parse(const struct imap_response *response, struct arena *arena)
{
	const struct imap_node *name, *version;
	size_t name_len, version_len;
	char *text;

	if (!is_untagged(response, "ID") || !response->args ||
		response->args->type != IMAP_NODE_LIST)
		return NULL;
	name = id_field(response->args, "name");
	if (!name)
		return NULL;
	version = id_field(response->args, "version");
	name_len = strnlen(name->text, SERVER_ID_MAX);
	version_len = version ? strnlen(version->text, SERVER_ID_MAX) : 0;
	text = arena_alloc(arena, name_len + 1 + version_len + 1);
	memcpy(text, name->text, name_len);
	if (version_len > 0) {
		text[name_len] = ' ';
		memcpy(text + name_len + 1, version->text, version_len);
	}
	return text;
}
