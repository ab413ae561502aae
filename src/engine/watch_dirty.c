/* SPDX-License-Identifier: MIT */
/*
 * From an event to a sync: what comes in one go is one sync, and a folder that never rests is synced
 * at longer and longer intervals, up to a bound that people do not notice. Loop thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/watch_impl.h"

#define PAUSE_US    (50 * 1000)  /* without another event */
#define WAIT_US     (250 * 1000) /* since the first one, at most */
#define SPACING_US  (100 * 1000) /* between two syncs, at least */
#define SPACING_MAX (1500 * 1000)
#define STORM       4u           /* so many events before one sync */
#define LATER_US    (30 * G_USEC_PER_SEC)   /* after a refusal that will pass */
#define SUSPECT_US  (3 * G_USEC_PER_SEC) /* another way was quicker by less: no lie */
#define SILENT_MAX  2u
#define SILENT_US   (86400ll * G_USEC_PER_SEC) /* a liar is not believed for a day */

static void arm(struct watch *watch);

/* ---- is the watch to be believed? -------------------------------------------------------------- */

/* Quirk CN-1: IDLE that never says anything. What came and was not told counts; flags and removals may
 * be our own, on their way. An event may be late, once. */
static void judge(struct interest *interest, const struct folder *folder)
{
	struct watch *watch = interest->watch;

	interest->is_check = false;
	if (folder->generation == interest->generation)
		syncer_note_moot(folder);
	if (!folder->box || mailbox_uid_max(folder->box) <= interest->uid_max ||
		interest->told_us >= interest->started_us)
		return;
	if (++interest->silences < SILENT_MAX)
		return;
	interest->silences = 0;
	log_warn("engine", "%s: the server does not tell of changes", folder->path);
	engine_add_reason(watch->engine, "%s: the server does not tell of changes, it is asked instead",
		folder->path);
	interest->rest_us = clock_monotonic_us() + SILENT_US;
	if (pool_is_watched(watch->engine->pool, NULL))
		watch->notify_rest_us = interest->rest_us;
	watch_replan(watch);
}

/* ---- one sync ---------------------------------------------------------------------------------- */

static void space_out(struct interest *interest)
{
	int64_t now = clock_monotonic_us();
	int64_t took_us = now - interest->started_us;

	if (interest->events < STORM)
		interest->spacing_us = SPACING_US;
	else
		interest->spacing_us = MIN(interest->spacing_us * 2, SPACING_MAX);
	interest->events = 0;
	interest->not_before_us = now + MAX(interest->spacing_us, MIN(took_us, SPACING_MAX));
}

static void on_synced(void *user, const GError *error)
{
	struct interest *interest = user;
	struct watch *watch = interest->watch;
	struct folder *folder = tree_by_name(watch->engine->tree, interest->name);

	interest->is_syncing = false;
	space_out(interest);
	if (!watch->is_running || !folder)
		return;
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_TRY_LATER)) {
		interest->not_before_us = clock_monotonic_us() + LATER_US;
		watch_dirty(watch, folder);
	}
	if (interest->is_check && !error)
		judge(interest, folder);
	interest->is_check = false;
	interest->due_us = MAX(interest->due_us, interest->not_before_us);
	arm(watch);
}

static void sync_now(struct interest *interest, struct folder *folder)
{
	interest->is_dirty = false;
	interest->is_syncing = true;
	interest->generation = folder->generation;
	interest->uid_max = folder->box ? mailbox_uid_max(folder->box) : UINT32_MAX;
	interest->started_us = clock_monotonic_us();
	syncer_sync(interest->watch->engine, folder, on_synced, interest);
}

void watch_news(struct watch *watch, struct folder *folder)
{
	struct interest *interest = watch_interest(watch, folder->name);

	if (!watch->is_running)
		return;
	if (interest->is_syncing || clock_monotonic_us() < interest->not_before_us)
		watch_dirty(watch, folder);
	else
		sync_now(interest, folder);
}

void watch_check(struct watch *watch, struct folder *folder)
{
	struct interest *interest = watch_interest(watch, folder->name);

	if (interest->is_syncing || interest->is_dirty)
		return;
	interest->is_check = true;
	sync_now(interest, folder);
}

/* ---- those that wait --------------------------------------------------------------------------- */

static gboolean on_due(gpointer user)
{
	struct watch *watch = user;
	int64_t now = clock_monotonic_us();
	g_autoptr(GPtrArray) due = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	watch->dirty_timer = 0;
	g_hash_table_iter_init(&iter, watch->interests);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct interest *interest = value;

		if (interest->is_dirty && !interest->is_syncing && interest->due_us <= now)
			g_ptr_array_add(due, interest);
	}
	/* What a sync calls may add interests. */
	for (guint i = 0; i < due->len; i++) {
		struct interest *interest = g_ptr_array_index(due, i);
		struct folder *folder = tree_by_name(watch->engine->tree, interest->name);

		interest->is_check = interest->is_suspect;
		interest->is_dirty = interest->is_suspect = false;
		if (folder)
			sync_now(interest, folder);
	}
	arm(watch);
	return G_SOURCE_REMOVE;
}

static int64_t next_due(const struct watch *watch)
{
	int64_t next = G_MAXINT64;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, watch->interests);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct interest *interest = value;

		if (interest->is_dirty && !interest->is_syncing)
			next = MIN(next, interest->due_us);
	}
	return next;
}

static void arm(struct watch *watch)
{
	int64_t next = watch->is_running ? next_due(watch) : G_MAXINT64;
	int64_t left_us = next - clock_monotonic_us();

	if (next == G_MAXINT64 || (watch->dirty_timer != 0 && watch->dirty_due_us == next))
		return;
	g_clear_handle_id(&watch->dirty_timer, g_source_remove);
	watch->dirty_due_us = next;
	watch->dirty_timer = g_timeout_add((guint)CLAMP(left_us / 1000 + 1, 1, 60000), on_due, watch);
}

void watch_dirty(struct watch *watch, const struct folder *folder)
{
	struct interest *interest = watch_interest(watch, folder->name);
	int64_t now = clock_monotonic_us();

	if (!watch->is_running)
		return;
	interest->events++;
	if (!interest->is_dirty || interest->is_suspect) {
		interest->is_dirty = true;
		interest->is_suspect = false;
		interest->first_us = now;
	} else if (interest->due_us > now + PAUSE_US / 2) {
		return; /* 10,000 events shall not move a timer 10,000 times */
	}
	interest->due_us = MIN(now + PAUSE_US, interest->first_us + WAIT_US);
	interest->due_us = MAX(interest->due_us, interest->not_before_us);
	if (!interest->is_syncing)
		arm(watch);
}

void watch_suspect(struct watch *watch, const struct folder *folder)
{
	struct interest *interest = watch_interest(watch, folder->name);

	if (!watch->is_running || interest->is_dirty || interest->is_syncing)
		return;
	interest->is_dirty = interest->is_suspect = true;
	interest->due_us = MAX(clock_monotonic_us() + SUSPECT_US, interest->not_before_us);
	arm(watch);
}

void watch_dirty_stop(struct watch *watch)
{
	g_clear_handle_id(&watch->dirty_timer, g_source_remove);
}
