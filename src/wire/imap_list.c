/* SPDX-License-Identifier: MIT */
/* LIST, LSUB and XLIST. RFC 9051 §7.3.1, RFC 5258, RFC 6154. */
#include "wire/imap_resp.h"

#include <string.h>

#include <glib.h>

#include "mailfs/types.h"

static const struct {
	const char *name;
	unsigned flags; /* enum mailfs_folder_flag */
	const char *role;
} attributes[] = {
	{ "\\Noselect", MAILFS_FOLDER_NOSELECT, NULL },
	{ "\\NonExistent", MAILFS_FOLDER_NOSELECT, NULL },
	{ "\\Noinferiors", MAILFS_FOLDER_NOINFERIORS, NULL },
	{ "\\Subscribed", MAILFS_FOLDER_SUBSCRIBED, NULL },
	{ "\\All", 0, "\\All" },
	{ "\\Archive", 0, "\\Archive" },
	{ "\\Drafts", 0, "\\Drafts" },
	{ "\\Flagged", 0, "\\Flagged" },
	{ "\\Important", 0, "\\Important" },
	{ "\\Junk", 0, "\\Junk" },
	{ "\\Sent", 0, "\\Sent" },
	{ "\\Trash", 0, "\\Trash" },
	/* names of XLIST, the forerunner of RFC 6154 */
	{ "\\AllMail", 0, "\\All" },
	{ "\\Spam", 0, "\\Junk" },
	{ "\\Starred", 0, "\\Flagged" },
};

static void list_attribute(const struct imap_node *node, struct imap_list *list)
{
	for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
		if (!imap_node_is(node, attributes[i].name))
			continue;
		list->flags |= attributes[i].flags;
		if (!list->role)
			list->role = attributes[i].role;
		return;
	}
}

/* One ASCII character, printable; anything else means that the name is not split (NM-5). */
static char list_delimiter(const struct imap_node *node)
{
	const char *text = imap_node_nstring(node);

	return text && node->len == 1 && g_ascii_isgraph(*text) ? *text : '\0';
}

/* A name with a NUL cannot be sent back as it is, and would be cut wherever it is a C string. */
static const char *mailbox_name(const struct imap_node *node)
{
	const char *text = imap_node_text(node);

	return text && !memchr(text, '\0', (size_t)node->len) ? text : NULL;
}

/* Behind the name: nothing or the list of extended items. Anything else is an unquoted name with a
 * space in it, of which only a part, and so another mailbox, would be left. */
static bool list_end_is_fine(const struct imap_node *behind)
{
	return !behind || (behind->type == IMAP_NODE_LIST && !behind->next);
}

bool imap_list_parse(const struct imap_response *response, struct imap_list *ret_list)
{
	const struct imap_node *attrs = response->args, *delimiter, *name;
	bool is_lsub = strcmp(response->name, "LSUB") == 0;
	struct imap_list list = { 0 };

	if (response->kind != IMAP_UNTAGGED || response->has_number ||
		(!is_lsub && strcmp(response->name, "LIST") != 0 &&
			strcmp(response->name, "XLIST") != 0))
		return false;
	delimiter = attrs ? attrs->next : NULL;
	name = delimiter ? delimiter->next : NULL;
	list.name = mailbox_name(name);
	if (!list.name || !list_end_is_fine(name->next))
		return false;

	if (attrs->type == IMAP_NODE_LIST)
		for (const struct imap_node *node = attrs->child; node; node = node->next)
			list_attribute(node, &list);
	/* \Noselect in LSUB: only something below is subscribed. RFC 3501 §6.3.9. */
	if (is_lsub && !(list.flags & MAILFS_FOLDER_NOSELECT))
		list.flags |= MAILFS_FOLDER_SUBSCRIBED;
	if (g_ascii_strcasecmp(list.name, "INBOX") == 0)
		list.flags |= MAILFS_FOLDER_INBOX;
	list.delimiter = list_delimiter(delimiter);
	*ret_list = list;
	return true;
}

/* ---- STATUS ----------------------------------------------------------------------------------- */

static void status_item(const struct imap_node *name, struct imap_status_resp *status)
{
	const struct {
		const char *name;
		unsigned has;
		uint32_t *value;
	} table[] = {
		{ "MESSAGES", IMAP_STATUS_MESSAGES, &status->messages },
		{ "UNSEEN", IMAP_STATUS_UNSEEN, &status->unseen },
		{ "UIDNEXT", IMAP_STATUS_UIDNEXT, &status->uidnext },
		{ "UIDVALIDITY", IMAP_STATUS_UIDVALIDITY, &status->uidvalidity },
	};

	if (imap_node_is(name, "HIGHESTMODSEQ") &&
		imap_node_u64(name->next, &status->highestmodseq))
		status->has |= IMAP_STATUS_HIGHESTMODSEQ;
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (imap_node_is(name, table[i].name) && imap_node_u32(name->next, table[i].value))
			status->has |= table[i].has;
}

bool imap_status_parse(const struct imap_response *response, struct imap_status_resp *ret_status)
{
	const struct imap_node *name = response->args;
	struct imap_status_resp status = { 0 };

	if (response->kind != IMAP_UNTAGGED || strcmp(response->name, "STATUS") != 0)
		return false;
	status.name = mailbox_name(name);
	if (!status.name || !name->next || name->next->type != IMAP_NODE_LIST)
		return false;
	for (const struct imap_node *node = name->next->child; node && node->next;
		node = node->next->next)
		status_item(node, &status);
	*ret_status = status;
	return true;
}
