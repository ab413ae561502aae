/* SPDX-License-Identifier: MIT */
/*
 * The FUSE session as a source of the main loop: its fd is not blocking, requests are answered now
 * or kept as ops. Mount, unmount, and what the engine tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include <glib-unix.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "fs/internal.h"
#include "fs/watch.h"
#include "view/sanitize.h"

#define DRAIN_US          G_USEC_PER_SEC
#define MAX_BACKGROUND    64 /* the default of 12 lets stalled readahead starve the mount */

static void on_init(void *user, struct fuse_conn_info *conn)
{
	struct fs *fs = user;

	fs->can_be_openless = (conn->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
	/* A walk asks for everything anyway; "auto" turns to one LOOKUP per file in mid-directory. */
	conn->want |= conn->capable & FUSE_CAP_READDIRPLUS;
	conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
	/* O_TRUNC comes with open, and is refused there. */
	conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS);
	/* Messages never change, so no change of an attribute may drop their pages. */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
	conn->want &= ~(unsigned)(FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS);
}

static const struct fuse_lowlevel_ops operations = {
	.init = on_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.access = op_access,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.open = op_open,
	.poll = op_poll,
	.ioctl = op_ioctl,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.fsync = op_fsync,
	.fsyncdir = op_fsyncdir,
	.release = op_release,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
	.statfs = op_statfs,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.fallocate = op_fallocate,
};

/* ---- the loop ---------------------------------------------------------------------------------- */

static void note_end(struct fs *fs)
{
	if (fs->is_ended)
		return;
	fs->is_ended = true;
	fs->events.ended(fs->user);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
	struct fs *fs = user;

	if (requests_take(fs))
		return G_SOURCE_CONTINUE;
	note_end(fs);
	return G_SOURCE_REMOVE;
}

/* ---- life -------------------------------------------------------------------------------------- */

struct fs *fs_new(const struct fs_config *config, const struct fs_events *events, void *user)
{
	struct fs *fs = g_new0(struct fs, 1);

	fs->config = *config;
	fs->events = *events;
	fs->user = user;
	fs->ops = g_hash_table_new(g_int64_hash, g_int64_equal);
	fs->files = g_hash_table_new(g_int64_hash, g_int64_equal);
	fs->handles = g_hash_table_new(NULL, NULL);
	fs->draft_handles = g_hash_table_new(NULL, NULL);
	fs->directories = g_hash_table_new(NULL, NULL);
	fs->waiting = g_hash_table_new(NULL, NULL);
	fs->listed = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	control_init(fs);
	rounds_init(fs);
	holds_init(fs);
	push_init(fs);
	requests_init(fs);
	return fs;
}

void fs_set_engine(struct fs *fs, struct engine *engine)
{
	fs->engine = engine;
}

/* The options of the mount are the mounter's. */
static struct fuse_session *make_session(struct fs *fs)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;

	fuse_opt_add_arg(&args, "mailfs");
	if (fs->config.is_debug)
		fuse_opt_add_arg(&args, "-odebug");
	session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	fuse_opt_free_args(&args);
	return session;
}

/* libfuse takes the name of a fd for a mount that somebody else has made. */
static bool session_take_fd(struct fs *fs, int fd)
{
	g_autofree char *name = g_strdup_printf("/dev/fd/%d", fd);

	fs->session = make_session(fs);
	if (fs->session && fuse_session_mount(fs->session, name) == 0)
		return true;
	close(fd);
	if (fs->session)
		fuse_session_destroy(fs->session);
	fs->session = NULL;
	return false;
}

bool fs_mount(struct fs *fs, int fd, GError **error)
{
	if (!session_take_fd(fs, fd)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "cannot answer for %s",
			fs->config.mountpoint);
		return false;
	}
	fs->awaits_root = !fs_folder(fs, INO_ROOT);
	fs->mounted_at = (time_t)(clock_realtime_ns() / 1000000000);
	fs->notifier = notifier_new(fs->session);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fs->source = g_unix_fd_source_new(fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
	g_source_set_callback(fs->source, (GSourceFunc)(void (*)(void))on_readable, fs, NULL);
	g_source_set_can_recurse(fs->source, TRUE); /* it never does, and turns are cheaper: stream.c */
	g_source_attach(fs->source, NULL);
	inotify_begin(fs);
	return true;
}

/* The notifier may be waiting for a lock that a request holds. A request that nobody answers any
 * more would keep it there, out of reach of any signal; and while it is in the session's fd, that
 * may not be closed. So whatever comes is refused until it is out. */
static void drain(struct fs *fs)
{
	struct pollfd poll_fd = { .fd = fuse_session_fd(fs->session), .events = POLLIN };
	int64_t until_us = clock_monotonic_us() + DRAIN_US;
	bool is_alive = true;

	while (!notifier_is_over(fs->notifier) && clock_monotonic_us() < until_us) {
		poll(&poll_fd, is_alive ? 1 : 0, 1);
		is_alive = is_alive && requests_take(fs);
		op_finish_all(fs, ENOTCONN);
	}
}

/* What is mounted there now may be another's, once the kernel has ended ours. */
static void leave_kernel(struct fs *fs)
{
	struct pollfd poll_fd = { .fd = fuse_session_fd(fs->session) };
	bool is_ended = poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLERR) != 0;
	SCOPED(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Nobody may wait for us while it goes. The session closes what takes the place. */
	if (null >= 0)
		dup3(null, poll_fd.fd, O_CLOEXEC);
	if (!is_ended)
		fs->events.unmount(fs->user);
}

void fs_unmount(struct fs *fs)
{
	fs->is_ended = true;
	if (!fs->session)
		return;
	notifier_stop_feed(fs->notifier);
	wait_end_all(fs);
	watch_end(fs);
	op_finish_all(fs, ENOTCONN);
	g_source_destroy(fs->source);
	g_source_unref(fs->source);
	drain(fs);
	leave_kernel(fs);
	notifier_join(fs->notifier);
	fuse_session_destroy(fs->session);
	fs->session = NULL;
	handle_close_all(fs);
	draft_handle_close_all(fs);
	directory_close_all(fs);
	watch_done(fs);
}

void fs_free(struct fs *fs)
{
	fs_unmount(fs);
	rounds_done(fs);
	push_done(fs);
	requests_done(fs);
	holds_done(fs);
	g_hash_table_unref(fs->ops);
	g_hash_table_unref(fs->listed);
	g_hash_table_unref(fs->files);
	g_hash_table_unref(fs->handles);
	g_hash_table_unref(fs->draft_handles);
	g_hash_table_unref(fs->directories);
	g_hash_table_unref(fs->waiting);
	g_hash_table_unref(fs->texts);
	g_free(fs);
}

/* ---- the engine tells -------------------------------------------------------------------------- */

void fs_listing_changed(struct fs *fs, const struct folder *folder)
{
	if (!fs->session)
		return;
	if (fs->awaits_root && fs_folder(fs, INO_ROOT))
		fs->awaits_root = false;
	notifier_everything(fs->notifier, fs_folder_ino(fs, folder));
}

void fs_drop_caches(struct fs *fs)
{
	GHashTableIter iter;
	gpointer ino;

	if (!fs->session)
		return;
	g_hash_table_iter_init(&iter, fs->listed);
	while (g_hash_table_iter_next(&iter, &ino, NULL))
		notifier_everything(fs->notifier, *(uint64_t *)ino);
	g_hash_table_remove_all(fs->listed);
}

static uint64_t message_node(struct fs *fs, const struct folder *folder, uint32_t uid)
{
	return fs_node(fs, ino_make(INO_KIND_MESSAGE, folder->box->id, uid));
}

void fs_message_changed(struct fs *fs, const struct folder *folder, uint32_t uid)
{
	if (fs->session && folder->box)
		notifier_attributes(fs->notifier, message_node(fs, folder, uid));
}

void fs_message_bytes_changed(struct fs *fs, const struct folder *folder, uint32_t uid)
{
	if (fs->session && folder->box)
		notifier_everything(fs->notifier, message_node(fs, folder, uid));
}

struct gone_name {
	struct fs *fs;
	uint64_t parent;
	uint32_t uid;
};

static void on_gone_name(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	struct gone_name *gone = user;
	char alias[MAILFS_NAME_MAX + 1];

	/* Which every message has. */
	view_name(view_find("uid"), &(struct mailfs_name_input){ .uid = gone->uid }, alias);
	if (gone->fs->session) {
		fs_tell_entry(gone->fs, gone->parent, alias);
		if (count > 0 && uids[0] == gone->uid)
			fs_tell_entry(gone->fs, gone->parent, names[0]);
	}
	g_free(gone);
}

void fs_forget_name(struct fs *fs, const struct folder *folder, uint32_t box_id, uint32_t uid)
{
	struct gone_name *gone = g_new(struct gone_name, 1);

	*gone = (struct gone_name){ .fs = fs, .parent = fs_folder_ino(fs, folder), .uid = uid };
	if (!fs->config.view->needs_head) {
		on_gone_name(gone, 0, NULL, NULL);
		return;
	}
	/* Asked before the row is removed: the index answers in order. */
	engine_load_names(fs->engine, box_id, uid - 1, 1, on_gone_name, gone);
}

/* The inode answers ESTALE from now on; the kernel then looks the name up again and gets ENOENT.
 * Where an inode is open it goes on answering, and where there are no opens nobody asks: there the
 * name has to be taken away. */
void fs_message_gone(struct fs *fs, const struct folder *folder, uint32_t uid)
{
	uint64_t ino = ino_make(INO_KIND_MESSAGE, folder->box->id, uid);

	fs_message_changed(fs, folder, uid);
	file_hold(fs, ino);
	if (fs->session && (fs->is_openless || file_find(fs, ino)))
		fs_forget_name(fs, folder, folder->box->id, uid);
}

/* An inode that is open goes on answering; by its name nobody comes here any more, nor to anything
 * below it. */
void fs_folder_gone(struct fs *fs, const struct folder *folder)
{
	uint64_t ino = ino_make(INO_KIND_FOLDER, folder->dir_id, 0);

	if (!fs->session)
		return;
	g_hash_table_remove(fs->listed, &ino);
	if (folder->parent)
		fs_tell_entry(fs, fs_folder_ino(fs, folder->parent), folder->shown);
	notifier_everything(fs->notifier, ino);
}

/* The old UIDs are not known any more: with the directory's own name, the kernel forgets all names
 * in it that nobody holds open. Of the root there is no name; an open of what was there gets ESTALE
 * and looks again. Where there are no opens, each name is taken away. */
void fs_box_gone(struct fs *fs, const struct folder *folder, uint32_t box_id)
{
	size_t count = folder->box && fs->is_openless ? mailbox_count(folder->box) : 0;
	GHashTableIter iter;
	gpointer ino;

	if (!fs->session)
		return;
	for (size_t at = 0; at < count; at++)
		fs_forget_name(fs, folder, box_id, mailbox_at(folder->box, at)->uid);
	notifier_everything(fs->notifier, fs_folder_ino(fs, folder));
	if (folder->parent && folder != fs_folder(fs, INO_ROOT))
		fs_tell_entry(fs, fs_folder_ino(fs, folder->parent), folder->shown);
	g_hash_table_iter_init(&iter, fs->files);
	while (g_hash_table_iter_next(&iter, &ino, NULL)) {
		struct ino what = ino_split(*(uint64_t *)ino);

		if (what.kind == INO_KIND_MESSAGE && what.id == box_id)
			fs_forget_name(fs, folder, box_id, what.uid);
	}
}

/* ---- names ------------------------------------------------------------------------------------- */

char *fs_component(const char *bytes, size_t len, bool is_top)
{
	return folder_component_escape(bytes, len, is_top ? FOLDER_AT_ROOT : 0);
}

uint32_t fs_message_name(void *view, uint32_t uid, int64_t date, const struct mailfs_head *head,
	char *name)
{
	view_name(view, &(struct mailfs_name_input){ .uid = uid, .date = date, .head = head }, name);
	return view_name_hash(name);
}
