/* SPDX-License-Identifier: MIT */
/* statfs(2): never asks the server. Large constants: zero sizes confuse installers and df. */
#include <sys/statvfs.h>

#include "fs/internal.h"

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct statvfs stat = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_blocks = 1ull << 30,
		.f_bfree = 1ull << 29,
		.f_bavail = 1ull << 29,
		.f_files = 1ull << 32,
		.f_ffree = 1ull << 31,
		.f_favail = 1ull << 31,
		.f_namemax = 255,
	};

	if (fs->config.is_read_only)
		stat.f_flag |= ST_RDONLY;
	fuse_reply_statfs(req, &stat);
}
