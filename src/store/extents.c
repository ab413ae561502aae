/* SPDX-License-Identifier: MIT */
/* The sorted array of extents, and its form in the index: offset, length, CRC, 16 bytes each. */
#include "store/extents.h"

#include <string.h>
#include <zlib.h>

struct record {
	uint64_t offset;
	uint32_t len;
	uint32_t crc;
};

static struct extent *at(const GArray *extents, guint index)
{
	return &g_array_index(extents, struct extent, index);
}

static void extent_clear(gpointer data)
{
	struct extent *extent = data;

	g_clear_pointer(&extent->bytes, g_bytes_unref);
}

GArray *extents_new(void)
{
	GArray *extents = g_array_new(FALSE, FALSE, sizeof(struct extent));

	g_array_set_clear_func(extents, extent_clear);
	return extents;
}

void extents_clear(GArray *extents)
{
	g_array_set_size(extents, 0);
}

guint extents_lower_bound(const GArray *extents, uint64_t offset)
{
	guint low = 0, high = extents->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (at(extents, middle)->offset + at(extents, middle)->len <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct extent *extents_find(const GArray *extents, uint64_t offset)
{
	guint index = extents_lower_bound(extents, offset);

	if (index == extents->len || at(extents, index)->offset > offset)
		return NULL;
	return at(extents, index);
}

uint64_t extents_covered_until(const GArray *extents, uint64_t offset)
{
	for (guint i = extents_lower_bound(extents, offset); i < extents->len; i++) {
		if (at(extents, i)->offset > offset)
			break;
		offset = at(extents, i)->offset + at(extents, i)->len;
	}
	return offset;
}

void extents_insert(GArray *extents, const struct extent *extent)
{
	guint index = extents_lower_bound(extents, extent->offset);

	g_array_insert_val(extents, index, *extent);
}

void extents_remove(GArray *extents, uint64_t offset)
{
	guint index = extents_lower_bound(extents, offset);

	if (index < extents->len && at(extents, index)->offset == offset)
		g_array_remove_index(extents, index);
}

static bool can_join(const struct extent *left, const struct extent *right)
{
	return left->state == EXTENT_CHECKED && right->state == EXTENT_CHECKED &&
		left->offset + left->len == right->offset && left->len + right->len <= EXTENT_MAX;
}

void extents_merge(GArray *extents)
{
	guint kept = 0;

	for (guint i = 1; i < extents->len; i++) {
		struct extent *left = at(extents, kept), *right = at(extents, i);

		if (can_join(left, right)) {
			left->crc = (uint32_t)crc32_combine(left->crc, right->crc, (z_off_t)right->len);
			left->len += right->len;
			continue;
		}
		kept++;
		if (kept != i) {
			*at(extents, kept) = *right;
			right->bytes = NULL; /* moved */
		}
	}
	if (extents->len > 0)
		g_array_set_size(extents, kept + 1);
}

uint64_t extents_bytes(const GArray *extents, bool on_disk_only)
{
	uint64_t bytes = 0;

	for (guint i = 0; i < extents->len; i++) {
		if (!on_disk_only || at(extents, i)->state != EXTENT_MEMORY)
			bytes += at(extents, i)->len;
	}
	return bytes;
}

bool extents_are_whole(const GArray *extents, uint64_t size, bool on_disk_only)
{
	/* Without overlap and with nothing behind the end, the sum says it. */
	if (extents->len > 0) {
		const struct extent *last = at(extents, extents->len - 1);

		if (last->offset + last->len != size)
			return false;
	}
	return extents_bytes(extents, on_disk_only) == size;
}

GBytes *extents_encode(const GArray *extents)
{
	GArray *records = g_array_new(FALSE, FALSE, sizeof(struct record));
	gsize size;

	for (guint i = 0; i < extents->len; i++) {
		const struct extent *extent = at(extents, i);
		struct record record = { extent->offset, extent->len, extent->crc };

		if (extent->state != EXTENT_MEMORY)
			g_array_append_val(records, record);
	}
	size = records->len * sizeof(struct record);
	return g_bytes_new_take(g_array_free(records, FALSE), size);
}

bool extents_decode(GArray *extents, GBytes *encoded)
{
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(encoded, &size);
	uint64_t end = 0;

	if (size % sizeof(struct record) != 0)
		return false;
	for (gsize i = 0; i < size; i += sizeof(struct record)) {
		struct record record;
		struct extent extent = { .state = EXTENT_UNCHECKED };

		memcpy(&record, bytes + i, sizeof(record));
		if (record.offset < end || record.offset > INT64_MAX - EXTENT_MAX || record.len == 0 ||
			record.len > EXTENT_MAX) {
			extents_clear(extents);
			return false;
		}
		extent.offset = record.offset;
		extent.len = record.len;
		extent.crc = record.crc;
		g_array_append_val(extents, extent);
		end = record.offset + record.len;
	}
	return true;
}
