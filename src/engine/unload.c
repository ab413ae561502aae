/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes leave memory, least recently used first, when all that are loaded take too much. What
 * goes is in the index to the last bit, and comes back from there when somebody asks for it, without
 * the server. One that somebody uses stays, and so does the one that was used last. Loop thread.
 */
#include <malloc.h>

#include "engine/changer_impl.h"
#include "engine/mover_impl.h"
#include "engine/sync_impl.h"

#define LOADED_MAX (64u * 1024 * 1024)
#define BOX_BYTES  1024u /* of a mailbox without messages, about */
#define TRIM_MS    1000u
#define TRIM_MIN   10000u /* messages in a sweep that leaves much behind */

static size_t bytes_of(const struct mailbox *box)
{
	return BOX_BYTES + (size_t)mailbox_count(box) * sizeof(struct message);
}

void unload_forget(struct sync *sync)
{
	struct engine *engine = sync->engine;

	if (sync->loaded_bytes == 0)
		return;
	g_queue_unlink(&engine->loaded, &sync->loaded_link);
	engine->loaded_bytes -= sync->loaded_bytes;
	sync->loaded_bytes = 0;
}

/* What the user changed there and the server has not confirmed yet is shown by the model only. */
static bool has_wishes(const struct engine *engine, const struct folder *folder)
{
	const struct place *flags = engine->changer && engine->changer->wishes > 0 ?
		place_of(engine->changer->map, folder) : NULL;

	return (flags && g_hash_table_size(flags->items) > 0) ||
		(engine->mover && mover_needs(engine->mover, folder));
}

/* The index has all of it, and nobody would miss it. */
static bool may_unload(const struct sync *sync)
{
	const struct engine *engine = sync->engine;
	const struct folder *folder = sync->folder;

	if (!sync->is_known || sync->want_sweep || sync->is_loading || sync->is_running ||
		!g_queue_is_empty((GQueue *)&sync->waiters) || folder->box->uidvalidity == 0 ||
		folder->box->listing_ns == 0 || store_is_broken(engine->config.store))
		return false;
	if (has_wishes(engine, folder) || fetcher_is_busy(engine->fetcher, folder->box->id))
		return false;
	return !engine->events.is_in_use || !engine->events.is_in_use(engine->user, folder);
}

static void unload(struct sync *sync)
{
	struct folder *folder = sync->folder;

	unload_forget(sync);
	sync->unloaded_modseq = folder->box->modseq;
	sync->unloaded_count = mailbox_count(folder->box);
	sync->is_unloaded = true;
	sync->is_known = sync->was_loaded = false;
	tree_unload_box(sync->engine->tree, folder);
}

/* From the loop: those who were just answered had the time to say that they use it. */
static gboolean on_unload(gpointer user)
{
	struct engine *engine = user;
	size_t most = engine->config.loaded_max > 0 ? engine->config.loaded_max : LOADED_MAX;
	GList *link = engine->loaded.head;

	engine->unload_source = 0;
	while (link && link != engine->loaded.tail && engine->loaded_bytes > most) {
		struct sync *sync = link->data;

		link = link->next;
		if (may_unload(sync))
			unload(sync);
	}
	return G_SOURCE_REMOVE;
}

void unload_note_use(struct sync *sync)
{
	struct engine *engine = sync->engine;
	size_t most = engine->config.loaded_max > 0 ? engine->config.loaded_max : LOADED_MAX;

	unload_forget(sync);
	if (!sync->folder || !sync->folder->box)
		return;
	sync->loaded_link = (GList){ .data = sync };
	sync->loaded_bytes = bytes_of(sync->folder->box);
	engine->loaded_bytes += sync->loaded_bytes;
	g_queue_push_tail_link(&engine->loaded, &sync->loaded_link);
	if (engine->loaded_bytes > most && engine->unload_source == 0 && !engine->is_freeing)
		engine->unload_source = g_idle_add(on_unload, engine);
}

/* ---- what a sweep leaves behind ---------------------------------------------------------------- */

static gboolean on_trim(gpointer user)
{
	struct engine *engine = user;

	if (store_pending_rows(engine->config.store) > 0)
		return G_SOURCE_CONTINUE;
	engine->trim_timer = 0;
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	return G_SOURCE_REMOVE;
}

void unload_trim_later(struct sync *sync)
{
	struct engine *engine = sync->engine;

	if (mailbox_count(sync->folder->box) >= TRIM_MIN && engine->trim_timer == 0 &&
		!engine->is_freeing)
		engine->trim_timer = g_timeout_add(TRIM_MS, on_trim, engine);
}
