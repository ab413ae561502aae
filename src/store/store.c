/* SPDX-License-Identifier: MIT */
/*
 * Opening, closing, and the reading side of the façade. Loop thread.
 */
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "mailfs/error.h"
#include "store/body_impl.h"
#include "store/evict.h"
#include "store/folders.h"
#include "store/store_impl.h"

#define TRUST_PROVEN_MAX 32u

/* ---- open ---------------------------------------------------------------------------------- */

static int try_index(struct store *store, struct index **ret_index, char **ret_why)
{
	if (store_dir_is_suspect(store->dir)) {
		*ret_why = g_strdup("it failed while it was in use");
		return SQLITE_CORRUPT;
	}
	if (!store_dir_prepare_index(store->dir)) {
		*ret_why = g_strdup("it is no file of ours");
		return SQLITE_CORRUPT;
	}
	return index_open(store_dir_index_path(store->dir), store->identity, ret_index, ret_why);
}

static void parse_trust(struct store *store, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, " ", 4);
	uint32_t numbers[3] = { 0 };

	if (g_strv_length(words) != 3)
		return;
	for (size_t i = 0; i < 3; i++) {
		if (!parse_u32(words[i], strlen(words[i]), &numbers[i]))
			return;
	}
	store->trust = (struct store_trust){ MIN(numbers[0], TRUST_PROVEN_MAX), numbers[1] != 0,
		numbers[2] != 0 };
}

static int load_account(struct store *store, struct index *index)
{
	g_autofree char *trust = NULL;
	int rc = index_get_meta(index, "trust", &trust);

	if (rc == SQLITE_OK && trust)
		parse_trust(store, trust);
	if (rc == SQLITE_OK)
		rc = index_get_meta(index, "link", &store->link_text);
	if (rc == SQLITE_OK)
		rc = index_load_folders(index, store->folders);
	if (rc == SQLITE_OK)
		rc = packs_load(store, index);
	return rc;
}

static int open_and_load(struct store *store, struct index **ret_index, char **ret_why)
{
	struct index *index = NULL;
	int rc = try_index(store, &index, ret_why);

	if (rc != SQLITE_OK)
		return rc;
	rc = load_account(store, index);
	if (rc == SQLITE_OK) {
		*ret_index = index;
		return SQLITE_OK;
	}
	*ret_why = g_strdup(index_error(index));
	index_close(index);
	return SQLITE_CORRUPT;
}

static void forget_loaded(struct store *store)
{
	g_ptr_array_set_size(store->folders, 0);
	store->trust = (struct store_trust){ 0 };
	g_clear_pointer(&store->link_text, g_free);
	store->usage.body_bytes = store->usage.bodies = store->use_clock = 0;
	packs_clear(store);
}

/* The index, an old one or, when that is of no use, a new one. */
static struct index *open_index(struct store *store, GError **error)
{
	struct index *index = NULL;
	g_autofree char *why = NULL;
	int rc = open_and_load(store, &index, &why);

	if (rc != SQLITE_OK && rc != SQLITE_FULL) {
		int r;

		log_warn("store", "cache index %s set aside (%s): building a new one",
			store_dir_index_path(store->dir), why);
		r = store_dir_set_aside(store->dir);
		if (r < 0) {
			g_set_error(error, MAILFS_ERROR, store_error_code(r),
				"cache index %s cannot be set aside: %s", store_dir_index_path(store->dir),
				g_strerror(-r));
			return NULL;
		}
		forget_loaded(store);
		g_clear_pointer(&why, g_free);
		rc = open_and_load(store, &index, &why);
	}
	if (rc == SQLITE_OK)
		return index;
	g_set_error(error, MAILFS_ERROR,
		rc == SQLITE_FULL ? MAILFS_ERROR_NO_SPACE : MAILFS_ERROR_DISK, "cache index %s: %s",
		store_dir_index_path(store->dir), why);
	return NULL;
}

static void store_free(struct store *store)
{
	if (store->link)
		store_link_unref(store->link);
	store_dir_unref(store->dir);
	g_ptr_array_unref(store->folders);
	g_hash_table_destroy(store->folder_names);
	g_hash_table_destroy(store->bodies);
	g_array_unref(store->touches);
	packs_done(store);
	cached_done(store);
	g_clear_pointer(&store->counts, g_array_unref);
	g_free(store->path);
	g_free(store->identity);
	g_free(store->link_text);
	g_free(store);
}

struct store *store_open(const struct store_config *config, GError **error)
{
	struct store *store = g_new0(struct store, 1);
	struct index *index = NULL;

	store->path = g_strdup(config->dir);
	store->identity = g_strdup(config->identity);
	store->usage.max_bytes = config->max_bytes;
	store->folders = g_ptr_array_new_with_free_func(store_folder_free);
	store->folder_names = g_hash_table_new(g_str_hash, g_str_equal);
	bodies_init(store);
	cached_init(store);

	store->dir = store_dir_new(config->dir, error);
	if (store->dir)
		index = open_index(store, error);
	if (!index) {
		store_free(store);
		return NULL;
	}

	store_folders_check(store);
	store->link = store_link_new(store);
	store->thread = store_thread_new(index, store->dir, store->link);
	evict_sweep_garbage(store);
	evict_if_needed(store);
	packs_tend(store);
	return store;
}

/* What finishes may queue what waited for it. */
static void drain_writes(struct store *store)
{
	do {
		packs_flush(store);
		disk_jobs_drain(store);
	} while (store->packs.queue->len > 0);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store->is_closing = true;
	compact_done(store);
	evict_done(store);
	drain_writes(store);
	bodies_finish(store);
	drain_writes(store);
	bodies_done(store);
	store_thread_join(store->thread);
	store->link->store = NULL;
	store_dir_unlock(store->dir);
	store_free(store);
}

bool store_is_broken(const struct store *store)
{
	return store->is_broken;
}

const char *store_dir(const struct store *store)
{
	return store->path;
}

struct store_usage store_usage(const struct store *store)
{
	struct store_usage usage = store->usage;

	usage.dead_bytes = packs_dead_bytes(store);
	return usage;
}

void store_account_loss(struct store *store, const struct body_loss *loss)
{
	struct store_usage *usage = &store->usage;

	usage->body_bytes -= MIN(loss->bytes, usage->body_bytes);
	usage->bodies -= MIN(loss->count, usage->bodies);
	for (guint i = 0; loss->files && i < loss->files->len; i++) {
		const struct body_lost *lost = &g_array_index(loss->files, struct body_lost, i);

		packs_account(store, lost->pack, 0, lost->bytes);
		cached_remove(store, (uint32_t)(lost->key >> 32), (uint32_t)lost->key);
	}
	packs_tend(store);
}

/* ---- trust --------------------------------------------------------------------------------- */

struct meta_job {
	struct store_job job;
	const char *key; /* static */
	char text[64];
};

static int meta_run(struct store_thread *thread, struct store_job *base)
{
	struct meta_job *job = (struct meta_job *)base;

	return index_put_meta(store_thread_index(thread), job->key, job->text);
}

static void put_meta(struct store *store, const char *key, const char *text)
{
	struct meta_job *job = g_new0(struct meta_job, 1);

	job->job = (struct store_job){ .run = meta_run, .is_write = true, .rows = 1 };
	job->key = key;
	g_strlcpy(job->text, text, sizeof(job->text));
	store_thread_post(store->thread, &job->job);
}

struct store_trust store_get_trust(struct store *store)
{
	return store->trust;
}

void store_put_trust(struct store *store, struct store_trust trust)
{
	char text[64];

	trust.proven = MIN(trust.proven, TRUST_PROVEN_MAX);
	store->trust = trust;
	snprintf(text, sizeof(text), "%u %d %d", trust.proven, trust.is_liar, trust.is_range_unstable);
	put_meta(store, "trust", text);
}

const char *store_get_link(const struct store *store)
{
	return store->link_text;
}

void store_put_link(struct store *store, const char *text)
{
	g_free(store->link_text);
	store->link_text = g_strdup(text);
	put_meta(store, "link", text);
}

/* ---- a done that needs the loop only ------------------------------------------------------- */

struct done_job {
	struct store_job job;
	store_done_fn done;
	void *user;
	GError *told;
};

static int done_run(struct store_thread *thread, struct store_job *base)
{
	return SQLITE_OK;
}

static void done_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct done_job *job = (struct done_job *)base;

	job->done(job->user, job->told);
}

static void done_free(struct store_job *base)
{
	struct done_job *job = (struct done_job *)base;

	g_clear_error(&job->told);
	g_free(job);
}

void store_post_done(struct store *store, store_done_fn done, void *user, const GError *error)
{
	struct done_job *job;

	if (!done || store->is_closing)
		return;
	job = g_new0(struct done_job, 1);
	job->job = (struct store_job){ .run = done_run, .answer = done_answer, .free = done_free };
	job->done = done;
	job->user = user;
	job->told = error ? g_error_copy(error) : NULL;
	store_thread_post(store->thread, &job->job);
}

/* ---- loading ------------------------------------------------------------------------------- */

struct load_box_job {
	struct store_job job;
	uint32_t id;
	struct mailbox *box;
	bool is_damaged;
	store_box_fn done;
	void *user;
};

static int load_box_run(struct store_thread *thread, struct store_job *base)
{
	struct load_box_job *job = (struct load_box_job *)base;

	return index_load_box(store_thread_index(thread), job->id, &job->box, &job->is_damaged);
}

static void load_box_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct load_box_job *job = (struct load_box_job *)base;

	if (job->is_damaged)
		store_reset_box(store, job->id);
	job->done(job->user, g_steal_pointer(&job->box));
}

static void load_box_free(struct store_job *base)
{
	struct load_box_job *job = (struct load_box_job *)base;

	mailbox_free(job->box);
	g_free(job);
}

void store_load_box(struct store *store, uint32_t box_id, store_box_fn done, void *user)
{
	struct load_box_job *job = g_new0(struct load_box_job, 1);

	job->job = (struct store_job){ .run = load_box_run,
		.answer = load_box_answer,
		.free = load_box_free };
	job->id = box_id;
	job->done = done;
	job->user = user;
	store_thread_post(store->thread, &job->job);
}

struct load_names_job {
	struct store_job job;
	uint32_t id, after_uid;
	size_t limit;
	GArray *uids;
	GPtrArray *names;
	store_names_fn done;
	void *user;
};

static int load_names_run(struct store_thread *thread, struct store_job *base)
{
	struct load_names_job *job = (struct load_names_job *)base;

	return index_load_names(store_thread_index(thread), job->id, job->after_uid, job->limit,
		job->uids, job->names);
}

static void load_names_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct load_names_job *job = (struct load_names_job *)base;

	job->done(job->user, job->uids->len, (const uint32_t *)(void *)job->uids->data,
		(const char *const *)job->names->pdata);
}

static void load_names_free(struct store_job *base)
{
	struct load_names_job *job = (struct load_names_job *)base;

	g_array_unref(job->uids);
	g_ptr_array_unref(job->names);
	g_free(job);
}

void store_load_names(struct store *store, uint32_t box_id, uint32_t after_uid, size_t limit,
	store_names_fn done, void *user)
{
	struct load_names_job *job = g_new0(struct load_names_job, 1);

	job->job = (struct store_job){ .run = load_names_run,
		.answer = load_names_answer,
		.free = load_names_free };
	job->id = box_id;
	job->after_uid = after_uid;
	job->limit = limit;
	job->uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	job->names = g_ptr_array_new_with_free_func(g_free);
	job->done = done;
	job->user = user;
	store_thread_post(store->thread, &job->job);
}

struct load_details_job {
	struct store_job job;
	uint32_t id, uid;
	struct index_details details;
	struct index_body body;
	store_details_fn done;
	void *user;
};

static int load_details_run(struct store_thread *thread, struct store_job *base)
{
	struct load_details_job *job = (struct load_details_job *)base;
	struct index *index = store_thread_index(thread);
	struct index_copies copies = { 0 };
	bool has_body = false;
	int rc = index_load_details(index, job->id, job->uid, &job->details);

	if (rc == SQLITE_OK && job->details.is_known)
		rc = index_load_body(index, job->id, job->uid, &job->body, &has_body);
	if (rc == SQLITE_OK && !has_body && job->details.remote_id) {
		rc = index_find_copies(index, job->id, job->uid, &copies);
		job->body = copies.body; /* of a copy, or nothing */
		copies.body.extents = NULL;
		index_copies_done(&copies);
	}
	return rc;
}

static void load_details_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct load_details_job *job = (struct load_details_job *)base;
	const struct index_details *known = &job->details;
	struct store_details details = {
		.head = { known->texts[0], known->texts[1], known->texts[2], known->texts[3],
			known->texts[4], known->texts[5], known->texts[6] },
		.has_head = known->has_head,
		.name = known->name,
		.remote_id = known->remote_id,
		.thread_id = known->thread_id,
		.modseq = known->modseq,
		.body_bytes = job->body.bytes,
		.is_body_complete = job->body.is_complete,
		.is_pinned = job->body.is_pinned,
	};

	job->done(job->user, known->is_known ? &details : NULL);
}

static void load_details_free(struct store_job *base)
{
	struct load_details_job *job = (struct load_details_job *)base;

	index_details_done(&job->details);
	g_clear_pointer(&job->body.extents, g_bytes_unref);
	g_free(job);
}

void store_load_details(struct store *store, uint32_t box_id, uint32_t uid, store_details_fn done,
	void *user)
{
	struct load_details_job *job = g_new0(struct load_details_job, 1);

	job->job = (struct store_job){ .run = load_details_run,
		.answer = load_details_answer,
		.free = load_details_free };
	job->id = box_id;
	job->uid = uid;
	job->done = done;
	job->user = user;
	store_thread_post(store->thread, &job->job);
}
