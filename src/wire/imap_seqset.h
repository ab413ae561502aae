/* SPDX-License-Identifier: MIT */
/*
 * Sequence sets and uid sets: "1,3:5,9:*". RFC 9051 §9 (sequence-set). Pure; any thread.
 *
 * Ranges are never expanded: 1:4294967295 costs as much as 1. `*` is UINT32_MAX, so a set that
 * names a real server's "last" must be compared with that in mind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* Sets with more items than this are refused. */
#define IMAP_SEQSET_ITEMS_MAX (1u << 20)

/* Both ends are in the range; 0 < first <= last, also when the text had them the other way. */
struct imap_seqset_range {
	uint32_t first;
	uint32_t last;
};

/*
 * *ret_ranges is an array of struct imap_seqset_range in the order of the text, not merged;
 * g_array_unref() it. False, and untouched, when the text is no set or too long. Linear in `len`.
 */
bool imap_seqset_parse(const char *text, size_t len, GArray **ret_ranges);

/* The longest text of one item, "4294967294:4294967295". */
#define IMAP_SEQSET_ITEM_LEN 21u

/*
 * Append to `text` the set of as many of the `count` uids as fit in `max_len` bytes, ranges
 * compressed, and return how many that were (0 only if count is 0). Call again with the rest for
 * the next command. The uids ascend strictly; max_len >= IMAP_SEQSET_ITEM_LEN.
 */
size_t imap_seqset_encode(const uint32_t *uids, size_t count, size_t max_len, GString *text);
