/* SPDX-License-Identifier: MIT */
/* What the files of the fs layer share. Loop thread. */
#pragma once

#include <sys/stat.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "engine/changes.h"
#include "fs/fs.h"
#include "fs/ino.h"
#include "fs/mount.h"
#include "fs/notify.h"
#include "fs/op.h"

/* The kernel may keep what we told it: the notifier corrects it. In seconds. */
#define FS_LONG_TIMEOUT 86400.0

struct mount {
	struct mount_config config;
	struct mount_events events;
	void *user;
	struct fs *accounts[INO_ACCOUNT_MASK + 1]; /* by ino_account(); of one account: the first */
	unsigned account_mask;
	struct fs *fs; /* whose request is being processed or answered */
	struct fuse_session *session; /* NULL = not mounted */
	struct notifier *notifier;
	GSource *source;
	bool is_ended;
	bool can_be_openless; /* the kernel understands, and there is one account */
	time_t mounted_at;

	/* requests.c */
	struct fuse_buf input;
	int64_t answered_us; /* the last request */
	unsigned haste;      /* how many came in quick succession, about */
	int64_t came_us;     /* the last one before a message came by itself */
	bool has_cpus;       /* more than one */
	const struct fuse_buf *current; /* the request that is being processed; or NULL */

	/* holds.c */
	GHashTable *holds;       /* struct hold *, by inode */
	const struct op *ending; /* the op whose request is being answered; or NULL */

	uint64_t last_op;
};

struct fs {
	struct fs_config config;
	struct mount *mount;
	struct engine *engine; /* NULL: the top, or an account that does not work */
	GError *failure;       /* why it does not */
	uint64_t base;         /* of its inodes, but the mount's root */
	uint64_t root;         /* inode of its root */
	/* The mount's, as long as it is mounted. */
	struct fuse_session *session;
	struct notifier *notifier;

	/* push.c */
	GArray *pushes; /* struct notifier_page, of this turn */
	guint push_source;

	GHashTable *ops; /* id → struct op */
	GHashTable *files;  /* inode → struct open_file, of open messages */
	GHashTable *handles; /* set of struct handle: those that no release came for */
	GHashTable *draft_handles; /* set of struct draft_handle, likewise */
	GHashTable *directories; /* set of struct directory, likewise */
	unsigned skims; /* those of them that are skimmed */
	GHashTable *waiting; /* set of struct waiting */
	GHashTable *texts;  /* set of struct text, by inode: .mailfs; until the kernel forgets them */
	uint32_t last_text;
	GHashTable *listed; /* directory inode → generation that the kernel may have cached */
	bool awaits_root;

	/* watch.c */
	struct inotify *inotify;
	struct events *stream;
	unsigned names_asked;

	/* rounds.c */
	bool is_openless;
	bool is_relooked;      /* once is enough */
	GHashTable *rounds;    /* set of inodes: each round of a message so far, but the first */
	struct relook *relook; /* NULL = not under way */
};

/* ---- mount.c ---- */

void mount_on_init(void *user, struct fuse_conn_info *conn);

static inline struct fs *mount_fs(const struct mount *mount, uint64_t ino)
{
	return mount->accounts[ino_account(ino, mount->account_mask)];
}

/* The account's place in the mount. */
void mount_add(struct mount *mount, struct fs *fs);
void mount_remove(struct mount *mount, struct fs *fs);
/* It is mounted, or will not be for long: the account begins and ends to show itself. */
void fs_begin(struct fs *fs);
void fs_end(struct fs *fs);   /* before the unmount: nobody waits any more */
void fs_close(struct fs *fs); /* after it: no release comes */

static inline uint64_t fs_ino(const struct fs *fs, enum ino_kind kind, uint32_t id, uint32_t uid)
{
	return fs->base | ino_make(kind, id, uid);
}

/* ---- what an inode is ---- */

/* The folder that a directory inode shows; NULL: no folder (any more). */
struct folder *fs_folder(struct fs *fs, uint64_t ino);
/* The name, for the server, of a folder that would be shown as `shown`; NULL: none is. g_free() it. */
char *fs_folder_bytes(const struct folder *parent, const char *shown);
uint64_t fs_folder_ino(struct fs *fs, const struct folder *folder);
/* The message of an inode; NULL: none such. */
struct message *fs_message(struct fs *fs, uint64_t ino, struct folder **ret_folder);
/* The message of that name in the loaded folder; NULL: none. */
struct message *fs_find_name(struct fs *fs, const struct folder *folder, const char *name);
/* The kernel shall look up the names of this message again. */
void fs_forget_name(struct fs *fs, const struct folder *folder, uint32_t box_id, uint32_t uid);
/* Is a message on its way to that name? As it is where it was; not found there any more: an inode
 * of 0. What is done to it must wait until it has arrived. */
bool fs_find_arriving(struct fs *fs, const struct folder *folder, const char *name,
	struct stat *ret_attr);
/* What memory knows of a name in a directory: 0 and its attributes (of a message, `message` too,
 * which may be NULL here), ENOENT, or ESTALE: the directory is no more. */
int fs_find(struct fs *fs, uint64_t parent, const char *name, struct stat *ret_attr,
	struct message **ret_message);

/* ---- arrive.c ---- */

/* A request that begins anew when what is on its way to `folder` has arrived there. */
struct again {
	void (*begin)(fuse_req_t req, const struct again *again);
	uint64_t parent, newparent;
	const char *name, *newname; /* NULL = none */
	unsigned flags;
};
/* True: a message is on its way to that name; the request is begun again then. */
bool fs_begin_again(fuse_req_t req, uint64_t parent, const char *name, const struct again *again);
/* True: the message is on its way elsewhere, or is being replaced. When that is over the answer is
 * ESTALE: the kernel looks its path up again, and repeats the request with what it finds there. */
bool fs_look_again(fuse_req_t req, uint64_t ino);

/* ---- reply.c ---- */

void fs_message_attr(struct fs *fs, const struct folder *folder, const struct message *message,
	struct stat *ret_attr);
void fs_folder_attr(struct fs *fs, const struct folder *folder, struct stat *ret_attr);
/* False: the inode is no more. */
bool fs_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr);
/* -o delay_connect, and it is not known yet whether the folder of the URL exists: it can be looked at,
 * not into. */
bool fs_awaits_root(const struct fs *fs, uint64_t ino);
/* How long the kernel may keep what it was told of this inode, in seconds. */
double fs_timeout(uint64_t ino);
void fs_set_owner(const struct fs *fs, struct stat *attr);
#define FS_MESSAGES_NEVER_CHANGE \
	"write: a message never changes; write a new file and rename it over this one"

#define FS_ONLY_MESSAGES     "link, mknod: a mailbox holds messages and folders, nothing else"
#define FS_NAME_OF_NO_FOLDER "mkdir, mv: no folder of the server would be shown under this name"

/* A refusal whose errno alone does not say why: .mailfs/status does. A string of the same ones is told
 * of once. */
void fs_refuse(struct fs *fs, fuse_req_t req, int error, const char *reason);
void fs_reply_entry(struct fs *fs, fuse_req_t req, const struct stat *attr);
/* Its size must be found out before its attributes are told: `-o exact-size`, or there are no opens
 * that would do it and the server lies. */
bool fs_lacks_size(struct fs *fs, const struct message *message);

/* ---- requests.c ---- */

/* Answers what the kernel asks, or begins to. False: it has ended the mount. */
bool requests_take(struct mount *mount);
void requests_process(struct mount *mount, const struct fuse_buf *buf); /* one, now */
void requests_init(struct mount *mount);
void requests_done(struct mount *mount);

/* ---- push.c: what was fetched ahead, to the page cache ---- */

void push_init(struct fs *fs);
void push_done(struct fs *fs);

/* ---- skim.c: listings of names only ---- */

/* Somebody looks at what the directory holds. */
void skim_note_lookup(struct fs *fs, uint64_t parent);

/* ---- holds.c: names that the kernel is to forget ---- */

/* The name in this directory leads somewhere else, or nowhere: told as soon as no request of ours
 * has the directory locked. */
void fs_tell_entry(struct fs *fs, uint64_t parent, const char *name);
/* The directories of an op that begins (from mount->current or ->ending), and that has ended. */
void holds_begin(struct mount *mount, uint64_t *ret_dirs);
void holds_end(struct mount *mount, const uint64_t *dirs);
void holds_init(struct mount *mount);
void holds_done(struct mount *mount);

/* ---- rounds.c: mounts without opens ---- */

/* This open, and all after it, shall be answered ENOSYS. */
bool fs_wants_no_open(struct fs *fs);
/* What the kernel goes by, of what programs see as st_ino. */
uint64_t fs_node(struct fs *fs, uint64_t ino);
/* False: the kernel had this inode from us with another size. */
bool fs_is_current(struct fs *fs, uint64_t node);
void rounds_init(struct fs *fs);
void rounds_done(struct fs *fs);

/* ---- files.c: open messages ---- */

/* One per open message, shared by its handles. A message that is expunged while it is open keeps
 * its attributes and, once reading has begun, its bytes as far as they are cached. */
struct open_file {
	uint64_t ino;
	unsigned handles;
	struct body *held; /* since the first read: to look for it costs more than an open; or NULL */
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
/* Its bytes shall stay, if it is open. */
void file_hold(struct fs *fs, uint64_t ino);
/* NULL: it is not open. */
const struct open_file *file_find(struct fs *fs, uint64_t ino);
/* How far a message that is gone can be read. */
uint64_t file_gone_size(const struct open_file *file);

/* ---- directory.c: open directories ---- */

bool directory_is_open(struct fs *fs, uint64_t ino);
/* At the end of the mount, when nothing waits any more: no release comes. */
void directory_close_all(struct fs *fs);

/* ---- wait.c: mailboxes that left memory ---- */

/* True: the request waits until its mailbox is loaded, and is processed then. */
bool wait_for_box(struct fs *fs, const struct fuse_buf *buf);
/* At the end of the mount: all are processed now. */
void wait_end_all(struct fs *fs);

/* ---- drafts.c: files that are not messages yet ---- */

/* NULL: not the inode of a draft, or of none that is left. */
struct draft *fs_draft(struct fs *fs, uint64_t ino);
/* The same, also of one that has left its place and is still open; `fi` may be NULL. */
struct draft *fs_draft_of(struct fs *fs, uint64_t ino, const struct fuse_file_info *fi);
uint64_t fs_draft_ino(const struct fs *fs, const struct draft *draft);
void fs_draft_attr(struct fs *fs, const struct draft *draft, struct stat *ret_attr);

/* What fi->fh of a draft points to. It holds the draft and counts as one of its handles. */
struct draft_handle {
	struct draft *draft;
	bool may_write;
};

/* Takes over the handle that engine_draft_create() or engine_draft_open() counted. */
struct draft_handle *draft_handle_new(struct fs *fs, struct draft *draft, bool may_write);
void draft_handle_close(struct fs *fs, struct draft_handle *handle);
void draft_handle_close_all(struct fs *fs);
void draft_open(fuse_req_t req, struct draft *draft, struct fuse_file_info *fi);
void draft_read(fuse_req_t req, struct draft *draft, size_t size, off_t offset);

/* ---- control.c: .mailfs ---- */

bool control_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr);
/* `name` NULL: .mailfs itself. */
void control_lookup(struct fs *fs, fuse_req_t req, const char *name);
void control_forget(struct fs *fs, uint64_t ino);
void control_open(struct fs *fs, fuse_req_t req, uint32_t file, struct fuse_file_info *fi);
void control_read(struct fs *fs, fuse_req_t req, uint64_t ino, size_t size, off_t offset);
/* One line; `size` is what a write of it is answered with, 0 = it is an ioctl. */
void control_command(struct fs *fs, fuse_req_t req, const char *text, size_t size);
void control_write(struct fs *fs, fuse_req_t req, uint32_t file, const char *bytes, size_t size);
void control_append_json(GString *out, const char *text); /* with its quotes */
const char *control_state_name(enum engine_state state);
void control_init(struct fs *fs); /* fs->texts */
/* Listing of .mailfs; NULL = end. */
const char *control_name(const struct fs *fs, uint32_t index, uint64_t *ret_ino);

/* ---- status.c ---- */

void status_put(struct fs *fs, GString *out, bool is_json);
/* A line for each: id, kind, state, folder, what, why; with tabs between them. At the top of several
 * accounts the id is ACCOUNT:ID. */
void status_put_pending(struct fs *fs, GString *out);

/* ---- ops/: one file per operation ---- */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
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
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
	struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
	unsigned flags, const void *in, size_t in_size, size_t out_size);
void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
	struct fuse_pollhandle *handle);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
	int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
/* 0 if the attribute has this value already, else EPERM. */
void xattr_compare(fuse_req_t req, fuse_ino_t ino, const char *name, GBytes *expected);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
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

/* The account that the request is for: while it is being processed or answered, on the loop. */
static inline struct fs *fs_of(fuse_req_t req)
{
	return ((struct mount *)fuse_req_userdata(req))->fs;
}
