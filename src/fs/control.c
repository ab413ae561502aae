/* SPDX-License-Identifier: MIT */
/*
 * .mailfs at the root: not listed, but it can be entered. `ctl` takes one command a line.
 *
 * `status`, `status.json` and `pending` (what is not on the server yet) are written anew whenever their name is looked up, and the kernel may
 * not remember the name. Each text is an inode of its own, as far as the kernel is concerned: it
 * never changes, has its exact size, and may be kept in the page cache, so that it can be read
 * without an open. Programs see the same st_ino always. A text lives until the kernel forgets it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "fs/internal.h"
#include "fs/watch.h"

static const struct {
	enum control_file file;
	const char *name;
	mode_t mode;
} files[] = {
	{ CONTROL_STATUS, "status", S_IFREG | 0400 },
	{ CONTROL_STATUS_JSON, "status.json", S_IFREG | 0400 },
	{ CONTROL_CTL, "ctl", S_IFREG | 0200 },
	{ CONTROL_PENDING, "pending", S_IFREG | 0400 },
	{ CONTROL_EVENTS, "events", S_IFREG | 0400 },
};

struct text {
	uint64_t ino;
	int64_t made_ns;
	GString *bytes;
};

static void text_free(gpointer data)
{
	struct text *text = data;

	g_string_free(text->bytes, TRUE);
	g_free(text);
}

void control_init(struct fs *fs)
{
	fs->texts = g_hash_table_new_full(g_int64_hash, g_int64_equal, text_free, NULL);
}

bool control_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr)
{
	const struct text *text = g_hash_table_lookup(fs->texts, &ino);
	uint32_t file = ino_split(ino).uid;
	mode_t mode = file == CONTROL_DIR ? S_IFDIR | 0700 : 0;

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		if (files[i].file == file)
			mode = files[i].mode;
	}
	if (mode == 0 || (!text && ino_split(ino).id != 0))
		return false;
	memset(ret_attr, 0, sizeof(*ret_attr));
	ret_attr->st_ino = fs_ino(fs, INO_KIND_CONTROL, 0, file);
	ret_attr->st_mode = mode;
	ret_attr->st_nlink = file == CONTROL_DIR ? 2 : 1;
	ret_attr->st_uid = fs->config.uid;
	ret_attr->st_gid = fs->config.gid;
	ret_attr->st_mtim.tv_sec = fs->mount->mounted_at;
	if (text) {
		ret_attr->st_size = (off_t)text->bytes->len;
		ret_attr->st_blocks = (ret_attr->st_size + 511) / 512;
		ret_attr->st_mtim.tv_sec = text->made_ns / 1000000000;
		ret_attr->st_mtim.tv_nsec = text->made_ns % 1000000000;
	}
	ret_attr->st_atim = ret_attr->st_mtim;
	ret_attr->st_ctim = ret_attr->st_mtim;
	return true;
}

const char *control_name(const struct fs *fs, uint32_t index, uint64_t *ret_ino)
{
	if (index >= G_N_ELEMENTS(files))
		return NULL;
	*ret_ino = fs_ino(fs, INO_KIND_CONTROL, 0, files[index].file);
	return files[index].name;
}

/* ---- requests ---------------------------------------------------------------------------------- */

static uint64_t text_new(struct fs *fs, uint32_t file)
{
	struct text *text = g_new0(struct text, 1);

	do
		text->ino = fs_ino(fs, INO_KIND_CONTROL, ++fs->last_text & 0xffffff, file);
	while (ino_split(text->ino).id == 0 || g_hash_table_contains(fs->texts, &text->ino));
	text->made_ns = clock_realtime_ns();
	text->bytes = g_string_new(NULL);
	if (file == CONTROL_PENDING)
		status_put_pending(fs, text->bytes);
	else
		status_put(fs, text->bytes, file == CONTROL_STATUS_JSON);
	g_hash_table_add(fs->texts, text);
	return text->ino;
}

static uint64_t find(struct fs *fs, const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		if (strcmp(files[i].name, name) != 0)
			continue;
		/* A stream needs an open, and there are none any more. */
		if (files[i].file == CONTROL_EVENTS && fs->is_openless)
			return 0;
		return files[i].file == CONTROL_CTL || files[i].file == CONTROL_EVENTS
			? fs_ino(fs, INO_KIND_CONTROL, 0, files[i].file)
			: text_new(fs, files[i].file);
	}
	return 0;
}

void control_lookup(struct fs *fs, fuse_req_t req, const char *name)
{
	uint64_t ino = name ? find(fs, name) : fs_ino(fs, INO_KIND_CONTROL, 0, CONTROL_DIR);
	struct fuse_entry_param entry = { .ino = ino, .attr_timeout = FS_LONG_TIMEOUT };

	if (ino == 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	/* The stream is there as long as there are opens. */
	if (ino_split(ino).id == 0 && ino_split(ino).uid != CONTROL_EVENTS)
		entry.entry_timeout = FS_LONG_TIMEOUT;
	control_attr(fs, ino, &entry.attr);
	/* An interrupted lookup is not forgotten. */
	if (fuse_reply_entry(req, &entry) == -ENOENT)
		control_forget(fs, ino);
}

void control_forget(struct fs *fs, uint64_t ino)
{
	g_hash_table_remove(fs->texts, &ino);
}

void control_open(struct fs *fs, fuse_req_t req, uint32_t file, struct fuse_file_info *fi)
{
	bool wants_write = (fi->flags & O_ACCMODE) != O_RDONLY;

	if (wants_write != (file == CONTROL_CTL)) {
		fuse_reply_err(req, EACCES);
		return;
	}
	if (file == CONTROL_EVENTS) {
		events_open(fs, req, fi);
		return;
	}
	fi->direct_io = wants_write;
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

void control_read(struct fs *fs, fuse_req_t req, uint64_t ino, size_t size, off_t offset)
{
	const struct text *text = g_hash_table_lookup(fs->texts, &ino);

	if (!text)
		fuse_reply_err(req, ESTALE);
	else if ((uint64_t)offset >= text->bytes->len)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, text->bytes->str + offset,
			MIN(size, text->bytes->len - (size_t)offset));
}
