/* SPDX-License-Identifier: MIT */
/* UID sets as ranges. In the usual case UIDs arrive ascending and every addition is O(1). Pure. */
#include "backend/imap/uidlist.h"

#include "wire/imap_seqset.h"

static struct imap_seqset_range *range_at(const struct uidlist *list, guint i)
{
	return &g_array_index(list->ranges, struct imap_seqset_range, i);
}

void uidlist_init(struct uidlist *list)
{
	*list = (struct uidlist){
		.ranges = g_array_new(FALSE, FALSE, sizeof(struct imap_seqset_range)),
		.is_sorted = true,
	};
}

void uidlist_done(struct uidlist *list)
{
	g_clear_pointer(&list->ranges, g_array_unref);
}

void uidlist_clear(struct uidlist *list)
{
	g_array_set_size(list->ranges, 0);
	list->is_sorted = true;
	list->is_over = false;
}

void uidlist_add(struct uidlist *list, uint32_t first, uint32_t last)
{
	struct imap_seqset_range range = { .first = MIN(first, last), .last = MAX(first, last) };
	struct imap_seqset_range *tail;

	if (range.last == 0)
		return;
	range.first = MAX(range.first, 1);
	if (list->ranges->len == 0) {
		g_array_append_val(list->ranges, range);
		return;
	}
	tail = range_at(list, list->ranges->len - 1);
	if (range.first >= tail->first && range.first - 1 <= tail->last) {
		tail->last = MAX(tail->last, range.last);
		return;
	}
	if (list->ranges->len >= UIDLIST_RANGES_MAX) {
		list->is_over = true;
		return;
	}
	list->is_sorted = list->is_sorted && range.first > tail->last;
	g_array_append_val(list->ranges, range);
}

void uidlist_add_range(void *list, uint32_t first, uint32_t last)
{
	uidlist_add(list, first, last);
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
	const struct imap_seqset_range *left = a, *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

void uidlist_sort(struct uidlist *list)
{
	guint kept = 0;

	if (list->is_sorted)
		return;
	g_array_sort(list->ranges, compare_ranges);
	for (guint i = 1; i < list->ranges->len; i++) {
		struct imap_seqset_range *tail = range_at(list, kept);
		const struct imap_seqset_range *range = range_at(list, i);

		if (range->first - 1 <= tail->last)
			tail->last = MAX(tail->last, range->last);
		else
			*range_at(list, ++kept) = *range;
	}
	g_array_set_size(list->ranges, kept + 1);
	list->is_sorted = true;
}

void uidlist_clip(struct uidlist *list, uint32_t first, uint32_t last)
{
	guint kept = 0;

	uidlist_sort(list);
	for (guint i = 0; i < list->ranges->len; i++) {
		struct imap_seqset_range range = *range_at(list, i);

		range.first = MAX(range.first, first);
		range.last = MIN(range.last, last);
		if (range.first <= range.last)
			*range_at(list, kept++) = range;
	}
	g_array_set_size(list->ranges, kept);
}

uint64_t uidlist_count(struct uidlist *list)
{
	uint64_t count = 0;

	uidlist_sort(list);
	for (guint i = 0; i < list->ranges->len; i++)
		count += (uint64_t)range_at(list, i)->last - range_at(list, i)->first + 1;
	return count;
}

void uidlist_each(struct uidlist *list, uidlist_fn fn, void *user)
{
	uidlist_sort(list);
	for (guint i = 0; i < list->ranges->len; i++)
		fn(user, range_at(list, i)->first, range_at(list, i)->last);
}

void uidlist_each_gap(struct uidlist *list, uint32_t last, uidlist_fn fn, void *user)
{
	uint64_t next = 1;

	uidlist_sort(list);
	for (guint i = 0; i < list->ranges->len && next <= last; i++) {
		const struct imap_seqset_range *range = range_at(list, i);

		if (range->first > next)
			fn(user, (uint32_t)next, MIN(range->first - 1, last));
		next = (uint64_t)range->last + 1;
	}
	if (next <= last)
		fn(user, (uint32_t)next, last);
}
