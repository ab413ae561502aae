/* SPDX-License-Identifier: MIT */
/*
 * A look at the server because somebody asked for it: first the folders, then each one that is in use
 * and has changed. What happens by itself is in watch.c.
 */
#include "engine/internal.h"

/* A refresh of everything: first the folders, then each one in use. */
struct refresh {
	struct engine_waiter waiter;
	struct engine *engine;
	engine_done_fn done;
	void *user;
	bool is_over; /* nobody waits for the answer any more */
	unsigned left;
	GError *error;
};

void refresh_free(gpointer data)
{
	struct refresh *refresh = data;

	g_clear_error(&refresh->error);
	g_free(refresh);
}

static void refresh_unref(struct refresh *refresh)
{
	if (--refresh->left > 0)
		return;
	if (!refresh->is_over) {
		engine_waiter_remove(refresh->engine, &refresh->waiter);
		if (refresh->done)
			refresh->done(refresh->user, refresh->error);
	}
	g_ptr_array_remove_fast(refresh->engine->refreshes, refresh);
}

/* It is freed when the last of its parts has answered. */
static void refresh_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	((struct refresh *)waiter)->is_over = true;
}

static void refresh_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct refresh *refresh = (struct refresh *)waiter;

	refresh->is_over = true;
	if (refresh->done)
		refresh->done(refresh->user, error);
}

static const struct engine_waiter_class refresh_class = {
	.cancel = refresh_cancel,
	.fail = refresh_fail,
};

static void on_refreshed_folder(void *user, const GError *error)
{
	struct refresh *refresh = user;

	if (error && !refresh->error)
		refresh->error = g_error_copy(error);
	refresh_unref(refresh);
}

static void on_refreshed_list(void *user, const GError *error)
{
	struct refresh *refresh = user;
	GHashTableIter iter;
	gpointer value;

	if (error) {
		on_refreshed_folder(refresh, error);
		return;
	}
	g_hash_table_iter_init(&iter, refresh->engine->tree->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		if (!syncer_is_in_use(value) || syncer_is_unchanged(value))
			continue;
		refresh->left++;
		syncer_sync(refresh->engine, value, on_refreshed_folder, refresh);
	}
	refresh_unref(refresh);
}

engine_ticket engine_refresh(struct engine *engine, struct folder *folder, engine_done_fn done,
	void *user)
{
	struct refresh *refresh = g_new0(struct refresh, 1);

	refresh->engine = engine;
	refresh->done = done;
	refresh->user = user;
	refresh->left = 1;
	g_ptr_array_add(engine->refreshes, refresh);
	engine_waiter_add(engine, &refresh->waiter, &refresh_class);
	pool_wake(engine->pool);
	if (folder && (folder->flags & MAILFS_FOLDER_NOSELECT) == 0)
		syncer_sync(engine, folder, on_refreshed_folder, refresh);
	else
		listing_refresh(engine->listing, on_refreshed_list, refresh);
	return refresh->waiter.ticket;
}
