/* SPDX-License-Identifier: MIT */
/* What is kept leaves the server: read back from the disk, compared, DELE. Loop thread. */
#include "engine/vault_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "engine/changes.h"
#include "engine/sync_impl.h"

#define DAY_S 86400

/* ---- 2: deleted on the server ------------------------------------------------------------------ */

static struct vault_work *of_job(struct pool_job *job)
{
	return (struct vault_work *)((char *)job - G_STRUCT_OFFSET(struct vault_work, job));
}

/* Whatever has its key on the server from now on is another message. */
static void is_gone(struct vault *vault, const struct vault_work *work, uint32_t uid)
{
	struct journal_kept *row = vault_find(vault, uid);
	struct folder *folder;
	struct message *message = vault_message(vault, work->folder, uid, &folder);

	if (!row)
		return;
	row->is_gone = true;
	journal_put_kept(vault->journal, row, JOURNAL_SYNCED, NULL, NULL);
	if (message)
		syncer_make_local(vault->engine, folder, message);
}

static void on_removed(void *user, uint32_t uid)
{
	struct vault_work *work = user;

	is_gone(work->vault, work, uid);
}

static void on_other(void *user, uint32_t uid)
{
	struct vault_work *work = user;

	engine_add_reason(work->vault->engine,
		"UID %u: the server has another message in its place, which stays", uid);
	is_gone(work->vault, work, uid);
}

static void request_ended(struct vault_work *work, const GError *error)
{
	struct engine *engine = work->vault->engine;

	fault_point("vault: after delete");
	if (error)
		work->vault->clear_cursor = UINT32_MAX;
	if (error && !pool_was_lost(engine->pool, error) &&
		!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
		engine_add_reason(engine, "deleting what is kept here: %s", error->message);
	work->has_job = false;
	vault_work_answered(work);
}

static void on_done(void *user, const GError *error)
{
	struct vault_work *work = user;

	pool_done(work->vault->engine->pool, &work->job, error);
	request_ended(work, error);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct vault_work *work = of_job(job);
	struct engine *engine = work->vault->engine;
	const uint32_t *uids = (const uint32_t *)(const void *)work->uids->data;
	g_autofree const char **keys = syncer_keys(engine, work->folder, uids, work->uids->len);

	fault_point("vault: before delete");
	return engine->config.backend->remove(session, &(struct mailfs_remove_request){
		.folder = work->folder,
		.uidvalidity = work->uidvalidity,
		.uids = uids,
		.keys = keys,
		.uid_count = work->uids->len,
		.sha256 = (const uint8_t (*)[32])work->digests,
		.removed = on_removed,
		.other = on_other,
		.done = on_done,
		.user = work,
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	request_ended(of_job(job), error);
}

static void ask_server(struct vault_work *work)
{
	if (work->uids->len == 0 || pool_state(work->vault->engine->pool) != ENGINE_ONLINE) {
		vault_work_answered(work);
		return;
	}
	work->digests = g_malloc0_n(work->uids->len, sizeof(*work->digests));
	for (guint i = 0; i < work->uids->len; i++) {
		const struct journal_kept *row =
			vault_find(work->vault, g_array_index(work->uids, uint32_t, i));

		/* Removed by somebody meanwhile: nothing has such a digest. */
		if (row)
			memcpy(work->digests[i], row->sha256, sizeof(row->sha256));
	}
	work->job = (struct pool_job){
		.priority = POOL_BACKGROUND,
		.weight = 1,
		.folder = work->folder,
		.start = job_start,
		.fail = job_fail,
	};
	work->has_job = true;
	pool_submit(work->vault->engine->pool, &work->job);
}

/* ---- 1: read back ------------------------------------------------------------------------------ */

static void read_next(struct vault_work *work);

static bool is_as_it_was(const struct vault_work *work, const struct journal_kept *row)
{
	uint8_t digest[32];
	gsize len = sizeof(digest);

	g_checksum_get_digest(work->sha, digest, &len);
	return work->offset == row->size && memcmp(digest, row->sha256, sizeof(digest)) == 0;
}

static void read_done(struct vault_work *work, const GError *error)
{
	uint32_t uid = g_array_index(work->uids, uint32_t, work->at);
	const struct journal_kept *row = vault_find(work->vault, uid);

	if (row && !error && is_as_it_was(work, row)) {
		work->at++;
	} else {
		/* It stays on the server, and is stored again. */
		g_array_remove_index(work->uids, work->at);
		if (row)
			engine_add_reason(work->vault->engine, "UID %u: what was kept of it is damaged: %s", uid,
				error ? error->message : "other bytes");
		vault_drop(work->vault, uid);
	}
	g_checksum_reset(work->sha);
	work->offset = 0;
	read_next(work);
}

static void on_piece(void *user, GBytes *bytes, const GError *error)
{
	struct vault_work *work = user;
	gsize len = 0;
	const void *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;

	if (!work->vault) {
		vault_work_answered(work);
		return;
	}
	g_checksum_update(work->sha, data, (gssize)len);
	work->offset += len;
	if (error || len < VAULT_PIECE)
		read_done(work, error);
	else
		read_next(work);
}

static void read_next(struct vault_work *work)
{
	/* Somebody may have removed them. */
	while (work->at < work->uids->len && work->offset == 0 &&
		!vault_find(work->vault, g_array_index(work->uids, uint32_t, work->at)))
		g_array_remove_index(work->uids, work->at);
	if (work->at == work->uids->len)
		ask_server(work);
	else if (!vault_find(work->vault, g_array_index(work->uids, uint32_t, work->at)))
		read_done(work, NULL);
	else
		vault_read(work->vault, g_array_index(work->uids, uint32_t, work->at),
			(struct mailfs_range){ work->offset, VAULT_PIECE }, on_piece, work);
}

/* ---- which ones -------------------------------------------------------------------------------- */

static bool is_due(const struct vault *vault, const struct folder *folder,
	const struct message *message)
{
	const struct journal_kept *row = vault_find(vault, message->uid);
	int64_t age = row ? clock_realtime_ns() / 1000000000 - row->stored : 0;

	return row && !row->is_gone && (message->bits & MESSAGE_LOCAL) == 0 &&
		age >= (int64_t)vault->engine->config.clears_after_days * DAY_S &&
		!engine_is_hidden(vault->engine, folder->box->id, message->uid);
}

bool vault_clear(struct vault *vault, struct folder *folder)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	size_t at = vault->clear_cursor == UINT32_MAX ? mailbox_count(folder->box)
		: mailbox_lower_bound(folder->box, vault->clear_cursor + 1);

	for (; at < mailbox_count(folder->box) && uids->len < VAULT_BATCH; at++) {
		const struct message *message = mailbox_at(folder->box, at);

		vault->clear_cursor = message->uid;
		if (is_due(vault, folder, message))
			g_array_append_val(uids, message->uid);
	}
	if (uids->len == 0)
		return false;
	read_next(vault_work_new(vault, folder, uids));
	return true;
}
