/* SPDX-License-Identifier: MIT */
/*
 * Sessions that have nothing to do listen: each to one folder of the plan, or one of them to the whole
 * account. A job that comes ends that in the backend; it begins anew when the session was quiet for a
 * while. How long a watch may last is learnt from those that were cut (CN-1). Here too: signs of life
 * after the machine slept. Loop thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/pool_impl.h"

#define QUIET_US      (500 * 1000)             /* after a job; then most likely no other follows */
#define EAGER_US      (5 * G_USEC_PER_SEC)     /* a session that is never quiet, after that */
#define RENEW_MAX_S   540u
#define RENEW_MIN_S   60u
#define SHORT_US      (60 * G_USEC_PER_SEC)    /* a watch that is cut so soon is worth nothing */
#define SHORT_MAX     3u                       /* so many of them, and it is given up */
#define MUTE_MAX      2u                       /* connections that IDLE was the end of, likewise */
#define STUCK_US      (500 * 1000)             /* the "+" comes sooner */
#define REST_US       (60 * G_USEC_PER_SEC)    /* of a session, after a refused watch */
#define FORGET_US     (86400ll * G_USEC_PER_SEC) /* what was learnt */
#define PROBE_MS      5000u
#define SLEPT_US      (2 * G_USEC_PER_SEC)

/* ---- one watch --------------------------------------------------------------------------------- */

static void on_begun(void *user)
{
	struct pool_watch *watch = user;
	struct pool_session *ps = watch->ps;

	watch->is_begun = true;
	watch->begun_us = clock_monotonic_us();
	ps->is_faithful |= watch->folder != NULL;
	if (watch->folder)
		ps->pool->mute_idles = 0;
	log_debug("engine", "watching %s", watch->folder ? watch->folder : "the account");
	if (!ps->pool->is_stopping)
		pool_schedule(ps->pool);
}

static bool is_loss(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_TIMEOUT);
}

/* Cut while it listened: by a router that forgets, by a server that has enough of it? */
static bool is_worthless(struct pool *pool, const struct pool_watch *watch)
{
	int64_t now = clock_monotonic_us();
	int64_t lived_us = now - watch->begun_us;

	pool->drop_us = now;
	if (watch->is_begun && lived_us >= SHORT_US) {
		pool->short_watches = 0;
		pool->renew_s = (unsigned)MIN(pool->renew_s, lived_us / G_USEC_PER_SEC) / 2;
		pool->renew_s = MAX(pool->renew_s, RENEW_MIN_S);
		return false;
	}
	return ++pool->short_watches >= SHORT_MAX;
}

/* IDLE was the end of connection after connection: the server does not idle, whatever it says. Those
 * that died together with others, or were there before, prove nothing: a network may have gone. */
static bool is_mute(struct pool *pool, const struct pool_watch *watch)
{
	if (watch->is_cancelled || watch->ps->since_us <= pool->mute_us)
		return false;
	pool->mute_us = clock_monotonic_us();
	if (++pool->mute_idles < MUTE_MAX)
		return false;
	pool->mute_idles = 0;
	return true;
}

/* What is to be told of a watch that has ended; NULL: it may begin again. */
static GError *judge_end(struct pool *pool, const struct pool_watch *watch, const GError *error)
{
	bool is_worth_telling = true;

	if (!error)
		return NULL;
	if (is_loss(error) && watch->folder && !watch->is_begun)
		return is_mute(pool, watch) ? g_error_new(MAILFS_ERROR, MAILFS_ERROR_NOT_POSSIBLE,
			"the server offers IDLE and does not begin it") : NULL;
	if (is_loss(error))
		is_worth_telling = is_worthless(pool, watch);
	return is_worth_telling && !watch->is_cancelled ? g_error_copy(error) : NULL;
}

static void on_done(void *user, const GError *error)
{
	struct pool_watch *watch = user;
	struct pool_session *ps = watch->ps;
	struct pool *pool = ps->pool;
	g_autoptr(GError) told = judge_end(pool, watch, error);
	g_autofree char *folder = g_steal_pointer(&watch->folder);

	if (error && !is_loss(error) && folder)
		ps->is_faithful = false;
	ps->was_stuck = error && is_loss(error) && pool_watch_is_stuck(ps, clock_monotonic_us());
	*watch = (struct pool_watch){ 0 };
	if (pool->is_stopping || ps->state != SESSION_READY)
		return;
	ps->quiet_us = clock_monotonic_us();
	if (told) {
		pool->short_watches = 0;
		ps->watch_rest_us = ps->quiet_us + REST_US;
		pool->events.watch_failed(pool->user, folder, told);
	}
	pool_schedule(pool);
}

static void begin(struct pool_session *ps, const char *folder)
{
	struct pool *pool = ps->pool;
	struct pool_watch *watch = folder ? &ps->idle : &ps->account;

	if (folder && g_strcmp0(ps->folder, folder) != 0) {
		pool_watch_leaves(ps);
		g_free(ps->folder);
		ps->folder = g_strdup(folder);
	}
	if (pool->drop_us != 0 && clock_monotonic_us() - pool->drop_us > FORGET_US) {
		pool->renew_s = RENEW_MAX_S;
		pool->drop_us = 0;
	}
	watch->ps = ps;
	watch->asked_us = clock_monotonic_us();
	watch->folder = g_strdup(folder);
	watch->ticket = ps->backend->watch(ps->session, &(struct mailfs_watch_request){
		.folder = folder,
		.renew_s = pool->renew_s,
		.begun = on_begun,
		.done = on_done,
		.user = watch,
	});
}

bool pool_watch_is_stuck(const struct pool_session *ps, int64_t now)
{
	return ps->idle.ticket != 0 && !ps->idle.is_begun && now > ps->idle.asked_us + STUCK_US;
}

void pool_watch_leaves(struct pool_session *ps)
{
	ps->is_faithful = false;
}

void pool_watch_lost(struct pool *pool, const struct pool_session *ps)
{
	if (ps->state == SESSION_READY)
		pool->watch_dial_us = clock_monotonic_us() +
			(int64_t)backoff_next_ms(&pool->drops, g_random_int()) * 1000;
}

/* ---- which session watches what ---------------------------------------------------------------- */

static bool is_planned(const struct pool *pool, const struct pool_session *ps)
{
	if (ps->account.ticket != 0)
		return pool->wants_idle;
	return pool->plan && g_strv_contains((const char *const *)pool->plan, ps->idle.folder);
}

static void end(struct pool_session *ps, struct pool_watch *watch)
{
	if (watch->ticket == 0 || watch->is_cancelled)
		return;
	watch->is_cancelled = true;
	ps->backend->cancel(ps->session, watch->ticket);
}

static void end_unplanned(struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (!pool->wants_account)
			end(ps, &ps->account);
		if (ps->idle.ticket != 0 && !is_planned(pool, ps))
			end(ps, &ps->idle);
	}
}

static struct pool_session *account_watcher(const struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->account.ticket != 0)
			return ps;
	}
	return NULL;
}

static bool is_idled(const struct pool *pool, const char *folder)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->idle.ticket != 0 && g_strcmp0(ps->idle.folder, folder) == 0)
			return true;
	}
	return false;
}

/* May it begin to idle? `ret_soon`: it may, a little later. */
static bool is_listener(const struct pool_session *ps, int64_t now, bool *ret_soon)
{
	if (!pool_session_is_usable(ps, now) || ps->weight > 0 || ps->idle.ticket != 0 ||
		now < ps->watch_rest_us)
		return false;
	*ret_soon |= now < ps->quiet_us + QUIET_US;
	return now >= ps->quiet_us + QUIET_US;
}

/* The one that has the folder selected, else any that has the time. */
static struct pool_session *listener(const struct pool *pool, const char *folder, bool *ret_soon)
{
	int64_t now = clock_monotonic_us();
	struct pool_session *best = NULL;

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (is_listener(ps, now, ret_soon) && (!best || g_strcmp0(ps->folder, folder) == 0))
			best = ps;
	}
	return best;
}

/* NOTIFY ends no other request, but those of the beginning go before it. */
static void begin_account(struct pool *pool, bool *ret_soon)
{
	int64_t now = clock_monotonic_us();

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (!pool_session_is_usable(ps, now) || now < ps->watch_rest_us)
			continue;
		if (is_listener(ps, now, ret_soon) || now > ps->since_us + EAGER_US) {
			begin(ps, NULL);
			return;
		}
	}
}

/* Some servers tell of the open folder only while they idle in it, NOTIFY or not. */
static void idle_beside(struct pool *pool, bool *ret_soon)
{
	struct pool_session *ps = account_watcher(pool);

	if (ps && ps->account.is_begun && ps->folder && pool->wants_idle &&
		!pool_is_vacated(pool, ps->folder) &&
		is_listener(ps, clock_monotonic_us(), ret_soon))
		begin(ps, ps->folder);
}

static gboolean on_quiet(gpointer user)
{
	struct pool *pool = user;

	pool->watch_timer = 0;
	pool_schedule(pool);
	return G_SOURCE_REMOVE;
}

/* One session more, if the budget has it: one stays for those who want something. */
static void dial_for_watch(struct pool *pool)
{
	unsigned most = MAX(pool->limit, 2) - 1;

	if (pool->sessions->len < most && pool_count(pool, SESSION_DIALLING) == 0 &&
		clock_monotonic_us() >= pool->watch_dial_us && pool_may_dial(pool))
		pool_dial(pool);
}

/* True: some are not watched for want of a session. */
static bool begin_folders(struct pool *pool, bool *ret_soon)
{
	bool is_short = false;

	for (char **folder = pool->plan; folder && *folder; folder++) {
		struct pool_session *ps = NULL;

		if (is_idled(pool, *folder) || pool_is_vacated(pool, *folder))
			continue;
		ps = listener(pool, *folder, ret_soon);
		if (ps)
			begin(ps, *folder);
		else
			is_short = true;
	}
	return is_short;
}

void pool_watch_run(struct pool *pool)
{
	bool is_soon = false;
	bool is_short = false;

	if (!pool->config.backend->watch || pool_count(pool, SESSION_READY) == 0)
		return;
	end_unplanned(pool);
	if (pool->wants_account && !account_watcher(pool))
		begin_account(pool, &is_soon);
	if (pool_waiting(pool) == 0) {
		idle_beside(pool, &is_soon);
		is_short = begin_folders(pool, &is_soon);
	}
	if (is_soon && pool->watch_timer == 0)
		pool->watch_timer = g_timeout_add(QUIET_US / 1000 + 1, on_quiet, pool);
	else if (is_short && !is_soon)
		dial_for_watch(pool);
}

/* ---- for the engine ---------------------------------------------------------------------------- */

void pool_set_watch_plan(struct pool *pool, const struct pool_watch_plan *plan)
{
	pool->wants_account = plan->is_account;
	pool->wants_idle = plan->can_idle;
	g_strfreev(pool->plan);
	pool->plan = g_strdupv((char **)plan->folders);
	if (!pool->is_stopping)
		pool_schedule(pool);
}

bool pool_is_watched(const struct pool *pool, const char *folder)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state != SESSION_READY)
			continue;
		if (ps->account.is_begun)
			return true;
		if (folder && ps->is_faithful && g_strcmp0(ps->folder, folder) == 0)
			return true;
	}
	return false;
}

bool pool_is_idle_in(const struct pool *pool, const char *folder)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->idle.is_begun && ps->weight == 0 && g_strcmp0(ps->idle.folder, folder) == 0)
			return true;
	}
	return false;
}

static void on_asked(void *user, const GError *error)
{
	((struct pool_session *)user)->is_asked = false;
}

static void ask(struct pool_session *ps, unsigned patience_ms)
{
	if (ps->state != SESSION_READY || ps->is_asked || !ps->backend->poll)
		return;
	ps->is_asked = true;
	ps->backend->poll(ps->session, patience_ms, on_asked, ps);
}

void pool_ask_selected(struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->account.is_begun ||
			(ps->folder && ps->weight == 0 && ps->idle.ticket == 0))
			ask(ps, 0);
	}
}

void pool_probe(struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++)
		ask(g_ptr_array_index(pool->sessions, i), PROBE_MS);
	if (pool->state == ENGINE_OFFLINE)
		pool_nudge(pool);
}

bool pool_notice_sleep(struct pool *pool)
{
	int64_t lag_us = clock_boottime_us() - clock_monotonic_us();
	bool has_slept = lag_us - pool->lag_us > SLEPT_US;

	pool->lag_us = lag_us;
	if (!has_slept || pool->is_stopping)
		return false;
	log_info("engine", "the machine was asleep: looking whether the connections live");
	pool_probe(pool);
	return true;
}

/* ---- life -------------------------------------------------------------------------------------- */

void pool_watch_init(struct pool *pool)
{
	pool->renew_s = RENEW_MAX_S;
	pool->lag_us = clock_boottime_us() - clock_monotonic_us();
}

void pool_watch_done(struct pool *pool)
{
	g_clear_handle_id(&pool->watch_timer, g_source_remove);
	g_strfreev(pool->plan);
}
