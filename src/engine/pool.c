/* SPDX-License-Identifier: MIT */
/*
 * The connections of an account. A session is dialled when work waits, used until it dies, and
 * replaced whole. All decisions are made in pool_run(), from the loop, so that no callback of a
 * job ever comes from inside a call of its owner.
 */
#include "engine/pool.h"

#include "base/clock.h"
#include "base/log.h"

#define POOL_PIPELINE_MAX     10u      /* weight on one session */
#define POOL_SPREAD_WEIGHT    3u       /* from here on another session is worth having */
#define POOL_YIELD_US         500000   /* a job that waits longer stops others from passing it */
#define POOL_KICK_US          2000000  /* work may hasten a retry if the last one is so long ago */
#define POOL_STEADY_US        10000000 /* a session that lived so long may be replaced at once */
#define POOL_GROW_AGAIN_US    (600 * G_USEC_PER_SEC)
#define POOL_STOP_MS          2000u
#define POOL_BACKOFF_MAX_MS   300000u

enum session_state { SESSION_DIALLING, SESSION_READY, SESSION_CLOSING };

struct pool_session {
	struct pool *pool; /* not to be used once it was removed from there */
	const struct mailfs_backend *backend;
	struct mailfs_session *session;
	enum session_state state;
	char *folder; /* selected, or about to be */
	unsigned weight;
	int64_t since_us;
};

struct pool {
	struct pool_config config;
	struct pool_events events;
	void *user;

	GPtrArray *sessions; /* struct pool_session * */
	GQueue waiting[POOL_PRIORITIES];
	enum engine_state state;
	bool is_held;

	unsigned limit; /* connections; shrinks when the server refuses more */
	int64_t grow_at_us;
	int64_t extra_not_before_us; /* no second, third … session before that */
	unsigned failures;
	int64_t last_dial_us;
	int64_t retry_at_us;
	guint retry_timer;
	guint run_source;

	bool is_stopping;
	guint stop_timer;
	void (*stopped)(void *user);
	void *stopped_user;
};

static void pool_schedule(struct pool *pool);

/* ---- sessions ---------------------------------------------------------------------------------- */

static unsigned count_sessions(const struct pool *pool, enum session_state state)
{
	unsigned count = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		count += ps->state == state;
	}
	return count;
}

static void set_state(struct pool *pool, enum engine_state state)
{
	if (pool->state == state)
		return;
	pool->state = state;
	pool->events.state(pool->user, state);
}

static gboolean free_session(gpointer data)
{
	struct pool_session *ps = data;

	ps->backend->free(ps->session);
	g_free(ps->folder);
	g_free(ps);
	return G_SOURCE_REMOVE;
}

/* A session may not be freed inside its own callback. */
static void session_remove(struct pool_session *ps)
{
	g_ptr_array_remove(ps->pool->sessions, ps);
	g_idle_add_full(G_PRIORITY_DEFAULT, free_session, ps, NULL);
}

static void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct pool_session *ps = user;
	struct pool *pool = ps->pool;

	ps->state = SESSION_READY;
	ps->since_us = clock_monotonic_us();
	pool->failures = 0;
	pool->retry_at_us = 0;
	if (pool->is_held)
		pool->config.backend->hold(ps->session, true);
	set_state(pool, ENGINE_ONLINE);
	pool->events.ready(pool->user, info);
	pool_schedule(pool);
}

static void on_folder_changed(void *user, const char *folder)
{
	struct pool_session *ps = user;

	ps->pool->events.folder_changed(ps->pool->user, folder);
}

static void on_alert(void *user, const char *text)
{
	struct pool_session *ps = user;
	g_autofree char *line = g_strdup_printf("server says: %s", text);

	log_warn("engine", "%s", line);
	ps->pool->events.reason(ps->pool->user, line);
}

static void fail_waiting(struct pool *pool, const GError *error)
{
	for (unsigned p = 0; p < POOL_PRIORITIES; p++) {
		/* Only those that wait now: a failed job may submit another. */
		for (guint left = g_queue_get_length(&pool->waiting[p]); left > 0; left--) {
			struct pool_job *job = g_queue_pop_head(&pool->waiting[p]);

			if (!job)
				break;
			job->is_queued = false;
			job->fail(job, error);
		}
	}
}

static gboolean on_retry(gpointer user)
{
	struct pool *pool = user;

	pool->retry_timer = 0;
	pool->retry_at_us = 0;
	pool_schedule(pool);
	return G_SOURCE_REMOVE;
}

static void retry_in(struct pool *pool, unsigned ms)
{
	if (pool->retry_timer != 0)
		g_source_remove(pool->retry_timer);
	pool->retry_at_us = clock_monotonic_us() + (int64_t)ms * 1000;
	pool->retry_timer = g_timeout_add(ms, on_retry, pool);
}

/* 1 s, doubling, at most 5 min, with a quarter of jitter either way. */
static unsigned next_backoff_ms(struct pool *pool)
{
	unsigned ms = 1000u << MIN(pool->failures, 9u);

	pool->failures++;
	ms = MIN(ms, POOL_BACKOFF_MAX_MS);
	return ms - ms / 4 + g_random_int() % (ms / 2);
}

static void note_offline(struct pool *pool, const GError *error)
{
	g_autoptr(GError) offline = NULL;

	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_LOGIN)) {
		set_state(pool, ENGINE_LOGIN_REFUSED);
		fail_waiting(pool, error);
		pool->events.failed(pool->user, error);
		return;
	}
	set_state(pool, ENGINE_OFFLINE);
	retry_in(pool, next_backoff_ms(pool));
	g_set_error(&offline, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "offline: %s", error->message);
	fail_waiting(pool, offline);
	pool->events.failed(pool->user, error);
}

static void note_dial_failed(struct pool *pool, const GError *error)
{
	unsigned ready = count_sessions(pool, SESSION_READY);
	int64_t now = clock_monotonic_us();

	if (ready == 0) {
		if (count_sessions(pool, SESSION_DIALLING) == 0)
			note_offline(pool, error);
		return;
	}
	/* The others go on; more is not to be had for now. */
	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_LIMIT)) {
		pool->limit = ready;
		pool->grow_at_us = now + POOL_GROW_AGAIN_US;
		log_info("engine", "the server refuses more than %u connections", ready);
	}
	pool->extra_not_before_us = now + 30 * G_USEC_PER_SEC;
}

static void note_session_lost(struct pool *pool, const struct pool_session *ps, const GError *error)
{
	if (count_sessions(pool, SESSION_READY) + count_sessions(pool, SESSION_DIALLING) > 0)
		return;
	if (clock_monotonic_us() - ps->since_us < POOL_STEADY_US) {
		/* Dies as soon as it lives: this is no way to go on without a pause. */
		if (pool->failures++ > 2) {
			note_offline(pool, error);
			return;
		}
	}
	set_state(pool, ENGINE_CONNECTING);
}

static void on_dead(void *user, const GError *error)
{
	struct pool_session *ps = user;
	struct pool *pool = ps->pool;
	enum session_state was = ps->state;

	log_info("engine", "connection ended: %s", error->message);
	pool->events.reason(pool->user, error->message);
	session_remove(ps);
	if (pool->is_stopping)
		return;
	if (was == SESSION_DIALLING)
		note_dial_failed(pool, error);
	else if (was == SESSION_READY)
		note_session_lost(pool, ps, error);
	pool_schedule(pool);
}

static void dial(struct pool *pool)
{
	static const struct mailfs_session_events events = {
		.ready = on_ready,
		.folder_changed = on_folder_changed,
		.alert = on_alert,
		.dead = on_dead,
	};
	struct pool_session *ps = g_new0(struct pool_session, 1);

	pool->last_dial_us = clock_monotonic_us();
	ps->pool = pool;
	ps->backend = pool->config.backend;
	ps->state = SESSION_DIALLING;
	ps->since_us = pool->last_dial_us;
	g_ptr_array_add(pool->sessions, ps);
	ps->session = pool->config.backend->open(pool->config.server, &events, ps);
}

/* ---- which job goes where ---------------------------------------------------------------------- */

static bool may_dial(struct pool *pool)
{
	unsigned ready = count_sessions(pool, SESSION_READY);
	int64_t now = clock_monotonic_us();

	if (count_sessions(pool, SESSION_DIALLING) > 0 || pool->is_stopping)
		return false;
	if (ready == 0)
		return pool->retry_at_us == 0 && pool->state != ENGINE_LOGIN_REFUSED;
	if (pool->limit < pool->config.connections && now >= pool->grow_at_us)
		pool->limit = pool->config.connections;
	return pool->sessions->len < pool->limit && now >= pool->extra_not_before_us;
}

static bool fits(const struct pool_session *ps, const struct pool_job *job)
{
	if (ps->state != SESSION_READY)
		return false;
	if (ps->weight == 0)
		return true;
	return ps->weight + job->weight <= POOL_PIPELINE_MAX &&
		(!job->folder || g_strcmp0(ps->folder, job->folder) == 0);
}

/* The least busy session that has the folder selected, or is idle. */
static struct pool_session *choose(const struct pool *pool, const struct pool_job *job)
{
	struct pool_session *best = NULL;
	unsigned best_cost = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);
		unsigned cost = ps->weight * 2;

		if (!fits(ps, job))
			continue;
		if (job->folder && g_strcmp0(ps->folder, job->folder) != 0)
			cost += 2 * POOL_SPREAD_WEIGHT - 1; /* a SELECT costs a round trip */
		if (!best || cost < best_cost) {
			best = ps;
			best_cost = cost;
		}
	}
	return best;
}

static void start_job(struct pool *pool, struct pool_session *ps, struct pool_job *job)
{
	g_queue_remove(&pool->waiting[job->priority], job);
	job->is_queued = false;
	job->session = ps;
	ps->weight += job->weight;
	if (job->folder && g_strcmp0(ps->folder, job->folder) != 0) {
		g_free(ps->folder);
		ps->folder = g_strdup(job->folder);
	}
	job->ticket = job->start(job, ps->session);
}

/* Starts what can be started; true when a job would gain from one more session. */
static bool place_waiting(struct pool *pool)
{
	int64_t now = clock_monotonic_us();
	bool want_more = false;

	for (unsigned p = 0; p < POOL_PRIORITIES; p++) {
		bool is_blocked = false;

		for (GList *at = pool->waiting[p].head, *next; at && !is_blocked; at = next) {
			struct pool_job *job = at->data;
			struct pool_session *ps = choose(pool, job);

			next = at->next;
			if (!ps) {
				want_more = true;
				/* Somebody who waits long for another folder must get a session some day. */
				is_blocked = now - job->since_us > POOL_YIELD_US;
				continue;
			}
			if (ps->weight >= POOL_SPREAD_WEIGHT)
				want_more = true;
			start_job(pool, ps, job);
		}
		if (is_blocked)
			break;
	}
	return want_more;
}

static void fail_offline(struct pool *pool)
{
	g_autoptr(GError) error = NULL;

	if (pool_waiting(pool) == 0)
		return;
	if (pool->state == ENGINE_LOGIN_REFUSED)
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_LOGIN, "the server refused the login");
	else
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "offline");
	/* Work is a reason to look again, but not at every request. */
	if (pool->state == ENGINE_OFFLINE && count_sessions(pool, SESSION_DIALLING) == 0 &&
		clock_monotonic_us() - pool->last_dial_us > POOL_KICK_US)
		retry_in(pool, 0);
	fail_waiting(pool, error);
}

static gboolean pool_run(gpointer user)
{
	struct pool *pool = user;
	bool want_more;

	pool->run_source = 0;
	if (pool->is_stopping)
		return G_SOURCE_REMOVE;
	want_more = place_waiting(pool);
	if (count_sessions(pool, SESSION_READY) == 0)
		want_more = true;
	if (want_more && may_dial(pool))
		dial(pool);
	if (pool->state == ENGINE_OFFLINE || pool->state == ENGINE_LOGIN_REFUSED)
		fail_offline(pool);
	return G_SOURCE_REMOVE;
}

static void pool_schedule(struct pool *pool)
{
	if (pool->run_source == 0)
		pool->run_source = g_idle_add_full(G_PRIORITY_DEFAULT, pool_run, pool, NULL);
}

/* ---- for the engine ---------------------------------------------------------------------------- */

struct pool *pool_new(const struct pool_config *config, const struct pool_events *events, void *user)
{
	struct pool *pool = g_new0(struct pool, 1);

	pool->config = *config;
	pool->events = *events;
	pool->user = user;
	pool->limit = config->connections;
	pool->sessions = g_ptr_array_new();
	pool->state = ENGINE_CONNECTING;
	for (unsigned p = 0; p < POOL_PRIORITIES; p++)
		g_queue_init(&pool->waiting[p]);
	return pool;
}

void pool_wake(struct pool *pool)
{
	pool->failures = 0;
	pool->extra_not_before_us = 0;
	if (pool->retry_timer != 0)
		g_source_remove(pool->retry_timer);
	pool->retry_timer = 0;
	pool->retry_at_us = 0;
	if (pool->state == ENGINE_LOGIN_REFUSED || pool->state == ENGINE_OFFLINE)
		set_state(pool, ENGINE_CONNECTING);
	pool_schedule(pool);
}

void pool_submit(struct pool *pool, struct pool_job *job)
{
	g_assert(!job->is_queued && !job->session);
	job->since_us = clock_monotonic_us();
	job->is_queued = true;
	g_queue_push_tail(&pool->waiting[job->priority], job);
	pool_schedule(pool);
}

void pool_done(struct pool *pool, struct pool_job *job)
{
	struct pool_session *ps = job->session;

	job->session = NULL;
	job->ticket = 0;
	ps->weight -= job->weight;
	pool_schedule(pool);
}

bool pool_cancel(struct pool *pool, struct pool_job *job)
{
	if (job->is_queued) {
		g_queue_remove(&pool->waiting[job->priority], job);
		job->is_queued = false;
		return true;
	}
	if (job->session)
		pool->config.backend->cancel(job->session->session, job->ticket);
	return false;
}

void pool_hold(struct pool *pool, bool is_held)
{
	if (pool->is_held == is_held)
		return;
	pool->is_held = is_held;
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY)
			pool->config.backend->hold(ps->session, is_held);
	}
}

enum engine_state pool_state(const struct pool *pool)
{
	return pool->state;
}

unsigned pool_sessions(const struct pool *pool)
{
	return count_sessions(pool, SESSION_READY);
}

unsigned pool_sessions_max(const struct pool *pool)
{
	return pool->limit;
}

unsigned pool_waiting(const struct pool *pool)
{
	unsigned count = 0;

	for (unsigned p = 0; p < POOL_PRIORITIES; p++)
		count += g_queue_get_length((GQueue *)&pool->waiting[p]);
	return count;
}

unsigned pool_retry_in_ms(const struct pool *pool)
{
	int64_t left = pool->retry_at_us - clock_monotonic_us();

	return pool->retry_at_us != 0 && left > 0 ? (unsigned)(left / 1000) : 0;
}

/* ---- the end ----------------------------------------------------------------------------------- */

static void stop_finish(struct pool *pool)
{
	if (pool->stop_timer != 0)
		g_source_remove(pool->stop_timer);
	pool->stop_timer = 0;
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

	session_remove(ps);
	if (pool->sessions->len == 0)
		stop_finish(pool);
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
	g_autoptr(GError) error = NULL;

	pool->is_stopping = true;
	pool->stopped = stopped;
	pool->stopped_user = user;
	if (pool->retry_timer != 0)
		g_source_remove(pool->retry_timer);
	pool->retry_timer = 0;
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the mount is ending");
	fail_waiting(pool, error);
	set_state(pool, ENGINE_STOPPED);
	pool->stop_timer = g_timeout_add(pool->sessions->len == 0 ? 0 : POOL_STOP_MS, on_stop_timeout, pool);
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		ps->state = SESSION_CLOSING;
		pool->config.backend->close(ps->session, on_closed, ps);
	}
}

void pool_free(struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		pool->config.backend->free(ps->session);
		g_free(ps->folder);
		g_free(ps);
	}
	g_ptr_array_unref(pool->sessions);
	if (pool->run_source != 0)
		g_source_remove(pool->run_source);
	if (pool->retry_timer != 0)
		g_source_remove(pool->retry_timer);
	if (pool->stop_timer != 0)
		g_source_remove(pool->stop_timer);
	g_free(pool);
}
