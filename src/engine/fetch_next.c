/* SPDX-License-Identifier: MIT */
/*
 * The next windows of a large message, asked for while its reader waits for the one before: else the
 * line would be idle for a round trip between two of them. Each has a request of its own; when it has
 * come, and those before it, it is taken as if it had just been asked for. What goes wrong with one
 * is forgotten, and asked for anew by who wants it. Loop thread.
 */
#include "engine/fetch_impl.h"

#define NEXTS_MAX 2u

struct next {
	struct fetch *fetch; /* held until it is done */
	struct pool_job job;
	char *folder;
	uint32_t uidvalidity;
	struct mailfs_range asked, gap; /* as in struct fetch */
	bool probes_end;
	bool has_begun, has_ended, is_overlong;
	bool is_done, is_stale; /* stale: nobody may have it */
	uint64_t announced;
	GByteArray *buffer;
};

static void next_free(gpointer data)
{
	struct next *next = data;

	g_byte_array_unref(next->buffer);
	g_free(next->folder);
	g_free(next);
}

static void next_remove(struct next *next)
{
	g_queue_remove(&next->fetch->nexts, next);
	next_free(next);
}

void nexts_free(struct fetch *fetch)
{
	g_queue_clear_full(&fetch->nexts, next_free);
}

void nexts_spoil(struct fetch *fetch)
{
	for (GList *at = fetch->nexts.head, *after; at; at = after) {
		struct next *next = at->data;

		after = at->next;
		next->is_stale = true;
		if (next->is_done)
			next_remove(next);
	}
}

void nexts_cancel(struct fetch *fetch)
{
	for (GList *at = fetch->nexts.head, *after; at; at = after) {
		struct next *next = at->data;

		after = at->next;
		if (!next->job.is_queued || !pool_cancel(fetch->fetcher->engine->pool, &next->job))
			continue;
		g_assert(fetch->held > 0);
		fetch->held--;
		next_remove(next);
	}
}

static bool is_within(struct mailfs_range range, uint64_t offset)
{
	return offset >= range.offset && offset - range.offset < range.len;
}

bool nexts_await(const struct fetch *fetch, uint64_t offset)
{
	for (GList *at = fetch->nexts.head; at; at = at->next) {
		const struct next *next = at->data;

		if (!next->is_stale && is_within(next->gap, offset))
			return true;
	}
	return false;
}

/* ---- taking ------------------------------------------------------------------------------------ */

static void add_overlap(struct fetch *fetch, uint64_t from, uint64_t to)
{
	if (to > from)
		fetch->overlaps[fetch->overlaps_left++] = (struct overlap){ from, to - from };
}

static uint64_t asked_end(const struct next *next)
{
	return next->asked.offset + next->asked.len - next->probes_end;
}

/* Nothing came meanwhile that it would be joined with unproven. */
static bool fits_still(const struct fetch *fetch, const struct next *next)
{
	uint64_t end = next->gap.offset + next->gap.len;
	uint64_t here = body_gap_until(fetch->body, next->gap.offset);

	return asked_end(next) > end ? here >= end : here > end;
}

bool nexts_take(struct fetch *fetch)
{
	struct next *next = g_queue_peek_head(&fetch->nexts);

	if (!next || !next->is_done)
		return false;
	g_assert(!fetch->is_busy);
	if (!fits_still(fetch, next)) {
		next_remove(next);
		return true;
	}
	g_queue_pop_head(&fetch->nexts);
	fetch->is_busy = true;
	fetch->is_whole = fetch->is_overlong = false;
	fetch->has_begun = fetch->has_ended = true;
	fetch->batch = NULL;
	fetch->stored = 0;
	fetch->announced = next->announced;
	fetch->asked = next->asked;
	fetch->gap = next->gap;
	fetch->probes_end = next->probes_end;
	fetch->buffer = g_byte_array_ref(next->buffer);
	fetch->overlaps_left = 0;
	add_overlap(fetch, next->asked.offset, next->gap.offset);
	add_overlap(fetch, next->gap.offset + next->gap.len, asked_end(next));
	next_free(next);
	window_take(fetch);
	return true;
}

/* ---- what comes -------------------------------------------------------------------------------- */

static void on_begin(void *user, uint32_t uid, uint64_t size)
{
	struct next *next = user;

	if (uid != next->fetch->uid)
		return;
	g_byte_array_set_size(next->buffer, 0);
	next->has_begun = true;
	next->announced = size;
}

static void on_data(void *user, uint32_t uid, const void *bytes, size_t len)
{
	struct next *next = user;

	if (uid != next->fetch->uid || !next->has_begun)
		return;
	next->is_overlong |= len > next->asked.len - next->buffer->len;
	if (!next->is_overlong)
		g_byte_array_append(next->buffer, bytes, (guint)len);
}

static void on_end(void *user, uint32_t uid)
{
	struct next *next = user;

	next->has_ended |= uid == next->fetch->uid && next->has_begun;
}

static bool is_good(const struct next *next, const GError *error)
{
	return !error && !next->is_stale && next->has_ended && !next->is_overlong &&
		next->buffer->len == next->announced;
}

static void next_over(struct next *next, const GError *error)
{
	struct fetch *fetch = next->fetch;

	if (is_good(next, error))
		next->is_done = true;
	else
		next_remove(next);
	fetch_advance(fetch);
	fetch_release(fetch);
}

static void on_done(void *user, const GError *error)
{
	struct next *next = user;

	pool_done(next->fetch->fetcher->engine->pool, &next->job, error);
	next_over(next, error);
}

/* ---- asking ------------------------------------------------------------------------------------ */

static struct next *of_job(struct pool_job *job)
{
	return (struct next *)((char *)job - G_STRUCT_OFFSET(struct next, job));
}

static mailfs_ticket job_start(struct pool_job *job, struct mailfs_session *session)
{
	struct next *next = of_job(job);
	struct fetch *fetch = next->fetch;

	return fetch->fetcher->engine->config.backend->fetch(session, &(struct mailfs_fetch_request){
		.folder = next->folder,
		.uidvalidity = next->uidvalidity,
		.uids = &fetch->uid,
		.uid_count = 1,
		.is_range = true,
		.range = next->asked,
		.begin = on_begin,
		.data = on_data,
		.end = on_end,
		.done = on_done,
		.user = next,
	});
}

static void job_fail(struct pool_job *job, const GError *error)
{
	next_over(of_job(job), error);
}

/* With what is here already before and behind it; before it there will be something. */
static struct mailfs_range with_overlaps(const struct fetch *fetch, struct mailfs_range gap,
	uint64_t size)
{
	uint64_t end = gap.offset + gap.len, lead = MIN(gap.offset, FETCH_OVERLAP);
	uint64_t trail = MIN(size - end, FETCH_OVERLAP);

	if (!body_covers(fetch->body, (struct mailfs_range){ end, MAX(trail, 1) }))
		trail = 0;
	return (struct mailfs_range){ gap.offset - lead, lead + gap.len + trail };
}

static void next_send(struct fetch *fetch, const struct folder *folder, struct mailfs_range gap,
	uint64_t size)
{
	bool probes_end = gap.offset + gap.len == size;
	struct next *next = g_new0(struct next, 1);

	next->fetch = fetch;
	next->folder = g_strdup(folder->name);
	next->uidvalidity = folder->uidvalidity;
	next->gap = gap;
	next->asked = with_overlaps(fetch, gap, size);
	next->asked.len += probes_end;
	next->probes_end = probes_end;
	next->buffer = g_byte_array_new();
	next->job = (struct pool_job){
		.priority = POOL_INTERACTIVE,
		.weight = 1, /* it goes where the one before it went, if nobody else is idle */
		.folder = next->folder,
		.start = job_start,
		.fail = job_fail,
	};
	fetch->held++;
	g_queue_push_tail(&fetch->nexts, next);
	pool_submit(fetch->fetcher->engine->pool, &next->job);
}

void nexts_ask(struct fetch *fetch, uint64_t offset)
{
	const struct next *tail = g_queue_peek_tail(&fetch->nexts);
	struct mailfs_range last = tail ? tail->gap : fetch->gap;
	uint64_t start = last.offset + last.len, end;
	struct folder *folder;
	const struct message *message = fetch_message(fetch, &folder);
	bool is_window = tail ? !tail->is_stale :
		fetch->is_busy && !fetch->is_whole && fetch->pause_timer == 0;

	/* The first windows show whether somebody reads on. */
	if (!message || !is_window || fetch->window <= FETCH_WINDOW_FIRST || !is_within(last, offset) ||
		fetch->nexts.length >= NEXTS_MAX || start >= message->size ||
		body_covers(fetch->body, (struct mailfs_range){ start, 1 }))
		return;
	fetch->window = MIN(fetch->window * 2, FETCH_WINDOW_MAX);
	end = MIN(start + fetch->window, MIN(body_gap_until(fetch->body, start), message->size));
	next_send(fetch, folder, (struct mailfs_range){ start, end - start }, message->size);
}
