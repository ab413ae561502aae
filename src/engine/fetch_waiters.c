/* SPDX-License-Identifier: MIT */
/*
 * Who waits for a message, and their answers: each one gets exactly one, or none if it was
 * cancelled. Loop thread.
 */
#include "engine/fetch_impl.h"

/* ---- waiters ----------------------------------------------------------------------------------- */

static void waiter_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	struct fetch_waiter *mine = (struct fetch_waiter *)waiter;
	struct fetch *fetch = mine->fetch;

	g_queue_remove(&fetch->waiters, mine);
	g_free(mine);
	/* What was not sent is not wanted any more; what was sent finishes into the cache. */
	if (g_queue_is_empty(&fetch->waiters) && !engine->is_freeing)
		nexts_cancel(fetch);
	if (g_queue_is_empty(&fetch->waiters) && fetch->pause_timer != 0)
		request_over(fetch);
	else if (g_queue_is_empty(&fetch->waiters) && fetch->is_busy && !fetch->batch &&
		fetch->job.is_queued && !engine->is_freeing && pool_cancel(engine->pool, &fetch->job))
		fetch->is_busy = false;
	fetch_rest(fetch);
}

static void waiter_answer(struct engine *engine, struct fetch_waiter *mine,
	const struct body_slice *slice, const GError *error)
{
	if (mine->kind == WAITER_READ && slice)
		engine->bytes_read += slice->len;
	if (mine->kind == WAITER_READ)
		mine->read(mine->user, slice, error);
	else if (mine->done)
		mine->done(mine->user, error);
	g_free(mine);
}

static void waiter_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct fetch_waiter *mine = (struct fetch_waiter *)waiter;

	g_queue_remove(&mine->fetch->waiters, mine);
	waiter_answer(engine, mine, NULL, error);
}

static const struct engine_waiter_class waiter_class = {
	.cancel = waiter_cancel,
	.fail = waiter_fail,
};

/* Its answer: the caller holds the fetch. */
static void waiter_finish(struct fetch *fetch, struct fetch_waiter *mine,
	const struct body_slice *slice, const GError *error)
{
	g_queue_remove(&fetch->waiters, mine);
	engine_waiter_remove(fetch->fetcher->engine, &mine->waiter);
	waiter_answer(fetch->fetcher->engine, mine, slice, error);
}

/* By ticket: a callback may cancel others, and those it adds ask for something new. */
void fetch_fail_waiters(struct fetch *fetch, const GError *error, bool only_reads)
{
	GHashTable *all = fetch->fetcher->engine->waiters;
	g_autoptr(GArray) due = g_array_new(FALSE, FALSE, sizeof(engine_ticket));

	for (GList *at = fetch->waiters.head; at; at = at->next) {
		const struct fetch_waiter *mine = at->data;

		if (!only_reads || mine->kind == WAITER_READ)
			g_array_append_val(due, mine->waiter.ticket);
	}
	fetch->held++;
	for (guint i = 0; i < due->len; i++) {
		gpointer waiter = g_hash_table_lookup(all, &g_array_index(due, engine_ticket, i));

		if (waiter)
			waiter_finish(fetch, waiter, NULL, error);
	}
	fetch->held--;
}

static void on_body_ready(void *user)
{
	fetch_advance(user);
}

engine_ticket fetch_enter(struct fetch *fetch, const struct fetch_waiter *values)
{
	struct fetcher *fetcher = fetch->fetcher;
	struct fetch_waiter *mine = g_memdup2(values, sizeof(*values));
	engine_ticket ticket;

	mine->fetch = fetch;
	engine_waiter_add(fetcher->engine, &mine->waiter, &waiter_class);
	ticket = mine->waiter.ticket;
	g_queue_push_tail(&fetch->waiters, mine);
	if (body_is_ready(fetch->body))
		fetch_advance(fetch);
	else
		body_when_ready(fetch->body, on_body_ready, fetch);
	return g_hash_table_contains(fetcher->engine->waiters, &ticket) ? ticket : 0;
}

/* ---- serving ----------------------------------------------------------------------------------- */

struct disk_read *disk_read_new(struct fetch *fetch, struct fetch_waiter *waiter)
{
	struct disk_read *read = g_new0(struct disk_read, 1);

	read->fetch = fetch;
	read->waiter = waiter;
	read->ticket = waiter ? waiter->waiter.ticket : 0;
	fetch->held++;
	g_hash_table_add(fetch->fetcher->reads, read);
	return read;
}

struct fetch *disk_read_end(struct disk_read *read)
{
	struct fetch *fetch = read->fetch;

	if (fetch)
		g_hash_table_remove(fetch->fetcher->reads, read);
	g_free(read);
	return fetch;
}

static void on_served(void *user, const struct body_slice *slice, const GError *error)
{
	struct disk_read *read = user;
	engine_ticket ticket = read->ticket;
	struct fetch_waiter *mine = read->waiter;
	struct fetch *fetch = disk_read_end(read);

	if (!fetch)
		return;
	if (g_hash_table_contains(fetch->fetcher->engine->waiters, &ticket)) {
		mine->is_served = false;
		/* The disk lost it; the server still has it. */
		if (!error || mine->damages++ >= FETCH_DAMAGE_TRIES)
			waiter_finish(fetch, mine, slice, error);
	}
	fetch_advance(fetch);
	fetch_release(fetch);
}

static bool serve_exact(struct fetch *fetch, struct fetch_waiter *mine)
{
	const struct message *message = fetch_message(fetch, NULL);

	if (!message || (message->bits & MESSAGE_SIZE_EXACT) == 0)
		return false;
	waiter_finish(fetch, mine, NULL, NULL);
	return true;
}

/* What a whole fetch has brought so far may not be shown yet. */
static bool may_show(const struct fetch *fetch)
{
	return !fetch->is_busy || !fetch->is_whole || fetch->stored == 0;
}

static bool serve_read(struct fetch *fetch, struct fetch_waiter *mine)
{
	static const struct body_slice end = { .fd = -1 };
	struct mailfs_range first = { mine->range.offset, 1 };
	bool is_at_end = body_is_complete(fetch->body) && first.offset >= body_size(fetch->body);

	if (mine->range.len == 0 || is_at_end) {
		waiter_finish(fetch, mine, &end, NULL);
		return true;
	}
	if (!may_show(fetch) || !body_covers(fetch->body, first))
		return false;
	if (!mine->is_waiting)
		fetch->fetcher->engine->reads_from_cache++;
	mine->is_served = true;
	body_read(fetch->body, mine->range, on_served, disk_read_new(fetch, mine));
	return true;
}

bool fetch_serve(struct fetch *fetch)
{
	for (GList *at = fetch->waiters.head; at; at = at->next) {
		struct fetch_waiter *mine = at->data;

		if (mine->is_served)
			continue;
		if (mine->kind == WAITER_EXACT ? serve_exact(fetch, mine) : serve_read(fetch, mine))
			return true;
	}
	return false;
}
