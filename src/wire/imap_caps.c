/* SPDX-License-Identifier: MIT */
/* Capabilities: one table of names. RFC 9051 §6.1.1. */
#include "wire/imap_caps.h"

#include <string.h>

#include <glib.h>

#include "base/parse.h"
#include "wire/sasl.h"

#define CAP(member) offsetof(struct imap_caps, member)

static const struct {
	const char *name;
	size_t member;
	bool in_rev2; /* part of IMAP4rev2, listed or not. RFC 9051 appendix E */
} table[] = {
	{ "IMAP4REV1", CAP(imap4rev1), false },
	{ "IMAP4REV2", CAP(imap4rev2), false },
	{ "STARTTLS", CAP(starttls), false },
	{ "LOGINDISABLED", CAP(logindisabled), false },
	{ "SASL-IR", CAP(sasl_ir), true },
	{ "ID", CAP(id), false },
	{ "ENABLE", CAP(enable), true },
	{ "NAMESPACE", CAP(namespace_), true },
	{ "IDLE", CAP(idle), true },
	{ "NOTIFY", CAP(notify), false },
	{ "UIDPLUS", CAP(uidplus), true },
	{ "MOVE", CAP(move), true },
	{ "REPLACE", CAP(replace), false },
	{ "UNSELECT", CAP(unselect), true },
	{ "ACL", CAP(acl), false },
	{ "CONDSTORE", CAP(condstore), false },
	{ "QRESYNC", CAP(qresync), false },
	{ "ESEARCH", CAP(esearch), true },
	{ "LIST-EXTENDED", CAP(list_extended), true },
	{ "LIST-STATUS", CAP(list_status), true },
	{ "SPECIAL-USE", CAP(special_use), false },
	{ "STATUS=SIZE", CAP(status_size), true },
	{ "LITERAL+", CAP(literal_plus), false },
	{ "LITERAL-", CAP(literal_minus), true },
	{ "BINARY", CAP(binary), false },
	{ "COMPRESS=DEFLATE", CAP(compress_deflate), false },
	{ "OBJECTID", CAP(objectid), false },
	{ "X-GM-EXT-1", CAP(gmail), false },
	{ "PARTIAL", CAP(partial), false },
	{ "UIDONLY", CAP(uidonly), false },
	{ "UTF8=ACCEPT", CAP(utf8_accept), false },
	{ "UTF8=ONLY", CAP(utf8_accept), false }, /* RFC 6855 §3: implies it */
};

void imap_caps_reset(struct imap_caps *caps)
{
	*caps = (struct imap_caps){ 0 };
}

static bool is_disabled(const char *name, const char *const *disable)
{
	for (; disable && *disable; disable++)
		if (g_ascii_strcasecmp(*disable, name) == 0)
			return true;
	return false;
}

static void caps_set(struct imap_caps *caps, size_t member)
{
	*(bool *)((char *)caps + member) = true;
}

static void caps_name(struct imap_caps *caps, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		if (g_ascii_strcasecmp(table[i].name, name) == 0) {
			caps_set(caps, table[i].member);
			return;
		}
	}
	if (g_ascii_strncasecmp(name, "AUTH=", 5) == 0)
		caps->auth |= sasl_mech_from_name(name + 5, strlen(name + 5));
	else if (g_ascii_strncasecmp(name, "APPENDLIMIT=", 12) == 0) {
		uint64_t limit;

		if (parse_u64(name + 12, strlen(name + 12), &limit))
			caps->append_limit = limit;
	}
}

static void caps_text(struct imap_caps *caps, size_t *used, const char *name)
{
	size_t len = strlen(name), gap = *used > 0;

	/* Whole names only: half of one could be read as another. */
	if (len == 0 || len >= sizeof(caps->text) - *used - gap)
		return;
	if (gap)
		caps->text[(*used)++] = ' ';
	for (size_t i = 0; i < len; i++)
		caps->text[(*used)++] = g_ascii_isgraph(name[i]) ? name[i] : '?';
	caps->text[*used] = '\0';
}

/* "LITERAL +" was seen in the field (EX-4). */
static const char *caps_joined(const struct imap_node **node, const char *name)
{
	if (g_ascii_strcasecmp(name, "LITERAL") != 0 || !imap_node_is((*node)->next, "+"))
		return name;
	*node = (*node)->next;
	return "LITERAL+";
}

static void caps_implied(struct imap_caps *caps, const char *const *disable)
{
	for (size_t i = 0; caps->imap4rev2 && i < G_N_ELEMENTS(table); i++)
		if (table[i].in_rev2 && !is_disabled(table[i].name, disable))
			caps_set(caps, table[i].member);
	/* RFC 7162 §3.2.3: a server with QRESYNC knows CONDSTORE. */
	if (caps->qresync && !is_disabled("CONDSTORE", disable))
		caps->condstore = true;
}

void imap_caps_parse(struct imap_caps *caps, const struct imap_node *nodes,
	const char *const *disable)
{
	size_t used = 0;

	imap_caps_reset(caps);
	caps->is_known = true;
	for (const struct imap_node *node = nodes; node; node = node->next) {
		const char *name = imap_node_text(node);

		if (!name)
			continue;
		name = caps_joined(&node, name);
		caps_text(caps, &used, name);
		if (!is_disabled(name, disable))
			caps_name(caps, name);
	}
	caps_implied(caps, disable);
}
