/* SPDX-License-Identifier: MIT */
/*
 * Whoever reads one cached body after another by UID finds the next ones looked up, checked, and
 * thereby in the page cache: else each costs two waits for other threads. Loop thread.
 */
#include "store/body_impl.h"
#include "store/cached.h"

#define STEP_MAX  8u  /* UIDs from one to the next that count as a walk */
#define WALK_MIN  3u  /* steps before it is believed */
#define AHEAD_MAX 64u /* UIDs that a walk is ahead; the objects wait among the idle ones */
#define PART_MAX  (256u << 10)

void body_check_ahead(struct body *body)
{
	struct extent *first = body->is_complete ? extents_find(body->extents, 0) : NULL;

	body->is_wanted_soon = false;
	if (first && first->state == EXTENT_UNCHECKED && first->len <= PART_MAX)
		body_check(body, first);
}

static void prepare(struct store *store, uint32_t box, uint32_t uid)
{
	struct body *body;

	if (cached_is_absent(store, box, uid))
		return;
	body = body_open(store, box, uid);
	if (body->is_ready)
		body_check_ahead(body);
	else
		body->is_wanted_soon = true; /* what asks the index holds it */
	body_unref(body);
}

void body_note_read(const struct body *body)
{
	struct store *store = body_store(body);
	struct body_walk *walk = &store->walk;
	uint32_t box = body_box(body), uid = body_uid(body);

	if (walk->box == box && uid > walk->last && uid - walk->last <= STEP_MAX) {
		walk->steps++;
	} else {
		walk->steps = 0;
		walk->until = uid;
	}
	walk->box = box;
	walk->last = uid;
	if (walk->steps < WALK_MIN || store->is_closing)
		return;
	walk->until = MAX(walk->until, uid);
	/* Many at once, then none for a while: it is waking the other threads that costs. */
	if (walk->until - uid > AHEAD_MAX / 2)
		return;
	while (walk->until - uid < AHEAD_MAX && walk->until < UINT32_MAX)
		prepare(store, box, ++walk->until);
}
