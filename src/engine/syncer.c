/* SPDX-License-Identifier: MIT */
/*
 * The messages of a folder: loaded from the index, swept once from the server, then kept up to
 * date by deltas. Here is what the rest of the engine calls, and the loading; sync_run.c asks the
 * server, sync_take.c and sync_gone.c hear it out, sync_end.c shows what came of it.
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
#define SYNC_FRESH_US (10 * G_USEC_PER_SEC) /* an opendir after that looks at the server */
#define LIVE_FRESH_US (300 * G_USEC_PER_SEC) /* the same of a folder that is watched */
#define STATUS_FRESH_US (120 * G_USEC_PER_SEC) /* an older one says nothing of now */

struct sync_waiter {
	struct engine_waiter waiter;
	struct sync *sync;
	engine_done_fn done;
	void *user;
	bool wants_sync;  /* the server's answer, not only the index */
	unsigned serial;  /* of the run that is good enough */
	bool takes_coming; /* a listing that has got beyond the UID `above`, too */
	uint32_t above;
};

/* ---- waiters ----------------------------------------------------------------------------------- */

static void waiter_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	struct sync_waiter *mine = (struct sync_waiter *)waiter;

	g_queue_remove(&mine->sync->waiters, mine);
	g_free(mine);
}

static void waiter_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct sync_waiter *mine = (struct sync_waiter *)waiter;

	g_queue_remove(&mine->sync->waiters, mine);
	if (mine->done)
		mine->done(mine->user, error);
	g_free(mine);
}

static const struct engine_waiter_class waiter_class = {
	.cancel = waiter_cancel,
	.fail = waiter_fail,
};

static engine_ticket waiter_add(struct sync *sync, bool wants_sync, engine_done_fn done, void *user)
{
	struct sync_waiter *mine = g_new0(struct sync_waiter, 1);

	mine->sync = sync;
	mine->done = done;
	mine->user = user;
	mine->wants_sync = wants_sync;
	/* A run that has begun may have looked already. */
	mine->serial = sync->serial + 1;
	engine_waiter_add(sync->engine, &mine->waiter, &waiter_class);
	g_queue_push_tail(&sync->waiters, mine);
	return mine->waiter.ticket;
}

static bool is_due(const struct sync_waiter *mine, enum who who)
{
	const struct folder *folder = mine->sync->folder;

	if (who == WHO_COMING)
		return mine->takes_coming && folder->coming && folder->coming_to > mine->above;
	return who == WHO_ALL || !mine->wants_sync ||
		(who == WHO_SERVED && mine->serial < mine->sync->serial);
}

/* By ticket: a callback may cancel those after it. */
void sync_answer(struct sync *sync, enum who who, const GError *error)
{
	struct engine *engine = sync->engine;
	g_autoptr(GArray) due = g_array_new(FALSE, FALSE, sizeof(engine_ticket));

	for (GList *at = sync->waiters.head; at; at = at->next) {
		const struct sync_waiter *mine = at->data;

		if (is_due(mine, who))
			g_array_append_val(due, mine->waiter.ticket);
	}
	for (guint i = 0; i < due->len; i++) {
		struct engine_waiter *waiter =
			g_hash_table_lookup(engine->waiters, &g_array_index(due, engine_ticket, i));

		if (!waiter)
			continue;
		engine_waiter_remove(engine, waiter);
		waiter_fail(engine, waiter, error);
	}
}

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

static bool has_sync_waiter(const struct sync *sync)
{
	for (GList *at = sync->waiters.head; at; at = at->next) {
		if (((struct sync_waiter *)at->data)->wants_sync)
			return true;
	}
	return false;
}

static bool is_stale(const struct sync *sync)
{
	bool is_live = pool_is_watched(sync->engine->pool, sync->folder->name);

	return sync->synced_us == 0 ||
		clock_monotonic_us() - sync->synced_us > (is_live ? LIVE_FRESH_US : SYNC_FRESH_US);
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
	if (!sync->is_known || sync->want_sweep || sync->is_behind || has_sync_waiter(sync)) {
		sync_want_run(sync);
		/* What lacks names can be read without them when the server is away. */
		return;
	}
	if (sync->synced_us != 0 && !is_stale(sync)) {
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
		keys[i] = sync ? keys_of(sync->keys, uids[i]) : NULL;
		if (!keys[i])
			keys[i] = "";
	}
	return keys;
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
		if (is_stale(sync) && !sync->is_running && pool_state(engine->pool) == ENGINE_ONLINE)
			sync_want_run(sync);
		unload_note_use(sync);
		done(user, NULL);
		return 0;
	}
	/* Whoever lists so many will read them, most likely; logging in takes as long as the sweep. */
	if (engine->prefetch && folder->box_id == 0 && sync->has_status &&
		sync->status_messages >= WARM_MESSAGES)
		pool_warm(engine->pool);
	ticket = waiter_add(sync, false, done, user);
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
	struct sync_waiter *mine;

	if (folder->coming && folder->coming_to > above) {
		done(user, NULL);
		return 0;
	}
	ticket = syncer_open(engine, folder, done, user);
	mine = g_hash_table_lookup(engine->waiters, &ticket);
	if (mine) {
		mine->takes_coming = true;
		mine->above = above;
	}
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

	waiter_add(sync, true, done, user);
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
