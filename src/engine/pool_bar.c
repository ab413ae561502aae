/* SPDX-License-Identifier: MIT */
/*
 * Being offline on purpose, and by all appearance: no session because a person wants none, and a
 * server that does not answer while it is dialled. Loop thread.
 */
#include "base/clock.h"
#include "engine/pool_impl.h"

#define POOL_BAR_MS     2000u  /* for what is under way when the account goes offline */
#define POOL_DEAF_US    G_USEC_PER_SEC
#define POOL_PRESUME_MS 10000u /* without a byte from the server */

/* ---- by all appearance ------------------------------------------------------------------------- */

static bool hears(const struct pool_session *ps)
{
	struct mailfs_traffic traffic = { 0 };

	if (ps->state == SESSION_DIALLING && ps->backend->traffic)
		ps->backend->traffic(ps->session, &traffic);
	return ps->state == SESSION_READY || traffic.wire > 0;
}

bool pool_hears(const struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		if (hears(g_ptr_array_index(pool->sessions, i)))
			return true;
	}
	return false;
}

void pool_drop_deaf(struct pool *pool)
{
	int64_t now = clock_monotonic_us();

	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_DIALLING && !hears(ps) && now - ps->since_us > POOL_DEAF_US)
			pool_session_close(ps);
	}
}

void pool_presume_offline(struct pool *pool)
{
	g_autoptr(GError) error = NULL;

	if (pool->state != ENGINE_CONNECTING || pool_count(pool, SESSION_READY) > 0)
		return;
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_OFFLINE, "the server does not answer");
	pool->events.reason(pool->user, error->message);
	pool_set_state(pool, ENGINE_OFFLINE);
	pool_fail_waiting(pool, error);
}

static gboolean on_presume(gpointer user)
{
	struct pool *pool = user;

	pool->presume_timer = 0;
	if (!pool_hears(pool))
		pool_presume_offline(pool);
	return G_SOURCE_REMOVE;
}

void pool_presume_later(struct pool *pool)
{
	if (pool->presume_timer == 0 && pool->state == ENGINE_CONNECTING)
		pool->presume_timer = g_timeout_add(POOL_PRESUME_MS, on_presume, pool);
}

/* ---- another network --------------------------------------------------------------------------- */

/* A dial that began before may wait for an answer that cannot come any more. */
static void drop_dials(struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_DIALLING)
			pool_session_close(ps);
	}
}

void pool_nudge(struct pool *pool)
{
	if (pool->is_stopping || pool->is_barred || pool->wants_rest ||
		pool_count(pool, SESSION_READY) > 0)
		return;
	drop_dials(pool);
	backoff_reset(&pool->dials);
	g_clear_handle_id(&pool->retry_timer, g_source_remove);
	pool->retry_at_us = 0;
	pool_schedule(pool);
}

void pool_restart(struct pool *pool)
{
	if (!pool->is_stopping && !pool->is_barred)
		drop_dials(pool);
	pool_wake(pool);
}

/* ---- on purpose -------------------------------------------------------------------------------- */

bool pool_is_barred(const struct pool *pool)
{
	return pool->is_barred;
}

bool pool_was_lost(const struct pool *pool, const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CONNECTION_LOST) ||
		(!pool->is_stopping && g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED));
}

/* Those that retire end also when they are wanted again meanwhile: there will be others. */
void pool_bar_retire(struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		ps->is_retiring |= pool->is_barred;
		if (ps->is_retiring && ps->weight == 0)
			pool_session_close(ps);
	}
}

/* Wanted again before any was sent away. */
static bool has_session(const struct pool *pool)
{
	for (guint i = 0; i < pool->sessions->len; i++) {
		const struct pool_session *ps = g_ptr_array_index(pool->sessions, i);

		if (ps->state == SESSION_READY && !ps->is_retiring)
			return true;
	}
	return false;
}

static gboolean on_bar_over(gpointer user)
{
	struct pool *pool = user;

	pool->bar_timer = 0;
	for (guint i = 0; i < pool->sessions->len; i++)
		pool_session_close(g_ptr_array_index(pool->sessions, i));
	return G_SOURCE_REMOVE;
}

void pool_bar(struct pool *pool, bool is_barred)
{
	if (pool->is_stopping || pool->is_barred == is_barred)
		return;
	pool->is_barred = is_barred;
	g_clear_handle_id(&pool->bar_timer, g_source_remove);
	if (!is_barred) {
		pool_wake(pool);
		if (has_session(pool))
			pool_set_state(pool, ENGINE_ONLINE);
		return;
	}
	g_clear_handle_id(&pool->retry_timer, g_source_remove);
	pool->retry_at_us = 0;
	pool->bar_timer = g_timeout_add(POOL_BAR_MS, on_bar_over, pool);
	pool_set_state(pool, ENGINE_OFFLINE);
	pool_schedule(pool);
}
