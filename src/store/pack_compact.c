/* SPDX-License-Identifier: MIT */
/*
 * Getting dead bytes back: the live bodies of a pack are copied into the current one, some at a
 * time, their rows are moved in one transaction, and when no row claims the old pack any more it
 * is removed. Loop thread; the store thread lists and moves, workers copy.
 *
 * A body that has an object is left where it is: so no object ever has to learn of another place.
 * A pack in which some are left has its turn again later.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "store/body_disk.h"
#include "store/body_impl.h"
#include "store/evict.h"
#include "store/pack_disk.h"

#define STEP_ROWS  256u
#define STEP_BYTES (1u << 20)
#define PATIENCE   32u

struct compaction {
	uint32_t pack;
	uint32_t box, uid; /* so far */
	bool is_scarce;    /* no room for copies */
};

static void compact_next(struct store *store);

/* ---- ending -------------------------------------------------------------------------------- */

static void compact_end(struct store *store)
{
	struct compaction *compaction = g_steal_pointer(&store->packs.compaction);
	struct pack *pack = packs_find(store, compaction->pack);

	if (pack && pack->live > 0)
		pack->patience = PATIENCE;
	packs_tend(store);
	if (compaction->is_scarce)
		evict_room_made(store);
	g_free(compaction);
}

void compact_done(struct store *store)
{
	g_clear_pointer(&store->packs.compaction, g_free);
}

/* ---- moving the rows ----------------------------------------------------------------------- */

struct moved {
	struct index_body row; /* as listed; `extents` NULL: the row is damaged */
	uint64_t offset;       /* in the new pack */
	GBytes *bytes;         /* between reading and writing */
	bool is_bad;           /* goes */
	bool is_moved, is_removed; /* what the index has done */
};

static void moved_clear(gpointer data)
{
	struct moved *moved = data;

	g_clear_pointer(&moved->row.extents, g_bytes_unref);
	g_clear_pointer(&moved->bytes, g_bytes_unref);
}

static struct moved *moved_at(GArray *bodies, guint index)
{
	return &g_array_index(bodies, struct moved, index);
}

struct move_job {
	struct store_job job;
	GArray *bodies;    /* struct moved */
	uint32_t from, to; /* to 0: those that are not pinned go */
	struct pack *target;
};

static int move_one(struct index *index, const struct move_job *job, struct moved *moved)
{
	struct index_body row;
	bool is_known = false;
	int rc = index_load_body(index, moved->row.box, moved->row.uid, &row, &is_known);

	if (rc != SQLITE_OK)
		return rc;
	if (!is_known) /* damaged, or gone meanwhile */
		return moved->row.extents ? SQLITE_OK
					  : index_remove_body(index, moved->row.box, moved->row.uid);
	if (row.pack == job->from && row.pack_offset == moved->row.pack_offset) {
		if (moved->is_bad || (job->to == 0 && !row.is_pinned)) {
			rc = index_remove_body(index, row.box, row.uid);
			moved->is_removed = true;
		} else if (job->to != 0) {
			row.pack = job->to;
			row.pack_offset = moved->offset;
			rc = index_put_body(index, &row);
			moved->is_moved = true;
		}
	}
	g_bytes_unref(row.extents);
	return rc;
}

static int move_run(struct store_thread *thread, struct store_job *base)
{
	struct move_job *job = (struct move_job *)base;
	int rc = SQLITE_OK;

	for (guint i = 0; rc == SQLITE_OK && i < job->bodies->len; i++)
		rc = move_one(store_thread_index(thread), job, moved_at(job->bodies, i));
	return rc;
}

static void account_moved(struct store *store, const struct move_job *job)
{
	struct body_loss loss = { 0 };

	for (guint i = 0; i < job->bodies->len; i++) {
		const struct moved *moved = moved_at(job->bodies, i);
		bool is_removed = moved->is_removed || !moved->row.extents;

		if (is_removed || moved->is_moved)
			packs_account(store, job->from, 0, moved->row.bytes);
		if (moved->is_moved)
			packs_account(store, job->to, moved->row.bytes, 0);
		if (is_removed) {
			cached_remove(store, moved->row.box, moved->row.uid);
			loss.bytes += moved->row.bytes;
			loss.count++;
		}
	}
	store->usage.evicted += loss.count;
	store_account_loss(store, &loss);
}

static void move_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct move_job *job = (struct move_job *)base;

	if (!error)
		account_moved(store, job);
	if (job->target)
		packs_write_done(store, job->target);
	if (!store->packs.compaction)
		return;
	if (error)
		compact_end(store);
	else
		compact_next(store);
}

static void move_free(struct store_job *base)
{
	struct move_job *job = (struct move_job *)base;

	g_array_unref(job->bodies);
	g_free(job);
}

/* Those that have got an object meanwhile stay. Objects that come later ask the index later. */
static void strike_out_held(struct store *store, GArray *bodies)
{
	guint kept = 0;

	for (guint i = 0; i < bodies->len; i++) {
		struct moved moved = *moved_at(bodies, i);

		if (body_release_idle(store, body_key(moved.row.box, moved.row.uid)))
			*moved_at(bodies, kept++) = moved;
		else
			moved_clear(&moved);
	}
	/* What is cut off has been moved or cleared. */
	if (kept < bodies->len)
		memset(moved_at(bodies, kept), 0, (bodies->len - kept) * sizeof(struct moved));
	g_array_set_size(bodies, kept);
}

/* Takes `bodies`. */
static void move_rows(struct store *store, GArray *bodies, uint32_t from, struct pack *target)
{
	struct move_job *job = g_new0(struct move_job, 1);

	strike_out_held(store, bodies);
	job->job = (struct store_job){ .run = move_run,
		.answer = move_answer,
		.free = move_free,
		.is_write = true,
		.rows = bodies->len };
	job->bodies = bodies;
	job->from = from;
	job->to = target ? target->id : 0;
	job->target = target;
	store_thread_post(store->thread, &job->job);
}

/* ---- copying the bytes --------------------------------------------------------------------- */

struct copy_job {
	struct disk_job job;
	struct store_dir *dir;
	GArray *bodies; /* struct moved */
	uint32_t from, to;
	uint64_t offset, bytes;
	struct body_fd *source, *file; /* NULL: to be opened */
	struct pack *target; /* loop only */
	int r;
};

static int open_source(struct copy_job *job)
{
	int fd = -1;
	int r = job->source ? 0 : pack_disk_open(job->dir, job->from, &fd);

	if (fd >= 0)
		job->source = body_fd_new(fd);
	return r;
}

static int open_target(struct copy_job *job)
{
	int fd = -1;
	int r = job->file ? 0 : pack_disk_open_to_write(job->dir, job->to, &fd);

	if (fd >= 0)
		job->file = body_fd_new(fd);
	return r;
}

static void read_one(struct copy_job *job, struct moved *moved)
{
	struct index_body *row = &moved->row;
	GArray *extents = extents_new();
	const struct extent *extent;

	moved->is_bad = true;
	if (row->extents && row->is_complete && extents_decode(extents, row->extents) &&
		extents->len == 1) {
		extent = &g_array_index(extents, struct extent, 0);
		if (extent->offset == 0 && extent->len == row->bytes && row->bytes <= PACK_BODY_MAX)
			moved->bytes = body_disk_read(job->source->fd, row->pack_offset, extent->len,
				extent->crc);
	}
	moved->is_bad = !moved->bytes;
	g_array_unref(extents);
}

static int copy_all(struct copy_job *job)
{
	g_autoptr(GPtrArray) pieces = g_ptr_array_new();
	uint64_t offset = job->offset;

	for (guint i = 0; i < job->bodies->len; i++) {
		struct moved *moved = moved_at(job->bodies, i);

		read_one(job, moved);
		if (moved->is_bad)
			continue;
		moved->offset = offset;
		offset += g_bytes_get_size(moved->bytes);
		g_ptr_array_add(pieces, moved->bytes);
	}
	return pack_disk_write(job->file->fd, job->offset, (GBytes *const *)pieces->pdata,
		pieces->len);
}

static void copy_run(struct disk_job *base)
{
	struct copy_job *job = (struct copy_job *)base;

	job->r = open_source(job);
	if (job->r == -ENOENT) { /* nothing of it is left */
		for (guint i = 0; i < job->bodies->len; i++)
			moved_at(job->bodies, i)->is_bad = true;
		job->r = 0;
		return;
	}
	if (job->r == 0)
		job->r = open_target(job);
	if (job->r == 0)
		job->r = body_disk_check_room(job->file->fd, job->bytes);
	if (job->r == 0)
		job->r = copy_all(job);
}

static void copy_settle(struct store *store, struct copy_job *job)
{
	struct compaction *compaction = store->packs.compaction;

	if (job->r == 0 && job->file)
		packs_keep_file(store, job->to, job->file);
	if (job->r == 0) {
		move_rows(store, g_steal_pointer(&job->bodies), job->from, job->target);
		return;
	}
	packs_write_failed(store, job->target, job->offset, job->bytes);
	if (job->r == -ENOENT)
		job->target->is_closed = true;
	if (store_is_full(job->r)) {
		compaction->is_scarce = true;
		move_rows(store, g_steal_pointer(&job->bodies), job->from, NULL);
		return;
	}
	log_debug("store", "pack %u: %s", job->from, g_strerror(-job->r));
	compact_end(store);
}

static void copy_finish(struct store *store, struct disk_job *base)
{
	struct copy_job *job = (struct copy_job *)base;

	if (store->packs.compaction && !store->is_closing)
		copy_settle(store, job);
	else
		packs_write_done(store, job->target);
	body_fd_release(job->source);
	body_fd_release(job->file);
	store_dir_unref(job->dir);
	if (job->bodies)
		g_array_unref(job->bodies);
	g_free(job);
}

/* Takes `bodies`. */
static void copy_bodies(struct store *store, GArray *bodies, uint64_t bytes)
{
	struct copy_job *job = g_new0(struct copy_job, 1);

	job->job = (struct disk_job){ .run = copy_run, .finish = copy_finish };
	job->dir = store_dir_ref(store->dir);
	job->bodies = bodies;
	job->bytes = bytes;
	job->from = store->packs.compaction->pack;
	job->source = packs_file(store, job->from);
	job->target = packs_reserve(store, bytes, &job->offset);
	job->to = job->target->id;
	job->file = packs_file(store, job->to);
	disk_job_post(store, &job->job);
}

/* ---- listing ------------------------------------------------------------------------------- */

struct list_job {
	struct store_job job;
	uint32_t pack, box, uid;
	GArray *bodies; /* struct moved */
	uint64_t bytes;
};

static int list_run(struct store_thread *thread, struct store_job *base)
{
	struct list_job *job = (struct list_job *)base;
	struct index *index = store_thread_index(thread);
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct index_body));
	int rc = index_list_pack(index, job->pack, job->box, job->uid, STEP_ROWS, rows);

	for (guint i = 0; rc == SQLITE_OK && i < rows->len && job->bytes < STEP_BYTES; i++) {
		struct moved moved = { .row = g_array_index(rows, struct index_body, i) };
		bool is_known = false;

		rc = index_load_body(index, moved.row.box, moved.row.uid, &moved.row, &is_known);
		moved.is_bad = !is_known;
		if (is_known)
			job->bytes += moved.row.bytes;
		g_array_append_val(job->bodies, moved);
	}
	return rc;
}

/* Those that are held would be copied in vain. */
static uint64_t leave_held(struct store *store, GArray *bodies)
{
	uint64_t bytes = 0;

	strike_out_held(store, bodies);
	for (guint i = 0; i < bodies->len; i++) {
		if (!moved_at(bodies, i)->is_bad)
			bytes += moved_at(bodies, i)->row.bytes;
	}
	return bytes;
}

static void list_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct list_job *job = (struct list_job *)base;
	struct compaction *compaction = store->packs.compaction;
	uint64_t bytes;

	if (!compaction)
		return;
	if (error || job->bodies->len == 0 || store->is_broken) {
		compact_end(store);
		return;
	}
	compaction->box = moved_at(job->bodies, job->bodies->len - 1)->row.box;
	compaction->uid = moved_at(job->bodies, job->bodies->len - 1)->row.uid;
	bytes = leave_held(store, job->bodies);
	if (job->bodies->len == 0)
		compact_next(store);
	else if (compaction->is_scarce || bytes == 0)
		move_rows(store, g_steal_pointer(&job->bodies), job->pack, NULL);
	else
		copy_bodies(store, g_steal_pointer(&job->bodies), bytes);
}

static void list_free(struct store_job *base)
{
	struct list_job *job = (struct list_job *)base;

	if (job->bodies)
		g_array_unref(job->bodies);
	g_free(job);
}

static void compact_next(struct store *store)
{
	const struct compaction *compaction = store->packs.compaction;
	struct list_job *job = g_new0(struct list_job, 1);

	job->job = (struct store_job){ .run = list_run, .answer = list_answer, .free = list_free };
	job->pack = compaction->pack;
	job->box = compaction->box;
	job->uid = compaction->uid;
	job->bodies = g_array_new(FALSE, FALSE, sizeof(struct moved));
	g_array_set_clear_func(job->bodies, moved_clear);
	store_thread_post(store->thread, &job->job);
}

/* ---- beginning ----------------------------------------------------------------------------- */

void compact_begin(struct store *store, struct pack *pack)
{
	log_debug("store", "pack %u: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes are in use",
		pack->id, pack->live, pack->size);
	if (store->packs.current == pack)
		store->packs.current = NULL;
	pack->is_closed = true;
	store->packs.compaction = g_new0(struct compaction, 1);
	store->packs.compaction->pack = pack->id;
	compact_next(store);
}

bool compact_make_room(struct store *store)
{
	struct pack *pack;

	if (store->is_closing || store->is_broken)
		return false;
	if (!store->packs.compaction) {
		pack = packs_most_dead(store);
		if (!pack)
			return false;
		compact_begin(store, pack);
	}
	store->packs.compaction->is_scarce = true;
	return true;
}
