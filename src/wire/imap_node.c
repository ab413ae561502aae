/* SPDX-License-Identifier: MIT */
/* Helpers on nodes. Pure. */
#include "wire/imap_reader.h"

#include <string.h>

#include <glib.h>

#include "base/parse.h"

bool imap_node_is(const struct imap_node *node, const char *atom)
{
	return node && node->type == IMAP_NODE_ATOM && node->len == strlen(atom) &&
		g_ascii_strncasecmp(node->text, atom, (size_t)node->len) == 0;
}

bool imap_node_u32(const struct imap_node *node, uint32_t *ret_value)
{
	return node && node->type == IMAP_NODE_ATOM &&
		parse_u32(node->text, (size_t)node->len, ret_value);
}

bool imap_node_u64(const struct imap_node *node, uint64_t *ret_value)
{
	return node && node->type == IMAP_NODE_ATOM &&
		parse_u64(node->text, (size_t)node->len, ret_value);
}

const char *imap_node_text(const struct imap_node *node)
{
	if (!node || node->type == IMAP_NODE_LIST || node->type == IMAP_NODE_STREAMED)
		return NULL;
	return node->text;
}

const char *imap_node_nstring(const struct imap_node *node)
{
	if (!node || (node->type != IMAP_NODE_STRING && node->type != IMAP_NODE_ATOM))
		return NULL;
	return node->text;
}
