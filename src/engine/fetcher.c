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
	g_clear_pointer(&fetch->kept, g_checksum_free);
	g_free(fetch);
}

void fetch_want_exact(struct fetch *fetch)
{
	fetch_enter(fetch, &(struct fetch_waiter){ .kind = WAITER_EXACT });
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
	fetch->losses = fetch->tries = 0;
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
		while (fetch_serve(fetch))
			;
		if (!fetch->is_busy && nexts_take(fetch))
			fetch->advance_again = true;
		else if (first_unserved(fetch))
			ask_for_more(fetch, first_unserved(fetch));
	}
	fetch->is_advancing = false;
	fetch_release(fetch);
}

/* ---- for the engine ---------------------------------------------------------------------------- */

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
	return fetch_enter(fetch, &(struct fetch_waiter){
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
	return fetch_enter(fetch, &(struct fetch_waiter){
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
