/* SPDX-License-Identifier: MIT */
/*
 * Eviction in rounds: the store thread lists the least recently used bodies, the loop strikes out
 * those that somebody holds, the store thread removes the rest. A round that asked for too little,
 * because much was held, is followed by a larger one.
 */
#include "store/evict.h"

#include "base/log.h"
#include "store/body_impl.h"

#define CANDIDATES_MAX 4096u
#define ROOM_MIN       (UINT64_C(16) << 20)

struct evict_waiter {
	evict_fn fn;
	void *user;
};

struct evict {
	uint64_t want, freed;
	uint64_t held; /* of the last round: lies before what can be taken */
	guint listed;  /* by the last round */
	bool is_over;  /* there is no further round: what was removed is on its way */
	GArray *waiters;
};

/* ---- waiters ------------------------------------------------------------------------------- */

static void run_waiters(struct store *store)
{
	struct evict *evict = g_steal_pointer(&store->evict);

	log_debug("store", "evicted %" G_GUINT64_FORMAT " bytes", evict->freed);
	for (guint i = 0; i < evict->waiters->len; i++) {
		const struct evict_waiter *waiter =
			&g_array_index(evict->waiters, struct evict_waiter, i);

		waiter->fn(store, waiter->user);
	}
	g_array_unref(evict->waiters);
	g_free(evict);
}

static int nothing_run(struct store_thread *thread, struct store_job *job)
{
	return SQLITE_OK;
}

static void nothing_answer(struct store *store, struct store_job *job, const GError *error)
{
	evict_done(store);
}

/* Behind what is on its way to be removed. */
void evict_room_made(struct store *store)
{
	struct store_job *job = g_new0(struct store_job, 1);

	*job = (struct store_job){ .run = nothing_run, .answer = nothing_answer };
	store_thread_post(store->thread, job);
}

static void evict_end(struct store *store)
{
	/* On a full disk it is files that must go, and packs have kept theirs. */
	store->evict->is_over = true;
	if (store->evict->waiters->len > 0) {
		if (!compact_make_room(store))
			evict_room_made(store);
	} else {
		run_waiters(store);
	}
}

void evict_done(struct store *store)
{
	if (store->evict)
		run_waiters(store);
}

/* ---- removing ------------------------------------------------------------------------------ */

static void round_begin(struct store *store);

struct remove_job {
	struct store_job job;
	GArray *bodies; /* struct index_body: box, uid */
	struct body_loss loss;
};

static int remove_run(struct store_thread *thread, struct store_job *base)
{
	struct remove_job *job = (struct remove_job *)base;
	int rc = SQLITE_OK;

	for (guint i = 0; rc == SQLITE_OK && i < job->bodies->len; i++) {
		const struct index_body *body = &g_array_index(job->bodies, struct index_body, i);

		rc = body_rows_forget(thread, body->box, body->uid, body->uid, &job->loss);
	}
	return rc;
}

static void remove_after(struct store_thread *thread, struct store_job *base)
{
	body_loss_unlink(thread, &((struct remove_job *)base)->loss);
}

static void remove_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct remove_job *job = (struct remove_job *)base;

	if (!error) {
		store->usage.evicted += job->loss.count;
		store_account_loss(store, &job->loss);
	}
	if (!store->evict)
		return;
	store->evict->freed += job->loss.bytes;
	if (error || store->evict->freed >= store->evict->want)
		evict_end(store);
	else
		round_begin(store);
}

static void remove_free(struct store_job *base)
{
	struct remove_job *job = (struct remove_job *)base;

	g_array_unref(job->bodies);
	body_loss_done(&job->loss);
	g_free(job);
}

/* ---- listing ------------------------------------------------------------------------------- */

struct list_job {
	struct store_job job;
	uint64_t bytes;
	GArray *bodies;
};

static int list_run(struct store_thread *thread, struct store_job *base)
{
	struct list_job *job = (struct list_job *)base;

	return index_oldest_bodies(store_thread_index(thread), job->bytes, CANDIDATES_MAX,
		job->bodies);
}

/* Leaves those that nobody holds; returns the bytes of the others. */
static uint64_t strike_out_held(struct store *store, GArray *bodies)
{
	uint64_t held = 0;
	guint kept = 0;

	for (guint i = 0; i < bodies->len; i++) {
		struct index_body body = g_array_index(bodies, struct index_body, i);

		if (body_release_idle(store, body_key(body.box, body.uid)))
			g_array_index(bodies, struct index_body, kept++) = body;
		else
			held += body.bytes;
	}
	g_array_set_size(bodies, kept);
	return held;
}

static uint64_t counted_bytes(const struct store *store)
{
	return store->usage.body_bytes + packs_counted_dead_bytes(store);
}

static void list_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct list_job *job = (struct list_job *)base;
	struct evict *evict = store->evict;
	guint listed = job->bodies->len, listed_before;
	struct remove_job *removal;

	if (!evict)
		return;
	listed_before = evict->listed;
	evict->listed = listed;
	evict->held = strike_out_held(store, job->bodies);
	if (job->bodies->len == 0) {
		if (listed > listed_before && listed < CANDIDATES_MAX) {
			round_begin(store); /* behind those that are held there may be more */
			return;
		}
		store->evict_floor = counted_bytes(store) + store->usage.max_bytes / 64 + 1;
		evict_end(store);
		return;
	}
	evict->listed = 0;

	removal = g_new0(struct remove_job, 1);
	removal->job = (struct store_job){ .run = remove_run,
		.after = remove_after,
		.answer = remove_answer,
		.free = remove_free,
		.is_write = true,
		.rows = job->bodies->len };
	removal->bodies = g_array_ref(job->bodies);
	store_thread_post(store->thread, &removal->job);
}

static void list_free(struct store_job *base)
{
	struct list_job *job = (struct list_job *)base;

	g_array_unref(job->bodies);
	g_free(job);
}

static void round_begin(struct store *store)
{
	struct evict *evict = store->evict;
	struct list_job *job = g_new0(struct list_job, 1);

	job->job = (struct store_job){ .run = list_run, .answer = list_answer, .free = list_free };
	job->bytes = evict->want - MIN(evict->freed, evict->want) + evict->held;
	job->bodies = g_array_new(FALSE, FALSE, sizeof(struct index_body));
	store_thread_post(store->thread, &job->job);
}

/* ---- beginning ----------------------------------------------------------------------------- */

static void evict_begin(struct store *store, uint64_t want)
{
	store->evict = g_new0(struct evict, 1);
	store->evict->want = want;
	store->evict->waiters = g_array_new(FALSE, FALSE, sizeof(struct evict_waiter));
	bodies_release_shared(store);
	bodies_flush_touches(store);
	round_begin(store);
}

void evict_if_needed(struct store *store)
{
	uint64_t max = store->usage.max_bytes, counted = counted_bytes(store);

	if (store->evict || store->is_closing || store->is_broken || counted <= max ||
		counted <= store->evict_floor)
		return;
	/* A little more than needed, so that not every new body begins a round. */
	evict_begin(store, counted - max + max / 32);
}

void evict_make_room(struct store *store, uint64_t bytes, evict_fn fn, void *user)
{
	struct evict_waiter waiter = { fn, user };

	if (!store->evict)
		evict_begin(store, MAX(2 * bytes, ROOM_MIN));
	g_array_append_val(store->evict->waiters, waiter);
}

/* ---- everything ---------------------------------------------------------------------------- */

struct clearing {
	store_done_fn done;
	void *user;
};

static void on_cleared(struct store *store, void *user)
{
	struct clearing *clearing = user;

	clearing->done(clearing->user, NULL);
	g_free(clearing);
}

static void clear(struct store *store, void *user)
{
	if (store->is_closing) {
		on_cleared(store, user);
		return;
	}
	/* One that has its last round behind it looks at nothing any more: after it. */
	if (store->evict && store->evict->is_over) {
		evict_make_room(store, 0, clear, user);
		return;
	}
	evict_make_room(store, 0, on_cleared, user);
	/* More than there can be: until nothing is left that may go. */
	store->evict->want = UINT64_MAX / 2;
}

void store_clear_bodies(struct store *store, store_done_fn done, void *user)
{
	struct clearing *clearing = g_new(struct clearing, 1);

	*clearing = (struct clearing){ done, user };
	clear(store, clearing);
}
