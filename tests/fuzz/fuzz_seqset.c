/* SPDX-License-Identifier: MIT */
/* Sequence sets: ranges are in order; a set that is written names what it was made of. SEC-28. */
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "wire/imap_seqset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parse(const char *text, size_t len)
{
	g_autoptr(GArray) ranges = NULL;

	if (!imap_seqset_parse(text, len, &ranges))
		return;
	g_assert_cmpuint(ranges->len, >, 0);
	g_assert_cmpuint(ranges->len, <=, len / 2 + 1);
	for (guint i = 0; i < ranges->len; i++) {
		struct imap_seqset_range *range = &g_array_index(ranges, struct imap_seqset_range, i);

		g_assert_true(range->first > 0 && range->first <= range->last);
	}
}

static void check_text(const GString *text, const uint32_t *uids, size_t count)
{
	g_autoptr(GArray) ranges = NULL;
	size_t named = 0;

	g_assert_true(imap_seqset_parse(text->str, text->len, &ranges));
	for (guint i = 0; i < ranges->len; i++) {
		struct imap_seqset_range *range = &g_array_index(ranges, struct imap_seqset_range, i);

		for (uint64_t uid = range->first; uid <= range->last; uid++) {
			g_assert_cmpuint(named, <, count);
			g_assert_cmpuint(uids[named++], ==, uid);
		}
	}
	g_assert_cmpuint(named, ==, count);
}

/* Each byte is a step to the next uid; a large byte is a large step. */
static void check_encode(const uint8_t *data, size_t size)
{
	g_autofree uint32_t *uids = g_new(uint32_t, size + 1);
	uint64_t uid = 0;
	size_t count = 0, done = 0;

	for (; count < size; count++) {
		uid += data[count] < 240 ? data[count] % 4u + 1 : (uint64_t)data[count] << 20;
		if (uid > UINT32_MAX)
			break;
		uids[count] = (uint32_t)uid;
	}
	while (done < count) {
		g_autoptr(GString) text = g_string_new(NULL);
		size_t taken = imap_seqset_encode(uids + done, count - done, 40, text);

		g_assert_true(taken > 0 && text->len <= 40);
		check_text(text, uids + done, taken);
		done += taken;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_parse((const char *)data, size);
	check_encode(data, size);
	return 0;
}
