/* SPDX-License-Identifier: MIT */
/*
 * FETCH responses: pairs of name and value in any order. A value of the wrong kind leaves its item
 * out; a value that is missing altogether (seen from Yandex) does not shift the pairs behind it.
 * RFC 9051 §7.5.2, RFC 7162 §3.1, RFC 8474 §5, X-GM-EXT-1.
 */
#include "wire/imap_resp.h"

#include <string.h>

#include <glib.h>

#include "base/parse.h"
#include "wire/imap_date.h"
#include "wire/limits.h"

struct fetch_build {
	struct imap_fetch *fetch;
	struct arena *arena;
	bool is_unusable;
	bool has_object_id, has_object_thread; /* EMAILID beats X-GM-MSGID, in whatever order */
};

typedef void (*fetch_item_fn)(struct fetch_build *build, const struct imap_node *value);

static void item_uid(struct fetch_build *build, const struct imap_node *value)
{
	if (!imap_node_u32(value, &build->fetch->uid) || build->fetch->uid == 0)
		build->is_unusable = true;
	build->fetch->has |= IMAP_FETCH_UID;
}

static void item_flags(struct fetch_build *build, const struct imap_node *value)
{
	bool has_star;

	if (value->type != IMAP_NODE_LIST && value->type != IMAP_NODE_NIL)
		return;
	build->fetch->flags =
		imap_flags_parse(value, build->arena, &build->fetch->keywords, &has_star);
	build->fetch->has |= IMAP_FETCH_FLAGS;
}

static void item_date(struct fetch_build *build, const struct imap_node *value)
{
	const char *text = imap_node_nstring(value);

	if (text && imap_parse_internaldate(text, (size_t)value->len, &build->fetch->date))
		build->fetch->has |= IMAP_FETCH_DATE;
}

static void item_size(struct fetch_build *build, const struct imap_node *value)
{
	if (imap_node_u64(value, &build->fetch->size))
		build->fetch->has |= IMAP_FETCH_SIZE;
}

/* "(x)" as the RFCs say, or x without the list. */
static const struct imap_node *unlisted(const struct imap_node *value)
{
	return value->type == IMAP_NODE_LIST ? value->child : value;
}

static void item_modseq(struct fetch_build *build, const struct imap_node *value)
{
	if (imap_node_u64(unlisted(value), &build->fetch->modseq))
		build->fetch->has |= IMAP_FETCH_MODSEQ;
}

/* An object id is a key of the cache: printable ASCII and bounded, or none. */
static const char *object_id(const struct imap_node *value)
{
	const struct imap_node *node = unlisted(value);
	const char *text = imap_node_nstring(node);

	if (!text || node->len == 0 || node->len > WIRE_OBJECT_ID_MAX)
		return NULL;
	for (uint64_t i = 0; i < node->len; i++)
		if (!g_ascii_isgraph(text[i]))
			return NULL;
	return text;
}

static void item_emailid(struct fetch_build *build, const struct imap_node *value)
{
	const char *id = object_id(value);

	if (!id)
		return;
	build->fetch->email_id = id;
	build->fetch->has |= IMAP_FETCH_EMAIL_ID;
	build->has_object_id = true;
}

static void item_gm_msgid(struct fetch_build *build, const struct imap_node *value)
{
	const char *id = object_id(value);

	if (!id || build->has_object_id)
		return;
	build->fetch->email_id = id;
	build->fetch->has |= IMAP_FETCH_EMAIL_ID;
}

static void item_threadid(struct fetch_build *build, const struct imap_node *value)
{
	const char *id = object_id(value);

	if (!id)
		return;
	build->fetch->thread_id = id;
	build->fetch->has |= IMAP_FETCH_THREAD_ID;
	build->has_object_thread = true;
}

static void item_gm_thrid(struct fetch_build *build, const struct imap_node *value)
{
	const char *id = object_id(value);

	if (!id || build->has_object_thread)
		return;
	build->fetch->thread_id = id;
	build->fetch->has |= IMAP_FETCH_THREAD_ID;
}

static void item_header(struct fetch_build *build, const struct imap_node *value)
{
	if (value->type != IMAP_NODE_STRING)
		return;
	build->fetch->header = value->text;
	build->fetch->header_len = (size_t)value->len;
	build->fetch->has |= IMAP_FETCH_HEADER;
}

static const struct {
	const char *name;
	size_t len;
	fetch_item_fn take;
} items[] = {
	{ "UID", 3, item_uid },
	{ "FLAGS", 5, item_flags },
	{ "RFC822.SIZE", 11, item_size },
	{ "INTERNALDATE", 12, item_date },
	{ "MODSEQ", 6, item_modseq },
	{ "EMAILID", 7, item_emailid },
	{ "THREADID", 8, item_threadid },
	{ "X-GM-MSGID", 10, item_gm_msgid },
	{ "X-GM-THRID", 10, item_gm_thrid },
};

static fetch_item_fn item_find(const struct imap_node *name)
{
	/* A value is mostly told from a name by its first character. */
	if (name->type != IMAP_NODE_ATOM || !g_ascii_isalpha(*name->text))
		return NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(items); i++)
		if (items[i].len == name->len &&
			g_ascii_strncasecmp(items[i].name, name->text, items[i].len) == 0)
			return items[i].take;
	return NULL;
}

static bool starts_with(const struct imap_node *node, const char *prefix)
{
	size_t len = strlen(prefix);

	return node->type == IMAP_NODE_ATOM && node->len >= len && g_ascii_isalpha(*node->text) &&
		g_ascii_strncasecmp(node->text, prefix, len) == 0;
}

static bool is_item_name(const struct imap_node *node)
{
	return item_find(node) || starts_with(node, "BODY[") || starts_with(node, "BINARY[");
}

/* "<12>" or nothing. */
static bool body_origin(const char *text, size_t len, struct imap_fetch *fetch)
{
	uint64_t origin;

	fetch->has_body_origin = false;
	if (len == 0)
		return true;
	if (len < 3 || text[0] != '<' || text[len - 1] != '>' ||
		!parse_u64(text + 1, len - 2, &origin))
		return false;
	fetch->has_body_origin = true;
	fetch->body_origin = origin;
	return true;
}

/* BODY[…]: the whole message, its header, or a part that nobody asked for. The list of field names
 * is not compared: servers re-case, quote and reorder it (MD-2). */
static void item_body(struct fetch_build *build, const struct imap_node *name,
	const struct imap_node *value)
{
	if (starts_with(name, "BODY[]")) {
		if (value->type != IMAP_NODE_STRING && value->type != IMAP_NODE_STREAMED &&
			value->type != IMAP_NODE_NIL)
			return;
		if (!body_origin(name->text + 6, (size_t)name->len - 6, build->fetch))
			return;
		build->fetch->body = value;
		build->fetch->has |= IMAP_FETCH_BODY;
	} else if (starts_with(name, "BODY[HEADER]") || starts_with(name, "BODY[HEADER.FIELDS ") ||
		starts_with(name, "BODY[HEADER.FIELDS(")) {
		item_header(build, value);
	}
}

/* Takes the pair at `name`; the node behind it. */
static const struct imap_node *fetch_pair(struct fetch_build *build, const struct imap_node *name)
{
	const struct imap_node *value = name->next;
	fetch_item_fn take = item_find(name);

	if (!value || name->type != IMAP_NODE_ATOM || is_item_name(value))
		return value;
	if (take)
		take(build, value);
	else
		item_body(build, name, value);
	return value->next;
}

bool imap_fetch_parse(const struct imap_response *response, struct arena *arena,
	struct imap_fetch *ret_fetch)
{
	struct imap_fetch fetch = { .seq = response->number };
	struct fetch_build build = { .fetch = &fetch, .arena = arena };
	const struct imap_node *node;

	/* "* 0 FETCH" comes from Courier and means nothing (ID-5). */
	if (response->kind != IMAP_UNTAGGED || !response->has_number || response->number == 0 ||
		strcmp(response->name, "FETCH") != 0)
		return false;
	if (!response->args || response->args->type != IMAP_NODE_LIST)
		return false;
	for (node = response->args->child; node;)
		node = fetch_pair(&build, node);
	if (build.is_unusable)
		return false;
	*ret_fetch = fetch;
	return true;
}
