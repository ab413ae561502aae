/* SPDX-License-Identifier: MIT */
/*
 * When bodies were used last, as a counter that the index remembers. Loop thread. Written in
 * batches: a process that is killed forgets some uses, which costs at worst a wrong choice.
 */
#include "store/body_impl.h"

#define TOUCHES_MAX 256u

struct touch_job {
	struct store_job job;
	GArray *touches;
};

static int touch_run(struct store_thread *thread, struct store_job *base)
{
	struct touch_job *job = (struct touch_job *)base;
	int rc = SQLITE_OK;

	for (guint i = 0; rc == SQLITE_OK && i < job->touches->len; i++) {
		const struct touch *touch = &g_array_index(job->touches, struct touch, i);

		rc = index_touch_body(store_thread_index(thread), (uint32_t)(touch->key >> 32),
			(uint32_t)touch->key, touch->used);
	}
	return rc;
}

static void touch_free(struct store_job *base)
{
	struct touch_job *job = (struct touch_job *)base;

	g_array_unref(job->touches);
	g_free(job);
}

void bodies_flush_touches(struct store *store)
{
	struct touch_job *job;

	if (store->touches->len == 0)
		return;
	for (guint i = 0; i < store->touches->len; i++) {
		struct touch *touch = &g_array_index(store->touches, struct touch, i);
		struct body *body = bodies_find(store, touch->key);

		if (!body)
			continue;
		touch->used = MAX(touch->used, body->used);
		body->is_touched = false;
	}
	job = g_new0(struct touch_job, 1);
	job->job = (struct store_job){ .run = touch_run,
		.free = touch_free,
		.is_write = true,
		.rows = store->touches->len };
	job->touches = g_steal_pointer(&store->touches);
	store->touches = g_array_new(FALSE, FALSE, sizeof(struct touch));
	store_thread_post(store->thread, &job->job);
}

void body_touch(struct body *body)
{
	struct store *store = body_store(body);
	struct touch touch = { body->source, ++store->use_clock };

	body->used = touch.used;
	if (body->is_touched || body->is_forgotten)
		return;
	body->is_touched = true;
	g_array_append_val(store->touches, touch);
	if (store->touches->len >= TOUCHES_MAX)
		bodies_flush_touches(store);
}
