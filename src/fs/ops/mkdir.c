/* SPDX-License-Identifier: MIT */
/* A new folder, on the server at once. */
#include <errno.h>
#include <string.h>

#include "fs/change.h"
#include "fs/internal.h"
#include "fs/watch.h"

/* The server may have changed the name: then the name that was asked for does not exist, and the
 * listing has the other one. */
static void reply_made(struct change *change, fuse_req_t req)
{
	struct fs *fs = change->op.fs;
	const struct folder *parent = fs_folder(fs, change->parent);
	const struct folder *child = parent ? tree_child(parent, change->name) : NULL;
	struct stat attr;

	if (!child) {
		fuse_reply_err(req, EIO);
		return;
	}
	fs_folder_attr(fs, child, &attr);
	fs_reply_entry(fs, req, &attr);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, parent);
	g_autofree char *bytes = folder ? fs_folder_bytes(folder, name) : NULL;
	struct change *change;
	struct stat attr;
	int error = 0;

	if (inotify_takes_make(fs, req, parent, name))
		return;
	if (ino_split(parent).kind == INO_KIND_CONTROL)
		error = EPERM;
	else if (fs->config.is_read_only)
		error = EROFS;
	else if (!folder)
		error = ESTALE;
	else if (strlen(name) > 255)
		error = ENAMETOOLONG;
	else if (!g_utf8_validate(name, -1, NULL))
		error = EILSEQ;
	else if (fs_find(fs, parent, name, &attr, NULL) == 0 ||
		(parent == fs->root && strcmp(name, ".mailfs") == 0))
		error = EEXIST;
	else if (!bytes)
		error = EINVAL;
	if (error == EINVAL || error == EILSEQ) {
		fs_refuse(fs, req, error, FS_NAME_OF_NO_FOLDER);
		return;
	}
	if (error != 0) {
		fuse_reply_err(req, error);
		return;
	}
	change = change_new(fs, req, reply_made);
	if (!change)
		return;
	change->parent = parent;
	change->name = g_strdup(name);
	change_wait(change, engine_make_folder(fs->engine, folder, bytes, change_done, change));
}
