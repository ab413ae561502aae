/* SPDX-License-Identifier: MIT */
/*
 * Asking the server what is new, in rounds: a NOOP where a folder is selected, the folder list with
 * STATUS where the server can do that, STATUS of each folder in use where it cannot. A folder that has
 * not changed costs a line. Folders that are watched are left out, but for a check now and then
 * whether the server tells everything. Loop thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/watch_impl.h"

#define CHECK_US     (720 * G_USEC_PER_SEC) /* of what is watched */
#define SLOWNESS_MAX 5u                     /* 32 times as slow */
#define NAMES_MAX    500u                   /* STATUS in one round */

static void look(struct watch *watch);

/* ---- the timer --------------------------------------------------------------------------------- */

static gboolean on_poll(gpointer user);

/* Not all mounts of the world at the same time: 10 % more or less. */
static void arm(struct watch *watch)
{
	uint64_t seconds = watch->engine->config.poll_seconds;
	uint64_t ms;

	g_clear_handle_id(&watch->poll_timer, g_source_remove);
	if (seconds == 0 || !watch->is_running)
		return;
	ms = seconds * 1000 << watch->slowness;
	ms = ms * 9 / 10 + g_random_int() % (ms / 5 + 1);
	watch->poll_timer = g_timeout_add((guint)MIN(ms, 86400000), on_poll, watch);
}

static gboolean on_poll(gpointer user)
{
	struct watch *watch = user;

	watch->poll_timer = 0;
	if (pool_state(watch->engine->pool) == ENGINE_ONLINE)
		look(watch);
	else
		arm(watch);
	return G_SOURCE_REMOVE;
}

/* ---- the end of a round ------------------------------------------------------------------------ */

static bool will_pass(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_TRY_LATER) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_LIMIT);
}

static void look_end(struct watch *watch, const GError *error)
{
	watch->is_looking = false;
	if (!error) {
		watch->looked_at = clock_realtime_ns() / 1000000000;
		watch->slowness = 0;
	} else if (will_pass(error) && watch->slowness < SLOWNESS_MAX) {
		watch->slowness++; /* CN-3 */
	}
	if (!error && watch->look_again)
		look(watch);
	else
		arm(watch);
}

/* ---- STATUS of folders ------------------------------------------------------------------------- */

static struct watch *of_job(struct pool_job *job)
{
	return (struct watch *)((char *)job - G_STRUCT_OFFSET(struct watch, job));
}

/* A watch that tells of things is believed; of one that has been silent nobody knows (CN-1). */
static bool is_doubtful(struct watch *watch, const struct folder *folder)
{
	const struct interest *interest = watch_interest(watch, folder->name);

	return !pool_is_watched(watch->engine->pool, NULL) &&
		(interest->live_us == 0 || clock_monotonic_us() - interest->live_us > CHECK_US);
}

static void take_status(struct watch *watch, struct folder *folder)
{
	if (!pool_is_watched(watch->engine->pool, folder->name)) {
		if (!syncer_is_unchanged(folder))
			watch_news(watch, folder);
	} else if (is_doubtful(watch, folder) && syncer_is_told_otherwise(folder)) {
		watch_suspect(watch, folder);
	}
}

static void on_status(void *user, const struct mailfs_status *status)
{
	struct watch *watch = user;
	struct folder *folder = tree_by_name(watch->engine->tree, status->folder);

	if (!folder)
		return;
	syncer_take_status(watch->engine, folder, status);
	if (watch_is_tracked(folder))
		take_status(watch, folder);
}

static void on_status_done(void *user, const GError *error)
{
	struct watch *watch = user;

	pool_done(watch->engine->pool, &watch->job, error);
	look_end(watch, error);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct watch *watch = of_job(job);

	return watch->engine->config.backend->status(session, &(struct mailfs_status_request){
		.folders = (const char *const *)watch->names->pdata,
		.status = on_status,
		.done = on_status_done,
		.user = watch,
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	look_end(of_job(job), error);
}

static void ask_for_status(struct watch *watch)
{
	g_ptr_array_add(watch->names, NULL);
	watch->job = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 2,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(watch->engine->pool, &watch->job);
}

/* ---- a round ----------------------------------------------------------------------------------- */

/* What is selected and was asked by NOOP tells of itself, and so should what is watched. Not everybody
 * tells of what is open: without `watch` there is nothing but another sync. */
static bool tells_itself(const struct watch *watch, const struct folder *folder)
{
	struct engine *engine = watch->engine;

	return pool_is_watched(engine->pool, folder->name) || (engine->config.backend->watch &&
		!watch->is_thorough && pool_has_selected(engine->pool, folder->name));
}

static void look_at(struct watch *watch, struct folder *folder)
{
	struct engine *engine = watch->engine;

	if (!watch_is_tracked(folder))
		return;
	if (tells_itself(watch, folder) && watch->is_check) {
		if (!syncer_is_unchanged(folder))
			watch_check(watch, folder);
	} else if (tells_itself(watch, folder) && (!pool_is_watched(engine->pool, folder->name) ||
			!is_doubtful(watch, folder))) {
		return;
	} else if (syncer_has_fresh_status(folder) || !engine->config.backend->status) {
		take_status(watch, folder);
	} else if (watch->names->len < NAMES_MAX) {
		g_ptr_array_add(watch->names, g_strdup(folder->name));
	}
}

static void on_listed(void *user, const GError *error)
{
	struct watch *watch = user;
	g_autoptr(GPtrArray) folders = g_ptr_array_new();
	GHashTableIter iter;
	gpointer value;

	if (error || !watch->is_running) {
		look_end(watch, error);
		return;
	}
	g_ptr_array_set_size(watch->names, 0);
	g_hash_table_iter_init(&iter, watch->engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value))
		g_ptr_array_add(folders, value);
	for (guint i = 0; i < folders->len; i++)
		look_at(watch, g_ptr_array_index(folders, i));
	watch_replan(watch);
	if (watch->names->len > 0)
		ask_for_status(watch);
	else
		look_end(watch, NULL);
}

static void look(struct watch *watch)
{
	int64_t now = clock_monotonic_us();

	if (watch->is_looking) {
		watch->look_again = true;
		return;
	}
	watch->is_looking = true;
	watch->look_again = false;
	watch->is_check = now - watch->check_us >= CHECK_US;
	if (watch->is_check)
		watch->check_us = now;
	g_clear_handle_id(&watch->poll_timer, g_source_remove);
	pool_ask_selected(watch->engine->pool);
	if (!watch->is_check && !watch->is_forced && pool_is_watched(watch->engine->pool, NULL)) {
		look_end(watch, NULL);
		return;
	}
	watch->is_thorough = watch->is_forced;
	watch->is_forced = false;
	listing_refresh(watch->engine->listing, on_listed, watch);
}

void watch_look(struct watch *watch)
{
	watch->is_forced = true;
	if (watch->is_running)
		look(watch);
}

void watch_look_start(struct watch *watch)
{
	arm(watch);
}

void watch_look_stop(struct watch *watch)
{
	g_clear_handle_id(&watch->poll_timer, g_source_remove);
}
