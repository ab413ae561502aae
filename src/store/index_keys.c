/* SPDX-License-Identifier: MIT */
/* What the messages of a mailbox are called by their server: the keys of a protocol without UIDs. Store
 * thread; the façade at the end: loop. */
#include "store/index_impl.h"
#include "store/store_impl.h"

int index_load_keys(struct index *index, uint32_t box, GArray *ret_uids, GPtrArray *ret_keys)
{
	sqlite3_stmt *stmt = index_stmt(index, SQL_KEY_LOAD);
	int rc;

	sqlite3_bind_int64(stmt, 1, box);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint32_t uid = (uint32_t)sqlite3_column_int64(stmt, 0);
		const char *const texts[2] = { index_text(stmt, 1), index_text(stmt, 2) };

		/* One without its key is another message to the server: fetched anew. */
		if (!texts[0] || index_sum_texts(box, uid, texts, 2) != sqlite3_column_int64(stmt, 3))
			continue;
		g_array_append_val(ret_uids, uid);
		g_ptr_array_add(ret_keys, g_strdup(texts[0]));
	}
	return index_rows_end(stmt, rc);
}

/* ---- loop ------------------------------------------------------------------------------------ */

struct load_keys_job {
	struct store_job job;
	uint32_t id;
	GArray *uids;
	GPtrArray *keys;
	store_names_fn done;
	void *user;
};

static int load_keys_run(struct store_thread *thread, struct store_job *base)
{
	struct load_keys_job *job = (struct load_keys_job *)base;

	return index_load_keys(store_thread_index(thread), job->id, job->uids, job->keys);
}

static void load_keys_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct load_keys_job *job = (struct load_keys_job *)base;

	job->done(job->user, job->uids->len, (const uint32_t *)(void *)job->uids->data,
		(const char *const *)job->keys->pdata);
}

static void load_keys_free(struct store_job *base)
{
	struct load_keys_job *job = (struct load_keys_job *)base;

	g_array_unref(job->uids);
	g_ptr_array_unref(job->keys);
	g_free(job);
}

void store_load_keys(struct store *store, uint32_t box_id, store_names_fn done, void *user)
{
	struct load_keys_job *job = g_new0(struct load_keys_job, 1);

	job->job = (struct store_job){ .run = load_keys_run,
		.answer = load_keys_answer,
		.free = load_keys_free };
	job->id = box_id;
	job->uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	job->keys = g_ptr_array_new_with_free_func(g_free);
	job->done = done;
	job->user = user;
	store_thread_post(store->thread, &job->job);
}
