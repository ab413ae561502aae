/* SPDX-License-Identifier: MIT */
/*
 * After opening, in the background: files that no row knows (the process was killed between
 * writing and committing) and trees that were set aside. Small steps, so that other jobs of the
 * store thread come between.
 */
#include "store/body_disk.h"
#include "store/body_impl.h"
#include "store/evict.h"

#define STEP 256u

struct sweep_job {
	struct store_job job;
	GArray *boxes; /* uint32_t, still to be looked at; the last one is the next */
	uint32_t box;
	GArray *uids; /* uint32_t: no row knows them */
	bool is_more_hidden;
};

static void sweep_free(struct store_job *base)
{
	struct sweep_job *job = (struct sweep_job *)base;

	g_array_unref(job->boxes);
	g_array_unref(job->uids);
	g_free(job);
}

/* Takes the lists. */
static void sweep_post(struct store *store, GArray *boxes, GArray *uids, uint32_t box,
	const struct store_job *what)
{
	struct sweep_job *job = g_new0(struct sweep_job, 1);

	job->job = *what;
	job->job.free = sweep_free;
	job->boxes = boxes;
	job->uids = uids;
	job->box = box;
	store_thread_post(store->thread, &job->job);
}

static GArray *numbers_new(void)
{
	return g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

static void next_box(struct store *store, GArray *boxes);

/* ---- removing files without rows ----------------------------------------------------------- */

static int remove_run(struct store_thread *thread, struct store_job *base)
{
	struct sweep_job *job = (struct sweep_job *)base;
	struct store_dir *dir = store_thread_dir(thread);

	for (guint i = 0; i < STEP && job->uids->len > 0; i++) {
		uint32_t uid = g_array_index(job->uids, uint32_t, job->uids->len - 1);
		struct index_body row;
		bool is_known = false;
		int rc = index_load_body(store_thread_index(thread), job->box, uid, &row, &is_known);

		if (rc != SQLITE_OK)
			return rc;
		if (is_known)
			g_bytes_unref(row.extents);
		if (!is_known || row.pack != 0)
			body_disk_remove(dir, job->box, &uid, 1);
		g_array_set_size(job->uids, job->uids->len - 1);
	}
	if (job->uids->len == 0)
		body_disk_remove_box(dir, job->box);
	return SQLITE_OK;
}

/* Who has an object is about to write, or has written and not yet committed. */
static void strike_out_objects(struct store *store, struct sweep_job *job)
{
	guint kept = 0;

	for (guint i = 0; i < job->uids->len; i++) {
		uint32_t uid = g_array_index(job->uids, uint32_t, i);

		if (!bodies_find(store, body_key(job->box, uid)))
			g_array_index(job->uids, uint32_t, kept++) = uid;
	}
	g_array_set_size(job->uids, kept);
}

static void remove_some(struct store *store, struct store_job *base, const GError *error)
{
	static const struct store_job what = { .run = remove_run, .answer = remove_some };
	struct sweep_job *job = (struct sweep_job *)base;

	if (error)
		return;
	strike_out_objects(store, job);
	if (job->uids->len == 0)
		next_box(store, g_array_ref(job->boxes));
	else
		sweep_post(store, g_array_ref(job->boxes), g_array_ref(job->uids), job->box, &what);
}

/* ---- finding them -------------------------------------------------------------------------- */

static int find_run(struct store_thread *thread, struct store_job *base)
{
	struct sweep_job *job = (struct sweep_job *)base;
	g_autoptr(GArray) rows = g_array_new(FALSE, FALSE, sizeof(struct index_body));
	g_autoptr(GHashTable) known = g_hash_table_new(NULL, NULL);
	int rc = index_list_bodies(store_thread_index(thread), job->box, 0, UINT32_MAX, rows);
	guint kept = 0;

	if (rc != SQLITE_OK)
		return rc;
	for (guint i = 0; i < rows->len; i++) {
		const struct index_body *row = &g_array_index(rows, struct index_body, i);

		if (row->pack == 0)
			g_hash_table_add(known, GUINT_TO_POINTER(row->uid));
	}
	body_disk_list_uids(store_thread_dir(thread), job->box, job->uids);
	for (guint i = 0; i < job->uids->len; i++) {
		uint32_t uid = g_array_index(job->uids, uint32_t, i);

		if (!g_hash_table_contains(known, GUINT_TO_POINTER(uid)))
			g_array_index(job->uids, uint32_t, kept++) = uid;
	}
	g_array_set_size(job->uids, kept);
	return SQLITE_OK;
}

/* Takes `boxes`. */
static void next_box(struct store *store, GArray *boxes)
{
	static const struct store_job what = { .run = find_run, .answer = remove_some };
	uint32_t box;

	if (boxes->len == 0) {
		g_array_unref(boxes);
		return;
	}
	box = g_array_index(boxes, uint32_t, boxes->len - 1);
	g_array_set_size(boxes, boxes->len - 1);
	sweep_post(store, boxes, numbers_new(), box, &what);
}

/* ---- what was set aside -------------------------------------------------------------------- */

static int hidden_run(struct store_thread *thread, struct store_job *base)
{
	struct sweep_job *job = (struct sweep_job *)base;

	job->is_more_hidden = body_disk_sweep_hidden(store_thread_dir(thread), STEP);
	if (!job->is_more_hidden)
		body_disk_list_boxes(store_thread_dir(thread), job->boxes);
	return SQLITE_OK;
}

static void hidden_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct sweep_job *job = (struct sweep_job *)base;

	if (job->is_more_hidden)
		evict_sweep_garbage(store);
	else if (!error)
		next_box(store, g_array_ref(job->boxes));
}

void evict_sweep_garbage(struct store *store)
{
	static const struct store_job what = { .run = hidden_run, .answer = hidden_answer };

	sweep_post(store, numbers_new(), numbers_new(), 0, &what);
}
