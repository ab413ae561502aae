/* SPDX-License-Identifier: MIT */
/*
 * The end of a run: what came of it is put in place and written, the kernel and those who wait are
 * told.
 */
#include "base/clock.h"
#include "engine/sync_impl.h"

/* A first listing may have been listed in parts before it was whole. */
enum publish { PUBLISH_CHANGES, PUBLISH_FIRST, PUBLISH_LISTED };

/* ---- showing it -------------------------------------------------------------------------------- */

/* A listing seen for the first time has the time that the directory showed before: of the
 * UIDVALIDITY, if STATUS told it. So the directory does not seem to change while a first walk goes
 * through it, and looks the same after the cache was lost. */
static int64_t first_listing_ns(const struct folder *folder)
{
	return MAX(folder->listing_ns, 1);
}

static void put_new_box(struct sync *sync)
{
	struct folder *folder = sync->folder;

	sync->target->listing_ns = first_listing_ns(folder);
	if (sync->had_box)
		sync->target->listing_ns = MAX(clock_realtime_ns(), folder->listing_ns + 1);
	/* A new box is the tree's from now on. */
	mailbox_settle(sync->target);
	tree_set_coming(sync->engine->tree, folder, NULL);
	tree_set_box(sync->engine->tree, folder, sync->target);
	sync->is_known = true;
	sync->is_new_box = false;
}

static void put_state(struct sync *sync)
{
	const struct mailbox *box = sync->folder->box;

	/* Without UIDVALIDITY it must not be known to the next process. */
	if (box->uidvalidity != 0)
		store_batch_set_state(sync_batch(sync), box->modseq, box->listing_ns, mailbox_count(box),
			box->unseen);
	sync_commit_rows(sync);
}

/* What was listed while it came is still right, if that went on as it had begun. */
static void tell_of_changes(struct sync *sync)
{
	const struct engine *engine = sync->engine;

	for (guint i = 0; i < sync->gone->len; i++)
		engine->events.message_gone(engine->user, sync->folder,
			g_array_index(sync->gone, uint32_t, i));
	for (guint i = 0; i < sync->retold->len; i++) {
		uint32_t uid = g_array_index(sync->retold, uint32_t, i);

		if (engine->events.message_resized)
			engine->events.message_resized(engine->user, sync->folder, uid);
		engine->events.message_changed(engine->user, sync->folder, uid);
	}
}

static void publish(struct sync *sync, enum publish what)
{
	struct engine *engine = sync->engine;
	struct folder *folder = sync->folder;
	bool is_first = what != PUBLISH_CHANGES;
	bool changed = what == PUBLISH_FIRST || sync->gone->len > 0 ||
		(what == PUBLISH_CHANGES ? sync->has_new : sync->is_late || sync->had_box);

	if (changed && !is_first)
		folder->box->listing_ns = MAX(clock_realtime_ns(), folder->box->listing_ns + 1);
	folder->listing_ns = folder->box->listing_ns;
	folder->messages = mailbox_count(folder->box);
	folder->unseen = folder->box->unseen;
	put_state(sync);
	sync->target = NULL;
	unload_note_use(sync);
	if (changed) {
		folder->told_generation = ++folder->generation;
		engine->events.listing_changed(engine->user, folder);
	}
}

void sync_keep_what_came(struct sync *sync)
{
	if (sync->folder && sync->target && !sync->is_new_box && (sync->batch || sync->has_new)) {
		g_array_set_size(sync->gone, 0);
		publish(sync, PUBLISH_CHANGES);
	}
}

void sync_finish(struct sync *sync)
{
	struct engine *engine = sync->engine;
	enum publish what = !sync->is_new_box ? PUBLISH_CHANGES :
		sync->folder->coming ? PUBLISH_LISTED : PUBLISH_FIRST;
	bool is_holey;

	sync_forget_gone(sync);
	is_holey = sync_has_holes(sync);
	if (what != PUBLISH_CHANGES)
		put_new_box(sync);
	if (what == PUBLISH_LISTED)
		tell_of_changes(sync);
	/* Holes mean that this listing cannot be built upon. */
	sync->folder->box->modseq = is_holey ? 0 : sync->result.modseq;
	if (sync->keys)
		sync->folder->box->modseq = keys_last(sync->keys);
	sync->uid_max = mailbox_uid_max(sync->folder->box);
	publish(sync, what);
	if (what != PUBLISH_CHANGES)
		unload_trim_later(sync);
	sync->want_sweep = is_holey && !sync->want_sweep;
	sync->run_again |= sync->want_sweep;
	sync->synced_us = clock_monotonic_us();
	sync->is_behind = sync->is_behind && sync->run_again;
	sync->uidnext = sync->state_uidnext;
	sync->base_status = sync->asked_status;
	engine->last_sync = clock_realtime_ns() / 1000000000;
	engine->syncs++;
	vault_look(engine->vault, sync->folder);
	sync_end(sync, NULL);
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void note_failure(struct sync *sync, const GError *error)
{
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE))
		return;
	engine_add_reason(sync->engine, "%s: %s", sync->folder->path, error->message);
}

void sync_end(struct sync *sync, const GError *error)
{
	sync_keep_what_came(sync);
	sync_run_free(sync);
	if (!sync->folder) {
		sync_free(sync);
		return;
	}
	if (error)
		note_failure(sync, error);
	if (!error && sync->run_again) {
		/* Started first: those who are answered may ask for more. */
		sync->tries = 0;
		sync_run(sync);
		sync_answer(sync, WHO_SERVED, NULL);
		return;
	}
	sync->run_again = false;
	sync_caught_up(sync);
	/* The index alone is a good answer to who did not ask for more. */
	if (error && sync->is_known)
		sync_answer(sync, WHO_INDEX, NULL);
	sync_answer(sync, WHO_ALL, error);
}
