/* SPDX-License-Identifier: MIT */
/*
 * Reading bodies: from memory, from a checked file, or after a worker has checked the extent. Loop
 * thread.
 */
#include "store/body_impl.h"

#include <errno.h>

#include "mailfs/error.h"
#include "store/body_disk.h"
#include "store/pack_disk.h"

static void fail(body_read_fn fn, void *user, enum mailfs_error code, const char *why)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, (int)code, "cached body: %s", why);

	fn(user, NULL, error);
}

/* ---- checking ------------------------------------------------------------------------------ */

struct check_job {
	struct disk_job job;
	struct body *body; /* a reference; loop only */
	unsigned generation;
	struct store_dir *dir;
	uint32_t box, uid;
	struct body_place place;
	struct body_fd *file; /* NULL: to be opened */
	uint64_t offset;
	uint32_t len, crc;
	uint32_t found_crc;
	int r;
};

static void check_run(struct disk_job *base)
{
	struct check_job *job = (struct check_job *)base;
	int fd = -1;

	job->r = 0;
	if (!job->file) {
		job->r = job->place.pack != 0
			? pack_disk_open(job->dir, job->place.pack, &fd)
			: body_disk_open(job->dir, job->box, job->uid, &fd);
		if (job->r == 0)
			job->file = body_fd_new(fd);
	}
	if (job->r == 0)
		job->r = body_disk_crc(job->file->fd, job->place.offset + job->offset, job->len,
			&job->found_crc);
}

/* Ours to bear: it says nothing about the file. */
static bool is_passing(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM;
}

static void check_settle(struct body *body, struct check_job *job)
{
	struct extent *extent = extents_find(body->extents, job->offset);

	if (!extent || extent->offset != job->offset || extent->state != EXTENT_CHECKING)
		return;
	if (is_passing(job->r)) {
		extent->state = EXTENT_UNCHECKED;
		body_reads_fail(body, (struct mailfs_range){ job->offset, job->len },
			g_strerror(-job->r));
	} else if (job->r < 0) {
		body_lose_disk(body, job->r == -ENODATA ? "its file is too short" : g_strerror(-job->r));
	} else if (job->found_crc != job->crc) {
		body_lose_extent(body, job->offset, "its bytes have changed on disk");
	} else {
		extent->state = EXTENT_CHECKED;
		if (!body->file)
			body->file = body_fd_ref(job->file);
		if (!body->is_forgotten)
			packs_keep_file(body_store(body), job->place.pack, job->file);
	}
}

static void check_finish(struct store *store, struct disk_job *base)
{
	struct check_job *job = (struct check_job *)base;
	struct body *body = job->body;

	if (job->generation == body->generation)
		check_settle(body, job);
	if (store->is_closing)
		body_reads_fail(body, (struct mailfs_range){ 0, UINT64_MAX }, "closed");
	else if (job->generation == body->generation)
		body_reads_retry(body);
	body_fd_release(job->file);
	store_dir_unref(job->dir);
	body_unref(body);
	g_free(job);
}

void body_check(struct body *body, struct extent *extent)
{
	struct check_job *job = g_new0(struct check_job, 1);

	job->job = (struct disk_job){ .run = check_run, .finish = check_finish };
	job->generation = body->generation;
	job->dir = store_dir_ref(body_store(body)->dir);
	job->box = key_box(body->source);
	job->uid = key_uid(body->source);
	job->place = body->place;
	job->file = body->file ? body_fd_ref(body->file)
			       : packs_file(body_store(body), body->place.pack);
	job->offset = extent->offset;
	job->len = extent->len;
	job->crc = extent->crc;
	job->body = body_ref(body);
	extent->state = EXTENT_CHECKING;
	disk_job_post(body_store(body), &job->job);
}

/* ---- answering ----------------------------------------------------------------------------- */

static void answer_memory(const struct extent *extent, const struct body_wait_read *read)
{
	g_autoptr(GBytes) bytes = g_bytes_ref(extent->bytes); /* the callback may drop the body */
	struct body_slice slice = { .bytes = bytes, .fd = -1 };

	slice.offset = read->range.offset - extent->offset;
	slice.len = (size_t)MIN(read->range.len, extent->len - slice.offset);
	read->fn(read->user, &slice, NULL);
}

static uint64_t checked_until(const struct body *body, uint64_t offset, uint64_t end)
{
	for (guint i = extents_lower_bound(body->extents, offset); i < body->extents->len; i++) {
		const struct extent *extent = &g_array_index(body->extents, struct extent, i);

		if (extent->offset > offset || extent->state != EXTENT_CHECKED || offset >= end)
			break;
		offset = extent->offset + extent->len;
	}
	return MIN(offset, end);
}

static void answer_file(struct body *body, const struct body_wait_read *read)
{
	struct body_fd *file = body_fd_ref(body->file);
	struct body_slice slice = { .fd = file->fd };
	uint64_t end;

	if (__builtin_add_overflow(read->range.offset, read->range.len, &end))
		end = UINT64_MAX;
	slice.offset = body->place.offset + read->range.offset;
	slice.len = (size_t)(checked_until(body, read->range.offset, end) - read->range.offset);
	read->fn(read->user, &slice, NULL);
	body_fd_release(file);
}

/* False: it must wait for a check. */
static bool try_answer(struct body *body, const struct body_wait_read *read)
{
	struct extent *extent =
		body->is_ready ? extents_find(body->extents, read->range.offset) : NULL;

	if (!extent || read->range.len == 0) {
		fail(read->fn, read->user, MAILFS_ERROR_GONE, "these bytes are not here");
		return true;
	}
	switch (extent->state) {
	case EXTENT_MEMORY:
		answer_memory(extent, read);
		return true;
	case EXTENT_CHECKED:
		answer_file(body, read);
		return true;
	case EXTENT_UNCHECKED:
		body_check(body, extent);
		return false;
	case EXTENT_CHECKING:
		return false;
	}
	return false;
}

void body_read(struct body *body, struct mailfs_range range, body_read_fn fn, void *user)
{
	struct body_wait_read read = { range, fn, user };

	if (!body_store(body)) {
		fail(fn, user, MAILFS_ERROR_GONE, "closed");
		return;
	}
	body_ref(body);
	if (body->is_saved || body_is_shared(body))
		body_touch(body);
	if (range.offset == 0)
		body_note_read(body);
	if (try_answer(body, &read)) {
		body_unref(body);
		return;
	}
	g_array_append_val(body->reads, read); /* keeps the reference */
}

static GArray *steal_reads(struct body *body)
{
	GArray *reads = g_steal_pointer(&body->reads);

	body->reads = g_array_new(FALSE, FALSE, sizeof(struct body_wait_read));
	return reads;
}

void body_reads_retry(struct body *body)
{
	g_autoptr(GArray) reads = steal_reads(body);

	for (guint i = 0; i < reads->len; i++) {
		const struct body_wait_read *read = &g_array_index(reads, struct body_wait_read, i);

		if (!body_store(body) || try_answer(body, read))
			body_unref(body);
		else
			g_array_append_val(body->reads, *read);
	}
}

void body_reads_fail(struct body *body, struct mailfs_range range, const char *why)
{
	g_autoptr(GArray) reads = steal_reads(body);
	g_autofree char *text = g_strdup(why);

	body_ref(body);
	for (guint i = 0; i < reads->len; i++) {
		const struct body_wait_read *read = &g_array_index(reads, struct body_wait_read, i);

		if (read->range.offset < range.offset ||
			read->range.offset - range.offset >= range.len) {
			g_array_append_val(body->reads, *read);
			continue;
		}
		fail(read->fn, read->user, MAILFS_ERROR_DISK, text);
		body_unref(body);
	}
	body_unref(body);
}
