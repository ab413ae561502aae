/* SPDX-License-Identifier: MIT */
/* Open directories and their pages of names. Loop thread. */
#include "fs/directory.h"

/* ---- life -------------------------------------------------------------------------------------- */

struct directory *directory_new(struct fs *fs, uint64_t ino)
{
	struct directory *directory = g_new0(struct directory, 1);

	directory->ino = ino;
	directory->folders = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	directory->uids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	directory->names = g_ptr_array_new_with_free_func(g_free);
	g_hash_table_add(fs->directories, directory);
	return directory;
}

struct directory *directory_of(const struct fuse_file_info *fi)
{
	return (struct directory *)(uintptr_t)fi->fh;
}

static void directory_unref(struct directory *directory)
{
	if (!directory->is_released || directory->reads_waiting > 0)
		return;
	g_array_unref(directory->folders);
	g_array_unref(directory->uids);
	g_ptr_array_unref(directory->names);
	g_free(directory);
}

void directory_close(struct fs *fs, struct directory *directory)
{
	g_hash_table_remove(fs->directories, directory);
	skim_end(fs, directory);
	directory->is_released = true;
	directory_unref(directory);
}

void directory_close_all(struct fs *fs)
{
	g_autoptr(GList) directories = g_hash_table_get_keys(fs->directories);

	for (GList *at = directories; at; at = at->next)
		directory_close(fs, at->data);
}

void directory_hold(struct directory *directory)
{
	directory->reads_waiting++;
}

void directory_release(struct directory *directory)
{
	directory->reads_waiting--;
	directory_unref(directory);
}

bool directory_is_open(struct fs *fs, uint64_t ino)
{
	GHashTableIter iter;
	gpointer directory;

	g_hash_table_iter_init(&iter, fs->directories);
	while (g_hash_table_iter_next(&iter, &directory, NULL)) {
		if (((struct directory *)directory)->ino == ino)
			return true;
	}
	return false;
}

/* ---- what it remembers ------------------------------------------------------------------------- */

void directory_take_folders(struct directory *directory, const struct folder *folder)
{
	g_array_set_size(directory->folders, 0);
	for (guint i = 0; i < folder->children->len; i++) {
		const struct folder *child = g_ptr_array_index(folder->children, i);

		g_array_append_val(directory->folders, child->dir_id);
	}
}

void directory_take_page(struct directory *directory, uint32_t box_id, uint32_t after, size_t count,
	const uint32_t *uids, const char *const *names)
{
	g_array_set_size(directory->uids, 0);
	g_ptr_array_set_size(directory->names, 0);
	g_array_append_vals(directory->uids, uids, (guint)count);
	for (size_t i = 0; i < count; i++)
		g_ptr_array_add(directory->names, g_strdup(names[i]));
	directory->box_id = box_id;
	directory->page_after = after;
	directory->page_last = count < DIRECTORY_PAGE ? UINT32_MAX : uids[count - 1];
	directory->has_page = true;
}

bool directory_has_page_of(const struct directory *directory, uint32_t box_id, uint32_t uid)
{
	return directory->has_page && directory->box_id == box_id && uid > directory->page_after &&
		uid <= directory->page_last;
}

const char *directory_name(const struct directory *directory, uint32_t uid, guint *at)
{
	const GArray *uids = directory->uids;

	while (*at < uids->len && g_array_index(uids, uint32_t, *at) < uid)
		(*at)++;
	if (*at < uids->len && g_array_index(uids, uint32_t, *at) == uid)
		return g_ptr_array_index(directory->names, *at);
	return NULL;
}
