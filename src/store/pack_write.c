/* SPDX-License-Identifier: MIT */
/*
 * Small bodies on their way into a pack. Loop thread. They are gathered until they are worth it, or
 * for a moment; then one worker writes all of them with few calls, and one job commits all of their
 * rows: waking two threads and committing costs more than a body. The space is reserved here, so
 * batches cannot meet.
 */
#include <errno.h>

#include <zlib.h>

#include "base/log.h"
#include "mailfs/error.h"
#include "store/body_disk.h"
#include "store/body_impl.h"
#include "store/evict.h"
#include "store/pack_disk.h"

#define BATCH_BYTES  (2u << 20)
#define BATCHES_MAX  2u
#define GATHER_BYTES (1u << 20) /* worth a batch */
#define GATHER_MS    20u

struct entry {
	struct body *body; /* a reference; loop only */
	unsigned generation;
	GBytes *bytes;
	uint32_t crc;     /* set by the worker */
	uint64_t offset;  /* in the pack */
	GArray *dones;    /* NULL = none */
	struct index_body row; /* `extents` NULL: none is saved */
};

static void entry_clear(gpointer data)
{
	struct entry *entry = data;

	g_clear_pointer(&entry->bytes, g_bytes_unref);
	g_clear_pointer(&entry->row.extents, g_bytes_unref);
	g_clear_pointer(&entry->dones, g_array_unref);
	body_unref(entry->body);
}

static struct entry *entry_at(GArray *entries, guint index)
{
	return &g_array_index(entries, struct entry, index);
}

/* ---- the rows ------------------------------------------------------------------------------ */

struct save_job {
	struct store_job job;
	GArray *entries;
};

static int save_run(struct store_thread *thread, struct store_job *base)
{
	struct save_job *job = (struct save_job *)base;
	int rc = SQLITE_OK;

	for (guint i = 0; rc == SQLITE_OK && i < job->entries->len; i++) {
		const struct entry *entry = entry_at(job->entries, i);

		if (entry->row.extents)
			rc = index_put_body(store_thread_index(thread), &entry->row);
	}
	return rc;
}

static void save_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct save_job *job = (struct save_job *)base;

	for (guint i = 0; i < job->entries->len; i++) {
		struct entry *entry = entry_at(job->entries, i);

		if (!entry->row.extents)
			continue;
		/* Without a row the bytes are garbage. */
		if (error && entry->generation == entry->body->generation)
			body_clear(entry->body);
		if (entry->dones)
			body_dones_run(entry->dones, error);
	}
}

static void save_free(struct store_job *base)
{
	struct save_job *job = (struct save_job *)base;

	g_array_unref(job->entries);
	g_free(job);
}

static void save_entries(struct store *store, GArray *entries)
{
	struct save_job *job = g_new0(struct save_job, 1);

	job->job = (struct store_job){ .run = save_run,
		.answer = save_answer,
		.free = save_free,
		.is_write = true,
		.rows = entries->len };
	job->entries = g_array_ref(entries);
	store_thread_post(store->thread, &job->job);
}

/* ---- a batch ------------------------------------------------------------------------------- */

struct batch {
	struct disk_job job;
	struct store_dir *dir;
	GArray *entries;
	uint64_t bytes;

	struct pack *pack; /* loop only */
	uint32_t id;
	uint64_t offset;
	struct body_fd *file; /* NULL: to be opened or made */
	bool is_retry, is_open_failed;
	int r;
};

static int batch_open(struct batch *batch)
{
	int fd = -1;
	int r;

	if (batch->file)
		return 0;
	r = pack_disk_open_to_write(batch->dir, batch->id, &fd);
	if (r == 0)
		batch->file = body_fd_new(fd);
	batch->is_open_failed = r == -ENOENT;
	return r;
}

static int batch_write(struct batch *batch)
{
	g_autoptr(GPtrArray) pieces = g_ptr_array_sized_new(batch->entries->len);

	for (guint i = 0; i < batch->entries->len; i++) {
		struct entry *entry = entry_at(batch->entries, i);
		gsize len;
		const void *bytes = g_bytes_get_data(entry->bytes, &len);

		entry->crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, len);
		g_ptr_array_add(pieces, entry->bytes);
	}
	return pack_disk_write(batch->file->fd, batch->offset, (GBytes *const *)pieces->pdata,
		pieces->len);
}

static void batch_run(struct disk_job *base)
{
	struct batch *batch = (struct batch *)base;

	batch->r = batch_open(batch);
	if (batch->r == 0)
		batch->r = body_disk_check_room(batch->file->fd, batch->bytes);
	if (batch->r == 0)
		batch->r = batch_write(batch);
}

static void batch_free(struct batch *batch)
{
	body_fd_release(batch->file);
	store_dir_unref(batch->dir);
	g_array_unref(batch->entries);
	g_free(batch);
}

static bool is_current(const struct entry *entry)
{
	return entry->generation == entry->body->generation && !entry->body->is_forgotten;
}

/* Where the entries will lie. */
static void batch_place(struct store *store, struct batch *batch)
{
	uint64_t offset;

	batch->pack = packs_reserve(store, batch->bytes, &batch->offset);
	batch->id = batch->pack->id;
	batch->file = body_fd_ref(batch->pack->file);
	offset = batch->offset;
	for (guint i = 0; i < batch->entries->len; i++) {
		struct entry *entry = entry_at(batch->entries, i);

		entry->offset = offset;
		offset += g_bytes_get_size(entry->bytes);
	}
}

static void gather(struct store *store);

/* ---- after it was written ------------------------------------------------------------------ */

static void entry_failed(struct entry *entry, int r)
{
	struct body *body = entry->body;
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, store_error_code(r),
		"cached body %06x/%u: %s", body_box(body), body_uid(body), g_strerror(-r));

	body_store(body)->pending_bytes -= g_bytes_get_size(entry->bytes);
	extents_remove(body->extents, 0);
	body->is_complete = false;
	log_debug("store", "%s", error->message);
	if (entry->dones && !body_store(body)->is_closing)
		body_dones_run(entry->dones, error);
}

static void entry_stale(struct entry *entry)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the cached bytes were dropped");

	if (entry->dones && !body_store(entry->body)->is_closing)
		body_dones_run(entry->dones, error);
}

static void entry_written(struct batch *batch, struct entry *entry)
{
	struct body *body = entry->body;
	struct store *store = body_store(body);
	struct extent *extent = extents_find(body->extents, 0);

	store->pending_bytes -= extent->len;
	extent->crc = entry->crc;
	extent->state = EXTENT_CHECKED;
	g_clear_pointer(&extent->bytes, g_bytes_unref);
	body->place = (struct body_place){ batch->id, entry->offset };
	body_fd_release(body->file);
	body->file = body_fd_ref(batch->file);
	body->used = ++store->use_clock;
	body_fill_row(body, &entry->row);
}

static void batch_settle(struct store *store, struct batch *batch)
{
	bool is_written = batch->r == 0;

	if (is_written)
		packs_keep_file(store, batch->id, batch->file);
	for (guint i = 0; i < batch->entries->len; i++) {
		struct entry *entry = entry_at(batch->entries, i);

		entry->body->is_writing = false;
		if (!is_current(entry))
			entry_stale(entry);
		else if (is_written)
			entry_written(batch, entry);
		else
			entry_failed(entry, batch->r);
	}
	if (is_written) {
		packs_write_done(store, batch->pack);
		save_entries(store, batch->entries);
	} else {
		packs_write_failed(store, batch->pack, batch->offset, batch->bytes);
	}
}

static void batch_post(struct store *store, void *user)
{
	struct batch *batch = user;

	disk_job_post(store, &batch->job);
}

/* True: it is tried again. */
static bool batch_again(struct store *store, struct batch *batch)
{
	if (batch->is_retry || store->is_closing)
		return false;
	if (store_is_full(batch->r)) {
		batch->is_retry = true;
		evict_make_room(store, batch->bytes, batch_post, batch);
		return true;
	}
	if (!batch->is_open_failed)
		return false;
	/* Something else is in its place. */
	batch->is_retry = true;
	batch->pack->is_closed = true;
	packs_write_failed(store, batch->pack, batch->offset, batch->bytes);
	batch_place(store, batch);
	batch_post(store, batch);
	return true;
}

static void batch_finish(struct store *store, struct disk_job *base)
{
	struct batch *batch = (struct batch *)base;

	if (batch_again(store, batch))
		return;
	batch_settle(store, batch);
	for (guint i = 0; i < batch->entries->len; i++)
		body_write_kick(entry_at(batch->entries, i)->body);
	batch_free(batch);
	store->packs.batches_out--;
	gather(store);
	evict_if_needed(store);
	packs_tend(store);
}

/* ---- gathering ----------------------------------------------------------------------------- */

bool packs_may_take(const struct body *body)
{
	const struct store *store = body_store(body);
	const struct body_piece *piece;

	if (store->packs.pack_size == 0 || store->is_broken || body->pieces->len != 1 ||
		body->extents->len != 1)
		return false;
	piece = &g_array_index(body->pieces, struct body_piece, 0);
	return piece->offset == 0 && g_bytes_get_size(piece->bytes) <= PACK_BODY_MAX;
}

static void batch_take(struct batch *batch, struct body *body)
{
	struct entry entry = { .body = body_ref(body), .generation = body->generation };

	entry.bytes = g_bytes_ref(g_array_index(body->pieces, struct body_piece, 0).bytes);
	if (body->dones->len > 0) {
		entry.dones = g_steal_pointer(&body->dones);
		body->dones = g_array_new(FALSE, FALSE, sizeof(struct body_done));
	}
	g_array_set_size(body->pieces, 0);
	body->is_writing = true;
	batch->bytes += g_bytes_get_size(entry.bytes);
	g_array_append_val(batch->entries, entry);
}

static struct batch *batch_new(struct store *store)
{
	struct batch *batch = g_new0(struct batch, 1);

	batch->job = (struct disk_job){ .run = batch_run, .finish = batch_finish };
	batch->dir = store_dir_ref(store->dir);
	batch->entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
	g_array_set_clear_func(batch->entries, entry_clear);
	return batch;
}

static void batch_send(struct store *store, struct batch *batch)
{
	if (batch->entries->len == 0) {
		batch_free(batch);
		return;
	}
	batch_place(store, batch);
	store->packs.batches_out++;
	batch_post(store, batch);
}

static void take_queued(struct batch *batch, struct body *body)
{
	body->is_queued = false;
	if (body_is_idle_for_write(body) && packs_may_take(body) && body->is_complete)
		batch_take(batch, body);
	else
		body_write_alone(body);
	body_unref(body);
}

void packs_flush(struct store *store)
{
	struct packs *packs = &store->packs;
	uint64_t limit = MIN(BATCH_BYTES, packs->pack_size / 4);

	while (packs->queue->len > 0 && packs->batches_out < BATCHES_MAX) {
		struct batch *batch = batch_new(store);
		guint taken = 0;

		/* Taking one may queue no other: what is not taken is written alone. */
		while (taken < packs->queue->len && batch->bytes < limit)
			take_queued(batch, g_ptr_array_index(packs->queue, taken++));
		g_ptr_array_remove_range(packs->queue, 0, taken);
		packs->last_batch = taken;
		batch_send(store, batch);
	}	if (packs->queue->len > 0)
		return;
	packs->queued_bytes = 0;
	packs->is_awaited = false;
	g_clear_handle_id(&packs->gather_timer, g_source_remove);
}

static gboolean on_gathered(gpointer user)
{
	struct store *store = user;

	store->packs.gather_timer = 0;
	packs_flush(store);
	return G_SOURCE_REMOVE;
}

/* Who comes alone is written at once. When several came together, more will follow: they wait for
 * each other, unless it is enough or somebody waits for the disk. */
static void gather(struct store *store)
{
	struct packs *packs = &store->packs;
	bool is_due = packs->is_awaited || packs->last_batch <= 1 ||
		packs->queued_bytes >= GATHER_BYTES;

	if (packs->queue->len == 0 || packs->batches_out >= BATCHES_MAX ||
		(packs->gather_timer != 0 && (!is_due || packs->is_due)))
		return;
	g_clear_handle_id(&packs->gather_timer, g_source_remove);
	packs->is_due = is_due;
	packs->gather_timer = g_timeout_add(is_due ? 0 : GATHER_MS, on_gathered, store);
}

void packs_queue(struct body *body)
{
	struct store *store = body_store(body);
	struct packs *packs = &store->packs;
	const struct body_piece *piece = &g_array_index(body->pieces, struct body_piece, 0);

	g_ptr_array_add(packs->queue, body_ref(body));
	body->is_queued = true;
	packs->queued_bytes += g_bytes_get_size(piece->bytes);
	packs->is_awaited |= body->dones->len > 0;
	gather(store);
}
