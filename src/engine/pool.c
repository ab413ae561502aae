/* SPDX-License-Identifier: MIT */
/*
 * The connections of an account: which job goes where. The first session is kept up at all times,
 * further ones are dialled when work waits; each is used until it dies, and replaced whole
 * (pool_session.c). All decisions are made in pool_run(), from the loop, so that no callback of a
 * job ever comes from inside a call of its owner.
 */
#include "base/clock.h"
#include "engine/pool_impl.h"

#define POOL_SPREAD_WEIGHT 3u                    /* from here on another session is worth it */
#define POOL_LOOK_MAX      64u                   /* jobs that fit nowhere, looked at in one run */
#define POOL_LOOK_AGAIN_MS 250u                  /* while such jobs wait */
/* Work may hasten a retry if the last one is so long ago. */
#define POOL_KICK_US        (4 * G_USEC_PER_SEC)
#define POOL_DYING_US       (1 * G_USEC_PER_SEC)  /* after a lost request its session rests */
#define POOL_DIAL_US        (3 * G_USEC_PER_SEC)  /* so long a new session is worth waiting for */

/* A job that waits so long goes to any session, also to one that is busy elsewhere or full: the
 * session does first what came first, so nothing waits for ever. */
static const int64_t patience_us[POOL_PRIORITIES] = {
	[POOL_INTERACTIVE] = 500000,
	[POOL_SYNC] = 2 * G_USEC_PER_SEC,
	[POOL_BACKGROUND] = 10 * G_USEC_PER_SEC,
};

/* ---- which job goes where ---------------------------------------------------------------------- */

bool pool_may_dial(struct pool *pool)
{
	unsigned ready = pool_count(pool, SESSION_READY);
	int64_t now = clock_monotonic_us();

	if (pool->is_stopping || pool->is_barred)
		return false;
	/* One that is closing keeps the next one out. */
	if (pool->is_exclusive && (pool->sessions->len > 0 || now < pool->login_not_before_us))
		return false;
	/* The first one shows whether the server lets us in at all. */
	if (ready == 0)
		return pool->retry_at_us == 0 && pool->state != ENGINE_LOGIN_REFUSED &&
			pool_count(pool, SESSION_DIALLING) == 0;
	/* One login at a time, unless one was let in lately: a password that was changed meanwhile
	 * must not be tried three times at once (SEC-19). */
	if (pool_count(pool, SESSION_DIALLING) > 0 && now >= pool->let_in_until_us)
		return false;
	if (pool->limit < pool->config.connections && now >= pool->grow_at_us)
		pool->limit = pool->config.connections;
	return pool->sessions->len < pool->limit && now >= pool->extra_not_before_us;
}

static bool fits(const struct pool_session *ps, const struct pool_job *job)
{
	if (ps->weight == 0)
		return true;
	return ps->weight + job->weight <= POOL_WEIGHT_MAX &&
		(!job->folder || g_strcmp0(ps->folder, job->folder) == 0);
}

/* A request that ended with the connection comes before the session's `dead`. */
bool pool_session_is_usable(const struct pool_session *ps, int64_t now)
{
	return ps->state == SESSION_READY && !ps->is_retiring && now >= ps->dying_until_us;
}

static int64_t patience(const struct pool *pool, const struct pool_job *job)
{
	int64_t us = patience_us[job->priority];

	return pool_count(pool, SESSION_DIALLING) > 0 ? MAX(us, POOL_DIAL_US) : us;
}

/* The least busy session that has the folder selected, or is idle, or any if the job waited. */
static struct pool_session *choose(const struct pool *pool, const struct pool_job *job, int64_t now)
{
	bool is_patient = now - job->since_us < patience(pool, job);
	struct pool_session *best = NULL;
	unsigned best_cost = 0;

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);
		unsigned cost = pace_cost(ps, job);

		if (!pool_session_is_usable(ps, now) || !pace_allows(ps, job) ||
			(is_patient && pool_watch_is_stuck(ps, now)))
			continue;
		if (is_patient ? !fits(ps, job) : ps->weight > POOL_WEIGHT_MAX)
			continue;
		if (job->folder && g_strcmp0(ps->folder, job->folder) != 0)
			cost += 2 * POOL_SPREAD_WEIGHT - 1; /* a SELECT costs a round trip */
		if (ps->idle.ticket != 0)
			cost++; /* so does leaving IDLE */
		if (!best || cost < best_cost) {
			best = ps;
			best_cost = cost;
		}
	}
	return best;
}

void pool_start_job(struct pool *pool, struct pool_session *ps, struct pool_job *job)
{
	job->session = ps;
	ps->weight += job->weight;
	pace_started(ps, job);
	if (job->folder && g_strcmp0(ps->folder, job->folder) != 0) {
		pool_watch_leaves(ps);
		g_free(ps->folder);
		ps->folder = g_strdup(job->folder);
	}
	pool_meter_begin(pool, job);
	job->ticket = job->start(job, ps->session);
}

/* Starts what can be started; how many jobs would gain from one more session. */
static unsigned place_queue(struct pool *pool, GQueue *queue, int64_t now)
{
	unsigned want_more = 0;
	unsigned misfits = 0;

	/* Those behind many that fit nowhere are not looked at: a long queue costs no more. */
	for (GList *at = queue->head, *next; at && misfits < POOL_LOOK_MAX; at = next) {
		struct pool_job *job = at->data;
		struct pool_session *ps = choose(pool, job, now);

		next = at->next;
		if (!ps) {
			misfits++;
			want_more++;
			continue;
		}
		if (pool_is_vacated(pool, job->folder) || !pool_vacate(pool, ps, job)) {
			misfits++;
			continue;
		}
		if (ps->weight >= POOL_SPREAD_WEIGHT)
			want_more++;
		g_queue_unlink(queue, &job->link);
		job->is_queued = false;
		pool_start_job(pool, ps, job);
	}
	return want_more;
}

static unsigned place_waiting(struct pool *pool)
{
	int64_t now = clock_monotonic_us();
	unsigned want_more = 0;

	for (unsigned p = 0; p < POOL_PRIORITIES; p++)
		want_more += place_queue(pool, &pool->waiting[p], now);
	return want_more;
}

/* ---- who waits in vain ------------------------------------------------------------------------- */

void pool_fail_waiting(struct pool *pool, const GError *error)
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
			pool_vacated(pool, job);
			job->fail(job, error);
		}
	}
}

static void fail_offline(struct pool *pool)
{
	g_autoptr(GError) error = NULL;

	if (pool_waiting(pool) == 0)
		return;
	if (pool->state == ENGINE_LOGIN_REFUSED)
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_LOGIN, "the server refused the login");
	else
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "offline%s",
			pool->is_barred ? " by request" : "");
	/* Work is a reason to look again, but not at every request. */
	if (pool->state == ENGINE_OFFLINE && !pool->is_barred &&
		pool_count(pool, SESSION_DIALLING) == 0 &&
		pool->is_kickable && clock_monotonic_us() - pool->last_dial_us > POOL_KICK_US)
		pool_retry_in(pool, 0);
	pool_fail_waiting(pool, error);
}

static void fail_stopped(struct pool *pool)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the mount is ending");

	pool_fail_waiting(pool, error);
}

/* ---- the run ----------------------------------------------------------------------------------- */

static gboolean on_look_again(gpointer user)
{
	struct pool *pool = user;

	pool->look_timer = 0;
	pool_schedule(pool);
	return G_SOURCE_REMOVE;
}

static gboolean pool_run(gpointer user)
{
	struct pool *pool = user;
	unsigned want_more;

	pool->run_source = 0;
	if (pool->is_stopping) {
		fail_stopped(pool);
		return G_SOURCE_REMOVE;
	}
	pool_retire(pool);
	pool_bar_retire(pool);
	want_more = place_waiting(pool);
	if (pool_count(pool, SESSION_READY) == 0 &&
		(!pool->is_exclusive || pool_waiting(pool) > 0 || pool->state != ENGINE_ONLINE))
		want_more = 1;
	if (pool->is_warming)
		want_more = pool->config.connections;
	while (want_more > pool_count(pool, SESSION_DIALLING) && pool_may_dial(pool))
		pool_dial(pool);
	pool->is_warming &= pool_count(pool, SESSION_DIALLING) > 0;
	pool_watch_run(pool);
	if (pool->state == ENGINE_OFFLINE || pool->state == ENGINE_LOGIN_REFUSED)
		fail_offline(pool);
	pool_rest(pool);
	if (pool_waiting(pool) > 0 && pool->look_timer == 0)
		pool->look_timer = g_timeout_add(POOL_LOOK_AGAIN_MS, on_look_again, pool);
	return G_SOURCE_REMOVE;
}

void pool_schedule(struct pool *pool)
{
	if (pool->run_source == 0)
		pool->run_source = g_idle_add_full(G_PRIORITY_DEFAULT, pool_run, pool, NULL);
}

/* ---- jobs -------------------------------------------------------------------------------------- */

void pool_submit(struct pool *pool, struct pool_job *job)
{
	g_assert(!job->is_queued && !job->session);
	pool_notice_sleep(pool);
	job->since_us = clock_monotonic_us();
	job->is_queued = true;
	job->link = (GList){ .data = job };
	g_queue_push_tail_link(&pool->waiting[job->priority], &job->link);
	pool_schedule(pool);
}

void pool_done(struct pool *pool, struct pool_job *job, const GError *error)
{
	struct pool_session *ps = job->session;

	if (g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST))
		ps->dying_until_us = clock_monotonic_us() + POOL_DYING_US;
	job->session = NULL;
	job->ticket = 0;
	ps->weight -= job->weight;
	ps->quiet_us = clock_monotonic_us();
	pool_meter_end(pool, job);
	pace_ended(ps, job, !error);
	pool_schedule(pool);
}

bool pool_cancel(struct pool *pool, struct pool_job *job)
{
	if (job->is_queued) {
		g_queue_unlink(&pool->waiting[job->priority], &job->link);
		job->is_queued = false;
		pool_vacated(pool, job);
		return true;
	}
	if (job->session)
		pool->config.backend->cancel(job->session->session, job->ticket);
	return false;
}

void pool_warm(struct pool *pool, const char *folder)
{
	/* A maildrop has one session at a time, and is locked by it. */
	if (pool->is_exclusive || pool->sessions->len >= pool->limit)
		return;
	g_free(pool->warm_folder);
	pool->warm_folder = g_strdup(folder);
	pool->is_warming = true;
	pool_schedule(pool);
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

/* ---- life -------------------------------------------------------------------------------------- */

struct pool *pool_new(const struct pool_config *config, const struct pool_events *events, void *user)
{
	struct pool *pool = g_new0(struct pool, 1);

	pool->config = *config;
	pool->events = *events;
	pool->user = user;
	pool->limit = config->connections;
	pool->is_exclusive = (config->backend->traits & MAILFS_TRAIT_EXCLUSIVE) != 0;
	pool->sessions = g_ptr_array_new();
	pool->corpses = g_ptr_array_new_with_free_func(pool_session_free);
	pool->state = ENGINE_CONNECTING;
	for (unsigned p = 0; p < POOL_PRIORITIES; p++)
		g_queue_init(&pool->waiting[p]);
	pool_watch_init(pool);
	return pool;
}

void pool_wake(struct pool *pool)
{
	if (pool->is_stopping || pool->is_barred)
		return;
	if (pool_count(pool, SESSION_READY) == 0)
		pool_drop_deaf(pool);
	backoff_reset(&pool->dials);
	backoff_reset(&pool->deaths);
	pool->extra_not_before_us = 0;
	g_clear_handle_id(&pool->retry_timer, g_source_remove);
	pool->retry_at_us = 0;
	if (pool->state == ENGINE_LOGIN_REFUSED || pool->state == ENGINE_OFFLINE)
		pool_set_state(pool, ENGINE_CONNECTING);
	pool_schedule(pool);
}

void pool_hold(struct pool *pool, bool is_held)
{
	if (pool->is_held == is_held)
		return;
	pool->is_held = is_held;
	pool->meter.is_void = true;
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY)
			pool->config.backend->hold(ps->session, is_held);
	}
}

void pool_free(struct pool *pool)
{
	g_ptr_array_set_free_func(pool->sessions, pool_session_free);
	g_ptr_array_unref(pool->sessions);
	g_ptr_array_unref(pool->corpses);
	pool_watch_done(pool);
	g_free(pool->warm_folder);
	g_clear_handle_id(&pool->run_source, g_source_remove);
	g_clear_handle_id(&pool->corpse_source, g_source_remove);
	g_clear_handle_id(&pool->look_timer, g_source_remove);
	g_clear_handle_id(&pool->rest_timer, g_source_remove);
	g_clear_handle_id(&pool->meter.timer, g_source_remove);
	g_clear_handle_id(&pool->retry_timer, g_source_remove);
	g_clear_handle_id(&pool->stop_timer, g_source_remove);
	g_clear_handle_id(&pool->bar_timer, g_source_remove);
	g_clear_handle_id(&pool->presume_timer, g_source_remove);
	g_free(pool);
}

/* ---- what it is like --------------------------------------------------------------------------- */

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
	return pool_count(pool, SESSION_READY);
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
