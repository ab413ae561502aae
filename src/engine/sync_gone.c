/* SPDX-License-Identifier: MIT */
/*
 * What is gone from a folder: by a list that does not mention it, or by ranges that vanished. A
 * large loss is only believed when a second listing says the same (ID-6).
 */
#include "engine/sync_impl.h"

#define SYNC_RANGES_MAX 4096u /* vanished ranges kept apart; then they are merged */

/* ---- ranges that vanished ---------------------------------------------------------------------- */

static int by_first(gconstpointer a, gconstpointer b)
{
	const struct uid_range *left = a;
	const struct uid_range *right = b;

	return left->first < right->first ? -1 : left->first > right->first;
}

/* Sorts the ranges and joins those that touch. */
static void merge_vanished(struct sync *sync)
{
	GArray *ranges = sync->vanished;
	guint kept = 0;

	g_array_sort(ranges, by_first);
	for (guint i = 1; i < ranges->len; i++) {
		struct uid_range *last = &g_array_index(ranges, struct uid_range, kept);
		const struct uid_range *range = &g_array_index(ranges, struct uid_range, i);

		if (range->first - 1 <= last->last)
			last->last = MAX(last->last, range->last);
		else
			g_array_index(ranges, struct uid_range, ++kept) = *range;
	}
	if (ranges->len > 0)
		g_array_set_size(ranges, kept + 1);
	sync->vanished_kept = ranges->len;
}

void sync_note_vanished(void *user, uint32_t first, uint32_t last)
{
	struct sync *sync = user;
	struct uid_range range = { MAX(MIN(first, last), 1), MAX(first, last) };
	size_t at;

	if (!sync->folder || !sync->target)
		return;
	/* Bounded: ranges that touch nothing known are forgotten at once, the others merged. */
	at = mailbox_lower_bound(sync->target, range.first);
	if (at == mailbox_count(sync->target) || mailbox_at(sync->target, at)->uid > range.last)
		return;
	g_array_append_val(sync->vanished, range);
	if (sync->vanished->len > 2 * sync->vanished_kept + SYNC_RANGES_MAX)
		merge_vanished(sync);
}

/* ---- what is gone ------------------------------------------------------------------------------ */

static int by_uid(gconstpointer a, gconstpointer b)
{
	const uint32_t *left = a;
	const uint32_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

static bool is_in(const GArray *sorted, uint32_t uid)
{
	return sorted->len > 0 && g_array_binary_search((GArray *)sorted, &uid, by_uid, NULL);
}

static void sort_uids(GArray *uids)
{
	for (guint i = 1; i < uids->len; i++) {
		/* Nearly always they come in order. */
		if (g_array_index(uids, uint32_t, i - 1) > g_array_index(uids, uint32_t, i)) {
			g_array_sort(uids, by_uid);
			return;
		}
	}
}

/* Both sorted: walked side by side. */
static void find_unmentioned(struct sync *sync)
{
	const struct mailbox *box = sync->target;
	const GArray *mentioned = sync->mentioned;
	guint at = 0;

	for (size_t i = 0; i < mailbox_count(box); i++) {
		uint32_t uid = mailbox_at(box, i)->uid;

		while (at < mentioned->len && g_array_index(mentioned, uint32_t, at) < uid)
			at++;
		if (at == mentioned->len || g_array_index(mentioned, uint32_t, at) != uid)
			g_array_append_val(sync->gone, uid);
	}
}

static void find_vanished(struct sync *sync)
{
	const struct mailbox *box = sync->target;

	merge_vanished(sync);
	sort_uids(sync->revived);
	for (guint v = 0; v < sync->vanished->len; v++) {
		const struct uid_range *range = &g_array_index(sync->vanished, struct uid_range, v);

		for (size_t i = mailbox_lower_bound(box, range->first);
			i < mailbox_count(box) && mailbox_at(box, i)->uid <= range->last; i++) {
			uint32_t uid = mailbox_at(box, i)->uid;

			if (!is_in(sync->revived, uid))
				g_array_append_val(sync->gone, uid);
		}
	}
}

void sync_find_gone(struct sync *sync)
{
	guint kept = 0;

	sort_uids(sync->mentioned);
	if (!sync->is_delta && !sync->is_new_box)
		find_unmentioned(sync);
	find_vanished(sync);
	sort_uids(sync->gone);
	for (guint i = 0; i < sync->gone->len; i++) {
		uint32_t uid = g_array_index(sync->gone, uint32_t, i);

		if (kept == 0 || g_array_index(sync->gone, uint32_t, kept - 1) != uid)
			g_array_index(sync->gone, uint32_t, kept++) = uid;
	}
	g_array_set_size(sync->gone, kept);
}

/* It is kept for good; or its size was counted, so it was whole here once: if it was evicted since,
 * who reads it finds out (fetch_request.c), and it goes. */
static bool may_stay(struct sync *sync, const struct message *message)
{
	const struct engine *engine = sync->engine;

	if (!message || engine_is_hidden(engine, sync->target->id, message->uid))
		return false;
	return vault_has(engine->vault, sync->folder->name, message->uid) ||
		(engine->config.keeps_vanished && (message->bits & MESSAGE_SIZE_EXACT) != 0);
}

static void make_local(struct sync *sync, struct message *message)
{
	struct body *body;

	if ((message->bits & MESSAGE_LOCAL) != 0)
		return;
	message->bits |= MESSAGE_LOCAL;
	sync_put_bits(sync, message);
	/* Nobody else has it any more. */
	body = body_open(sync->engine->config.store, sync->target->id, message->uid);
	body_pin(body, true);
	body_unref(body);
	sync->engine->events.message_changed(sync->engine->user, sync->folder, message->uid);
}

void sync_keep_vanished(struct sync *sync)
{
	guint kept = 0;

	if (!sync->keys || sync->is_new_box)
		return;
	for (guint i = 0; i < sync->gone->len; i++) {
		uint32_t uid = g_array_index(sync->gone, uint32_t, i);
		struct message *message = mailbox_find(sync->target, uid);

		if (may_stay(sync, message))
			make_local(sync, message);
		else
			g_array_index(sync->gone, uint32_t, kept++) = uid;
	}
	g_array_set_size(sync->gone, kept);
}

bool sync_has_holes(const struct sync *sync)
{
	for (guint i = 0; i < sync->unknown->len; i++) {
		uint32_t uid = g_array_index(sync->unknown, uint32_t, i);

		if (uid != 0 && !mailbox_find(sync->target, uid))
			return true;
	}
	return false;
}

static bool is_gone(const struct message *message, void *user)
{
	return is_in(user, message->uid);
}

static bool is_own(struct engine *engine, const struct folder *folder, uint32_t uid)
{
	return mover_has(engine->mover, folder, uid) || outbox_hides(engine->outbox, folder, uid);
}

void sync_forget_gone(struct sync *sync)
{
	/* A look that finds nothing gone must not look at a million messages. */
	if (sync->gone->len == 0)
		return;
	for (guint i = 0; i < sync->gone->len; i++) {
		uint32_t uid = g_array_index(sync->gone, uint32_t, i);
		uint32_t last = uid;

		while (i + 1 < sync->gone->len && g_array_index(sync->gone, uint32_t, i + 1) <= last + 1)
			last = g_array_index(sync->gone, uint32_t, ++i);
		store_batch_remove(sync_batch(sync), uid, last);
	}
	mailbox_remove_if(sync->target, is_gone, sync->gone);
	for (guint i = 0; sync->keys && i < sync->gone->len; i++)
		keys_remove(sync->keys, g_array_index(sync->gone, uint32_t, i));
	if (sync->is_new_box)
		return;
	for (guint i = 0; i < sync->gone->len; i++) {
		uint32_t uid = g_array_index(sync->gone, uint32_t, i);

		engine_tell_news(sync->engine, ENGINE_NEWS_EXPUNGED, sync->folder, uid, NULL,
			is_own(sync->engine, sync->folder, uid));
		changes_message_gone(sync->engine, sync->folder, uid);
		sync->engine->events.message_gone(sync->engine->user, sync->folder, uid);
	}
}

/* ---- confirming a large loss ------------------------------------------------------------------- */

static void on_confirmed_uids(void *user, const uint32_t *uids, size_t count)
{
	struct sync *sync = user;

	g_array_append_vals(sync->mentioned, uids, (guint)count);
}

static void on_confirmed(void *user, const GError *error)
{
	struct sync *sync = user;
	guint kept = 0;

	pool_done(sync->engine->pool, &sync->job, error);
	if (sync_may_retry(sync, error)) {
		g_array_set_size(sync->mentioned, 0);
		pool_submit(sync->engine->pool, &sync->job);
		return;
	}
	if (error || !sync->folder) {
		sync_end(sync, error);
		return;
	}
	sort_uids(sync->mentioned);
	for (guint i = 0; i < sync->gone->len; i++) {
		uint32_t uid = g_array_index(sync->gone, uint32_t, i);

		if (is_in(sync->mentioned, uid))
			g_array_index(sync->gone, uint32_t, kept++) = uid;
	}
	if (kept > 0) {
		/* The two answers disagree: keep everything, build on nothing. */
		engine_add_reason(sync->engine, "%s: two listings disagree about %u messages",
			sync->folder->path, kept);
		g_array_set_size(sync->gone, 0);
		sync->result.modseq = 0;
	}
	sync_finish(sync);
}

static mailfs_ticket confirm_start(struct pool_job *job, struct mailfs_session *session)
{
	struct sync *sync = sync_of_job(job);

	return sync->engine->config.backend->uids(session, &(struct mailfs_uids_request){
		.folder = sync->folder ? sync->folder->name : "",
		.first = 1,
		.last = UINT32_MAX,
		.uids = on_confirmed_uids,
		.uid_of_key = sync_find_key,
		.done = on_confirmed,
		.user = sync,
	});
}

void sync_confirm(struct sync *sync)
{
	g_array_set_size(sync->mentioned, 0);
	sync->job.start = confirm_start;
	pool_submit(sync->engine->pool, &sync->job);
}
