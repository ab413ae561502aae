/* SPDX-License-Identifier: MIT */
/*
 * The sessions of the pool: dialling, being ready, death and what is learnt from it, the next try,
 * and the goodbye. Whoever is refused once is not asked again and again: back-off for all that may
 * pass, nothing at all after a refused login.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/pool_impl.h"

#define POOL_STEADY_US     (10 * G_USEC_PER_SEC)  /* a session that lived so long may be replaced
						     at once */
#define POOL_REST_US       (30 * G_USEC_PER_SEC)  /* no further session after one that failed */
#define POOL_GROW_AGAIN_US (600 * G_USEC_PER_SEC)
#define POOL_STOP_MS       2000u
#define POOL_LET_IN_US      (60 * G_USEC_PER_SEC) /* since a further session logged in */
#define POOL_JUST_LET_IN_US (10 * G_USEC_PER_SEC) /* since the first one did */

unsigned pool_count(const struct pool *pool, enum session_state state)
{
	unsigned count = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		count += ps->state == state;
	}
	return count;
}

void pool_set_state(struct pool *pool, enum engine_state state)
{
	if (pool->is_barred && state != ENGINE_STOPPED)
		state = ENGINE_OFFLINE;
	if (pool->state == state)
		return;
	pool->state = state;
	g_clear_handle_id(&pool->presume_timer, g_source_remove);
	pool->events.state(pool->user, state);
}

void pool_session_free(gpointer data)
{
	struct pool_session *ps = data;

	ps->backend->free(ps->session);
	g_free(ps->folder);
	g_free(ps->idle.folder);
	g_free(ps);
}

static gboolean on_corpses(gpointer user)
{
	struct pool *pool = user;

	pool->corpse_source = 0;
	g_ptr_array_set_size(pool->corpses, 0);
	return G_SOURCE_REMOVE;
}

/* A session may not be freed inside its own callback. */
static void pool_session_remove(struct pool_session *ps)
{
	struct pool *pool = ps->pool;

	g_ptr_array_remove(pool->sessions, ps);
	g_ptr_array_add(pool->corpses, ps);
	pool->losses += !ps->is_spare;
	if (pool->corpse_source == 0)
		pool->corpse_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_corpses, pool, NULL);
}

/* ---- opened ahead of work ---------------------------------------------------------------------- */

static void ahead_uids(void *user, const uint32_t *uids, size_t count)
{
}

static void ahead_done(void *user, const GError *error)
{
	struct pool_session *ps = user;

	pool_done(ps->pool, &ps->ahead, error);
}

static mailfs_ticket ahead_start(struct pool_job *job, struct mailfs_session *session)
{
	struct pool_session *ps = job->session;

	return ps->backend->uids(session, &(struct mailfs_uids_request){
		.folder = job->folder,
		.first = 1,
		.last = 0,
		.uids = ahead_uids,
		.done = ahead_done,
		.user = ps,
	});
}

/* A walk begins on all sessions at once: to open the folder then would take a round trip more. */
static void open_ahead(struct pool_session *ps)
{
	struct pool *pool = ps->pool;

	if (!pool->is_warming || ps->folder || ps->weight > 0 ||
		pool_is_vacated(pool, pool->warm_folder))
		return;
	ps->ahead = (struct pool_job){
		.priority = POOL_SYNC,
		.weight = 1,
		.folder = pool->warm_folder,
		.start = ahead_start,
	};
	pool_start_job(pool, ps, &ps->ahead);
	ps->ahead.folder = NULL; /* it was borrowed for the start */
}

/* ---- what a session tells ---------------------------------------------------------------------- */

static void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct pool_session *ps = user;
	struct pool *pool = ps->pool;

	ps->state = SESSION_READY;
	ps->since_us = ps->quiet_us = clock_monotonic_us();
	ps->is_retiring = pool->is_barred;
	if (pool->is_stopping || pool->is_barred)
		return;
	backoff_reset(&pool->dials);
	pool->wants_rest = false;
	pool->login_not_before_us = ps->since_us + (int64_t)info->login_delay * G_USEC_PER_SEC;
	pool->let_in_until_us = ps->since_us +
		(pool_count(pool, SESSION_READY) > 1 ? POOL_LET_IN_US : POOL_JUST_LET_IN_US);
	if (pool->is_held)
		pool->config.backend->hold(ps->session, true);
	pool_link_apply(pool);
	pool->events.ready(pool->user, info);
	pool_set_state(pool, ENGINE_ONLINE);
	open_ahead(ps);
	pool_schedule(pool);
}

static void on_folder_changed(void *user, const char *folder)
{
	struct pool_session *ps = user;

	ps->pool->events.folder_changed(ps->pool->user, folder);
}

static void on_folder_status(void *user, const struct mailfs_status *status)
{
	struct pool_session *ps = user;

	ps->pool->events.folder_status(ps->pool->user, status);
}

static void on_tree_changed(void *user)
{
	struct pool_session *ps = user;

	ps->pool->events.tree_changed(ps->pool->user);
}

static void on_alert(void *user, const char *text)
{
	struct pool_session *ps = user;
	g_autofree char *line = g_strdup_printf("server says: %s", text);

	log_warn("engine", "%s", line);
	ps->pool->events.reason(ps->pool->user, line);
}

/* ---- death, and the next try ------------------------------------------------------------------- */

static gboolean on_retry(gpointer user)
{
	struct pool *pool = user;

	pool->retry_timer = 0;
	pool->retry_at_us = 0;
	pool_schedule(pool);
	return G_SOURCE_REMOVE;
}

void pool_retry_in(struct pool *pool, unsigned ms)
{
	if (pool->retry_timer != 0)
		g_source_remove(pool->retry_timer);
	pool->retry_at_us = clock_monotonic_us() + (int64_t)ms * 1000;
	pool->retry_timer = g_timeout_add(ms, on_retry, pool);
}

static bool is_code(const GError *error, enum mailfs_error code)
{
	return g_error_matches(error, MAILFS_ERROR, (gint)code);
}

/* Nobody is left. The reason is told before the jobs fail: whoever starts wants to know it, not
 * that we are offline because of it. */
static void note_offline(struct pool *pool, struct backoff *backoff, const GError *error)
{
	bool is_refused = is_code(error, MAILFS_ERROR_LOGIN);
	g_autoptr(GError) offline = NULL;

	pool->is_kickable = !is_code(error, MAILFS_ERROR_LIMIT) &&
		!is_code(error, MAILFS_ERROR_TRY_LATER) && !is_code(error, MAILFS_ERROR_TLS);
	pool->wants_rest = is_code(error, MAILFS_ERROR_LIMIT) || is_code(error, MAILFS_ERROR_TRY_LATER);
	if (!is_refused)
		pool_retry_in(pool, backoff_next_ms(backoff, g_random_int()));
	pool_set_state(pool, is_refused ? ENGINE_LOGIN_REFUSED : ENGINE_OFFLINE);
	pool->events.failed(pool->user, error);
	if (pool->is_stopping)
		return;
	if (!is_refused && !is_code(error, MAILFS_ERROR_IN_USE))
		g_set_error(&offline, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "offline: %s", error->message);
	pool_fail_waiting(pool, offline ? offline : error);
}

static void note_dial_failed(struct pool *pool, const GError *error)
{
	unsigned ready = pool_count(pool, SESSION_READY);
	int64_t now = clock_monotonic_us();

	pool->let_in_until_us = 0;
	if (ready == 0) {
		note_offline(pool, &pool->dials, error);
		return;
	}
	/* The others go on; more is not to be had for now. */
	if (is_code(error, MAILFS_ERROR_LIMIT)) {
		pool->limit = ready;
		pool->grow_at_us = now + POOL_GROW_AGAIN_US;
		log_info("engine", "the server refuses more than %u connections", ready);
	}
	/* A refused password is not tried again by itself, not even for a further session. */
	pool->extra_not_before_us =
		is_code(error, MAILFS_ERROR_LOGIN) ? G_MAXINT64 : now + POOL_REST_US;
}

static void note_session_lost(struct pool *pool, const struct pool_session *ps, const GError *error)
{
	if (pool_count(pool, SESSION_READY) > 0)
		return;
	if (pool_count(pool, SESSION_DIALLING) > 0) {
		pool_set_state(pool, ENGINE_CONNECTING);
		return;
	}
	/* The first one that dies as soon as it lives is replaced at once, no more; but what IDLE was the
	 * end of took its time, and is_mute() counts it. */
	if (clock_monotonic_us() - ps->since_us >= POOL_STEADY_US) {
		backoff_reset(&pool->deaths);
	} else if (ps->was_stuck) {
		log_debug("engine", "the next connection at once");
	} else if (pool->deaths.failures > 0) {
		note_offline(pool, &pool->deaths, error);
		return;
	} else {
		backoff_next_ms(&pool->deaths, 0);
	}
	pool_set_state(pool, ENGINE_CONNECTING);
}

/* Nothing was asked of it, and it would have been closed soon. */
static bool was_idle(const struct pool_session *ps, const GError *error)
{
	return ps->pool->is_exclusive && ps->state == SESSION_READY &&
		is_code(error, MAILFS_ERROR_CONNECTION_LOST) &&
		clock_monotonic_us() >= ps->dying_until_us;
}

static void on_dead(void *user, const GError *error)
{
	struct pool_session *ps = user;
	struct pool *pool = ps->pool;
	enum session_state was = ps->state;

	/* It was through: no loss. */
	if (is_code(error, MAILFS_ERROR_CANCELLED) || was_idle(ps, error)) {
		log_debug("engine", "connection ended: %s", error->message);
		pool_session_remove(ps);
		if (!pool->is_stopping)
			pool_schedule(pool);
		return;
	}
	log_info("engine", "connection ended: %s", error->message);
	pool->events.reason(pool->user, error->message);
	pool_link_judge(pool, ps, error);
	pool_watch_lost(pool, ps);
	pool_session_remove(ps);
	if (pool->is_stopping || pool->is_barred)
		return;
	if (was == SESSION_DIALLING)
		note_dial_failed(pool, error);
	else if (was == SESSION_READY)
		note_session_lost(pool, ps, error);
	pool_schedule(pool);
}

void pool_dial(struct pool *pool)
{
	static const struct mailfs_session_events events = {
		.ready = on_ready,
		.folder_changed = on_folder_changed,
		.folder_status = on_folder_status,
		.tree_changed = on_tree_changed,
		.alert = on_alert,
		.dead = on_dead,
	};
	struct pool_session *ps = g_new0(struct pool_session, 1);
	struct mailfs_backend_config server = *pool->config.server;

	server.want_compress = pool->config.link->is_on;
	pool->last_dial_us = clock_monotonic_us();
	ps->pool = pool;
	ps->backend = pool->config.backend;
	ps->state = SESSION_DIALLING;
	ps->since_us = pool->last_dial_us;
	pace_init(ps);
	g_ptr_array_add(pool->sessions, ps);
	if (pool_count(pool, SESSION_READY) == 0)
		pool_presume_later(pool);
	ps->session = pool->config.backend->open(&server, &events, ps);
}

/* ---- sessions that keep others out ------------------------------------------------------------- */

static struct pool_session *idle_session(const struct pool *pool)
{
	struct pool_session *ps = pool->sessions->len > 0 ? g_ptr_array_index(pool->sessions, 0) : NULL;

	return ps && ps->state == SESSION_READY && ps->weight == 0 ? ps : NULL;
}

static gboolean on_rest(gpointer user)
{
	struct pool *pool = user;
	struct pool_session *ps = idle_session(pool);

	pool->rest_timer = 0;
	if (ps && !pool->is_stopping)
		pool_session_close(ps);
	return G_SOURCE_REMOVE;
}

void pool_rest(struct pool *pool)
{
	if (!pool->is_exclusive)
		return;
	g_clear_handle_id(&pool->rest_timer, g_source_remove);
	if (idle_session(pool))
		pool->rest_timer = g_timeout_add(pool->config.backend->rest_ms, on_rest, pool);
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void stop_finish(struct pool *pool)
{
	g_clear_handle_id(&pool->stop_timer, g_source_remove);
	if (pool->stopped) {
		void (*stopped)(void *) = pool->stopped;

		pool->stopped = NULL;
		stopped(pool->stopped_user);
	}
}

static void on_closed(void *user)
{
	struct pool_session *ps = user;
	struct pool *pool = ps->pool;

	pool_session_remove(ps);
	if (!pool->is_stopping)
		pool_schedule(pool);
	else if (pool->sessions->len == 0)
		stop_finish(pool);
}

void pool_session_close(struct pool_session *ps)
{
	if (ps->state == SESSION_CLOSING)
		return;
	ps->state = SESSION_CLOSING;
	ps->backend->close(ps->session, on_closed, ps);
}

void pool_end_session(struct pool *pool, const struct pool_job *job)
{
	if (job->session)
		pool_session_close(job->session);
}

static gboolean on_stop_timeout(gpointer user)
{
	struct pool *pool = user;

	pool->stop_timer = 0;
	stop_finish(pool);
	return G_SOURCE_REMOVE;
}

void pool_stop(struct pool *pool, void (*stopped)(void *user), void *user)
{
	g_assert(!pool->is_stopping);
	pool->is_stopping = true;
	pool->stopped = stopped;
	pool->stopped_user = user;
	g_clear_handle_id(&pool->retry_timer, g_source_remove);
	pool_schedule(pool); /* fails what waits */
	pool_set_state(pool, ENGINE_STOPPED);
	pool->stop_timer = g_timeout_add(pool->sessions->len == 0 ? 0 : POOL_STOP_MS, on_stop_timeout, pool);
	for (guint i = 0; i < pool->sessions->len; i++)
		pool_session_close(g_ptr_array_index(pool->sessions, i));
}
