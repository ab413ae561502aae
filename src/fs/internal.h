/* SPDX-License-Identifier: MIT */
/* What the files of the fs layer share. Loop thread. */
#pragma once

#include <sys/stat.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "fs/fs.h"
#include "fs/ino.h"
#include "fs/notify.h"
#include "fs/op.h"

/* The kernel may keep what we told it: the notifier corrects it. In seconds. */
#define FS_LONG_TIMEOUT 86400.0

struct fs {
	struct fs_config config;
	struct fs_events events;
	void *user;
	struct engine *engine;
	struct fuse_session *session;
	struct notifier *notifier;
	GSource *source;
	bool is_ended;

	GHashTable *ops; /* id → struct op */
	uint64_t last_op;
	GHashTable *files;  /* inode → struct open_file, of open messages */
	GHashTable *handles; /* set of struct handle: those that no release came for */
	GHashTable *directories; /* set of struct directory, likewise */
	GHashTable *texts;  /* set of GString: open control files, likewise */
	GHashTable *listed; /* directory inode → generation that the kernel may have cached */
	time_t mounted_at;
};

/* ---- what an inode is ---- */

/* The folder that a directory inode shows; NULL: no folder (any more). */
struct folder *fs_folder(struct fs *fs, uint64_t ino);
uint64_t fs_folder_ino(struct fs *fs, const struct folder *folder);
/* The message of an inode; NULL: none such. */
struct message *fs_message(struct fs *fs, uint64_t ino, struct folder **ret_folder);
/* The message of that name in the loaded folder; NULL: none. */
struct message *fs_find_name(struct fs *fs, const struct folder *folder, const char *name);

/* ---- reply.c ---- */

void fs_message_attr(struct fs *fs, const struct folder *folder, const struct message *message,
	struct stat *ret_attr);
void fs_folder_attr(struct fs *fs, const struct folder *folder, struct stat *ret_attr);
/* False: the inode is no more. */
bool fs_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr);
void fs_reply_entry(struct fs *fs, fuse_req_t req, const struct stat *attr);
/* `-o exact-size`: this message's attributes are not known yet. */
bool fs_lacks_size(struct fs *fs, const struct message *message);

/* ---- files.c: open messages ---- */

/* One per open message, shared by its handles. A message that is expunged while it is open keeps
 * its bytes, as far as they are cached, and its attributes. */
struct open_file {
	uint64_t ino;
	unsigned handles;
	struct body *held;
	struct stat attr; /* as of the last open */
};

/* What fi->fh of a message points to. */
struct handle {
	struct open_file *file;
	uint64_t size; /* that whoever opened it may have seen */
};

/* One handle more; the message exists. */
struct handle *handle_open(struct fs *fs, uint64_t ino);
void handle_close(struct fs *fs, struct handle *handle);
/* At the end of the mount no release comes. */
void handle_close_all(struct fs *fs);
/* The size turned out to be another one after the open: nothing that is read may count as success. */
bool handle_is_mistaken(struct fs *fs, const struct handle *handle);
/* NULL: it is not open. */
const struct open_file *file_find(struct fs *fs, uint64_t ino);
/* How far a message that is gone can be read. */
uint64_t file_gone_size(const struct open_file *file);

/* ---- control.c: .mailfs ---- */

bool control_attr(struct fs *fs, uint32_t file, struct stat *ret_attr);
uint32_t control_lookup(const char *name); /* in .mailfs; 0 = no such file */
void control_open(struct fs *fs, fuse_req_t req, uint32_t file, struct fuse_file_info *fi);
void control_read(struct fs *fs, fuse_req_t req, size_t size, off_t offset,
	struct fuse_file_info *fi);
void control_write(struct fs *fs, fuse_req_t req, uint32_t file, const char *bytes, size_t size);
void control_release(struct fs *fs, struct fuse_file_info *fi);
const char *control_name(uint32_t index, uint64_t *ret_ino); /* listing of .mailfs; NULL = end */

/* ---- ops/: one file per operation ---- */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi);
void op_access(fuse_req_t req, fuse_ino_t ino, int mask);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* At the end of the mount, when nothing waits any more: no release comes. */
void directory_close_all(struct fs *fs);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
/* readonly.c: everything that would change the mailbox. */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi);

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}
