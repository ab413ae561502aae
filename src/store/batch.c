/* SPDX-License-Identifier: MIT */
/*
 * Changes to a mailbox: built on the loop into one arena, given to the store thread. Puts and
 * removals keep their order.
 */
#include <string.h>

#include "base/arena.h"
#include "store/folders.h"
#include "store/store_impl.h"

struct op {
	bool is_remove, is_same; /* is_same: others have its remote id */
	uint32_t first, last;
	struct message message;
	struct store_message row; /* `message` is set when it runs */
};

struct store_batch {
	struct store_job job;
	struct store *store;
	uint32_t box;
	struct arena arena;
	GArray *ops; /* struct op */
	size_t puts;
	struct index_state state;
	bool has_state;

	GArray *same; /* keys (box << 32 | uid) with a remote id that was put; NULL = none */
	struct body_loss loss;
	store_done_fn done;
	void *user;
};

struct store_batch *store_batch_new(struct store *store, uint32_t box_id)
{
	struct store_batch *batch = g_new0(struct store_batch, 1);

	batch->store = store;
	batch->box = box_id;
	arena_init(&batch->arena);
	batch->ops = g_array_new(FALSE, FALSE, sizeof(struct op));
	return batch;
}

void store_batch_free(struct store_batch *batch)
{
	if (!batch)
		return;
	arena_done(&batch->arena);
	body_loss_done(&batch->loss);
	g_clear_pointer(&batch->same, g_array_unref);
	g_array_unref(batch->ops);
	g_free(batch);
}

static const char *copy(struct store_batch *batch, const char *text)
{
	return text ? arena_strdup(&batch->arena, text) : NULL;
}

static const struct mailfs_head *copy_head(struct store_batch *batch,
	const struct mailfs_head *head)
{
	struct mailfs_head *copied = arena_new(&batch->arena, struct mailfs_head);

	*copied = (struct mailfs_head){
		.subject = copy(batch, head->subject),
		.from = copy(batch, head->from),
		.from_name = copy(batch, head->from_name),
		.to = copy(batch, head->to),
		.cc = copy(batch, head->cc),
		.message_id = copy(batch, head->message_id),
		.date = copy(batch, head->date),
	};
	return copied;
}

void store_batch_put(struct store_batch *batch, const struct store_message *row)
{
	struct op op = { .message = *row->message };

	op.row = (struct store_message){
		.keywords = copy(batch, row->keywords),
		.name = copy(batch, row->name),
		.head = row->head ? copy_head(batch, row->head) : NULL,
		.remote_id = copy(batch, row->remote_id),
		.thread_id = copy(batch, row->thread_id),
		.modseq = row->modseq,
	};
	g_array_append_val(batch->ops, op);
	batch->puts++;
}

void store_batch_remove(struct store_batch *batch, uint32_t first_uid, uint32_t last_uid)
{
	struct op op = { .is_remove = true, .first = first_uid, .last = last_uid };

	if (first_uid <= last_uid)
		g_array_append_val(batch->ops, op);
}

void store_batch_set_state(struct store_batch *batch, uint64_t modseq, int64_t listing_ns,
	uint32_t messages, uint32_t unseen)
{
	batch->state = (struct index_state){ modseq, listing_ns, messages, unseen };
	batch->has_state = true;
}

/* ---- store thread -------------------------------------------------------------------------- */

/* A message that came as a copy makes the one that was alone one of several. */
static int note_same(struct index *index, struct store_batch *batch, struct op *op)
{
	guint before;
	int rc;

	if (!batch->same)
		batch->same = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	before = batch->same->len;
	rc = index_list_same(index, op->row.remote_id, 2, batch->same);
	op->is_same = batch->same->len > before + 1;
	if (!op->is_same)
		g_array_set_size(batch->same, before);
	return rc;
}

static int run_op(struct store_thread *thread, struct store_batch *batch, struct op *op)
{
	struct index *index = store_thread_index(thread);
	int rc;

	if (!op->is_remove) {
		op->row.message = &op->message;
		rc = index_put_message(index, batch->box, &op->row);
		return rc == SQLITE_OK && op->row.remote_id ? note_same(index, batch, op) : rc;
	}
	rc = body_rows_forget(thread, batch->box, op->first, op->last, &batch->loss);
	return rc == SQLITE_OK ? index_remove_messages(index, batch->box, op->first, op->last) : rc;
}

static int batch_run(struct store_thread *thread, struct store_job *base)
{
	struct store_batch *batch = (struct store_batch *)base;
	int rc = SQLITE_OK;

	/* A mailbox that was forgotten meanwhile leaves no rows behind. */
	if (!index_knows_box(store_thread_index(thread), batch->box, &rc))
		return rc;
	for (guint i = 0; rc == SQLITE_OK && i < batch->ops->len; i++)
		rc = run_op(thread, batch, &g_array_index(batch->ops, struct op, i));
	if (rc == SQLITE_OK && batch->has_state)
		rc = index_put_state(store_thread_index(thread), batch->box, &batch->state);
	return rc;
}

static void batch_after(struct store_thread *thread, struct store_job *base)
{
	body_loss_unlink(thread, &((struct store_batch *)base)->loss);
}

/* ---- loop ---------------------------------------------------------------------------------- */

/* Until the index has said that there is no copy, there may be one. */
static void expect_same(struct store_batch *batch, const struct op *op)
{
	if (op->row.remote_id)
		cached_add_same(batch->store, batch->box, op->message.uid);
}

static void settle_same(struct store *store, const struct store_batch *batch)
{
	for (guint i = 0; i < batch->ops->len; i++) {
		const struct op *op = &g_array_index(batch->ops, struct op, i);

		if (!op->is_remove && op->row.remote_id && !op->is_same)
			cached_remove_same(store, batch->box, op->message.uid);
	}
	for (guint i = 0; batch->same && i < batch->same->len; i++) {
		uint64_t key = g_array_index(batch->same, uint64_t, i);

		cached_add_same(store, (uint32_t)(key >> 32), (uint32_t)key);
	}
}

static void batch_answer(struct store *store, struct store_job *base, const GError *error)
{
	struct store_batch *batch = (struct store_batch *)base;

	store->pending_rows -= batch->puts;
	settle_same(store, batch);
	if (!error)
		store_account_loss(store, &batch->loss);
	if (batch->done)
		batch->done(batch->user, error);
}

static void batch_job_free(struct store_job *base)
{
	store_batch_free((struct store_batch *)base);
}

static void apply_state(struct store_batch *batch)
{
	struct store_folder *folder = store_folder_of_box(batch->store, batch->box);

	if (!folder)
		return;
	folder->modseq = batch->state.modseq;
	folder->listing_ns = batch->state.listing_ns;
	folder->messages = batch->state.messages;
	folder->unseen = batch->state.unseen;
}

void store_batch_commit(struct store_batch *batch, store_done_fn done, void *user)
{
	struct store *store = batch->store;

	batch->job = (struct store_job){ .run = batch_run,
		.after = batch_after,
		.answer = batch_answer,
		.free = batch_job_free,
		.is_write = true,
		.rows = batch->ops->len };
	batch->done = done;
	batch->user = user;
	store->pending_rows += batch->puts;
	if (batch->has_state)
		apply_state(batch);
	for (guint i = 0; i < batch->ops->len; i++) {
		const struct op *op = &g_array_index(batch->ops, struct op, i);

		if (op->is_remove)
			bodies_forget(store, batch->box, op->first, op->last);
		else
			expect_same(batch, op);
	}
	store_thread_post(store->thread, &batch->job);
}

size_t store_pending_rows(const struct store *store)
{
	return store->pending_rows;
}
