/* SPDX-License-Identifier: MIT */
/*
 * A part of a large message: which part to ask for, and the proof that it fits to what is here.
 * Loop thread.
 */
#include "engine/fetch_impl.h"

#include <string.h>
#include <unistd.h>

static void window_fits(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	uint64_t end = fetch->asked.offset + fetch->buffer->len; /* of what came */
	uint64_t gap_end = fetch->gap.offset + fetch->gap.len;
	const struct message *message = fetch_message(fetch, NULL);
	uint64_t claimed = message ? message->size : gap_end;

	engine->body_bytes_fetched += fetch->buffer->len;
	/* The end is where it was claimed: nothing is missing, and the byte behind it is not there. */
	if (end < gap_end || (fetch->probes_end && end > gap_end)) {
		request_over(fetch);
		fetch_size_is_wrong(fetch);
		fetch_advance(fetch);
		return;
	}
	fetch_give(fetch, fetch->gap.offset,
		fetch->buffer->data + (fetch->gap.offset - fetch->asked.offset), fetch->gap.len);
	fetch->next_offset = gap_end;
	if (fetch->probes_end)
		fetch_note_size(fetch, claimed, true);
	request_over(fetch);
	if (message && (message->bits & MESSAGE_SIZE_EXACT) != 0 &&
		body_covered_until(fetch->body, 0) >= claimed) {
		body_complete(fetch->body, claimed);
		engine->bodies_fetched++;
	}
	fetch_advance(fetch);
}

static void window_differs(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	struct store_trust trust = store_get_trust(engine->config.store);
	g_autoptr(GError) error = NULL;
	struct folder *folder;
	const struct message *message = fetch_message(fetch, &folder);

	request_over(fetch);
	body_drop(fetch->body);
	trust.is_range_unstable = true;
	store_put_trust(engine->config.store, trust);
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"the server sends other bytes each time; messages are fetched whole from now on");
	engine_add_reason(engine, "UID %u: %s", fetch->uid, error->message);
	fetch_fail_waiters(fetch, error, true);
	/* Readers have seen bytes of the other version. */
	if (message)
		engine_bytes_changed(engine, folder, fetch->uid);
	fetch_advance(fetch);
}

/* What is here of the overlap, at most `len` octets of it; 0: nothing that can be compared. */
static size_t copy_slice(const struct body_slice *slice, uint8_t *bytes, size_t len)
{
	len = MIN(slice->len, len);
	if (slice->bytes) {
		memcpy(bytes, (const uint8_t *)g_bytes_get_data(slice->bytes, NULL) + slice->offset, len);
		return len;
	}
	/* Checked a moment ago: the page cache has it. */
	return pread(slice->fd, bytes, len, (off_t)slice->offset) == (ssize_t)len ? len : 0;
}

static void compare(struct fetch *fetch, const struct body_slice *slice)
{
	struct overlap *overlap = &fetch->overlaps[fetch->overlaps_left - 1];
	const uint8_t *fresh = fetch->buffer->data + (overlap->offset - fetch->asked.offset);
	uint8_t old[FETCH_OVERLAP];
	size_t len = slice ? copy_slice(slice, old, (size_t)MIN(overlap->len, sizeof(old))) : 0;

	if (len > 0 && memcmp(old, fresh, len) != 0) {
		window_differs(fetch);
		return;
	}
	overlap->offset += len;
	overlap->len -= len;
	/* A neighbour that the disk lost is no witness; it will be fetched again. */
	if (overlap->len == 0 || len == 0)
		fetch->overlaps_left--;
	window_take(fetch);
}

static void on_overlap(void *user, const struct body_slice *slice, const GError *error)
{
	struct fetch *fetch = disk_read_end(user);

	if (!fetch)
		return;
	compare(fetch, error ? NULL : slice);
	fetch_release(fetch);
}

void window_take(struct fetch *fetch)
{
	uint64_t end = fetch->asked.offset + fetch->buffer->len;

	while (fetch->overlaps_left > 0) {
		struct overlap *overlap = &fetch->overlaps[fetch->overlaps_left - 1];
		struct mailfs_range range = { overlap->offset, overlap->len };

		if (overlap->offset + overlap->len <= end && body_covers(fetch->body, range)) {
			body_read(fetch->body, range, on_overlap, disk_read_new(fetch, NULL));
			return;
		}
		fetch->overlaps_left--;
	}
	window_fits(fetch);
}

void window_plan(struct fetch *fetch, uint64_t offset, uint64_t size)
{
	uint64_t start = offset;
	uint64_t end;

	if (offset == fetch->next_offset && fetch->window > 0)
		fetch->window = MIN(fetch->window * 2, FETCH_WINDOW_MAX);
	else
		fetch->window = FETCH_WINDOW_FIRST;
	end = MIN(start + fetch->window, MIN(body_gap_until(fetch->body, start), size));
	fetch->gap = (struct mailfs_range){ start, end - start };
	fetch->probes_end = end == size;
	fetch->overlaps_left = 0;
	fetch->asked = fetch->gap;
	if (start > 0 && body_covers(fetch->body, (struct mailfs_range){ start - 1, 1 })) {
		uint64_t lead = MIN(start, FETCH_OVERLAP);

		fetch->asked.offset -= lead;
		fetch->asked.len += lead;
		fetch->overlaps[fetch->overlaps_left++] = (struct overlap){ start - lead, lead };
	}
	if (end < size) {
		uint64_t trail = MIN(size - end, FETCH_OVERLAP);

		if (body_covers(fetch->body, (struct mailfs_range){ end, trail })) {
			fetch->asked.len += trail;
			fetch->overlaps[fetch->overlaps_left++] = (struct overlap){ end, trail };
		}
	}
	if (fetch->probes_end)
		fetch->asked.len++;
}

