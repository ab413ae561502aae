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
#include "engine/internal.h"

#include <string.h>

#include "base/log.h"

#define FETCH_WHOLE_MAX     (256u * 1024)      /* up to here one fetch is cheaper than windows */
#define FETCH_WINDOW_FIRST  (128u * 1024)
#define FETCH_WINDOW_MAX    (1024u * 1024)
#define FETCH_OVERLAP       4096u
#define FETCH_IDLE_MAX      64u                 /* kept for the reading position */
#define FETCH_TRIES         2u
#define FETCH_DAMAGE_TRIES  3u

enum waiter_kind { WAITER_READ, WAITER_EXACT };

struct fetch_waiter {
	struct engine_waiter waiter;
	struct fetch *fetch;
	enum waiter_kind kind;
	struct mailfs_range range;
	body_read_fn read;
	engine_done_fn done;
	void *user;
	bool is_waiting; /* for the server; else it is served from the cache */
	bool is_served;  /* the disk is being asked for it */
	unsigned damages;
};

/* The disk is being asked. Lives until it answers, whatever happens meanwhile. */
struct disk_read {
	struct fetch *fetch; /* NULL: the fetcher is no more */
	engine_ticket ticket; /* of the reader; 0 = a comparison of our own */
	struct fetch_waiter *waiter; /* while the ticket is valid */
};

/* The part of a window that lies over bytes that are here. */
struct overlap {
	uint64_t offset, len;
};

struct fetch {
	struct fetcher *fetcher;
	uint64_t key;
	uint32_t box_id, uid;
	struct body *body;
	GQueue waiters;
	unsigned held;      /* calls on the stack and disk reads: it may not be freed */
	bool is_advancing, advance_again;
	uint64_t next_offset; /* the end of the last window */
	uint64_t window;

	/* the request under way */
	bool is_busy;
	bool is_whole;
	bool has_begun, has_ended, is_overlong;
	unsigned tries;
	struct pool_job job;
	char *folder;
	uint32_t uidvalidity;
	struct mailfs_range asked; /* a window with its overlaps */
	struct mailfs_range gap;   /* what is missing of it */
	bool probes_end;           /* asks for one byte more than the size that is claimed */
	uint64_t announced;
	uint64_t stored;           /* whole: bytes given to the body already */
	GByteArray *buffer;
	struct overlap overlaps[2];
	unsigned overlaps_left;
};

struct fetcher {
	struct engine *engine;
	GHashTable *fetches; /* key → struct fetch */
	GHashTable *reads;   /* struct disk_read, under way */
	GQueue idle;         /* without waiter and request, oldest first */
};

static void fetch_advance(struct fetch *fetch);
static engine_ticket waiter_enter(struct fetch *fetch, const struct fetch_waiter *values);

static uint64_t fetch_key(uint32_t box_id, uint32_t uid)
{
	return (uint64_t)box_id << 32 | uid;
}

static struct message *find_message(const struct fetch *fetch, struct folder **ret_folder)
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

	body_forget_waiter(fetch->body, fetch);
	body_unref(fetch->body);
	if (fetch->buffer)
		g_byte_array_unref(fetch->buffer);
	g_free(fetch->folder);
	g_free(fetch);
}

static struct fetch *fetch_get(struct fetcher *fetcher, uint32_t box_id, uint32_t uid)
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
	g_hash_table_insert(fetcher->fetches, &fetch->key, fetch);
	return fetch;
}

/* Nobody wants anything of it now? Then it goes, or rests where its reading position is of use. */
static void fetch_rest(struct fetch *fetch)
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

static void fetch_release(struct fetch *fetch)
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
	if (g_queue_is_empty(&fetch->waiters) && fetch->is_busy && fetch->job.is_queued &&
		!engine->is_freeing && pool_cancel(engine->pool, &fetch->job))
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
static void fail_waiters(struct fetch *fetch, const GError *error, bool only_reads)
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

static struct disk_read *disk_read_new(struct fetch *fetch, struct fetch_waiter *waiter)
{
	struct disk_read *read = g_new0(struct disk_read, 1);

	read->fetch = fetch;
	read->waiter = waiter;
	read->ticket = waiter ? waiter->waiter.ticket : 0;
	fetch->held++;
	g_hash_table_add(fetch->fetcher->reads, read);
	return read;
}

/* NULL: nobody is there any more. The fetch stays held by the caller. */
static struct fetch *disk_read_end(struct disk_read *read)
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
	const struct message *message = find_message(fetch, NULL);

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

/* ---- sizes ------------------------------------------------------------------------------------- */

static void store_message_row(struct engine *engine, const struct folder *folder,
	const struct message *message)
{
	struct store_batch *batch = store_batch_new(engine->config.store, folder->box->id);

	store_batch_put(batch, &(struct store_message){
		.message = message,
		.keywords = mailbox_keywords(folder->box, message->keywords),
	});
	store_batch_commit(batch, NULL, NULL);
}

/* The size of a message was counted, on fresh bytes or on cached ones (which prove nothing anew).
 * False: it is not what the server claimed. */
static bool note_size(struct fetch *fetch, uint64_t size, bool is_fresh)
{
	struct engine *engine = fetch->fetcher->engine;
	struct store_trust trust = store_get_trust(engine->config.store);
	struct folder *folder;
	struct message *message = find_message(fetch, &folder);
	bool fits;

	if (!message || (message->bits & MESSAGE_SIZE_EXACT) != 0)
		return true;
	fits = message->size == size;
	message->bits |= MESSAGE_SIZE_EXACT;
	if (fits && is_fresh && trust.proven < STORE_TRUST_PROVEN) {
		trust.proven++;
		store_put_trust(engine->config.store, trust);
	}
	if (!fits) {
		engine_add_reason(engine, "%s: UID %u: the server claims %" G_GUINT64_FORMAT
			" octets and sends %" G_GUINT64_FORMAT, folder->path, fetch->uid,
			(guint64)message->size, size);
		message->size = size;
		if (!trust.is_liar) {
			trust.is_liar = true;
			store_put_trust(engine->config.store, trust);
		}
		engine->events.message_changed(engine->user, folder, fetch->uid);
	}
	if (!fits || trust.is_liar)
		store_message_row(engine, folder, message);
	return fits;
}

static void fail_reads_of_wrong_size(struct fetch *fetch)
{
	g_autoptr(GError) error = NULL;

	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"the message is not as long as the server said; the size is right from now on");
	fail_waiters(fetch, error, true);
}

/* The server's size is wrong, and only a whole fetch can tell the right one: it is made at once. */
static void size_is_wrong(struct fetch *fetch)
{
	body_drop(fetch->body);
	engine_distrust(fetch->fetcher->engine);
	fail_reads_of_wrong_size(fetch);
	waiter_enter(fetch, &(struct fetch_waiter){ .kind = WAITER_EXACT });
}

/* ---- the request ------------------------------------------------------------------------------- */

static void give_to_body(struct fetch *fetch, uint64_t offset, const void *bytes, size_t len)
{
	g_autoptr(GBytes) copy = g_bytes_new(bytes, len);

	body_add(fetch->body, offset, copy, NULL, NULL);
	engine_check_pressure(fetch->fetcher->engine);
}

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct fetch *fetch = user;

	if (uid != fetch->uid)
		return;
	fetch->has_begun = true;
	fetch->announced = size;
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct fetch *fetch = user;

	if (uid != fetch->uid || !fetch->has_begun)
		return;
	fetch->is_overlong |= !fetch->is_whole && len > fetch->asked.len - fetch->buffer->len;
	if (fetch->is_overlong)
		return;
	g_byte_array_append(fetch->buffer, bytes, (guint)len);
	/* The first windows wait for the end: then a small message is one piece. */
	while (fetch->is_whole && fetch->buffer->len >= 2 * FETCH_WINDOW_MAX) {
		give_to_body(fetch, fetch->stored, fetch->buffer->data, FETCH_WINDOW_MAX);
		fetch->stored += FETCH_WINDOW_MAX;
		g_byte_array_remove_range(fetch->buffer, 0, FETCH_WINDOW_MAX);
	}
}

static void on_end(void *user, uint32_t uid)
{
	struct fetch *fetch = user;

	fetch->has_ended |= uid == fetch->uid && fetch->has_begun;
}

static void request_over(struct fetch *fetch)
{
	fetch->is_busy = false;
	g_clear_pointer(&fetch->buffer, g_byte_array_unref);
	g_clear_pointer(&fetch->folder, g_free);
}

static void take_whole(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	uint64_t size = fetch->stored + fetch->buffer->len;

	for (guint at = 0; at < fetch->buffer->len; at += FETCH_WINDOW_MAX)
		give_to_body(fetch, fetch->stored + at, fetch->buffer->data + at,
			MIN(fetch->buffer->len - at, FETCH_WINDOW_MAX));
	body_complete(fetch->body, size);
	engine->bodies_fetched++;
	engine->body_bytes_fetched += size;
	request_over(fetch);
	if (!note_size(fetch, size, true))
		fail_reads_of_wrong_size(fetch);
	fetch_advance(fetch);
}

/* ---- windows ----------------------------------------------------------------------------------- */

static void check_overlaps(struct fetch *fetch);

static void take_window(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	uint64_t end = fetch->asked.offset + fetch->buffer->len; /* of what came */
	uint64_t gap_end = fetch->gap.offset + fetch->gap.len;
	const struct message *message = find_message(fetch, NULL);
	uint64_t claimed = message ? message->size : gap_end;

	engine->body_bytes_fetched += fetch->buffer->len;
	/* The end is where it was claimed: nothing is missing, and the byte behind it is not there. */
	if (end < gap_end || (fetch->probes_end && end > gap_end)) {
		request_over(fetch);
		size_is_wrong(fetch);
		fetch_advance(fetch);
		return;
	}
	give_to_body(fetch, fetch->gap.offset,
		fetch->buffer->data + (fetch->gap.offset - fetch->asked.offset), fetch->gap.len);
	fetch->next_offset = gap_end;
	if (fetch->probes_end)
		note_size(fetch, claimed, true);
	request_over(fetch);
	if (message && (message->bits & MESSAGE_SIZE_EXACT) != 0 &&
		body_covered_until(fetch->body, 0) >= claimed) {
		body_complete(fetch->body, claimed);
		engine->bodies_fetched++;
	}
	fetch_advance(fetch);
}

static void window_differs(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	struct store_trust trust = store_get_trust(engine->config.store);
	g_autoptr(GError) error = NULL;
	struct folder *folder;
	const struct message *message = find_message(fetch, &folder);

	request_over(fetch);
	body_drop(fetch->body);
	trust.is_range_unstable = true;
	store_put_trust(engine->config.store, trust);
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_PROTOCOL,
		"the server sends other bytes each time; messages are fetched whole from now on");
	engine_add_reason(engine, "UID %u: %s", fetch->uid, error->message);
	fail_waiters(fetch, error, true);
	/* Readers have seen bytes of the other version. */
	if (message)
		engine_bytes_changed(engine, folder, fetch->uid);
	fetch_advance(fetch);
}

/* What is here of the overlap, at most `len` octets of it; 0: nothing that can be compared. */
static size_t copy_slice(const struct body_slice *slice, uint8_t *bytes, size_t len)
{
	len = MIN(slice->len, len);
	if (slice->bytes) {
		memcpy(bytes, (const uint8_t *)g_bytes_get_data(slice->bytes, NULL) + slice->offset, len);
		return len;
	}
	/* Checked a moment ago: the page cache has it. */
	return pread(slice->fd, bytes, len, (off_t)slice->offset) == (ssize_t)len ? len : 0;
}

static void compare(struct fetch *fetch, const struct body_slice *slice)
{
	struct overlap *overlap = &fetch->overlaps[fetch->overlaps_left - 1];
	const uint8_t *fresh = fetch->buffer->data + (overlap->offset - fetch->asked.offset);
	uint8_t old[FETCH_OVERLAP];
	size_t len = slice ? copy_slice(slice, old, (size_t)MIN(overlap->len, sizeof(old))) : 0;

	if (len > 0 && memcmp(old, fresh, len) != 0) {
		window_differs(fetch);
		return;
	}
	overlap->offset += len;
	overlap->len -= len;
	/* A neighbour that the disk lost is no witness; it will be fetched again. */
	if (overlap->len == 0 || len == 0)
		fetch->overlaps_left--;
	check_overlaps(fetch);
}

static void on_overlap(void *user, const struct body_slice *slice, const GError *error)
{
	struct fetch *fetch = disk_read_end(user);

	if (!fetch)
		return;
	compare(fetch, error ? NULL : slice);
	fetch_release(fetch);
}

static void check_overlaps(struct fetch *fetch)
{
	uint64_t end = fetch->asked.offset + fetch->buffer->len;

	while (fetch->overlaps_left > 0) {
		struct overlap *overlap = &fetch->overlaps[fetch->overlaps_left - 1];
		struct mailfs_range range = { overlap->offset, overlap->len };

		if (overlap->offset + overlap->len <= end && body_covers(fetch->body, range)) {
			body_read(fetch->body, range, on_overlap, disk_read_new(fetch, NULL));
			return;
		}
		fetch->overlaps_left--;
	}
	take_window(fetch);
}

static void plan_window(struct fetch *fetch, uint64_t offset, uint64_t size)
{
	uint64_t start = offset;
	uint64_t end;

	if (offset == fetch->next_offset && fetch->window > 0)
		fetch->window = MIN(fetch->window * 2, FETCH_WINDOW_MAX);
	else
		fetch->window = FETCH_WINDOW_FIRST;
	end = MIN(start + fetch->window, MIN(body_gap_until(fetch->body, start), size));
	fetch->gap = (struct mailfs_range){ start, end - start };
	fetch->probes_end = end == size;
	fetch->overlaps_left = 0;
	fetch->asked = fetch->gap;
	if (start > 0 && body_covers(fetch->body, (struct mailfs_range){ start - 1, 1 })) {
		uint64_t lead = MIN(start, FETCH_OVERLAP);

		fetch->asked.offset -= lead;
		fetch->asked.len += lead;
		fetch->overlaps[fetch->overlaps_left++] = (struct overlap){ start - lead, lead };
	}
	if (end < size) {
		uint64_t trail = MIN(size - end, FETCH_OVERLAP);

		if (body_covers(fetch->body, (struct mailfs_range){ end, trail })) {
			fetch->asked.len += trail;
			fetch->overlaps[fetch->overlaps_left++] = (struct overlap){ end, trail };
		}
	}
	if (fetch->probes_end)
		fetch->asked.len++;
}

/* ---- sending ----------------------------------------------------------------------------------- */

static struct fetch *of_job(struct pool_job *job)
{
	return (struct fetch *)((char *)job - G_STRUCT_OFFSET(struct fetch, job));
}

static void request_failed(struct fetch *fetch, const GError *error)
{
	struct folder *folder;

	/* Half a body is none. */
	if (fetch->is_whole && fetch->stored > 0)
		body_drop(fetch->body);
	request_over(fetch);
	find_message(fetch, &folder);
	if (folder && g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_STALE))
		syncer_sync(fetch->fetcher->engine, folder, NULL, NULL);
	fail_waiters(fetch, error, false);
	fetch_advance(fetch);
}

static void note_gone(struct fetch *fetch)
{
	g_autoptr(GError) error = NULL;
	struct folder *folder;

	find_message(fetch, &folder);
	if (folder)
		syncer_sync(fetch->fetcher->engine, folder, NULL, NULL);
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more on the server");
	request_failed(fetch, error);
}

static void request_start(struct fetch *fetch);

/* A body that came, but cannot be it; NULL = it is good. */
static const char *find_fault(const struct fetch *fetch)
{
	const struct message *message = find_message(fetch, NULL);
	uint64_t got = fetch->stored + fetch->buffer->len;

	if (fetch->is_overlong)
		return "the server sent more than was asked for";
	if (got != fetch->announced)
		return "the server sent another number of octets than it announced";
	if (fetch->is_whole && got == 0 && message && message->size > 0)
		return "the server sent an empty message"; /* SZ-3 */
	return NULL;
}

/* Reading changes nothing on the server: once more on another connection. A connection that broke
 * the protocol takes the requests of others with it, so those are repeated too. */
static bool may_retry(struct fetch *fetch, const GError *error)
{
	static const enum mailfs_error codes[] = { MAILFS_ERROR_CONNECTION_LOST,
		MAILFS_ERROR_TIMEOUT, MAILFS_ERROR_PROTOCOL };

	if (g_queue_is_empty(&fetch->waiters))
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		if (g_error_matches(error, MAILFS_ERROR, (gint)codes[i]))
			return ++fetch->tries < FETCH_TRIES;
	}
	return false;
}

static void take_answer(struct fetch *fetch)
{
	if (!fetch->has_ended)
		note_gone(fetch);
	else if (fetch->is_whole)
		take_whole(fetch);
	else
		check_overlaps(fetch);
}

static void on_done(void *user, const GError *error)
{
	struct fetch *fetch = user;
	struct engine *engine = fetch->fetcher->engine;
	const char *fault = !error && fetch->has_ended ? find_fault(fetch) : NULL;
	g_autoptr(GError) bad = NULL;

	pool_done(engine->pool, &fetch->job, error);
	if (fault)
		error = bad = g_error_new_literal(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, fault);
	if (may_retry(fetch, error)) {
		request_start(fetch);
		return;
	}
	fetch->held++;
	if (error) {
		if (!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
			engine_add_reason(engine, "UID %u: %s", fetch->uid, error->message);
		request_failed(fetch, error);
	} else {
		take_answer(fetch);
	}
	fetch_release(fetch);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct fetch *fetch = of_job(job);

	return fetch->fetcher->engine->config.backend->fetch(session, &(struct mailfs_fetch_request){
		.folder = fetch->folder,
		.uidvalidity = fetch->uidvalidity,
		.uids = &fetch->uid,
		.uid_count = 1,
		.is_range = !fetch->is_whole,
		.range = fetch->asked,
		.begin = on_begin,
		.data = on_data,
		.end = on_end,
		.done = on_done,
		.user = fetch,
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	struct fetch *fetch = of_job(job);

	fetch->held++;
	request_failed(fetch, error);
	fetch_release(fetch);
}

static void request_start(struct fetch *fetch)
{
	if (fetch->buffer)
		g_byte_array_set_size(fetch->buffer, 0);
	else
		fetch->buffer = g_byte_array_new();
	fetch->is_busy = true;
	fetch->has_begun = false;
	fetch->has_ended = false;
	fetch->is_overlong = false;
	fetch->announced = 0;
	fetch->stored = 0;
	/* A whole fetch begins anew: its bytes are not joined with those of another fetch. */
	if (fetch->is_whole && body_gap_until(fetch->body, 0) != UINT64_MAX)
		body_drop(fetch->body);
	fetch->job = (struct pool_job){
		.priority = POOL_INTERACTIVE,
		.weight = 1,
		.folder = fetch->folder,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(fetch->fetcher->engine->pool, &fetch->job);
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
	const struct message *message = find_message(fetch, &folder);
	g_autoptr(GError) error = NULL;

	if (!message) {
		g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_STALE, "the message is no more");
		fail_waiters(fetch, error, false);
		return;
	}
	g_free(fetch->folder);
	fetch->folder = g_strdup(folder->name);
	fetch->uidvalidity = folder->uidvalidity;
	fetch->tries = 0;
	for (GList *at = fetch->waiters.head; at; at = at->next)
		((struct fetch_waiter *)at->data)->is_waiting = true;
	/* Beyond the size that is claimed only a whole fetch knows. */
	fetch->is_whole = wants_exact(fetch) || first->range.offset >= message->size || message->size <= FETCH_WHOLE_MAX || !engine->can_range ||
		engine_is_unproven(engine) || store_get_trust(engine->config.store).is_range_unstable;
	if (!fetch->is_whole)
		plan_window(fetch, first->range.offset, message->size);
	engine->reads_fetched++;
	request_start(fetch);
}

static void complete_from_index(struct fetch *fetch)
{
	if (body_is_complete(fetch->body))
		note_size(fetch, body_size(fetch->body), false);
}

static void fetch_advance(struct fetch *fetch)
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
		if (!fetch->is_busy && first_unserved(fetch))
			begin_request(fetch);
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

engine_ticket fetcher_read(struct fetcher *fetcher, uint32_t box_id, uint32_t uid,
	struct mailfs_range range, body_read_fn done, void *user)
{
	struct fetch *fetch = fetch_get(fetcher, box_id, uid);

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
	return waiter_enter(fetch_get(fetcher, box_id, uid), &(struct fetch_waiter){
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
	g_queue_init(&fetcher->idle);
	return fetcher;
}

void fetcher_free(struct fetcher *fetcher)
{
	GHashTableIter iter;
	gpointer read;

	g_hash_table_iter_init(&iter, fetcher->reads);
	while (g_hash_table_iter_next(&iter, &read, NULL))
		((struct disk_read *)read)->fetch = NULL;
	g_queue_clear(&fetcher->idle);
	g_hash_table_unref(fetcher->fetches);
	g_hash_table_unref(fetcher->reads);
	g_free(fetcher);
}
