/* SPDX-License-Identifier: MIT */
/* Opening a directory waits for a folder that was never opened, until it can begin to be listed, and
 * for what was moved there. */
#include <errno.h>

#include "fs/directory.h"

/* The kernel keeps the listing it has if nothing changed since it was told to. */
static bool may_keep_cache(struct fs *fs, uint64_t ino, const struct folder *folder)
{
	uint64_t *seen = g_hash_table_lookup(fs->listed, &ino);
	const struct mailbox *box = folder_listing(folder);
	uint64_t now = (uint64_t)folder->generation << 24 | (box ? box->id : 0);
	uint64_t *pair;

	if (seen && seen[1] == now)
		return true;
	pair = g_new(uint64_t, 2);
	pair[0] = ino;
	pair[1] = now;
	g_hash_table_replace(fs->listed, pair, pair);
	return false;
}

static void reply_directory(struct fs *fs, fuse_req_t req, uint64_t ino, const struct folder *folder)
{
	struct directory *directory = directory_new(fs, ino);
	struct fuse_file_info fi = { 0 };

	if (folder) {
		directory_take_folders(directory, folder);
		fi.cache_readdir = 1;
		fi.keep_cache = may_keep_cache(fs, ino, folder);
	}
	fi.fh = (uint64_t)(uintptr_t)directory;
	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, &fi) == -ENOENT)
		directory_close(fs, directory);
}

struct opendir {
	struct op op;
	uint64_t ino;
};

static void opendir_reply(fuse_req_t req, void *data)
{
	struct fs *fs = fs_of(req);
	uint64_t ino = *(uint64_t *)data;
	struct folder *folder = fs_folder(fs, ino);

	if (folder)
		reply_directory(fs, req, ino, folder);
	else
		fuse_reply_err(req, ESTALE);
}

/* Offline, what is on its way is not shown. */
static void on_arrived(void *user, const GError *error)
{
	struct opendir *opendir = user;

	opendir->op.ticket = 0;
	op_finish(&opendir->op, opendir_reply, &opendir->ino);
}

/* What was moved here is listed here, though the move was answered early. */
static void on_opened(void *user, const GError *error)
{
	struct opendir *opendir = user;
	struct fs *fs = opendir->op.fs;
	struct folder *folder = fs_folder(fs, opendir->ino);
	engine_ticket ticket;

	opendir->op.ticket = 0;
	if (error) {
		op_finish_error(&opendir->op, error);
		return;
	}
	if (!folder) {
		op_finish_errno(&opendir->op, ESTALE);
		return;
	}
	ticket = engine_await_arrivals(fs->engine, folder, on_arrived, opendir);
	if (ticket != 0)
		opendir->op.ticket = ticket;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, ino);
	struct opendir *opendir;
	engine_ticket ticket;

	if (ino_split(ino).kind == INO_KIND_CONTROL) {
		reply_directory(fs, req, ino, NULL);
		return;
	}
	if (!folder) {
		fuse_reply_err(req, fs_awaits_root(fs, ino) ? EHOSTUNREACH : ESTALE);
		return;
	}
	opendir = (struct opendir *)op_new(fs, req, sizeof(*opendir), NULL);
	if (!opendir)
		return;
	opendir->ino = ino;
	ticket = engine_open_listing(fs->engine, folder, 0, on_opened, opendir);
	if (ticket != 0)
		opendir->op.ticket = ticket;
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	directory_close(fs_of(req), directory_of(fi));
	fuse_reply_err(req, 0);
}
