/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes, set and removed. Flags become a change of flags; anything else can only be
 * set to what it is already (so that cp -a and rsync -X back and forth end well), or not at all.
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/attr_flags.h"
#include "fs/change.h"
#include "fs/internal.h"
#include "mailfs/xattr.h"

#define VALUE_MAX 4096u

/* A message or a draft, and the change that a value makes. */
struct setting {
	struct fs *fs;
	uint64_t ino;
	const char *value;
	size_t size;
	struct attr_edit edit;
};

/* 0 or an errno; fills setting->edit. */
typedef int (*set_fn)(struct setting *setting, unsigned arg);

struct setter {
	const char *name;
	set_fn set;
	unsigned arg;
	const char *removal; /* what removexattr sets */
};

static const char *keywords_of(struct fs *fs, uint64_t ino)
{
	struct folder *folder;
	const struct message *message = fs_message(fs, ino, &folder);
	const struct draft *draft = fs_draft(fs, ino);

	if (draft)
		return draft->keywords;
	return message ? mailbox_keywords(folder->box, message->keywords) : "";
}

static int set_flags(struct setting *setting, unsigned arg)
{
	return attr_flags_parse(setting->value, setting->size, &setting->edit);
}

static int set_tags(struct setting *setting, unsigned arg)
{
	return attr_tags_parse(setting->value, setting->size, keywords_of(setting->fs, setting->ino),
		&setting->edit);
}

static int set_flag(struct setting *setting, unsigned arg)
{
	bool is_set;
	int error = attr_bool_parse(setting->value, setting->size, &is_set);

	if (error == 0 && is_set)
		setting->edit.add = arg;
	else if (error == 0)
		setting->edit.remove = arg;
	return error;
}

static int set_keyword(struct setting *setting, unsigned arg)
{
	static const char *const keywords[] = { "$Forwarded", "$Junk" };
	bool is_set;
	int error = attr_bool_parse(setting->value, setting->size, &is_set);
	g_autofree char *edit = NULL;

	if (error != 0)
		return error;
	edit = g_strconcat(is_set ? "+" : "-", keywords[arg], NULL);
	return attr_flags_parse(edit, strlen(edit), &setting->edit);
}

static const struct setter setters[] = {
	{ MAILFS_XATTR_FLAGS, set_flags, 0, "" },
	{ MAILFS_XATTR_TAGS, set_tags, 0, "" },
	{ MAILFS_XATTR_SEEN, set_flag, MAILFS_FLAG_SEEN, "0" },
	{ MAILFS_XATTR_FLAGGED, set_flag, MAILFS_FLAG_FLAGGED, "0" },
	{ MAILFS_XATTR_ANSWERED, set_flag, MAILFS_FLAG_ANSWERED, "0" },
	{ MAILFS_XATTR_DRAFT, set_flag, MAILFS_FLAG_DRAFT, "0" },
	{ MAILFS_XATTR_DELETED, set_flag, MAILFS_FLAG_DELETED, "0" },
	{ MAILFS_XATTR_FORWARDED, set_keyword, 0, "0" },
	{ MAILFS_XATTR_JUNK, set_keyword, 1, "0" },
};

static const struct setter *find_setter(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(setters); i++) {
		if (strcmp(setters[i].name, name) == 0)
			return &setters[i];
	}
	return NULL;
}

/* ---- flags ------------------------------------------------------------------------------------- */

static void apply(fuse_req_t req, struct setting *setting)
{
	struct fs *fs = setting->fs;
	struct ino what = ino_split(setting->ino);
	struct draft *draft = fs_draft(fs, setting->ino);
	const struct engine_flag_change flags = {
		.is_replacement = setting->edit.is_replacement,
		.add = setting->edit.add,
		.remove = setting->edit.remove,
		.add_keywords = setting->edit.add_keywords->len > 0 ?
			(const char *const *)setting->edit.add_keywords->pdata : NULL,
		.remove_keywords = setting->edit.remove_keywords->len > 0 ?
			(const char *const *)setting->edit.remove_keywords->pdata : NULL,
	};
	struct change *change = change_new(fs, req, NULL);

	if (change && draft)
		engine_draft_change_flags(fs->engine, draft, &flags, change_done_ref,
			op_ref_new(&change->op));
	else if (change)
		change_wait(change, engine_change_flags(fs->engine, what.id, what.uid, &flags,
			change_done, change));
}

static void set_by(fuse_req_t req, uint64_t ino, const struct setter *setter, const char *value,
	size_t size)
{
	struct setting setting = { .fs = fs_of(req), .ino = ino, .value = value, .size = size };
	int error;

	attr_edit_init(&setting.edit);
	error = setter->set(&setting, setter->arg);
	if (error != 0)
		fuse_reply_err(req, error);
	else
		apply(req, &setting);
	attr_edit_done(&setting.edit);
}

/* ---- what is kept of a body, and subscriptions ---------------------------------------------------- */

static void set_cached(fuse_req_t req, uint64_t ino, const char *value, size_t size)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(ino);
	struct change *change;
	bool is_wanted;

	if (attr_bool_parse(value, size, &is_wanted) != 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	change = change_new(fs, req, NULL);
	if (change)
		change_wait(change, engine_keep(fs->engine, what.id, what.uid, is_wanted, change_done,
			change));
}

static void set_folder(fuse_req_t req, uint64_t ino, const char *name, const char *value,
	size_t size)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = fs_folder(fs, ino);
	bool is_wanted;
	struct change *change;

	if (strcmp(name, MAILFS_XATTR_SUBSCRIBED) != 0 || !folder->name) {
		g_autoptr(GBytes) expected = g_bytes_new(value, size);

		xattr_compare(req, ino, name, expected);
		return;
	}
	if (attr_bool_parse(value, size, &is_wanted) != 0) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	change = change_new(fs, req, NULL);
	if (change)
		change_wait(change, engine_subscribe_folder(fs->engine, folder, is_wanted, change_done,
			change));
}

/* ---- requests ---------------------------------------------------------------------------------- */

/* An errno that needs no look at the attribute itself. */
static int check(struct fs *fs, uint64_t ino, const char *name, size_t size)
{
	if (!g_str_has_prefix(name, "user."))
		return EOPNOTSUPP; /* then cp -a, tar and install stay quiet */
	if (fs->config.is_read_only)
		return EROFS;
	if (ino_split(ino).kind == INO_KIND_CONTROL)
		return EPERM;
	if (!fs_message(fs, ino, NULL) && !fs_draft(fs, ino) && !fs_folder(fs, ino))
		return ESTALE;
	return size > VALUE_MAX ? E2BIG : 0;
}

/* A draft takes what a message had, when cp -a or rsync -X bring it along: it means nothing yet. */
static bool is_known(const char *name)
{
	return g_str_has_prefix(name, "user.mailfs.") || g_str_has_prefix(name, "user.xdg.origin.") ||
		strcmp(name, MAILFS_XATTR_MIME_TYPE) == 0;
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags)
{
	struct fs *fs = fs_of(req);
	const struct setter *setter = find_setter(name);
	int error = check(fs, ino, name, size);

	/* The set is always there, if only as an empty one. */
	if (error == 0 && setter && (flags & XATTR_CREATE) != 0)
		error = EEXIST;
	if (error != 0) {
		fuse_reply_err(req, error);
	} else if (fs_look_again(req, ino)) {
		return;
	} else if (fs_folder(fs, ino)) {
		set_folder(req, ino, name, value, size);
	} else if (setter) {
		set_by(req, ino, setter, value, size);
	} else if (fs_draft(fs, ino)) {
		fuse_reply_err(req, is_known(name) ? 0 : EPERM);
	} else if (strcmp(name, MAILFS_XATTR_CACHED) == 0) {
		set_cached(req, ino, value, size);
	} else {
		g_autoptr(GBytes) expected = g_bytes_new(value, size);

		xattr_compare(req, ino, name, expected);
	}
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fs *fs = fs_of(req);
	const struct setter *setter = find_setter(name);
	int error = check(fs, ino, name, 0);

	if (error == 0 && (!setter || fs_folder(fs, ino)))
		error = is_known(name) ? EPERM : ENODATA;
	if (error != 0)
		fuse_reply_err(req, error);
	else if (!fs_look_again(req, ino))
		set_by(req, ino, setter, setter->removal, strlen(setter->removal));
}
