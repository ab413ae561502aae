/* SPDX-License-Identifier: MIT */
/* Writing to a draft, and what makes it durable. A message is never opened for writing. */
#include <errno.h>
#include <fcntl.h>

#include "fs/change.h"
#include "fs/internal.h"

static struct draft_handle *draft_handle_of(struct fuse_file_info *fi)
{
	return (struct draft_handle *)(uintptr_t)fi->fh;
}

static void reply_written(struct change *change, fuse_req_t req)
{
	fuse_reply_write(req, change->size);
}

static void draft_write(fuse_req_t req, struct draft *draft, const char *bytes, size_t size,
	off_t offset)
{
	struct fs *fs = fs_of(req);
	g_autoptr(GBytes) copy = NULL;
	struct change *change = change_new(fs, req, reply_written);

	if (!change)
		return;
	change->size = size;
	copy = g_bytes_new(bytes, size);
	engine_draft_write(fs->engine, draft, (uint64_t)offset, copy, change_done_ref,
		op_ref_new(&change->op));
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	struct ino what = ino_split(ino);

	if (what.kind == INO_KIND_CONTROL)
		control_write(fs_of(req), req, what.uid, bytes, size);
	else if (what.kind == INO_KIND_DRAFT)
		draft_write(req, draft_handle_of(fi)->draft, bytes, size, offset);
	else
		fuse_reply_err(req, EPERM);
}

/* close(2): what was written is durable when it answers. mv removes its source after this. */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct change *change;

	if (ino_split(ino).kind != INO_KIND_DRAFT || !draft_handle_of(fi)->may_write) {
		/* Asked only where there are no opens, and there once. */
		fuse_reply_err(req, fs->is_openless ? ENOSYS : 0);
		return;
	}
	change = change_new(fs, req, NULL);
	if (change)
		engine_draft_flush(fs->engine, draft_handle_of(fi)->draft, change_done_ref,
			op_ref_new(&change->op));
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct change *change;

	/* Without an answer of ours libfuse says ENOSYS, and the kernel would never ask again (KC-4). */
	if (ino_split(ino).kind != INO_KIND_DRAFT) {
		fuse_reply_err(req, 0);
		return;
	}
	change = change_new(fs, req, NULL);
	if (change)
		change_wait(change, engine_draft_sync(fs->engine, draft_handle_of(fi)->draft, change_done,
			change));
}

/* What was moved or removed in this directory and answered early is confirmed. */
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, ino);
	struct change *change;

	if (!folder || fs->config.is_read_only) {
		fuse_reply_err(req, 0);
		return;
	}
	change = change_new(fs, req, NULL);
	if (change)
		change_wait(change, engine_settle(fs->engine, folder, change_done, change));
}
