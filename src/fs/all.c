/* SPDX-License-Identifier: MIT */
/*
 * The operations of a mount of several accounts. Each account answers for what is below its directory,
 * as if it were alone; here is what is asked of the top, of an account that does not work, and of two
 * accounts at once. A mount of one account knows nothing of this file. Loop thread.
 */
#include <errno.h>
#include <string.h>

#include "fs/directory.h"
#include "fs/errno_map.h"
#include "fs/internal.h"
#include "fs/top.h"

/* The top, or an account that does not work. */
static bool is_bare(fuse_req_t req)
{
	return !fs_of(req)->engine;
}

static bool is_control(uint64_t ino)
{
	return ino_split(ino).kind == INO_KIND_CONTROL;
}

/* What is done to an account that does not work fails as it did; the top is what the configuration
 * says, and not to be changed. */
static void refuse(fuse_req_t req)
{
	const struct fs *fs = fs_of(req);

	if (fs->failure)
		fuse_reply_err(req, errno_of(fs->failure));
	else
		fuse_reply_err(req, fs->config.is_read_only ? EROFS : EPERM);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static void all_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);

	if (!is_bare(req))
		op_lookup(req, parent, name);
	else if (is_control(parent))
		control_lookup(fs, req, name);
	else if (strcmp(name, ".mailfs") == 0)
		control_lookup(fs, req, NULL);
	else if (fs->failure)
		refuse(req);
	else
		top_lookup(fs->mount, req, name);
}

static void all_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct mount *mount = fs_of(req)->mount;

	for (size_t i = 0; i < count; i++) {
		struct fs *fs = mount_fs(mount, forgets[i].ino);

		if (fs && is_control(forgets[i].ino))
			control_forget(fs, forgets[i].ino);
	}
	fuse_reply_none(req);
}

static void all_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat attr;

	if (!is_bare(req))
		op_getattr(req, ino, fi);
	else if (top_attr(fs_of(req), ino, &attr))
		fuse_reply_attr(req, &attr, FS_LONG_TIMEOUT);
	else
		fuse_reply_err(req, ESTALE);
}

static void all_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	if (!is_bare(req))
		op_access(req, ino, mask);
	else if ((mask & 2) != 0 && !is_control(ino))
		refuse(req);
	else
		fuse_reply_err(req, 0);
}

static void all_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!is_bare(req))
		op_opendir(req, ino, fi);
	else if (fs_of(req)->failure && !is_control(ino))
		refuse(req);
	else
		top_opendir(fs_of(req), req, ino);
}

static void all_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	if (is_bare(req) && !is_control(ino))
		top_readdir(fs_of(req)->mount, req, size, offset, false);
	else
		op_readdir(req, ino, size, offset, fi);
}

static void all_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	if (is_bare(req) && !is_control(ino))
		top_readdir(fs_of(req)->mount, req, size, offset, true);
	else
		op_readdirplus(req, ino, size, offset, fi);
}

static void all_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!is_bare(req))
		op_open(req, ino, fi);
	else if (is_control(ino))
		control_open(fs_of(req), req, ino_split(ino).uid, fi);
	else
		fuse_reply_err(req, ESTALE); /* of an account that worked */
}

/* Attributes of mail are the only ones there are. */
static void all_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	if (!is_bare(req))
		op_getxattr(req, ino, name, size);
	else
		fuse_reply_err(req, g_str_has_prefix(name, "user.") ? ENODATA : EOPNOTSUPP);
}

static void all_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (!is_bare(req))
		op_listxattr(req, ino, size);
	else if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}

static void all_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	if (is_bare(req))
		fuse_reply_err(req, 0);
	else
		op_fsyncdir(req, ino, datasync, fi);
}

/* ---- changing ---------------------------------------------------------------------------------- */

static void all_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct stat now;

	if (!is_bare(req))
		op_setattr(req, ino, attr, to_set, fi);
	else if (is_control(ino) && top_attr(fs_of(req), ino, &now))
		fuse_reply_attr(req, &now, FS_LONG_TIMEOUT); /* > ctl truncates */
	else
		refuse(req);
}

static void all_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags)
{
	if (is_bare(req))
		refuse(req);
	else
		op_setxattr(req, ino, name, value, size, flags);
}

static void all_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	if (is_bare(req))
		refuse(req);
	else
		op_removexattr(req, ino, name);
}

static void all_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	if (is_bare(req))
		refuse(req);
	else
		op_mknod(req, parent, name, mode, rdev);
}

static void all_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	if (is_bare(req))
		refuse(req);
	else
		op_create(req, parent, name, mode, fi);
}

static void all_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	if (is_bare(req))
		refuse(req);
	else
		op_mkdir(req, parent, name, mode);
}

static void all_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_bare(req))
		refuse(req);
	else
		op_unlink(req, parent, name);
}

static void all_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (is_bare(req))
		refuse(req);
	else
		op_rmdir(req, parent, name);
}

/* From one account to another: mv copies, and removes then. */
static void all_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);

	if (is_bare(req))
		refuse(req);
	else if (mount_fs(fs->mount, newparent) != fs)
		fuse_reply_err(req, EXDEV);
	else
		op_rename(req, parent, name, newparent, newname, flags);
}

const struct fuse_lowlevel_ops all_operations = {
	.init = mount_on_init,
	.lookup = all_lookup,
	.forget = op_forget,
	.forget_multi = all_forget_multi,
	.getattr = all_getattr,
	.setattr = all_setattr,
	.access = all_access,
	.opendir = all_opendir,
	.readdir = all_readdir,
	.readdirplus = all_readdirplus,
	.releasedir = op_releasedir,
	.open = all_open,
	.poll = op_poll,
	.ioctl = op_ioctl,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fsyncdir = all_fsyncdir,
	.release = op_release,
	.getxattr = all_getxattr,
	.listxattr = all_listxattr,
	.setxattr = all_setxattr,
	.removexattr = all_removexattr,
	.statfs = op_statfs,
	.mknod = all_mknod,
	.mkdir = all_mkdir,
	.unlink = all_unlink,
	.rmdir = all_rmdir,
	.symlink = op_symlink,
	.rename = all_rename,
	.link = op_link,
	.create = all_create,
	.fallocate = op_fallocate,
};
