/* SPDX-License-Identifier: MIT */
/*
 * Who waits for the messages of a folder: for the index, for the server's answer, or for what has
 * come so far of a first sweep.
 */
#include "engine/sync_impl.h"

struct sync_waiter {
	struct engine_waiter waiter;
	struct sync *sync;
	engine_done_fn done;
	void *user;
	bool wants_sync;  /* the server's answer, not only the index */
	unsigned serial;  /* of the run that is good enough */
	bool takes_coming; /* a listing that has got beyond the UID `above`, too */
	uint32_t above;
};

static void waiter_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	struct sync_waiter *mine = (struct sync_waiter *)waiter;

	g_queue_remove(&mine->sync->waiters, mine);
	g_free(mine);
}

static void waiter_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct sync_waiter *mine = (struct sync_waiter *)waiter;

	g_queue_remove(&mine->sync->waiters, mine);
	if (mine->done)
		mine->done(mine->user, error);
	g_free(mine);
}

static const struct engine_waiter_class waiter_class = {
	.cancel = waiter_cancel,
	.fail = waiter_fail,
};

engine_ticket sync_wait(struct sync *sync, bool wants_sync, engine_done_fn done, void *user)
{
	struct sync_waiter *mine = g_new0(struct sync_waiter, 1);

	mine->sync = sync;
	mine->done = done;
	mine->user = user;
	mine->wants_sync = wants_sync;
	/* A run that has begun may have looked already. */
	mine->serial = sync->serial + 1;
	engine_waiter_add(sync->engine, &mine->waiter, &waiter_class);
	g_queue_push_tail(&sync->waiters, mine);
	return mine->waiter.ticket;
}

void sync_take_coming(struct engine *engine, engine_ticket ticket, uint32_t above)
{
	struct sync_waiter *mine = g_hash_table_lookup(engine->waiters, &ticket);

	if (!mine)
		return;
	mine->takes_coming = true;
	mine->above = above;
}

static bool is_due(const struct sync_waiter *mine, enum who who)
{
	const struct folder *folder = mine->sync->folder;

	if (who == WHO_COMING)
		return mine->takes_coming && folder->coming && folder->coming_to > mine->above;
	return who == WHO_ALL || !mine->wants_sync ||
		(who == WHO_SERVED && mine->serial < mine->sync->serial);
}

/* By ticket: a callback may cancel those after it. */
void sync_answer(struct sync *sync, enum who who, const GError *error)
{
	struct engine *engine = sync->engine;
	g_autoptr(GArray) due = g_array_new(FALSE, FALSE, sizeof(engine_ticket));

	for (GList *at = sync->waiters.head; at; at = at->next) {
		const struct sync_waiter *mine = at->data;

		if (is_due(mine, who))
			g_array_append_val(due, mine->waiter.ticket);
	}
	for (guint i = 0; i < due->len; i++) {
		struct engine_waiter *waiter =
			g_hash_table_lookup(engine->waiters, &g_array_index(due, engine_ticket, i));

		if (!waiter)
			continue;
		engine_waiter_remove(engine, waiter);
		waiter_fail(engine, waiter, error);
	}
}

bool sync_is_awaited(const struct sync *sync)
{
	for (GList *at = sync->waiters.head; at; at = at->next) {
		if (((struct sync_waiter *)at->data)->wants_sync)
			return true;
	}
	return false;
}
