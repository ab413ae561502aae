/* SPDX-License-Identifier: MIT */
/*
 * Real inotify events. The kernel raises them for what is done through it, never for what a FUSE daemon
 * tells it; so the helper process (helper.h) makes, removes and touches the names, one after the other,
 * and is answered here, without anything reaching the server, the journal or the model. Loop thread.
 *
 * Bounded: of what happens at once so many are acted out, and so many a second after that; for the rest
 * each directory gets one ATTRIB.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <glib-unix.h>

#include "base/clock.h"
#include "base/log.h"
#include "fs/helper.h"
#include "fs/internal.h"
#include "fs/watch.h"

#define ACTS_MAX    128 /* at once; documented in mailfs(1), as is … */
#define ACTS_SECOND 20  /* … this */
#define QUEUE_MAX   512u /* while the helper waits for a directory */
#define TOUCHES_MAX 128u /* directories that get an ATTRIB for the rest */
/* A new message may be our own, whose name is given to it after it was seen on the server. */
#define SETTLE_MS 40u

struct act {
	int verb; /* enum helper_verb */
	char *folder, *name;
	uint64_t parent, ino;
	bool was_tried; /* the kernel had the name already, and has forgotten it now */
};

struct inotify {
	struct helper helper;
	guint source, timer;
	bool is_trusted; /* the kernel names it as we know it */
	bool is_busy;    /* an order is under way */
	struct act *act; /* the one that it carries out; NULL: the first order, or none */
	GQueue queue;
	unsigned touches; /* of these, for directories */
	int64_t acts_us;  /* in the time that it would take at ACTS_SECOND, up to here they are spent */
};

/* ---- the queue --------------------------------------------------------------------------------- */

static void act_free(gpointer data)
{
	struct act *act = data;

	g_free(act->folder);
	g_free(act->name);
	g_free(act);
}

static void stop_helper(struct inotify *inotify)
{
	g_clear_handle_id(&inotify->source, g_source_remove);
	g_clear_handle_id(&inotify->timer, g_source_remove);
	inotify->is_trusted = false;
	g_queue_clear_full(&inotify->queue, act_free);
	g_queue_init(&inotify->queue);
	g_clear_pointer(&inotify->act, act_free);
}

static void send_order(struct fs *fs, int verb, const char *folder, const char *name)
{
	struct inotify *inotify = fs->inotify;
	g_autofree struct helper_order *order = g_new0(struct helper_order, 1);

	order->verb = verb;
	g_strlcpy(order->folder, folder, sizeof(order->folder));
	g_strlcpy(order->name, name, sizeof(order->name));
	inotify->is_busy = true;
	if (send(inotify->helper.fd, order, sizeof(*order), MSG_NOSIGNAL) == (ssize_t)sizeof(*order))
		return;
	log_info("fs", "no inotify events any more: %s", g_strerror(errno));
	stop_helper(inotify);
}

/* It is as it was when the act was written down, and whoever made it so is not watching himself. */
static bool is_true(struct fs *fs, const struct act *act)
{
	struct ino what = ino_split(act->ino);
	bool is_there = fs_message(fs, act->ino, NULL) != NULL;

	switch (act->verb) {
	case HELPER_CREATE:
		return is_there && !engine_given_name(fs->engine, what.id, what.uid);
	case HELPER_UNLINK:
		return !is_there;
	case HELPER_MKDIR:
		return fs_folder(fs, act->ino) != NULL;
	case HELPER_RMDIR:
		return !fs_folder(fs, act->ino);
	default:
		return true;
	}
}

static gboolean on_settled(gpointer user)
{
	struct fs *fs = user;
	struct inotify *inotify = fs->inotify;
	struct act *act;

	inotify->timer = 0;
	while (!inotify->is_busy && (act = g_queue_pop_head(&inotify->queue))) {
		inotify->touches -= act->verb == HELPER_TOUCH && *act->name == '\0';
		if (!is_true(fs, act)) {
			act_free(act);
			continue;
		}
		inotify->act = act;
		send_order(fs, act->verb, act->folder, act->name);
	}
	return G_SOURCE_REMOVE;
}

static void act_next(struct fs *fs, unsigned ms)
{
	struct inotify *inotify = fs->inotify;

	if (inotify->is_trusted && !inotify->is_busy && inotify->timer == 0 &&
		!g_queue_is_empty(&inotify->queue))
		inotify->timer = g_timeout_add(ms, on_settled, fs);
}

static struct act *act_new(int verb, const char *folder, const char *name, uint64_t parent, uint64_t ino)
{
	struct act *act = g_new0(struct act, 1);

	act->verb = verb;
	act->folder = g_strdup(folder);
	act->name = g_strdup(name);
	act->parent = parent;
	act->ino = ino;
	return act;
}

static bool is_queued(const struct inotify *inotify, int verb, uint64_t ino)
{
	for (const GList *at = inotify->queue.head; at; at = at->next) {
		const struct act *act = at->data;

		if (act->verb == verb && act->ino == ino)
			return true;
	}
	return false;
}

static void touch_folder(struct inotify *inotify, const char *folder, uint64_t ino)
{
	if (inotify->touches >= TOUCHES_MAX || is_queued(inotify, HELPER_TOUCH, ino))
		return;
	inotify->touches++;
	g_queue_push_tail(&inotify->queue, act_new(HELPER_TOUCH, folder, "", 0, ino));
}

/* A bucket of ACTS_MAX that is filled at ACTS_SECOND. */
static bool may_act(struct inotify *inotify)
{
	const int64_t each_us = G_USEC_PER_SEC / ACTS_SECOND;
	int64_t now = clock_monotonic_us();

	inotify->acts_us = MAX(inotify->acts_us, now - ACTS_MAX * each_us);
	if (inotify->acts_us + each_us > now || g_queue_get_length(&inotify->queue) >= QUEUE_MAX)
		return false;
	inotify->acts_us += each_us;
	return true;
}

bool inotify_is_wanted(const struct fs *fs)
{
	return fs->inotify && fs->inotify->is_trusted;
}

void inotify_put(struct fs *fs, const struct watch_item *item)
{
	static const int verbs[] = {
		[ENGINE_NEWS_MESSAGE] = HELPER_CREATE,
		[ENGINE_NEWS_EXPUNGED] = HELPER_UNLINK,
		[ENGINE_NEWS_FLAGS] = HELPER_TOUCH,
		[ENGINE_NEWS_FOLDER] = HELPER_MKDIR,
		[ENGINE_NEWS_FOLDER_GONE] = HELPER_RMDIR,
		[ENGINE_NEWS_FOLDER_RESET] = 0,
	};
	struct inotify *inotify = fs->inotify;
	int verb = verbs[item->kind];
	g_autofree char *parent = item->uid != 0 ? g_strdup(item->folder) : g_path_get_dirname(item->folder);

	if (!inotify_is_wanted(fs) || item->is_own || item->parent == 0 || *item->folder == '\0')
		return;
	if (strcmp(parent, ".") == 0)
		*parent = '\0';
	if (verb == HELPER_TOUCH && is_queued(inotify, verb, item->ino))
		return;
	if (verb == 0 || !item->name || !may_act(inotify))
		touch_folder(inotify, verb == 0 ? item->folder : parent, verb == 0 ? item->ino : item->parent);
	else
		g_queue_push_tail(&inotify->queue, act_new(verb, parent, item->name, item->parent, item->ino));
	act_next(fs, SETTLE_MS);
}

/* ---- its answers ------------------------------------------------------------------------------- */

static void on_forgotten(void *user)
{
	struct fs *fs = user;

	if (fs->inotify)
		act_next(fs, 0);
}

/* Somebody has looked the name up meanwhile: the kernel forgets it, then it can be made once more. */
static bool try_again(struct fs *fs, struct act *act, int error)
{
	if (act->was_tried || error != EEXIST)
		return false;
	act->was_tried = true;
	fs_tell_entry(fs, act->parent, act->name);
	g_queue_push_head(&fs->inotify->queue, act);
	notifier_then(fs->notifier, on_forgotten, fs);
	return true;
}

static gboolean on_answer(gint fd, GIOCondition condition, gpointer user)
{
	struct fs *fs = user;
	struct inotify *inotify = fs->inotify;
	struct act *act;
	int error = 0;
	ssize_t got = recv(fd, &error, sizeof(error), 0);

	if (got < 0 && errno == EAGAIN)
		return G_SOURCE_CONTINUE;
	if (got != (ssize_t)sizeof(error)) {
		log_info("fs", "no inotify events any more: the helper has ended");
		inotify->source = 0;
		stop_helper(inotify);
		return G_SOURCE_REMOVE;
	}
	inotify->is_busy = false;
	act = g_steal_pointer(&inotify->act);
	if (act && try_again(fs, act, error))
		return G_SOURCE_CONTINUE;
	if (act)
		act_free(act);
	act_next(fs, 0);
	return G_SOURCE_CONTINUE;
}

/* ---- its requests ------------------------------------------------------------------------------ */

static bool is_helper(struct fs *fs, fuse_req_t req)
{
	return fs->inotify && fuse_req_ctx(req)->pid == fs->inotify->helper.pid;
}

/* What it has been told to do is what it asks for. */
static const struct act *act_at(struct fs *fs, uint64_t parent, const char *name)
{
	const struct act *act = fs->inotify->act;

	return act && act->parent == parent && strcmp(act->name, name) == 0 ? act : NULL;
}

/* Just enough of it to be removed. */
static void reply_ghost(struct fs *fs, fuse_req_t req, const struct act *act)
{
	struct fuse_entry_param entry = { .ino = act->ino };

	entry.attr.st_ino = act->ino;
	entry.attr.st_mode = act->verb == HELPER_RMDIR ? S_IFDIR | 0700 : S_IFREG | 0600;
	entry.attr.st_nlink = 1;
	entry.attr.st_size = 1;
	fs_set_owner(fs, &entry.attr);
	fuse_reply_entry(req, &entry);
}

bool inotify_takes_lookup(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name)
{
	const struct act *act;

	if (!is_helper(fs, req))
		return false;
	if (parent == fs->root && strcmp(name, HELPER_PROBE) == 0) {
		fs->inotify->is_trusted = true;
		fuse_reply_err(req, ENOENT);
		return true;
	}
	act = act_at(fs, parent, name);
	if (!act || act->verb == HELPER_TOUCH)
		return false;
	if (act->verb == HELPER_UNLINK || act->verb == HELPER_RMDIR)
		reply_ghost(fs, req, act);
	else
		fuse_reply_err(req, ENOENT);
	return true;
}

bool inotify_takes_make(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name)
{
	const struct act *act;
	struct stat attr;

	if (!is_helper(fs, req))
		return false;
	act = act_at(fs, parent, name);
	if (act && (act->verb == HELPER_CREATE || act->verb == HELPER_MKDIR) && is_true(fs, act) &&
		fs_attr(fs, act->ino, &attr))
		fs_reply_entry(fs, req, &attr);
	else
		fuse_reply_err(req, EPERM);
	return true;
}

bool inotify_takes_removal(struct fs *fs, fuse_req_t req, uint64_t parent, const char *name)
{
	const struct act *act;

	if (!is_helper(fs, req))
		return false;
	act = act_at(fs, parent, name);
	fuse_reply_err(req, act && (act->verb == HELPER_UNLINK || act->verb == HELPER_RMDIR) &&
			is_true(fs, act) ? 0 : EPERM);
	return true;
}

bool inotify_takes_setattr(struct fs *fs, fuse_req_t req, uint64_t ino)
{
	struct stat attr;

	if (!is_helper(fs, req))
		return false;
	if (fs_attr(fs, ino, &attr))
		fuse_reply_attr(req, &attr, fs_timeout(ino));
	else
		fuse_reply_err(req, ESTALE);
	return true;
}

/* ---- life -------------------------------------------------------------------------------------- */

void inotify_begin(struct fs *fs)
{
	struct inotify *inotify;

	if (fs->config.helper.fd < 0)
		return;
	inotify = g_new0(struct inotify, 1);
	inotify->helper = fs->config.helper;
	g_queue_init(&inotify->queue);
	fs->inotify = inotify;
	inotify->source = g_unix_fd_add(inotify->helper.fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_answer, fs);
	send_order(fs, HELPER_MOUNT, fs->config.path, "");
}

void inotify_end(struct fs *fs)
{
	if (fs->inotify)
		stop_helper(fs->inotify);
}

void inotify_done(struct fs *fs)
{
	g_clear_pointer(&fs->inotify, g_free);
}
