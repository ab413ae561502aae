/* SPDX-License-Identifier: MIT */
/* What waits inside the engine, by ticket: each is answered once, or never if it was cancelled. */
#include "engine/internal.h"

void engine_waiter_add(struct engine *engine, struct engine_waiter *waiter,
	const struct engine_waiter_class *class)
{
	waiter->ticket = ++engine->last_ticket;
	waiter->class = class;
	g_hash_table_insert(engine->waiters, &waiter->ticket, waiter);
}

void engine_waiter_remove(struct engine *engine, struct engine_waiter *waiter)
{
	g_hash_table_remove(engine->waiters, &waiter->ticket);
}

void engine_cancel(struct engine *engine, engine_ticket ticket)
{
	struct engine_waiter *waiter = g_hash_table_lookup(engine->waiters, &ticket);

	if (!waiter)
		return;
	engine_waiter_remove(engine, waiter);
	waiter->class->cancel(engine, waiter);
}

/* One at a time: a callback may cancel others. NULL: there is none any more. */
static struct engine_waiter *take_any(struct engine *engine)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, engine->waiters);
	if (!g_hash_table_iter_next(&iter, NULL, &value))
		return NULL;
	engine_waiter_remove(engine, value);
	return value;
}

void engine_fail_waiters(struct engine *engine)
{
	g_autoptr(GError) error =
		g_error_new(MAILFS_ERROR, MAILFS_ERROR_CANCELLED, "the mount is ending");
	struct engine_waiter *waiter;

	while ((waiter = take_any(engine)))
		waiter->class->fail(engine, waiter, error);
}

void engine_forget_waiters(struct engine *engine)
{
	struct engine_waiter *waiter;

	while ((waiter = take_any(engine)))
		waiter->class->cancel(engine, waiter);
}
