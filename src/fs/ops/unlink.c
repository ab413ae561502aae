/* SPDX-License-Identifier: MIT */
/* rm and rmdir. Both succeed only after the server has confirmed (engine/changes.h). */
#include <errno.h>
#include <string.h>

#include "fs/change.h"
#include "fs/internal.h"
#include "fs/watch.h"

/* 0, or the errno of a place where nothing can be removed. */
static int check_place(struct fs *fs, uint64_t parent, const char *name)
{
	if (ino_split(parent).kind == INO_KIND_CONTROL ||
		(parent == fs->root && strcmp(name, ".mailfs") == 0))
		return EPERM;
	return fs->config.is_read_only ? EROFS : 0;
}

static void unlink_draft(fuse_req_t req, struct draft *draft)
{
	struct fs *fs = fs_of(req);
	struct change *change = change_new(fs, req, NULL);

	if (change)
		change_wait(change, engine_draft_unlink(fs->engine, draft, change_done, change));
}

static void unlink_message(fuse_req_t req, uint64_t ino)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(ino);
	struct change *change = change_new(fs, req, NULL);

	if (change)
		change_wait(change, engine_delete(fs->engine, what.id, what.uid, change_done, change));
}

static void unlink_again(fuse_req_t req, const struct again *again)
{
	op_unlink(req, again->parent, again->name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	const struct again again = { .begin = unlink_again, .parent = parent, .name = name };
	int error = check_place(fs, parent, name);
	struct stat attr;

	if (inotify_takes_removal(fs, req, parent, name))
		return;
	if (fs_begin_again(req, parent, name, &again))
		return;

	if (error == 0)
		error = fs_find(fs, parent, name, &attr, NULL);
	if (error == 0 && S_ISDIR(attr.st_mode))
		error = EISDIR;
	if (error != 0)
		fuse_reply_err(req, error);
	else if (fs_draft(fs, attr.st_ino))
		unlink_draft(req, fs_draft(fs, attr.st_ino));
	else
		unlink_message(req, attr.st_ino);
}

/* ---- rmdir ------------------------------------------------------------------------------------- */

static void count_draft(void *user, struct draft *draft)
{
	++*(unsigned *)user;
}

/* What was removed from it before and answered early must be gone by now. */
static void on_settled(struct change *change)
{
	struct fs *fs = change->op.fs;
	struct folder *folder = fs_folder(fs, change->ino);

	change->next = NULL;
	if (!folder)
		op_finish_errno(&change->op, ENOENT);
	else
		change_wait(change, engine_remove_folder(fs->engine, folder, change_done, change));
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct folder *in = fs_folder(fs, parent);
	struct folder *folder = in ? tree_child(in, name) : NULL;
	int error = check_place(fs, parent, name);
	unsigned drafts = 0;
	struct change *change;

	if (inotify_takes_removal(fs, req, parent, name))
		return;
	if (error == 0 && !folder) {
		struct stat attr;

		error = fs_find(fs, parent, name, &attr, NULL);
		error = error == 0 ? ENOTDIR : error;
	}
	if (error == 0)
		engine_each_draft(fs->engine, folder, count_draft, &drafts);
	if (drafts > 0 || (error == 0 && folder->children->len > 0))
		error = ENOTEMPTY;
	if (error != 0) {
		fuse_reply_err(req, error);
		return;
	}
	change = change_new(fs, req, NULL);
	if (!change)
		return;
	change->ino = fs_folder_ino(fs, folder);
	change->next = on_settled;
	change_wait(change, engine_settle(fs->engine, folder, change_done, change));
}
