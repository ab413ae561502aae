/* SPDX-License-Identifier: MIT */
/* What has no meaning for mail: links, and space without bytes. */
#include <errno.h>

#include "fs/internal.h"

static void refuse(fuse_req_t req)
{
	struct fs *fs = fs_of(req);

	if (fs->config.is_read_only)
		fuse_reply_err(req, EROFS);
	else
		fs_refuse(fs, req, EPERM, FS_ONLY_MESSAGES);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	refuse(req);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	fuse_reply_err(req, EOPNOTSUPP);
}
