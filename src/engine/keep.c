/* SPDX-License-Identifier: MIT */
/* Bodies that somebody wants here: fetched to the end, then never evicted. Loop thread. */
#include "engine/changes.h"
#include "engine/internal.h"

#define KEEP_STEP (1024u * 1024)

struct keep {
	struct engine_waiter waiter;
	struct engine *engine;
	uint32_t box_id, uid;
	struct body *body;
	uint64_t offset;      /* everything before it is here */
	engine_ticket reading; /* 0 = none */
	engine_done_fn done;
	void *user;
};

static void keep_free(struct keep *keep)
{
	body_unref(keep->body);
	g_free(keep);
}

static void keep_end(struct keep *keep, const GError *error)
{
	engine_waiter_remove(keep->engine, &keep->waiter);
	if (!error)
		body_pin(keep->body, true);
	keep->done(keep->user, error);
	keep_free(keep);
}

static void keep_cancel(struct engine *engine, struct engine_waiter *waiter)
{
	struct keep *keep = (struct keep *)waiter;

	if (keep->reading != 0)
		engine_cancel(engine, keep->reading);
	keep_free(keep);
}

static void keep_fail(struct engine *engine, struct engine_waiter *waiter, const GError *error)
{
	struct keep *keep = (struct keep *)waiter;

	if (keep->reading != 0)
		engine_cancel(engine, keep->reading);
	keep->done(keep->user, error);
	keep_free(keep);
}

static const struct engine_waiter_class keep_class = { keep_cancel, keep_fail };

static void keep_next(struct keep *keep);

static void on_slice(void *user, const struct body_slice *slice, const GError *error)
{
	struct keep *keep = user;

	keep->reading = 0;
	if (error || slice->len == 0) {
		keep_end(keep, error);
		return;
	}
	keep->offset += slice->len;
	keep_next(keep);
}

/* Reading makes it come; what is read is not wanted. */
static void keep_next(struct keep *keep)
{
	struct mailfs_range range = { keep->offset, KEEP_STEP };
	engine_ticket ticket;

	if (body_is_complete(keep->body) && keep->offset >= body_size(keep->body)) {
		keep_end(keep, NULL);
		return;
	}
	ticket = engine_read(keep->engine, keep->box_id, keep->uid, range, on_slice, keep);
	if (ticket != 0)
		keep->reading = ticket;
}

engine_ticket engine_keep(struct engine *engine, uint32_t box_id, uint32_t uid, bool is_wanted,
	engine_done_fn done, void *user)
{
	struct keep *keep;
	engine_ticket ticket;

	if (!is_wanted) {
		struct body *body = body_open(engine->config.store, box_id, uid);

		body_pin(body, false);
		body_drop(body);
		body_unref(body);
		done(user, NULL);
		return 0;
	}
	keep = g_new0(struct keep, 1);
	keep->engine = engine;
	keep->box_id = box_id;
	keep->uid = uid;
	keep->body = body_open(engine->config.store, box_id, uid);
	keep->done = done;
	keep->user = user;
	engine_waiter_add(engine, &keep->waiter, &keep_class);
	ticket = keep->waiter.ticket;
	keep_next(keep);
	return g_hash_table_contains(engine->waiters, &ticket) ? ticket : 0;
}
