/* SPDX-License-Identifier: MIT */
/* What a server tells of changes: where new messages went, and what may be changed. RFC 4315,
 * RFC 4314. */
#include "wire/imap_resp.h"

#include <string.h>

#include "base/parse.h"
#include "wire/imap_seqset.h"

static bool has_code(const struct imap_response *response, const char *code)
{
	return response->status == IMAP_OK && response->code && strcmp(response->code, code) == 0;
}

/* Of APPEND a set of several UIDs is nonsense, as are a 0 and a star. */
bool imap_appenduid_parse(const struct imap_response *response, uint32_t *ret_uidvalidity,
	uint32_t *ret_uid)
{
	uint32_t uidvalidity, uid;

	if (!has_code(response, "APPENDUID") || !imap_node_u32(response->code_args, &uidvalidity) ||
		!imap_node_u32(response->code_args->next, &uid))
		return false;
	if (uidvalidity == 0 || uid == 0)
		return false;
	*ret_uidvalidity = uidvalidity;
	*ret_uid = uid;
	return true;
}

/* ---- COPYUID ---------------------------------------------------------------------------------- */

/* The parser of sets turns "5:1" around: the order must be seen in the text. */
static bool is_ascending(const char *text, size_t len)
{
	uint32_t last = 0;
	size_t pos = 0;

	for (;;) {
		size_t end = pos;
		uint32_t number;

		while (end < len && g_ascii_isdigit(text[end]))
			end++;
		if (!parse_u32(text + pos, end - pos, &number) || number <= last)
			return false;
		last = number;
		if (end == len)
			return true;
		pos = end + 1;
	}
}

static GArray *set_of(const struct imap_node *node)
{
	GArray *ranges;

	if (!node || node->type != IMAP_NODE_ATOM || !is_ascending(node->text, (size_t)node->len) ||
		!imap_seqset_parse(node->text, (size_t)node->len, &ranges))
		return NULL;
	return ranges;
}

static uint64_t count_of(const GArray *ranges)
{
	uint64_t count = 0;

	for (guint i = 0; i < ranges->len; i++) {
		const struct imap_seqset_range *range =
			&g_array_index(ranges, struct imap_seqset_range, i);

		count += (uint64_t)range->last - range->first + 1;
	}
	return count;
}

bool imap_copyuid_parse(const struct imap_response *response, struct imap_copyuid *ret_copyuid)
{
	const struct imap_node *node = response->code_args;
	g_autoptr(GArray) source = NULL;
	g_autoptr(GArray) target = NULL;
	uint32_t uidvalidity;

	if (!has_code(response, "COPYUID") || !imap_node_u32(node, &uidvalidity) ||
		uidvalidity == 0)
		return false;
	source = set_of(node->next);
	target = source ? set_of(node->next->next) : NULL;
	if (!target || count_of(source) != count_of(target))
		return false;
	ret_copyuid->uidvalidity = uidvalidity;
	ret_copyuid->source = g_steal_pointer(&source);
	ret_copyuid->target = g_steal_pointer(&target);
	return true;
}

/* ---- MYRIGHTS --------------------------------------------------------------------------------- */

static unsigned rights_of(const char *text)
{
	static const struct {
		const char *letters; /* all of them */
		unsigned rights;
	} table[] = {
		{ "s", MAILFS_RIGHT_SEEN },    { "w", MAILFS_RIGHT_FLAGS },
		{ "i", MAILFS_RIGHT_INSERT },  { "te", MAILFS_RIGHT_DELETE },
		{ "k", MAILFS_RIGHT_CREATE },  { "x", MAILFS_RIGHT_REMOVE },
	};
	bool is_old = !strpbrk(text, "kxte");
	unsigned rights = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (strspn(table[i].letters, text) == strlen(table[i].letters))
			rights |= table[i].rights;
	/* RFC 2086 had two letters for what is five now. */
	if (is_old && strchr(text, 'c'))
		rights |= MAILFS_RIGHT_CREATE | MAILFS_RIGHT_REMOVE;
	if (is_old && strchr(text, 'd'))
		rights |= MAILFS_RIGHT_DELETE;
	return rights;
}

bool imap_myrights_parse(const struct imap_response *response, unsigned *ret_rights)
{
	const struct imap_node *node = NULL;

	if (has_code(response, "MYRIGHTS"))
		node = response->code_args;
	else if (response->kind == IMAP_UNTAGGED && strcmp(response->name, "MYRIGHTS") == 0)
		node = response->args ? response->args->next : NULL;
	/* An empty string is an answer: no rights. */
	if (!imap_node_nstring(node))
		return false;
	*ret_rights = rights_of(imap_node_nstring(node));
	return true;
}
