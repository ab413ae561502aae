/* SPDX-License-Identifier: MIT */
/* Files that are not messages on the server yet: their attributes and open handles. Loop thread. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/change.h"
#include "fs/internal.h"

struct draft *fs_draft(struct fs *fs, uint64_t ino)
{
	struct ino what = ino_split(ino);

	if (what.kind != INO_KIND_DRAFT)
		return NULL;
	return engine_draft_by_id(fs->engine, ino_draft_id(ino));
}

struct draft *fs_draft_of(struct fs *fs, uint64_t ino, const struct fuse_file_info *fi)
{
	struct draft *draft = fs_draft(fs, ino);

	if (!draft && fi && ino_split(ino).kind == INO_KIND_DRAFT)
		draft = ((struct draft_handle *)(uintptr_t)fi->fh)->draft;
	return draft;
}

/* Of its own kind: unread until somebody says otherwise, like the message that it will be. */
static int64_t access_time_ns(const struct draft *draft)
{
	return (draft->flags & MAILFS_FLAG_SEEN) != 0 ? draft->mtime_ns : 0;
}

static struct timespec time_of(int64_t ns)
{
	struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	if (time.tv_nsec < 0) {
		time.tv_sec--;
		time.tv_nsec += 1000000000;
	}
	return time;
}

uint64_t fs_draft_ino(const struct fs *fs, const struct draft *draft)
{
	return fs->base | ino_draft(draft->id);
}

void fs_draft_attr(struct fs *fs, const struct draft *draft, struct stat *ret_attr)
{
	memset(ret_attr, 0, sizeof(*ret_attr));
	ret_attr->st_ino = fs_draft_ino(fs, draft);
	ret_attr->st_mode = S_IFREG | 0600;
	if (fs->config.flag_bits && (draft->flags & MAILFS_FLAG_FLAGGED) != 0)
		ret_attr->st_mode |= 0100;
	ret_attr->st_nlink = draft->is_unlinked ? 0 : 1;
	ret_attr->st_size = (off_t)draft->size;
	ret_attr->st_blocks = (ret_attr->st_size + 511) / 512;
	ret_attr->st_mtim = time_of(draft->mtime_ns);
	ret_attr->st_atim = time_of(access_time_ns(draft));
	ret_attr->st_ctim = time_of(draft->ctime_ns);
	fs_set_owner(fs, ret_attr);
}

/* ---- handles ----------------------------------------------------------------------------------- */

struct draft_handle *draft_handle_new(struct fs *fs, struct draft *draft, bool may_write)
{
	struct draft_handle *handle = g_new0(struct draft_handle, 1);

	handle->draft = draft_ref(draft);
	handle->may_write = may_write;
	g_hash_table_add(fs->draft_handles, handle);
	return handle;
}

void draft_handle_close(struct fs *fs, struct draft_handle *handle)
{
	g_hash_table_remove(fs->draft_handles, handle);
	engine_draft_close(fs->engine, handle->draft);
	draft_unref(handle->draft);
	g_free(handle);
}

void draft_handle_close_all(struct fs *fs)
{
	g_autoptr(GList) handles = g_hash_table_get_keys(fs->draft_handles);

	for (GList *at = handles; at; at = at->next)
		draft_handle_close(fs, at->data);
}

/* ---- open and read ----------------------------------------------------------------------------- */

static void reply_open(fuse_req_t req, struct draft *draft, bool may_write)
{
	struct fs *fs = fs_of(req);
	struct draft_handle *handle;
	struct fuse_file_info fi = { 0 };

	engine_draft_open(fs->engine, draft);
	handle = draft_handle_new(fs, draft, may_write);
	fi.fh = (uint64_t)(uintptr_t)handle;
	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, &fi) == -ENOENT)
		draft_handle_close(fs, handle);
}

static void on_truncated(struct change *change, fuse_req_t req)
{
	struct draft *draft = fs_draft(change->op.fs, change->ino);

	if (draft)
		reply_open(req, draft, true);
	else
		fuse_reply_err(req, ESTALE);
}

void draft_open(fuse_req_t req, struct draft *draft, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	bool may_write = (fi->flags & O_ACCMODE) != O_RDONLY;
	struct change *change;

	if ((fi->flags & O_TRUNC) == 0) {
		reply_open(req, draft, may_write);
		return;
	}
	change = change_new(fs, req, on_truncated);
	if (!change)
		return;
	change->ino = fs_draft_ino(fs, draft);
	engine_draft_truncate(fs->engine, draft, 0, change_done_ref, op_ref_new(&change->op));
}

static void reply_bytes(fuse_req_t req, void *data)
{
	gsize len;
	const void *bytes = g_bytes_get_data(data, &len);

	fuse_reply_buf(req, bytes, len);
}

static void on_bytes(void *user, GBytes *bytes, const GError *error)
{
	struct op *op = op_ref_take(user);

	if (op && error)
		op_finish_error(op, error);
	else if (op)
		op_finish(op, reply_bytes, bytes);
}

void draft_read(fuse_req_t req, struct draft *draft, size_t size, off_t offset)
{
	struct fs *fs = fs_of(req);
	struct op *op = op_new(fs, req, sizeof(*op), NULL);

	if (op)
		engine_draft_read(fs->engine, draft,
			(struct mailfs_range){ (uint64_t)offset, size }, on_bytes, op_ref_new(op));
}
