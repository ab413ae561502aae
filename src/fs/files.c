/* SPDX-License-Identifier: MIT */
/* Open messages: what they hold on to when the server expunges them. Loop thread. */
#include "fs/internal.h"

static struct open_file *file_open(struct fs *fs, uint64_t ino)
{
	struct open_file *file = g_hash_table_lookup(fs->files, &ino);

	if (!file) {
		file = g_new0(struct open_file, 1);
		file->ino = ino;
		g_hash_table_insert(fs->files, &file->ino, file);
	}
	file->handles++;
	fs_attr(fs, ino, &file->attr);
	return file;
}

static void file_close(struct fs *fs, struct open_file *file)
{
	if (--file->handles > 0)
		return;
	g_hash_table_remove(fs->files, &file->ino);
	engine_release(fs->engine, file->held);
	g_free(file);
}

struct handle *handle_open(struct fs *fs, uint64_t ino)
{
	struct handle *handle = g_new0(struct handle, 1);
	const struct message *message = fs_message(fs, ino, NULL);

	handle->file = file_open(fs, ino);
	handle->size = message ? message->size : 0;
	g_hash_table_add(fs->handles, handle);
	return handle;
}

void handle_close(struct fs *fs, struct handle *handle)
{
	g_hash_table_remove(fs->handles, handle);
	file_close(fs, handle->file);
	g_free(handle);
}

void handle_close_all(struct fs *fs)
{
	g_autoptr(GList) handles = g_hash_table_get_keys(fs->handles);

	for (GList *at = handles; at; at = at->next)
		handle_close(fs, at->data);
}

bool handle_is_mistaken(struct fs *fs, const struct handle *handle)
{
	const struct message *message = fs_message(fs, handle->file->ino, NULL);

	return message && message->size != handle->size;
}

void file_hold(struct fs *fs, uint64_t ino)
{
	struct open_file *file = g_hash_table_lookup(fs->files, &ino);
	struct ino what = ino_split(ino);

	if (file && !file->held)
		file->held = engine_hold(fs->engine, what.id, what.uid);
}

const struct open_file *file_find(struct fs *fs, uint64_t ino)
{
	return g_hash_table_lookup(fs->files, &ino);
}

uint64_t file_gone_size(const struct open_file *file)
{
	uint64_t size = file->held ? engine_held_size(file->held) : UINT64_MAX;

	return size != UINT64_MAX ? size : (uint64_t)file->attr.st_size;
}
