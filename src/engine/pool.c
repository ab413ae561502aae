/* SPDX-License-Identifier: MIT */
/*
 * The connections of an account. The first session is kept up at all times, further ones are
 * dialled when work waits; each is used until it dies, and replaced whole. All decisions are made
 * in pool_run(), from the loop, so that no callback of a job ever comes from inside a call of its
 * owner.
 */
#include "engine/pool.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"

#define POOL_PIPELINE_MAX  10u                     /* weight on one session */
#define POOL_SPREAD_WEIGHT 3u                      /* from here on another session is worth it */
#define POOL_LOOK_MAX      64u                     /* jobs that fit nowhere, looked at in one run */
#define POOL_LOOK_AGAIN_MS 250u                    /* while such jobs wait */
#define POOL_KICK_US       (15 * G_USEC_PER_SEC)   /* work may hasten a retry if the last one is so
						      long ago */
#define POOL_STEADY_US     (10 * G_USEC_PER_SEC)   /* a session that lived so long may be replaced
						      at once */
#define POOL_DYING_US      (1 * G_USEC_PER_SEC)    /* after a lost request its session rests */
#define POOL_REST_US       (30 * G_USEC_PER_SEC)   /* no further session after one that failed */
#define POOL_GROW_AGAIN_US (600 * G_USEC_PER_SEC)
#define POOL_STOP_MS       2000u

/* A job that waits so long goes to any session, also to one that is busy elsewhere or full: the
 * session does first what came first, so nothing waits for ever. */
static const int64_t patience_us[POOL_PRIORITIES] = {
	[POOL_INTERACTIVE] = 500000,
	[POOL_SYNC] = 2 * G_USEC_PER_SEC,
	[POOL_BACKGROUND] = 10 * G_USEC_PER_SEC,
};

enum session_state { SESSION_DIALLING, SESSION_READY, SESSION_CLOSING };

struct pool_session {
	struct pool *pool; /* not to be used once it was removed from there */
	const struct mailfs_backend *backend;
	struct mailfs_session *session;
	enum session_state state;
	char *folder; /* selected, or about to be */
	unsigned weight;
	int64_t since_us;
	int64_t dying_until_us; /* a request of it was lost: its `dead` is on the way */
};

struct pool {
	struct pool_config config;
	struct pool_events events;
	void *user;

	GPtrArray *sessions; /* struct pool_session * */
	GPtrArray *corpses;  /* the same, to be freed from the loop */
	GQueue waiting[POOL_PRIORITIES];
	enum engine_state state;
	bool is_held;

	unsigned limit; /* connections; shrinks when the server refuses more */
	int64_t grow_at_us;
	int64_t extra_not_before_us; /* no second, third … session before that */
	struct backoff dials;  /* that failed in a row */
	struct backoff deaths; /* of sessions that hardly lived, in a row */
	bool is_kickable;      /* the last failure was none that wants to be left alone */
	unsigned losses;
	int64_t last_dial_us;
	int64_t retry_at_us;
	guint retry_timer;
	guint run_source, corpse_source, look_timer;

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

static void session_free(gpointer data)
{
	struct pool_session *ps = data;

	ps->backend->free(ps->session);
	g_free(ps->folder);
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
static void session_remove(struct pool_session *ps)
{
	struct pool *pool = ps->pool;

	g_ptr_array_remove(pool->sessions, ps);
	g_ptr_array_add(pool->corpses, ps);
	pool->losses++;
	if (pool->corpse_source == 0)
		pool->corpse_source = g_idle_add_full(G_PRIORITY_DEFAULT, on_corpses, pool, NULL);
}

static void on_ready(void *user, const struct mailfs_server_info *info)
{
	struct pool_session *ps = user;
	struct pool *pool = ps->pool;

	ps->state = SESSION_READY;
	ps->since_us = clock_monotonic_us();
	if (pool->is_stopping)
		return;
	backoff_reset(&pool->dials);
	if (pool->is_held)
		pool->config.backend->hold(ps->session, true);
	pool->events.ready(pool->user, info);
	set_state(pool, ENGINE_ONLINE);
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
			GList *link = g_queue_pop_head_link(&pool->waiting[p]);
			struct pool_job *job;

			if (!link)
				break;
			job = link->data;
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
	if (!is_refused)
		retry_in(pool, backoff_next_ms(backoff, g_random_int()));
	set_state(pool, is_refused ? ENGINE_LOGIN_REFUSED : ENGINE_OFFLINE);
	pool->events.failed(pool->user, error);
	if (pool->is_stopping)
		return;
	if (!is_refused)
		g_set_error(&offline, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "offline: %s", error->message);
	fail_waiting(pool, is_refused ? error : offline);
}

static void note_dial_failed(struct pool *pool, const GError *error)
{
	unsigned ready = count_sessions(pool, SESSION_READY);
	int64_t now = clock_monotonic_us();

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
	if (count_sessions(pool, SESSION_READY) > 0)
		return;
	if (count_sessions(pool, SESSION_DIALLING) > 0) {
		set_state(pool, ENGINE_CONNECTING);
		return;
	}
	/* The first one that dies as soon as it lives is replaced at once, no more. */
	if (clock_monotonic_us() - ps->since_us >= POOL_STEADY_US) {
		backoff_reset(&pool->deaths);
	} else if (pool->deaths.failures > 0) {
		note_offline(pool, &pool->deaths, error);
		return;
	} else {
		backoff_next_ms(&pool->deaths, 0);
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
	if (ps->weight == 0)
		return true;
	return ps->weight + job->weight <= POOL_PIPELINE_MAX &&
		(!job->folder || g_strcmp0(ps->folder, job->folder) == 0);
}

/* A request that ended with the connection comes before the session's `dead`. */
static bool is_usable(const struct pool_session *ps, int64_t now)
{
	return ps->state == SESSION_READY && now >= ps->dying_until_us;
}

/* The least busy session that has the folder selected, or is idle, or any if the job waited. */
static struct pool_session *choose(const struct pool *pool, const struct pool_job *job, int64_t now)
{
	bool is_patient = now - job->since_us < patience_us[job->priority];
	struct pool_session *best = NULL;
	unsigned best_cost = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);
		unsigned cost = ps->weight * 2;

		if (!is_usable(ps, now) || (is_patient ? !fits(ps, job) : ps->weight > POOL_PIPELINE_MAX))
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
	g_queue_unlink(&pool->waiting[job->priority], &job->link);
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
static bool place_queue(struct pool *pool, GQueue *queue, int64_t now)
{
	bool want_more = false;
	unsigned misfits = 0;

	/* Those behind many that fit nowhere are not looked at: a long queue costs no more. */
	for (GList *at = queue->head, *next; at && misfits < POOL_LOOK_MAX; at = next) {
		struct pool_job *job = at->data;
		struct pool_session *ps = choose(pool, job, now);

		next = at->next;
		if (!ps) {
			misfits++;
			want_more = true;
			continue;
		}
		if (ps->weight >= POOL_SPREAD_WEIGHT)
			want_more = true;
		start_job(pool, ps, job);
	}
	return want_more;
}

static bool place_waiting(struct pool *pool)
{
	int64_t now = clock_monotonic_us();
	bool want_more = false;

	for (unsigned p = 0; p < POOL_PRIORITIES; p++)
		want_more |= place_queue(pool, &pool->waiting[p], now);
	return want_more;
}

static gboolean on_look_again(gpointer user)
{
	struct pool *pool = user;

	pool->look_timer = 0;
	pool_schedule(pool);
	return G_SOURCE_REMOVE;
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
		pool->is_kickable && clock_monotonic_us() - pool->last_dial_us > POOL_KICK_US)
		retry_in(pool, 0);
	fail_waiting(pool, error);
}

static void fail_stopped(struct pool *pool)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the mount is ending");

	fail_waiting(pool, error);
}

static gboolean pool_run(gpointer user)
{
	struct pool *pool = user;
	bool want_more;

	pool->run_source = 0;
	if (pool->is_stopping) {
		fail_stopped(pool);
		return G_SOURCE_REMOVE;
	}
	want_more = place_waiting(pool);
	if (count_sessions(pool, SESSION_READY) == 0)
		want_more = true;
	if (want_more && may_dial(pool))
		dial(pool);
	if (pool->state == ENGINE_OFFLINE || pool->state == ENGINE_LOGIN_REFUSED)
		fail_offline(pool);
	if (pool_waiting(pool) > 0 && pool->look_timer == 0)
		pool->look_timer = g_timeout_add(POOL_LOOK_AGAIN_MS, on_look_again, pool);
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
	pool->corpses = g_ptr_array_new_with_free_func(session_free);
	pool->state = ENGINE_CONNECTING;
	for (unsigned p = 0; p < POOL_PRIORITIES; p++)
		g_queue_init(&pool->waiting[p]);
	return pool;
}

void pool_wake(struct pool *pool)
{
	if (pool->is_stopping)
		return;
	backoff_reset(&pool->dials);
	backoff_reset(&pool->deaths);
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
	job->link = (GList){ .data = job };
	g_queue_push_tail_link(&pool->waiting[job->priority], &job->link);
	pool_schedule(pool);
}

void pool_done(struct pool *pool, struct pool_job *job, const GError *error)
{
	struct pool_session *ps = job->session;

	if (is_code(error, MAILFS_ERROR_CONNECTION_LOST))
		ps->dying_until_us = clock_monotonic_us() + POOL_DYING_US;
	job->session = NULL;
	job->ticket = 0;
	ps->weight -= job->weight;
	pool_schedule(pool);
}

bool pool_cancel(struct pool *pool, struct pool_job *job)
{
	if (job->is_queued) {
		g_queue_unlink(&pool->waiting[job->priority], &job->link);
		job->is_queued = false;
		return true;
	}
	if (job->session)
		pool->config.backend->cancel(job->session->session, job->ticket);
	return false;
}

void pool_hasten(struct pool *pool, struct pool_job *job)
{
	if (!job->is_queued || job->priority == POOL_INTERACTIVE)
		return;
	g_queue_unlink(&pool->waiting[job->priority], &job->link);
	job->priority = POOL_INTERACTIVE;
	g_queue_push_tail_link(&pool->waiting[job->priority], &job->link);
	pool_schedule(pool);
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

bool pool_has_selected(const struct pool *pool, const char *folder)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY && g_strcmp0(ps->folder, folder) == 0)
			return true;
	}
	return false;
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

unsigned pool_losses(const struct pool *pool)
{
	return pool->losses;
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
	g_assert(!pool->is_stopping);
	pool->is_stopping = true;
	pool->stopped = stopped;
	pool->stopped_user = user;
	if (pool->retry_timer != 0)
		g_source_remove(pool->retry_timer);
	pool->retry_timer = 0;
	pool_schedule(pool); /* fails what waits */
	set_state(pool, ENGINE_STOPPED);
	pool->stop_timer = g_timeout_add(pool->sessions->len == 0 ? 0 : POOL_STOP_MS, on_stop_timeout, pool);
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		ps->state = SESSION_CLOSING;
		pool->config.backend->close(ps->session, on_closed, ps);
	}
}

static void clear_source(guint *source)
{
	if (*source != 0)
		g_source_remove(*source);
	*source = 0;
}

void pool_free(struct pool *pool)
{
	g_ptr_array_set_free_func(pool->sessions, session_free);
	g_ptr_array_unref(pool->sessions);
	g_ptr_array_unref(pool->corpses);
	clear_source(&pool->run_source);
	clear_source(&pool->corpse_source);
	clear_source(&pool->look_timer);
	clear_source(&pool->retry_timer);
	clear_source(&pool->stop_timer);
	g_free(pool);
}
