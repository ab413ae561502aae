/* SPDX-License-Identifier: MIT */
/*
 * Turns the plans of engine/walk.h into batches for the fetcher. What is fetched ahead is bounded
 * by the walk's window; a batch is small enough that several connections share the work and that
 * the first message of the next one does not come late.
 */
#include "engine/prefetch.h"

#include "engine/internal.h"
#include "engine/walk.h"

#define BATCH_BYTES    (1024u * 1024)
#define BATCH_MESSAGES 256u
#define PLAN_MESSAGES  4096u
#define AHEAD_SIZE_MAX (8u * 1024 * 1024) /* larger messages wait until somebody wants them */
#define BOXES_MAX      64u

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

static uint64_t bytes_between(void *user, int64_t from, int64_t to, int64_t step, uint64_t limit)
{
	const struct mailbox *box = user;
	uint64_t bytes = 0;

	for (int64_t at = from; (to - at) * step > 0 && bytes < limit; at += step) {
		if (at < 0 || at >= (int64_t)mailbox_count(box))
			break;
		bytes += mailbox_at(box, (size_t)at)->size + 1;
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

static void send_batch(struct prefetch *prefetch, struct folder *folder, GArray *uids)
{
	if (uids->len == 0)
		return;
	g_array_sort(uids, by_uid);
	fetcher_fetch_ahead(prefetch->engine->fetcher, folder, (const uint32_t *)(void *)uids->data,
		uids->len);
	g_array_set_size(uids, 0);
}

static void follow(struct prefetch *prefetch, struct folder *folder, const struct walk_plan *plan)
{
	g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	int64_t count = mailbox_count(folder->box);
	uint64_t planned = 0;
	uint64_t batch = 0;
	int64_t at = plan->from;

	for (unsigned n = 0; at >= 0 && at < count && planned < plan->bytes && n < PLAN_MESSAGES;
		at += plan->step, n++) {
		const struct message *message = mailbox_at(folder->box, (size_t)at);

		if (message->size > AHEAD_SIZE_MAX)
			continue;
		if (batch + message->size > BATCH_BYTES || uids->len >= BATCH_MESSAGES) {
			send_batch(prefetch, folder, uids);
			batch = 0;
		}
		g_array_append_val(uids, message->uid);
		batch += message->size;
		planned += message->size + 1;
	}
	send_batch(prefetch, folder, uids);
	plan->walk->frontier = at;
	/* There is more than one connection can bring soon. */
	if (planned >= plan->bytes)
		pool_warm(prefetch->engine->pool);
}

void prefetch_note(struct prefetch *prefetch, uint32_t box_id, uint32_t uid)
{
	struct folder *folder = tree_by_box(prefetch->engine->tree, box_id);
	struct walk_plan plan;
	size_t position;

	if (!folder || pool_state(prefetch->engine->pool) != ENGINE_ONLINE)
		return;
	position = mailbox_lower_bound(folder->box, uid);
	plan = walks_note(walks_of(prefetch, box_id), (int64_t)position,
		mailbox_count(folder->box), bytes_between, folder->box);
	if (plan.step != 0)
		follow(prefetch, folder, &plan);
}
