/* SPDX-License-Identifier: MIT */
/*
 * What is still true without asking: how long ago a folder was synced, and what STATUS has told of
 * it since. STATUS never replaces a sync, it only saves one (ID-7).
 */
#include "base/clock.h"
#include "engine/sync_impl.h"

#define SYNC_FRESH_US (10 * G_USEC_PER_SEC) /* an opendir after that looks at the server */
#define LIVE_FRESH_US (300 * G_USEC_PER_SEC) /* the same of a folder that is watched */
#define STATUS_FRESH_US (120 * G_USEC_PER_SEC) /* an older one says nothing of now */

bool sync_is_stale(const struct sync *sync)
{
	bool is_live = pool_is_watched(sync->engine->pool, sync->folder->name);

	return sync->synced_us == 0 ||
		clock_monotonic_us() - sync->synced_us > (is_live ? LIVE_FRESH_US : SYNC_FRESH_US);
}

void syncer_take_status(struct engine *engine, struct folder *folder,
	const struct mailfs_status *status)
{
	struct sync *sync = syncer_get(engine, folder);

	if ((status->has & MAILFS_STATUS_MESSAGES) != 0)
		sync->status_messages = status->messages;
	if ((status->has & MAILFS_STATUS_UIDVALIDITY) != 0)
		sync->status_uidvalidity = status->uidvalidity;
	if ((status->has & MAILFS_STATUS_UNSEEN) != 0)
		sync->status_unseen = status->unseen;
	if ((status->has & MAILFS_STATUS_UIDNEXT) != 0)
		sync->status_uidnext = status->uidnext;
	if ((status->has & MAILFS_STATUS_MODSEQ) != 0)
		sync->status_modseq = status->modseq;
	sync->has_status |= (status->has & MAILFS_STATUS_MESSAGES) != 0;
	sync->status_us = clock_monotonic_us();
}

uint32_t sync_status_hash(const struct sync *sync)
{
	const uint32_t parts[] = {
		sync->status_messages, sync->status_uidvalidity, sync->status_unseen,
		sync->status_uidnext, (uint32_t)sync->status_modseq, (uint32_t)(sync->status_modseq >> 32),
	};
	uint32_t hash = 2166136261u;

	if (!sync->has_status)
		return 0;
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		hash = (hash ^ parts[i]) * 16777619u + (hash >> 15);
	return hash | 1;
}

static bool status_is(const struct sync *sync, uint32_t uidvalidity, uint64_t modseq,
	uint32_t messages)
{
	return sync && sync->has_status && modseq != 0 && sync->status_modseq == modseq &&
		sync->status_uidvalidity == uidvalidity && sync->status_messages == messages;
}

/* Servers that count no changes: the same as before the last sync is as good as they can tell. */
static bool is_as_before(const struct sync *sync)
{
	return sync->has_status && sync->status_modseq == 0 && sync->base_status != 0 &&
		sync->base_status == sync_status_hash(sync);
}

/* STATUS of a folder that a session has selected may tell what that session saw last (ID-7). */
bool syncer_is_unchanged(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	if (!sync || sync->is_behind || pool_has_selected(sync->engine->pool, folder->name) ||
		clock_monotonic_us() - sync->status_us > STATUS_FRESH_US)
		return false;
	if (sync->is_unloaded)
		return is_as_before(sync) || status_is(sync, folder->uidvalidity,
			sync->unloaded_modseq, sync->unloaded_count);
	return sync->is_known && (is_as_before(sync) || status_is(sync, folder->box->uidvalidity,
		folder->box->modseq, mailbox_count(folder->box)));
}

bool syncer_differs(const struct folder *folder, const struct mailfs_status *status)
{
	const struct sync *sync = folder->engine;
	uint64_t modseq;
	uint32_t count;

	if (!sync || sync->is_behind || (!sync->is_unloaded && (!sync->is_known || !folder->box)))
		return true;
	count = sync->is_unloaded ? sync->unloaded_count : mailbox_count(folder->box);
	modseq = sync->is_unloaded ? sync->unloaded_modseq : folder->box->modseq;
	if ((status->has & MAILFS_STATUS_UIDVALIDITY) != 0 && status->uidvalidity != folder->uidvalidity)
		return true;
	if ((status->has & MAILFS_STATUS_MESSAGES) != 0 && status->messages != count)
		return true;
	/* It only rises: a lower one was true before. */
	if ((status->has & MAILFS_STATUS_MODSEQ) != 0 && status->modseq != 0)
		return status->modseq > modseq;
	if ((status->has & MAILFS_STATUS_UNSEEN) != 0 && status->unseen != folder->unseen)
		return true;
	return (status->has & MAILFS_STATUS_UIDNEXT) != 0 && sync->uidnext != 0 &&
		status->uidnext > sync->uidnext;
}

bool syncer_has_news(const struct folder *folder, const struct store_folder *row)
{
	return !status_is(folder->engine, row->uidvalidity, row->modseq, row->messages);
}

bool syncer_has_fresh_status(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return sync && sync->has_status && clock_monotonic_us() - sync->status_us < SYNC_FRESH_US;
}

bool syncer_is_told_otherwise(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return syncer_has_fresh_status(folder) && sync_status_hash(sync) != sync->moot_status &&
		syncer_differs(folder, &(struct mailfs_status){
			.has = MAILFS_STATUS_MESSAGES | MAILFS_STATUS_MODSEQ | MAILFS_STATUS_UIDNEXT |
				(sync->status_uidvalidity != 0 ? MAILFS_STATUS_UIDVALIDITY : 0),
			.messages = sync->status_messages,
			.modseq = sync->status_modseq,
			.uidnext = sync->status_uidnext,
			.uidvalidity = sync->status_uidvalidity,
		});
}

void syncer_note_moot(const struct folder *folder)
{
	struct sync *sync = folder->engine;

	if (sync)
		sync->moot_status = sync_status_hash(sync);
}
