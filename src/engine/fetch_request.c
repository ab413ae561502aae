/* SPDX-License-Identifier: MIT */
/* One message, one request: what is sent, what comes, what is made of it. Loop thread. */
#include "engine/fetch_impl.h"

#include <string.h>

#include "base/clock.h"
#include "base/parse.h"

#define THROTTLE_HINT    "Backoff Time: "
#define THROTTLE_MAX_MS  300000u
#define THROTTLE_CALM_US (60 * G_USEC_PER_SEC)
#define WEIGHT_BYTES     (256u * 1024) /* a request of so many weighs one more */

void fetch_give(struct fetch *fetch, uint64_t offset, const void *bytes, size_t len)
{
	for (size_t at = 0; at < len; at += FETCH_PIECE) {
		g_autoptr(GBytes) piece =
			g_bytes_new((const uint8_t *)bytes + at, MIN(len - at, FETCH_PIECE));

		body_add(fetch->body, offset + at, piece, NULL, NULL);
	}
	engine_check_pressure(fetch->fetcher->engine);
}

void request_begin(struct fetch *fetch, uint64_t size)
{
	/* A second beginning: the server starts over. Small ones get their room at once, but never
	 * more than that on the server's word. */
	g_byte_array_set_size(fetch->buffer,
		(guint)MIN(size == UINT64_MAX ? 0 : size, FETCH_WHOLE_MAX));
	g_byte_array_set_size(fetch->buffer, 0);
	fetch->has_begun = true;
	fetch->announced = size;
}

void request_data(struct fetch *fetch, const void *bytes, size_t len)
{
	fetch->is_overlong |= !fetch->is_whole && len > fetch->asked.len - fetch->buffer->len;
	if (fetch->is_overlong)
		return;
	g_byte_array_append(fetch->buffer, bytes, (guint)len);
	/* The first windows wait for the end: then a small message is one piece. */
	while (fetch->is_whole && fetch->buffer->len >= 2 * FETCH_PIECE) {
		fetch_give(fetch, fetch->stored, fetch->buffer->data, FETCH_PIECE);
		fetch->stored += FETCH_PIECE;
		g_byte_array_remove_range(fetch->buffer, 0, FETCH_PIECE);
	}
}

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct fetch *fetch = user;

	if (uid == fetch->uid)
		request_begin(fetch, size);
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct fetch *fetch = user;

	if (uid == fetch->uid && fetch->has_begun)
		request_data(fetch, bytes, len);
}

static void on_end(void *user, uint32_t uid)
{
	struct fetch *fetch = user;

	fetch->has_ended |= uid == fetch->uid && fetch->has_begun;
}

void request_over(struct fetch *fetch)
{
	fetch->is_busy = false;
	if (fetch->pause_timer != 0)
		g_source_remove(fetch->pause_timer);
	fetch->pause_timer = 0;
	g_clear_pointer(&fetch->buffer, g_byte_array_unref);
	g_clear_pointer(&fetch->folder, g_free);
}

/* All that is in the buffer, without a copy where that can be: then it is returned too. */
static GBytes *give_rest(struct fetch *fetch)
{
	GBytes *rest;

	if (fetch->buffer->len > FETCH_PIECE) {
		fetch_give(fetch, fetch->stored, fetch->buffer->data, fetch->buffer->len);
		return NULL;
	}
	rest = g_byte_array_free_to_bytes(g_steal_pointer(&fetch->buffer));
	if (g_bytes_get_size(rest) > 0)
		body_add(fetch->body, fetch->stored, rest, NULL, NULL);
	engine_check_pressure(fetch->fetcher->engine);
	return rest;
}

void request_take_whole(struct fetch *fetch)
{
	struct engine *engine = fetch->fetcher->engine;
	uint64_t size = fetch->stored + fetch->buffer->len;
	g_autoptr(GBytes) rest = give_rest(fetch);

	body_complete(fetch->body, size);
	engine->bodies_fetched++;
	engine->body_bytes_fetched += size;
	request_over(fetch);
	if (!fetch_note_size(fetch, size, true))
		fetch_fail_wrong_size(fetch);
	else if (fetch->nth > 0 && fetch->stored == 0 && rest)
		ahead_tell(fetch, rest);
	fetch_advance(fetch);
}

static struct fetch *of_job(struct pool_job *job)
{
	return (struct fetch *)((char *)job - G_STRUCT_OFFSET(struct fetch, job));
}

void request_failed(struct fetch *fetch, const GError *error)
{
	struct folder *folder;

	/* Half a body is none. */
	if (fetch->is_whole && fetch->stored > 0)
		body_drop(fetch->body);
	request_over(fetch);
	fetch_message(fetch, &folder);
	if (folder && g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_STALE))
		syncer_sync(fetch->fetcher->engine, folder, NULL, NULL);
	fetch_fail_waiters(fetch, error, false);
	fetch_advance(fetch);
}

static void note_gone(struct fetch *fetch)
{
	g_autoptr(GError) error = NULL;
	struct folder *folder;
	struct message *message = fetch_message(fetch, &folder);

	/* It was kept for its body, which is not here any more. */
	if (message && (message->bits & MESSAGE_LOCAL) != 0)
		message->bits &= ~(unsigned)(MESSAGE_LOCAL | MESSAGE_SIZE_EXACT) & 0xff;
	if (folder)
		syncer_sync(fetch->fetcher->engine, folder, NULL, NULL);
	g_set_error(&error, MAILFS_ERROR, MAILFS_ERROR_GONE, "the message is no more on the server");
	request_failed(fetch, error);
}


/* A body that came, but cannot be it; NULL = it is good. */
const char *request_fault(const struct fetch *fetch)
{
	const struct message *message = fetch_message(fetch, NULL);
	uint64_t got = fetch->stored + fetch->buffer->len;

	if (fetch->is_overlong)
		return "the server sent more than was asked for";
	if (fetch->announced != UINT64_MAX && got != fetch->announced)
		return "the server sent another number of octets than it announced";
	if (fetch->is_whole && got == 0 && message && message->size > 0)
		return "the server sent an empty message"; /* SZ-3 */
	return NULL;
}

/* Reading changes nothing on the server: once more on another connection. A connection that broke
 * the protocol takes the requests of others with it, so those are repeated too. A loss says nothing
 * about the message: it is counted for itself. */
static bool may_retry(struct fetch *fetch, const GError *error)
{
	static const enum mailfs_error codes[] = { MAILFS_ERROR_TIMEOUT, MAILFS_ERROR_PROTOCOL };

	if (g_queue_is_empty(&fetch->waiters))
		return false;
	if (pool_was_lost(fetch->fetcher->engine->pool, error))
		return ++fetch->losses < FETCH_TRIES;
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		if (g_error_matches(error, MAILFS_ERROR, (gint)codes[i]))
			return ++fetch->tries < FETCH_TRIES;
	}
	return false;
}

/* ---- a server that has had enough -------------------------------------------------------------- */

bool request_is_throttled(const GError *error)
{
	return g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_TRY_LATER) ||
		g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_LIMIT);
}

void fetcher_calm_down(struct fetcher *fetcher)
{
	fetcher->calm_until_us = clock_monotonic_us() + THROTTLE_CALM_US;
}

/* "Request is throttled. Suggested Backoff Time: 299961 milliseconds"; 0 = it suggests nothing. */
static unsigned suggested_ms(const char *text)
{
	const char *hint = strcasestr(text, THROTTLE_HINT);
	uint64_t ms;

	if (!hint)
		return 0;
	hint += strlen(THROTTLE_HINT);
	if (!parse_u64(hint, strspn(hint, "0123456789"), &ms))
		return 0;
	return (unsigned)MIN(ms, THROTTLE_MAX_MS);
}

static gboolean on_pause_over(gpointer user)
{
	struct fetch *fetch = user;

	fetch->pause_timer = 0;
	fetch->held++;
	/* The readers have a deadline of their own: perhaps nobody is left. */
	if (g_queue_is_empty(&fetch->waiters))
		request_over(fetch);
	else
		request_start(fetch);
	fetch_release(fetch);
	return G_SOURCE_REMOVE;
}

/* The waiters wait on, as long as they may; their end is a timeout, not an error of the disk. */
static void request_pause(struct fetch *fetch, const GError *error)
{
	unsigned own_ms = backoff_next_ms(&fetch->refusals, g_random_int());
	unsigned ms = suggested_ms(error->message);

	fetcher_calm_down(fetch->fetcher);
	engine_add_reason(fetch->fetcher->engine, "UID %u: %s", fetch->uid, error->message);
	if (fetch->is_whole && fetch->stored > 0)
		body_drop(fetch->body);
	fetch->stored = 0;
	fetch->pause_timer = g_timeout_add(ms > 0 ? ms : own_ms, on_pause_over, fetch);
}

void request_answered(struct fetch *fetch)
{
	if (!fetch->has_ended)
		note_gone(fetch);
	else if (fetch->is_whole)
		request_take_whole(fetch);
	else
		window_take(fetch);
}

static void on_done(void *user, const GError *error)
{
	struct fetch *fetch = user;
	struct engine *engine = fetch->fetcher->engine;
	const char *fault = !error && fetch->has_ended ? request_fault(fetch) : NULL;
	g_autoptr(GError) bad = NULL;

	pool_done(engine->pool, &fetch->job, error);
	if (fault)
		error = bad = g_error_new_literal(MAILFS_ERROR, MAILFS_ERROR_PROTOCOL, fault);
	if (may_retry(fetch, error)) {
		request_start(fetch);
		return;
	}
	if (request_is_throttled(error) && !g_queue_is_empty(&fetch->waiters)) {
		request_pause(fetch, error);
		return;
	}
	fetch->held++;
	if (error) {
		if (!g_error_matches(error, MAILFS_ERROR, MAILFS_ERROR_CANCELLED))
			engine_add_reason(engine, "UID %u: %s", fetch->uid, error->message);
		request_failed(fetch, error);
	} else {
		request_answered(fetch);
	}
	fetch_release(fetch);
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct fetch *fetch = of_job(job);
	struct engine *engine = fetch->fetcher->engine;
	g_autofree const char **keys = syncer_keys(engine, fetch->folder, &fetch->uid, 1);

	return engine->config.backend->fetch(session, &(struct mailfs_fetch_request){
		.folder = fetch->folder,
		.uidvalidity = fetch->uidvalidity,
		.uids = &fetch->uid,
		.keys = keys,
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

void request_prepare(struct fetch *fetch, const struct folder *folder)
{
	if (fetch->buffer)
		g_byte_array_set_size(fetch->buffer, 0);
	else
		fetch->buffer = g_byte_array_new();
	if (folder) {
		g_free(fetch->folder);
		fetch->folder = g_strdup(folder->name);
		fetch->uidvalidity = folder->uidvalidity;
	}
	fetch->is_busy = true;
	fetch->has_begun = false;
	fetch->has_ended = false;
	fetch->is_overlong = false;
	fetch->announced = 0;
	fetch->stored = 0;
	/* A whole fetch begins anew: its bytes are not joined with those of another fetch. */
	if (fetch->is_whole && body_gap_until(fetch->body, 0) != UINT64_MAX)
		body_drop(fetch->body);
}

/* What comes behind a large answer waits for all of it: it had better go elsewhere. */
static unsigned request_weight(const struct fetch *fetch)
{
	const struct message *message = fetch_message(fetch, NULL);
	uint64_t bytes = !fetch->is_whole ? fetch->asked.len : message ? message->size : 0;

	return (unsigned)MIN(1 + bytes / WEIGHT_BYTES, POOL_WEIGHT_MAX);
}

void request_start(struct fetch *fetch)
{
	request_prepare(fetch, NULL);
	if (kept_start(fetch))
		return;
	request_submit(fetch);
}

void request_submit(struct fetch *fetch)
{
	fetch->job = (struct pool_job){
		.priority = POOL_INTERACTIVE,
		.weight = request_weight(fetch),
		.folder = fetch->folder,
		.start = job_start,
		.fail = job_fail,
	};
	pool_submit(fetch->fetcher->engine->pool, &fetch->job);
}
