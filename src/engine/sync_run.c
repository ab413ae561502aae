/* SPDX-License-Identifier: MIT */
/*
 * One run of a sync: the request, which mailbox the answer goes into, and whether it is made once
 * more.
 */
#include "base/clock.h"
#include "engine/sync_impl.h"

#define SYNC_RETRIES 1u

/* ---- which mailbox ----------------------------------------------------------------------------- */

/* A server without UIDVALIDITY: what was learnt holds while the connections do. The index knows
 * such a mailbox under a number of its own, never the same one again (ID-2). */
static uint32_t new_box_id(struct sync *sync, uint32_t uidvalidity)
{
	struct store *store = sync->engine->config.store;
	uint32_t former = sync->folder->box_id;
	uint32_t id;

	sync->losses = pool_losses(sync->engine->pool);
	if (uidvalidity != 0)
		return store_box_id(store, sync->folder->name, uidvalidity);
	do
		id = store_box_id(store, sync->folder->name, g_random_int_range(1, G_MAXINT32));
	while (id == former);
	return id;
}

static bool is_same_box(const struct sync *sync, uint32_t uidvalidity)
{
	return sync->is_known && sync->folder->box->uidvalidity == uidvalidity &&
		(uidvalidity != 0 || sync->losses == pool_losses(sync->engine->pool));
}

/* ID-1: nothing of the old mailbox may be shown, or named to the server, from now on. */
static void forget_box(struct sync *sync)
{
	struct engine *engine = sync->engine;
	struct folder *folder = sync->folder;
	uint32_t old = folder->box->id;

	unload_forget(sync);
	sync->is_known = false;
	sync->had_box = true;
	engine_tell_news(engine, ENGINE_NEWS_FOLDER_RESET, folder, 0, NULL, false);
	engine->events.box_gone(engine->user, folder, old);
	tree_set_box(engine->tree, folder, NULL);
	folder->messages = folder->unseen = 0;
	folder->told_generation = ++folder->generation;
	engine->events.listing_changed(engine->user, folder);
}

/* With keys the UIDVALIDITY is ours: one for as long as the pairs of keys and UIDs are known. */
static uint32_t own_uidvalidity(const struct sync *sync)
{
	uint32_t now = (uint32_t)(clock_realtime_ns() / 1000000000);

	if (sync->is_known)
		return sync->folder->box->uidvalidity;
	return MAX(now, sync->folder->uidvalidity + 1);
}

static void take_state(struct sync *sync, const struct mailfs_sync_state *state)
{
	struct folder *folder = sync->folder;

	changes_take_state(sync->engine, folder, state);
	sync->state_uidnext = state->uidnext;
	sync->is_delta = state->is_delta;
	sync->is_new_box = !is_same_box(sync, state->uidvalidity);
	if (!sync->is_new_box) {
		sync->target = folder->box;
		sync_restore_kept(sync);
		return;
	}
	/* Told while the index still knows the names of what goes. */
	if (sync->is_known)
		forget_box(sync);
	sync->target = mailbox_new(new_box_id(sync, state->uidvalidity), state->uidvalidity);
	sync->is_delta = false;
	folder->coming_total = state->exists;
	sync->engine->sweeps++;
	if (sync->keys)
		keys_clear(sync->keys);
	/* What a sweep that did not end has left behind. */
	store_batch_remove(sync_batch(sync), 0, UINT32_MAX);
	sync_restore_kept(sync);
}

static void on_state(void *user, const struct mailfs_sync_state *state)
{
	struct sync *sync = user;
	struct mailfs_sync_state own = *state;

	if (!sync->folder)
		return;
	if (sync->target)
		return; /* once */
	if (sync->keys)
		own.uidvalidity = own_uidvalidity(sync);
	take_state(sync, &own);
}

/* ---- the request ------------------------------------------------------------------------------- */

static void on_done(void *user, const struct mailfs_sync_result *result, const GError *error)
{
	struct sync *sync = user;
	g_autoptr(GError) silent = NULL;

	pool_done(sync->engine->pool, &sync->job, error);
	if (!sync->folder) {
		sync_free(sync);
		return;
	}
	if (sync_may_retry(sync, error)) {
		sync_keep_what_came(sync);
		sync_run_free(sync);
		sync_run(sync);
		sync->serial--; /* the same run */
		return;
	}
	if (!error && !sync->target)
		error = silent = g_error_new(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
			"the sync ended without a state");
	if (error) {
		sync_end(sync, error);
		return;
	}
	sync->result = *result;
	sync_find_gone(sync);
	sync_keep_vanished(sync);
	if (!sync->is_new_box && sync->gone->len * 2 > mailbox_count(sync->target)) {
		sync_confirm(sync);
		return;
	}
	sync_finish(sync);
}

/* Of the messages up to uid_max. */
static uint32_t known_count(const struct sync *sync)
{
	if (sync->uid_max == UINT32_MAX)
		return mailbox_count(sync->folder->box);
	return (uint32_t)mailbox_lower_bound(sync->folder->box, sync->uid_max + 1);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct sync *sync = sync_of_job(job);
	struct mailfs_sync_request request = {
		.folder = sync->folder->name,
		.state = on_state,
		.messages = sync_on_messages,
		.uids = sync_on_uids,
		.vanished = sync_note_vanished,
		.complete = sync_on_complete,
		.uid_of_key = sync_uid_of_key,
		.done = on_done,
		.user = sync,
	};

	if (sync->is_known && !sync->want_sweep)
		request.known = (struct mailfs_known){
			.uidvalidity = sync->folder->box->uidvalidity,
			.uid_max = sync->uid_max,
			.count = known_count(sync),
			.modseq = sync->folder->box->modseq,
		};
	return sync->engine->config.backend->sync(session, &request);
}

static void job_fail(struct pool_job *job, const GError *error)
{
	sync_end(sync_of_job(job), error);
}

/* ---- begin and end ----------------------------------------------------------------------------- */

void sync_run(struct sync *sync)
{
	sync->is_running = true;
	g_clear_pointer(&sync->preloaded, mailbox_free);
	sync->was_loaded = true; /* from now on the index learns from us */
	sync->is_unloaded = false;
	sync->run_again = false;
	sync->serial++;
	sync->is_new_box = false;
	sync->has_new = false;
	sync->state_uidnext = 0;
	sync->asked_status = sync_status_hash(sync);
	sync->is_delta = false;
	sync->is_late = false;
	sync->target = NULL;
	sync->mentioned = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->unknown = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->vanished = g_array_new(FALSE, FALSE, sizeof(struct uid_range));
	sync->vanished_kept = 0;
	sync->revived = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->gone = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->retold = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->job = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 6,
		.folder = sync->folder->name,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(sync->engine->pool, &sync->job);
}

void sync_want_run(struct sync *sync)
{
	if (sync->is_running) {
		sync->run_again = true;
		return;
	}
	if (sync->is_loading)
		return; /* on_loaded() goes on */
	sync->tries = 0;
	sync_run(sync);
}

/* Read-only: once more on another connection. */
bool sync_may_retry(struct sync *sync, const GError *error)
{
	bool is_lost = pool_was_lost(sync->engine->pool, error) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_STALE);

	return is_lost && sync->folder && pool_state(sync->engine->pool) != ENGINE_STOPPED &&
		sync->tries++ < SYNC_RETRIES;
}

void sync_run_free(struct sync *sync)
{
	if (sync->folder)
		tree_set_coming(sync->engine->tree, sync->folder, NULL);
	if (sync->is_new_box)
		g_clear_pointer(&sync->target, mailbox_free);
	sync->is_new_box = false;
	sync->target = NULL;
	g_clear_pointer(&sync->batch, store_batch_free);
	g_clear_pointer(&sync->mentioned, g_array_unref);
	g_clear_pointer(&sync->unknown, g_array_unref);
	g_clear_pointer(&sync->vanished, g_array_unref);
	g_clear_pointer(&sync->revived, g_array_unref);
	g_clear_pointer(&sync->gone, g_array_unref);
	g_clear_pointer(&sync->retold, g_array_unref);
	sync->is_running = false;
}
