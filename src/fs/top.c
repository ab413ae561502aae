/* SPDX-License-Identifier: MIT */
/* The directory of accounts. Everything is in memory, nothing waits. */
#include "fs/top.h"

#include <errno.h>
#include <string.h>

#include "fs/directory.h"

/* It has no engine; its texts, readers and requests are kept as an account's are. */
void top_init(struct mount *mount)
{
	fs_new(mount, &(struct fs_config){
		.path = mount->config.mountpoint,
		.confinement = mount->config.confinement,
		.root = "",
		.uid = mount->config.uid,
		.gid = mount->config.gid,
		.umask = mount->config.umask,
		.is_read_only = mount->config.is_read_only,
		.helper.fd = -1,
		.timeout_ms = mount->config.timeout_ms,
	});
}

void top_done(struct mount *mount)
{
	fs_free(mount->accounts[0]);
}

bool top_is(const struct fs *fs)
{
	return !fs->config.name && !fs->engine;
}

struct fs *top_next(const struct mount *mount, unsigned *at)
{
	while (++*at <= mount->account_mask) {
		if (mount->accounts[*at])
			return mount->accounts[*at];
	}
	return NULL;
}

struct fs *top_find(const struct mount *mount, const char *name)
{
	unsigned at = 0;
	struct fs *fs;

	while ((fs = top_next(mount, &at))) {
		if (strcmp(fs->config.name, name) == 0)
			return fs;
	}
	return NULL;
}

struct fs *top_find_path(const struct mount *mount, const char *path, const char **ret_rest)
{
	size_t len = strcspn(path, "/");
	g_autofree char *name = g_strndup(path, len);
	struct fs *fs = top_find(mount, name);

	if (fs)
		*ret_rest = path[len] == '/' ? path + len + 1 : "";
	return fs;
}

/* ---- attributes -------------------------------------------------------------------------------- */

static void directory_attr(struct fs *fs, mode_t mode, struct stat *ret_attr)
{
	memset(ret_attr, 0, sizeof(*ret_attr));
	ret_attr->st_ino = fs->root;
	ret_attr->st_mode = S_IFDIR | mode;
	ret_attr->st_nlink = 2;
	ret_attr->st_size = 4096;
	ret_attr->st_blocks = 8;
	ret_attr->st_mtim.tv_sec = fs->mount->mounted_at;
	ret_attr->st_atim = ret_attr->st_mtim;
	ret_attr->st_ctim = ret_attr->st_mtim;
	fs_set_owner(fs, ret_attr);
}

bool top_attr(struct fs *fs, uint64_t ino, struct stat *ret_attr)
{
	unsigned at = 0;

	if (ino_split(ino).kind == INO_KIND_CONTROL)
		return control_attr(fs, ino, ret_attr);
	if (ino != fs->root)
		return false;
	directory_attr(fs, 0700, ret_attr);
	while (top_is(fs) && top_next(fs->mount, &at))
		ret_attr->st_nlink++;
	return true;
}

/* Of an account's directory, whatever state it is in. */
static void account_attr(struct fs *fs, struct stat *ret_attr)
{
	if (!fs->engine || !fs_attr(fs, fs->root, ret_attr))
		directory_attr(fs, 0700, ret_attr);
}

/* ---- requests ---------------------------------------------------------------------------------- */

void top_lookup(struct mount *mount, fuse_req_t req, const char *name)
{
	struct fs *fs = top_find(mount, name);
	struct stat attr;

	if (!fs) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	account_attr(fs, &attr);
	fs_reply_entry(fs, req, &attr);
}

void top_opendir(struct fs *fs, fuse_req_t req, uint64_t ino)
{
	struct directory *directory = directory_new(fs, ino);
	struct fuse_file_info fi = { .fh = (uint64_t)(uintptr_t)directory };

	/* An interrupted open sends no release. */
	if (fuse_reply_open(req, &fi) == -ENOENT)
		directory_close(fs, directory);
}

struct listing {
	fuse_req_t req;
	char *buffer;
	size_t size, used;
	bool is_plus;
};

/* False: the buffer is full. */
static bool add_entry(struct listing *listing, const char *name, const struct stat *attr, off_t next,
	bool is_known)
{
	char *at = listing->buffer + listing->used;
	size_t room = listing->size - listing->used;
	struct fuse_entry_param entry = {
		.ino = is_known ? attr->st_ino : 0,
		.attr = *attr,
		.attr_timeout = FS_LONG_TIMEOUT,
		.entry_timeout = FS_LONG_TIMEOUT,
	};
	size_t size = listing->is_plus ?
		fuse_add_direntry_plus(listing->req, at, room, name, &entry, next) :
		fuse_add_direntry(listing->req, at, room, name, attr, next);

	if (size > room)
		return false;
	listing->used += size;
	return true;
}

/* Offsets: 1 and 2 are "." and "..", 2 + n is the account at place n. */
void top_readdir(struct mount *mount, fuse_req_t req, size_t size, off_t offset, bool is_plus)
{
	g_autofree char *buffer = g_malloc(size);
	struct listing listing = { .req = req, .buffer = buffer, .size = size, .is_plus = is_plus };
	unsigned at = offset > 2 ? (unsigned)MIN(offset - 2, (off_t)mount->account_mask) : 0;
	struct stat attr;
	struct fs *fs;

	directory_attr(mount->accounts[0], 0700, &attr);
	if ((offset < 1 && !add_entry(&listing, ".", &attr, 1, false)) ||
		(offset < 2 && !add_entry(&listing, "..", &attr, 2, false)))
		at = mount->account_mask;
	while ((fs = top_next(mount, &at))) {
		account_attr(fs, &attr);
		if (!add_entry(&listing, fs->config.name, &attr, 2 + (off_t)at, true))
			break;
	}
	fuse_reply_buf(req, listing.buffer, listing.used);
}
