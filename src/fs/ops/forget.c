/* SPDX-License-Identifier: MIT */
/* The kernel forgets an inode. Inodes are values, so that means nothing, but for texts of .mailfs. */
#include "fs/internal.h"

static void forget(struct fs *fs, uint64_t ino)
{
	if (ino_split(ino).kind == INO_KIND_CONTROL)
		control_forget(fs, ino);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forget(fs_of(req), ino);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(fs_of(req), forgets[i].ino);
	fuse_reply_none(req);
}
