/* SPDX-License-Identifier: MIT */
/*
 * The FUSE session as a source of the main loop: its fd is not blocking, requests are answered now
 * or kept as ops. Mount and unmount.
 */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include <glib-unix.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "fs/internal.h"
#include "fs/top.h"

#define DRAIN_US          G_USEC_PER_SEC
#define MAX_BACKGROUND    64 /* the default of 12 lets stalled readahead starve the mount */

void mount_on_init(void *user, struct fuse_conn_info *conn)
{
	struct mount *mount = user;

	/* An answer to one open holds for all of the mount, for ever: so there may be one account only. */
	mount->can_be_openless =
		!mount->config.has_accounts && (conn->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
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

/* Of one account; of several: all.c. */
static const struct fuse_lowlevel_ops operations = {
	.init = mount_on_init,
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

static void note_end(struct mount *mount)
{
	if (mount->is_ended)
		return;
	mount->is_ended = true;
	mount->events.ended(mount->user);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer user)
{
	struct mount *mount = user;

	if (requests_take(mount))
		return G_SOURCE_CONTINUE;
	note_end(mount);
	return G_SOURCE_REMOVE;
}

/* ---- the accounts ------------------------------------------------------------------------------ */

void mount_add(struct mount *mount, struct fs *fs)
{
	unsigned at = ino_account(fs->base, mount->account_mask);

	g_assert(!mount->accounts[at]);
	mount->accounts[at] = fs;
	if (at == 0)
		mount->fs = fs;
}

void mount_remove(struct mount *mount, struct fs *fs)
{
	mount->accounts[ino_account(fs->base, mount->account_mask)] = NULL;
}

static void each(struct mount *mount, void (*fn)(struct fs *fs))
{
	for (unsigned i = 0; i <= mount->account_mask; i++) {
		if (mount->accounts[i])
			fn(mount->accounts[i]);
	}
}

void mount_set_confinement(struct mount *mount, const char *text)
{
	mount->config.confinement = text;
	for (unsigned i = 0; i <= mount->account_mask; i++) {
		if (mount->accounts[i])
			mount->accounts[i]->config.confinement = text;
	}
}

/* ---- mount and unmount ------------------------------------------------------------------------- */

struct mount *mount_new(const struct mount_config *config, const struct mount_events *events,
	void *user)
{
	struct mount *mount = g_new0(struct mount, 1);

	mount->config = *config;
	mount->events = *events;
	mount->user = user;
	mount->account_mask = config->has_accounts ? INO_ACCOUNT_MASK : 0;
	holds_init(mount);
	requests_init(mount);
	if (config->has_accounts)
		top_init(mount);
	return mount;
}

/* The options of the mount are the mounter's. */
static struct fuse_session *make_session(struct mount *mount)
{
	const struct fuse_lowlevel_ops *ops = mount->config.has_accounts ? &all_operations : &operations;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *session;

	fuse_opt_add_arg(&args, "mailfs");
	if (mount->config.is_debug)
		fuse_opt_add_arg(&args, "-odebug");
	session = fuse_session_new(&args, ops, sizeof(*ops), mount);
	fuse_opt_free_args(&args);
	return session;
}

/* libfuse takes the name of a fd for a mount that somebody else has made. */
static bool session_take_fd(struct mount *mount, int fd)
{
	g_autofree char *name = g_strdup_printf("/dev/fd/%d", fd);

	mount->session = make_session(mount);
	if (mount->session && fuse_session_mount(mount->session, name) == 0)
		return true;
	close(fd);
	if (mount->session)
		fuse_session_destroy(mount->session);
	mount->session = NULL;
	return false;
}

bool mount_start(struct mount *mount, int fd, GError **error)
{
	if (!session_take_fd(mount, fd)) {
		g_set_error(error, MAILFS_ERROR, MAILFS_ERROR_INVALID, "cannot answer for %s",
			mount->config.mountpoint);
		return false;
	}
	mount->mounted_at = (time_t)(clock_realtime_ns() / 1000000000);
	mount->notifier = notifier_new(mount->session);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	mount->source = g_unix_fd_source_new(fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
	g_source_set_callback(mount->source, (GSourceFunc)(void (*)(void))on_readable, mount, NULL);
	g_source_set_can_recurse(mount->source, TRUE); /* it never does, and turns are cheaper: stream.c */
	g_source_attach(mount->source, NULL);
	each(mount, fs_begin);
	return true;
}

static void fail_ops(struct fs *fs)
{
	op_finish_all(fs, ENOTCONN);
}

/* The notifier may be waiting for a lock that a request holds. A request that nobody answers any
 * more would keep it there, out of reach of any signal; and while it is in the session's fd, that
 * may not be closed. So whatever comes is refused until it is out. */
static void drain(struct mount *mount)
{
	struct pollfd poll_fd = { .fd = fuse_session_fd(mount->session), .events = POLLIN };
	int64_t until_us = clock_monotonic_us() + DRAIN_US;
	bool is_alive = true;

	while (!notifier_is_over(mount->notifier) && clock_monotonic_us() < until_us) {
		poll(&poll_fd, is_alive ? 1 : 0, 1);
		is_alive = is_alive && requests_take(mount);
		each(mount, fail_ops);
	}
}

/* What is mounted there now may be another's, once the kernel has ended ours. */
static void leave_kernel(struct mount *mount)
{
	struct pollfd poll_fd = { .fd = fuse_session_fd(mount->session) };
	bool is_ended = poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & POLLERR) != 0;
	SCOPED(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Nobody may wait for us while it goes. The session closes what takes the place. */
	if (null >= 0)
		dup3(null, poll_fd.fd, O_CLOEXEC);
	if (!is_ended)
		mount->events.unmount(mount->user);
}

static void forget_session(struct fs *fs)
{
	fs->session = NULL;
	fs->notifier = NULL;
}

void mount_end(struct mount *mount)
{
	mount->is_ended = true;
	if (!mount->session)
		return;
	notifier_stop_feed(mount->notifier);
	each(mount, fs_end);
	g_source_destroy(mount->source);
	g_source_unref(mount->source);
	drain(mount);
	leave_kernel(mount);
	notifier_join(mount->notifier);
	each(mount, forget_session);
	fuse_session_destroy(mount->session);
	mount->session = NULL;
	each(mount, fs_close);
}

void mount_free(struct mount *mount)
{
	if (!mount)
		return;
	mount_end(mount);
	if (mount->config.has_accounts)
		top_done(mount);
	requests_done(mount);
	holds_done(mount);
	g_free(mount);
}
