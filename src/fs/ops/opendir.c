/* SPDX-License-Identifier: MIT */
/* Opening a directory waits for a folder that was never opened, until it can begin to be listed, and
 * for what was moved there. */
#include <errno.h>

#include "fs/directory.h"

#define WAS_SKIMMED (1ull << 63) /* once is enough: the next one is to be kept */

static void note_listed(struct fs *fs, uint64_t ino, uint64_t what)
{
	uint64_t *pair = g_new(uint64_t, 2);

	pair[0] = ino;
	pair[1] = what;
	g_hash_table_replace(fs->listed, pair, pair);
}

static uint64_t listing_of(const struct folder *folder)
{
	const struct mailbox *box = folder_listing(folder);

	return ((uint64_t)folder->generation << 24 | (box ? box->id : 0)) & ~WAS_SKIMMED;
}

/* The kernel keeps the listing it has if nothing changed since it was told to. */
static void choose_cache(struct fs *fs, struct directory *directory, const struct folder *folder,
	bool wants_names, struct fuse_file_info *fi)
{
	const uint64_t *pair = g_hash_table_lookup(fs->listed, &directory->ino);
	uint64_t now = listing_of(folder);

	fi->cache_readdir = !wants_names;
	fi->keep_cache = pair && pair[1] == now;
	if (wants_names) {
		skim_begin(fs, directory);
		note_listed(fs, directory->ino, now | WAS_SKIMMED);
	} else if (!fi->keep_cache) {
		note_listed(fs, directory->ino, now);
	}
}

static void reply_directory(struct fs *fs, fuse_req_t req, uint64_t ino, const struct folder *folder,
	bool wants_names)
{
	struct directory *directory = directory_new(fs, ino);
	struct fuse_file_info fi = { 0 };

	if (folder) {
		directory_take_folders(directory, folder);
		choose_cache(fs, directory, folder, wants_names, &fi);
	}
	fi.fh = (uint64_t)(uintptr_t)directory;
	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, &fi) == -ENOENT)
		directory_close(fs, directory);
}

struct opendir {
	struct op op;
	uint64_t ino;
	struct skim_question question;
	bool wants_names;
};

static void opendir_release(struct op *op)
{
	skim_forget(&((struct opendir *)op)->question);
}

static void opendir_reply(fuse_req_t req, void *data)
{
	const struct opendir *opendir = data;
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, opendir->ino);

	if (folder)
		reply_directory(fs, req, opendir->ino, folder, opendir->wants_names);
	else
		fuse_reply_err(req, ESTALE);
}

static void on_named(void *user, bool wants_names)
{
	struct opendir *opendir = user;

	opendir->wants_names = wants_names;
	op_finish(&opendir->op, opendir_reply, opendir);
}

/* The kernel has no listing of it, nor was one of names given already. */
static bool is_new_to_kernel(const struct fs *fs, uint64_t ino, const struct folder *folder)
{
	const uint64_t *pair = g_hash_table_lookup(fs->listed, &ino);

	return !pair || (pair[1] & ~WAS_SKIMMED) != listing_of(folder);
}

/* Offline, what is on its way is not shown. */
static void on_arrived(void *user, const GError *error)
{
	struct opendir *opendir = user;
	struct fs *fs = opendir->op.fs;
	const struct folder *folder = fs_folder(fs, opendir->ino);

	opendir->op.ticket = 0;
	opendir->question.done = on_named;
	opendir->question.user = opendir;
	if (!folder || !skim_may_pay(fs, folder) || !is_new_to_kernel(fs, opendir->ino, folder) ||
		!skim_ask(fs, &opendir->question, fuse_req_ctx(opendir->op.req)->pid))
		op_finish(&opendir->op, opendir_reply, opendir);
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
		reply_directory(fs, req, ino, NULL, false);
		return;
	}
	if (!folder) {
		fuse_reply_err(req, fs_awaits_root(fs, ino) ? EHOSTUNREACH : ESTALE);
		return;
	}
	opendir = (struct opendir *)op_new(fs, req, sizeof(*opendir), opendir_release);
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
