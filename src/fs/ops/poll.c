/* SPDX-License-Identifier: MIT */
/* Only the stream of events is worth waiting for; everything else is always ready, as files are. */
#include <poll.h>

#include "fs/internal.h"
#include "fs/watch.h"

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	struct fuse_pollhandle *handle)
{
	struct ino what = ino_split(ino);

	if (what.kind == INO_KIND_CONTROL && what.uid == CONTROL_EVENTS && fi->fh != 0) {
		events_poll(fs_of(req), req, fi, handle);
		return;
	}
	if (handle)
		fuse_pollhandle_destroy(handle);
	fuse_reply_poll(req, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}
