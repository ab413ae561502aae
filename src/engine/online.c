/* SPDX-License-Identifier: MIT */
/*
 * Whether the account is to be online, and what brings it back: a start that does not wait for a
 * server that is away, a person's wish, another network, another token. Loop thread.
 */
#include "base/log.h"
#include "engine/gate.h"
#include "engine/internal.h"

/* A start from the cache waits so long for a first byte of the server, then for the rest. */
#define START_MS      600u
#define START_LOGIN_MS 4000u

/* Tokens expire, and whoever renews them tells nobody: so they are looked at while they are refused. */
#define LOOK_FIRST_MS 30000u
#define LOOK_LAST_MS  300000u

/* ---- the start --------------------------------------------------------------------------------- */

static gboolean on_start_timeout(gpointer user)
{
	struct engine *engine = user;
	bool was_heard = engine->start_hears;

	engine->start_timer = 0;
	if (engine->was_started)
		return G_SOURCE_REMOVE;
	engine->start_hears = pool_hears(engine->pool);
	if (engine->start_hears && !was_heard) {
		engine->start_timer = g_timeout_add(START_LOGIN_MS, on_start_timeout, engine);
		return G_SOURCE_REMOVE;
	}
	if (!engine->start_hears)
		pool_presume_offline(engine->pool);
	engine_tell_started(engine, NULL);
	return G_SOURCE_REMOVE;
}

void online_start(struct engine *engine)
{
	engine->start_timer = g_timeout_add(START_MS, on_start_timeout, engine);
}

/* ---- refused logins ---------------------------------------------------------------------------- */

static gboolean on_look_due(gpointer user);

static void look_later(struct engine *engine)
{
	engine->look_ms = CLAMP(engine->look_ms * 2, LOOK_FIRST_MS, LOOK_LAST_MS);
	g_clear_handle_id(&engine->look_timer, g_source_remove);
	engine->look_timer = g_timeout_add(engine->look_ms, on_look_due, engine);
}

static void on_news(void *user, bool is_other)
{
	struct engine *engine = user;

	if (pool_state(engine->pool) != ENGINE_LOGIN_REFUSED)
		return;
	if (is_other)
		pool_wake(engine->pool);
	else
		look_later(engine);
}

static gboolean on_look_due(gpointer user)
{
	struct engine *engine = user;

	engine->look_timer = 0;
	if (pool_state(engine->pool) == ENGINE_LOGIN_REFUSED)
		gate_look(engine->gate, on_news, engine);
	return G_SOURCE_REMOVE;
}

void online_refused(struct engine *engine)
{
	if (!engine->gate)
		return;
	gate_note_refused(engine->gate);
	/* A password changes because a person changes it; asking for it may ask that person. */
	if (engine->config.server.auth == MAILFS_AUTH_OAUTH)
		look_later(engine);
}

/* ---- what brings it back ----------------------------------------------------------------------- */

void online_ready(struct engine *engine)
{
	engine->look_ms = 0;
	g_clear_handle_id(&engine->look_timer, g_source_remove);
}

int online_excuse(const struct engine *engine)
{
	return pool_state(engine->pool) == ENGINE_LOGIN_REFUSED ? MAILFS_ERROR_LOGIN
								: MAILFS_ERROR_OFFLINE;
}

void engine_go_offline(struct engine *engine)
{
	log_info("engine", "%s: offline by request", engine->config.account);
	pool_bar(engine->pool, true);
}

void engine_go_online(struct engine *engine)
{
	if (engine->gate)
		gate_insist(engine->gate);
	if (pool_is_barred(engine->pool))
		pool_bar(engine->pool, false);
	else if (pool_state(engine->pool) != ENGINE_ONLINE)
		pool_restart(engine->pool);
}

bool engine_is_offline_by_request(const struct engine *engine)
{
	return pool_is_barred(engine->pool);
}

/* The password that was refused is none the better for it. */
void engine_network_changed(struct engine *engine)
{
	enum engine_state state = pool_state(engine->pool);

	if (state == ENGINE_OFFLINE || state == ENGINE_CONNECTING)
		pool_nudge(engine->pool);
}

void online_free(struct engine *engine)
{
	g_clear_handle_id(&engine->start_timer, g_source_remove);
	g_clear_handle_id(&engine->look_timer, g_source_remove);
	gate_free(engine->gate);
}
