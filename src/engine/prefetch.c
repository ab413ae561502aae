/* SPDX-License-Identifier: MIT */
/*
 * Turns the plans of engine/walk.h into batches for the fetcher. What is fetched ahead is bounded
 * by the walk's window; a batch is small enough that several connections share the work and that
 * the first message of the next one does not come late.
 */
#include "engine/prefetch.h"

#include "engine/internal.h"
#include "engine/walk.h"

#define BATCH_BYTES_MIN (64u * 1024)
#define BATCH_BYTES_MAX (1024u * 1024)
#define BATCH_MESSAGES  256u
#define PLAN_MESSAGES   4096u
#define MESSAGE_COST    4096u               /* what a message costs besides its bytes */
#define AHEAD_SIZE_MAX  (8u * 1024 * 1024)  /* larger ones wait until somebody wants them */
#define WINDOW_MIN      (8u * 1024 * 1024)  /* which every walk may reach */
#define WINDOW_MAX      (64u * 1024 * 1024)
#define BOXES_MAX       64u
#define UNSEEN_MAX      64                  /* messages that are passed at once */

struct prefetch {
	struct engine *engine;
	GHashTable *boxes; /* box id → struct walks *; those of boxes that went are few */
};

struct prefetch *prefetch_new(struct engine *engine)
{
	struct prefetch *prefetch = g_new0(struct prefetch, 1);

	prefetch->engine = engine;
	prefetch->boxes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return prefetch;
}

void prefetch_free(struct prefetch *prefetch)
{
	g_hash_table_unref(prefetch->boxes);
	g_free(prefetch);
}

static struct walks *walks_of(struct prefetch *prefetch, uint32_t box_id)
{
	struct walks *walks = g_hash_table_lookup(prefetch->boxes, GUINT_TO_POINTER(box_id));

	if (walks)
		return walks;
	if (g_hash_table_size(prefetch->boxes) >= BOXES_MAX)
		g_hash_table_remove_all(prefetch->boxes);
	walks = g_new0(struct walks, 1);
	g_hash_table_insert(prefetch->boxes, GUINT_TO_POINTER(box_id), walks);
	return walks;
}

static uint64_t cost(const struct message *message)
{
	return (uint64_t)message->size + MESSAGE_COST;
}

static uint64_t bytes_between(void *user, int64_t from, int64_t to, int64_t step, uint64_t limit)
{
	const struct mailbox *box = user;
	uint64_t bytes = 0;

	for (int64_t at = from; (to - at) * step > 0 && bytes < limit; at += step) {
		if (at < 0 || at >= (int64_t)mailbox_count(box))
			break;
		bytes += cost(mailbox_at(box, (size_t)at));
	}
	return MIN(bytes, limit);
}

/* Ascending, as servers like their sets, whichever way the walk goes. */
static int by_uid(gconstpointer a, gconstpointer b)
{
	const uint32_t *left = a;
	const uint32_t *right = b;

	return *left < *right ? -1 : *left > *right;
}

/* ---- batches ----------------------------------------------------------------------------------- */

/* What a plan comes to. */
struct course {
	GArray *uids;  /* as the walker will come by */
	GArray *sizes; /* of the same */
	uint64_t bytes;
	bool is_last; /* it goes to the end of the folder */
};

static void send_batch(struct prefetch *prefetch, struct folder *folder,
	const struct course *course, guint from, guint count)
{
	g_autoptr(GArray) uids = g_array_sized_new(FALSE, FALSE, sizeof(uint32_t), count);

	g_array_append_vals(uids, &g_array_index(course->uids, uint32_t, from), count);
	g_array_sort(uids, by_uid);
	fetcher_fetch_ahead(prefetch->engine->fetcher, folder, (const uint32_t *)(void *)uids->data,
		uids->len);
}

/* How much comes in one request. The first ones are small, so that all connections get going at
 * once and none keeps the walker waiting while it is slow to start; the last ones too, so that all
 * connections end together. */
static uint64_t batch_limit(const struct prefetch *prefetch, const struct walk_plan *plan,
	const struct course *course, uint64_t sent)
{
	unsigned sessions = MAX(pool_sessions(prefetch->engine->pool), 1);
	uint64_t limit = MIN(plan->walk->window / 16, BATCH_BYTES_MAX);

	if (course->is_last)
		limit = MIN(limit, (course->bytes - sent) / (2 * sessions));
	return MAX(limit, BATCH_BYTES_MIN);
}

static void send_course(struct prefetch *prefetch, struct folder *folder,
	const struct walk_plan *plan, const struct course *course)
{
	guint from = 0;
	uint64_t sent = 0;

	while (from < course->uids->len) {
		uint64_t limit = batch_limit(prefetch, plan, course, sent);
		uint64_t batch = 0;
		guint at = from;

		while (at < course->uids->len && at - from < BATCH_MESSAGES) {
			uint32_t size = g_array_index(course->sizes, uint32_t, at);

			if (at > from && batch + size > limit)
				break;
			batch += size;
			at++;
		}
		send_batch(prefetch, folder, course, from, at - from);
		sent += batch;
		from = at;
	}
}

static void follow(struct prefetch *prefetch, struct folder *folder, const struct walk_plan *plan)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(GArray) sizes = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	struct course course = { .uids = uids, .sizes = sizes };
	int64_t count = mailbox_count(folder->box);
	uint64_t planned = 0;
	int64_t at = plan->from;

	for (unsigned n = 0; at >= 0 && at < count && planned < plan->bytes && n < PLAN_MESSAGES;
		at += plan->step, n++) {
		const struct message *message = mailbox_at(folder->box, (size_t)at);
		uint32_t size = message->size;

		if (size > AHEAD_SIZE_MAX)
			continue;
		g_array_append_val(uids, message->uid);
		g_array_append_val(sizes, size);
		course.bytes += size;
		planned += cost(message);
	}
	course.is_last = at < 0 || at >= count;
	/* There is more than one connection can bring soon. */
	if (!course.is_last)
		pool_warm(prefetch->engine->pool, folder->name);
	send_course(prefetch, folder, plan, &course);
	plan->walk->frontier = at;
}

static void note(struct prefetch *prefetch, struct folder *folder, struct walks *walks,
	int64_t position, bool is_here)
{
	struct walk_plan plan = walks_note(walks, position, mailbox_count(folder->box), is_here,
		bytes_between, folder->box);

	if (plan.step != 0)
		follow(prefetch, folder, &plan);
}

/* What may be read elsewhere, and lies between the walker's last position and this one, was passed:
 * if all of it may, for else somebody has left out some. */
static void note_unseen(struct prefetch *prefetch, struct folder *folder, struct walks *walks,
	int64_t position)
{
	struct fetcher *fetcher = prefetch->engine->fetcher;
	const struct walk *walk = walks_find(walks, position);
	int64_t from = walk ? walk->at : position;
	int64_t step = walk ? walk->direction * (int64_t)walk->stride : 0;
	uint32_t id = folder->box->id;
	int64_t at;

	/* The walk may have been where no message is any more. */
	if (step == 0 || from > (int64_t)mailbox_count(folder->box) ||
		(position - from) / step > UNSEEN_MAX)
		return;
	for (at = from + step; (position - at) * step > 0; at += step)
		if (!fetcher_is_elsewhere(fetcher, id, mailbox_at(folder->box, (size_t)at)->uid))
			return;
	for (at = from + step; (position - at) * step > 0; at += step) {
		fetcher_note_used(fetcher, id, mailbox_at(folder->box, (size_t)at)->uid);
		note(prefetch, folder, walks, at, true);
	}
}

bool prefetch_is_sure(struct prefetch *prefetch, uint32_t box_id, uint32_t uid)
{
	const struct folder *folder = tree_by_box(prefetch->engine->tree, box_id);
	struct walks *walks = g_hash_table_lookup(prefetch->boxes, GUINT_TO_POINTER(box_id));
	const struct walk *walk;

	if (!folder || !walks)
		return false;
	walk = walks_find(walks, (int64_t)mailbox_lower_bound(folder->box, uid));
	return walk && walk->steps >= WALK_SURE;
}

void prefetch_note(struct prefetch *prefetch, uint32_t box_id, uint32_t uid, bool is_here)
{
	struct folder *folder = tree_by_box(prefetch->engine->tree, box_id);
	struct walks *walks;
	size_t position;

	if (!folder || pool_state(prefetch->engine->pool) != ENGINE_ONLINE)
		return;
	position = mailbox_lower_bound(folder->box, uid);
	walks = walks_of(prefetch, box_id);
	/* Twice what is on its way keeps the line busy while the walker waits for one slow answer. */
	walks->window_max =
		CLAMP(4 * pool_appetite(prefetch->engine->pool), WINDOW_MIN, WINDOW_MAX);
	note_unseen(prefetch, folder, walks, (int64_t)position);
	note(prefetch, folder, walks, (int64_t)position, is_here);
}
