/* SPDX-License-Identifier: MIT */
/*
 * The messages of a folder: loaded from the index, swept once from the server, then kept up to
 * date by deltas. One struct sync per folder that was opened.
 *
 * A first sweep goes into a mailbox of its own that is put in place when it is whole; rows reach
 * the index while it runs, its state only at the end: what a crash leaves behind has no state and
 * is swept again. A listing that would remove more than half of a folder is confirmed by a second
 * command before anything is forgotten (quirks of servers, partial listings).
 */
#include "engine/internal.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define SYNC_BATCH_ROWS   512u
#define SYNC_FRESH_US     (10 * G_USEC_PER_SEC) /* an opendir after that looks at the server */
#define SYNC_RETRIES      1u
#define SYNC_SIZE_MAX     ((1ull << 48) - 1)
#define SYNC_RANGES_MAX   4096u           /* vanished ranges kept apart; then they are merged */
#define SYNC_DATE_MAX     4294967295ll    /* 2106; further dates are clamped for file systems */

struct sync_waiter {
	struct engine_waiter waiter;
	struct sync *sync;
	engine_done_fn done;
	void *user;
	bool wants_sync;  /* the server's answer, not only the index */
	unsigned serial;  /* of the run that is good enough */
};

struct uid_range {
	uint32_t first, last;
};

struct sync {
	struct engine *engine;
	struct folder *folder; /* NULL: it went while a request was under way */
	GQueue waiters;
	unsigned serial; /* of the last run that began */

	bool is_loading;
	bool was_loaded;   /* the index was asked in this process */
	bool is_known;     /* folder->box is a whole listing */
	bool had_box;      /* of another UIDVALIDITY, before this one */
	bool want_sweep;   /* known, but some rows lack what this mount needs */
	bool is_in_use;
	bool run_again;
	bool is_running;
	bool catches_up;   /* `started` waits for it */
	unsigned tries;
	int64_t synced_us; /* last success; 0 = never in this process */
	uint32_t uid_max;  /* highest UID at the last success: what came later may have holes */
	unsigned losses;   /* without UIDVALIDITY: pool_losses() when folder->box was made */

	/* STATUS of the last listing */
	bool has_status;
	uint32_t status_messages, status_unseen, status_uidvalidity;
	uint64_t status_modseq;

	/* one run */
	struct pool_job job;
	struct mailbox *target; /* folder->box, or a new one (is_new_box) */
	bool is_new_box;
	bool is_delta;
	bool has_new;
	struct mailfs_sync_result result;
	struct store_batch *batch;
	unsigned batch_rows;
	GArray *mentioned; /* uint32_t, of a full listing; sorted at the end */
	GArray *unknown;   /* uint32_t, named without being described so far */
	GArray *vanished;  /* struct uid_range */
	guint vanished_kept; /* after the last merge */
	GArray *revived;   /* uint32_t, described after they vanished */
	GArray *gone;      /* uint32_t, ascending */
};

static void sync_start(struct sync *sync);
static void sync_end(struct sync *sync, const GError *error);

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

enum who { WHO_INDEX, WHO_SERVED, WHO_ALL };

static bool is_due(const struct sync_waiter *mine, enum who who)
{
	return who == WHO_ALL || !mine->wants_sync ||
		(who == WHO_SERVED && mine->serial < mine->sync->serial);
}

/* WHO_SERVED: the next run has begun, those who waited for the one before are due.
 * By ticket: a callback may cancel those after it. */
static void answer_waiters(struct sync *sync, enum who who, const GError *error)
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

/* ---- rows to the index ------------------------------------------------------------------------- */

static void commit_rows(struct sync *sync)
{
	if (!sync->batch)
		return;
	store_batch_commit(g_steal_pointer(&sync->batch), NULL, NULL);
	sync->batch_rows = 0;
	engine_check_pressure(sync->engine);
}

static struct store_batch *batch(struct sync *sync)
{
	if (!sync->batch)
		sync->batch = store_batch_new(sync->engine->config.store, sync->target->id);
	return sync->batch;
}

static void put_row(struct sync *sync, const struct message *message,
	const struct mailfs_message_info *info, const char *name)
{
	store_batch_put(batch(sync), &(struct store_message){
		.message = message,
		.keywords = mailbox_keywords(sync->target, message->keywords),
		.name = name,
		.head = (info->fields & MAILFS_INFO_HEAD) != 0 ? &info->head : NULL,
		.remote_id = (info->fields & MAILFS_INFO_REMOTE_ID) != 0 ? info->remote_id : NULL,
		.thread_id = (info->fields & MAILFS_INFO_REMOTE_ID) != 0 ? info->thread_id : NULL,
		.modseq = (info->fields & MAILFS_INFO_MODSEQ) != 0 ? info->modseq : 0,
	});
	if (++sync->batch_rows >= SYNC_BATCH_ROWS)
		commit_rows(sync);
}

/* ---- what the server tells --------------------------------------------------------------------- */

static bool is_complete_info(const struct mailfs_message_info *info)
{
	return (info->fields & MAILFS_INFO_SIZE) != 0 && (info->fields & MAILFS_INFO_FLAGS) != 0;
}

static void set_flags_of_new(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	mailbox_set_flags(sync->target, message, info->flags,
		mailbox_intern_keywords(sync->target, info->keywords));
}

static void fill_new(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	int64_t date = (info->fields & MAILFS_INFO_DATE) != 0 ? info->date : 0;

	message->date = CLAMP(date, 0, SYNC_DATE_MAX);
	message->ctime_ns = message->date * 1000000000;
	message->size = MIN(info->size, SYNC_SIZE_MAX);
	set_flags_of_new(sync, message, info);
}

/* True when attributes changed. */
static bool update_known(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	bool was_seen = (message->flags & MAILFS_FLAG_SEEN) != 0;
	uint64_t size = MIN(info->size, SYNC_SIZE_MAX);
	bool changed = false;

	if ((info->fields & MAILFS_INFO_SIZE) != 0 && (message->bits & MESSAGE_SIZE_EXACT) == 0 &&
		message->size != size) {
		message->size = size;
		changed = true;
	}
	if ((info->fields & MAILFS_INFO_FLAGS) != 0 &&
		mailbox_set_flags(sync->target, message, info->flags,
			mailbox_intern_keywords(sync->target, info->keywords))) {
		message->ctime_ns = MAX(clock_realtime_ns(), message->ctime_ns + 1);
		if (!was_seen && (message->flags & MAILFS_FLAG_SEEN) != 0)
			message->seen_time = (uint32_t)(message->ctime_ns / 1000000000);
		changed = true;
	}
	return changed;
}

static const char *give_name(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info, char *name)
{
	const struct engine_config *config = &sync->engine->config;

	if (!config->name || message->name_hash != 0 || (info->fields & MAILFS_INFO_HEAD) == 0)
		return NULL;
	message->name_hash =
		config->name(config->name_user, message->uid, message->date, &info->head, name);
	return name;
}

/* A first sweep needs no list: what it does not mention was never there. */
static void note_mention(struct sync *sync, uint32_t uid)
{
	if (!sync->is_delta && !sync->is_new_box)
		g_array_append_val(sync->mentioned, uid);
	if (sync->vanished->len > 0)
		g_array_append_val(sync->revived, uid);
}

static void take_info(struct sync *sync, const struct mailfs_message_info *info)
{
	struct message *message = mailbox_find(sync->target, info->uid);
	const char *name;
	char name_space[256];
	bool is_new = !message;
	bool changed;

	note_mention(sync, info->uid);
	if (is_new && !is_complete_info(info)) {
		g_array_append_val(sync->unknown, info->uid);
		return;
	}
	if (is_new) {
		bool ignored;

		message = mailbox_insert(sync->target, info->uid, &ignored);
		fill_new(sync, message, info);
		sync->has_new = true;
		changed = true;
	} else {
		changed = update_known(sync, message, info);
	}
	name = give_name(sync, message, info, name_space);
	sync->has_new |= name != NULL;
	if ((info->fields & MAILFS_INFO_HEAD) != 0 && (message->bits & MESSAGE_HAS_HEAD) == 0) {
		message->bits |= MESSAGE_HAS_HEAD;
		changed = true;
	}
	if (!changed && !name)
		return;
	put_row(sync, message, info, name);
	if (!is_new && !sync->is_new_box)
		sync->engine->events.message_changed(sync->engine->user, sync->folder, info->uid);
}

static void on_messages(void *user, const struct mailfs_message_info *infos, size_t count)
{
	struct sync *sync = user;

	if (!sync->folder || !sync->target)
		return;
	for (size_t i = 0; i < count; i++) {
		if (infos[i].uid != 0)
			take_info(sync, &infos[i]);
	}
}

static void on_uids(void *user, const uint32_t *uids, size_t count)
{
	struct sync *sync = user;

	if (!sync->folder || !sync->target)
		return;
	for (size_t i = 0; i < count; i++) {
		note_mention(sync, uids[i]);
		if (!mailbox_find(sync->target, uids[i]))
			g_array_append_val(sync->unknown, uids[i]);
	}
}

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

static void on_vanished(void *user, uint32_t first, uint32_t last)
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

	sync->is_known = false;
	sync->had_box = true;
	tree_set_box(engine->tree, folder, NULL);
	folder->messages = folder->unseen = 0;
	engine->events.box_gone(engine->user, folder, old);
	folder->told_generation = ++folder->generation;
	engine->events.listing_changed(engine->user, folder);
}

static void on_state(void *user, const struct mailfs_sync_state *state)
{
	struct sync *sync = user;
	struct folder *folder = sync->folder;

	if (!folder)
		return;
	if (sync->target)
		return; /* once */
	sync->is_delta = state->is_delta;
	sync->is_new_box = !is_same_box(sync, state->uidvalidity);
	if (!sync->is_new_box) {
		sync->target = folder->box;
		return;
	}
	sync->target = mailbox_new(new_box_id(sync, state->uidvalidity), state->uidvalidity);
	sync->is_delta = false;
	sync->engine->sweeps++;
	/* What a sweep that did not end has left behind. */
	store_batch_remove(batch(sync), 0, UINT32_MAX);
	if (sync->is_known)
		forget_box(sync);
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

static void find_gone(struct sync *sync)
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

/* The server named messages and never described them, and they are not gone either. */
static bool has_holes(const struct sync *sync)
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

static void forget_gone(struct sync *sync)
{
	for (guint i = 0; i < sync->gone->len; i++) {
		uint32_t uid = g_array_index(sync->gone, uint32_t, i);
		uint32_t last = uid;

		while (i + 1 < sync->gone->len && g_array_index(sync->gone, uint32_t, i + 1) <= last + 1)
			last = g_array_index(sync->gone, uint32_t, ++i);
		store_batch_remove(batch(sync), uid, last);
	}
	mailbox_remove_if(sync->target, is_gone, sync->gone);
	if (sync->is_new_box)
		return;
	for (guint i = 0; i < sync->gone->len; i++)
		sync->engine->events.message_gone(sync->engine->user, sync->folder,
			g_array_index(sync->gone, uint32_t, i));
}

/* ---- the end of a run -------------------------------------------------------------------------- */

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
	tree_set_box(sync->engine->tree, folder, sync->target);
	sync->is_known = true;
	sync->is_new_box = false;
}

static void put_state(struct sync *sync)
{
	const struct mailbox *box = sync->folder->box;

	/* Without UIDVALIDITY it must not be known to the next process. */
	if (box->uidvalidity != 0)
		store_batch_set_state(batch(sync), box->modseq, box->listing_ns, mailbox_count(box),
			box->unseen);
	commit_rows(sync);
}

static void publish(struct sync *sync, bool is_first)
{
	struct engine *engine = sync->engine;
	struct folder *folder = sync->folder;
	bool changed = sync->has_new || sync->gone->len > 0 || is_first;

	if (changed && !is_first)
		folder->box->listing_ns = MAX(clock_realtime_ns(), folder->box->listing_ns + 1);
	folder->listing_ns = folder->box->listing_ns;
	folder->messages = mailbox_count(folder->box);
	folder->unseen = folder->box->unseen;
	put_state(sync);
	sync->target = NULL;
	if (changed) {
		folder->told_generation = ++folder->generation;
		engine->events.listing_changed(engine->user, folder);
	}
}

/* The run failed, but what it has told of messages is true: it is shown, and it is in the index
 * before any later state is. The next run begins where the last good one ended. */
static void keep_what_came(struct sync *sync)
{
	if (sync->folder && sync->target && !sync->is_new_box && (sync->batch || sync->has_new)) {
		g_array_set_size(sync->gone, 0);
		publish(sync, false);
	}
}

static void finish_good(struct sync *sync)
{
	struct engine *engine = sync->engine;
	bool is_first = sync->is_new_box;
	bool is_holey;

	forget_gone(sync);
	is_holey = has_holes(sync);
	if (is_first)
		put_new_box(sync);
	/* Holes mean that this listing cannot be built upon. */
	sync->folder->box->modseq = is_holey ? 0 : sync->result.modseq;
	sync->uid_max = mailbox_uid_max(sync->folder->box);
	publish(sync, is_first);
	sync->want_sweep = is_holey && !sync->want_sweep;
	sync->run_again |= sync->want_sweep;
	sync->synced_us = clock_monotonic_us();
	engine->last_sync = clock_realtime_ns() / 1000000000;
	engine->syncs++;
	sync_end(sync, NULL);
}

static void run_free(struct sync *sync)
{
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
	sync->is_running = false;
}

static void catch_up_done(struct sync *sync)
{
	if (!sync->catches_up)
		return;
	sync->catches_up = false;
	engine_caught_up(sync->engine);
}

static void sync_free(struct sync *sync)
{
	run_free(sync);
	g_hash_table_remove(sync->engine->all_syncs, sync);
	g_free(sync);
}

static void note_failure(struct sync *sync, const GError *error)
{
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE))
		return;
	engine_add_reason(sync->engine, "%s: %s", sync->folder->path, error->message);
}

static void sync_end(struct sync *sync, const GError *error)
{
	keep_what_came(sync);
	run_free(sync);
	if (!sync->folder) {
		sync_free(sync);
		return;
	}
	if (error)
		note_failure(sync, error);
	if (!error && sync->run_again) {
		/* Started first: those who are answered may ask for more. */
		sync->tries = 0;
		sync_start(sync);
		answer_waiters(sync, WHO_SERVED, NULL);
		return;
	}
	sync->run_again = false;
	catch_up_done(sync);
	/* The index alone is a good answer to who did not ask for more. */
	if (error && sync->is_known)
		answer_waiters(sync, WHO_INDEX, NULL);
	answer_waiters(sync, WHO_ALL, error);
}

/* Read-only: once more on another connection. */
static bool may_retry(struct sync *sync, const GError *error)
{
	bool is_lost = g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_STALE);

	return is_lost && sync->folder && pool_state(sync->engine->pool) != ENGINE_STOPPED &&
		sync->tries++ < SYNC_RETRIES;
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
	if (may_retry(sync, error)) {
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
	finish_good(sync);
}

static mailfs_ticket confirm_start(struct pool_job *job, struct mailfs_session *session)
{
	struct sync *sync = (struct sync *)((char *)job - G_STRUCT_OFFSET(struct sync, job));

	return sync->engine->config.backend->uids(session, &(struct mailfs_uids_request){
		.folder = sync->folder ? sync->folder->name : "",
		.first = 1,
		.last = UINT32_MAX,
		.uids = on_confirmed_uids,
		.done = on_confirmed,
		.user = sync,
	});
}

static void confirm(struct sync *sync)
{
	g_array_set_size(sync->mentioned, 0);
	sync->job.start = confirm_start;
	pool_submit(sync->engine->pool, &sync->job);
}

/* ---- one run ----------------------------------------------------------------------------------- */

static void on_done(void *user, const struct mailfs_sync_result *result, const GError *error)
{
	struct sync *sync = user;
	g_autoptr(GError) silent = NULL;

	pool_done(sync->engine->pool, &sync->job, error);
	if (!sync->folder) {
		sync_free(sync);
		return;
	}
	if (may_retry(sync, error)) {
		keep_what_came(sync);
		run_free(sync);
		sync_start(sync);
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
	find_gone(sync);
	if (!sync->is_new_box && sync->gone->len * 2 > mailbox_count(sync->target)) {
		confirm(sync);
		return;
	}
	finish_good(sync);
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
	struct sync *sync = (struct sync *)((char *)job - G_STRUCT_OFFSET(struct sync, job));
	struct mailfs_sync_request request = {
		.folder = sync->folder->name,
		.state = on_state,
		.messages = on_messages,
		.uids = on_uids,
		.vanished = on_vanished,
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
	sync_end((struct sync *)((char *)job - G_STRUCT_OFFSET(struct sync, job)), error);
}

static void sync_start(struct sync *sync)
{
	sync->is_running = true;
	sync->was_loaded = true; /* from now on the index learns from us */
	sync->run_again = false;
	sync->serial++;
	sync->is_new_box = false;
	sync->has_new = false;
	sync->is_delta = false;
	sync->target = NULL;
	sync->mentioned = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->unknown = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->vanished = g_array_new(FALSE, FALSE, sizeof(struct uid_range));
	sync->vanished_kept = 0;
	sync->revived = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->gone = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->job = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 6,
		.folder = sync->folder->name,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(sync->engine->pool, &sync->job);
}

static void want_run(struct sync *sync)
{
	if (sync->is_running) {
		sync->run_again = true;
		return;
	}
	if (sync->is_loading)
		return; /* on_loaded() goes on */
	sync->tries = 0;
	sync_start(sync);
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
	return sync->synced_us == 0 || clock_monotonic_us() - sync->synced_us > SYNC_FRESH_US;
}

static void on_loaded(void *user, struct mailbox *box)
{
	struct sync *sync = user;
	struct engine *engine = sync->engine;
	struct folder *folder = sync->folder;

	sync->is_loading = false;
	sync->was_loaded = true;
	if (!engine || !folder) {
		mailbox_free(box);
		if (engine)
			sync_free(sync);
		else
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
		sync->want_sweep = lacks_names(engine, box);
	} else {
		mailbox_free(box);
	}
	if (!sync->is_known || sync->want_sweep || has_sync_waiter(sync)) {
		want_run(sync);
		/* What lacks names can be read without them when the server is away. */
		return;
	}
	if (!syncer_is_unchanged(folder)) {
		want_run(sync);
	} else {
		sync->synced_us = clock_monotonic_us();
		catch_up_done(sync);
	}
	answer_waiters(sync, WHO_INDEX, NULL);
}

static void load(struct sync *sync)
{
	struct engine *engine = sync->engine;

	sync->is_loading = true;
	store_load_box(engine->config.store, sync->folder->box_id, on_loaded, sync);
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
	g_queue_init(&sync->waiters);
	g_hash_table_add(engine->all_syncs, sync);
	folder->engine = sync;
	return sync;
}

engine_ticket syncer_open(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user)
{
	struct sync *sync = syncer_get(engine, folder);
	engine_ticket ticket;

	sync->is_in_use = true;
	if (sync->is_known && !sync->want_sweep) {
		if (is_stale(sync) && !sync->is_running && pool_state(engine->pool) == ENGINE_ONLINE)
			want_run(sync);
		done(user, NULL);
		return 0;
	}
	ticket = waiter_add(sync, false, done, user);
	if (!sync->was_loaded && folder->box_id != 0 && !sync->is_loading)
		load(sync);
	else if (!sync->is_loading && !sync->is_running)
		want_run(sync);
	return ticket;
}

void syncer_catch_up(struct engine *engine, struct folder *folder)
{
	struct sync *sync = syncer_get(engine, folder);

	sync->catches_up = true;
	engine->catching_up++;
	sync->is_in_use = true;
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
	want_run(sync);
}

void syncer_note_status(struct engine *engine, struct folder *folder,
	const struct mailfs_folder_info *info)
{
	struct sync *sync = syncer_get(engine, folder);

	sync->has_status = (info->flags & MAILFS_FOLDER_HAS_STATUS) != 0;
	sync->status_messages = info->messages;
	sync->status_unseen = info->unseen;
	sync->status_uidvalidity = info->uidvalidity;
	sync->status_modseq = info->highestmodseq;
}

static bool status_is(const struct sync *sync, uint32_t uidvalidity, uint64_t modseq,
	uint32_t messages)
{
	return sync && sync->has_status && modseq != 0 && sync->status_modseq == modseq &&
		sync->status_uidvalidity == uidvalidity && sync->status_messages == messages;
}

/* STATUS of a folder that a session has selected may tell what that session saw last (ID-7). */
bool syncer_is_unchanged(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return sync && sync->is_known && !pool_has_selected(sync->engine->pool, folder->name) &&
		status_is(sync, folder->box->uidvalidity, folder->box->modseq, mailbox_count(folder->box));
}

bool syncer_has_news(const struct folder *folder, const struct store_folder *row)
{
	return !status_is(folder->engine, row->uidvalidity, row->modseq, row->messages);
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
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the folder is no more");
	if (!sync->is_new_box)
		sync->target = NULL;
	sync->folder = NULL;
	catch_up_done(sync);
	answer_waiters(sync, WHO_ALL, error);
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

		run_free(sync);
		/* Where the index was asked, its answer frees it. */
		sync->engine = NULL;
		if (!sync->is_loading)
			g_free(sync);
	}
}
