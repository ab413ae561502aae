/* SPDX-License-Identifier: MIT */
/* A name in a directory. Waits only for a folder that was never opened. */
#include <errno.h>
#include <string.h>

#include "fs/internal.h"
#include "fs/watch.h"

struct lookup {
	struct op op;
	uint64_t parent;
	char *name;
};

static void lookup_release(struct op *op)
{
	g_free(((struct lookup *)op)->name);
}

static void reply_entry(fuse_req_t req, void *data)
{
	fs_reply_entry(fs_of(req), req, data);
}

/* Not to be remembered: soon it is another inode. */
static void reply_arriving(struct fs *fs, fuse_req_t req, const struct stat *attr)
{
	const struct fuse_entry_param entry = { .ino = fs_node(fs, attr->st_ino), .attr = *attr };

	fuse_reply_entry(req, &entry);
}

static void lookup_again(fuse_req_t req, const struct again *again)
{
	op_lookup(req, again->parent, again->name);
}

/* True: the name is one that a message is on its way to; answered, or it will be. */
static bool lookup_arriving(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name)
{
	const struct again again = { .begin = lookup_again, .parent = parent, .name = name };
	const struct folder *folder = fs_folder(fs, parent);
	struct stat attr;

	if (!folder || !fs_find_arriving(fs, folder, name, &attr))
		return false;
	if (attr.st_ino == 0)
		return fs_begin_again(req, parent, name, &again);
	reply_arriving(fs, req, &attr);
	return true;
}

static void lookup_answer(struct lookup *lookup);

/* The folder is open, or the size is known. */
static void on_ready(void *user, const GError *error)
{
	struct lookup *lookup = user;

	lookup->op.ticket = 0;
	if (error)
		op_finish_error(&lookup->op, error);
	else
		lookup_answer(lookup);
}

static void lookup_answer(struct lookup *lookup)
{
	struct fs *fs = lookup->op.fs;
	struct message *message = NULL;
	engine_ticket ticket;
	struct stat attr;
	int error = fs_find(fs, lookup->parent, lookup->name, &attr, &message);

	if (error != 0) {
		op_finish_errno(&lookup->op, error);
		return;
	}
	if (!message || !fs_lacks_size(fs, message)) {
		op_finish(&lookup->op, reply_entry, &attr);
		return;
	}
	ticket = engine_make_exact(fs->engine, ino_split(attr.st_ino).id, message->uid, on_ready, lookup);
	if (ticket != 0)
		lookup->op.ticket = ticket;
}

static void lookup_wait(struct fs *fs, fuse_req_t req, struct folder *folder, uint64_t parent,
	const char *name)
{
	struct lookup *lookup = (struct lookup *)op_new(fs, req, sizeof(*lookup), lookup_release);
	engine_ticket ticket;

	if (!lookup)
		return;
	lookup->parent = parent;
	lookup->name = g_strdup(name);
	ticket = engine_open_folder(fs->engine, folder, on_ready, lookup);
	if (ticket != 0)
		lookup->op.ticket = ticket;
}

/* Names without a UID that nobody gave, such as ".noindex" or "cur", are no messages: no need to
 * open a folder. */
static bool may_be_message(struct fs *fs, const struct folder *folder, const char *name)
{
	uint32_t uid;

	return view_uid_candidates(name, &uid, 1) > 0 ||
		engine_may_be_given(fs->engine, folder, name);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(parent);
	struct folder *folder = fs_folder(fs, parent);
	struct message *message = NULL;
	struct stat attr;
	int error;

	if (inotify_takes_lookup(fs, req, parent, name))
		return;
	skim_note_lookup(fs, parent);
	if (what.kind == INO_KIND_CONTROL) {
		control_lookup(fs, req, name);
		return;
	}
	if (parent == fs->root && strcmp(name, ".mailfs") == 0) {
		control_lookup(fs, req, NULL);
		return;
	}
	if (strlen(name) > 255) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	error = fs_find(fs, parent, name, &attr, &message);
	if (error == ENOENT && lookup_arriving(fs, req, parent, name))
		return;
	if (error == 0 && !(message && fs_lacks_size(fs, message)))
		fs_reply_entry(fs, req, &attr);
	else if (!folder || (error == ENOENT && (folder->box || !may_be_message(fs, folder, name))))
		fuse_reply_err(req, error);
	else
		lookup_wait(fs, req, folder, parent, name);
}
