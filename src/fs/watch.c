/* SPDX-License-Identifier: MIT */
/*
 * News of the engine, with their names. The name of a message may have to be asked of the index, which
 * answers before the row goes: for so many at once, no more.
 */
#include "fs/watch.h"

#include <string.h>

#include "fs/internal.h"

#define NAMES_MAX 256u /* under way to the index */

struct asked {
	struct fs *fs;
	enum engine_news_kind kind;
	char *folder;
	uint64_t parent, ino;
	uint32_t uid;
	bool is_own;
};

static void deliver(struct fs *fs, const struct watch_item *item)
{
	events_put(fs, item);
	inotify_put(fs, item);
}

/* ---- names ------------------------------------------------------------------------------------- */

static void on_name(void *user, size_t count, const uint32_t *uids, const char *const *names)
{
	struct asked *asked = user;
	char plain[MAILFS_NAME_MAX + 1];
	const char *name = plain;

	asked->fs->names_asked--;
	view_name(view_find("uid"), &(struct mailfs_name_input){ .uid = asked->uid }, plain);
	if (count > 0 && uids[0] == asked->uid)
		name = names[0];
	if (asked->fs->session)
		deliver(asked->fs, &(struct watch_item){
			.kind = asked->kind,
			.folder = asked->folder,
			.name = name,
			.parent = asked->parent,
			.ino = asked->ino,
			.uid = asked->uid,
			.is_own = asked->is_own,
		});
	g_free(asked->folder);
	g_free(asked);
}

static void ask_name(struct fs *fs, const struct watch_item *item, uint32_t box_id)
{
	struct asked *asked;

	if (fs->names_asked >= NAMES_MAX) {
		deliver(fs, item);
		return;
	}
	fs->names_asked++;
	asked = g_new(struct asked, 1);
	*asked = (struct asked){
		.fs = fs,
		.kind = item->kind,
		.folder = g_strdup(item->folder),
		.parent = item->parent,
		.ino = item->ino,
		.uid = item->uid,
		.is_own = item->is_own,
	};
	engine_load_names(fs->engine, box_id, item->uid - 1, 1, on_name, asked);
}

/* True: the name needs no question. */
static bool name_now(struct fs *fs, const struct engine_news *news, char *name)
{
	const struct mailbox *box = news->folder->box;
	const struct message *message = mailbox_find(box, news->uid);
	const char *known = engine_given_name(fs->engine, box->id, news->uid);

	if (!known)
		known = news->name;
	if (known && strlen(known) <= MAILFS_NAME_MAX) {
		memcpy(name, known, strlen(known) + 1);
		return true;
	}
	if (fs->config.view->needs_head)
		return false;
	view_name(fs->config.view,
		&(struct mailfs_name_input){ .uid = news->uid, .date = message ? message->date : 0 }, name);
	return message || fs->config.view == view_find("uid");
}

/* ---- from the engine --------------------------------------------------------------------------- */

/* "" is the mount's root; NULL: it is not below it. g_free() it. */
static char *path_below_root(struct fs *fs, const struct folder *folder)
{
	g_autofree char *path = tree_shown_path(folder);
	size_t len = strlen(fs->config.root);

	if (len == 0)
		return g_steal_pointer(&path);
	if (strncmp(path, fs->config.root, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return NULL;
	return g_strdup(path + len + (path[len] == '/'));
}

static void put_folder(struct fs *fs, const struct engine_news *news, const char *path)
{
	deliver(fs, &(struct watch_item){
		.kind = news->kind,
		.folder = path,
		.name = news->folder->shown,
		.parent = news->folder->parent ? fs_folder_ino(fs, news->folder->parent) : 0,
		.ino = fs_folder_ino(fs, news->folder),
		.is_own = news->is_own,
	});
}

void fs_news(struct fs *fs, const struct engine_news *news)
{
	g_autofree char *path = NULL;
	char name[MAILFS_NAME_MAX + 1];
	struct watch_item item = { .kind = news->kind, .uid = news->uid, .is_own = news->is_own };

	if (!fs->session || (!events_are_wanted(fs) && !inotify_is_wanted(fs)))
		return;
	path = path_below_root(fs, news->folder);
	if (!path)
		return;
	if (news->uid == 0) {
		put_folder(fs, news, path);
		return;
	}
	if (!news->folder->box)
		return;
	item.folder = path;
	item.parent = fs_folder_ino(fs, news->folder);
	item.ino = fs_ino(fs, INO_KIND_MESSAGE, news->folder->box->id, news->uid);
	if (name_now(fs, news, name)) {
		item.name = name;
		deliver(fs, &item);
	} else {
		ask_name(fs, &item, news->folder->box->id);
	}
}

void fs_state_changed(struct fs *fs, enum engine_state state)
{
	if (fs->session && events_are_wanted(fs))
		events_put_state(fs, state);
}

void watch_end(struct fs *fs)
{
	events_end(fs);
	inotify_end(fs);
}

void watch_done(struct fs *fs)
{
	events_done(fs);
	inotify_done(fs);
}
