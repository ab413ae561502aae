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

static mailfs_ticket start(struct vault_work *work, struct mailfs_session *session,
	const char *const *keys)
{
	fault_point("vault: before delete");
	return work->vault->engine->config.backend->remove(session, &(struct mailfs_remove_request){
		.folder = work->folder,
		.uidvalidity = work->uidvalidity,
		.uids = (const uint32_t *)(const void *)work->uids->data,
		.keys = keys,
		.uid_count = work->uids->len,
		.sha256 = (const uint8_t (*)[32])work->digests,
		.removed = on_removed,
		.other = on_other,
		.done = vault_work_done,
		.user = work,
	});
}

static void end(struct vault_work *work)
{
	fault_point("vault: after delete");
}

static void ask_server(struct vault_work *work)
{
	work->digests = g_malloc0_n(work->uids->len, sizeof(*work->digests));
	for (guint i = 0; i < work->uids->len; i++) {
		const struct journal_kept *row =
			vault_find(work->vault, g_array_index(work->uids, uint32_t, i));

		/* Removed by somebody meanwhile: nothing has such a digest. */
		if (row)
			memcpy(work->digests[i], row->sha256, sizeof(row->sha256));
	}
	vault_work_submit(work);
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
		/* A disk that cannot be read now may be read later. */
		if (!error)
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

const struct vault_task vault_clear = {
	.name = "deleting what is kept here",
	.takes = is_due,
	.begin = read_next,
	.start = start,
	.end = end,
};
