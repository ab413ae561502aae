/* SPDX-License-Identifier: MIT */
/*
 * Opening a message. While the account's sizes are unproven (or the server was caught lying), the
 * whole body is fetched here, and the kernel forgets the attributes it has before it gets the
 * reply: then every program sees the exact size before it reads. On a read-only mount of a trusted
 * account there are no opens: rounds.c.
 */
#include <errno.h>
#include <fcntl.h>

#include "fs/internal.h"
#include "fs/watch.h"

struct open_op {
	struct op op;
	uint64_t ino;
};

static void reply_open(fuse_req_t req, void *data)
{
	struct fs *fs = fs_of(req);
	struct fuse_file_info fi = { .keep_cache = 1, .noflush = 1 };
	struct handle *handle;

	if (fs_wants_no_open(fs)) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	handle = handle_open(fs, *(uint64_t *)data);
	fi.fh = (uint64_t)(uintptr_t)handle;
	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, &fi) == -ENOENT)
		handle_close(fs, handle);
}

static void on_told(void *user)
{
	struct open_op *open = (struct open_op *)op_ref_take(user);

	if (!open)
		return;
	if (fs_message(open->op.fs, open->ino, NULL))
		op_finish(&open->op, reply_open, &open->ino);
	else
		op_finish_errno(&open->op, ESTALE);
}

/* The kernel goes by the size it has until it was told that this is wrong; the note about it was
 * fed when the size was found out, by whomever. */
static void open_when_told(struct open_op *open)
{
	struct fs *fs = open->op.fs;

	if (notifier_is_behind(fs->notifier))
		notifier_then(fs->notifier, on_told, op_ref_new(&open->op));
	else
		on_told(op_ref_new(&open->op));
}

static void on_exact(void *user, const GError *error)
{
	struct open_op *open = user;

	open->op.ticket = 0;
	if (error)
		op_finish_error(&open->op, error);
	else
		open_when_told(open);
}

/* Also a size that is exact may be news to the kernel. */
static void open_exact(struct fs *fs, fuse_req_t req, uint64_t ino)
{
	struct open_op *open = (struct open_op *)op_new(fs, req, sizeof(*open), NULL);
	struct ino what = ino_split(ino);
	engine_ticket ticket;

	if (!open)
		return;
	open->ino = ino;
	ticket = engine_make_exact(fs->engine, what.id, what.uid, on_exact, open);
	if (ticket != 0)
		open->op.ticket = ticket;
}

/* The answer first: what follows from it is fetched while the reader goes on. */
static void open_now(struct fs *fs, fuse_req_t req, uint64_t ino)
{
	struct ino what = ino_split(ino);

	reply_open(req, &ino);
	engine_note_open(fs->engine, what.id, what.uid);
}

static void open_readable(struct fs *fs, fuse_req_t req, uint64_t ino, const struct message *message)
{
	if (engine_is_unproven(fs->engine) &&
		((message->bits & MESSAGE_SIZE_EXACT) == 0 || notifier_is_behind(fs->notifier)))
		open_exact(fs, req, ino);
	else
		open_now(fs, req, ino);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(ino);
	struct draft *draft = fs_draft(fs, ino);
	struct message *message;

	if (what.kind == INO_KIND_CONTROL) {
		control_open(fs, req, what.uid, fi);
		return;
	}
	if (draft && !fs->config.is_read_only) {
		draft_open(req, draft, fi);
		return;
	}
	if (fs_look_again(req, ino))
		return;
	message = fs_message(fs, ino, NULL);
	if (!message)
		fuse_reply_err(req, ESTALE);
	else if ((fi->flags & O_ACCMODE) == O_RDONLY && (fi->flags & O_TRUNC) == 0)
		open_readable(fs, req, ino, message);
	else if (fs->config.is_read_only)
		fuse_reply_err(req, EROFS);
	else
		fs_refuse(fs, req, EPERM, FS_MESSAGES_NEVER_CHANGE);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	enum ino_kind kind = ino_split(ino).kind;

	if (kind == INO_KIND_DRAFT)
		draft_handle_close(fs_of(req), (struct draft_handle *)(uintptr_t)fi->fh);
	else if (ino_split(ino).uid == CONTROL_EVENTS && kind == INO_KIND_CONTROL && fi->fh != 0)
		events_release(fs_of(req), fi);
	else if (kind != INO_KIND_CONTROL)
		handle_close(fs_of(req), (struct handle *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}
