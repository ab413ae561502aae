/* SPDX-License-Identifier: MIT */
/*
 * A new file. It is a draft in the local spool until its last handle is closed; then it becomes a
 * message of the folder (engine/changes.h). The kernel is told to remember neither its name nor its
 * attributes: it will be another inode once the server has it.
 */
#include <errno.h>
#include <string.h>

#include "fs/errno_map.h"
#include "fs/internal.h"
#include "fs/watch.h"

/* An errno, or 0 with the folder that the file goes into. */
static int check_place(struct fs *fs, uint64_t parent, const char *name, struct folder **ret_folder)
{
	struct folder *folder = fs_folder(fs, parent);
	struct stat attr;

	if (fs->config.is_read_only)
		return EROFS;
	if (ino_split(parent).kind == INO_KIND_CONTROL)
		return EPERM;
	if (!folder)
		return ESTALE;
	if (strlen(name) > 255)
		return ENAMETOOLONG;
	if (fs_find(fs, parent, name, &attr, NULL) == 0 ||
		(parent == fs->root && strcmp(name, ".mailfs") == 0))
		return EEXIST;
	*ret_folder = folder;
	return 0;
}

static int create(fuse_req_t req, uint64_t parent, const char *name, mode_t mode,
	struct draft **ret_draft)
{
	struct fs *fs = fs_of(req);
	struct folder *folder = NULL;
	g_autoptr(GError) error = NULL;
	int refusal = check_place(fs, parent, name, &folder);

	if (refusal != 0)
		return refusal;
	*ret_draft = engine_draft_create(fs->engine, folder, name, mode & 0777, &error);
	return *ret_draft ? 0 : errno_of(error);
}

static struct fuse_entry_param entry_of(struct fs *fs, const struct draft *draft)
{
	struct fuse_entry_param entry = { .ino = fs_draft_ino(fs, draft) };

	fs_draft_attr(fs, draft, &entry.attr);
	return entry;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct draft *draft = NULL;
	struct draft_handle *handle;
	struct fuse_entry_param entry;
	int error = create(req, parent, name, mode, &draft);

	if (error != 0) {
		fuse_reply_err(req, error);
		return;
	}
	handle = draft_handle_new(fs, draft, true);
	entry = entry_of(fs, draft);
	fi->fh = (uint64_t)(uintptr_t)handle;
	fi->keep_cache = 0;
	/* An interrupted create sends no release. */
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		draft_handle_close(fs, handle);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs *fs = fs_of(req);
	struct draft *draft = NULL;
	struct fuse_entry_param entry;
	int error = fs->config.is_read_only ? EROFS : EPERM;

	if (inotify_takes_make(fs, req, parent, name))
		return;
	if (S_ISREG(mode))
		error = create(req, parent, name, mode, &draft);
	if (error == EPERM && !S_ISREG(mode)) {
		fs_refuse(fs, req, error, FS_ONLY_MESSAGES);
		return;
	}
	if (error != 0) {
		fuse_reply_err(req, error);
		return;
	}
	entry = entry_of(fs, draft);
	fuse_reply_entry(req, &entry);
	engine_draft_close(fs->engine, draft);
}
