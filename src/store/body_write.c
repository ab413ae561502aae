/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way to the disk. Loop thread; workers get self-contained jobs. Per body there is
 * one job at a time: pieces that come meanwhile go together into the next one. The index learns of
 * bytes only after they were written, so a process that is killed leaves files without rows, which
 * are swept, but never rows that claim too much.
 */
#include "store/body_impl.h"

#include <errno.h>
#include <unistd.h>

#include <zlib.h>

#include "base/log.h"
#include "mailfs/error.h"
#include "store/body_disk.h"
#include "store/evict.h"

void body_dones_run(GArray *dones, const GError *error)
{
	for (guint i = 0; i < dones->len; i++) {
		const struct body_done *done = &g_array_index(dones, struct body_done, i);

		done->fn(done->user, error);
	}
}

/* ---- the row ------------------------------------------------------------------------------- */

struct save_job {
	struct store_job job;
	struct body *body; /* a reference */
	unsigned generation;
	struct index_body row;
	GArray *dones; /* NULL = none */
};

static int save_run(struct store_thread *thread, struct store_job *base)
{
	struct save_job *job = (struct save_job *)base;

	return index_put_body(store_thread_index(thread), &job->row);
}

static void save_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct save_job *job = (struct save_job *)base;

	/* Without a row the file is garbage. */
	if (error && job->generation == job->body->generation)
		body_clear(job->body);
	if (job->dones)
		body_dones_run(job->dones, error);
}

static void save_free(struct store_job *base)
{
	struct save_job *job = (struct save_job *)base;

	g_bytes_unref(job->row.extents);
	if (job->dones)
		g_array_unref(job->dones);
	body_unref(job->body);
	g_free(job);
}

static void account_save(struct body *body, uint64_t bytes)
{
	struct store *store = body_store(body);
	struct store_usage *usage = &store->usage;

	usage->body_bytes += bytes;
	usage->body_bytes -= MIN(body->saved_bytes, usage->body_bytes);
	usage->bodies += !body->is_saved;
	packs_account(store, body->saved_pack, 0, body->saved_bytes);
	packs_account(store, body->place.pack, bytes, 0);
	body->saved_pack = body->place.pack;
	body->saved_bytes = bytes;
	body->is_saved = true;
	cached_add(store, body_box(body), body_uid(body));
}

void body_fill_row(struct body *body, struct index_body *ret_row)
{
	*ret_row = (struct index_body){
		.box = body_box(body),
		.uid = body_uid(body),
		.pack = body->place.pack,
		.pack_offset = body->place.offset,
		.bytes = extents_bytes(body->extents, true),
		.used = body->used,
		.is_complete = body->is_complete && extents_are_whole(body->extents, body->size, true),
		.is_pinned = body->is_pinned,
		.extents = extents_encode(body->extents),
	};
	body->needs_save = false;
	account_save(body, ret_row->bytes);
}

/* Takes `dones`. */
static void body_save(struct body *body, GArray *dones)
{
	struct save_job *job = g_new0(struct save_job, 1);

	job->job = (struct store_job){ .run = save_run,
		.answer = save_answer,
		.free = save_free,
		.is_write = true,
		.rows = 1 };
	body_fill_row(body, &job->row);
	job->dones = dones;
	job->generation = body->generation;
	job->body = body_ref(body);
	store_thread_post(body_store(body)->thread, &job->job);
}

/* ---- writing ------------------------------------------------------------------------------- */

struct write_job {
	struct disk_job job;
	struct body *body; /* a reference; loop only */
	unsigned generation;
	struct store_dir *dir;
	uint32_t box, uid;
	struct body_fd *file; /* NULL: to be opened or made */
	bool is_create, is_refused, is_retry;
	GArray *pieces;
	GArray *dones;
	int r;
};

static uint64_t job_bytes(const struct write_job *job)
{
	uint64_t bytes = 0;

	for (guint i = 0; i < job->pieces->len; i++)
		bytes += g_bytes_get_size(g_array_index(job->pieces, struct body_piece, i).bytes);
	return bytes;
}

static void write_pieces(struct write_job *job)
{
	for (guint i = 0; job->r == 0 && i < job->pieces->len; i++) {
		struct body_piece *piece = &g_array_index(job->pieces, struct body_piece, i);
		gsize len;
		const void *bytes = g_bytes_get_data(piece->bytes, &len);

		piece->crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, len);
		job->r = body_disk_write(job->file->fd, piece->offset, bytes, len);
	}
	/* What no row will know shall not fill the disk until the next sweep. */
	if (job->r < 0 && job->is_create && ftruncate(job->file->fd, 0) < 0)
		log_debug("store", "a useless file keeps its bytes: %s", g_strerror(errno));
}

static void write_run(struct disk_job *base)
{
	struct write_job *job = (struct write_job *)base;
	int fd = -1;

	job->r = job->is_refused ? -EIO : 0;
	if (job->r == 0 && !job->file) {
		job->r = job->is_create ? body_disk_create(job->dir, job->box, job->uid, &fd)
					: body_disk_open(job->dir, job->box, job->uid, &fd);
		if (job->r == 0)
			job->file = body_fd_new(fd);
	}
	if (job->r == 0)
		job->r = body_disk_check_room(job->file->fd, job_bytes(job));
	if (job->r == 0)
		write_pieces(job);
}

static void write_free(struct write_job *job)
{
	body_fd_release(job->file);
	store_dir_unref(job->dir);
	g_array_unref(job->pieces);
	g_array_unref(job->dones);
	body_unref(job->body);
	g_free(job);
}

/* The pieces are in the file, or nowhere. */
static void settle_pieces(struct write_job *job, bool is_written)
{
	struct body *body = job->body;

	for (guint i = 0; i < job->pieces->len; i++) {
		const struct body_piece *piece = &g_array_index(job->pieces, struct body_piece, i);
		struct extent *extent = extents_find(body->extents, piece->offset);

		body_store(body)->pending_bytes -= extent->len;
		if (is_written) {
			extent->crc = piece->crc;
			extent->state = EXTENT_CHECKED;
			g_clear_pointer(&extent->bytes, g_bytes_unref);
		} else {
			extents_remove(body->extents, piece->offset);
		}
	}
}

static void write_failed(struct store *store, struct write_job *job)
{
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, store_error_code(job->r),
		"cached body %06x/%u: %s", job->box, job->uid, g_strerror(-job->r));

	settle_pieces(job, false);
	job->body->is_complete = false;
	log_debug("store", "%s", error->message);
	if (!store->is_closing)
		body_dones_run(job->dones, error);
}

static void write_succeeded(struct write_job *job)
{
	struct body *body = job->body;

	settle_pieces(job, true);
	extents_merge(body->extents);
	if (!body->file)
		body->file = body_fd_ref(job->file);
	body->used = ++body_store(body)->use_clock;
	body_save(body, g_array_ref(job->dones));
	evict_if_needed(body_store(body));
}

/* The file that should hold the older bytes is gone: these pieces begin a new one. */
static void write_again(struct write_job *job)
{
	struct body *body = job->body;

	g_array_prepend_vals(body->pieces, job->pieces->data, job->pieces->len);
	for (guint i = 0; i < job->pieces->len; i++)
		g_bytes_ref(g_array_index(job->pieces, struct body_piece, i).bytes);
	g_array_prepend_vals(body->dones, job->dones->data, job->dones->len);
	body_lose_disk(body, "its file is missing");
}

static void write_post(struct store *store, void *user)
{
	struct write_job *job = user;

	disk_job_post(store, &job->job);
}

bool store_is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EFBIG;
}

static void write_finish(struct store *store, struct disk_job *base)
{
	struct write_job *job = (struct write_job *)base;
	struct body *body = job->body;
	bool is_current = job->generation == body->generation && !body->is_forgotten;

	if (is_current && store_is_full(job->r) && !job->is_retry && !store->is_closing) {
		job->is_retry = true;
		evict_make_room(store, job_bytes(job), write_post, job);
		return;
	}

	body->is_writing = false;
	if (!is_current) {
		g_autoptr(GError) error =
			g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the cached bytes were dropped");

		if (!store->is_closing)
			body_dones_run(job->dones, error);
	} else if (job->r == -ENOENT && !job->is_create && !job->file) {
		write_again(job);
	} else if (job->r < 0) {
		write_failed(store, job);
	} else {
		write_succeeded(job);
	}
	body_write_kick(body);
	write_free(job);
}

static void send_write(struct body *body)
{
	struct store *store = body_store(body);
	struct write_job *job = g_new0(struct write_job, 1);

	job->job = (struct disk_job){ .run = write_run, .finish = write_finish };
	job->generation = body->generation;
	job->dir = store_dir_ref(store->dir);
	job->box = body_box(body);
	job->uid = body_uid(body);
	job->file = body_fd_ref(body->file);
	job->is_create = extents_bytes(body->extents, true) == 0;
	job->is_refused = store->is_broken;
	job->pieces = g_steal_pointer(&body->pieces);
	job->dones = g_steal_pointer(&body->dones);
	body->pieces = g_array_new(FALSE, FALSE, sizeof(struct body_piece));
	g_array_set_clear_func(body->pieces, body_piece_clear);
	body->dones = g_array_new(FALSE, FALSE, sizeof(struct body_done));
	body->is_writing = true;
	job->body = body_ref(body);
	disk_job_post(store, &job->job);
}

bool body_is_idle_for_write(const struct body *body)
{
	return body_store(body) && body->is_ready && !body->is_writing && !body->is_forgotten &&
		!body->is_dropping;
}

/* True: there is something to write. */
static bool prepare_write(struct body *body)
{
	if (!body_is_idle_for_write(body) || body->pieces->len == 0)
		return false;
	if (body->place.pack == 0)
		return true;
	/* What lies in a pack cannot grow there. It was whole, so this is rare. */
	body_lose_disk(body, "there is more of it than there was");
	return false;
}

void body_write_alone(struct body *body)
{
	if (prepare_write(body))
		send_write(body);
	else
		body_write_kick(body);
}

static void bring_up_to_date(struct body *body)
{
	if (body->extents->len == 0 && !body->is_complete && !body->is_pinned)
		body_send_drop(body);
	else
		body_save(body, NULL);
}

void body_write_kick(struct body *body)
{
	if (!body_store(body) || !body->is_ready || body->is_writing || body->is_forgotten)
		return;
	if (body->is_dropping) {
		if (!body->is_drop_sent)
			body_send_drop(body);
		return;
	}
	if (body->is_queued)
		return;
	if (body->pieces->len == 0) {
		if (body->needs_save)
			bring_up_to_date(body);
	} else if (prepare_write(body)) {
		if (packs_may_take(body))
			packs_queue(body);
		else
			send_write(body);
	}
}

/* ---- adding -------------------------------------------------------------------------------- */

static void add_piece(struct body *body, uint64_t offset, GBytes *bytes, gsize start, gsize len)
{
	struct extent extent = { .offset = offset, .len = (uint32_t)len, .state = EXTENT_MEMORY };
	struct body_piece piece = { .offset = offset };

	extent.bytes = g_bytes_new_from_bytes(bytes, start, len);
	piece.bytes = g_bytes_ref(extent.bytes);
	extents_insert(body->extents, &extent);
	g_array_append_val(body->pieces, piece);
	body_store(body)->pending_bytes += len;
}

static void add_missing(struct body *body, uint64_t offset, GBytes *bytes)
{
	gsize size = g_bytes_get_size(bytes), start = 0;

	while (start < size) {
		uint64_t here = extents_covered_until(body->extents, offset + start);
		guint next = extents_lower_bound(body->extents, here);
		gsize len;

		start = (gsize)MIN(here - offset, size);
		len = MIN(size - start, (gsize)EXTENT_MAX);
		if (next < body->extents->len)
			len = (gsize)MIN(len,
				g_array_index(body->extents, struct extent, next).offset - here);
		if (len > 0)
			add_piece(body, here, bytes, start, len);
		start += len;
	}
}

void body_add(struct body *body, uint64_t offset, GBytes *bytes, store_done_fn done, void *user)
{
	struct store *store = body_store(body);
	struct body_done entry = { done, user };
	guint before = body->pieces->len;

	if (!store)
		return;
	if (body->is_forgotten) {
		g_autoptr(GError) error =
			g_error_new(MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is not there any more");

		store_post_done(store, done, user, error);
		return;
	}
	g_assert(offset <= INT64_MAX - EXTENT_MAX - g_bytes_get_size(bytes));
	add_missing(body, offset, bytes);
	if (body->pieces->len == before)
		store_post_done(store, done, user, NULL);
	else if (done)
		g_array_append_val(body->dones, entry);
	body_write_kick(body);
}

void body_complete(struct body *body, uint64_t size)
{
	if (!body_store(body) || body->is_forgotten || body->is_complete ||
		!extents_are_whole(body->extents, size, false))
		return;
	body->is_complete = true;
	body->size = size;
	body->needs_save = true;
	body_write_kick(body);
}

void body_pin(struct body *body, bool is_pinned)
{
	if (!body_store(body) || body->is_forgotten)
		return;
	if (body->is_ready && body->is_pinned == is_pinned)
		return;
	if (body_is_shared(body))
		body_clear(body); /* only bytes of its own stay */
	body->is_pinned = is_pinned;
	body->is_pin_set = true;
	body->needs_save = true;
	body_write_kick(body);
}
