/* SPDX-License-Identifier: MIT */
/* The vault: a few messages after the others, stored or deleted from the server. Loop thread. */
#include "engine/sync_impl.h"
#include "engine/vault_impl.h"

static const struct vault_task *const tasks[VAULT_TASKS] = {
	[VAULT_STORE] = &vault_store,
	[VAULT_CLEAR] = &vault_clear,
};

static struct vault_work *of_job(struct pool_job *job)
{
	return (struct vault_work *)((char *)job - G_STRUCT_OFFSET(struct vault_work, job));
}

static void work_free(struct vault_work *work)
{
	g_free(work->folder);
	g_array_unref(work->uids);
	g_checksum_free(work->sha);
	g_free(work->digests);
	g_free(work);
}

/* ---- which messages ---------------------------------------------------------------------------- */

static GArray *choose(struct vault *vault, const struct folder *folder, unsigned task)
{
	GArray *uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	size_t at = vault->tried[task] == UINT32_MAX ? mailbox_count(folder->box)
		: mailbox_lower_bound(folder->box, vault->tried[task] + 1);

	for (; at < mailbox_count(folder->box) && uids->len < VAULT_BATCH; at++) {
		const struct message *message = mailbox_at(folder->box, at);

		vault->tried[task] = message->uid;
		if (tasks[task]->takes(vault, folder, message))
			g_array_append_val(uids, message->uid);
	}
	return uids;
}

static bool begin(struct vault *vault, struct folder *folder, unsigned task)
{
	g_autoptr(GArray) uids = choose(vault, folder, task);
	struct vault_work *work;

	if (uids->len == 0)
		return false;
	work = g_new0(struct vault_work, 1);
	work->vault = vault;
	work->task = task;
	work->folder = g_strdup(folder->name);
	work->uidvalidity = folder->uidvalidity;
	work->box_id = folder->box->id;
	work->uids = g_steal_pointer(&uids);
	work->sha = g_checksum_new(G_CHECKSUM_SHA256);
	work->open = 1;
	vault->work = work;
	tasks[task]->begin(work);
	return true;
}

void vault_work_next(struct vault *vault, struct folder *folder)
{
	bool is_begun = false;

	if (vault->work || pool_state(vault->engine->pool) != ENGINE_ONLINE || !folder->box)
		return;
	for (unsigned task = 0; task < VAULT_TASKS && !is_begun; task++)
		is_begun = begin(vault, folder, task);
}

/* ---- the request ------------------------------------------------------------------------------- */

static void ended(struct vault_work *work, const GError *error)
{
	struct engine *engine = work->vault->engine;
	const struct vault_task *task = tasks[work->task];

	if (task->end)
		task->end(work);
	/* What comes behind it will be tried after the next listing, unless it is a matter of these. */
	if (work->is_cut)
		work->vault->tried[work->task] = g_array_index(work->uids, uint32_t, 0) - 1;
	else if (error && !g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_GONE) &&
		!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE))
		work->vault->tried[work->task] = UINT32_MAX;
	if (error && !pool_was_lost(engine->pool, error) &&
		!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
		engine_add_reason(engine, "%s: %s", task->name, error->message);
	work->has_job = false;
	vault_work_answered(work);
}

void vault_work_done(void *user, const GError *error)
{
	struct vault_work *work = user;

	pool_done(work->vault->engine->pool, &work->job, error);
	ended(work, error);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct vault_work *work = of_job(job);
	const uint32_t *uids = (const uint32_t *)(const void *)work->uids->data;
	g_autofree const char **keys =
		syncer_keys(work->vault->engine, work->folder, uids, work->uids->len);

	return tasks[work->task]->start(work, session, keys);
}

static void job_fail(struct pool_job *job, const GError *error)
{
	ended(of_job(job), error);
}

void vault_work_submit(struct vault_work *work)
{
	struct pool *pool = work->vault->engine->pool;

	if (work->uids->len == 0 || pool_state(pool) != ENGINE_ONLINE) {
		vault_work_answered(work);
		return;
	}
	work->job = (struct pool_job){
		.priority = POOL_BACKGROUND,
		.weight = 1,
		.folder = work->folder,
		.start = job_start,
		.fail = job_fail,
	};
	work->has_job = true;
	pool_submit(pool, &work->job);
}

/* ---- its end ----------------------------------------------------------------------------------- */

void vault_work_answered(struct vault_work *work)
{
	struct vault *vault = work->vault;
	struct folder *folder = vault ? tree_by_name(vault->engine->tree, work->folder) : NULL;

	if (--work->open > 0)
		return;
	if (vault)
		vault->work = NULL;
	work_free(work);
	if (folder)
		vault_work_next(vault, folder);
}

/* The job of the pool is no more; what the disk has to say comes still. */
void vault_work_forget(struct vault_work *work)
{
	work->vault = NULL;
	vault_forget_arrivals(work);
	if (work->has_job)
		work->open--;
	if (work->open == 0)
		work_free(work);
}
