/* SPDX-License-Identifier: MIT */
/*
 * .mailfs/ctl: one command a write, a line of words. The write ends when the command was carried out; a
 * refusal is an errno, and its reason is in the status. Or one command an ioctl, command.h. Loop thread.
 */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "fs/command.h"
#include "fs/ctl.h"
#include "fs/errno_map.h"
#include "fs/internal.h"
#include "fs/top.h"

static void refuse(struct fs *fs, fuse_req_t req, int error, const char *verb, const char *why)
{
	engine_add_reason(fs->engine, "%s: %s", verb, why);
	fuse_reply_err(req, error);
}

/* By its path in the mount. */
static struct folder *find_folder(struct fs *fs, const char *path)
{
	g_autofree char *whole = g_strconcat(fs->config.root, "/", path, NULL);

	return tree_by_shown_path(engine_tree(fs->engine), whole);
}

void ctl_reply(fuse_req_t req, size_t size)
{
	if (size > 0)
		fuse_reply_write(req, size);
	else
		fuse_reply_ioctl(req, 0, NULL, 0);
}

/* ---- refresh ----------------------------------------------------------------------------------- */

struct ctl_op {
	struct op op;
	size_t size;
};

static void reply_written(fuse_req_t req, void *data)
{
	ctl_reply(req, *(size_t *)data);
}

static void on_told(void *user)
{
	struct ctl_op *ctl = (struct ctl_op *)op_ref_take(user);

	if (ctl)
		op_finish(&ctl->op, reply_written, &ctl->size);
}

/* Whoever asked looks next, and should not see what the kernel is about to forget. */
static void on_refreshed(void *user, const GError *error)
{
	struct ctl_op *ctl = user;

	ctl->op.ticket = 0;
	if (error) {
		engine_add_reason(ctl->op.fs->engine, "refresh: %s", error->message);
		op_finish_error(&ctl->op, error);
	} else {
		notifier_then(ctl->op.fs->notifier, on_told, op_ref_new(&ctl->op));
	}
}

/* "refresh" or "refresh FOLDER" with the folder's path in the mount. The write ends when the server
 * has answered. */
static void ctl_refresh(struct fs *fs, fuse_req_t req, const char *path, size_t size)
{
	struct folder *folder = NULL;
	struct ctl_op *ctl;
	engine_ticket ticket;

	if (*path != '\0') {
		folder = find_folder(fs, path);
		if (!folder) {
			refuse(fs, req, ENOENT, "refresh", "there is no such folder");
			return;
		}
	}
	ctl = (struct ctl_op *)op_new(fs, req, sizeof(*ctl), NULL);
	if (!ctl)
		return;
	ctl->size = size;
	ticket = engine_refresh(fs->engine, folder, on_refreshed, ctl);
	if (ticket != 0)
		ctl->op.ticket = ticket;
}

/* ---- what waits -------------------------------------------------------------------------------- */

/* "retry ID", "retry all", "drop ID". */
static void ctl_pending(struct fs *fs, fuse_req_t req, const char *word, size_t size, bool is_retry)
{
	uint64_t id = 0;
	int r;

	if (!parse_u64(word, strlen(word), &id) && !(is_retry && strcmp(word, "all") == 0)) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = is_retry ? engine_pending_retry(fs->engine, id) : engine_pending_drop(fs->engine, id);
	if (r < 0)
		fuse_reply_err(req, -r);
	else
		ctl_reply(req, size);
}

static void ctl_retry(struct fs *fs, fuse_req_t req, const char *word, size_t size)
{
	ctl_pending(fs, req, word, size, true);
}

static void ctl_drop(struct fs *fs, fuse_req_t req, const char *word, size_t size)
{
	ctl_pending(fs, req, word, size, false);
}

/* ---- the connection ---------------------------------------------------------------------------- */

static void ctl_offline(struct fs *fs, fuse_req_t req, const char *word, size_t size)
{
	engine_go_offline(fs->engine);
	ctl_reply(req, size);
}

/* Ends when a session has logged in, or could not. */
static void ctl_online(struct fs *fs, fuse_req_t req, const char *word, size_t size)
{
	engine_go_online(fs->engine);
	ctl_refresh(fs, req, "", size);
}

/* ---- prefetch ---------------------------------------------------------------------------------- */

void fs_fill(struct fs *fs)
{
	engine_fill(fs->engine, fs_folder(fs, fs->root), true);
}

/* "prefetch" or "prefetch FOLDER", and what is below it. It is done in the background. */
static void ctl_prefetch(struct fs *fs, fuse_req_t req, const char *path, size_t size)
{
	const struct folder *folder = *path != '\0' ? find_folder(fs, path) : fs_folder(fs, fs->root);

	if (!folder) {
		refuse(fs, req, ENOENT, "prefetch", "there is no such folder");
		return;
	}
	engine_fill(fs->engine, folder, false);
	ctl_reply(req, size);
}

/* ---- the cache --------------------------------------------------------------------------------- */

static void on_cache_done(void *user, const GError *error)
{
	struct ctl_op *ctl = (struct ctl_op *)op_ref_take(user);

	if (ctl && error)
		op_finish_error(&ctl->op, error);
	else if (ctl)
		op_finish(&ctl->op, reply_written, &ctl->size);
}

static void cache_do(struct fs *fs, fuse_req_t req, size_t size,
	void (*fn)(struct engine *engine, engine_done_fn done, void *user))
{
	struct ctl_op *ctl = (struct ctl_op *)op_new(fs, req, sizeof(*ctl), NULL);

	if (!ctl)
		return;
	ctl->size = size;
	fn(fs->engine, on_cache_done, op_ref_new(&ctl->op));
}

/* Ends when the space is free. */
static void ctl_clear(struct fs *fs, fuse_req_t req, const char *word, size_t size)
{
	cache_do(fs, req, size, engine_clear_cache);
}

/* For the folders of status.json. */
static void ctl_count(struct fs *fs, fuse_req_t req, const char *word, size_t size)
{
	cache_do(fs, req, size, engine_count_cache);
}

/* ---- commands ---------------------------------------------------------------------------------- */

static const struct {
	const char *verb;
	enum { WORD_NONE, WORD_MAY, WORD_MUST } word;
	void (*fn)(struct fs *fs, fuse_req_t req, const char *word, size_t size);
} commands[] = {
	{ "refresh", WORD_MAY, ctl_refresh },
	{ "prefetch", WORD_MAY, ctl_prefetch },
	{ "clear", WORD_NONE, ctl_clear },
	{ "count", WORD_NONE, ctl_count },
	{ "offline", WORD_NONE, ctl_offline },
	{ "online", WORD_NONE, ctl_online },
	{ "retry", WORD_MUST, ctl_retry },
	{ "drop", WORD_MUST, ctl_drop },
};

void ctl_run(struct fs *fs, fuse_req_t req, const char *verb, const char *word, size_t size)
{
	for (size_t i = 0; fs->engine && i < G_N_ELEMENTS(commands); i++) {
		bool fits = word ? commands[i].word != WORD_NONE : commands[i].word != WORD_MUST;

		if (!fits || strcmp(commands[i].verb, verb) != 0)
			continue;
		commands[i].fn(fs, req, word ? word : "", size);
		return;
	}
	fuse_reply_err(req, fs->failure ? errno_of(fs->failure) : EINVAL);
}

void control_command(struct fs *fs, fuse_req_t req, const char *text, size_t size)
{
	g_autofree char *line = g_strchomp(g_strdup(text));
	char *word = strchr(line, ' ');

	if (word)
		*word++ = '\0';
	if (top_is(fs))
		ctl_run_all(fs, req, line, word, size);
	else
		ctl_run(fs, req, line, word, size);
}

void control_write(struct fs *fs, fuse_req_t req, uint32_t file, const char *bytes, size_t size)
{
	g_autofree char *line = NULL;

	if (file != CONTROL_CTL || size > MAILFS_COMMAND_MAX || memchr(bytes, '\0', size)) {
		fuse_reply_err(req, file == CONTROL_CTL ? EINVAL : EROFS);
		return;
	}
	line = g_strndup(bytes, size);
	control_command(fs, req, line, size);
}
