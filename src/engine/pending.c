/* SPDX-License-Identifier: MIT */
/* What waits, for people: flags, moves, new messages, in one list; and the last try at the unmount.
 */
#include "engine/internal.h"

#include <errno.h>

#include "base/clock.h"

void engine_each_pending(struct engine *engine, engine_pending_fn fn, void *user)
{
	changer_each(engine->changer, fn, user);
	mover_each(engine->mover, fn, user);
	outbox_each(engine->outbox, fn, user);
}

struct search {
	uint64_t id;
	bool is_found;
};

static void on_item(void *user, const struct engine_pending *item)
{
	struct search *search = user;

	search->is_found |= item->id == search->id;
}

/* Flags and moves are tried again by themselves; this hastens them. */
int engine_pending_retry(struct engine *engine, uint64_t id)
{
	struct search search = { .id = id };

	pool_wake(engine->pool);
	if (outbox_retry(engine->outbox, id) && id != 0)
		return 0;
	changer_each(engine->changer, on_item, &search);
	mover_each(engine->mover, on_item, &search);
	changer_flush(engine->changer);
	mover_flush(engine->mover);
	return id == 0 || search.is_found ? 0 : -ENOENT;
}

int engine_pending_drop(struct engine *engine, uint64_t id)
{
	return outbox_discard(engine->outbox, id) || changer_drop(engine->changer, id) ||
			       mover_drop(engine->mover, id)
		       ? 0
		       : -ENOENT;
}

/* ---- the last try ------------------------------------------------------------------------------
 */

struct last_try {
	struct engine *engine;
	int64_t deadline_us;
	void (*done)(void *user);
	void *user;
};

static gboolean on_check(gpointer user)
{
	struct last_try *try = user;
	struct engine *engine = try->engine;
	bool is_over = clock_monotonic_us() >= try->deadline_us ||
		       pool_state(engine->pool) != ENGINE_ONLINE;
	bool is_done = changer_flush(engine->changer);

	is_done = mover_flush(engine->mover) && is_done;
	is_done = outbox_flush(engine->outbox) && is_done;
	if (!is_done && !is_over)
		return G_SOURCE_CONTINUE;
	engine->last_try = 0;
	try->done(try->user);
	return G_SOURCE_REMOVE;
}

void engine_flush(struct engine *engine, unsigned timeout_ms, void (*done)(void *user), void *user)
{
	struct last_try *try = g_new(struct last_try, 1);

	*try = (struct last_try){ engine, clock_monotonic_us() + (int64_t)timeout_ms * 1000, done,
		user };
	g_clear_handle_id(&engine->last_try, g_source_remove);
	engine->last_try = g_timeout_add_full(G_PRIORITY_DEFAULT, 0, on_check, try, g_free);
}
