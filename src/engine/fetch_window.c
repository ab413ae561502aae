/* SPDX-License-Identifier: MIT */
/*
 * A part of a large message: which part to ask for, and the proof that it fits to what is here.
 * Loop thread.
 */
#include "engine/fetch_impl.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/post.h"

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
	nexts_spoil(fetch);
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

static void compare(struct fetch *fetch, const uint8_t *old, size_t len)
{
	struct overlap *overlap = &fetch->overlaps[fetch->overlaps_left - 1];
	const uint8_t *fresh = fetch->buffer->data + (overlap->offset - fetch->asked.offset);

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

static void overlap_read_end(struct disk_read *read, const uint8_t *old, size_t len)
{
	struct fetch *fetch = disk_read_end(read);

	if (!fetch)
		return;
	compare(fetch, old, len);
	fetch_release(fetch);
}

/* The neighbour's bytes have left the page cache since they were checked: a worker gets them. */
struct overlap_job {
	struct disk_read *read;
	int fd; /* its own */
	uint64_t offset;
	size_t len;
	ssize_t got;
	uint8_t bytes[FETCH_OVERLAP];
};

static void on_overlap_read(void *data)
{
	struct overlap_job *job = data;

	overlap_read_end(job->read, job->bytes, job->got > 0 ? (size_t)job->got : 0);
	close(job->fd);
	g_free(job);
}

static void on_worker(void *data)
{
	struct overlap_job *job = data;

	job->got = pread(job->fd, job->bytes, job->len, (off_t)job->offset);
	post_to_loop(on_overlap_read, job);
}

static void read_on_worker(struct disk_read *read, const struct body_slice *slice, size_t len)
{
	struct overlap_job *job;
	int fd = dup(slice->fd);

	if (fd < 0) {
		overlap_read_end(read, NULL, 0);
		return;
	}
	job = g_new0(struct overlap_job, 1);
	job->read = read;
	job->fd = fd;
	job->offset = slice->offset;
	job->len = len;
	post_to_worker(on_worker, job);
}

static void on_overlap(void *user, const struct body_slice *slice, const GError *error)
{
	struct disk_read *read = user;
	uint8_t old[FETCH_OVERLAP];
	struct iovec where = { old, 0 };
	ssize_t got;

	if (error || !read->fetch) {
		overlap_read_end(read, NULL, 0);
		return;
	}
	where.iov_len = (size_t)MIN(slice->len, read->fetch->overlaps[read->fetch->overlaps_left - 1].len);
	if (slice->bytes) {
		overlap_read_end(read,
			(const uint8_t *)g_bytes_get_data(slice->bytes, NULL) + slice->offset, where.iov_len);
		return;
	}
	got = preadv2(slice->fd, &where, 1, (off_t)slice->offset, RWF_NOWAIT);
	if (got > 0)
		overlap_read_end(read, old, (size_t)got);
	else
		read_on_worker(read, slice, where.iov_len);
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

