/* SPDX-License-Identifier: MIT */
/*
 * Bodies on demand: one struct fetch per message that somebody waits for, however many wait.
 *
 * Small messages come whole, and so does everything while the account's sizes are not trusted:
 * a whole fetch is what makes a size exact. Large messages of a trusted account come by windows
 * that double while the reading goes on in sequence. A window overlaps what is there already by
 * 4 KiB on both sides, and the overlap must be equal: bytes of two versions of one message are
 * never joined.
 *
 * Nothing that arrived is shown before the tagged OK of its request (SZ-6). A large message that is
 * fetched whole goes to the disk while it comes; it is forgotten again when it does not end well.
 */
#include "base/clock.h"
#include "engine/fetch_impl.h"
#include "engine/prefetch.h"

static engine_ticket waiter_enter(struct fetch *fetch, const struct fetch_waiter *values);

static uint64_t fetch_key(uint32_t box_id, uint32_t uid)
{
	return (uint64_t)box_id << 32 | uid;
}

struct message *fetch_message(const struct fetch *fetch, struct folder **ret_folder)
{
	struct folder *folder = tree_by_box(fetch->fetcher->engine->tree, fetch->box_id);

	if (ret_folder)
		*ret_folder = folder;
	return folder ? mailbox_find(folder->box, fetch->uid) : NULL;
}

/* ---- life -------------------------------------------------------------------------------------- */

static void fetch_free(gpointer data)
{
	struct fetch *fetch = data;

	if (fetch->pause_timer != 0)
		g_source_remove(fetch->pause_timer);
	nexts_free(fetch);
	body_forget_waiter(fetch->body, fetch);
	body_unref(fetch->body);
	if (fetch->buffer)
		g_byte_array_unref(fetch->buffer);
	g_free(fetch->folder);
	g_free(fetch);
}

void fetch_want_exact(struct fetch *fetch)
{
	waiter_enter(fetch, &(struct fetch_waiter){ .kind = WAITER_EXACT });
}

struct fetch *fetch_get(struct fetcher *fetcher, uint32_t box_id, uint32_t uid)
{
	uint64_t key = fetch_key(box_id, uid);
	struct fetch *fetch = g_hash_table_lookup(fetcher->fetches, &key);

	if (fetch) {
		g_queue_remove(&fetcher->idle, fetch);
		return fetch;
	}
	fetch = g_new0(struct fetch, 1);
	fetch->fetcher = fetcher;
	fetch->key = key;
	fetch->box_id = box_id;
	fetch->uid = uid;
	fetch->body = body_open(fetcher->engine->config.store, box_id, uid);
	g_queue_init(&fetch->waiters);
	g_queue_init(&fetch->nexts);
	g_hash_table_insert(fetcher->fetches, &fetch->key, fetch);
	return fetch;
}

/* Nobody wants anything of it now? Then it goes, or rests where its reading position is of use. */
void fetch_rest(struct fetch *fetch)
{
	struct fetcher *fetcher = fetch->fetcher;

	if (fetch->is_busy || fetch->held > 0 || !g_queue_is_empty(&fetch->waiters) ||
		!body_is_ready(fetch->body))
		return;
	g_queue_remove(&fetcher->idle, fetch);
	if (body_is_complete(fetch->body)) {
		g_hash_table_remove(fetcher->fetches, &fetch->key);
		return;
	}
	g_queue_push_tail(&fetcher->idle, fetch);
	if (g_queue_get_length(&fetcher->idle) > FETCH_IDLE_MAX) {
		struct fetch *oldest = g_queue_pop_head(&fetcher->idle);

		g_hash_table_remove(fetcher->fetches, &oldest->key);
	}
}

bool fetcher_is_busy(struct fetcher *fetcher, uint32_t box_id)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, fetcher->fetches);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct fetch *fetch = value;

		if (fetch->box_id == box_id && (fetch->is_busy || fetch->held > 0 ||
			!g_queue_is_empty((GQueue *)&fetch->waiters)))
			return true;
	}
	return false;
}

void fetch_release(struct fetch *fetch)
{
	g_assert(fetch->held > 0);
	fetch->held--;
	fetch_rest(fetch);
}

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

static void waiter_answer(struct fetch_waiter *mine, const struct body_slice *slice,
	const GError *error)
{
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
	waiter_answer(mine, NULL, error);
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
	waiter_answer(mine, slice, error);
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

/* Answers all who can be; true when somebody was. */
static bool serve_some(struct fetch *fetch)
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

/* ---- deciding ---------------------------------------------------------------------------------- */

static bool wants_exact(const struct fetch *fetch)
{
	for (GList *at = fetch->waiters.head; at; at = at->next) {
		if (((struct fetch_waiter *)at->data)->kind == WAITER_EXACT)
			return true;
	}
	return false;
}

static struct fetch_waiter *first_unserved(const struct fetch *fetch)
{
	for (GList *at = fetch->waiters.head; at; at = at->next) {
		struct fetch_waiter *mine = at->data;

		if (!mine->is_served)
			return mine;
	}
	return NULL;
}

static void begin_request(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	const struct fetch_waiter *first = first_unserved(fetch);
	struct folder *folder;
	const struct message *message = fetch_message(fetch, &folder);
	g_autoptr(GError) error = NULL;

	if (!message) {
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_STALE, "the message is no more");
		fetch_fail_waiters(fetch, error, false);
		return;
	}
	g_free(fetch->folder);
	fetch->folder = g_strdup(folder->name);
	fetch->uidvalidity = folder->uidvalidity;
	fetch->tries = 0;
	backoff_reset(&fetch->refusals);
	for (GList *at = fetch->waiters.head; at; at = at->next)
		((struct fetch_waiter *)at->data)->is_waiting = true;
	/* Beyond the size that is claimed only a whole fetch knows. */
	fetch->is_whole = wants_exact(fetch) || first->range.offset >= message->size ||
		message->size <= FETCH_WHOLE_MAX || !engine->can_range || engine_is_unproven(engine) ||
		store_get_trust(engine->config.store).is_range_unstable;
	if (fetch->is_whole)
		nexts_spoil(fetch);
	else
		window_plan(fetch, first->range.offset, message->size);
	engine->reads_fetched++;
	engine->last_demand_us = clock_monotonic_us();
	request_start(fetch);
}

static void complete_from_index(struct fetch *fetch)
{
	if (body_is_complete(fetch->body))
		fetch_note_size(fetch, body_size(fetch->body), false);
}

/* Somebody waits for what is not here. */
static void ask_for_more(struct fetch *fetch, struct fetch_waiter *first)
{
	bool is_read = first->kind == WAITER_READ;
	uint64_t offset = first->range.offset; /* it may be gone before the end */

	if (fetch->batch)
		batch_hasten(fetch->batch);
	else if (!fetch->is_busy && is_read && nexts_await(fetch, offset))
		first->is_waiting = true;
	else if (!fetch->is_busy)
		begin_request(fetch);
	if (is_read && !wants_exact(fetch))
		nexts_ask(fetch, offset);
}

void fetch_advance(struct fetch *fetch)
{
	fetch->advance_again = true;
	if (fetch->is_advancing || !body_is_ready(fetch->body))
		return;
	fetch->is_advancing = true;
	fetch->held++;
	while (fetch->advance_again) {
		fetch->advance_again = false;
		complete_from_index(fetch);
		while (serve_some(fetch))
			;
		if (!fetch->is_busy && nexts_take(fetch))
			fetch->advance_again = true;
		else if (first_unserved(fetch))
			ask_for_more(fetch, first_unserved(fetch));
	}
	fetch->is_advancing = false;
	fetch_release(fetch);
}

static void on_body_ready(void *user)
{
	fetch_advance(user);
}

/* ---- for the engine ---------------------------------------------------------------------------- */

static engine_ticket waiter_enter(struct fetch *fetch, const struct fetch_waiter *values)
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

/* Somebody begins to read: whoever walks on will want the neighbours. What is fetched ahead may free
 * fetches that nobody waits for, but not this one. */
static void note_use(struct fetch *fetch)
{
	struct fetcher *fetcher = fetch->fetcher;
	bool is_here = !body_is_ready(fetch->body) || body_is_complete(fetch->body);

	fetcher_note_used(fetcher, fetch->box_id, fetch->uid);
	fetch->held++;
	if (fetcher->engine->prefetch)
		prefetch_note(fetcher->engine->prefetch, fetch->box_id, fetch->uid, is_here);
	fetch->held--;
}

void fetcher_note_used(struct fetcher *fetcher, uint32_t box_id, uint32_t uid)
{
	uint64_t key = fetch_key(box_id, uid);

	if (g_hash_table_remove(fetcher->ahead, &key))
		fetcher->engine->ahead_used++;
}

bool fetcher_is_elsewhere(const struct fetcher *fetcher, uint32_t box_id, uint32_t uid)
{
	uint64_t key = fetch_key(box_id, uid);

	return g_hash_table_lookup(fetcher->ahead, &key) == GUINT_TO_POINTER(AHEAD_ELSEWHERE);
}

void fetcher_note_open(struct fetcher *fetcher, uint32_t box_id, uint32_t uid)
{
	if (!fetcher_is_elsewhere(fetcher, box_id, uid))
		return;
	fetcher_note_used(fetcher, box_id, uid);
	if (fetcher->engine->prefetch)
		prefetch_note(fetcher->engine->prefetch, box_id, uid, true);
}

engine_ticket fetcher_read(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	struct mailfs_range range, body_read_fn done, void *user)
{
	struct fetch *fetch = fetch_get(fetcher, box_id, uid);

	if (range.offset == 0)
		note_use(fetch);
	return waiter_enter(fetch, &(struct fetch_waiter){
		.kind = WAITER_READ,
		.range = range,
		.read = done,
		.user = user,
	});
}

engine_ticket fetcher_make_exact(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	engine_done_fn done, void *user)
{
	struct fetch *fetch = fetch_get(fetcher, box_id, uid);

	note_use(fetch);
	return waiter_enter(fetch, &(struct fetch_waiter){
		.kind = WAITER_EXACT,
		.done = done,
		.user = user,
	});
}

struct fetcher *fetcher_new(struct engine *engine)
{
	struct fetcher *fetcher = g_new0(struct fetcher, 1);

	fetcher->engine = engine;
	fetcher->fetches = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, fetch_free);
	fetcher->reads = g_hash_table_new(NULL, NULL);
	fetcher->batches = g_hash_table_new(NULL, NULL);
	fetcher->ahead = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_queue_init(&fetcher->idle);
	return fetcher;
}

void fetcher_free(struct fetcher *fetcher)
{
	GHashTableIter iter;
	gpointer read, batch;

	g_hash_table_iter_init(&iter, fetcher->reads);
	while (g_hash_table_iter_next(&iter, &read, NULL))
		((struct disk_read *)read)->fetch = NULL;
	g_hash_table_iter_init(&iter, fetcher->batches);
	while (g_hash_table_iter_next(&iter, &batch, NULL))
		batch_abandon(batch);
	g_hash_table_unref(fetcher->batches);
	g_queue_clear(&fetcher->idle);
	g_hash_table_unref(fetcher->fetches);
	g_hash_table_unref(fetcher->reads);
	g_hash_table_unref(fetcher->ahead);
	g_free(fetcher);
}
