/* SPDX-License-Identifier: MIT */
/*
 * .mailfs/ctl at the top of a mount of several accounts. What names one account is that account's; the
 * rest is for all that work, and counts as done when one of them has done it. Loop thread.
 */
#include <errno.h>
#include <string.h>

#include "fs/ctl.h"
#include "fs/errno_map.h"
#include "fs/top.h"

/* ---- one account ------------------------------------------------------------------------------- */

static void run_one(struct fs *fs, fuse_req_t req, const char *verb, const char *word, size_t size)
{
	if (fs)
		ctl_run(fs, req, verb, word, size);
	else
		fuse_reply_err(req, ENOENT);
}

/* "ACCOUNT" or "ACCOUNT/FOLDER". */
static void run_path(struct fs *top, fuse_req_t req, const char *verb, const char *path, size_t size)
{
	const char *rest = "";
	struct fs *fs = top_find_path(top->mount, path, &rest);

	run_one(fs, req, verb, *rest != '\0' ? rest : NULL, size);
}

/* "ACCOUNT:ID": a name has no colon in it. */
static void run_id(struct fs *top, fuse_req_t req, const char *verb, const char *word, size_t size)
{
	const char *colon = strchr(word, ':');
	g_autofree char *name = colon ? g_strndup(word, (size_t)(colon - word)) : NULL;

	if (colon)
		run_one(top_find(top->mount, name), req, verb, colon + 1, size);
	else
		fuse_reply_err(req, EINVAL);
}

/* ---- all of them ------------------------------------------------------------------------------- */

struct all {
	struct op op;
	unsigned left;
	unsigned good;
	int error; /* the first */
	size_t size;
};

static void reply_written(fuse_req_t req, void *data)
{
	ctl_reply(req, *(size_t *)data);
}

static void finish(struct all *all)
{
	if (all->good > 0)
		op_finish(&all->op, reply_written, &all->size);
	else
		op_finish_errno(&all->op, all->error != 0 ? all->error : EHOSTUNREACH);
}

static void on_told(void *user)
{
	struct all *all = (struct all *)op_ref_take(user);

	if (all)
		finish(all);
}

static void on_refreshed(void *user, const GError *error)
{
	struct all *all = (struct all *)op_ref_take(user);

	if (!all)
		return;
	if (!error)
		all->good++;
	else if (all->error == 0)
		all->error = errno_of(error);
	if (--all->left > 0)
		return;
	/* Whoever asked looks next, and should not see what the kernel is about to forget. */
	notifier_then(all->op.fs->notifier, on_told, op_ref_new(&all->op));
}

/* The write ends when all have answered. */
static void refresh_all(struct fs *top, fuse_req_t req, size_t size)
{
	struct all *all = (struct all *)op_new(top, req, sizeof(*all), NULL);
	unsigned at = 0;
	struct fs *fs;

	if (!all)
		return;
	all->size = size;
	all->left = 1; /* this */
	while ((fs = top_next(top->mount, &at))) {
		if (!fs->engine)
			continue;
		all->left++;
		engine_refresh(fs->engine, NULL, on_refreshed, op_ref_new(&all->op));
	}
	if (--all->left == 0)
		finish(all);
}

static void retry(struct engine *engine)
{
	engine_pending_retry(engine, 0);
}

static void each_engine(struct fs *top, void (*fn)(struct engine *engine))
{
	unsigned at = 0;
	struct fs *fs;

	while ((fs = top_next(top->mount, &at))) {
		if (fs->engine)
			fn(fs->engine);
	}
}

static void prefetch_all(struct fs *top)
{
	unsigned at = 0;
	struct fs *fs;

	while ((fs = top_next(top->mount, &at))) {
		if (fs->engine)
			engine_fill(fs->engine, fs_folder(fs, fs->root), false);
	}
}

static void run_each(struct fs *top, fuse_req_t req, const char *verb, size_t size)
{
	bool is_known = true;

	if (strcmp(verb, "refresh") == 0) {
		refresh_all(top, req, size);
		return;
	}
	if (strcmp(verb, "online") == 0) {
		each_engine(top, engine_go_online);
		refresh_all(top, req, size);
		return;
	}
	if (strcmp(verb, "offline") == 0)
		each_engine(top, engine_go_offline);
	else if (strcmp(verb, "prefetch") == 0)
		prefetch_all(top);
	else if (strcmp(verb, "retry") == 0)
		each_engine(top, retry);
	else
		is_known = false;
	if (is_known)
		ctl_reply(req, size);
	else
		fuse_reply_err(req, EINVAL);
}

void ctl_run_all(struct fs *top, fuse_req_t req, const char *verb, const char *word, size_t size)
{
	bool is_pending = strcmp(verb, "retry") == 0 || strcmp(verb, "drop") == 0;

	if (is_pending && word && strcmp(word, "all") != 0)
		run_id(top, req, verb, word, size);
	else if (word && !is_pending)
		run_path(top, req, verb, word, size);
	else if (strcmp(verb, "drop") == 0 || (is_pending && !word))
		fuse_reply_err(req, EINVAL);
	else
		run_each(top, req, verb, size);
}
