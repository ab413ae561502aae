/* SPDX-License-Identifier: MIT */
/*
 * The messages of a folder: loaded from the index, swept once from the server, then kept up to
 * date by deltas. Here is what the rest of the engine calls, and the loading; sync_wait.c knows who
 * waits, sync_status.c what is still true without asking, sync_run.c asks the server, sync_take.c and
 * sync_gone.c hear it out, sync_end.c shows what came of it.
 *
 * A first sweep goes into a mailbox of its own that is put in place when it is whole; rows reach
 * the index while it runs, its state only at the end: what a crash leaves behind has no state and
 * is swept again. Until then what has come of it can be listed (folder->coming), nothing else. A
 * listing that would remove more than half of a folder is confirmed by a second
 * command before anything is forgotten (quirks of servers, partial listings).
 */
#include "base/clock.h"
#include "engine/sync_impl.h"

#define WARM_MESSAGES 256u /* of a folder that is listed for the first time */
#define PRELOAD_MAX 200000u /* messages: 8 MB */

void sync_caught_up(struct sync *sync)
{
	if (!sync->catches_up)
		return;
	sync->catches_up = false;
	engine_caught_up(sync->engine);
}

/* ---- from the index ---------------------------------------------------------------------------- */

static bool lacks_names(const struct engine *engine, const struct mailbox *box)
{
	if (!engine->config.name)
		return false;
	for (size_t i = 0; i < mailbox_count(box); i++) {
		if (mailbox_at(box, i)->name_hash == 0)
			return true;
	}
	return false;
}

static void on_loaded(void *user, struct mailbox *box)
{
	struct sync *sync = user;
	struct engine *engine = sync->engine;
	struct folder *folder = sync->folder;

	sync->is_loading = false;
	sync->was_loaded = true;
	sync->is_unloaded = false;
	if (!engine || !folder) {
		mailbox_free(box);
		if (engine) {
			sync_free(sync);
			return;
		}
		keys_free(sync->keys);
		g_free(sync);
		return;
	}
	/* A listing that was never finished has no time. */
	if (box && box->listing_ns != 0) {
		tree_set_box(engine->tree, folder, box);
		folder->listing_ns = box->listing_ns;
		folder->messages = mailbox_count(box);
		folder->unseen = box->unseen;
		sync->is_known = true;
		sync->uid_max = mailbox_uid_max(box);
		if (sync->keys)
			keys_note_last(sync->keys, (uint32_t)MAX(box->modseq, sync->uid_max));
		sync->want_sweep = lacks_names(engine, box);
		changes_box_loaded(engine, folder);
		unload_note_use(sync);
	} else {
		mailbox_free(box);
	}
	if (!sync->is_known || sync->want_sweep || sync->is_behind || sync_is_awaited(sync)) {
		sync_want_run(sync);
		/* What lacks names can be read without them when the server is away. */
		return;
	}
	if (sync->synced_us != 0 && !sync_is_stale(sync)) {
		sync_answer(sync, WHO_INDEX, NULL); /* it had left memory; what changed since was told */
		return;
	}
	if (!syncer_is_unchanged(folder)) {
		sync_want_run(sync);
	} else {
		sync->synced_us = clock_monotonic_us();
		sync_caught_up(sync);
	}
	sync_answer(sync, WHO_INDEX, NULL);
}

/* Comes before the mailbox itself. */
static void on_keys(void *user, size_t count, const uint32_t *uids, const char *const *keys)
{
	struct sync *sync = user;

	if (!sync->engine || !sync->folder)
		return;
	keys_clear(sync->keys);
	for (size_t i = 0; i < count; i++)
		keys_put(sync->keys, uids[i], keys[i]);
}

static void ask_index(struct sync *sync, store_box_fn done)
{
	struct store *store = sync->engine->config.store;

	sync->is_loading = true;
	if (sync->keys)
		store_load_keys(store, sync->folder->box_id, on_keys, sync);
	store_load_box(store, sync->folder->box_id, done, sync);
}

static void load(struct sync *sync)
{
	if (sync->preloaded)
		on_loaded(sync, g_steal_pointer(&sync->preloaded));
	else
		ask_index(sync, on_loaded);
}

/* Somebody may have asked meanwhile. */
static void on_preloaded(void *user, struct mailbox *box)
{
	struct sync *sync = user;

	if (!sync->engine || !sync->folder || sync->is_in_use || sync->catches_up ||
		!g_queue_is_empty(&sync->waiters)) {
		on_loaded(sync, box);
		return;
	}
	sync->is_loading = false;
	sync->preloaded = box;
}

/* ---- for the rest of the engine ---------------------------------------------------------------- */

struct sync *syncer_get(struct engine *engine, struct folder *folder)
{
	struct sync *sync = folder->engine;

	if (sync)
		return sync;
	sync = g_new0(struct sync, 1);
	sync->engine = engine;
	sync->folder = folder;
	if ((engine->config.backend->traits & MAILFS_TRAIT_KEYS) != 0)
		sync->keys = keys_new();
	g_queue_init(&sync->waiters);
	g_hash_table_add(engine->all_syncs, sync);
	folder->engine = sync;
	return sync;
}

void sync_free(struct sync *sync)
{
	sync_run_free(sync);
	mailbox_free(sync->preloaded);
	g_hash_table_remove(sync->engine->all_syncs, sync);
	keys_free(sync->keys);
	g_free(sync);
}

const char **syncer_keys(struct engine *engine, const char *name, const uint32_t *uids,
	size_t count)
{
	const struct folder *folder = tree_by_name(engine->tree, name);
	const struct sync *sync = folder ? folder->engine : NULL;
	const char **keys;

	if ((engine->config.backend->traits & MAILFS_TRAIT_KEYS) == 0)
		return NULL;
	keys = g_new0(const char *, count + 1);
	for (size_t i = 0; i < count; i++) {
		const struct message *message = folder && folder->box ? mailbox_find(folder->box, uids[i]) : NULL;

		/* Who has the key of a message that is not there any more is another message. */
		if (sync && !(message && (message->bits & MESSAGE_LOCAL) != 0))
			keys[i] = keys_of(sync->keys, uids[i]);
		if (!keys[i])
			keys[i] = "";
	}
	return keys;
}

void syncer_put_row(struct engine *engine, const struct folder *folder,
	const struct message *message)
{
	struct store_batch *batch = store_batch_new(engine->config.store, folder->box->id);

	store_batch_put(batch, &(struct store_message){
		.message = message,
		.keywords = mailbox_keywords(folder->box, message->keywords),
	});
	store_batch_commit(batch, NULL, NULL);
}

void syncer_make_local(struct engine *engine, struct folder *folder, struct message *message)
{
	if ((message->bits & MESSAGE_LOCAL) != 0)
		return;
	message->bits |= MESSAGE_LOCAL;
	syncer_put_row(engine, folder, message);
	engine->events.message_changed(engine->user, folder, message->uid);
}

engine_ticket syncer_open(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user)
{
	struct sync *sync = syncer_get(engine, folder);
	engine_ticket ticket;

	watch_note_use(engine->watch, folder);
	sync->is_in_use = true;
	sync->used_us = clock_monotonic_us();
	if (sync->preloaded)
		load(sync);
	if (sync->is_known && !sync->want_sweep && !sync->is_behind) {
		if (sync_is_stale(sync) && !sync->is_running && pool_state(engine->pool) == ENGINE_ONLINE)
			sync_want_run(sync);
		unload_note_use(sync);
		done(user, NULL);
		return 0;
	}
	/* Whoever lists so many will read them, most likely; logging in takes as long as the sweep. */
	if (engine->prefetch && folder->box_id == 0 && sync->has_status &&
		sync->status_messages >= WARM_MESSAGES)
		pool_warm(engine->pool, folder->name);
	ticket = sync_wait(sync, false, done, user);
	if (!sync->was_loaded && folder->box_id != 0 && !sync->is_loading)
		load(sync);
	else if (!sync->is_loading && !sync->is_running)
		sync_want_run(sync);
	return ticket;
}

engine_ticket syncer_open_listing(struct engine *engine, struct folder *folder, uint32_t above,
	engine_done_fn done, void *user)
{
	engine_ticket ticket;

	if (folder->coming && folder->coming_to > above) {
		done(user, NULL);
		return 0;
	}
	ticket = syncer_open(engine, folder, done, user);
	sync_take_coming(engine, ticket, above);
	return ticket;
}

void syncer_preload(struct engine *engine, struct folder *folder)
{
	struct sync *sync = syncer_get(engine, folder);

	if (sync->was_loaded || sync->is_loading || sync->is_running || folder->box_id == 0 ||
		folder->messages > PRELOAD_MAX)
		return;
	ask_index(sync, on_preloaded);
}

void syncer_catch_up(struct engine *engine, struct folder *folder)
{
	struct sync *sync = syncer_get(engine, folder);

	sync->catches_up = true;
	engine->catching_up++;
	sync->is_in_use = true;
	/* What waited in the journal may have asked before. */
	if (sync->was_loaded)
		sync_want_run(sync);
	else if (!sync->is_loading)
		load(sync);
}

void syncer_sync(struct engine *engine, struct folder *folder, engine_done_fn done, void *user)
{
	struct sync *sync = syncer_get(engine, folder);

	sync_wait(sync, true, done, user);
	if (!sync->was_loaded && folder->box_id != 0) {
		if (!sync->is_loading)
			load(sync);
		return;
	}
	sync_want_run(sync);
}

void syncer_note_behind(struct engine *engine, struct folder *folder)
{
	struct sync *sync = syncer_get(engine, folder);

	sync->is_behind = true;
	sync->has_status = false;
	if (sync->is_running)
		sync_want_run(sync);
}

void syncer_note_use(struct engine *engine, struct folder *folder)
{
	syncer_get(engine, folder)->is_in_use = true;
}

int64_t syncer_used_us(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return sync ? sync->used_us : 0;
}

bool syncer_is_in_use(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return sync && sync->is_in_use;
}

void syncer_drop(struct engine *engine, struct folder *folder)
{
	struct sync *sync = folder->engine;
	g_autoptr(GError) error = NULL;

	if (!sync)
		return;
	folder->engine = NULL;
	unload_forget(sync);
	tree_set_coming(engine->tree, folder, NULL);
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the folder is no more");
	if (!sync->is_new_box)
		sync->target = NULL;
	sync->folder = NULL;
	sync_caught_up(sync);
	sync_answer(sync, WHO_ALL, error);
	if (sync->is_loading)
		return; /* on_loaded() frees it */
	if (!sync->is_running || pool_cancel(engine->pool, &sync->job))
		sync_free(sync);
}

void syncer_free_all(struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->all_syncs);
	while (g_hash_table_iter_next(&iter, &value, NULL)) {
		struct sync *sync = value;

		sync_run_free(sync);
		g_clear_pointer(&sync->preloaded, mailbox_free);
		/* Where the index was asked, its answer frees it. */
		sync->engine = NULL;
		if (sync->is_loading)
			continue;
		keys_free(sync->keys);
		g_free(sync);
	}
}
