/* SPDX-License-Identifier: MIT */
/* Sequence sets: text to ranges and back. RFC 9051 §9. Pure. */
#include "wire/imap_seqset.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse.h"

static bool parse_number(const char *text, size_t len, uint32_t *ret_number)
{
	uint32_t number;

	if (len == 1 && text[0] == '*') {
		*ret_number = UINT32_MAX;
		return true;
	}
	if (!parse_u32(text, len, &number) || number == 0)
		return false;
	*ret_number = number;
	return true;
}

static bool parse_item(const char *text, size_t len, struct imap_seqset_range *ret_range)
{
	const char *colon = len > 0 ? memchr(text, ':', len) : NULL;
	size_t head = colon ? (size_t)(colon - text) : len;
	uint32_t first, last;

	if (!parse_number(text, head, &first))
		return false;
	last = first;
	/* A second colon fails here, as it is no digit. */
	if (colon && !parse_number(colon + 1, len - head - 1, &last))
		return false;

	ret_range->first = MIN(first, last);
	ret_range->last = MAX(first, last);
	return true;
}

bool imap_seqset_parse(const char *text, size_t len, GArray **ret_ranges)
{
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(struct imap_seqset_range));
	size_t pos = 0;

	for (;;) {
		const char *comma = pos < len ? memchr(text + pos, ',', len - pos) : NULL;
		size_t end = comma ? (size_t)(comma - text) : len;
		struct imap_seqset_range range;

		/* pos == len is the empty set, or a comma at the end. */
		if (pos == len || ranges->len == IMAP_SEQSET_ITEMS_MAX ||
			!parse_item(text + pos, end - pos, &range))
			return false;
		g_array_append_val(ranges, range);
		if (!comma)
			break;
		pos = end + 1;
	}
	*ret_ranges = g_steal_pointer(&ranges);
	return true;
}

size_t imap_seqset_encode(const uint32_t *uids, size_t count, size_t max_len, GString *text)
{
	size_t start = text->len;
	size_t done = 0;

	g_assert(max_len >= IMAP_SEQSET_ITEM_LEN);
	while (done < count) {
		size_t before = text->len;
		size_t next = done + 1;

		while (next < count && uids[next] == uids[next - 1] + 1)
			next++;
		g_assert(uids[done] != 0 && (next == count || uids[next] > uids[next - 1]));

		if (before > start)
			g_string_append_c(text, ',');
		g_string_append_printf(text, "%" PRIu32, uids[done]);
		if (next > done + 1)
			g_string_append_printf(text, ":%" PRIu32, uids[next - 1]);
		if (text->len - start > max_len) {
			g_string_truncate(text, before);
			break;
		}
		done = next;
	}
	return done;
}
