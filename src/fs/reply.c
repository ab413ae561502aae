/* SPDX-License-Identifier: MIT */
/* Attributes of what is shown, and the replies that carry them. Loop thread. */
#include <errno.h>
#include <string.h>

#include "fs/internal.h"

void fs_set_owner(const struct fs *fs, struct stat *attr)
{
	attr->st_uid = fs->config.uid;
	attr->st_gid = fs->config.gid;
	attr->st_mode &= ~(fs->config.umask & 07777);
	attr->st_blksize = 4096;
}

static bool may_change_flags(const struct fs *fs, const struct folder *folder)
{
	return !fs->config.is_read_only && (engine_rights(fs->engine, folder) &
		(MAILFS_RIGHT_SEEN | MAILFS_RIGHT_FLAGS | MAILFS_RIGHT_DELETE)) != 0;
}

/* A read-only mount says so itself; there, and where it is not known, nothing looks locked. */
static bool may_change_listing(const struct fs *fs, const struct folder *folder)
{
	return fs->config.is_read_only || !folder->name || (engine_rights(fs->engine, folder) &
		(MAILFS_RIGHT_INSERT | MAILFS_RIGHT_DELETE | MAILFS_RIGHT_CREATE)) != 0;
}

/* Unread mail is older than anything: `[ -N file ]` is true for it. */
static int64_t access_time(const struct message *message)
{
	if ((message->flags & MAILFS_FLAG_SEEN) == 0)
		return 0;
	return message->seen_time != 0 ? message->seen_time : message->date;
}

void fs_message_attr(struct fs *fs, const struct folder *folder, const struct message *message,
	struct stat *ret_attr)
{
	int64_t ctime_ns = fs->config.ctime_is_mtime ? message->date * 1000000000 : message->ctime_ns;
	bool is_exact = (message->bits & MESSAGE_SIZE_EXACT) != 0;

	memset(ret_attr, 0, sizeof(*ret_attr));
	ret_attr->st_ino = fs_ino(fs, INO_KIND_MESSAGE, folder_listing(folder)->id, message->uid);
	ret_attr->st_mode = S_IFREG | (may_change_flags(fs, folder) ? 0600 : 0400);
	if (fs->config.flag_bits && (message->flags & MAILFS_FLAG_FLAGGED) != 0)
		ret_attr->st_mode |= 0100;
	ret_attr->st_nlink = 1;
	/* Archivers skip a file of size 0 without opening it: never claim that on hearsay. */
	ret_attr->st_size = message->size == 0 && !is_exact ? 1 : (off_t)message->size;
	ret_attr->st_blocks = (ret_attr->st_size + 511) / 512;
	ret_attr->st_mtim.tv_sec = message->date;
	ret_attr->st_atim.tv_sec = access_time(message);
	ret_attr->st_ctim.tv_sec = ctime_ns / 1000000000;
	ret_attr->st_ctim.tv_nsec = ctime_ns % 1000000000;
	fs_set_owner(fs, ret_attr);
}

void fs_folder_attr(struct fs *fs, const struct folder *folder, struct stat *ret_attr)
{
	/* 1 means that the folder was listed and that nothing tells when it changed. */
	int64_t changed_ns = folder->listing_ns > 1 ? folder->listing_ns : 0;

	memset(ret_attr, 0, sizeof(*ret_attr));
	ret_attr->st_ino = fs_folder_ino(fs, folder);
	ret_attr->st_mode = S_IFDIR | (may_change_listing(fs, folder) ? 0700 : 0500);
	ret_attr->st_nlink = 2 + folder->children->len;
	ret_attr->st_size = 4096;
	ret_attr->st_blocks = 8;
	ret_attr->st_mtim.tv_sec = changed_ns / 1000000000;
	ret_attr->st_mtim.tv_nsec = changed_ns % 1000000000;
	ret_attr->st_atim = ret_attr->st_mtim;
	ret_attr->st_ctim = ret_attr->st_mtim;
	fs_set_owner(fs, ret_attr);
}

/* Of a message that is there, or is gone and still open. */
static bool fs_any_message_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr)
{
	struct folder *folder;
	const struct message *message = fs_message(fs, ino, &folder);
	const struct open_file *file;

	if (message) {
		fs_message_attr(fs, folder, message, ret_attr);
		return true;
	}
	file = file_find(fs, ino);
	if (!file)
		return false;
	*ret_attr = file->attr;
	ret_attr->st_size = (off_t)file_gone_size(file);
	ret_attr->st_nlink = 0;
	return true;
}

bool fs_awaits_root(const struct fs *fs, uint64_t ino)
{
	return ino == fs->root && fs->awaits_root;
}

/* Before the server was reached for the first time. */
static void unknown_root_attr(struct fs *fs, struct stat *ret_attr)
{
	fs_folder_attr(fs, engine_tree(fs->engine)->root, ret_attr);
	ret_attr->st_ino = fs->root;
}

bool fs_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr)
{
	struct ino what = ino_split(ino);
	const struct draft *draft = fs_draft(fs, ino);
	struct folder *folder;

	if (draft) {
		fs_draft_attr(fs, draft, ret_attr);
		return true;
	}
	if (what.kind == INO_KIND_CONTROL)
		return control_attr(fs, ino, ret_attr);
	if (what.kind == INO_KIND_MESSAGE)
		return fs_any_message_attr(fs, ino, ret_attr);
	folder = fs_folder(fs, ino);
	if (folder)
		fs_folder_attr(fs, folder, ret_attr);
	else if (fs_awaits_root(fs, ino))
		unknown_root_attr(fs, ret_attr);
	return folder || fs_awaits_root(fs, ino);
}

bool fs_lacks_size(struct fs *fs, const struct message *message)
{
	bool wants_exact =
		fs->config.exact_size || (fs->is_openless && engine_is_unproven(fs->engine));

	return wants_exact && (message->bits & MESSAGE_SIZE_EXACT) == 0;
}

double fs_timeout(uint64_t ino)
{
	return ino_split(ino).kind == INO_KIND_DRAFT ? 0 : FS_LONG_TIMEOUT;
}

void fs_refuse(struct fs *fs, fuse_req_t req, int error, const char *reason)
{
	const GPtrArray *reasons = fs->engine ? engine_reasons(fs->engine) : NULL;
	const char *last = reasons && reasons->len > 0 ? reasons->pdata[reasons->len - 1] : "";

	if (fs->engine && !g_str_has_suffix(last, reason))
		engine_add_reason(fs->engine, "%s", reason);
	fuse_reply_err(req, error);
}

void fs_reply_entry(struct fs *fs, fuse_req_t req, const struct stat *attr)
{
	struct fuse_entry_param entry = {
		.ino = fs_node(fs, attr->st_ino),
		.attr = *attr,
		.attr_timeout = fs_timeout(attr->st_ino),
		.entry_timeout = fs_timeout(attr->st_ino),
	};

	fuse_reply_entry(req, &entry);
}

/* ---- what an inode is -------------------------------------------------------------------------- */

struct folder *fs_folder(struct fs *fs, uint64_t ino)
{
	struct ino what = ino_split(ino);
	struct tree *tree;

	if (!fs->engine)
		return NULL;
	tree = engine_tree(fs->engine);
	if (ino == fs->root)
		return tree_by_shown_path(tree, fs->config.root);
	return what.kind == INO_KIND_FOLDER ? tree_by_id(tree, what.id) : NULL;
}

uint64_t fs_folder_ino(struct fs *fs, const struct folder *folder)
{
	if (folder == fs_folder(fs, fs->root))
		return fs->root;
	return fs_ino(fs, INO_KIND_FOLDER, folder->dir_id, 0);
}

struct message *fs_message(struct fs *fs, uint64_t ino, struct folder **ret_folder)
{
	struct ino what = ino_split(ino);
	struct folder *folder;

	if (what.kind != INO_KIND_MESSAGE || !fs_is_current(fs, ino))
		return NULL;
	folder = tree_by_box(engine_tree(fs->engine), what.id);
	if (!folder)
		return NULL;
	if (ret_folder)
		*ret_folder = folder;
	return mailbox_find(folder->box, what.uid);
}

/* The name that the view gives without a stored one. */
static bool is_plain_name(struct fs *fs, const struct message *message, const char *name)
{
	char plain[MAILFS_NAME_MAX + 1];

	if (fs->config.view->needs_head)
		return false;
	view_name(fs->config.view,
		&(struct mailfs_name_input){ .uid = message->uid, .date = message->date }, plain);
	return strcmp(plain, name) == 0;
}

static struct message *visible(struct fs *fs, const struct folder *folder, struct message *message)
{
	if (message && engine_is_hidden(fs->engine, folder->box->id, message->uid))
		return NULL;
	return message;
}

struct message *fs_find_name(struct fs *fs, const struct folder *folder, const char *name)
{
	uint32_t uids[VIEW_UIDS_MAX];
	uint32_t hash = view_name_hash(name);
	size_t count = view_uid_candidates(name, uids, G_N_ELEMENTS(uids));
	uint32_t given = engine_given_uid(fs->engine, folder->box->id, name);
	uint32_t alias = 0;

	if (given != 0)
		return visible(fs, folder, mailbox_find(folder->box, given));
	view_is_uid_name(name, &alias);
	for (size_t i = 0; i < count; i++) {
		struct message *message = mailbox_find(folder->box, uids[i]);

		if (!message)
			continue;
		if (message->uid == alias || is_plain_name(fs, message, name) ||
			(fs->config.view->needs_head && message->name_hash == hash))
			return visible(fs, folder, message);
	}
	return NULL;
}

bool fs_find_arriving(struct fs *fs, const struct folder *folder, const char *name,
	struct stat *ret_attr)
{
	const struct folder *source;
	struct message *message;
	uint32_t box_id, uid;

	if (!engine_find_arriving(fs->engine, folder, name, &box_id, &uid))
		return false;
	memset(ret_attr, 0, sizeof(*ret_attr));
	source = box_id != 0 ? tree_by_box(engine_tree(fs->engine), box_id) : NULL;
	message = source ? mailbox_find(source->box, uid) : NULL;
	if (message)
		fs_message_attr(fs, source, message, ret_attr);
	return true;
}

int fs_find(struct fs *fs, uint64_t parent, const char *name, struct stat *ret_attr,
	struct message **ret_message)
{
	struct folder *folder = fs_folder(fs, parent);
	struct folder *child = folder ? tree_child(folder, name) : NULL;
	struct draft *draft = folder ? engine_draft_by_name(fs->engine, folder, name) : NULL;
	struct message *message;

	if (!folder)
		return fs_awaits_root(fs, parent) ? EHOSTUNREACH : ESTALE;
	if (child) {
		fs_folder_attr(fs, child, ret_attr);
		return 0;
	}
	if (draft) {
		fs_draft_attr(fs, draft, ret_attr);
		return 0;
	}
	message = folder->box ? fs_find_name(fs, folder, name) : NULL;
	if (!message)
		return ENOENT;
	if (ret_message)
		*ret_message = message;
	fs_message_attr(fs, folder, message, ret_attr);
	return 0;
}
