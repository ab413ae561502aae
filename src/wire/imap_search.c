/* SPDX-License-Identifier: MIT */
/*
 * SEARCH, ESEARCH and VANISHED: numbers and ranges, handed on one by one and never expanded.
 * RFC 9051 §7.3.4, RFC 7162 §3.2.10, RFC 9394 (PARTIAL).
 */
#include "wire/imap_resp.h"

#include <string.h>

#include <glib.h>

#include "wire/imap_seqset.h"

static bool is_untagged(const struct imap_response *response, const char *name)
{
	return response->kind == IMAP_UNTAGGED && !response->has_number &&
		strcmp(response->name, name) == 0;
}

/* A set that is not one is left out as a whole: half of it would look like an answer. */
static bool give_set(const struct imap_node *node, imap_range_fn fn, void *user)
{
	g_autoptr(GArray) ranges = NULL;

	if (!node || node->type != IMAP_NODE_ATOM ||
		!imap_seqset_parse(node->text, (size_t)node->len, &ranges))
		return false;
	for (guint i = 0; i < ranges->len; i++) {
		const struct imap_seqset_range *range =
			&g_array_index(ranges, struct imap_seqset_range, i);

		fn(user, range->first, range->last);
	}
	return true;
}

static void search_numbers(const struct imap_node *node, imap_range_fn fn, void *user)
{
	uint32_t number;

	/* "(MODSEQ 9)" at the end is a list and so no number. */
	for (; node; node = node->next)
		if (imap_node_u32(node, &number) && number != 0)
			fn(user, number, number);
}

/* (1:100 4,6), or NIL when the part has no matches. */
static bool give_partial(const struct imap_node *value, imap_range_fn fn, void *user)
{
	const struct imap_node *set =
		value->type == IMAP_NODE_LIST && value->child ? value->child->next : NULL;

	return set && (set->type == IMAP_NODE_NIL || give_set(set, fn, user));
}

/* An unreadable set is no answer; an empty answer would say that the messages are gone. */
static bool esearch_results(const struct imap_node *node, imap_range_fn fn, void *user)
{
	if (node && node->type == IMAP_NODE_LIST) /* (TAG "x") */
		node = node->next;
	if (imap_node_is(node, "UID"))
		node = node->next;
	for (; node && node->next; node = node->next->next) {
		const struct imap_node *value = node->next;

		if (imap_node_is(node, "ALL") && !give_set(value, fn, user))
			return false;
		if (imap_node_is(node, "PARTIAL") && !give_partial(value, fn, user))
			return false;
	}
	return true;
}

bool imap_search_parse(const struct imap_response *response, imap_range_fn fn, void *user)
{
	if (is_untagged(response, "SEARCH")) {
		search_numbers(response->args, fn, user);
		return true;
	}
	return is_untagged(response, "ESEARCH") && esearch_results(response->args, fn, user);
}

bool imap_vanished_parse(const struct imap_response *response, bool *ret_is_earlier,
	imap_range_fn fn, void *user)
{
	const struct imap_node *node = response->args;
	bool is_earlier = false;

	if (!is_untagged(response, "VANISHED"))
		return false;
	if (node && node->type == IMAP_NODE_LIST) {
		is_earlier = imap_node_is(node->child, "EARLIER");
		node = node->next;
	}
	*ret_is_earlier = is_earlier;
	for (; node; node = node->next)
		give_set(node, fn, user);
	return true;
}
