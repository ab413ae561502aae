/* SPDX-License-Identifier: MIT */
/* Attributes, from memory. With -o exact-size they may wait for a body. */
#include <errno.h>

#include "fs/internal.h"

struct getattr {
	struct op op;
	uint64_t ino;
};

static void reply_attr(fuse_req_t req, void *data)
{
	fuse_reply_attr(req, data, FS_LONG_TIMEOUT);
}

static void on_exact(void *user, const GError *error)
{
	struct getattr *getattr = user;
	struct stat attr;

	getattr->op.ticket = 0;
	if (error)
		op_finish_error(&getattr->op, error);
	else if (!fs_attr(getattr->op.fs, getattr->ino, &attr))
		op_finish_errno(&getattr->op, ESTALE);
	else
		op_finish(&getattr->op, reply_attr, &attr);
}

static void getattr_wait(struct fs *fs, fuse_req_t req, uint64_t ino)
{
	struct getattr *getattr = (struct getattr *)op_new(fs, req, sizeof(*getattr), NULL);
	struct ino what = ino_split(ino);
	engine_ticket ticket;

	if (!getattr)
		return;
	getattr->ino = ino;
	ticket = engine_make_exact(fs->engine, what.id, what.uid, on_exact, getattr);
	if (ticket != 0)
		getattr->op.ticket = ticket;
}

/* It has left its place, as a message or for good, and is still open. */
static void reply_open_draft(struct fs *fs, fuse_req_t req, const struct draft *draft)
{
	struct stat attr;

	fs_draft_attr(fs, draft, &attr);
	fuse_reply_attr(req, &attr, 0);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct message *message = fs_message(fs, ino, NULL);
	struct stat attr;

	if (message && fs_lacks_size(fs, message))
		getattr_wait(fs, req, ino);
	else if (fs_attr(fs, ino, &attr))
		fuse_reply_attr(req, &attr, fs_timeout(ino));
	else if (fs_draft_of(fs, ino, fi))
		reply_open_draft(fs, req, fs_draft_of(fs, ino, fi));
	else
		fuse_reply_err(req, ESTALE);
}
