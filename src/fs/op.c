/* SPDX-License-Identifier: MIT */
/* FUSE requests that wait. Loop thread. */
#include "fs/op.h"

#include <errno.h>

#include "base/post.h"
#include "fs/errno_map.h"
#include "fs/internal.h"

#define OPS_MAX 4096u

struct op_ref {
	struct fs *fs;
	uint64_t id;
};

struct op_ref *op_ref_new(const struct op *op)
{
	struct op_ref *ref = g_new(struct op_ref, 1);

	*ref = (struct op_ref){ .fs = op->fs, .id = op->id };
	return ref;
}

struct op *op_ref_take(struct op_ref *ref)
{
	struct op *op = g_hash_table_lookup(ref->fs->ops, &ref->id);

	g_free(ref);
	return op;
}

static void on_interrupt_later(void *data)
{
	struct op *op = op_ref_take(data);

	if (op)
		op_finish_errno(op, EINTR);
}

/* Called by libfuse with a lock of the request held: note it, act later. */
static void on_interrupt(fuse_req_t req, void *data)
{
	post_to_loop(on_interrupt_later, op_ref_new(data));
}

static gboolean on_deadline(gpointer data)
{
	struct op *op = data;

	op->timer = 0;
	op_finish_errno(op, ETIMEDOUT);
	return G_SOURCE_REMOVE;
}

struct op *op_new(struct fs *fs, fuse_req_t req, size_t size, op_free_fn release)
{
	struct op *op;

	if (g_hash_table_size(fs->ops) >= OPS_MAX) {
		fuse_reply_err(req, EBUSY);
		return NULL;
	}
	op = g_malloc0(size);
	op->fs = fs;
	op->req = req;
	op->id = ++fs->mount->last_op;
	op->release = release;
	op->timer = g_timeout_add(fs->config.timeout_ms, on_deadline, op);
	g_hash_table_insert(fs->ops, &op->id, op);
	holds_begin(fs->mount, op->dirs);
	fuse_req_interrupt_func(req, on_interrupt, op);
	return op;
}

void op_wait_for_ever(struct op *op)
{
	g_clear_handle_id(&op->timer, g_source_remove);
}

void op_finish(struct op *op, op_reply_fn reply, void *data)
{
	struct mount *mount = op->fs->mount;
	const struct op *outer = mount->ending;
	struct fs *outer_fs = mount->fs;

	/* A barrier too: after it no interrupt handler runs with this op. */
	fuse_req_interrupt_func(op->req, NULL, NULL);
	g_hash_table_remove(op->fs->ops, &op->id);
	if (op->timer != 0)
		g_source_remove(op->timer);
	if (op->ticket != 0)
		engine_cancel(op->fs->engine, op->ticket);
	mount->ending = op;
	mount->fs = op->fs;
	reply(op->req, data);
	mount->ending = outer;
	mount->fs = outer_fs;
	holds_end(mount, op->dirs);
	if (op->release)
		op->release(op);
	g_free(op);
}

static void reply_errno(fuse_req_t req, void *data)
{
	fuse_reply_err(req, *(int *)data);
}

void op_finish_errno(struct op *op, int error)
{
	op_finish(op, reply_errno, &error);
}

void op_finish_error(struct op *op, const GError *error)
{
	op_finish_errno(op, errno_of(error));
}

void op_finish_all(struct fs *fs, int error)
{
	GHashTableIter iter;
	gpointer op;

	for (;;) {
		g_hash_table_iter_init(&iter, fs->ops);
		if (!g_hash_table_iter_next(&iter, NULL, &op))
			return;
		op_finish_errno(op, error);
	}
}
