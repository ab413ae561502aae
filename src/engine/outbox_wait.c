/* SPDX-License-Identifier: MIT */
/* Those who wait for the outcome of an upload: fsync(2), unlink(2) and rename(2) of what is on its
 * way. */
#include "engine/outbox_impl.h"

static void waiter_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	struct outbox_waiter *mine = (struct outbox_waiter *)waiter;

	g_queue_remove(&mine->item->waiters, mine);
	outbox_release(mine->item);
	g_free(mine);
}

static void waiter_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct outbox_waiter *mine = (struct outbox_waiter *)waiter;

	g_queue_remove(&mine->item->waiters, mine);
	mine->done(mine->user, error);
	outbox_release(mine->item);
	g_free(mine);
}

static const struct engine_waiter_class waiter_class = {
	.cancel = waiter_cancel,
	.fail = waiter_fail,
};

static struct outbox_waiter *waiter_new(struct outbox_item *item, engine_done_fn done, void *user)
{
	struct outbox_waiter *mine = g_new0(struct outbox_waiter, 1);

	mine->item = outbox_hold(item);
	mine->done = done;
	mine->user = user;
	g_queue_push_tail(&item->waiters, mine);
	return mine;
}

engine_ticket outbox_wait(struct outbox_item *item, engine_done_fn done, void *user)
{
	struct outbox_waiter *mine = waiter_new(item, done, user);

	engine_waiter_add(item->outbox->engine, &mine->waiter, &waiter_class);
	return mine->waiter.ticket;
}

void outbox_wait_inside(struct outbox_item *item, engine_done_fn done, void *user)
{
	waiter_new(item, done, user);
}

/* A callback may cancel those after it, and wait anew. */
void outbox_answer(struct outbox_item *item, const GError *error)
{
	struct outbox_waiter *mine;

	outbox_hold(item);
	for (guint left = item->waiters.length; left > 0; left--) {
		mine = g_queue_peek_head(&item->waiters);
		if (!mine)
			break;
		if (mine->waiter.ticket != 0)
			engine_waiter_remove(item->outbox->engine, &mine->waiter);
		waiter_fail(NULL, &mine->waiter, error);
	}
	outbox_release(item);
}
