/* SPDX-License-Identifier: MIT */
/*
 * A set of UIDs as ranges: what SEARCH lists or VANISHED removes. Ranges are never expanded, and
 * their number is bounded. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define UIDLIST_RANGES_MAX (4u * 1000 * 1000)

struct uidlist {
	GArray *ranges; /* struct imap_seqset_range; ascending and apart after uidlist_sort() */
	bool is_sorted;
	bool is_over; /* the bound was hit: the list is not whole */
};

void uidlist_init(struct uidlist *list);
void uidlist_done(struct uidlist *list);
void uidlist_clear(struct uidlist *list);
/* In any order, also overlapping; 0 is ignored. */
void uidlist_add(struct uidlist *list, uint32_t first, uint32_t last);
void uidlist_add_range(void *list, uint32_t first, uint32_t last); /* the same, as a callback */
void uidlist_sort(struct uidlist *list); /* ascending, merged; the rest here calls it */
void uidlist_clip(struct uidlist *list, uint32_t first, uint32_t last);
uint64_t uidlist_count(struct uidlist *list);
/* fn(first, last) for each range; or for each gap between 1 and `last`. */
typedef void (*uidlist_fn)(void *user, uint32_t first, uint32_t last);
void uidlist_each(struct uidlist *list, uidlist_fn fn, void *user);
void uidlist_each_gap(struct uidlist *list, uint32_t last, uidlist_fn fn, void *user);
