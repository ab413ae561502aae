/* SPDX-License-Identifier: MIT */
/*
 * One set per mailbox. Rows that are put while a set is being read are added at once, and the
 * answers of those that remove rows keep their order, so nothing is missing when it has been read.
 */
#include "store/cached.h"

#include "store/store_impl.h"

/* All sets together, about 10 MiB; beyond it mailboxes are asked body by body. */
#define BLOCKS_MAX 65536u

struct cached_box {
	struct uid_set *uids; /* that have a row; NULL: too many */
	struct uid_set *same; /* whose bytes a copy may have; NULL likewise */
	bool is_loaded;
};

static void box_free(gpointer data)
{
	struct cached_box *box = data;

	uid_set_free(box->uids);
	uid_set_free(box->same);
	g_free(box);
}

void cached_init(struct store *store)
{
	store->cached = g_hash_table_new_full(NULL, NULL, NULL, box_free);
}

void cached_done(struct store *store)
{
	g_hash_table_destroy(store->cached);
}

static struct cached_box *find_box(struct store *store, uint32_t box)
{
	return g_hash_table_lookup(store->cached, GUINT_TO_POINTER(box));
}

static void give_up(struct store *store, struct cached_box *box)
{
	store->cached_blocks -= uid_set_blocks(box->uids) + uid_set_blocks(box->same);
	g_clear_pointer(&box->uids, uid_set_free);
	g_clear_pointer(&box->same, uid_set_free);
}

/* `set` is one of the box. */
static void add(struct store *store, struct cached_box *box, struct uid_set *set, uint32_t uid)
{
	size_t before;

	if (!set)
		return;
	before = uid_set_blocks(set);
	uid_set_add(set, uid);
	store->cached_blocks += uid_set_blocks(set) - before;
	if (store->cached_blocks > BLOCKS_MAX)
		give_up(store, box);
}

/* ---- reading ------------------------------------------------------------------------------- */

struct load_job {
	struct store_job job;
	uint32_t box;
	GArray *uids, *same;
};

static int load_run(struct store_thread *thread, struct store_job *base)
{
	struct load_job *job = (struct load_job *)base;

	int rc = index_list_body_uids(store_thread_index(thread), job->box, job->uids);

	if (rc == SQLITE_OK)
		rc = index_list_same_uids(store_thread_index(thread), job->box, job->same);
	return rc;
}

static void load_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct load_job *job = (struct load_job *)base;
	struct cached_box *box = find_box(store, job->box);

	for (guint i = 0; i < job->uids->len; i++)
		add(store, box, box->uids, g_array_index(job->uids, uint32_t, i));
	for (guint i = 0; i < job->same->len; i++)
		add(store, box, box->same, g_array_index(job->same, uint32_t, i));
	box->is_loaded = !error;
}

static void load_free(struct store_job *base)
{
	struct load_job *job = (struct load_job *)base;

	g_array_unref(job->uids);
	g_array_unref(job->same);
	g_free(job);
}

static void load(struct store *store, uint32_t id)
{
	struct cached_box *box = g_new0(struct cached_box, 1);
	struct load_job *job = g_new0(struct load_job, 1);

	box->uids = uid_set_new();
	box->same = uid_set_new();
	g_hash_table_insert(store->cached, GUINT_TO_POINTER(id), box);
	job->job = (struct store_job){ .run = load_run, .answer = load_answer, .free = load_free };
	job->box = id;
	job->uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	job->same = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	store_thread_post(store->thread, &job->job);
}

/* ---- asking -------------------------------------------------------------------------------- */

bool cached_is_absent(struct store *store, uint32_t id, uint32_t uid)
{
	const struct cached_box *box = find_box(store, id);

	if (!box) {
		load(store, id);
		return false;
	}
	return box->is_loaded && box->uids && !uid_set_has(box->uids, uid) &&
		!uid_set_has(box->same, uid);
}

void cached_add(struct store *store, uint32_t id, uint32_t uid)
{
	struct cached_box *box = find_box(store, id);

	if (box)
		add(store, box, box->uids, uid);
}

void cached_add_same(struct store *store, uint32_t id, uint32_t uid)
{
	struct cached_box *box = find_box(store, id);

	if (box)
		add(store, box, box->same, uid);
}

void cached_remove_same(struct store *store, uint32_t id, uint32_t uid)
{
	const struct cached_box *box = find_box(store, id);

	if (box && box->same)
		uid_set_remove(box->same, uid);
}

void cached_remove(struct store *store, uint32_t id, uint32_t uid)
{
	const struct cached_box *box = find_box(store, id);

	if (box && box->uids)
		uid_set_remove(box->uids, uid);
}
