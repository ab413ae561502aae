/* SPDX-License-Identifier: MIT */
/* mount(2) or fusermount3, by libfuse. A session is made for its sake, and thrown away. */
#include "fs/mounter.h"

#include <fcntl.h>

#include <fuse_lowlevel.h>
#include <glib.h>

static void add_option(struct fuse_args *args, const char *option)
{
	fuse_opt_add_arg(args, "-o");
	fuse_opt_add_arg(args, option);
}

/* No text of a user or server that holds a comma or backslash gets into mount options. */
static char *clean_fsname(const char *fsname)
{
	char *clean = g_strdup(fsname);

	return g_strdelimit(clean, ",\\\n\t ", '_');
}

static struct fuse_session *make_session(const struct mounter *mounter)
{
	static const struct fuse_lowlevel_ops nothing;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	g_autofree char *clean = clean_fsname(mounter->fsname);
	g_autofree char *fsname = g_strconcat("fsname=", clean, NULL);
	struct fuse_session *session;

	fuse_opt_add_arg(&args, "mailfs");
	add_option(&args, fsname);
	add_option(&args, "subtype=mailfs,nosuid,nodev,noexec");
	if (mounter->is_read_only)
		add_option(&args, "ro");
	if (mounter->allow_other)
		add_option(&args, "allow_other");
	if (mounter->allow_other || mounter->default_permissions)
		add_option(&args, "default_permissions");
	session = fuse_session_new(&args, &nothing, sizeof(nothing), NULL);
	fuse_opt_free_args(&args);
	return session;
}

int mounter_mount(const struct mounter *mounter)
{
	struct fuse_session *session = make_session(mounter);
	int fd = -1;

	if (!session)
		return -1;
	if (fuse_session_mount(session, mounter->mountpoint) == 0)
		fd = fcntl(fuse_session_fd(session), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		fuse_session_unmount(session); /* nobody could answer for it; nothing, if there is none */
	/* Closes its own fd, and leaves the mount. */
	fuse_session_destroy(session);
	return fd;
}
