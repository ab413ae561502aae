/* SPDX-License-Identifier: MIT */
/*
 * Asking the index for a body, once, when its object is made. A message without a body of its own
 * is read from a copy of it in another mailbox, if that is whole: the object then shares the place
 * of the other's bytes, as long as somebody holds it. It has no row and owns nothing on disk; when
 * the bytes go, it is fetched like any other. Loop thread.
 */
#include "store/body_impl.h"

struct lookup_job {
	struct store_job job;
	struct body *body; /* a reference */
	uint32_t box, uid;
	struct index_body row;
	bool is_known;
	struct index_copies copies; /* of one without a row */
};

static int lookup_run(struct store_thread *thread, struct store_job *base)
{
	struct lookup_job *job = (struct lookup_job *)base;
	struct index *index = store_thread_index(thread);
	int rc = index_load_body(index, job->box, job->uid, &job->row, &job->is_known);

	if (rc == SQLITE_OK && !job->is_known)
		rc = index_find_copies(index, job->box, job->uid, &job->copies);
	/* What is whole can be read at once. What is not will be written, and that must wait for
	 * files that go after the commit. */
	base->is_early = job->is_known && job->row.is_complete;
	return rc;
}

static void take_row(struct body *body, const struct index_body *row)
{
	const struct extent *last;

	body->is_saved = true;
	body->saved_bytes = row->bytes;
	body->saved_pack = row->pack;
	body->used = MAX(body->used, row->used);
	if (!body->is_pin_set)
		body->is_pinned = row->is_pinned;
	/* Bytes that came before the answer win. The file begins anew, and the row must not claim
	 * meanwhile what the new file does not have yet. */
	if (body->extents->len > 0 || body->is_complete)
		body->is_dropping = true;
	if (body->is_dropping)
		return;
	body->place = (struct body_place){ row->pack, row->pack_offset };
	if (!extents_decode(body->extents, row->extents) || !row->is_complete)
		return;
	last = body->extents->len == 0
		? NULL
		: &g_array_index(body->extents, struct extent, body->extents->len - 1);
	body->size = last ? last->offset + last->len : 0;
	body->is_complete = extents_are_whole(body->extents, body->size, false);
}

/* ---- the bytes of a copy ------------------------------------------------------------------- */

static void share(struct body *body, uint64_t source, struct body_place place, uint64_t size)
{
	body->source = source;
	body->place = place;
	body->size = size;
	body->is_complete = true;
}

/* Of one that is in memory: its row may still be on its way. */
static bool take_object(struct body *body, const struct body *other, uint64_t size)
{
	if (!other || !other->is_complete || other->size != size)
		return false;
	for (guint i = 0; i < other->extents->len; i++) {
		struct extent extent = g_array_index(other->extents, struct extent, i);

		if (extent.bytes)
			g_bytes_ref(extent.bytes);
		if (extent.state == EXTENT_CHECKING)
			extent.state = EXTENT_UNCHECKED;
		g_array_append_val(body->extents, extent);
	}
	body->file = body_fd_ref(other->file);
	share(body, other->source, other->place, size);
	return true;
}

static void take_copies(struct store *store, struct body *body, const struct index_copies *copies)
{
	const struct index_body *row = &copies->body;
	const struct body *owner;

	if (body->extents->len > 0 || body->is_complete || body->is_dropping || body->is_pin_set)
		return;
	for (guint i = 0; copies->keys && i < copies->keys->len; i++) {
		uint64_t key = g_array_index(copies->keys, uint64_t, i);

		if (take_object(body, bodies_find(store, key), copies->size))
			return;
	}
	owner = bodies_find(store, body_key(row->box, row->uid));
	if (!row->extents || (owner && owner->is_dropping) ||
		!extents_decode(body->extents, row->extents))
		return;
	if (extents_are_whole(body->extents, copies->size, true))
		share(body, body_key(row->box, row->uid),
			(struct body_place){ row->pack, row->pack_offset }, copies->size);
	else
		extents_clear(body->extents);
}

/* ---- answering ----------------------------------------------------------------------------- */

static void run_waiters(struct body *body)
{
	/* From now on new ones are run at once, so this ends. */
	while (body->waiters->len > 0) {
		struct body_waiter waiter = g_array_index(body->waiters, struct body_waiter, 0);

		g_array_remove_index(body->waiters, 0);
		waiter.fn(waiter.user);
	}
}

static void lookup_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct lookup_job *job = (struct lookup_job *)base;
	struct body *body = job->body;

	if (job->is_known && !body->is_forgotten)
		take_row(body, &job->row);
	else if (!body->is_forgotten)
		take_copies(store, body, &job->copies);
	body->is_ready = true;
	body_write_kick(body);
	run_waiters(body);
	if (body->is_wanted_soon)
		body_check_ahead(body);
}

static void lookup_free(struct store_job *base)
{
	struct lookup_job *job = (struct lookup_job *)base;

	g_clear_pointer(&job->row.extents, g_bytes_unref);
	index_copies_done(&job->copies);
	body_unref(job->body);
	g_free(job);
}

void body_ask_index(struct body *body)
{
	struct lookup_job *job = g_new0(struct lookup_job, 1);

	job->job = (struct store_job){ .run = lookup_run,
		.answer = lookup_answer,
		.free = lookup_free };
	job->body = body_ref(body);
	job->box = body_box(body);
	job->uid = body_uid(body);
	store_thread_post(body_store(body)->thread, &job->job);
}
