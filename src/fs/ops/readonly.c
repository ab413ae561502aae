/* SPDX-License-Identifier: MIT */
/* Everything that would change the mailbox: refused, so far every mount is read-only. */
#include <errno.h>
#include <string.h>

#include "fs/internal.h"

static void refuse(fuse_req_t req)
{
	fuse_reply_err(req, EROFS);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct stat now;

	/* `echo refresh > .mailfs/ctl` truncates first; a control file has no length. */
	if (ino_split(ino).kind == INO_KIND_CONTROL && (to_set & ~(FUSE_SET_ATTR_SIZE |
		FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME | FUSE_SET_ATTR_MTIME_NOW)) == 0 &&
		fs_attr(fs_of(req), ino, &now))
		fuse_reply_attr(req, &now, 0);
	else
		refuse(req);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	refuse(req);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	refuse(req);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	refuse(req);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	refuse(req);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	refuse(req);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

/* Other namespaces are answered as unknown to us, on any mount: then cp -a and tar stay quiet. */
static void refuse_xattr(fuse_req_t req, const char *name)
{
	fuse_reply_err(req, g_str_has_prefix(name, "user.") ? EROFS : EOPNOTSUPP);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags)
{
	refuse_xattr(req, name);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	refuse_xattr(req, name);
}
