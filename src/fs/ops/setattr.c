/* SPDX-License-Identifier: MIT */
/*
 * chmod, chown, utimens, truncate. Of a message two things can be changed: u+x is \Flagged, and the
 * access time alone (touch -a) is \Seen. Everything else that programs set on files is accepted
 * and changes nothing, so that cp -p, rsync and editors stay quiet; a length is refused, messages
 * never change. A draft takes its length and its modification time, which becomes INTERNALDATE.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "fs/change.h"
#include "fs/errno_map.h"
#include "fs/internal.h"
#include "fs/watch.h"

#define SETS_ATIME (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)
#define SETS_MTIME (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)

/* Some of several steps failed, or all are done. */
struct setattr {
	struct op op;
	uint64_t ino;
	struct draft *draft; /* held; NULL: another inode */
	unsigned waiting;
	int error;
};

static void reply_now(fuse_req_t req, struct fs *fs, uint64_t ino)
{
	struct stat attr;

	if (fs_attr(fs, ino, &attr))
		fuse_reply_attr(req, &attr, fs_timeout(ino));
	else
		fuse_reply_err(req, ESTALE);
}

/* ---- flags ------------------------------------------------------------------------------------- */

static void add_flag(struct engine_flag_change *change, unsigned flag, bool is_set)
{
	if (is_set)
		change->add |= flag;
	else
		change->remove |= flag;
}

/* What the new attributes mean for the flags; `now` are those that are shown. */
static struct engine_flag_change flags_of(const struct fs *fs, const struct stat *now,
	const struct stat *attr, int to_set)
{
	struct engine_flag_change change = { 0 };

	if ((to_set & FUSE_SET_ATTR_MODE) != 0 && fs->config.flag_bits &&
		((now->st_mode ^ attr->st_mode) & 0100) != 0)
		add_flag(&change, MAILFS_FLAG_FLAGGED, (attr->st_mode & 0100) != 0);
	/* Together with mtime it comes from touch and cp -p, which mean the file's age. */
	if ((to_set & SETS_ATIME) != 0 && (to_set & SETS_MTIME) == 0)
		add_flag(&change, MAILFS_FLAG_SEEN,
			(to_set & FUSE_SET_ATTR_ATIME_NOW) != 0 || attr->st_atim.tv_sec != 0 ||
				attr->st_atim.tv_nsec != 0);
	return change;
}

/* ---- messages ---------------------------------------------------------------------------------- */

static void reply_changed(struct change *change, fuse_req_t req)
{
	reply_now(req, change->op.fs, change->ino);
}

static void set_message(fuse_req_t req, uint64_t ino, const struct stat *attr, int to_set)
{
	struct fs *fs = fs_of(req);
	struct ino what = ino_split(ino);
	struct engine_flag_change flags;
	struct change *change;
	struct stat now;

	if (!fs_attr(fs, ino, &now)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	flags = flags_of(fs, &now, attr, to_set);
	if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
		fs_refuse(fs, req, EPERM, FS_MESSAGES_NEVER_CHANGE);
		return;
	}
	if (flags.add == 0 && flags.remove == 0) {
		fuse_reply_attr(req, &now, fs_timeout(ino));
		return;
	}
	change = change_new(fs, req, reply_changed);
	if (!change)
		return;
	change->ino = ino;
	change_wait(change, engine_change_flags(fs->engine, what.id, what.uid, &flags, change_done,
		change));
}

/* ---- drafts ------------------------------------------------------------------------------------ */

static void setattr_release(struct op *op)
{
	draft_unref(((struct setattr *)op)->draft);
}

static void reply_set(fuse_req_t req, void *data)
{
	struct setattr *setattr = data;
	struct stat attr;

	if (setattr->error != 0) {
		fuse_reply_err(req, setattr->error);
		return;
	}
	fs_draft_attr(setattr->op.fs, setattr->draft, &attr);
	fuse_reply_attr(req, &attr, 0);
}

static void step_done(void *user, const GError *error)
{
	struct setattr *setattr = (struct setattr *)op_ref_take(user);

	if (!setattr)
		return;
	if (error && setattr->error == 0)
		setattr->error = errno_of(error);
	if (--setattr->waiting == 0)
		op_finish(&setattr->op, reply_set, setattr);
}

static void *step(struct setattr *setattr)
{
	setattr->waiting++;
	return op_ref_new(&setattr->op);
}

static int64_t ns_of(struct timespec time)
{
	return time.tv_sec * (int64_t)1000000000 + time.tv_nsec;
}

static void draft_steps(struct setattr *setattr, const struct stat *attr, int to_set)
{
	struct fs *fs = setattr->op.fs;
	struct engine_flag_change flags;
	struct stat now;

	fs_draft_attr(fs, setattr->draft, &now);
	flags = flags_of(fs, &now, attr, to_set);
	if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
		engine_draft_truncate(fs->engine, setattr->draft, (uint64_t)attr->st_size, step_done,
			step(setattr));
	if ((to_set & FUSE_SET_ATTR_MODE) != 0)
		engine_draft_set_mode(fs->engine, setattr->draft, attr->st_mode & 0777);
	if ((to_set & SETS_MTIME) != 0)
		engine_draft_set_mtime(fs->engine, setattr->draft,
			(to_set & FUSE_SET_ATTR_MTIME_NOW) != 0 ? clock_realtime_ns() : ns_of(attr->st_mtim),
			step_done, step(setattr));
	if (flags.add != 0 || flags.remove != 0)
		engine_draft_change_flags(fs->engine, setattr->draft, &flags, step_done, step(setattr));
}

static void set_draft(fuse_req_t req, struct draft *draft, const struct stat *attr, int to_set)
{
	struct setattr *setattr = (struct setattr *)op_new(fs_of(req), req, sizeof(*setattr),
		setattr_release);

	if (!setattr)
		return;
	setattr->draft = draft_ref(draft);
	setattr->waiting = 1; /* the steps may be done from inside */
	draft_steps(setattr, attr, to_set);
	if (--setattr->waiting == 0)
		op_finish(&setattr->op, reply_set, setattr);
}

/* ---- all --------------------------------------------------------------------------------------- */

/* `echo refresh > .mailfs/ctl` truncates first; a control file has no length. */
static void set_control(fuse_req_t req, uint64_t ino, int to_set)
{
	if ((to_set & ~(FUSE_SET_ATTR_SIZE | SETS_MTIME | FUSE_SET_ATTR_CTIME)) == 0)
		reply_now(req, fs_of(req), ino);
	else
		fuse_reply_err(req, EROFS);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct draft *draft = fs_draft_of(fs, ino, fi);

	if (inotify_takes_setattr(fs, req, ino))
		return;
	if (ino_split(ino).kind == INO_KIND_CONTROL)
		set_control(req, ino, to_set);
	else if (fs->config.is_read_only)
		fuse_reply_err(req, EROFS);
	else if (draft)
		set_draft(req, draft, attr, to_set);
	else if (ino_split(ino).kind == INO_KIND_MESSAGE && !fs_look_again(req, ino))
		set_message(req, ino, attr, to_set);
	else if (ino_split(ino).kind != INO_KIND_MESSAGE)
		reply_now(req, fs, ino);
}
