/* SPDX-License-Identifier: MIT */
/*
 * Reading a message. The engine gives slices of the body, from memory or from a file; a reply must
 * be as long as was asked for, up to the end of the message, so slices are joined where one is not
 * enough. A file that may not be in the page cache is read by a worker, never by the loop.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/post.h"
#include "fs/internal.h"
#include "fs/watch.h"

struct read_op {
	struct op op;
	uint64_t ino;
	const struct handle *handle; /* open as long as a read of it waits; NULL: there are no opens */
	uint64_t offset;
	size_t want, got;
	char *buffer; /* `want` bytes */
};

static void read_next(struct read_op *read);

static void read_release(struct op *op)
{
	g_free(((struct read_op *)op)->buffer);
}

/* -o seen=read: whoever reads the beginning has read the message. */
static void mark_read(const struct read_op *read)
{
	struct fs *fs = read->op.fs;
	struct ino what = ino_split(read->ino);

	if (fs->config.marks_seen && read->offset == 0 && fs_message(fs, read->ino, NULL))
		engine_mark_read(fs->engine, what.id, what.uid);
}

static void reply_bytes(fuse_req_t req, void *data)
{
	struct read_op *read = data;

	mark_read(read);
	fuse_reply_buf(req, read->buffer, read->got);
}

/* ---- from the disk, on a worker ---------------------------------------------------------------- */

struct disk_read {
	struct op_ref *ref;
	int fd; /* its own */
	uint64_t offset;
	size_t len;
	char *bytes;
	ssize_t got;
};

static void on_disk_read(void *data)
{
	struct disk_read *job = data;
	struct read_op *read = (struct read_op *)op_ref_take(job->ref);

	if (read && job->got <= 0) {
		op_finish_errno(&read->op, EIO);
	} else if (read) {
		memcpy(read->buffer + read->got, job->bytes, (size_t)job->got);
		read->got += (size_t)job->got;
		read_next(read);
	}
	close(job->fd);
	g_free(job->bytes);
	g_free(job);
}

static void on_worker(void *data)
{
	struct disk_read *job = data;

	job->got = pread(job->fd, job->bytes, job->len, (off_t)job->offset);
	post_to_loop(on_disk_read, job);
}

static void read_on_worker(struct read_op *read, const struct body_slice *slice, size_t len)
{
	SCOPED(fd_closep) int fd = dup(slice->fd);
	struct disk_read *job;

	if (fd < 0) {
		op_finish_errno(&read->op, EIO);
		return;
	}
	job = g_new0(struct disk_read, 1);
	job->ref = op_ref_new(&read->op);
	job->fd = fd_take(&fd);
	job->offset = slice->offset;
	job->len = len;
	job->bytes = g_malloc(len);
	post_to_worker(on_worker, job);
}

/* ---- slices ------------------------------------------------------------------------------------ */

static void take_slice(struct read_op *read, const struct body_slice *slice)
{
	size_t len = MIN(slice->len, read->want - read->got);
	char *at = read->buffer + read->got;
	struct iovec where = { at, len };
	ssize_t got;

	if (slice->bytes) {
		memcpy(at, (const char *)g_bytes_get_data(slice->bytes, NULL) + slice->offset, len);
		got = (ssize_t)len;
	} else {
		got = preadv2(slice->fd, &where, 1, (off_t)slice->offset, RWF_NOWAIT);
	}
	if (got <= 0) {
		read_on_worker(read, slice, len);
		return;
	}
	read->got += (size_t)got;
	read_next(read);
}

/* The size that the reader may have seen is another one than that of the message: nothing that is
 * read may count as success. */
static bool is_mistaken(struct fs *fs, uint64_t ino, const struct handle *handle)
{
	return handle ? handle_is_mistaken(fs, handle) : !fs_is_current(fs, ino);
}

/* Less than the exact size is an error, not an end. */
static bool is_cut_short(const struct read_op *read)
{
	const struct message *message = fs_message(read->op.fs, read->ino, NULL);

	return message && (message->bits & MESSAGE_SIZE_EXACT) != 0 &&
		read->offset + read->got < message->size;
}

static void answer_slice(struct read_op *read, const struct body_slice *slice, const GError *error)
{
	if (error)
		op_finish_error(&read->op, error);
	else if (slice->len > 0)
		take_slice(read, slice);
	else if (is_cut_short(read))
		op_finish_errno(&read->op, EIO);
	else
		op_finish(&read->op, reply_bytes, read); /* the end came before the claimed size */
}

static void on_slice(void *user, const struct body_slice *slice, const GError *error)
{
	struct read_op *read = user;

	read->op.ticket = 0;
	answer_slice(read, slice, error);
}

static void on_held_slice(void *user, const struct body_slice *slice, const GError *error)
{
	struct read_op *read = (struct read_op *)op_ref_take(user);

	if (read)
		answer_slice(read, slice, error);
}

static void read_held(struct read_op *read, struct mailfs_range range)
{
	struct body *held = read->handle ? read->handle->file->held : NULL;

	if (held)
		engine_read_held(read->op.fs->engine, held, range, on_held_slice, op_ref_new(&read->op));
	else
		op_finish_errno(&read->op, ESTALE);
}

static void read_next(struct read_op *read)
{
	struct fs *fs = read->op.fs;
	struct ino what = ino_split(read->ino);
	struct mailfs_range range = { read->offset + read->got, read->want - read->got };
	engine_ticket ticket;

	if (is_mistaken(fs, read->ino, read->handle)) {
		op_finish_errno(&read->op, EIO);
		return;
	}
	if (range.len == 0) {
		op_finish(&read->op, reply_bytes, read);
		return;
	}
	if (!fs_message(fs, read->ino, NULL)) {
		read_held(read, range);
		return;
	}
	ticket = engine_read(fs->engine, what.id, what.uid, range, on_slice, read);
	if (ticket != 0)
		read->op.ticket = ticket;
}

/* 0: nothing is there to be read. */
static uint64_t readable_size(struct fs *fs, uint64_t ino, const struct handle *handle)
{
	struct message *message = fs_message(fs, ino, NULL);

	if (message)
		return MAX(message->size, 1);
	return handle ? file_gone_size(handle->file) : 0;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *handle = (struct handle *)(uintptr_t)fi->fh;
	struct read_op *read;
	uint64_t end;

	if (ino_split(ino).kind == INO_KIND_CONTROL && ino_split(ino).uid == CONTROL_EVENTS && handle) {
		events_read(fs, req, size, fi);
		return;
	}
	if (ino_split(ino).kind == INO_KIND_CONTROL) {
		control_read(fs, req, ino, size, offset);
		return;
	}
	if (ino_split(ino).kind == INO_KIND_DRAFT) {
		draft_read(req, ((struct draft_handle *)(uintptr_t)fi->fh)->draft, size, offset);
		return;
	}
	/* The kernel asks again for what readahead could not get: one error would go unseen. */
	if (is_mistaken(fs, ino, handle)) {
		fuse_reply_err(req, EIO);
		return;
	}
	file_hold(fs, ino);
	end = readable_size(fs, ino, handle);
	if ((uint64_t)offset >= end) {
		if (handle || fs_message(fs, ino, NULL))
			fuse_reply_buf(req, NULL, 0);
		else
			fuse_reply_err(req, ESTALE);
		return;
	}
	read = (struct read_op *)op_new(fs, req, sizeof(*read), read_release);
	if (!read)
		return;
	read->ino = ino;
	read->handle = handle;
	read->offset = (uint64_t)offset;
	read->want = MIN(size, end - (uint64_t)offset);
	read->buffer = g_malloc(read->want);
	read_next(read);
}
