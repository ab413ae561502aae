/* SPDX-License-Identifier: MIT */
/* An account that is shown: its life, and what its engine tells. */
#include "fs/fs.h"

#include <errno.h>

#include "fs/internal.h"
#include "fs/watch.h"
#include "view/sanitize.h"

/* ---- life -------------------------------------------------------------------------------------- */

struct fs *fs_new(struct mount *mount, const struct fs_config *config)
{
	struct fs *fs = g_new0(struct fs, 1);

	fs->mount = mount;
	fs->config = *config;
	fs->base = ino_base(config->place);
	fs->root = fs->base | INO_ROOT;
	fs->ops = g_hash_table_new(g_int64_hash, g_int64_equal);
	fs->files = g_hash_table_new(g_int64_hash, g_int64_equal);
	fs->handles = g_hash_table_new(NULL, NULL);
	fs->draft_handles = g_hash_table_new(NULL, NULL);
	fs->directories = g_hash_table_new(NULL, NULL);
	fs->waiting = g_hash_table_new(NULL, NULL);
	fs->listed = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	control_init(fs);
	rounds_init(fs);
	push_init(fs);
	mount_add(mount, fs);
	return fs;
}

void fs_configure(struct fs *fs, const struct fs_config *config)
{
	fs->config = *config;
}

/* Whether it has a root is not known, or it has none. */
static void look_for_root(struct fs *fs)
{
	fs->awaits_root = fs->engine && !fs_folder(fs, fs->root);
}

void fs_set_engine(struct fs *fs, struct engine *engine)
{
	fs->engine = engine;
	g_clear_error(&fs->failure);
	look_for_root(fs);
	if (!fs->session)
		return;
	inotify_begin(fs);
	notifier_everything(fs->notifier, fs->root);
}

void fs_set_failure(struct fs *fs, const GError *failure)
{
	g_clear_error(&fs->failure);
	fs->failure = g_error_copy(failure);
}

void fs_begin(struct fs *fs)
{
	fs->session = fs->mount->session;
	fs->notifier = fs->mount->notifier;
	look_for_root(fs);
	if (fs->engine)
		inotify_begin(fs);
}

void fs_end(struct fs *fs)
{
	wait_end_all(fs);
	watch_end(fs);
	op_finish_all(fs, ENOTCONN);
}

void fs_close(struct fs *fs)
{
	handle_close_all(fs);
	draft_handle_close_all(fs);
	directory_close_all(fs);
	watch_done(fs);
}

void fs_free(struct fs *fs)
{
	if (!fs)
		return;
	mount_remove(fs->mount, fs);
	rounds_done(fs);
	push_done(fs);
	g_hash_table_unref(fs->ops);
	g_hash_table_unref(fs->listed);
	g_hash_table_unref(fs->files);
	g_hash_table_unref(fs->handles);
	g_hash_table_unref(fs->draft_handles);
	g_hash_table_unref(fs->directories);
	g_hash_table_unref(fs->waiting);
	g_hash_table_unref(fs->texts);
	g_clear_error(&fs->failure);
	g_free(fs);
}

/* ---- the engine tells -------------------------------------------------------------------------- */

void fs_listing_changed(struct fs *fs, const struct folder *folder)
{
	if (!fs->session)
		return;
	if (fs->awaits_root && fs_folder(fs, fs->root))
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
	return fs_node(fs, fs_ino(fs, INO_KIND_MESSAGE, folder->box->id, uid));
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
	uint64_t ino = fs_ino(fs, INO_KIND_MESSAGE, folder->box->id, uid);

	fs_message_changed(fs, folder, uid);
	file_hold(fs, ino);
	if (fs->session && (fs->is_openless || file_find(fs, ino)))
		fs_forget_name(fs, folder, folder->box->id, uid);
}

/* What is open, and was perhaps never asked for through its handle, can be read to the end. */
void fs_folder_going(struct fs *fs, const struct folder *folder)
{
	GHashTableIter iter;
	gpointer ino;

	g_hash_table_iter_init(&iter, fs->files);
	while (g_hash_table_iter_next(&iter, &ino, NULL)) {
		struct ino what = ino_split(*(uint64_t *)ino);

		if (what.kind == INO_KIND_MESSAGE && what.id == folder->box_id)
			file_hold(fs, *(uint64_t *)ino);
	}
}

/* An inode that is open goes on answering; by its name nobody comes here any more, nor to anything
 * below it. */
void fs_folder_gone(struct fs *fs, const struct folder *folder)
{
	uint64_t ino = fs_ino(fs, INO_KIND_FOLDER, folder->dir_id, 0);

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
	if (folder->parent && folder != fs_folder(fs, fs->root))
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

char *fs_folder_bytes(const struct folder *parent, const char *shown)
{
	size_t len = 0;
	g_autofree char *bytes = folder_component_unescape(shown, &len);
	g_autofree char *again = bytes ? fs_component(bytes, len, !parent->parent) : NULL;

	if (!again || strcmp(again, shown) != 0 || strlen(bytes) != len)
		return NULL;
	return g_steal_pointer(&bytes);
}

uint32_t fs_message_name(void *view, uint32_t uid, int64_t date, const struct mailfs_head *head,
	char *name)
{
	view_name(view, &(struct mailfs_name_input){ .uid = uid, .date = date, .head = head }, name);
	return view_name_hash(name);
}
