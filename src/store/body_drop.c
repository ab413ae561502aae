/* SPDX-License-Identifier: MIT */
/*
 * Bodies that lose their bytes: asked for, or because the disk has damaged them. Loop thread; the
 * store thread removes the row and then the file, and until it has answered nothing is written.
 */
#include "base/log.h"
#include "mailfs/error.h"
#include "store/body_disk.h"
#include "store/body_impl.h"

struct drop_job {
	struct store_job job;
	struct body *body; /* a reference */
	uint32_t box, uid;
	bool is_pinned, is_packed;
	uint64_t used;
};

static int drop_run(struct store_thread *thread, struct store_job *base)
{
	struct drop_job *job = (struct drop_job *)base;
	struct index *index = store_thread_index(thread);
	g_autoptr(GBytes) none = g_bytes_new(NULL, 0);
	struct index_body row = { .box = job->box,
		.uid = job->uid,
		.used = job->used,
		.is_pinned = true,
		.extents = none };

	return job->is_pinned ? index_put_body(index, &row)
			      : index_remove_body(index, job->box, job->uid);
}

static void drop_after(struct store_thread *thread, struct store_job *base)
{
	struct drop_job *job = (struct drop_job *)base;

	if (!job->is_packed)
		body_disk_remove(store_thread_dir(thread), job->box, &job->uid, 1);
}

static void drop_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct drop_job *job = (struct drop_job *)base;

	if (!job->is_pinned)
		cached_remove(store, job->box, job->uid);
	job->body->is_dropping = job->body->is_drop_sent = false;
	body_write_kick(job->body);
	packs_tend(store);
}

static void drop_free(struct store_job *base)
{
	struct drop_job *job = (struct drop_job *)base;

	body_unref(job->body);
	g_free(job);
}

void body_send_drop(struct body *body)
{
	struct store *store = body_store(body);
	struct drop_job *job = g_new0(struct drop_job, 1);

	job->job = (struct store_job){ .run = drop_run,
		.after = drop_after,
		.answer = drop_answer,
		.free = drop_free,
		.is_write = true,
		.rows = 1 };
	job->box = body_box(body);
	job->uid = body_uid(body);
	job->is_pinned = body->is_pinned;
	job->used = body->used;
	job->is_packed = body->saved_pack != 0;
	job->body = body_ref(body);

	store->usage.body_bytes -= MIN(body->saved_bytes, store->usage.body_bytes);
	store->usage.bodies += body->is_pinned;
	store->usage.bodies -= MIN(body->is_saved, store->usage.bodies);
	packs_account(store, body->saved_pack, 0, body->saved_bytes);
	body->saved_bytes = 0;
	body->saved_pack = 0;
	body->is_saved = body->is_pinned;
	body->is_dropping = body->is_drop_sent = true;
	body->needs_save = body->is_complete; /* again, when that is done */
	store_thread_post(store->thread, &job->job);
}

static void dones_post(struct store *store, GArray *dones, const GError *error)
{
	for (guint i = 0; store && i < dones->len; i++) {
		const struct body_done *done = &g_array_index(dones, struct body_done, i);

		store_post_done(store, done->fn, done->user, error);
	}
	g_array_set_size(dones, 0);
}

static void leave_place(struct body *body)
{
	body->place = (struct body_place){ 0 };
	body_fd_release(g_steal_pointer(&body->file));
}

void body_stop_writing(struct body *body)
{
	struct store *store = body_store(body);
	g_autoptr(GError) error = g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED,
		"the cached bytes were dropped");

	if (!body->is_kept && !body_is_shared(body))
		store->pending_bytes -=
			extents_bytes(body->extents, false) - extents_bytes(body->extents, true);
	g_array_set_size(body->pieces, 0);
	dones_post(store, body->dones, error);
}

void body_clear(struct body *body)
{
	body->generation++;
	body_stop_writing(body);
	extents_clear(body->extents);
	body->is_complete = false;
	body->size = 0;
	leave_place(body);
	body->source = body->key;
	body_reads_fail(body, (struct mailfs_range){ 0, UINT64_MAX }, "dropped");
}

void body_drop(struct body *body)
{
	if (!body_store(body) || body->is_forgotten)
		return;
	body_ref(body);
	if (!body->is_drop_sent)
		body->is_dropping = true;
	body_clear(body);
	body_write_kick(body);
	body_unref(body);
}

/* ---- bytes on disk that are bad ------------------------------------------------------------ */

static void log_lost(const struct body *body, const char *why)
{
	log_info("store", "cached body %06x/%u: %s; it will be fetched again", body_box(body),
		body_uid(body), why);
}

/* The file is not there, or not ours: what waits in memory stays. */
void body_lose_disk(struct body *body, const char *why)
{
	log_lost(body, why);
	if (body_is_shared(body)) {
		body_clear(body);
		return;
	}
	for (guint i = body->extents->len; i > 0; i--) {
		if (g_array_index(body->extents, struct extent, i - 1).state != EXTENT_MEMORY)
			g_array_remove_index(body->extents, i - 1);
	}
	body->is_complete = false;
	body->is_dropping = true;
	leave_place(body);
	body_reads_fail(body, (struct mailfs_range){ 0, UINT64_MAX }, why);
	body_write_kick(body);
}

/* Else the next one that looks for a copy would be given these bytes again. */
static void drop_owner(struct body *body)
{
	struct body *owner;

	if (!body_store(body) || body_store(body)->is_closing)
		return;
	owner = body_open(body_store(body), key_box(body->source), key_uid(body->source));
	body_drop(owner);
	body_unref(owner);
}

void body_lose_extent(struct body *body, uint64_t offset, const char *why)
{
	const struct extent *extent = extents_find(body->extents, offset);
	struct mailfs_range range = { extent->offset, extent->len };

	if (body_is_shared(body)) {
		drop_owner(body);
		body_lose_disk(body, why);
		return;
	}
	log_lost(body, why);
	extents_remove(body->extents, offset);
	if (body->extents->len == 0)
		leave_place(body);
	body->is_complete = false;
	body->needs_save = true;
	body_reads_fail(body, range, why);
	body_write_kick(body);
}
