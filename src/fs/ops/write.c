/* SPDX-License-Identifier: MIT */
/* Writing: so far only to .mailfs/ctl; a message is never opened for it. */
#include <errno.h>

#include "fs/internal.h"

void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	struct ino what = ino_split(ino);

	if (what.kind == INO_KIND_CONTROL)
		control_write(fs_of(req), req, what.uid, bytes, size);
	else
		fuse_reply_err(req, EROFS);
}

/* Nothing is on its way to the server. Without an answer of ours libfuse says ENOSYS, and the kernel
 * would never ask again (KC-4). */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}
