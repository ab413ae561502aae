/* SPDX-License-Identifier: MIT */
/*
 * rename(2), by what is renamed:
 *
 *   draft                     takes the name; over a message: replaces it when it is uploaded
 *   message, same folder      another name on this mount, nothing else
 *   message, other folder     moved on the server
 *   folder                    renamed on the server, with what is below it
 *
 * What is in the way of a message is removed only after the message has arrived (WR-7).
 */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "fs/change.h"
#include "fs/errno_map.h"
#include "fs/internal.h"

struct place {
	struct folder *folder;
	struct stat attr;
	bool is_there;
};

/* The kernel moves the entry that it has to the new name; but there is another inode now. With its
 * attributes forgotten, the next look gets ESTALE and looks the name up again. The name itself is
 * not taken away: that waits for the directory, which another rename may hold, and a process that is
 * killed in that wait cannot end. */
static void reply_renamed(struct change *change, fuse_req_t req)
{
	struct fs *fs = change->op.fs;

	fuse_reply_err(req, 0);
	if (fs->session)
		notifier_attributes(fs->notifier, change->ino);
}

/* ---- what was in the way ----------------------------------------------------------------------- */

static void remove_other(struct change *change)
{
	struct fs *fs = change->op.fs;
	struct ino other = ino_split(change->other);
	struct draft *draft = fs_draft(fs, change->other);
	struct folder *away = tree_by_unloaded(engine_tree(fs->engine), other.id);

	/* It may have left memory while the first step waited: back with it, then this again. */
	if (!draft && other.kind == INO_KIND_MESSAGE && away) {
		change_wait(change, engine_open_folder(fs->engine, away, change_done, change));
		return;
	}
	change->next = NULL;
	if (draft)
		change_wait(change, engine_draft_unlink(fs->engine, draft, change_done, change));
	else if (fs_message(fs, change->other, NULL))
		change_wait(change, engine_delete(fs->engine, other.id, other.uid, change_done, change));
	else
		change_done(change, NULL);
}

static struct change *rename_new(fuse_req_t req, uint64_t ino, uint64_t newparent,
	const char *newname, const struct place *to)
{
	struct change *change = change_new(fs_of(req), req, reply_renamed);

	if (!change)
		return NULL;
	change->ino = ino;
	change->parent = newparent;
	change->name = g_strdup(newname);
	if (to->is_there) {
		change->other = to->attr.st_ino;
		change->next = remove_other;
	}
	return change;
}

/* ---- by kind ----------------------------------------------------------------------------------- */

static void rename_draft(fuse_req_t req, uint64_t ino, const struct place *to, const char *newname)
{
	struct fs *fs = fs_of(req);
	struct ino other = ino_split(to->attr.st_ino);
	bool is_over_message = to->is_there && other.kind == INO_KIND_MESSAGE;
	struct change *change = change_new(fs, req, NULL);

	if (change)
		engine_draft_rename(fs->engine, fs_draft(fs, ino), to->folder, newname,
			is_over_message ? other.uid : 0, change_done_ref, op_ref_new(&change->op));
}

static void on_name_changed(void *user, const GError *error)
{
}

static void give_name(struct fs *fs, struct ino what, const char *name)
{
	engine_give_name(fs->engine, what.id, what.uid, name, on_name_changed, NULL);
}

/* What was in the way stays: both have the names that they had. */
static void names_back(struct change *change)
{
	struct fs *fs = change->op.fs;

	give_name(fs, ino_split(change->ino), change->former);
	if (change->others)
		give_name(fs, ino_split(change->other), change->others);
}

/* The one in the way keeps the name that it has by itself, until it is removed. */
static engine_ticket take_name(struct change *change, const char *newname)
{
	struct fs *fs = change->op.fs;
	struct ino what = ino_split(change->ino);
	uint32_t uid = engine_given_uid(fs->engine, what.id, newname);

	change->former = g_strdup(engine_given_name(fs->engine, what.id, what.uid));
	if (uid != 0) {
		change->others = g_strdup(newname);
		give_name(fs, (struct ino){ .id = what.id, .uid = uid }, NULL);
	}
	if (change->next)
		change->undo = names_back;
	return engine_give_name(fs->engine, what.id, what.uid, newname, change_done, change);
}

/* Nothing is moved or named when what is in the way could not be removed afterwards. */
static bool may_replace(fuse_req_t req, const struct place *to)
{
	struct ino other = ino_split(to->attr.st_ino);
	g_autoptr(GError) error = NULL;

	if (!to->is_there || other.kind != INO_KIND_MESSAGE ||
		engine_may_delete(fs_of(req)->engine, other.id, other.uid, &error))
		return true;
	fuse_reply_err(req, errno_of(error));
	return false;
}

static void rename_message(fuse_req_t req, uint64_t ino, const struct place *from,
	const struct place *to, uint64_t newparent, const char *newname)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(ino);
	struct change *change;

	if (!may_replace(req, to))
		return;
	change = rename_new(req, ino, newparent, newname, to);
	if (!change)
		return;
	if (from->folder == to->folder)
		change_wait(change, take_name(change, newname));
	else
		change_wait(change, engine_move(fs->engine, what.id, what.uid, to->folder, newname,
			change_done, change));
}

static void rename_folder(fuse_req_t req, uint64_t ino, const struct place *to, uint64_t newparent,
	const char *newname)
{
	static const struct place nothing;
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, ino);
	g_autofree char *bytes = fs_folder_bytes(to->folder, newname);
	struct change *change;

	if (!bytes) {
		fs_refuse(fs, req, g_utf8_validate(newname, -1, NULL) ? EINVAL : EILSEQ,
			FS_NAME_OF_NO_FOLDER);
		return;
	}
	change = rename_new(req, ino, newparent, newname, &nothing);
	if (change)
		change_wait(change, engine_rename_folder(fs->engine, folder, to->folder, bytes,
			change_done, change));
}

/* ---- the request ------------------------------------------------------------------------------- */

static bool is_inside(const struct folder *folder, const struct folder *ancestor)
{
	for (; folder; folder = folder->parent) {
		if (folder == ancestor)
			return true;
	}
	return false;
}

static bool is_control(const struct fs *fs, uint64_t parent, const char *name)
{
	return ino_split(parent).kind == INO_KIND_CONTROL ||
		(parent == fs->root && strcmp(name, ".mailfs") == 0);
}

/* An errno when the two do not go together. */
static int check_kinds(struct fs *fs, const struct place *from, const struct place *to,
	unsigned flags)
{
	bool is_folder = S_ISDIR(from->attr.st_mode);

	if (to->is_there && (flags & RENAME_NOREPLACE) != 0)
		return EEXIST;
	if (is_folder && is_inside(to->folder, fs_folder(fs, from->attr.st_ino)))
		return EINVAL;
	if (!to->is_there)
		return 0;
	if (is_folder)
		return S_ISDIR(to->attr.st_mode) ? ENOTEMPTY : ENOTDIR;
	return S_ISDIR(to->attr.st_mode) ? EISDIR : 0;
}

static int find_place(struct fs *fs, uint64_t parent, const char *name, struct place *ret_place)
{
	int error;

	*ret_place = (struct place){ .folder = fs_folder(fs, parent) };
	if (!ret_place->folder)
		return ESTALE;
	error = fs_find(fs, parent, name, &ret_place->attr, NULL);
	ret_place->is_there = error == 0;
	return error;
}

static int check(struct fs *fs, const char *newname, unsigned flags, const struct place *from,
	const struct place *to)
{
	if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
		return EINVAL; /* RENAME_EXCHANGE, RENAME_WHITEOUT */
	if (strlen(newname) > 255)
		return ENAMETOOLONG;
	if (!to->folder)
		return ESTALE;
	return check_kinds(fs, from, to, flags);
}

static void rename_again(fuse_req_t req, const struct again *again)
{
	op_rename(req, again->parent, again->name, again->newparent, again->newname, again->flags);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct fs *fs = fs_of(req);
	const struct again again = {
		.begin = rename_again,
		.parent = parent,
		.name = name,
		.newparent = newparent,
		.newname = newname,
		.flags = flags,
	};
	struct place from, to;
	int error = 0;

	if (fs_begin_again(req, parent, name, &again) ||
		fs_begin_again(req, newparent, newname, &again))
		return;

	if (is_control(fs, parent, name) || is_control(fs, newparent, newname))
		error = EPERM;
	else if (fs->config.is_read_only)
		error = EROFS;
	if (error == 0)
		error = find_place(fs, parent, name, &from);
	if (error == 0) {
		find_place(fs, newparent, newname, &to);
		error = check(fs, newname, flags, &from, &to);
	}
	if (error != 0)
		fuse_reply_err(req, error);
	else if (to.is_there && to.attr.st_ino == from.attr.st_ino)
		fuse_reply_err(req, 0); /* two names of one message: POSIX says nothing happens */
	else if (fs_draft(fs, from.attr.st_ino))
		rename_draft(req, from.attr.st_ino, &to, newname);
	else if (S_ISDIR(from.attr.st_mode))
		rename_folder(req, from.attr.st_ino, &to, newparent, newname);
	else
		rename_message(req, from.attr.st_ino, &from, &to, newparent, newname);
}
