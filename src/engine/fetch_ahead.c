/* SPDX-License-Identifier: MIT */
/*
 * Many messages in one request, before anybody asks for them: what makes a walk as fast as the
 * wire. A message of a batch is an ordinary struct fetch that is busy with a request of others; who
 * wants to read it waits for its own bytes, not for the batch: it is shown when its FETCH response
 * has closed with as many octets as were announced. What the batch does not bring is asked for
 * again, one by one, if somebody waits for it. Loop thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "engine/fetch_impl.h"
#include "engine/prefetch.h"

#define AHEAD_KEYS_MAX 65536u

struct batch {
	struct fetcher *fetcher;
	struct pool_job job;
	char *folder;
	uint32_t uidvalidity;
	GPtrArray *fetches; /* held; ascending by UID */
	GArray *uids;       /* what is asked for */
	uint64_t bytes;     /* of them, as the server claims */
	unsigned unready;   /* bodies that the index has not answered for */
	unsigned told;      /* messages that came */
	struct fetcher_wish wish; /* of who fills the cache; `done` NULL: it is for a walk */
	uint32_t first, last; /* UIDs of the wish */
	uint64_t got;       /* bytes that came */
	enum fetcher_end end;
	size_t next;        /* where the last callback was: they come in order, mostly */
};

static void batch_release(struct batch *batch)
{
	g_ptr_array_unref(batch->fetches);
	g_array_unref(batch->uids);
	g_free(batch->folder);
	g_free(batch);
}

/* The fetcher ends, and its fetches with it. */
void batch_abandon(struct batch *batch)
{
	for (guint i = 0; i < batch->fetches->len; i++)
		body_forget_waiter(((struct fetch *)g_ptr_array_index(batch->fetches, i))->body, batch);
	batch_release(batch);
}

static void batch_free(struct batch *batch)
{
	g_hash_table_remove(batch->fetcher->batches, batch);
	for (guint i = 0; i < batch->fetches->len; i++) {
		struct fetch *fetch = g_ptr_array_index(batch->fetches, i);

		if (fetch->batch != batch)
			continue;
		fetch->batch = NULL;
		/* Half a body is none. */
		if (fetch->stored > 0)
			body_drop(fetch->body);
		request_over(fetch);
	}
	for (guint i = 0; i < batch->fetches->len; i++) {
		struct fetch *fetch = g_ptr_array_index(batch->fetches, i);

		fetch_advance(fetch);
		fetch_release(fetch);
	}
	if (batch->wish.done)
		batch->wish.done(batch->wish.user, batch->end, batch->first, batch->last, batch->got);
	batch_release(batch);
}

static struct fetch *batch_find(struct batch *batch, uint32_t uid)
{
	for (size_t n = 0; n < batch->fetches->len; n++) {
		size_t at = (batch->next + n) % batch->fetches->len;
		struct fetch *fetch = g_ptr_array_index(batch->fetches, at);

		if (fetch->uid == uid) {
			batch->next = at;
			return fetch->batch == batch ? fetch : NULL;
		}
	}
	return NULL;
}

/* ---- what comes -------------------------------------------------------------------------------- */

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct fetch *fetch = batch_find(user, uid);

	if (fetch)
		request_begin(fetch, size);
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct fetch *fetch = batch_find(user, uid);

	if (fetch && fetch->has_begun)
		request_data(fetch, bytes, len);
}

static void note_ahead(struct fetch *fetch)
{
	struct fetcher *fetcher = fetch->fetcher;

	if (!g_queue_is_empty(&fetch->waiters))
		return;
	fetcher->engine->ahead_fetched++;
	if (g_hash_table_size(fetcher->ahead) < AHEAD_KEYS_MAX)
		g_hash_table_insert(fetcher->ahead, g_memdup2(&fetch->key, sizeof(fetch->key)),
			GUINT_TO_POINTER(AHEAD_HERE));
}

void ahead_tell(struct fetch *fetch, GBytes *bytes)
{
	struct fetcher *fetcher = fetch->fetcher;
	struct engine *engine = fetcher->engine;
	struct folder *folder;

	/* Who waits for it has asked for it. What is not counted could not be seen to be used. */
	if (!engine->events.message_came || !g_queue_is_empty(&fetch->waiters) ||
		!g_hash_table_contains(fetcher->ahead, &fetch->key) || !fetch_message(fetch, &folder) ||
		!prefetch_is_sure(engine->prefetch, fetch->box_id, fetch->uid))
		return;
	if (!engine->events.message_came(engine->user, folder, fetch->uid, fetch->nth, bytes))
		return;
	engine->bytes_read += g_bytes_get_size(bytes);
	g_hash_table_insert(fetcher->ahead, g_memdup2(&fetch->key, sizeof(fetch->key)),
		GUINT_TO_POINTER(AHEAD_ELSEWHERE));
}

static void on_end(void *user, uint32_t uid)
{
	struct batch *batch = user;
	struct fetch *fetch = batch_find(batch, uid);

	/* What is wrong with it will be found again by a request of its own. */
	if (!fetch || !fetch->has_begun || request_fault(fetch))
		return;
	fetch->batch = NULL;
	batch->got += fetch->announced;
	fetch->nth = 0;
	if (!batch->wish.done) {
		note_ahead(fetch);
		fetch->nth = ++batch->told;
	}
	request_take_whole(fetch);
}

/* It says nothing about the messages. */
static bool is_passing(const GError *error)
{
	static const enum mailfs_error codes[] = { MAILFS_ERROR_CONNECTION_LOST, MAILFS_ERROR_TIMEOUT,
		MAILFS_ERROR_OFFLINE, MAILFS_ERROR_CANCELLED, MAILFS_ERROR_TRY_LATER,
		MAILFS_ERROR_LIMIT };

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		if (g_error_matches(error, MAILFS_ERROR, (gint)codes[i]))
			return true;
	}
	return false;
}

static void on_done(void *user, const GError *error)
{
	struct batch *batch = user;

	pool_done(batch->fetcher->engine->pool, &batch->job, error);
	if (error)
		log_debug("engine", "a batch ended early: %s", error->message);
	if (request_is_throttled(error))
		fetcher_calm_down(batch->fetcher);
	batch->end = !error ? FETCHER_GOOD : is_passing(error) ? FETCHER_LOST : FETCHER_BAD;
	batch_free(batch);
}

/* ---- asking ------------------------------------------------------------------------------------ */

static struct batch *of_job(struct pool_job *job)
{
	return (struct batch *)((char *)job - G_STRUCT_OFFSET(struct batch, job));
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct batch *batch = of_job(job);
	struct engine *engine = batch->fetcher->engine;
	const uint32_t *uids = (const uint32_t *)(void *)batch->uids->data;
	g_autofree const char **keys = syncer_keys(engine, batch->folder, uids, batch->uids->len);

	return engine->config.backend->fetch(session, &(struct mailfs_fetch_request){
		.folder = batch->folder,
		.uidvalidity = batch->uidvalidity,
		.uids = uids,
		.keys = keys,
		.uid_count = batch->uids->len,
		.is_background = true,
		.begin = on_begin,
		.data = on_data,
		.end = on_end,
		.done = on_done,
		.user = batch,
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	batch_free(of_job(job));
}

void batch_hasten(struct batch *batch)
{
	pool_hasten(batch->fetcher->engine->pool, &batch->job);
}

static uint64_t fetch_claimed(const struct fetch *fetch)
{
	const struct message *message = fetch_message(fetch, NULL);

	return message ? message->size : 0;
}

static void batch_send(struct batch *batch)
{
	for (guint i = 0; i < batch->fetches->len; i++) {
		struct fetch *fetch = g_ptr_array_index(batch->fetches, i);

		if (fetch->is_busy || body_is_complete(fetch->body) ||
			vault_has(batch->fetcher->engine->vault, batch->folder, fetch->uid))
			continue;
		fetch->is_whole = true;
		fetch->losses = fetch->tries = 0;
		request_prepare(fetch, NULL);
		fetch->batch = batch;
		batch->bytes += fetch_claimed(fetch);
		g_array_append_val(batch->uids, fetch->uid);
	}
	if (batch->uids->len == 0) {
		batch->end = FETCHER_GOOD;
		batch_free(batch);
		return;
	}
	batch->job = (struct pool_job){
		.priority = POOL_BACKGROUND,
		.weight = 1,
		.bytes = batch->bytes,
		.folder = batch->folder,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(batch->fetcher->engine->pool, &batch->job);
}

static void on_body_ready(void *user)
{
	struct batch *batch = user;

	if (--batch->unready == 0)
		batch_send(batch);
}

void fetcher_fill(struct fetcher *fetcher, struct folder *folder, const struct fetcher_wish *wish)
{
	struct batch *batch = g_new0(struct batch, 1);
	const uint32_t *uids = wish->uids;
	size_t count = wish->count;

	batch->wish = *wish;
	batch->first = count > 0 ? uids[0] : 0;
	batch->last = count > 0 ? uids[count - 1] : 0;
	batch->fetcher = fetcher;
	batch->folder = g_strdup(folder->name);
	batch->uidvalidity = folder->uidvalidity;
	batch->fetches = g_ptr_array_new();
	batch->uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	batch->unready = 1;
	g_hash_table_add(fetcher->batches, batch);
	for (size_t i = 0; i < count; i++) {
		struct fetch *fetch = fetch_get(fetcher, folder->box->id, uids[i]);

		fetch->held++;
		g_ptr_array_add(batch->fetches, fetch);
		batch->unready++;
		body_when_ready(fetch->body, on_body_ready, batch);
	}
	if (--batch->unready == 0)
		batch_send(batch);
}

void fetcher_fetch_ahead(struct fetcher *fetcher, struct folder *folder, const uint32_t *uids,
	size_t count)
{
	int64_t now_us = clock_monotonic_us();

	if (now_us < fetcher->calm_until_us)
		return;
	fetcher->engine->last_demand_us = now_us;
	fetcher_fill(fetcher, folder, &(struct fetcher_wish){ .uids = uids, .count = count });
}
