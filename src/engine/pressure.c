/* SPDX-License-Identifier: MIT */
/* Back pressure: while much is on its way to the disk, the network waits. Loop thread. */
#include "engine/internal.h"

#define PRESSURE_BYTES    (32u * 1024 * 1024)
#define PRESSURE_ROWS     20000u
#define PRESSURE_CHECK_MS 10u

static bool is_over(const struct engine *engine, unsigned part)
{
	const struct store *store = engine->config.store;

	return body_pending_bytes(store) + vault_pending_bytes(engine->vault) > PRESSURE_BYTES / part ||
		store_pending_rows(store) > PRESSURE_ROWS / part;
}

/* By a timer and not by the store's answers: those may come after the engine is gone. */
static gboolean on_pressure(gpointer user)
{
	struct engine *engine = user;

	if (is_over(engine, 2))
		return G_SOURCE_CONTINUE;
	engine->pressure_timer = 0;
	pool_hold(engine->pool, false);
	return G_SOURCE_REMOVE;
}

void engine_check_pressure(struct engine *engine)
{
	if (engine->pressure_timer != 0 || !is_over(engine, 1))
		return;
	pool_hold(engine->pool, true);
	engine->pressure_timer = g_timeout_add(PRESSURE_CHECK_MS, on_pressure, engine);
}
