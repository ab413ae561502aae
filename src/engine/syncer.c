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
#define SYNC_ROWS_HIGH    20000u          /* rows waiting for the disk: stop reading */
#define SYNC_FRESH_US     (10 * G_USEC_PER_SEC) /* an opendir after that looks at the server */
#define SYNC_RETRIES      2u
#define SYNC_DATE_MAX     4294967295ll    /* 2106; further dates are clamped for file systems */

struct sync_waiter {
	struct engine_waiter waiter;
	struct sync *sync;
	engine_done_fn done;
	void *user;
	bool wants_sync; /* the server's answer, not only the index */
};

struct uid_range {
	uint32_t first, last;
};

struct sync {
	struct engine *engine;
	struct folder *folder; /* NULL: it went while a request was under way */
	GQueue waiters;

	bool is_loading;
	bool was_loaded;   /* the index was asked in this process */
	bool is_known;     /* folder->box is a whole listing */
	bool want_sweep;   /* known, but some rows lack what this mount needs */
	bool is_in_use;
	bool run_again;
	bool is_running;
	bool catches_up;   /* `started` waits for it */
	unsigned tries;
	int64_t synced_us; /* last success; 0 = never in this process */

	/* STATUS of the last listing */
	bool has_status;
	uint32_t status_messages, status_unseen, status_uidvalidity;
	uint64_t status_modseq;

	/* one run */
	struct pool_job job;
	bool is_confirming;
	struct mailbox *target; /* folder->box, or a new one (is_new_box) */
	bool is_new_box;
	bool is_delta;
	bool has_holes;         /* the server named messages that we know nothing of */
	bool has_new;
	struct mailfs_sync_result result;
	struct store_batch *batch;
	unsigned batch_rows;
	GArray *mentioned; /* uint32_t, of a full listing; sorted at the end */
	GArray *vanished;  /* struct uid_range */
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

static engine_ticket waiter_add(struct sync *sync, bool wants_sync, engine_done_fn done, void *user)
{
	struct sync_waiter *mine = g_new0(struct sync_waiter, 1);

	mine->sync = sync;
	mine->done = done;
	mine->user = user;
	mine->wants_sync = wants_sync;
	engine_waiter_add(sync->engine, &mine->waiter, waiter_cancel);
	g_queue_push_tail(&sync->waiters, mine);
	return mine->waiter.ticket;
}

static void answer_waiters(struct sync *sync, bool only_index, const GError *error)
{
	struct engine *engine = sync->engine;
	GQueue due = G_QUEUE_INIT;

	for (GList *at = sync->waiters.head, *next; at; at = next) {
		struct sync_waiter *mine = at->data;

		next = at->next;
		if (only_index && mine->wants_sync)
			continue;
		g_queue_delete_link(&sync->waiters, at);
		g_queue_push_tail(&due, mine);
	}
	while (!g_queue_is_empty(&due)) {
		struct sync_waiter *mine = g_queue_pop_head(&due);
		engine_ticket ticket = mine->waiter.ticket;

		/* A callback before this one may have cancelled it. */
		if (g_hash_table_lookup(engine->waiters, &ticket) != &mine->waiter)
			continue;
		engine_waiter_remove(engine, &mine->waiter);
		if (mine->done)
			mine->done(mine->user, error);
		g_free(mine);
	}
}

/* ---- rows to the index ------------------------------------------------------------------------- */

static void on_rows_written(void *user, const GError *error)
{
	struct engine *engine = user;

	if (store_pending_rows(engine->config.store) < SYNC_ROWS_HIGH / 2)
		pool_hold(engine->pool, false);
}

static void commit_rows(struct sync *sync)
{
	struct engine *engine = sync->engine;

	if (!sync->batch)
		return;
	store_batch_commit(g_steal_pointer(&sync->batch), on_rows_written, engine);
	sync->batch_rows = 0;
	if (store_pending_rows(engine->config.store) > SYNC_ROWS_HIGH)
		pool_hold(engine->pool, true);
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
	message->size = MIN(info->size, (1ull << 48) - 1);
	set_flags_of_new(sync, message, info);
}

/* True when attributes changed. */
static bool update_known(struct sync *sync, struct message *message,
	const struct mailfs_message_info *info)
{
	bool was_seen = (message->flags & MAILFS_FLAG_SEEN) != 0;
	bool changed = false;

	if ((info->fields & MAILFS_INFO_SIZE) != 0 && (message->bits & MESSAGE_SIZE_EXACT) == 0 &&
		message->size != info->size) {
		message->size = MIN(info->size, (1ull << 48) - 1);
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

static void take_info(struct sync *sync, const struct mailfs_message_info *info)
{
	struct message *message = mailbox_find(sync->target, info->uid);
	const char *name;
	char name_space[256];
	bool is_new = !message;
	bool changed;

	if (!sync->is_delta)
		g_array_append_val(sync->mentioned, info->uid);
	if (is_new && !is_complete_info(info)) {
		sync->has_holes = true;
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
	g_array_append_vals(sync->mentioned, uids, (guint)count);
	for (size_t i = 0; i < count && !sync->has_holes; i++)
		sync->has_holes = !mailbox_find(sync->target, uids[i]);
}

static void on_vanished(void *user, uint32_t first, uint32_t last)
{
	struct sync *sync = user;
	struct uid_range range = { MIN(first, last), MAX(first, last) };

	if (!sync->folder || !sync->target)
		return;
	/* Bounded: ranges that touch nothing known are forgotten at once. */
	if (mailbox_lower_bound(sync->target, range.first) <
		mailbox_lower_bound(sync->target, range.last) + 1u)
		g_array_append_val(sync->vanished, range);
}

static void on_state(void *user, const struct mailfs_sync_state *state)
{
	struct sync *sync = user;
	struct folder *folder = sync->folder;

	if (!folder)
		return;
	sync->is_delta = state->is_delta;
	/* Without a UIDVALIDITY nothing that is known can be trusted to be the same. */
	sync->is_new_box = !sync->is_known || folder->box->uidvalidity != state->uidvalidity ||
		state->uidvalidity == 0;
	if (sync->is_new_box) {
		uint32_t box_id =
			store_box_id(sync->engine->config.store, folder->name, state->uidvalidity);

		sync->target = mailbox_new(box_id, state->uidvalidity);
		sync->is_delta = false;
		sync->engine->sweeps++;
	} else {
		sync->target = folder->box;
	}
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

static void find_gone(struct sync *sync)
{
	struct mailbox *box = sync->target;

	g_array_sort(sync->mentioned, by_uid);
	for (size_t i = 0; !sync->is_delta && i < mailbox_count(box); i++) {
		uint32_t uid = mailbox_at(box, i)->uid;

		if (!is_in(sync->mentioned, uid))
			g_array_append_val(sync->gone, uid);
	}
	for (guint v = 0; v < sync->vanished->len; v++) {
		const struct uid_range *range = &g_array_index(sync->vanished, struct uid_range, v);

		for (size_t i = mailbox_lower_bound(box, range->first);
			i < mailbox_count(box) && mailbox_at(box, i)->uid <= range->last; i++) {
			uint32_t uid = mailbox_at(box, i)->uid;

			g_array_append_val(sync->gone, uid);
		}
	}
	g_array_sort(sync->gone, by_uid);
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
	uint32_t old = sync->is_known ? folder->box->id : 0;

	sync->target->listing_ns = first_listing_ns(folder);
	if (old != 0)
		sync->target->listing_ns = MAX(clock_realtime_ns(), folder->listing_ns + 1);
	tree_set_box(sync->engine->tree, folder, sync->target);
	sync->is_known = true;
	if (old != 0 && old != folder->box->id)
		sync->engine->events.box_gone(sync->engine->user, folder, old);
}

static void publish(struct sync *sync)
{
	struct engine *engine = sync->engine;
	struct folder *folder = sync->folder;
	bool changed = sync->has_new || sync->gone->len > 0 || sync->is_new_box;

	if (sync->is_new_box)
		put_new_box(sync);
	else if (changed)
		folder->box->listing_ns = MAX(clock_realtime_ns(), folder->box->listing_ns + 1);
	folder->listing_ns = folder->box->listing_ns;
	folder->messages = mailbox_count(folder->box);
	folder->unseen = folder->box->unseen;
	/* Holes mean that this listing cannot be built upon. */
	folder->box->modseq = sync->has_holes ? 0 : sync->result.modseq;
	store_batch_set_state(batch(sync), folder->box->modseq, folder->listing_ns, folder->messages,
		folder->unseen);
	commit_rows(sync);
	sync->target = NULL;
	if (changed) {
		folder->generation++;
		engine->events.listing_changed(engine->user, folder);
	}
}

static void finish_good(struct sync *sync)
{
	struct engine *engine = sync->engine;

	forget_gone(sync);
	publish(sync);
	sync->want_sweep = sync->has_holes && !sync->want_sweep;
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
	sync->target = NULL;
	g_clear_pointer(&sync->batch, store_batch_free);
	g_clear_pointer(&sync->mentioned, g_array_unref);
	g_clear_pointer(&sync->vanished, g_array_unref);
	g_clear_pointer(&sync->gone, g_array_unref);
	sync->is_running = false;
	sync->is_confirming = false;
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
	g_free(sync);
}

static void sync_end(struct sync *sync, const GError *error)
{
	run_free(sync);
	if (!sync->folder) {
		sync_free(sync);
		return;
	}
	if (error && !g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED) &&
		!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE))
		engine_add_reason(sync->engine, "%s: %s", sync->folder->path, error->message);
	if (!error && sync->run_again) {
		sync->run_again = false;
		answer_waiters(sync, true, NULL);
		sync_start(sync);
		return;
	}
	sync->run_again = false;
	catch_up_done(sync);
	/* The index alone is a good answer to who did not ask for more. */
	if (error && sync->is_known)
		answer_waiters(sync, true, NULL);
	answer_waiters(sync, false, error);
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

	pool_done(sync->engine->pool, &sync->job);
	if (error || !sync->folder) {
		sync_end(sync, error);
		return;
	}
	g_array_sort(sync->mentioned, by_uid);
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
	sync->is_confirming = true;
	sync->job.start = confirm_start;
	pool_submit(sync->engine->pool, &sync->job);
}

/* ---- one run ----------------------------------------------------------------------------------- */

static void on_done(void *user, const struct mailfs_sync_result *result, const GError *error)
{
	struct sync *sync = user;
	struct pool *pool = sync->engine->pool;

	pool_done(pool, &sync->job);
	if (!sync->folder) {
		sync_free(sync);
		return;
	}
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST) &&
		sync->tries++ < SYNC_RETRIES && pool_state(pool) != ENGINE_STOPPED) {
		run_free(sync);
		sync_start(sync);
		return;
	}
	if (error || !sync->target) {
		sync_end(sync, error);
		return;
	}
	sync->result = *result;
	if (sync->is_new_box && !sync->is_known) {
		finish_good(sync);
		return;
	}
	find_gone(sync);
	if (!sync->is_new_box && sync->gone->len * 2 > mailbox_count(sync->target)) {
		confirm(sync);
		return;
	}
	finish_good(sync);
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
			.uid_max = mailbox_uid_max(sync->folder->box),
			.count = mailbox_count(sync->folder->box),
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
	sync->is_new_box = false;
	sync->has_holes = false;
	sync->has_new = false;
	sync->is_delta = false;
	sync->target = NULL;
	sync->mentioned = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	sync->vanished = g_array_new(FALSE, FALSE, sizeof(struct uid_range));
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
	if (!folder) {
		mailbox_free(box);
		sync_free(sync);
		return;
	}
	/* A listing that was never finished has no time. */
	if (box && box->listing_ns != 0) {
		tree_set_box(engine->tree, folder, box);
		folder->listing_ns = box->listing_ns;
		folder->messages = mailbox_count(box);
		folder->unseen = box->unseen;
		sync->is_known = true;
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
	answer_waiters(sync, true, NULL);
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

bool syncer_is_unchanged(const struct folder *folder)
{
	const struct sync *sync = folder->engine;

	return sync && sync->is_known &&
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
	catch_up_done(sync);
	if (!sync->is_new_box)
		sync->target = NULL;
	sync->folder = NULL;
	answer_waiters(sync, false, error);
	if (sync->is_loading)
		return; /* on_loaded() frees it */
	if (!sync->is_running || pool_cancel(engine->pool, &sync->job))
		sync_free(sync);
}
