/* SPDX-License-Identifier: MIT */
/* access(2), where the kernel does not check modes itself. */
#include <errno.h>
#include <unistd.h>

#include "fs/internal.h"

void op_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	struct fs *fs = fs_of(req);
	bool is_control = ino_split(ino).kind == INO_KIND_CONTROL;
	struct stat attr;

	if (!fs_attr(fs, ino, &attr))
		fuse_reply_err(req, ESTALE);
	else if ((mask & W_OK) != 0 && !is_control && fs->config.is_read_only)
		fuse_reply_err(req, EROFS);
	else if (((mask & X_OK) != 0 && (attr.st_mode & 0100) == 0) ||
		((mask & R_OK) != 0 && (attr.st_mode & 0400) == 0) ||
		((mask & W_OK) != 0 && (attr.st_mode & 0200) == 0))
		fuse_reply_err(req, EACCES);
	else
		fuse_reply_err(req, 0);
}
